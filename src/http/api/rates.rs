//! What calls cost, by the prefix of the called number.

use axum::Json;
use provisioning_store::pages::RateFilter;
use provisioning_store::rating::{BundleCover, Rate};
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::error::Problem;
use super::money::Amount;
use super::openapi::NotFound;
use super::page::{Cursor, Limit, Page};
use super::status::TAG;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_rates)).routes(routes!(quote_rate))
}

/// One row of the rate table. Amounts are in the currency of the company that pays.
#[derive(Serialize, ToSchema)]
#[schema(as = Rate)]
struct RateView {
    /// Leading digits of the E.164 number, without `+`.
    prefix: String,
    /// What reports call it.
    destination: String,
    /// ISO 3166 alpha-2, or empty.
    country: String,
    rate_per_minute: Amount,
    connection_fee: Amount,
    /// Shortest billed duration in seconds.
    minimum_s: u32,
    /// Billed steps after it, in seconds.
    increment_s: u32,
}

impl From<Rate> for RateView {
    fn from(rate: Rate) -> Self {
        Self {
            prefix: rate.prefix,
            destination: rate.destination,
            country: rate.country,
            rate_per_minute: Amount(rate.rate_per_minute),
            connection_fee: Amount(rate.connection_fee),
            minimum_s: rate.minimum_s,
            increment_s: rate.increment_s,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RateQuery {
    /// Of this price list; if it is left out, the company's own, or the standard one for operators.
    price_list: Option<String>,
    /// Only prefixes that begin with these digits.
    prefix: Option<String>,
    /// ISO 3166 alpha-2, in capitals.
    country: Option<String>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

pub(super) fn list(named: Option<String>) -> String {
    named.unwrap_or_else(|| STANDARD_PRICE_LIST.to_owned())
}

/// The price list that is asked for. An administrator is shown the company's own and learns of no other.
async fn visible_list(caller: &Caller, named: Option<String>) -> Result<String, Problem> {
    let Some(company) = caller.role.company() else { return Ok(list(named)) };
    let own = caller.company(company).await?.price_list;
    match named {
        Some(other) if other != own => Err(Problem::absent("price list", other).at("price_list")),
        _ => Ok(own),
    }
}

/// List rates
///
/// As they are in force now.
#[utoipa::path(
    get, path = "/rates", tag = TAG, security(("token" = ["accounts"])), params(RateQuery),
    responses((status = 200, body = Page<RateView>), (status = 404, response = NotFound)),
)]
async fn list_rates(caller: Caller, Query(query): Query<RateQuery>) -> Answer<Page<RateView>> {
    let RateQuery { price_list, prefix, country, cursor, limit } = query;
    let after: Option<String> = cursor.as_ref().map(Cursor::parse).transpose()?;
    let price_list = visible_list(&caller, price_list).await?;
    let filter = RateFilter { price_list, at: storage::now(), prefix, country };
    let found = caller.store().rates_in(&filter, after.as_deref(), limit.and_one()).await?;
    Ok(Json(Page::of(found, limit, |rate| rate.prefix.clone()).map(RateView::from)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct QuoteQuery {
    /// The called number, E.164 with `+`.
    number: String,
    /// By this price list; if it is left out, the company's own, or the standard one for operators.
    price_list: Option<String>,
}

/// What a call to a number is charged by.
#[derive(Serialize, ToSchema)]
#[schema(as = Quote)]
struct QuoteView {
    /// What reports call it.
    destination: String,
    /// ISO 3166 alpha-2, or empty.
    country: String,
    rate_per_minute: Amount,
    connection_fee: Amount,
    /// Shortest billed duration in seconds.
    minimum_s: u32,
    /// Billed steps after it, in seconds.
    increment_s: u32,
    /// Whether US bundle minutes may pay it.
    is_bundle_covered: bool,
}

/// Say what a call to a number is charged by
#[utoipa::path(
    get, path = "/rates/quote", tag = TAG, security(("token" = ["accounts"])), params(QuoteQuery),
    responses((status = 200, body = QuoteView), (status = 404, response = NotFound)),
)]
async fn quote_rate(caller: Caller, Query(query): Query<QuoteQuery>) -> Answer<QuoteView> {
    let tariffs = caller.site.tariffs.load();
    let list = visible_list(&caller, query.price_list).await?;
    let quote = tariffs.rates.quote(&list, storage::now(), &query.number, &tariffs.us_bundle);
    let quote = quote.ok_or_else(|| Problem::absent("rate for", &query.number).at("number"))?;
    Ok(Json(QuoteView {
        destination: quote.destination,
        country: quote.country,
        rate_per_minute: Amount(quote.tariff.rate_per_minute),
        connection_fee: Amount(quote.tariff.connection_fee),
        minimum_s: quote.tariff.minimum_s,
        increment_s: quote.tariff.increment_s,
        is_bundle_covered: quote.tariff.bundle == BundleCover::Covered,
    }))
}
