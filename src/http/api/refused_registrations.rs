//! PBXs that cannot register, and why: what a profile's card says beside whether it is registered.

use axum::Json;
use serde::{Deserialize, Serialize};
use sip_core::RefusedRegistration;
use sip_core::types::ProfileId;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::calls::TAG;
use super::money::{Moment, moment_of_unix_s};
use super::page::{Cursor, Limit, Page};
use super::registrations::stations;
use crate::engine;

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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RefusedQuery {
    /// Only this company's.
    company: Option<i64>,
    /// Only this profile's.
    profile: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List PBXs and phones that could not register, and why
#[utoipa::path(
    get, path = "/refused-registrations", tag = TAG, params(RefusedQuery),
    responses((status = 200, body = Page<RefusedView>)),
)]
async fn list_refused_registrations(
    caller: Caller,
    Query(query): Query<RefusedQuery>,
) -> Answer<Page<RefusedView>> {
    let RefusedQuery { company, profile, cursor, limit } = query;
    let after = cursor.as_ref().map(Cursor::parse).transpose()?.map(ProfileId);
    let most = limit.and_one() as usize;
    let mut own = match caller.scope(company)? {
        Some(company) => Some(stations(&caller, company).await?),
        None => profile.map(|asked| vec![ProfileId(asked)]),
    };
    if let Some(own) = &mut own {
        own.retain(|it| profile.is_none_or(|asked| asked == it.0) && after.is_none_or(|after| *it > after));
        own.sort_unstable();
    }
    let engine = &caller.site.engine;
    let found = match own {
        Some(own) => {
            let mut found = Vec::new();
            for some in own.chunks(engine::PART) {
                found.extend(engine.refused_registrations_of(some).await);
                if found.len() >= most {
                    break;
                }
            }
            found
        }
        None => engine.refused_registrations(after, most).await,
    };
    let page = Page::of(found, limit, |refused: &RefusedRegistration| refused.profile.0.to_string());
    Ok(Json(page.map(RefusedView::from)))
}
