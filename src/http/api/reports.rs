//! Reports by calendar month, as JSON and as CSV.

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use provisioning_store::cdr::{Cdr, CdrFilter, CdrPlace};
use provisioning_store::error::StoreError;
use provisioning_store::ledger::TransferKind;
use provisioning_store::model::{CompanyId, ProfileId};
use provisioning_store::reports::{
    AllocationRow, Month, Payee, Statement, StatementRow, UpcomingPayment, Usage, UsageRow, csv, csv_header,
    csv_lines,
};
use provisioning_store::store::Store;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::word::word;

/// Their part of the description.
const TAG: &str = "Reports";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(usage_file))
        .routes(routes!(allocations))
        .routes(routes!(allocations_file))
        .routes(routes!(statement))
        .routes(routes!(statement_file))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct MonthQuery {
    /// In UTC, such as 2026-03.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}$")]
    month: String,
}

impl MonthQuery {
    fn month(&self) -> Result<Month, Problem> {
        let wrong = |error: provisioning_store::reports::NotAMonth| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_query", error.to_string()).at("month")
        };
        self.month.parse().map_err(wrong)
    }
}

/// A file for a spreadsheet.
fn file(name: &str, month: Month, text: impl Into<Body>) -> Response {
    let disposition = format!("attachment; filename=\"{name}-{month}.csv\"");
    let headers = [(header::CONTENT_TYPE, "text/csv".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, text.into()).into_response()
}

/// Records that are read at once for a file.
const RECORDS_AT_ONCE: u32 = 1_000;

/// Records as CSV, read as they are sent: the calls of a busy month are more than belongs into the memory of a gateway. A
/// file that cannot be read to its end breaks off, which its reader notices.
async fn records(store: Store, filter: CdrFilter, at_once: u32) -> Result<Body, StoreError> {
    let first = store.cdrs_after(&filter, None, at_once).await?;
    let place = first.last().map(CdrPlace::of);
    let lines = stream::try_unfold(place, move |place| {
        let (store, filter) = (store.clone(), filter.clone());
        async move {
            let Some(after) = place else { return Ok::<_, StoreError>(None) };
            let found = store.cdrs_after(&filter, Some(&after), at_once).await?;
            let next = found.last().map(CdrPlace::of);
            Ok(Some((csv_lines(&found), next)))
        }
    });
    let begun = csv_header::<Cdr>() + &csv_lines(&first);
    Ok(Body::from_stream(stream::once(async { Ok(begun) }).chain(lines)))
}

/// What calls came to.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageRow)]
struct UsageRowView {
    /// As the rate table names it; empty for calls that have none.
    destination: String,
    /// Calls that were answered.
    calls: u64,
    duration_s: i64,
    billed_s: i64,
    /// Of these, what bundle minutes paid.
    bundle_s: i64,
    amount: Money,
}

impl UsageRowView {
    fn of(row: UsageRow, currency: &str) -> Self {
        Self {
            destination: row.destination,
            calls: row.calls,
            duration_s: row.duration_s,
            billed_s: row.billed_s,
            bundle_s: row.bundle_s,
            amount: Money::of(row.amount, currency),
        }
    }
}

/// A profile's calls of a month.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageView {
    profile: i64,
    month: String,
    /// By destination.
    rows: Vec<UsageRowView>,
    /// All together.
    total: UsageRowView,
    /// Whether the ledger says the same, to the millionth.
    is_proved: bool,
}

/// Show what a profile's calls of a month came to
///
/// The records themselves are under `cdrs`.
#[utoipa::path(
    get, path = "/profiles/{profile}/reports/usage", tag = TAG, security(("token" = ["accounts"])),
    params(("profile" = i64, Path), MonthQuery), responses((status = 200, body = UsageView)),
)]
async fn usage(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<MonthQuery>,
) -> Answer<UsageView> {
    let month = query.month()?;
    let (profile, company) = caller.profile_and_company(profile).await?;
    let Usage { rows, total, .. } = caller.store().usage(profile.id, month).await?;
    let ledger = caller.store().usage_by_ledger(profile.id, month).await?;
    let row = |row| UsageRowView::of(row, &company.currency);
    Ok(Json(UsageView {
        profile: profile.id.0,
        month: month.to_string(),
        is_proved: (ledger.amount, ledger.bundle_s) == (total.amount, total.bundle_s),
        rows: rows.into_iter().map(row).collect(),
        total: UsageRowView::of(total, &company.currency),
    }))
}

/// Download a profile's outgoing calls of a month
#[utoipa::path(
    get, path = "/profiles/{profile}/reports/usage.csv", tag = TAG, security(("token" = ["accounts"])), params(("profile" = i64, Path), MonthQuery),
    responses((status = 200, description = "One call a line", body = String, content_type = "text/csv")),
)]
async fn usage_file(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<MonthQuery>,
) -> Result<Response, Problem> {
    let month = query.month()?;
    let profile = caller.profile(profile).await?;
    let filter = CdrFilter::of_usage(profile.id, month);
    Ok(file("usage", month, records(caller.store().clone(), filter, RECORDS_AT_ONCE).await?))
}

/// Something that was bought for a profile, or credit that went to or from it.
#[derive(Serialize, ToSchema)]
#[schema(as = Allocation)]
struct AllocationView {
    at: Moment,
    #[schema(schema_with = word::<TransferKind>)]
    kind: TransferKind,
    amount: Money,
    note: String,
}

/// A profile's allocations of a month.
#[derive(Serialize, ToSchema)]
struct Allocations {
    profile: i64,
    month: String,
    rows: Vec<AllocationView>,
}

/// Show what was bought for a profile in a month, and what credit went to or from it
#[utoipa::path(
    get, path = "/profiles/{profile}/reports/allocations", tag = TAG, security(("token" = ["accounts"])),
    params(("profile" = i64, Path), MonthQuery), responses((status = 200, body = Allocations)),
)]
async fn allocations(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<MonthQuery>,
) -> Answer<Allocations> {
    let month = query.month()?;
    let (profile, company) = caller.profile_and_company(profile).await?;
    let rows = caller.store().allocations(profile.id, month).await?;
    let row = |row: AllocationRow| AllocationView {
        at: Moment(row.at),
        kind: row.kind,
        amount: Money::of(row.amount, &company.currency),
        note: row.note,
    };
    let rows = rows.into_iter().map(row).collect();
    Ok(Json(Allocations { profile: profile.id.0, month: month.to_string(), rows }))
}

/// Download a profile's allocations of a month
#[utoipa::path(
    get, path = "/profiles/{profile}/reports/allocations.csv", tag = TAG, security(("token" = ["accounts"])),
    params(("profile" = i64, Path), MonthQuery),
    responses((status = 200, description = "One movement a line", body = String, content_type = "text/csv")),
)]
async fn allocations_file(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Query(query): Query<MonthQuery>,
) -> Result<Response, Problem> {
    let month = query.month()?;
    let profile = caller.profile(profile).await?;
    let rows = caller.store().allocations(profile.id, month).await?;
    Ok(file("allocations", month, csv(&rows)))
}

/// A movement of a company's credit.
#[derive(Serialize, ToSchema)]
#[schema(as = Movement)]
struct MovementView {
    at: Moment,
    #[schema(schema_with = word::<TransferKind>)]
    kind: TransferKind,
    /// How much came, or went below zero.
    amount: Money,
    /// The credit after it.
    balance: Money,
    /// For which profile.
    profile: Option<i64>,
    note: String,
}

/// What is to be paid next, if nothing changes.
#[derive(Serialize, ToSchema)]
#[schema(as = UpcomingPayment)]
struct UpcomingView {
    at: Moment,
    amount: Money,
    /// The profile whose channels and bundles it pays.
    profile: Option<i64>,
    /// The Online Number whose fee it pays, by its `id`.
    number: Option<i64>,
}

impl UpcomingView {
    fn of(it: UpcomingPayment, currency: &str) -> Self {
        let (profile, number) = match it.payee {
            Payee::Profile(profile) => (Some(profile.0), None),
            Payee::Number(number) => (None, Some(number.0)),
        };
        Self { at: Moment(it.at), amount: Money::of(it.amount, currency), profile, number }
    }
}

/// A company's credit through a month.
#[derive(Serialize, ToSchema)]
#[schema(as = Statement)]
struct StatementView {
    company: i64,
    month: String,
    opening: Money,
    rows: Vec<MovementView>,
    closing: Money,
    /// By date.
    upcoming: Vec<UpcomingView>,
}

/// Show a company's credit through a month, and its upcoming payments
#[utoipa::path(
    get, path = "/companies/{company}/reports/statement", tag = TAG, security(("token" = ["accounts"])),
    params(("company" = i64, Path), MonthQuery), responses((status = 200, body = StatementView)),
)]
async fn statement(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Query(query): Query<MonthQuery>,
) -> Answer<StatementView> {
    let month = query.month()?;
    let company = caller.company(company).await?;
    let prices = caller.site.config.load().price_list();
    let Statement { opening, rows, closing, upcoming, .. } =
        caller.store().statement(company.id, month, &prices).await?;
    let money = |amount| Money::of(amount, &company.currency);
    let movement = |row: StatementRow| MovementView {
        at: Moment(row.at),
        kind: row.kind,
        amount: money(row.amount),
        balance: money(row.balance),
        profile: row.profile.map(|profile| profile.0),
        note: row.note,
    };
    Ok(Json(StatementView {
        company: company.id.0,
        month: month.to_string(),
        opening: money(opening),
        closing: money(closing),
        upcoming: upcoming.into_iter().map(|it| UpcomingView::of(it, &company.currency)).collect(),
        rows: rows.into_iter().map(movement).collect(),
    }))
}

/// Download the movements of a company's credit in a month
#[utoipa::path(
    get, path = "/companies/{company}/reports/statement.csv", tag = TAG, security(("token" = ["accounts"])),
    params(("company" = i64, Path), MonthQuery),
    responses((status = 200, description = "One movement a line", body = String, content_type = "text/csv")),
)]
async fn statement_file(
    caller: Caller,
    Path(company): Path<CompanyId>,
    Query(query): Query<MonthQuery>,
) -> Result<Response, Problem> {
    let month = query.month()?;
    let company = caller.company(company).await?;
    let prices = caller.site.config.load().price_list();
    let statement = caller.store().statement(company.id, month, &prices).await?;
    Ok(file("statement", month, csv(&statement.rows)))
}

#[cfg(test)]
mod tests {
    use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, Direction, Ending};
    use provisioning_store::ledger::LedgerOp;
    use provisioning_store::lifecycle::{Order, PriceList};
    use provisioning_store::model::{NewCompany, ProfileSettings, Timestamp};
    use provisioning_store::secrets::SecretKey;
    use provisioning_store::store::{NewProfile, StoreOptions};

    use super::*;

    const AT: Timestamp = Timestamp::from_unix_s(1_308_009_600);

    fn call(profile: ProfileId, n: i64) -> LedgerOp {
        let attempt = Attempt {
            direction: Direction::Outgoing,
            kind: CallKind::OnNet,
            from: "+12026843376".into(),
            is_withheld: false,
            to: format!("+1202555010{n}"),
            destination: String::new(),
            country: String::new(),
            tariff: None,
            started_at: AT.plus_s(n / 2),
        };
        let ending = Ending { answered_at: Some(AT), ended_at: AT.plus_s(60), ..Ending::default() };
        let record = Box::new(CallRecord { profile: Some(profile), phone_of: None, attempt, ending });
        LedgerOp::Settle { call: CallId::new(n.to_string()), record }
    }

    #[tokio::test]
    async fn a_file_of_records_is_read_in_parts_and_lacks_none() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(folder.path().join("sipgw.db"), SecretKey::new([7; 32]));
        let store = Store::open(options).await.unwrap();
        let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(AT, &new).await.unwrap().id;
        store.top_up(AT, company, "10".parse().unwrap(), "").await.unwrap();
        let order = Some((Order { channels: 1, bundles: 0 }, PriceList::default()));
        let new = NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order };
        let profile = store.create_profile(AT, new).await.unwrap().0.id;
        for calls in [0, 1, 4, 5] {
            for n in 0..calls {
                store.apply_one(AT, call(profile, n)).await.unwrap();
            }
            let filter = CdrFilter::of_usage(profile, Month::of(AT));
            let octets = axum::body::to_bytes(records(store.clone(), filter, 2).await.unwrap(), usize::MAX)
                .await
                .unwrap();
            let text = String::from_utf8(octets.to_vec()).unwrap();
            let mut called: Vec<_> = text.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
            called.sort_unstable();
            let expected: Vec<_> = (0..calls).map(|n| format!("+1202555010{n}")).collect();
            assert_eq!(called, expected, "{text}");
        }
    }
}
