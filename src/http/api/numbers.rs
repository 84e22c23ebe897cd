//! Online Numbers.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::lifecycle::{NumberLease, Renewal};
use provisioning_store::model::{
    BusinessAccountId, CallerId, CallerIdRule, CompanyId, NumberId, NumberTarget, OnlineNumber, ProfileId,
};
use provisioning_store::pages::NumberFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::openapi::Conflict;
use super::page::{Cursor, Limit, Page};
use super::word::word;
use super::{Answer, Created};
use crate::storage;

/// Their part of the description.
pub(super) const TAG: &str = "Numbers";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_numbers, add_number))
        .routes(routes!(show_number, remove_number))
        .routes(routes!(assign_number))
        .routes(routes!(cancel_number, keep_number))
}

/// Where a number's calls go.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(tag = "to", content = "id", rename_all = "snake_case")]
#[schema(as = NumberTarget)]
enum Target {
    /// Nowhere.
    Nobody,
    /// To this profile's PBX.
    Profile(i64),
    /// To this business account, and so to the profile that has it.
    BusinessAccount(i64),
}

impl From<NumberTarget> for Target {
    fn from(target: NumberTarget) -> Self {
        match target {
            NumberTarget::Nobody => Self::Nobody,
            NumberTarget::Profile(profile) => Self::Profile(profile.0),
            NumberTarget::BusinessAccount(account) => Self::BusinessAccount(account.0),
        }
    }
}

/// A telephone number hosted here.
#[derive(Serialize, ToSchema)]
#[schema(as = OnlineNumber)]
pub(super) struct NumberView {
    /// Identity.
    id: i64,
    /// The company it belongs to.
    company: i64,
    /// E.164 with `+`.
    number: String,
    /// ISO 3166 alpha-2, or empty.
    country: String,
    target: Target,
    /// The terms on which the company has it; null where it is hosted without a fee.
    lease: Option<LeaseView>,
    /// What else a change has changed, in words: whose calls show another number than before, or none. Left out where it is
    /// nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// The terms on which a company has a number.
#[derive(Serialize, ToSchema)]
#[schema(as = NumberLease)]
struct LeaseView {
    /// What a term costs.
    fee: Money,
    /// How long a term is.
    term_days: u32,
    /// The first moment that is not paid.
    paid_until: Moment,
    /// How it goes on; an unpaid number reaches nobody.
    #[schema(schema_with = word::<Renewal>)]
    renewal: Renewal,
}

impl LeaseView {
    fn of(lease: NumberLease, currency: &str) -> Self {
        Self {
            fee: Money::of(lease.offer.fee, currency),
            term_days: lease.offer.term_days,
            paid_until: Moment(lease.paid_until),
            renewal: lease.renewal,
        }
    }
}

impl NumberView {
    /// How a number looks.
    pub(super) fn of(caller: &Caller, number: OnlineNumber) -> Self {
        // Every company's currency is the one of the prices.
        let currency = &caller.site.config.load().prices.currency;
        Self {
            id: number.id.0,
            company: number.company.0,
            number: number.number,
            country: number.country,
            target: number.target.into(),
            lease: number.lease.map(|lease| LeaseView::of(lease, currency)),
            warnings: Vec::new(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct NumberQuery {
    /// Only this company's.
    company: Option<i64>,
    /// The number contains this.
    number: Option<String>,
    /// ISO 3166 alpha-2, in capitals.
    country: Option<String>,
    /// Only those that reach this profile, not through a business account.
    profile: Option<i64>,
    /// Only those that reach this business account.
    business_account: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List Online Numbers
#[utoipa::path(get, path = "/numbers", tag = TAG, params(NumberQuery), responses((status = 200, body = Page<NumberView>)))]
async fn list_numbers(caller: Caller, Query(query): Query<NumberQuery>) -> Answer<Page<NumberView>> {
    let NumberQuery { company, number, country, profile, business_account, cursor, limit } = query;
    let (profile, business_account) = (profile.map(ProfileId), business_account.map(BusinessAccountId));
    let filter = NumberFilter { company: caller.scope(company)?, number, country, profile, business_account };
    let found = caller.store().numbers_in(&filter, limit.slice(cursor.as_ref())?).await?;
    Ok(Json(
        Page::of(found, limit, |number| number.id.to_string()).map(|number| NumberView::of(&caller, number)),
    ))
}

/// A number to host.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NumberRequest {
    /// The company that it is for.
    company: i64,
    /// E.164 with `+`.
    #[schema(example = "+12026843376")]
    number: String,
    /// ISO 3166 alpha-2.
    #[serde(default)]
    #[schema(pattern = "^([A-Za-z]{2})?$")]
    country: String,
}

/// Host a number for a company
#[utoipa::path(
    post, path = "/numbers", tag = TAG, security(("token" = ["operate"])),
    request_body = NumberRequest, responses((status = 201, body = NumberView), (status = 409, response = Conflict)),
)]
async fn add_number(caller: Caller, Body(new): Body<NumberRequest>) -> Result<Created<NumberView>, Problem> {
    let company = caller.company(CompanyId(new.company)).await.map_err(|it| it.named_in("company"))?;
    let number = caller.acting_on(company.id).add_number(company.id, &new.number, &new.country).await?;
    Ok(Created::at(format!("/numbers/{}", number.id), NumberView::of(&caller, number)))
}

/// Show an Online Number
#[utoipa::path(
    get, path = "/numbers/{number}", tag = TAG, params(("number" = i64, Path, description = "Its `id`")),
    responses((status = 200, body = NumberView)),
)]
async fn show_number(caller: Caller, Path(number): Path<NumberId>) -> Answer<NumberView> {
    let number = caller.number(number).await?;
    Ok(Json(NumberView::of(&caller, number)))
}

/// Host a number no longer
///
/// Calls to it are refused; a profile that showed it shows it no longer.
#[utoipa::path(
    delete, path = "/numbers/{number}", tag = TAG, security(("token" = ["operate"])),
    params(("number" = i64, Path, description = "Its `id`")), responses((status = 204)),
)]
async fn remove_number(caller: Caller, Path(number): Path<NumberId>) -> Result<StatusCode, Problem> {
    let number = caller.number(number).await?;
    caller.acting_on(number.company).remove_number(number.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the profile that has had the number until now loses: it shows the number as Caller ID no longer.
async fn lost_by_moving(
    caller: &Caller,
    number: &OnlineNumber,
    target: NumberTarget,
) -> Result<Vec<String>, Problem> {
    let NumberTarget::Profile(before) = number.target else { return Ok(Vec::new()) };
    if target == number.target {
        return Ok(Vec::new());
    }
    let rules = caller.store().caller_ids_of(before).await?;
    let shown = |rule: &CallerIdRule| rule.shown == CallerId::OnlineNumber(number.number.clone());
    let lost: Vec<_> = rules.iter().filter(|rule| shown(rule)).collect();
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let name = caller.profile(before).await?.name;
    let has_default = rules.iter().any(|rule| rule.country.is_none() && !shown(rule));
    let what =
        if has_default { "show its default number instead" } else { "show no number: they are anonymous" };
    let to: Vec<_> =
        lost.iter().map(|rule| rule.country.as_deref().unwrap_or("all other countries")).collect();
    Ok(vec![format!(
        "{name} showed {} as Caller ID to {}; its calls there {what}.",
        number.number,
        to.join(", ")
    )])
}

/// Send a number's calls somewhere
///
/// To a profile or business account of the same company. Whoever loses the number shows it as Caller ID no longer; calls
/// that run go on.
#[utoipa::path(
    put, path = "/numbers/{number}/target", tag = TAG, params(("number" = i64, Path, description = "Its `id`")),
    request_body = Target, responses((status = 200, body = NumberView)),
)]
async fn assign_number(
    caller: Caller,
    Path(number): Path<NumberId>,
    Body(target): Body<Target>,
) -> Answer<NumberView> {
    let number = caller.number(number).await?;
    let target = match target {
        Target::Nobody => NumberTarget::Nobody,
        Target::Profile(profile) => {
            let profile = caller.profile(ProfileId(profile)).await.map_err(|it| it.named_in("id"))?;
            NumberTarget::Profile(profile.id)
        }
        Target::BusinessAccount(account) => {
            let account = caller.account(BusinessAccountId(account)).await.map_err(|it| it.named_in("id"))?;
            NumberTarget::BusinessAccount(account.id)
        }
    };
    let warnings = lost_by_moving(&caller, &number, target).await?;
    caller.acting_on(number.company).assign_number(number.id, target).await?;
    Ok(Json(NumberView { warnings, ..NumberView::of(&caller, OnlineNumber { target, ..number }) }))
}

/// Cancel a number
///
/// It works to the end of its paid term; then it is on offer again. One whose fee is not paid is so at once, and is found no
/// more.
#[utoipa::path(
    put, path = "/numbers/{number}/cancellation", tag = TAG,
    params(("number" = i64, Path, description = "Its `id`")),
    responses((status = 200, body = NumberView), (status = 409, response = Conflict)),
)]
async fn cancel_number(caller: Caller, Path(number): Path<NumberId>) -> Answer<NumberView> {
    let number = caller.number(number).await?;
    let store = caller.acting_on(number.company);
    let number = store.cancel_number(storage::now(), number.id).await?;
    Ok(Json(NumberView::of(&caller, number)))
}

/// Take a number's cancellation back
///
/// Its fee is paid again at the end of the term.
#[utoipa::path(
    delete, path = "/numbers/{number}/cancellation", tag = TAG,
    params(("number" = i64, Path, description = "Its `id`")),
    responses((status = 200, body = NumberView), (status = 409, response = Conflict)),
)]
async fn keep_number(caller: Caller, Path(number): Path<NumberId>) -> Answer<NumberView> {
    let number = caller.number(number).await?;
    let store = caller.acting_on(number.company);
    let number = store.keep_number(storage::now(), number.id).await?;
    Ok(Json(NumberView::of(&caller, number)))
}
