//! Landline numbers that companies have stored for use as Caller ID.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CompanyId, Landline};
use provisioning_store::tokens::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Path;
use super::caller::Caller;
use super::companies::TAG;
use super::error::Problem;
use super::money::Moment;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_landlines)).routes(routes!(add_landline, remove_landline))
}

/// A landline number of a company.
#[derive(Serialize, ToSchema)]
#[schema(as = Landline)]
struct LandlineView {
    /// E.164 with `+`.
    number: String,
    /// Whether an operator has made sure that it is the company's own; only then is it shown, and only while the company
    /// is verified too.
    is_verified: bool,
    /// Who has made sure of it.
    verified_by: Option<String>,
    /// When.
    verified_at: Option<Moment>,
}

impl From<Landline> for LandlineView {
    fn from(landline: Landline) -> Self {
        let verification = landline.verification;
        Self {
            number: landline.number,
            is_verified: verification.is_some(),
            verified_at: verification.as_ref().map(|it| Moment(it.at)),
            verified_by: verification.map(|it| it.by),
        }
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
/// They may be shown once they and the company are verified.
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
///
/// What an operator stores counts as verified. What an administrator stores is shown by nobody until an operator has made
/// sure that it is the company's own, and stores it too. A number that is hosted here, or is verified as another company's,
/// is refused.
#[utoipa::path(
    put, path = "/companies/{company}/landlines/{number}", tag = TAG,
    params(("company" = i64, Path), ("number" = String, Path, description = "E.164 with `+`")),
    responses((status = 200, body = LandlineView), (status = 409, response = super::openapi::Conflict), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn add_landline(
    caller: Caller,
    Path((company, number)): Path<(CompanyId, String)>,
) -> Answer<LandlineView> {
    let company = caller.company(company).await?;
    let verified_by = (caller.role == Role::Operator).then_some(caller.deed.actor.as_str());
    let store = caller.acting_on(company.id);
    Ok(Json(store.add_landline(storage::now(), company.id, &number, verified_by).await?.into()))
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
