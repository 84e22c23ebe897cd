//! What a profile's PBX registers with.

use axum::Json;
use provisioning_store::model::{Credentials, ProfileId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Path;
use super::caller::Caller;
use super::profiles::TAG;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_credentials, new_password))
}

/// What a profile's PBX registers with.
#[derive(Serialize, ToSchema)]
#[schema(as = Credentials)]
struct CredentialsView {
    /// The host to register to.
    domain: String,
    /// 14 digits.
    sip_user: String,
    /// 14 letters and digits.
    password: String,
}

impl CredentialsView {
    fn of(caller: &Caller, credentials: &Credentials) -> Self {
        Self {
            domain: caller.site.config.load().node.domain.clone(),
            sip_user: credentials.sip_user.clone(),
            password: credentials.password.reveal().to_owned(),
        }
    }
}

/// Show a profile's user name and password
///
/// It leaves a line in the audit trail.
#[utoipa::path(
    get, path = "/profiles/{profile}/credentials", tag = TAG, security(("token" = ["secrets"])), params(("profile" = i64, Path)),
    responses((status = 200, body = CredentialsView)),
)]
async fn show_credentials(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<CredentialsView> {
    let profile = caller.profile(profile).await?;
    let credentials = caller.store().credentials(profile.id).await?;
    caller.note_look(profile.company).await?;
    Ok(Json(CredentialsView::of(&caller, &credentials)))
}

/// Generate a new password
///
/// A PBX that is registered stays so until it has to register again.
#[utoipa::path(
    post, path = "/profiles/{profile}/credentials", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = CredentialsView)),
)]
async fn new_password(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<CredentialsView> {
    let profile = caller.profile(profile).await?;
    let credentials = caller.acting_on(profile.company).new_password(profile.id).await?;
    Ok(Json(CredentialsView::of(&caller, &credentials)))
}
