//! Before anything is bought: what an order would cost, and how many channels an office needs.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::ledger::Refusal;
use provisioning_store::lifecycle::{self, Order, Subscription};
use provisioning_store::model::ProfileId;
use provisioning_store::money::Micros;
use provisioning_store::sizing::{LOST, Load};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::profiles::TAG;
use super::subscriptions::wanted;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(quote_subscription))
        .routes(routes!(quote_change))
        .routes(routes!(size_channels))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OrderQuery {
    /// Over 100, rounded to the nearest ten. Left out: as many as there are.
    #[param(minimum = 1, maximum = 300)]
    channels: Option<u32>,
    /// US minute bundles; never more than channels. Left out: as many as there are.
    #[param(maximum = 300)]
    bundles: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct NewOrderQuery {
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
    /// Of one period, less the discounts reached: what an order says in `agreed`.
    price: Money,
    /// What would come back now for the unused part of a running subscription. It becomes less with time and use.
    refund: Money,
    /// What the company's credit would pay now: the price less the refund; below zero, what it would get.
    to_pay: Money,
    /// Minutes to US landlines and mobiles in a period.
    bundle_minutes: i64,
    /// The day in UTC on which a period would end and the next one be paid, were it bought now.
    billing_day: String,
    /// What would be paid next, unless prices change, and when.
    next_payment: NextPayment,
}

/// What is paid next.
#[derive(Serialize, ToSchema)]
struct NextPayment {
    at: Moment,
    amount: Money,
}

fn quoted(caller: &Caller, order: Order, running: Option<(Subscription, u32)>) -> Answer<SubscriptionQuote> {
    let config = caller.site.config.load();
    let now = storage::now();
    if running.is_some_and(|(running, _)| running.was_changed_today(now)) {
        return Err(Refusal::ChangedToday.into());
    }
    let bought = lifecycle::buy(&config.price_list(), order, None, now).map_err(Refusal::from)?;
    let price = bought.price().ok_or(lifecycle::OrderRefused::PriceTooLarge).map_err(Refusal::from)?;
    let refund = running.map_or(Micros::ZERO, |(running, left_s)| running.refund(left_s.into(), now));
    let money = |amount| Money::of(amount, &config.prices.currency);
    let (year, month, day) = bought.paid_until.date();
    Ok(Json(SubscriptionQuote {
        channels: bought.channels,
        bundles: bought.bundles,
        channels_price: money(bought.channels_price),
        bundles_price: money(bought.bundles_price),
        price: money(price),
        refund: money(refund),
        to_pay: money(Micros(price.0.saturating_sub(refund.0))),
        bundle_minutes: bought.bundle_s / 60,
        billing_day: format!("{year:04}-{month:02}-{day:02}"),
        next_payment: NextPayment { at: Moment(bought.paid_until), amount: money(price) },
    }))
}

/// Quote the price of channels and bundles for a new profile
///
/// By the prices in force.
#[utoipa::path(
    get, path = "/subscription-quote", tag = TAG, security(("token" = ["accounts"])), params(NewOrderQuery),
    responses((status = 200, body = SubscriptionQuote), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn quote_subscription(
    caller: Caller,
    Query(NewOrderQuery { channels, bundles }): Query<NewOrderQuery>,
) -> Answer<SubscriptionQuote> {
    quoted(&caller, Order { channels, bundles }, None)
}

/// Quote the price of channels and bundles for a profile
///
/// By the prices in force, with what comes back for those that it has. Nothing is bought.
#[utoipa::path(
    get, path = "/profiles/{profile}/subscription/quote", tag = TAG, security(("token" = ["accounts"])),
    params(("profile" = i64, Path), OrderQuery),
    responses(
        (status = 200, body = SubscriptionQuote), (status = 409, response = super::openapi::Conflict),
        (status = 422, response = super::openapi::Unprocessable),
    ),
)]
async fn quote_change(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<OrderQuery>,
) -> Answer<SubscriptionQuote> {
    let profile = caller.profile(profile).await?;
    let order = wanted((query.channels, query.bundles), profile.subscription.as_ref())?;
    let running = profile.subscription.filter(|subscription| subscription.is_running(storage::now()));
    quoted(&caller, order, running.map(|running| (running, profile.bundle_left_s)))
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
