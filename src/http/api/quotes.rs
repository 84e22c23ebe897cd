//! Before anything is bought: what an order would cost, and how many channels an office needs.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::ledger::Refusal;
use provisioning_store::lifecycle::{self, Order};
use provisioning_store::sizing::{LOST, Load};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::profiles::TAG;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(quote_subscription)).routes(routes!(size_channels))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OrderQuery {
    /// Over 100, rounded to the nearest ten.
    #[param(minimum = 1, maximum = 300)]
    channels: u32,
    /// US minute bundles; never more than channels.
    #[serde(default)]
    #[param(maximum = 300)]
    bundles: u32,
}

/// What an order would cost.
#[derive(Serialize, ToSchema)]
struct SubscriptionQuote {
    /// As many as would be bought.
    channels: u32,
    bundles: u32,
    channels_price: Money,
    bundles_price: Money,
    /// Of one period, less the discounts reached.
    total: Money,
    /// Minutes to US landlines and mobiles in a period.
    bundle_minutes: i64,
    /// When it would be paid next, were it bought now.
    next_payment: Moment,
}

/// Quote the price of channels and bundles
///
/// By the prices in force. What a running subscription's unused part would bring back is not in it.
#[utoipa::path(
    get, path = "/subscription-quote", tag = TAG, security(("token" = ["accounts"])), params(OrderQuery),
    responses((status = 200, body = SubscriptionQuote), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn quote_subscription(caller: Caller, Query(query): Query<OrderQuery>) -> Answer<SubscriptionQuote> {
    let config = caller.site.config.load();
    let order = Order { channels: query.channels, bundles: query.bundles };
    let bought = lifecycle::buy(&config.price_list(), order, None, storage::now()).map_err(Refusal::from)?;
    let money = |amount| Money::of(amount, &config.prices.currency);
    let total = bought.price().ok_or(lifecycle::OrderRefused::PriceTooLarge).map_err(Refusal::from)?;
    Ok(Json(SubscriptionQuote {
        channels: bought.channels,
        bundles: bought.bundles,
        channels_price: money(bought.channels_price),
        bundles_price: money(bought.bundles_price),
        total: money(total),
        bundle_minutes: bought.bundle_s / 60,
        next_payment: Moment(bought.paid_until),
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LoadQuery {
    /// How many people telephone.
    #[param(maximum = 1_000_000)]
    people: u32,
    /// Calls that each makes or takes in the busiest hour.
    #[serde(default = "two_calls")]
    calls_an_hour: f64,
    /// Minutes of a call.
    #[serde(default = "three_minutes")]
    minutes_a_call: f64,
}

fn two_calls() -> f64 {
    2.0
}

fn three_minutes() -> f64 {
    3.0
}

/// How many channels an office needs.
#[derive(Serialize, ToSchema)]
struct Sizing {
    /// Calls that go on at one time in the busiest hour, on average.
    erlangs: f64,
    /// The fewest with which at most one call in a hundred finds none free (Erlang B).
    channels: u32,
}

/// Say how many channels an office needs
#[utoipa::path(
    get, path = "/channel-sizing", tag = TAG, security(("token" = ["accounts"])), params(LoadQuery),
    responses((status = 200, body = Sizing), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn size_channels(_caller: Caller, Query(query): Query<LoadQuery>) -> Answer<Sizing> {
    let LoadQuery { people, calls_an_hour, minutes_a_call } = query;
    for (field, figure) in [("calls_an_hour", calls_an_hour), ("minutes_a_call", minutes_a_call)] {
        if !figure.is_finite() || figure < 0.0 {
            return Err(Problem::invalid(field, "is no such figure; write zero or more"));
        }
    }
    let load = Load { people, calls_an_hour, minutes_a_call };
    match load.channels(LOST) {
        Some(channels) => Ok(Json(Sizing { erlangs: load.erlangs(), channels })),
        None => {
            let sentence = "no profile has so many channels; divide the people among several profiles";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_channels", sentence))
        }
    }
}
