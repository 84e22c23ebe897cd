//! Landline numbers that companies have stored for use as Caller ID.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CompanyId, Landline};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Path;
use super::caller::Caller;
use super::companies::TAG;
use super::error::Problem;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_landlines)).routes(routes!(add_landline, remove_landline))
}

/// A landline number of a company.
#[derive(Serialize, ToSchema)]
#[schema(as = Landline)]
struct LandlineView {
    /// E.164 with `+`.
    number: String,
}

impl From<Landline> for LandlineView {
    fn from(landline: Landline) -> Self {
        Self { number: landline.number }
    }
}

/// The landline numbers of a company.
#[derive(Serialize, ToSchema)]
struct Landlines {
    /// All of them.
    items: Vec<LandlineView>,
}

/// List a company's landline numbers
///
/// They may be shown once the company is verified.
#[utoipa::path(
    get, path = "/companies/{company}/landlines", tag = TAG, params(("company" = i64, Path)),
    responses((status = 200, body = Landlines)),
)]
async fn list_landlines(caller: Caller, Path(company): Path<CompanyId>) -> Answer<Landlines> {
    let company = caller.company(company).await?;
    let found = caller.store().landlines_of(company.id).await?;
    Ok(Json(Landlines { items: found.into_iter().map(LandlineView::from).collect() }))
}

/// Store a landline number of a company
#[utoipa::path(
    put, path = "/companies/{company}/landlines/{number}", tag = TAG,
    params(("company" = i64, Path), ("number" = String, Path, description = "E.164 with `+`")),
    responses((status = 200, body = LandlineView), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn add_landline(
    caller: Caller,
    Path((company, number)): Path<(CompanyId, String)>,
) -> Answer<LandlineView> {
    let company = caller.company(company).await?;
    Ok(Json(caller.acting_on(company.id).add_landline(company.id, &number).await?.into()))
}

/// Forget a landline number of a company
///
/// Profiles that showed it show it no longer.
#[utoipa::path(
    delete, path = "/companies/{company}/landlines/{number}", tag = TAG,
    params(("company" = i64, Path), ("number" = String, Path, description = "E.164 with `+`")),
    responses((status = 204), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn remove_landline(
    caller: Caller,
    Path((company, number)): Path<(CompanyId, String)>,
) -> Result<StatusCode, Problem> {
    let company = caller.company(company).await?;
    caller.acting_on(company.id).remove_landline(company.id, &number).await?;
    Ok(StatusCode::NO_CONTENT)
}
