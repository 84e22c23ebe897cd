//! What a call would do and cost, without making it.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::ProfileId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::calls::TAG;
use super::error::Problem;
use super::money::Money;
use crate::rehearsal::{Price, Rehearsal, Rules, rehearse};

/// Longest number that is dialled.
const LONGEST: usize = 100;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(rehearse_call))
}

/// What a call costs.
#[derive(Serialize, ToSchema)]
#[schema(as = Price)]
struct PriceView {
    /// As the rate table names it.
    destination: String,
    /// ISO 3166 alpha-2, or empty.
    country: String,
    rate_per_minute: Money,
    /// Once for each call.
    connection_fee: Money,
    /// The shortest billed duration.
    minimum_s: u32,
    /// What a duration beyond it is rounded up to.
    increment_s: u32,
    /// The charge of the shortest billed duration, if no bundle paid it.
    shortest: Money,
    /// Whether bundle minutes pay it while there are any.
    is_covered: bool,
}

impl PriceView {
    fn of(price: &Price, currency: &str) -> Self {
        Self {
            destination: price.destination.clone(),
            country: price.country.clone(),
            rate_per_minute: Money::of(price.tariff.rate_per_minute, currency),
            connection_fee: Money::of(price.tariff.connection_fee, currency),
            minimum_s: price.tariff.minimum_s,
            increment_s: price.tariff.increment_s,
            shortest: Money::of(price.shortest_micros, currency),
            is_covered: price.is_covered(),
        }
    }
}

/// What would become of a call.
#[derive(Serialize, ToSchema)]
#[schema(as = Rehearsal)]
struct RehearsalView {
    /// E.164 with `+`, if that can be read out of what was dialled.
    number: Option<String>,
    /// `outgoing`, `on_net` or `echo`; null if it would go nowhere.
    kind: Option<String>,
    /// The profile here that would be called; operators see it.
    callee: Option<i64>,
    /// The carriers that would be tried, in this order; operators see them.
    carriers: Option<Vec<String>>,
    /// Whether it would be let out.
    is_granted: bool,
    /// Why not, in one word.
    reason_code: Option<String>,
    /// In one sentence.
    reason: String,
    /// What it would cost; null if nothing.
    price: Option<PriceView>,
    /// Credit that would be held for its first seconds.
    held: Option<Money>,
    /// Bundle seconds that would be held for them.
    held_bundle_s: Option<u32>,
    /// Whose credit pays what bundle minutes do not: `profile`, or `company`.
    payer: Option<String>,
}

fn view(caller: &Caller, it: Rehearsal, currency: &str) -> RehearsalView {
    RehearsalView {
        callee: it.callee.filter(|_| caller.sees_all()),
        number: it.number,
        kind: it.kind.map(str::to_owned),
        carriers: Some(it.carriers).filter(|_| caller.sees_all()),
        is_granted: it.is_granted,
        reason_code: it.reason_code,
        reason: it.reason,
        price: it.quote.map(|price| PriceView::of(&price, currency)),
        held: it.grant.as_ref().map(|grant| Money::of(grant.held.credit, currency)),
        held_bundle_s: it.grant.as_ref().map(|grant| grant.held.bundle_s),
        payer: it.grant.map(|grant| grant.payer.to_string()),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RehearsalQuery {
    /// As the PBX would dial it.
    #[param(min_length = 1, max_length = 100)]
    number: String,
}

/// Show what a call would do and cost
///
/// By the rules, the rates and the credit of this moment; nothing is called and nothing is charged.
#[utoipa::path(
    get, path = "/profiles/{profile}/rehearsal", tag = TAG,
    params(("profile" = i64, Path), RehearsalQuery), responses((status = 200, body = RehearsalView)),
)]
async fn rehearse_call(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<RehearsalQuery>,
) -> Answer<RehearsalView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    if query.number.is_empty() || query.number.len() > LONGEST {
        let sentence = format!("write 1 to {LONGEST} characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_query", sentence).at("number"));
    }
    let (directory, tariffs) = (caller.site.directory.load_full(), caller.site.tariffs.load_full());
    let calls = caller.site.config.load().tuning().map_err(|error| {
        tracing::error!(%error, "The configuration in force cannot be read any more.");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_rules", "the configuration cannot be read")
    })?;
    let rules = Rules { directory: &directory, calls: &calls.calls, tariffs: &tariffs };
    let rehearsal = rehearse(caller.store(), rules, profile.id, &query.number).await?;
    Ok(Json(view(&caller, rehearsal, &company.currency)))
}
