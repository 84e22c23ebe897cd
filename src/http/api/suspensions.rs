//! Companies and profiles whose calls are stopped, and let go on.

use axum::Json;
use provisioning_store::model::{CompanyId, ProfileId, Suspension};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path};
use super::caller::Caller;
use super::companies::{self, CompanyView};
use super::money::Moment;
use super::profiles::{self, ProfileView};
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(suspend_company, resume_company))
        .routes(routes!(suspend_profile, resume_profile))
}

/// Since when calls are stopped, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Suspension)]
pub(super) struct SuspensionView {
    at: Moment,
    /// For people.
    reason: String,
}

impl From<Suspension> for SuspensionView {
    fn from(suspension: Suspension) -> Self {
        Self { at: Moment(suspension.at), reason: suspension.reason }
    }
}

/// Why calls are stopped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SuspensionRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    reason: String,
}

/// Suspend a company
///
/// All calls of its profiles and phones, and to them, are refused from now on. Calls that run go on; subscriptions and numbers
/// are renewed as before.
#[utoipa::path(
    put, path = "/companies/{company}/suspension", tag = companies::TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path)), request_body = SuspensionRequest, responses((status = 200, body = CompanyView)),
)]
async fn suspend_company(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<SuspensionRequest>,
) -> Answer<CompanyView> {
    let store = caller.acting_on(company);
    Ok(Json(store.suspend_company(storage::now(), company, &request.reason).await?.into()))
}

/// Resume a company
///
/// Its calls are made again; profiles that are suspended themselves stay so.
#[utoipa::path(
    delete, path = "/companies/{company}/suspension", tag = companies::TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path)), responses((status = 200, body = CompanyView)),
)]
async fn resume_company(caller: Caller, Path(company): Path<CompanyId>) -> Answer<CompanyView> {
    Ok(Json(caller.acting_on(company).resume_company(company).await?.into()))
}

/// Suspend a profile
///
/// All calls that it makes or would take are refused from now on. Calls that run go on; its subscription is renewed as before.
#[utoipa::path(
    put, path = "/profiles/{profile}/suspension", tag = profiles::TAG, security(("token" = ["operate"])),
    params(("profile" = i64, Path)), request_body = SuspensionRequest, responses((status = 200, body = ProfileView)),
)]
async fn suspend_profile(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(request): Body<SuspensionRequest>,
) -> Answer<ProfileView> {
    let profile = caller.profile(profile).await?;
    let store = caller.acting_on(profile.company);
    store.suspend_profile(storage::now(), profile.id, &request.reason).await?;
    Ok(Json(ProfileView::anew(&caller, profile.id).await?))
}

/// Resume a profile
///
/// Its calls are made again, unless its company is suspended.
#[utoipa::path(
    delete, path = "/profiles/{profile}/suspension", tag = profiles::TAG, security(("token" = ["operate"])),
    params(("profile" = i64, Path)), responses((status = 200, body = ProfileView)),
)]
async fn resume_profile(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<ProfileView> {
    let profile = caller.profile(profile).await?;
    caller.acting_on(profile.company).resume_profile(profile.id).await?;
    Ok(Json(ProfileView::anew(&caller, profile.id).await?))
}
