//! PBXs that cannot register, and why: what a profile's card says beside whether it is registered.

use axum::Json;
use serde::Serialize;
use sip_core::RefusedRegistration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::calls::TAG;
use super::money::{Moment, moment_of_unix_s};
use super::page::Page;
use super::stations::StationQuery;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_refused_registrations))
}

/// The last REGISTER that was refused, or challenged once more for what is wrong with its credentials, since the profile
/// was registered last.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedRegistration)]
struct RefusedView {
    /// Null for a phone.
    profile: Option<i64>,
    /// The account whose phone it is.
    business_account: Option<i64>,
    /// The code that the response carried in `X-Sipgw-Reason`.
    reason: &'static str,
    /// The same in a sentence, as the response's Warning and the log have it.
    sentence: String,
    /// Where it came from. Whether that is the profile's PBX is not known.
    source: String,
    refused_at: Moment,
}

impl From<RefusedRegistration> for RefusedView {
    fn from(refused: RefusedRegistration) -> Self {
        let RefusedRegistration { profile, why, detail, source, at_unix_s } = refused;
        let details = detail.map(|detail| format!(" {detail}")).unwrap_or_default();
        Self {
            profile: Some(profile.0).filter(|number| *number >= 0),
            business_account: Some(-profile.0).filter(|number| *number > 0),
            reason: why.code(),
            sentence: format!("{}{details}", why.sentence()),
            source: source.to_string(),
            refused_at: moment_of_unix_s(at_unix_s),
        }
    }
}

/// List PBXs and phones that could not register, and why
#[utoipa::path(
    get, path = "/refused-registrations", tag = TAG, params(StationQuery),
    responses((status = 200, body = Page<RefusedView>)),
)]
async fn list_refused_registrations(
    caller: Caller,
    Query(query): Query<StationQuery>,
) -> Answer<Page<RefusedView>> {
    let part = query.part(&caller).await?;
    let engine = &caller.site.engine;
    let refused = match &part.only {
        Some(only) => engine.refused_registrations_of(only, part.most).await,
        None => engine.refused_registrations(part.after, part.most).await,
    };
    let page = Page::of(refused, query.limit, |refused| refused.profile.0.to_string());
    Ok(Json(page.map(RefusedView::from)))
}
