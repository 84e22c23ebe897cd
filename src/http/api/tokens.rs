//! Tokens: who may use this API.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CompanyId, TokenId};
use provisioning_store::tokens::{NewToken, Role, Token};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::Moment;
use super::openapi::OperatorOnly;
use super::page::{Cursor, Limit, Page};
use super::{Answer, Created};
use crate::storage;

/// Their part of the description.
pub(super) const TAG: &str = "Access";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(show_token, revoke_token))
}

/// What a token allows.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
enum RoleName {
    /// Everything.
    Operator,
    /// What is one company's.
    Administrator,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    /// Identity.
    id: i64,
    /// Who or what uses it; the audit trail shows it.
    name: String,
    role: RoleName,
    /// An administrator's company.
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
            role: match token.role {
                Role::Operator => RoleName::Operator,
                Role::Administrator(_) => RoleName::Administrator,
            },
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
    /// Only those of this company's administrators.
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
    role: RoleName,
    /// An administrator's company; left out for an operator.
    company: Option<i64>,
    /// When it ends by itself; never if it is left out.
    expires_at: Option<Moment>,
}

/// A new token with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
struct NewTokenView {
    token: TokenView,
    /// What to show as `Authorization: Bearer`.
    secret: String,
}

impl TokenRequest {
    async fn role(&self, caller: &Caller) -> Result<Role, Problem> {
        match (self.role, self.company) {
            (RoleName::Operator, None) => Ok(Role::Operator),
            (RoleName::Operator, Some(_)) => {
                Err(Problem::invalid("company", "an operator has no company; leave it out"))
            }
            (RoleName::Administrator, None) => {
                Err(Problem::invalid("company", "the field `company` is missing; an administrator needs one"))
            }
            (RoleName::Administrator, Some(company)) => {
                let company =
                    caller.company(CompanyId(company)).await.map_err(|it| it.named_in("company"))?;
                Ok(Role::Administrator(company.id))
            }
        }
    }
}

/// Make a token
///
/// An administrator makes tokens for administrators of the own company.
#[utoipa::path(
    post, path = "/tokens", tag = TAG,
    request_body = TokenRequest, responses((status = 201, body = NewTokenView), (status = 403, response = OperatorOnly)),
)]
async fn create_token(
    caller: Caller,
    Body(new): Body<TokenRequest>,
) -> Result<Created<NewTokenView>, Problem> {
    let role = new.role(&caller).await?;
    if role == Role::Operator && caller.role != Role::Operator {
        let sentence = "an operator's token is made by operators; ask one of them";
        return Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", sentence));
    }
    let now = storage::now();
    let expires_at = new.expires_at.map(|moment| moment.0);
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("expires_at", "this time is over; name one that is to come"));
    }
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
    delete, path = "/tokens/{token}", tag = TAG, params(("token" = i64, Path)), responses((status = 204)),
)]
async fn revoke_token(caller: Caller, Path(token): Path<TokenId>) -> Result<StatusCode, Problem> {
    let token = caller.token(token).await?;
    caller.acting_on(token.role.company()).revoke_token(storage::now(), token.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
