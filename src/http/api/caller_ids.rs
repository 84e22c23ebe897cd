//! What a profile's calls show as the caller.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CallerId, CallerIdRule, ProfileId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path};
use super::caller::Caller;
use super::error::Problem;
use super::openapi::Unprocessable;
use super::profiles::TAG;

/// In the place of a country: what is shown to all that have no rule of their own.
const DEFAULT: &str = "default";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_caller_ids)).routes(routes!(set_caller_id, remove_caller_id))
}

/// Which sort of number is shown.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Shown {
    /// One of the profile's own Online Numbers.
    OnlineNumber,
    /// A landline number of a verified company.
    Landline,
}

/// What is shown to one country, or to all others.
#[derive(Serialize, ToSchema)]
#[schema(as = CallerId)]
struct CallerIdView {
    /// ISO 3166 alpha-2, or `default` for all others.
    country: String,
    choice: Shown,
    /// E.164 with `+`.
    number: String,
}

impl From<CallerIdRule> for CallerIdView {
    fn from(rule: CallerIdRule) -> Self {
        let choice = match rule.shown {
            CallerId::OnlineNumber(_) => Shown::OnlineNumber,
            CallerId::Landline(_) => Shown::Landline,
        };
        let country = rule.country.unwrap_or_else(|| DEFAULT.to_owned());
        Self { country, choice, number: rule.shown.number().to_owned() }
    }
}

/// What a profile shows.
#[derive(Serialize, ToSchema)]
struct CallerIds {
    /// The default first. None at all shows no number.
    items: Vec<CallerIdView>,
}

/// What to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CallerIdRequest {
    choice: Shown,
    /// E.164 with `+`.
    number: String,
}

fn country(text: &str) -> Option<&str> {
    Some(text).filter(|text| *text != DEFAULT)
}

/// List what a profile shows as the caller
#[utoipa::path(
    get, path = "/profiles/{profile}/caller-ids", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = CallerIds)),
)]
async fn list_caller_ids(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<CallerIds> {
    let profile = caller.profile(profile).await?;
    let rules = caller.store().caller_ids_of(profile.id).await?;
    Ok(Json(CallerIds { items: rules.into_iter().map(CallerIdView::from).collect() }))
}

/// Set what a profile shows to a country
#[utoipa::path(
    put, path = "/profiles/{profile}/caller-ids/{country}", tag = TAG,
    params(("profile" = i64, Path), ("country" = String, Path, description = "ISO 3166 alpha-2, or `default`")),
    request_body = CallerIdRequest, responses((status = 200, body = CallerIdView)),
)]
async fn set_caller_id(
    caller: Caller,
    Path((profile, to)): Path<(ProfileId, String)>,
    Body(request): Body<CallerIdRequest>,
) -> Answer<CallerIdView> {
    let profile = caller.profile(profile).await?;
    let shown = match request.choice {
        Shown::OnlineNumber => CallerId::OnlineNumber(request.number),
        Shown::Landline => CallerId::Landline(request.number),
    };
    caller.acting_on(profile.company).set_caller_id(profile.id, country(&to), Some(&shown)).await?;
    let country = country(&to).map(str::to_ascii_uppercase);
    Ok(Json(CallerIdRule { profile: profile.id, country, shown }.into()))
}

/// Show no number of its own to a country
///
/// What is shown to all others is shown to it then.
#[utoipa::path(
    delete, path = "/profiles/{profile}/caller-ids/{country}", tag = TAG,
    params(("profile" = i64, Path), ("country" = String, Path, description = "ISO 3166 alpha-2, or `default`")),
    responses((status = 204), (status = 422, response = Unprocessable)),
)]
async fn remove_caller_id(
    caller: Caller,
    Path((profile, to)): Path<(ProfileId, String)>,
) -> Result<StatusCode, Problem> {
    let profile = caller.profile(profile).await?;
    caller.acting_on(profile.company).set_caller_id(profile.id, country(&to), None).await?;
    Ok(StatusCode::NO_CONTENT)
}
