//! Numbers on offer, and their sale.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::lifecycle::NumberOffer;
use provisioning_store::model::{CompanyId, StockNumber};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::Money;
use super::numbers::{NumberView, TAG};
use super::once::IdempotencyKey;
use super::page::{Cursor, Limit, Page};
use super::{Answer, Created};
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_stock))
        .routes(routes!(show_offer, stock_number, withdraw_number))
        .routes(routes!(buy_number))
}

/// A number that companies can buy.
#[derive(Serialize, ToSchema)]
#[schema(as = StockNumber)]
struct OfferView {
    /// E.164 with `+`.
    number: String,
    /// ISO 3166 alpha-2.
    country: String,
    /// What a term costs: what a purchase says in `agreed`.
    fee: Money,
    /// How long a term is.
    term_days: u32,
}

impl OfferView {
    fn of(caller: &Caller, StockNumber { country, offer }: StockNumber) -> Self {
        let fee = Money::of(offer.fee, &caller.site.config.load().prices.currency);
        Self { number: offer.number, country, fee, term_days: offer.term_days }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StockQuery {
    /// ISO 3166 alpha-2.
    country: Option<String>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List the numbers on offer
///
/// What a company has is not among them. An administrator sees those of the own company's country.
#[utoipa::path(
    get, path = "/stock", tag = TAG, params(StockQuery),
    responses((status = 200, body = Page<OfferView>), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn list_stock(caller: Caller, Query(query): Query<StockQuery>) -> Answer<Page<OfferView>> {
    let StockQuery { mut country, cursor, limit } = query;
    if let Some(own) = caller.role.company() {
        country = Some(caller.company(own).await?.country);
    }
    // Without the plus, which means a space where somebody forgets to encode it.
    let after: Option<u64> = cursor.as_ref().map(Cursor::parse).transpose()?;
    let after = after.map(|digits| format!("+{digits}"));
    let found =
        caller.store().numbers_on_offer(country.as_deref(), after.as_deref(), limit.and_one()).await?;
    Ok(Json(
        Page::of(found, limit, |stock| stock.offer.number.trim_start_matches('+').to_owned())
            .map(|stock| OfferView::of(&caller, stock)),
    ))
}

/// Show a number on offer
///
/// One that a company has is not on offer, and an administrator sees those of the own company's country.
#[utoipa::path(
    get, path = "/stock/{number}", tag = TAG, params(("number" = String, Path, description = "E.164 with `+`")),
    responses((status = 200, body = OfferView), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn show_offer(caller: Caller, Path(number): Path<String>) -> Answer<OfferView> {
    let stock = caller.store().number_on_offer(&number).await?;
    if let Some(own) = caller.role.company()
        && caller.company(own).await?.country != stock.country
    {
        return Err(Problem::absent("number on offer", number));
    }
    Ok(Json(OfferView::of(&caller, stock)))
}

/// The terms on which a number is offered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfferRequest {
    /// ISO 3166 alpha-2.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    country: String,
    /// What a term costs, in `prices.currency`; zero or more.
    fee: Money,
    /// How long a term is.
    #[serde(default = "a_month")]
    #[schema(minimum = 1, maximum = 3660)]
    term_days: u32,
}

fn a_month() -> u32 {
    30
}

/// Put a number on offer
///
/// Or another price in the place of its old one; whoever has it keeps the fee agreed.
#[utoipa::path(
    put, path = "/stock/{number}", tag = TAG, security(("token" = ["operate"])),
    params(("number" = String, Path, description = "E.164 with `+`")),
    request_body = OfferRequest, responses((status = 200, body = OfferView)),
)]
async fn stock_number(
    caller: Caller,
    Path(number): Path<String>,
    Body(request): Body<OfferRequest>,
) -> Answer<OfferView> {
    let fee = request.fee.in_currency(&caller.site.config.load().prices.currency, "fee")?;
    let offer = NumberOffer { number, fee, term_days: request.term_days };
    let stock = StockNumber { country: request.country, offer };
    let stock = caller.acting_on(None).stock_number(stock).await?;
    Ok(Json(OfferView::of(&caller, stock)))
}

/// Offer a number no longer
///
/// A company that has it keeps it.
#[utoipa::path(
    delete, path = "/stock/{number}", tag = TAG, security(("token" = ["operate"])),
    params(("number" = String, Path, description = "E.164 with `+`")),
    responses((status = 204), (status = 422, response = super::openapi::Unprocessable)),
)]
async fn withdraw_number(caller: Caller, Path(number): Path<String>) -> Result<StatusCode, Problem> {
    caller.acting_on(None).withdraw_number(&number).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A number to buy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NumberPurchase {
    /// E.164 with `+`, one of those on offer.
    #[schema(example = "+12026843376")]
    number: String,
    /// The `fee` of the offer. If it is another one meanwhile, nothing is bought.
    agreed: Money,
}

/// Buy a number for a company
///
/// From the numbers on offer in the company's country, for the fee of the offer; with another one it is refused, and nothing is
/// bought. The first term is paid from the company's credit, and each one after it at its beginning.
#[utoipa::path(
    post, path = "/companies/{company}/numbers", tag = TAG,
    params(("company" = i64, Path), IdempotencyKey),
    request_body = NumberPurchase, responses((status = 201, body = NumberView)),
)]
async fn buy_number(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<NumberPurchase>,
) -> Result<Created<NumberView>, Problem> {
    let company = caller.company(company).await?;
    let store = caller.acting_on(company.id);
    let agreed = Some(request.agreed.paid_by(&company, "agreed")?);
    let number = store.buy_number_at(storage::now(), company.id, &request.number, agreed).await?;
    Ok(Created::at(format!("/numbers/{}", number.id), NumberView::of(&caller, number)))
}
