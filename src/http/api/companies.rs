//! Companies, and the money that is paid in for them.

use std::num::NonZeroU32;

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{Company, CompanyId, NewCompany};
use provisioning_store::pages::CompanyFilter;
use provisioning_store::tokens::Role;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, IfAny, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::once::IdempotencyKey;
use super::openapi::Conflict;
use super::page::{Cursor, Limit, Page};
use super::suspensions::SuspensionView;
use super::{Answer, Created};
use crate::storage;

/// Their part of the description.
pub(super) const TAG: &str = "Companies";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_companies, create_company))
        .routes(routes!(show_company, change_company))
        .routes(routes!(top_up))
        .routes(routes!(verify_company, unverify_company))
        .routes(routes!(set_price_list))
        .routes(routes!(set_calls_per_second))
}

/// A company: holder of the credit that pays subscriptions, and of everything below.
#[derive(Serialize, ToSchema)]
#[schema(as = Company)]
pub(super) struct CompanyView {
    /// Identity.
    id: i64,
    /// A label.
    name: String,
    /// ISO 3166 alpha-2: how national numbers are read.
    country: String,
    /// ISO 4217.
    currency: String,
    /// Whether it may show its landline numbers as Caller ID.
    is_verified: bool,
    /// Who has made sure that it is who it claims to be.
    verified_by: Option<String>,
    verified_at: Option<Moment>,
    /// The price list that its calls are rated by.
    price_list: String,
    /// Most calls a second that its profiles may begin together; null is no limit.
    calls_per_second: Option<u32>,
    /// Since when and why its calls are stopped; null if they are not.
    suspension: Option<SuspensionView>,
    /// What can be spent now.
    credit: Money,
}

impl From<Company> for CompanyView {
    fn from(company: Company) -> Self {
        Self {
            id: company.id.0,
            credit: Money::of(company.credit, &company.currency),
            name: company.name,
            country: company.country,
            currency: company.currency,
            suspension: company.suspension.map(SuspensionView::from),
            is_verified: company.is_verified,
            price_list: company.price_list,
            calls_per_second: company.calls_per_second.map(NonZeroU32::get),
            verified_at: company.verification.as_ref().map(|it| Moment(it.at)),
            verified_by: company.verification.map(|it| it.by),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CompanyQuery {
    /// The name contains this.
    name: Option<String>,
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

/// List companies
///
/// An administrator sees the own one.
#[utoipa::path(get, path = "/companies", tag = TAG, security(("token" = ["accounts"])), params(CompanyQuery), responses((status = 200, body = Page<CompanyView>)))]
async fn list_companies(caller: Caller, Query(query): Query<CompanyQuery>) -> Answer<Page<CompanyView>> {
    let CompanyQuery { name, country, cursor, limit } = query;
    let filter = CompanyFilter { company: caller.scope(None)?, name, country };
    let found = caller.store().companies_in(&filter, limit.slice(cursor.as_ref())?).await?;
    Ok(Json(Page::of(found, limit, |company| company.id.to_string()).map(CompanyView::from)))
}

/// A company to open an account for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompanyRequest {
    /// A label.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// ISO 3166 alpha-2.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    country: String,
    /// ISO 4217: the installation's, `prices.currency`, which may be left out.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
}

/// Open a company's account
#[utoipa::path(
    post, path = "/companies", tag = TAG, security(("token" = ["operate"])),
    request_body = CompanyRequest,
    responses((status = 201, body = CompanyView), (status = 409, response = Conflict)),
)]
async fn create_company(
    caller: Caller,
    Body(new): Body<CompanyRequest>,
) -> Result<Created<CompanyView>, Problem> {
    let own = caller.site.config.load().prices.currency.clone();
    let currency = new.currency.unwrap_or_else(|| own.clone());
    if !currency.eq_ignore_ascii_case(&own) {
        let sentence =
            format!("prices are in {own} here, and so is every company's credit; leave the currency out");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "other_currency", sentence).at("currency"));
    }
    let new = NewCompany { name: new.name, country: new.country, currency };
    let limit = caller.site.config.load().calls.new_companies.calls_per_second.and_then(NonZeroU32::new);
    let company = caller.acting_on(None).create_limited_company(storage::now(), &new, limit).await?;
    Ok(Created::at(format!("/companies/{}", company.id), company.into()))
}

/// Show a company
#[utoipa::path(
    get, path = "/companies/{company}", tag = TAG, security(("token" = ["accounts"])), params(("company" = i64, Path)),
    responses((status = 200, body = CompanyView)),
)]
async fn show_company(caller: Caller, Path(company): Path<CompanyId>) -> Answer<CompanyView> {
    Ok(Json(caller.company(company).await?.into()))
}

/// Changes of a company.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompanyChange {
    /// A label, which no other company has; null leaves it as it is.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
}

/// Change a company
#[utoipa::path(
    patch, path = "/companies/{company}", tag = TAG, security(("token" = ["operate"])), params(("company" = i64, Path)),
    request_body = CompanyChange, responses((status = 200, body = CompanyView), (status = 409, response = Conflict)),
)]
async fn change_company(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(change): Body<CompanyChange>,
) -> Answer<CompanyView> {
    let company = caller.company(company).await?;
    Ok(Json(match change.name {
        Some(name) => caller.acting_on(company.id).rename_company(company.id, &name).await?.into(),
        None => company.into(),
    }))
}

/// Money paid in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TopUp {
    /// How much; above zero.
    amount: Money,
    /// A word on it, for the books.
    #[serde(default)]
    #[schema(max_length = 200)]
    note: String,
}

/// Book money paid in
#[utoipa::path(
    post, path = "/companies/{company}/top-ups", tag = TAG, security(("token" = ["book"])),
    params(("company" = i64, Path), IdempotencyKey),
    request_body = TopUp, responses((status = 201, body = CompanyView)),
)]
async fn top_up(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<TopUp>,
) -> Result<(StatusCode, Json<CompanyView>), Problem> {
    let company = caller.company(company).await?;
    let amount = request.amount.paid_by(&company, "amount")?;
    let note = super::body::line("note", &request.note)?;
    let store = caller.acting_on(company.id);
    let company = store.top_up(storage::now(), company.id, amount, note).await?;
    Ok((StatusCode::CREATED, Json(company.into())))
}

/// Who has verified a company.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Verification {
    /// Who verified it; the caller's name, if it is left out.
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
}

/// Verify a company
///
/// It is who it claims to be; it may now show its landline numbers.
#[utoipa::path(
    put, path = "/companies/{company}/verification", tag = TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path)), request_body = Option<Verification>, responses((status = 200, body = CompanyView)),
)]
async fn verify_company(
    caller: Caller,
    Path(company): Path<CompanyId>,
    IfAny(verification): IfAny<Verification>,
) -> Answer<CompanyView> {
    let by = verification.by.unwrap_or_else(|| caller.deed.actor.clone());
    caller.acting_on(company).verify_company(storage::now(), company, &by).await?;
    Ok(Json(caller.company(company).await?.into()))
}

/// Take a verification back
#[utoipa::path(
    delete, path = "/companies/{company}/verification", tag = TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path)), responses((status = 200, body = CompanyView)),
)]
async fn unverify_company(caller: Caller, Path(company): Path<CompanyId>) -> Answer<CompanyView> {
    caller.acting_on(company).unverify_company(company).await?;
    Ok(Json(caller.company(company).await?.into()))
}

/// A price list to rate calls by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PriceListRequest {
    /// Its name.
    price_list: String,
}

/// Rate a company's calls by another price list
///
/// From now on; running calls keep their price.
#[utoipa::path(
    put, path = "/companies/{company}/price-list", tag = TAG, security(("token" = ["operate"])),
    params(("company" = i64, Path)), request_body = PriceListRequest, responses((status = 200, body = CompanyView)),
)]
async fn set_price_list(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<PriceListRequest>,
) -> Answer<CompanyView> {
    let company = caller.company(company).await?.id;
    let changed = caller.acting_on(company).set_price_list(company, &request.price_list).await;
    Ok(Json(changed.map_err(Problem::from).map_err(|it| it.named_in("price_list"))?.into()))
}

/// A limit of calls a second.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CallRate {
    /// Most calls a second, refused and repeated ones included; twice as many may begin at once. Null or 0 lifts the limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    calls_per_second: Option<u32>,
}

/// Limit the calls a second of a company
///
/// For all its profiles together. An administrator may only lower it.
#[utoipa::path(
    put, path = "/companies/{company}/calls-per-second", tag = TAG, params(("company" = i64, Path)),
    request_body = CallRate,
    responses((status = 200, body = CompanyView)),
)]
async fn set_calls_per_second(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(CallRate { calls_per_second }): Body<CallRate>,
) -> Answer<CompanyView> {
    let company = caller.company(company).await?;
    let most = calls_per_second.and_then(NonZeroU32::new);
    let amend = |before: Company| {
        let is_looser = before.calls_per_second.is_some_and(|before| most.is_none_or(|most| most > before));
        if is_looser && caller.role != Role::Operator {
            let sentence = "only an operator loosens calls_per_second; an administrator may tighten it";
            return Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", sentence).at("calls_per_second"));
        }
        Ok(most)
    };
    let changed = caller.acting_on(company.id).amend_calls_per_second(company.id, amend).await?;
    Ok(Json(changed.into()))
}
