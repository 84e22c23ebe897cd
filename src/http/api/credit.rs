//! A profile's credit: moved from its company and back, and refilled by itself.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{Company, ProfileId, Recharge};
use provisioning_store::money::Micros;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path};
use super::caller::Caller;
use super::error::Problem;
use super::money::Money;
use super::once::IdempotencyKey;
use super::openapi::Conflict;
use super::profiles::{ProfileView, TAG};
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(allocate_credit))
        .routes(routes!(take_credit_back))
        .routes(routes!(set_recharge, stop_recharge))
}

/// Credit for a profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Allocation {
    /// How much; above zero.
    amount: Money,
}

/// Move credit from the company to a profile
#[utoipa::path(
    post, path = "/profiles/{profile}/allocations", tag = TAG,
    params(("profile" = i64, Path), IdempotencyKey), request_body = Allocation, responses((status = 201, body = ProfileView)),
)]
async fn allocate_credit(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(request): Body<Allocation>,
) -> Result<(StatusCode, Json<ProfileView>), Problem> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let amount = request.amount.paid_by(&company, "amount")?;
    let profile = caller.acting_on(company.id).allocate(storage::now(), profile.id, amount).await?;
    Ok((StatusCode::CREATED, Json(ProfileView::of(&caller, profile, &company.currency))))
}

/// Credit to take back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Return {
    /// How much; all that no call holds if it is left out.
    amount: Option<Money>,
}

/// Move credit from a profile back to the company
#[utoipa::path(
    post, path = "/profiles/{profile}/returns", tag = TAG,
    params(("profile" = i64, Path), IdempotencyKey), request_body = Return, responses((status = 201, body = ProfileView)),
)]
async fn take_credit_back(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(request): Body<Return>,
) -> Result<(StatusCode, Json<ProfileView>), Problem> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let amount = request.amount.map(|amount| amount.paid_by(&company, "amount")).transpose()?;
    let free = Micros(profile.credit.0 - profile.reserved.0);
    let is_asked_back = profile.on_hand > Micros::ZERO && amount.is_none_or(|amount| amount > free);
    if is_asked_back && !caller.site.on_hand.release(profile.id).await {
        caller.store().release_on_hand_of(storage::now(), profile.id).await?;
    }
    let profile = caller.acting_on(company.id).take_back(storage::now(), profile.id, amount).await?;
    Ok((StatusCode::CREATED, Json(ProfileView::of(&caller, profile, &company.currency))))
}

/// When the credit that is free falls below the threshold, the amount comes from the company. What running calls have
/// reserved is not free.
#[derive(Serialize, ToSchema)]
#[schema(as = Recharge)]
pub(super) struct RechargeView {
    threshold: Money,
    amount: Money,
    /// What speaks against these values; null if nothing does.
    warning: Option<String>,
}

impl RechargeView {
    /// How a recharge looks, in the company's currency.
    pub(super) fn of(it: Recharge, currency: &str) -> Self {
        Self {
            threshold: Money::of(it.threshold, currency),
            amount: Money::of(it.amount, currency),
            warning: it.warning(),
        }
    }
}

/// When and how to refill credit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RechargeRequest {
    /// Below which; 2.00 is recommended.
    threshold: Money,
    /// How much comes each time, above zero; 10.00 is recommended.
    amount: Money,
}

impl RechargeRequest {
    /// As the store has it, if it is in the company's currency.
    pub(super) fn recharge(&self, company: &Company) -> Result<Recharge, Problem> {
        Ok(Recharge {
            threshold: self.threshold.paid_by(company, "threshold")?,
            amount: self.amount.paid_by(company, "amount")?,
        })
    }
}

/// Refill a profile's credit by itself
///
/// Whenever the credit that is free falls below the threshold, during a call too: what running calls have reserved ahead
/// counts as gone, though it may not be charged in the end. Less than is recommended risks that a call ends for want of
/// credit.
#[utoipa::path(
    put, path = "/profiles/{profile}/recharge", tag = TAG, params(("profile" = i64, Path)),
    request_body = RechargeRequest, responses((status = 200, body = ProfileView), (status = 409, response = Conflict)),
)]
async fn set_recharge(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(request): Body<RechargeRequest>,
) -> Answer<ProfileView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let recharge = request.recharge(&company)?;
    caller.acting_on(company.id).set_recharge(storage::now(), profile.id, Some(recharge)).await?;
    Ok(Json(ProfileView::anew(&caller, profile.id).await?))
}

/// Refill a profile's credit no longer
#[utoipa::path(
    delete, path = "/profiles/{profile}/recharge", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = ProfileView)),
)]
async fn stop_recharge(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<ProfileView> {
    let profile = caller.profile(profile).await?;
    caller.acting_on(profile.company).set_recharge(storage::now(), profile.id, None).await?;
    Ok(Json(ProfileView::anew(&caller, profile.id).await?))
}
