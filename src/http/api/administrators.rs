//! People who look after a company.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{Administrator, BusinessAccountId, CompanyId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::companies::TAG;
use super::error::Problem;
use super::openapi::Unprocessable;
use super::page::{Cursor, Limit, Page};

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_administrators))
        .routes(routes!(set_administrator, remove_administrator))
}

/// Somebody who looks after a company.
#[derive(Serialize, ToSchema)]
#[schema(as = Administrator)]
struct AdministratorView {
    /// Address, in small letters; unique in the company.
    email: String,
    name: String,
    /// The business account that they use in person. Attached to a profile, it could no longer sign in.
    account: Option<i64>,
}

impl From<Administrator> for AdministratorView {
    fn from(it: Administrator) -> Self {
        Self { email: it.email, name: it.name, account: it.account.map(|account| account.0) }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AdministratorQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List a company's administrators
#[utoipa::path(
    get, path = "/companies/{company}/administrators", tag = TAG,
    params(("company" = i64, Path), AdministratorQuery), responses((status = 200, body = Page<AdministratorView>)),
)]
async fn list_administrators(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Query(query): Query<AdministratorQuery>,
) -> Answer<Page<AdministratorView>> {
    let company = caller.company(company).await?;
    let all = caller.store().administrators(company.id).await?;
    let page = Page::of_whole(all, (query.limit, query.cursor.as_ref()), |it| it.email.clone())?;
    Ok(Json(page.map(AdministratorView::from)))
}

/// What is known of an administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AdministratorRequest {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The business account that they use in person.
    account: Option<i64>,
}

/// Add an administrator, or change what is known of one
#[utoipa::path(
    put, path = "/companies/{company}/administrators/{email}", tag = TAG,
    params(("company" = i64, Path), ("email" = String, Path)),
    request_body = AdministratorRequest, responses((status = 200, body = AdministratorView)),
)]
async fn set_administrator(
    caller: Caller,
    Path((company, email)): Path<(CompanyId, String)>,
    Body(request): Body<AdministratorRequest>,
) -> Answer<AdministratorView> {
    let company = caller.company(company).await?.id;
    let account = request.account.map(BusinessAccountId);
    let new = Administrator { company, email, name: request.name, account };
    Ok(Json(caller.acting_on(company).set_administrator(new).await?.into()))
}

/// Remove an administrator
///
/// Tokens are ended by themselves.
#[utoipa::path(
    delete, path = "/companies/{company}/administrators/{email}", tag = TAG,
    params(("company" = i64, Path), ("email" = String, Path)),
    responses((status = 204), (status = 422, response = Unprocessable)),
)]
async fn remove_administrator(
    caller: Caller,
    Path((company, email)): Path<(CompanyId, String)>,
) -> Result<StatusCode, Problem> {
    let company = caller.company(company).await?.id;
    caller.acting_on(company).remove_administrator(company, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}
