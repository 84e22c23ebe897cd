//! Money of a company that an operator puts right: movements of their own, never a change of those that there are.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::CompanyId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path};
use super::caller::Caller;
use super::companies::{CompanyView, TAG};
use super::error::Problem;
use super::money::Money;
use super::once::IdempotencyKey;
use super::openapi::Conflict;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(correct_credit)).routes(routes!(write_credit_note))
}

/// A correction of a company's credit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Correction {
    /// What is added; below zero, what is taken away, as far as it is there.
    amount: Money,
    /// Why, for the books.
    #[schema(min_length = 1, max_length = 100)]
    reason: String,
}

/// Correct a company's credit
///
/// A movement of its own, with the reason and who has asked for it: a payment that was booked twice or to the wrong company. What is taken away must not be spent.
#[utoipa::path(
    post, path = "/companies/{company}/corrections", tag = TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path), IdempotencyKey), request_body = Correction,
    responses((status = 201, body = CompanyView), (status = 409, response = Conflict)),
)]
async fn correct_credit(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<Correction>,
) -> Result<(StatusCode, Json<CompanyView>), Problem> {
    let company = caller.company(company).await?;
    let amount = request.amount.paid_by(&company, "amount")?;
    let why = (request.reason.as_str(), caller.deed.actor.as_str());
    let company = caller.acting_on(company.id).correct(storage::now(), company.id, amount, why).await?;
    Ok((StatusCode::CREATED, Json(company.into())))
}

/// A charge that is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreditNote {
    /// How much; above zero.
    amount: Money,
    /// Why, for the books.
    #[schema(min_length = 1, max_length = 100)]
    reason: String,
}

/// Write a credit note
///
/// What was charged goes back to the company's credit, as a movement of its own with the reason and who has asked for it.
#[utoipa::path(
    post, path = "/companies/{company}/credit-notes", tag = TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path), IdempotencyKey), request_body = CreditNote,
    responses((status = 201, body = CompanyView)),
)]
async fn write_credit_note(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<CreditNote>,
) -> Result<(StatusCode, Json<CompanyView>), Problem> {
    let company = caller.company(company).await?;
    let amount = request.amount.paid_by(&company, "amount")?;
    let why = (request.reason.as_str(), caller.deed.actor.as_str());
    let company = caller.acting_on(company.id).give_back(storage::now(), company.id, amount, why).await?;
    Ok((StatusCode::CREATED, Json(company.into())))
}
