//! Tokens: who may use this API.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CompanyId, Timestamp, TokenId};
use provisioning_store::tokens::{NewToken, Role, RoleKind, Token};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::Moment;
use super::page::{Cursor, Limit, Page};
use super::word::word;
use super::{Answer, Created};
use crate::storage;

/// Their part of the description.
pub(super) const TAG: &str = "Access";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(show_token, revoke_token))
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    /// Identity.
    id: i64,
    /// Who or what uses it; the audit trail shows it.
    name: String,
    #[schema(schema_with = word::<RoleKind>)]
    role: RoleKind,
    /// The company that it is limited to.
    company: Option<i64>,
    created_at: Moment,
    /// When it ends by itself.
    expires_at: Option<Moment>,
    /// When it was ended.
    revoked_at: Option<Moment>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            role: token.role.kind(),
            company: token.role.company().map(|company| company.0),
            created_at: Moment(token.created_at),
            expires_at: token.expires_at.map(Moment),
            revoked_at: token.revoked_at.map(Moment),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    /// Only those that are limited to this company.
    company: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List tokens
///
/// Those that have ended too.
#[utoipa::path(get, path = "/tokens", tag = TAG, params(TokenQuery), responses((status = 200, body = Page<TokenView>)))]
async fn list_tokens(caller: Caller, Query(query): Query<TokenQuery>) -> Answer<Page<TokenView>> {
    let TokenQuery { company, cursor, limit } = query;
    let company = caller.scope(company)?;
    let found = caller.store().tokens(company, limit.slice(cursor.as_ref())?).await?;
    Ok(Json(Page::of(found, limit, |token| token.id.to_string()).map(TokenView::from)))
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// Who or what will use it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(schema_with = word::<RoleKind>)]
    role: RoleKind,
    /// The company that it is limited to: needed for administrators, possible for billing, left out for operators.
    company: Option<i64>,
    /// When it ends by itself, or `never`, as operators alone may say. Left out: after `http.token_days`, and not after the
    /// token that makes it.
    expires_at: Option<End>,
}

/// A new token with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
struct NewTokenView {
    token: TokenView,
    /// What to show as `Authorization: Bearer`.
    secret: String,
}

/// When a token ends.
#[derive(Clone, Copy)]
enum End {
    At(Moment),
    Never,
}

/// The word for [`End::Never`].
const NEVER: &str = "never";

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? {
            word if word == NEVER => Ok(Self::Never),
            text => Moment::deserialize(text.into_deserializer()).map(Self::At),
        }
    }
}

impl PartialSchema for End {
    fn schema() -> RefOr<Schema> {
        let never = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([NEVER])).build();
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(Moment::schema()).item(never).build()))
    }
}

impl ToSchema for End {
    fn name() -> std::borrow::Cow<'static, str> {
        "TokenEnd".into()
    }
}

impl TokenRequest {
    async fn role(&self, caller: &Caller) -> Result<Role, Problem> {
        let company = match self.company {
            Some(company) => {
                let found = caller.company(CompanyId(company)).await;
                Some(found.map_err(|it| it.named_in("company"))?.id)
            }
            None => None,
        };
        let role = self.role;
        Role::new(role, company).ok_or_else(|| match company {
            Some(_) => Problem::invalid(
                "company",
                format!("a token of the role {role} has no company; leave it out"),
            ),
            None => Problem::invalid(
                "company",
                format!("the field `company` is missing; a token of the role {role} needs one"),
            ),
        })
    }

    /// When the token ends: no later than the one that makes it.
    fn end(&self, caller: &Caller, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let wrong = |sentence: &str| Err(Problem::invalid("expires_at", sentence));
        let usual = || now.plus_days(i64::from(caller.site.config.load().http.token_days));
        let end = match self.expires_at {
            Some(End::Never) if caller.role != Role::Operator => {
                return wrong("only operators make tokens that never end; name a time");
            }
            Some(End::Never) => None,
            Some(End::At(Moment(end))) if end <= now => {
                return wrong("this time is over; name one that is to come");
            }
            Some(End::At(Moment(end))) if caller.ends_at.is_some_and(|own| end > own) => {
                return wrong(
                    "it would outlive the token that makes it; name an earlier time, or ask an operator",
                );
            }
            Some(End::At(Moment(end))) => Some(end),
            None => Some(caller.ends_at.map_or_else(usual, |own| own.min(usual()))),
        };
        Ok(end)
    }
}

/// Make a token
///
/// An administrator makes tokens for the own company. No token makes another that may do more, or for longer, than itself.
#[utoipa::path(
    post, path = "/tokens", tag = TAG, security(("token" = ["grant"])),
    request_body = TokenRequest, responses((status = 201, body = NewTokenView)),
)]
async fn create_token(
    caller: Caller,
    Body(new): Body<TokenRequest>,
) -> Result<Created<NewTokenView>, Problem> {
    let role = new.role(&caller).await?;
    if !caller.role.covers(role) {
        let sentence = "this token would do more than the one that makes it; ask an operator for it";
        return Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", sentence));
    }
    let now = storage::now();
    let expires_at = new.end(&caller, now)?;
    let store = caller.acting_on(role.company());
    let (token, secret) = store.create_token(now, NewToken { name: new.name, role, expires_at }).await?;
    let path = format!("/tokens/{}", token.id);
    Ok(Created::at(path, NewTokenView { token: token.into(), secret: secret.reveal().to_owned() }))
}

/// Show a token
#[utoipa::path(
    get, path = "/tokens/{token}", tag = TAG, params(("token" = i64, Path)),
    responses((status = 200, body = TokenView)),
)]
async fn show_token(caller: Caller, Path(token): Path<TokenId>) -> Answer<TokenView> {
    Ok(Json(caller.token(token).await?.into()))
}

/// End a token
///
/// It opens nothing from then on. One that was ended before is not there to be ended.
#[utoipa::path(
    delete, path = "/tokens/{token}", tag = TAG, security(("token" = ["grant"])), params(("token" = i64, Path)), responses((status = 204)),
)]
async fn revoke_token(caller: Caller, Path(token): Path<TokenId>) -> Result<StatusCode, Problem> {
    let token = caller.token(token).await?;
    caller.acting_on(token.role.company()).revoke_token(storage::now(), token.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
