//! The spend guard: no cap is exceeded by a millionth, whatever calls run at the same time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::test_runner::Config;
use provisioning_store::cdr::{Attempt, CallKind, Direction};
use provisioning_store::ledger::{
    Account, CapState, Grant, LedgerOp, Limit, Outcome, Refusal, ReservePolicy, SpendWarning, Window,
};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{
    Countries, GuardFault, GuardOverrides, NewCompany, Override, Premium, ProfileSettings, Recharge,
    SpendGuard,
};
use provisioning_store::money::Micros;
use provisioning_store::rating::Tariff;
use provisioning_store::store::{NewProfile, Store, StoreOptions, Unlimited};

use crate::follower::Follower;
use crate::world::*;

/// Seconds in an hour; the tests begin at midnight.
const HOUR_S: i64 = 3_600;

fn set<T>(limit: T) -> Override<T> {
    Override::Set(limit)
}

fn hour_cap(micros: i64) -> GuardOverrides {
    GuardOverrides { hour_cap: set(Micros(micros)), ..GuardOverrides::default() }
}

fn set_guard(guard: GuardOverrides) -> LedgerOp {
    LedgerOp::SetGuard { profile: PROFILE, guard: Box::new(guard) }
}

/// Four channels, credit for everything, and this guard.
fn guarded(guard: GuardOverrides) -> LedgerState {
    let mut ledger = ledger(4, 0, 0, 100_000, 0);
    ledger.apply(start(), set_guard(guard)).unwrap();
    ledger
}

fn grant(outcome: Result<Outcome, Refusal>) -> Grant {
    match outcome {
        Ok(Outcome::Granted(grant)) => grant,
        other => panic!("not a grant: {other:?}"),
    }
}

fn last(outcome: Result<Outcome, Refusal>) -> (Option<u32>, Limit) {
    match outcome {
        Ok(Outcome::LastGrant(grant, limit)) => (grant.paid_s, limit),
        other => panic!("not the last grant: {other:?}"),
    }
}

fn capped(window: Window, cap: i64) -> Refusal {
    Refusal::SpendCapReached { window, cap: Micros(cap), needed: Micros(30) }
}

#[test]
fn parallel_calls_share_a_cap_with_what_each_has_reserved() {
    let mut ledger = guarded(hour_cap(100));
    let tariff = Some(MICRO_A_SECOND);
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", tariff))), Some(60));
    assert_eq!(paid_s(ledger.apply(start(), reserve("b", tariff))), Some(36), "40 are left, cut to a step");
    assert_eq!(ledger.apply(start(), reserve("c", tariff)), Err(capped(Window::Hour, 100)));
    assert_eq!(last(ledger.apply(start(), extend("a", 50))), (Some(60), Limit::SpendCap(Window::Hour)));
    assert_eq!(settled(ledger.apply(start(), settle("a", tariff, 31))).amount, Micros(36));
    assert_eq!(ledger.apply(start(), reserve("c", tariff)), Err(capped(Window::Hour, 100)), "28 are left");
    assert_eq!(paid_s(ledger.apply(start(), extend("b", 30))), Some(60), "a call in progress takes them");
    assert_eq!(settled(ledger.apply(start(), settle("b", tariff, 61))).amount, Micros(60));
    assert_eq!(ledger.books().spending(PROFILE, start()).hour.spent, Micros(96));
    assert_eq!(ledger.verify(), []);
}

#[test]
fn time_releases_a_cap_and_a_running_call_counts_whole_in_each_hour_it_reaches() {
    let mut ledger = guarded(hour_cap(100));
    let tariff = Some(MICRO_A_SECOND);
    let (before, after) = (start().plus_s(HOUR_S - 10), start().plus_s(HOUR_S));
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", tariff))), Some(60));
    settled(ledger.apply(start(), settle("a", tariff, 60)));
    assert_eq!(paid_s(ledger.apply(before, reserve("b", tariff))), Some(36));
    assert_eq!(last(ledger.apply(before, extend("b", 5))).1, Limit::SpendCap(Window::Hour));
    assert_eq!(paid_s(ledger.apply(after, extend("b", 15))), Some(96), "the new hour has 64 beside its 36");
    assert_eq!(ledger.apply(after, reserve("c", tariff)), Err(capped(Window::Hour, 100)));
    assert_eq!(last(ledger.apply(after, extend("b", 90))).0, Some(96), "no call costs more than the cap");
}

#[test]
fn the_day_holds_when_the_hour_would_not() {
    let day = GuardOverrides { day_cap: set(Micros(70)), ..hour_cap(60) };
    let mut ledger = guarded(day);
    let tariff = Some(MICRO_A_SECOND);
    settled({
        paid_s(ledger.apply(start(), reserve("a", tariff)));
        ledger.apply(start(), settle("a", tariff, 40))
    });
    let noon = start().plus_s(12 * HOUR_S);
    assert_eq!(ledger.apply(noon, reserve("b", tariff)), Err(capped(Window::Day, 70)), "42 of 70 are spent");
    let tomorrow = start().plus_days(1);
    assert_eq!(paid_s(ledger.apply(tomorrow, reserve("b", tariff))), Some(60));
}

#[test]
fn a_clock_set_back_opens_no_second_allowance_and_the_operator_sets_it_right() {
    let mut ledger = guarded(hour_cap(60));
    let tariff = Some(MICRO_A_SECOND);
    let ahead = start().plus_days(3);
    paid_s(ledger.apply(ahead, reserve("a", tariff)));
    settled(ledger.apply(ahead, settle("a", tariff, 60)));
    assert_eq!(ledger.apply(start(), reserve("b", tariff)), Err(capped(Window::Hour, 60)));
    ledger.apply(start(), LedgerOp::ReleaseGuard { profile: PROFILE }).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), reserve("b", tariff))), Some(60));
    let hour = ledger.books().spending(PROFILE, start()).hour;
    assert_eq!((hour.number, hour.spent), (Window::Hour.number(start()), Micros::ZERO));
}

#[test]
fn bundle_seconds_cost_nothing_and_count_nothing() {
    let mut ledger = ledger(2, 1, 2, 1_000, 0);
    let guard = hour_cap(10);
    ledger.apply(start(), set_guard(guard)).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(COVERED)))), Some(60));
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 50))), Some(120));
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 110))), Some(126), "10 on credit, cut to a step");
    assert_eq!(last(ledger.apply(start(), extend("a", 115))), (Some(126), Limit::SpendCap(Window::Hour)));
    let settlement = settled(ledger.apply(start(), settle("a", Some(COVERED), 126)));
    assert_eq!((settlement.bundle_s, settlement.amount), (120, Micros(6)));
    assert_eq!(ledger.books().spending(PROFILE, start()).day.spent, Micros(6));
}

#[test]
fn a_recharge_is_not_asked_to_help_against_a_cap() {
    let mut ledger = ledger(1, 0, 0, 100, 1_000);
    let recharge = Some(Recharge { threshold: Micros(1), amount: Micros(50) });
    ledger.apply(start(), LedgerOp::SetRecharge { profile: PROFILE, recharge }).unwrap();
    ledger.apply(start(), set_guard(hour_cap(60))).unwrap();
    paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND))));
    assert_eq!(last(ledger.apply(start(), extend("a", 50))).1, Limit::SpendCap(Window::Hour));
    assert_eq!(ledger.books().balance(Account::Profile(PROFILE)).balance, 100);
}

#[test]
fn where_credit_is_less_than_the_cap_leaves_credit_is_blamed() {
    let mut ledger = ledger(1, 0, 0, 60, 0);
    ledger.apply(start(), set_guard(hour_cap(200))).unwrap();
    paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND))));
    assert_eq!(last(ledger.apply(start(), extend("a", 50))).1, Limit::Credit);
}

#[test]
fn countries_and_prices_are_refused_before_any_money_is_looked_at() {
    let guard = GuardOverrides {
        allowed: set("EE,US,GB".parse().unwrap()),
        denied: set("CU".parse().unwrap()),
        highest_rate: set(Micros(60)),
        ..GuardOverrides::default()
    };
    let mut ledger = guarded(guard);
    let dear = Tariff { rate_per_minute: Micros(61), ..MICRO_A_SECOND };
    for country in ["CU", "FR", ""] {
        let refused = ledger.apply(start(), reserve_to("a", country, MICRO_A_SECOND));
        assert_eq!(refused, Err(Refusal::CountryDenied { country: country.into() }));
    }
    let refused = ledger.apply(start(), reserve_to("a", "EE", dear));
    assert_eq!(refused, Err(Refusal::PriceTooHigh { rate: Micros(61), highest: Micros(60) }));
    assert_eq!(ledger.books().channels_in_use(PROFILE), 0);
    paid_s(ledger.apply(start(), reserve_to("a", "EE", MICRO_A_SECOND)));
    paid_s(ledger.apply(start(), incoming("b")));
}

fn incoming(name: &str) -> LedgerOp {
    let attempt = Attempt { direction: Direction::Incoming, country: String::new(), ..attempt(None) };
    LedgerOp::Reserve { call: call(name), profile: PROFILE, attempt: Box::new(attempt) }
}

#[test]
fn so_many_calls_at_once_to_one_country_and_no_more() {
    let mut ledger = guarded(GuardOverrides { calls_to_one_country: set(1), ..GuardOverrides::default() });
    paid_s(ledger.apply(start(), reserve_to("a", "EE", MICRO_A_SECOND)));
    let refused = Err(Refusal::CountryBusy { country: "EE".into(), most: 1 });
    assert_eq!(ledger.apply(start(), reserve_to("b", "EE", MICRO_A_SECOND)), refused);
    paid_s(ledger.apply(start(), reserve_to("c", "US", MICRO_A_SECOND)));
    paid_s(ledger.apply(start(), incoming("d")));
    settled(ledger.apply(start(), settle("a", Some(MICRO_A_SECOND), 5)));
    paid_s(ledger.apply(start(), reserve_to("b", "EE", MICRO_A_SECOND)));
}

#[test]
fn the_longest_call_ends_dear_and_free_ones() {
    let guard = GuardOverrides { longest_call_s: set(100), ..GuardOverrides::default() };
    let mut ledger = guarded(guard);
    assert_eq!(paid_s(ledger.apply(start(), reserve("dear", Some(MICRO_A_SECOND)))), Some(60));
    assert_eq!(paid_s(ledger.apply(start(), extend("dear", 50))), Some(96), "cut to a billing step");
    assert_eq!(last(ledger.apply(start(), extend("dear", 90))), (Some(96), Limit::LongestCall));
    assert_eq!(paid_s(ledger.apply(start(), incoming("free"))), Some(100));
    assert_eq!(last(ledger.apply(start(), extend("free", 90))), (Some(100), Limit::LongestCall));
    let lifted = GuardOverrides { longest_call_s: Override::Lifted, ..guard };
    ledger.apply(start(), set_guard(lifted)).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), extend("free", 95))), None);
    assert_eq!(settled(ledger.apply(start(), settle("free", None, 120))).billed_s, 0);
    let whole = Tariff { minimum_s: 300, ..MICRO_A_SECOND };
    ledger.apply(start(), set_guard(guard)).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), reserve("m", Some(whole)))), Some(300), "what is paid is talked");
}

#[test]
fn the_operator_is_warned_once_in_each_window() {
    let guard = GuardOverrides { day_cap: set(Micros(300)), warn_percent: set(50), ..hour_cap(100) };
    let mut ledger = guarded(guard);
    let warned = |grant: Grant| {
        let windows = |it: &SpendWarning| (it.standing.window, it.standing.committed.0, it.standing.state);
        grant.warnings.iter().map(windows).collect::<Vec<_>>()
    };
    let near = |window, committed| vec![(window, committed, CapState::Warned)];
    let tariff = Some(MICRO_A_SECOND);
    assert_eq!(warned(grant(ledger.apply(start(), reserve("a", tariff)))), near(Window::Hour, 60));
    assert_eq!(warned(grant(ledger.apply(start(), extend("a", 50)))), [], "told already");
    settled(ledger.apply(start(), settle("a", tariff, 96)));
    let next = start().plus_s(HOUR_S);
    let both = grant(ledger.apply(next, reserve("b", tariff)));
    assert_eq!(warned(both), [near(Window::Hour, 60), near(Window::Day, 156)].concat());
    ledger.apply(next, LedgerOp::ReleaseGuard { profile: PROFILE }).unwrap();
    assert_eq!(warned(grant(ledger.apply(next, extend("b", 50)))), near(Window::Hour, 60), "a fresh start");
    assert_eq!(warned(grant(ledger.apply(next, reserve("c", tariff)))), []);
}

#[test]
fn a_release_lets_running_calls_go_on_and_erases_nothing() {
    let mut ledger = guarded(hour_cap(60));
    let tariff = Some(MICRO_A_SECOND);
    paid_s(ledger.apply(start(), reserve("a", tariff)));
    assert_eq!(last(ledger.apply(start(), extend("a", 50))).1, Limit::SpendCap(Window::Hour));
    ledger.apply(start(), LedgerOp::ReleaseGuard { profile: PROFILE }).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 55))), Some(120));
    assert_eq!(last(ledger.apply(start(), extend("a", 115))).0, Some(120), "one more cap, not two");
    settled(ledger.apply(start(), settle("a", tariff, 120)));
    let hour = ledger.books().spending(PROFILE, start()).hour;
    assert_eq!((hour.spent, hour.forgiven), (Micros(120), Micros(60)));
    assert_eq!(ledger.apply(start(), reserve("b", tariff)), Err(capped(Window::Hour, 60)));
}

#[test]
fn defaults_hold_for_all_until_a_profile_says_otherwise() {
    let defaults =
        SpendGuard { hour_cap: Some(Micros(60)), denied: "EE".parse().unwrap(), ..SpendGuard::default() };
    let mut ledger = LedgerState::new(ReservePolicy { guard: defaults, ..ReservePolicy::default() });
    for op in opening(2, 1_000) {
        ledger.apply(start(), op).unwrap();
    }
    let denied = Err(Refusal::CountryDenied { country: "EE".into() });
    assert_eq!(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND))), denied);
    let guard = GuardOverrides { denied: Override::Lifted, ..GuardOverrides::default() };
    ledger.apply(start(), set_guard(guard)).unwrap();
    paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND))));
    assert_eq!(last(ledger.apply(start(), extend("a", 50))).1, Limit::SpendCap(Window::Hour));
    let countries: Countries = "EE,US".parse().unwrap();
    let contradicting = GuardOverrides { allowed: set(countries), ..GuardOverrides::default() };
    let refused = ledger.apply(start(), set_guard(contradicting));
    assert_eq!(refused, Err(Refusal::Guard(GuardFault::AllowedAndDenied("EE".parse().unwrap()))));
    assert_eq!(ledger.books().subscriber(PROFILE).unwrap().guard, guard);
}

#[tokio::test]
async fn a_database_keeps_the_guard_and_what_was_spent() {
    let home = Home::new();
    let defaults = SpendGuard { day_cap: Some(Micros(500)), ..SpendGuard::default() };
    let policy = ReservePolicy { guard: defaults, ..ReservePolicy::default() };
    let options = || StoreOptions { policy, ..home.options() };
    let store = Store::open(options()).await.unwrap();
    let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap().id;
    store.top_up(start(), company, Micros::from_units(100), "").await.unwrap();
    let order = Some((Order { channels: 3, bundles: 0 }, PriceList::default()));
    let new = NewProfile { company, name: "P".into(), settings: ProfileSettings::default(), order };
    let profile = store.create_profile(start(), new).await.unwrap().0.id;
    assert_eq!(profile, PROFILE);
    store.allocate(start(), profile, Micros(1_000)).await.unwrap();
    let guard = GuardOverrides { calls_to_one_country: set(2), ..hour_cap(100) };
    store.set_spend_guard(start(), profile, guard).await.unwrap();

    for name in ["a", "b"] {
        store.apply_one(start(), reserve_to(name, "EE", MICRO_A_SECOND)).await.unwrap();
    }
    let busy = store.apply_one(start(), reserve_to("c", "EE", MICRO_A_SECOND)).await.unwrap_err();
    assert!(busy.to_string().contains("2 calls of this profile go to EE already"), "{busy}");
    store.apply_one(start(), settle("a", Some(MICRO_A_SECOND), 60)).await.unwrap();
    store.close().await;

    let store = Store::open(options()).await.unwrap();
    let kept = store.profile(profile).await.unwrap();
    assert_eq!((kept.guard, kept.spending.hour.spent, kept.reserved), (guard, Micros(60), Micros(36)));
    let standings = |standing: provisioning_store::ledger::CapStanding| {
        (standing.window, standing.cap.0, standing.committed.0, standing.state)
    };
    let shown: Vec<_> = store.cap_standings(&kept, start()).into_iter().map(standings).collect();
    let expected = [(Window::Hour, 100, 96, CapState::Warned), (Window::Day, 500, 96, CapState::Open)];
    assert_eq!(shown, expected);
    let reached = store.apply_one(start(), reserve_to("c", "US", MICRO_A_SECOND)).await.unwrap_err();
    assert!(reached.to_string().contains("of this hour's 0.0001"), "{reached}");
    store.release_spend_guard(start(), profile).await.unwrap();
    store.apply_one(start(), reserve_to("c", "US", MICRO_A_SECOND)).await.unwrap();
    let released = store.profile(profile).await.unwrap().spending.hour;
    assert_eq!((released.spent, released.forgiven), (Micros(60), Micros(96)));
}

/// What happens, so many seconds after what happened before: the kind of it, which call, how long it has lasted, and
/// at what price a new one is made.
fn step() -> impl Strategy<Value = (i64, u8, usize, u32, Tariff)> {
    let tariff = prop::sample::select(vec![
        MICRO_A_SECOND,
        COVERED,
        Tariff { rate_per_minute: Micros(7), ..MICRO_A_SECOND },
        Tariff { connection_fee: Micros(11), minimum_s: 1, increment_s: 1, ..COVERED },
    ]);
    // Mostly seconds, now and then hours, so that calls run over the edges.
    let pause = prop_oneof![8 => 0i64..120, 1 => 0i64..30_000];
    (pause, 0u8..10, 0usize..12, 0u32..200, tariff)
}

/// The operation of a step on the books as they are.
fn operation(
    ledger: &LedgerState,
    round: usize,
    (kind, which, seconds, tariff): (u8, usize, u32, Tariff),
) -> LedgerOp {
    let live = ledger.books().live_calls().count();
    let picked = ledger.books().live_calls().nth(which % live.max(1));
    let Some(picked) = picked.filter(|_| kind > 3) else { return reserve(&round.to_string(), Some(tariff)) };
    let (call, tariff) = (picked.call.clone(), picked.attempt.tariff);
    match kind {
        4..=6 => LedgerOp::Extend { call, elapsed_s: seconds },
        7..=8 => settle(call.as_str(), tariff, seconds.into()),
        _ => LedgerOp::Void { call, record: Box::new(record(tariff, Some(9))) },
    }
}

proptest! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn no_history_spends_a_millionth_more_than_a_cap(
        hour in 0i64..300, more in 0i64..300, steps in prop::collection::vec(step(), 1..120),
    ) {
        let caps = [(Window::Hour, hour), (Window::Day, hour + more)];
        let guard = GuardOverrides { day_cap: set(Micros(hour + more)), ..hour_cap(hour) };
        let mut ledger = ledger(12, 1, 3, 1_000_000, 0);
        ledger.apply(start(), set_guard(guard)).unwrap();
        let (mut now, mut charged) = (start(), BTreeMap::<(&str, i64), i64>::new());
        for (round, (pause, kind, which, seconds, tariff)) in steps.into_iter().enumerate() {
            now = now.plus_s(pause);
            let records = ledger.cdrs().len();
            let op = operation(&ledger, round, (kind, which, seconds, tariff));
            let outcome = ledger.apply(now, op);
            let amount: i64 = ledger.cdrs()[records..].iter().map(|cdr| cdr.settlement.amount.0).sum();
            let reserved = ledger.books().balance(Account::Profile(PROFILE)).reserved;
            for (window, cap) in caps {
                let sum = charged.entry((window.word(), window.number(now))).or_default();
                *sum += amount;
                prop_assert!(*sum + reserved <= cap, "{sum} + {reserved} of {cap} this {window}: {outcome:?}");
            }
            prop_assert_eq!(ledger.verify(), []);
        }
    }
}

#[test]
fn a_call_between_profiles_has_no_country_to_be_denied() {
    let guard = GuardOverrides { allowed: set("US".parse().unwrap()), ..GuardOverrides::default() };
    let mut ledger = guarded(guard);
    let inside = Attempt { kind: CallKind::OnNet, country: String::new(), ..attempt(None) };
    let reserve = LedgerOp::Reserve { call: call("a"), profile: PROFILE, attempt: Box::new(inside) };
    assert_eq!(paid_s(ledger.apply(start(), reserve)), None);
}

#[tokio::test]
async fn what_was_created_with_or_without_a_limit_is_not_counted_as_unlimited() {
    let home = Home::new();
    let store = home.open().await;
    let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
    let most = NonZeroU32::new(20);
    let company = store.create_limited_company(start(), &new, most).await.unwrap();
    assert_eq!(company.calls_per_second, most);
    let loose = store.set_calls_per_second(company.id, None).await.unwrap();
    let chosen = store.unlimited().await.unwrap();
    assert_eq!((loose.calls_per_second, chosen), (None, Unlimited::default()), "it was chosen");
    let new = |name: &str| NewProfile {
        company: company.id,
        name: name.into(),
        settings: ProfileSettings::default(),
        order: None,
    };
    let limited =
        GuardOverrides { calls_per_second: set(NonZeroU32::MIN), premium: set(Premium::Deny), ..hour_cap(1) };
    let lifted = GuardOverrides {
        calls_per_second: Override::Lifted,
        premium: set(Premium::Allow),
        day_cap: Override::Lifted,
        ..GuardOverrides::default()
    };
    let begun = GuardOverrides {
        calls_per_second: Override::Begun(None),
        premium: Override::Begun(Some(Premium::Allow)),
        hour_cap: Override::Begun(None),
        ..GuardOverrides::default()
    };
    for (name, own) in [("P", limited), ("Q", lifted), ("S", begun)] {
        let made = store.create_profile_with_credit(start(), new(name), None, own).await.unwrap().0;
        assert_eq!(made.guard, own);
        assert_eq!(store.unlimited().await.unwrap(), Unlimited::default(), "{name}");
    }
    let last = store.create_profile(start(), new("R")).await.unwrap().0;
    let one = Unlimited { call_rate: 1, premium: 1, caps: 1, company_call_rate: 0 };
    assert_eq!(store.unlimited().await.unwrap(), one);
    let mut follower = Follower::new(&store).await;
    store.set_spend_guard(start(), last.id, limited).await.unwrap();
    follower.sees(&store, "limits", &[company.id]).await;
    store.close().await;
}
