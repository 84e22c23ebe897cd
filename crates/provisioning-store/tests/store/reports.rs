//! Reports: what they say, and that the ledger says the same.

use provisioning_store::cdr::{CallRecord, CdrFilter, Ending};
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{LedgerOp, Outcome, Payer, Refusal, ReservePolicy, TransferKind};
use provisioning_store::lifecycle::{NumberOffer, Order, PriceList};
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::rating::Tariff;
use provisioning_store::reports::{Month, Payee, csv};
use provisioning_store::store::{NewProfile, Store};

use crate::world::*;

async fn sales(store: &Store, bundles: u32) -> (CompanyId, ProfileId) {
    let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap().id;
    store.top_up(start(), company, Micros::from_units(100), "card").await.unwrap();
    let order = Some((Order { channels: 2, bundles }, PriceList::default()));
    let new = NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order };
    let profile = store.create_profile(start(), new).await.unwrap().0.id;
    store.allocate(start(), profile, Micros::from_units(10)).await.unwrap();
    (company, profile)
}

async fn make_call(store: &Store, name: &str, at: Timestamp, tariff: Tariff, talk_s: u64) {
    make_call_of(store, PROFILE, name, at, tariff, talk_s).await;
}

async fn make_call_of(
    store: &Store,
    profile: ProfileId,
    name: &str,
    at: Timestamp,
    tariff: Tariff,
    talk_s: u64,
) {
    let mut attempt = attempt(Some(tariff));
    attempt.started_at = at;
    let reserve = LedgerOp::Reserve { call: call(name), profile, attempt: Box::new(attempt.clone()) };
    store.apply_one(at, reserve).await.unwrap();
    let ending = Ending { answered_at: Some(at), talk_ms: talk_s * 1_000, ended_at: at, ..Ending::default() };
    let record = Box::new(CallRecord { profile: Some(profile), phone_of: None, attempt, ending });
    store.apply_one(at, LedgerOp::Settle { call: call(name), record }).await.unwrap();
}

fn june() -> Month {
    Month::of(start())
}

#[tokio::test]
async fn usage_of_a_month_equals_the_ledger_to_the_millionth() {
    let home = Home::new();
    let store = home.open().await;
    let (_, profile) = sales(&store, 1).await;
    for (name, days, tariff) in [("a", 0, MICRO_A_SECOND), ("b", 1, COVERED), ("c", 2, MICRO_A_SECOND)] {
        make_call(&store, name, start().plus_days(days), tariff, 40).await;
    }
    make_call(&store, "july", june().end(), MICRO_A_SECOND, 30).await;
    let usage = store.usage(profile, june()).await.unwrap();
    let total = &usage.total;
    assert_eq!((total.calls, total.billed_s, total.bundle_s, total.amount), (3, 126, 42, Micros(84)));
    assert_eq!((usage.rows.len(), usage.rows[0].destination.as_str()), (1, "Estonia"));
    let ledger = store.usage_by_ledger(profile, june()).await.unwrap();
    assert_eq!((ledger.amount, ledger.bundle_s), (total.amount, total.bundle_s));
    assert_eq!(store.usage(profile, june().next()).await.unwrap().total.calls, 1);
    let file = csv(&store.latest_cdrs(&CdrFilter::of_usage(profile, june()), 10).await.unwrap());
    assert_eq!(file.lines().count(), 4);
    assert!(file.contains("Estonia,0.00006,40,42,0,0.000042,"), "{file}");
}

#[tokio::test]
async fn allocations_name_what_was_bought_and_what_credit_moved() {
    let home = Home::new();
    let store = home.open().await;
    let (_, profile) = sales(&store, 1).await;
    store.take_back(start(), profile, Some(Micros::from_units(4))).await.unwrap();
    let rows = store.allocations(profile, june()).await.unwrap();
    let lines: Vec<_> = rows.iter().map(|row| (row.kind, row.amount, row.note.as_str())).collect();
    let bought = "2 channels and 1 bundle until 2011-07-14";
    assert_eq!(
        lines,
        [
            (TransferKind::Subscription, Micros::from_cents(4_390), bought),
            (TransferKind::Allocation, Micros::from_units(10), ""),
            (TransferKind::TakeBack, Micros::from_units(4), ""),
        ]
    );
    assert_eq!(store.allocations(profile, june().next()).await.unwrap(), []);
}

#[tokio::test]
async fn what_the_company_paid_beyond_a_bundle_is_one_line_a_day() {
    let home = Home::new();
    let store = home.open().await;
    let prices = PriceList { bundle_minutes: 1, ..PriceList::default() };
    let (company, profile) = sales(&store, 0).await;
    let order = Order { channels: 2, bundles: 1 };
    store.subscribe(start().plus_days(1), profile, order, &prices).await.unwrap();
    let new = NewProfile {
        company,
        name: "Support".into(),
        settings: ProfileSettings::default(),
        order: Some((order, prices.clone())),
    };
    let other = store.create_profile(start().plus_days(1), new).await.unwrap().0.id;
    store.use_policy(ReservePolicy { bundle_overflow: Payer::Company, ..ReservePolicy::default() });
    let before = store.company(company).await.unwrap().credit;
    for (name, day, profile) in [
        ("a", 1, profile),
        ("b", 1, profile),
        ("x", 1, other),
        ("y", 1, other),
        ("c", 1, profile),
        ("d", 2, profile),
    ] {
        make_call_of(&store, profile, name, start().plus_days(day), COVERED, 60).await;
    }
    assert_eq!(store.company(company).await.unwrap().credit, Micros(before.0 - 240));
    let overflow = |kind| kind == TransferKind::BundleOverflow;
    let allocations = store.allocations(profile, june()).await.unwrap();
    let amounts: Vec<_> =
        allocations.iter().filter(|row| overflow(row.kind)).map(|row| row.amount.0).collect();
    assert_eq!(amounts, [120, 60]);
    let statement = store.statement(company, june(), &prices).await.unwrap();
    let lines: Vec<_> = statement.rows.iter().filter(|row| overflow(row.kind)).collect();
    let lines: Vec<_> = lines.iter().map(|row| (row.profile, row.amount.0)).collect();
    assert_eq!(lines, [(Some(other), -60), (Some(profile), -120), (Some(profile), -60)]);
    assert_eq!(statement.closing, Micros(before.0 - 240));
    let records = store.latest_cdrs(&CdrFilter::of_usage(other, june()), 10).await.unwrap();
    let mut payers: Vec<_> = records.iter().map(|cdr| (cdr.call.as_str(), cdr.settlement.payer)).collect();
    payers.sort_unstable_by_key(|(call, _)| *call);
    assert_eq!(
        payers,
        [("x", None), ("y", Some(Payer::Company))],
        "the bundle's minutes are nobody's credit"
    );
    let usage = store.usage(profile, june()).await.unwrap().total;
    let ledger = store.usage_by_ledger(profile, june()).await.unwrap();
    assert_eq!((usage.amount, usage.bundle_s, ledger.amount), (Micros(180), 60, Micros(180)));
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_statement_runs_from_its_opening_to_the_credit_there_is_and_tells_what_comes() {
    let home = Home::new();
    let store = home.open().await;
    let (company, profile) = sales(&store, 0).await;
    let offer = NumberOffer { number: "+12026843376".into(), fee: Micros::from_units(6), term_days: 90 };
    store.stock_number(StockNumber { country: "US".into(), offer }).await.unwrap();
    let number = store.buy_number(start(), company, "+12026843376").await.unwrap().id;
    let july = start().plus_days(30);
    store.do_due(july, &PriceList::default(), Default::default()).await.unwrap();
    let credit = store.company(company).await.unwrap().credit;

    let prices = PriceList { channel: Micros::from_units(8), ..PriceList::default() };
    let june = store.statement(company, june(), &prices).await.unwrap();
    let kinds: Vec<_> = june.rows.iter().map(|row| row.kind).collect();
    use TransferKind::{Allocation, NumberFee, Subscription, TopUp};
    assert_eq!((june.opening, kinds), (Micros::ZERO, vec![TopUp, Subscription, Allocation, NumberFee]));
    assert_eq!(june.closing, Micros::from_cents(10_000 - 1_390 - 1_000 - 600));
    let next = store.statement(company, Month::of(july), &prices).await.unwrap();
    assert_eq!((next.opening, next.closing, next.rows.len()), (june.closing, credit, 1));
    let upcoming: Vec<_> = next.upcoming.iter().map(|it| (it.at, it.payee, it.amount)).collect();
    assert_eq!(
        upcoming,
        [
            (start().plus_days(60), Payee::Profile(profile), Micros::from_units(16)),
            (start().plus_days(90), Payee::Number(number), Micros::from_units(6)),
        ],
        "at the prices of today"
    );
    store.cancel_subscription(july, profile).await.unwrap();
    assert_eq!(store.upcoming_payments(company, &prices).await.unwrap().len(), 1, "no further costs");
}

#[tokio::test]
async fn a_rehearsal_says_what_a_call_would_be_told_and_leaves_no_trace() {
    let home = Home::new();
    let store = home.open().await;
    let (_, profile) = sales(&store, 0).await;
    let before = store.balances().await.unwrap();
    let told = store.rehearse(start(), profile, attempt(Some(MICRO_A_SECOND))).await.unwrap();
    assert!(matches!(told, Outcome::Granted(grant) if grant.paid_s == Some(60)));
    let dear = Tariff { rate_per_minute: Micros::from_units(30), ..MICRO_A_SECOND };
    let refused = store.rehearse(start(), profile, attempt(Some(dear))).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::InsufficientCredit { .. }))));
    assert_eq!((store.balances().await.unwrap(), store.live_calls().await.unwrap()), (before, vec![]));
}
