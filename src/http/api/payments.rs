//! Money that companies pay in through the payment source, and the recharge of their credit.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{
    Company, CompanyId, Payment, PaymentCause, PaymentId, PaymentState, Recharge,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::companies::TAG;
use super::credit::{RechargeRequest, RechargeView};
use super::error::Problem;
use super::money::{Moment, Money};
use super::once::IdempotencyKey;
use super::openapi::Conflict;
use super::page::{Cursor, Limit, Page};
use super::word::word;
use super::{Answer, Created};
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show_company_recharge, set_company_recharge, stop_company_recharge))
        .routes(routes!(request_payment))
        .routes(routes!(list_payments))
        .routes(routes!(show_payment))
        .routes(routes!(settle_payment))
}

/// A payment that is asked of the payment source.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentView {
    /// Identity.
    id: i64,
    /// Who pays.
    company: i64,
    /// How much.
    amount: Money,
    #[schema(schema_with = word::<PaymentCause>)]
    cause: PaymentCause,
    #[schema(schema_with = word::<PaymentState>)]
    state: PaymentState,
    requested_at: Moment,
    settled_at: Option<Moment>,
    /// The payment source's name for it, or its reason why it failed.
    word: String,
}

impl PaymentView {
    fn of(payment: Payment, currency: &str) -> Self {
        Self {
            id: payment.id.0,
            company: payment.company.0,
            amount: Money::of(payment.amount, currency),
            cause: payment.cause,
            state: payment.state,
            requested_at: Moment(payment.requested_at),
            settled_at: payment.settled_at.map(Moment),
            word: payment.word,
        }
    }
}

/// How a company's credit is refilled.
#[derive(Serialize, ToSchema)]
struct CompanyRecharge {
    /// Null if it is not.
    recharge: Option<RechargeView>,
}

impl CompanyRecharge {
    fn of(recharge: Option<Recharge>, company: &Company) -> Self {
        Self { recharge: recharge.map(|it| RechargeView::of(it, &company.currency)) }
    }
}

/// Show how a company's credit is refilled
#[utoipa::path(
    get, path = "/companies/{company}/recharge", tag = TAG, security(("token" = ["accounts"])), params(("company" = i64, Path)),
    responses((status = 200, body = CompanyRecharge)),
)]
async fn show_company_recharge(caller: Caller, Path(company): Path<CompanyId>) -> Answer<CompanyRecharge> {
    let company = caller.company(company).await?;
    let recharge = caller.store().company_recharge(company.id).await?;
    Ok(Json(CompanyRecharge::of(recharge, &company)))
}

/// Refill a company's credit by itself
///
/// Whenever it falls below the threshold, the amount is asked of the payment source; nothing is booked before it is paid.
#[utoipa::path(
    put, path = "/companies/{company}/recharge", tag = TAG, security(("token" = ["pay"])), params(("company" = i64, Path)),
    request_body = RechargeRequest, responses((status = 200, body = CompanyRecharge)),
)]
async fn set_company_recharge(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<RechargeRequest>,
) -> Answer<CompanyRecharge> {
    let company = caller.company(company).await?;
    let recharge = request.recharge(&company)?;
    caller.acting_on(company.id).set_company_recharge(company.id, Some(recharge)).await?;
    Ok(Json(CompanyRecharge::of(Some(recharge), &company)))
}

/// Refill a company's credit no longer
#[utoipa::path(
    delete, path = "/companies/{company}/recharge", tag = TAG, security(("token" = ["pay"])), params(("company" = i64, Path)),
    responses((status = 204)),
)]
async fn stop_company_recharge(
    caller: Caller,
    Path(company): Path<CompanyId>,
) -> Result<StatusCode, Problem> {
    let company = caller.company(company).await?;
    caller.acting_on(company.id).set_company_recharge(company.id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A payment to ask for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentRequest {
    /// How much; above zero.
    amount: Money,
}

/// Ask the payment source for money
///
/// Nothing is booked before the source says that it is paid.
#[utoipa::path(
    post, path = "/companies/{company}/payments", tag = TAG, security(("token" = ["pay"])),
    params(("company" = i64, Path), IdempotencyKey),
    request_body = PaymentRequest, responses((status = 201, body = PaymentView)),
)]
async fn request_payment(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Body(request): Body<PaymentRequest>,
) -> Result<Created<PaymentView>, Problem> {
    let company = caller.company(company).await?;
    let amount = request.amount.paid_by(&company, "amount")?;
    let payment = caller.acting_on(company.id).request_payment(storage::now(), company.id, amount).await?;
    Ok(Created::at(format!("/payments/{}", payment.id), PaymentView::of(payment, &company.currency)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PaymentQuery {
    /// Only this company's.
    company: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List payments
///
/// Newest first. An adapter of a payment provider reads the pending ones here.
#[utoipa::path(
    get, path = "/payments", tag = TAG, security(("token" = ["accounts"])), params(PaymentQuery),
    responses((status = 200, body = Page<PaymentView>)),
)]
async fn list_payments(caller: Caller, Query(query): Query<PaymentQuery>) -> Answer<Page<PaymentView>> {
    let PaymentQuery { company, cursor, limit } = query;
    let company = caller.scope(company)?;
    let found = caller.store().payments(company, limit.slice(cursor.as_ref())?).await?;
    let mut shown = Vec::with_capacity(found.len());
    for payment in found {
        let payer = caller.store().company(payment.company).await?;
        shown.push(PaymentView::of(payment, &payer.currency));
    }
    Ok(Json(Page::of(shown, limit, |payment| payment.id.to_string())))
}

/// Show a payment
#[utoipa::path(
    get, path = "/payments/{payment}", tag = TAG, security(("token" = ["accounts"])), params(("payment" = i64, Path)),
    responses((status = 200, body = PaymentView)),
)]
async fn show_payment(caller: Caller, Path(payment): Path<PaymentId>) -> Answer<PaymentView> {
    let (payment, company) = caller.payment(payment).await?;
    Ok(Json(PaymentView::of(payment, &company.currency)))
}

/// How a payment has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Settled {
    /// The money has come.
    Paid,
    /// It will not come.
    Failed,
}

impl Settled {
    /// Money may still come after a failure; nothing else follows an end.
    pub(super) fn can_follow(self, state: PaymentState) -> bool {
        match state {
            PaymentState::Pending => true,
            PaymentState::Failed => self == Self::Paid,
            PaymentState::Paid => false,
        }
    }
}

/// What is said of a payment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Settlement {
    state: Settled,
    /// The source's name for the payment, or its reason why it failed.
    #[serde(default)]
    #[schema(max_length = 200)]
    word: String,
}

/// Say by hand that a payment was paid or has failed
///
/// What is paid is booked at once, and once; it may be paid though it was said to have failed.
#[utoipa::path(
    put, path = "/payments/{payment}/settlement", tag = TAG, security(("token" = ["book"])),
    params(("payment" = i64, Path)),
    request_body = Settlement, responses((status = 200, body = PaymentView), (status = 409, response = Conflict)),
)]
async fn settle_payment(
    caller: Caller,
    Path(payment): Path<PaymentId>,
    Body(request): Body<Settlement>,
) -> Answer<PaymentView> {
    let (payment, company) = caller.payment(payment).await?;
    let said = super::body::line("word", &request.word)?;
    if !request.state.can_follow(payment.state) {
        return Err(settled_already(&payment));
    }
    let (store, now) = (caller.acting_on(company.id), storage::now());
    let payment = match request.state {
        Settled::Paid => store.pay_payment(now, payment.id, said).await?,
        Settled::Failed => store.fail_payment(now, payment.id, said).await?,
    };
    Ok(Json(PaymentView::of(payment, &company.currency)))
}

/// A payment ends once.
pub(super) fn settled_already(payment: &Payment) -> Problem {
    let sentence = format!("payment {} is {} already; ask for another one", payment.id, payment.state);
    Problem::new(StatusCode::CONFLICT, "settled_already", sentence)
}
