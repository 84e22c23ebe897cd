//! The rules of the ledger, one test a sentence, on maps.

use provisioning_store::ledger::{Account, LedgerOp, Limit, Outcome, Payer, Refusal, ReservePolicy};
use provisioning_store::lifecycle::{Order, PriceList, Standing};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{ProfileId, Recharge};
use provisioning_store::money::Micros;

use crate::world::*;

fn credit(ledger: &LedgerState) -> i64 {
    ledger.books().balance(Account::Profile(PROFILE)).balance
}

fn assert_sound(ledger: &LedgerState) {
    assert_eq!(ledger.verify(), []);
}

#[test]
fn a_call_is_charged_for_its_billed_seconds_and_the_rest_is_free_again() {
    let mut ledger = ledger(1, 0, 0, 1_000, 0);
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND)))), Some(60));
    assert_eq!(ledger.books().balance(Account::Profile(PROFILE)).reserved, 60);
    let settlement = settled(ledger.apply(start(), settle("a", Some(MICRO_A_SECOND), 31)));
    assert_eq!((settlement.duration_s, settlement.billed_s, settlement.amount), (31, 36, Micros(36)));
    assert_eq!(ledger.books().balance(Account::Profile(PROFILE)).reserved, 0);
    assert_eq!((credit(&ledger), ledger.books().balance(Account::Revenue).balance), (964, 6_950_036));
    assert_sound(&ledger);
}

#[test]
fn a_call_starts_only_if_its_shortest_billed_duration_can_be_paid() {
    let mut ledger = ledger(1, 0, 0, 29, 0);
    let refused = ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND)));
    assert_eq!(refused, Err(Refusal::InsufficientCredit { needed: Micros(30), available: Micros(29) }));
    assert_eq!(ledger.books().channels_in_use(PROFILE), 0);
    assert_eq!(paid_s(ledger.apply(start(), reserve("b", None))), None, "incoming and echo need no credit");
    assert_sound(&ledger);
}

#[test]
fn thirty_calls_on_credit_for_one_carry_one() {
    let mut ledger = ledger(30, 0, 0, 59, 0);
    let granted: Vec<_> = (0..30)
        .filter_map(|n| ledger.apply(start(), reserve(&n.to_string(), Some(MICRO_A_SECOND))).ok())
        .collect();
    assert_eq!(granted.len(), 1);
    assert_eq!(paid_s(Ok(granted[0].clone())), Some(54), "what is payable, cut to a step");
    assert_sound(&ledger);
}

#[test]
fn extensions_run_to_the_last_paid_second_and_no_further() {
    let mut ledger = ledger(1, 0, 0, 130, 0);
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND)))), Some(60));
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 45))), Some(120));
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 105))), Some(126));
    assert!(
        matches!(ledger.apply(start(), extend("a", 110)), Ok(Outcome::LastGrant(grant, Limit::Credit)) if grant.paid_s == Some(126))
    );
    // Ended 20 ms late: still no more than was paid ahead.
    let settlement = settled(ledger.apply(start(), settle("a", Some(MICRO_A_SECOND), 127)));
    assert_eq!((settlement.billed_s, settlement.amount, credit(&ledger)), (126, Micros(126), 4));
    assert_sound(&ledger);
}

#[test]
fn a_bundle_that_ends_inside_a_call_passes_over_to_credit() {
    let mut ledger = ledger(1, 1, 1, 100, 0);
    let bundle = Account::Bundle { profile: PROFILE, period: 1 };
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(COVERED)))), Some(60));
    assert_eq!(ledger.books().balance(bundle).reserved, 60);
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 50))), Some(120));
    let settlement = settled(ledger.apply(start(), settle("a", Some(COVERED), 90)));
    assert_eq!((settlement.billed_s, settlement.bundle_s, settlement.amount), (90, 60, Micros(30)));
    assert_eq!((ledger.books().balance(bundle).balance, credit(&ledger)), (0, 70));
    assert_sound(&ledger);
}

/// A ledger on which the company pays when bundles are used up: one channel with one bundle of a minute.
fn overflowing(profile: i64, company: i64) -> LedgerState {
    let mut ledger = ledger(1, 1, 1, profile, company);
    ledger.set_policy(ReservePolicy { bundle_overflow: Payer::Company, ..ReservePolicy::default() });
    ledger
}

#[test]
fn a_used_up_bundle_is_followed_by_the_companys_credit_where_the_operator_says_so() {
    let mut ledger = overflowing(100, 80);
    let of = |ledger: &LedgerState, account| ledger.books().balance(account).balance;
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(COVERED)))), Some(60));
    assert_eq!(of(&ledger, Account::Company(COMPANY)), 80, "the bundle pays");
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 50))), Some(120));
    assert_eq!(of(&ledger, Account::Company(COMPANY)), 20);
    let settlement = settled(ledger.apply(start(), settle("a", Some(COVERED), 90)));
    assert_eq!((settlement.bundle_s, settlement.amount), (60, Micros(30)));
    assert_eq!(
        (of(&ledger, Account::Company(COMPANY)), credit(&ledger)),
        (50, 100),
        "what was not needed is back"
    );
    // A later call before the renewal, and one that no bundle covers.
    assert_eq!(paid_s(ledger.apply(start(), reserve("b", Some(COVERED)))), Some(48));
    settled(ledger.apply(start(), settle("b", Some(COVERED), 48)));
    let refused = ledger.apply(start(), reserve("c", Some(COVERED)));
    let available = Micros(2);
    assert_eq!(refused, Err(Refusal::InsufficientCompanyCredit { needed: Micros(30), available }));
    assert_eq!(paid_s(ledger.apply(start(), reserve("d", Some(MICRO_A_SECOND)))), Some(60));
    assert_eq!((of(&ledger, Account::Company(COMPANY)), credit(&ledger)), (2, 100));
    assert_sound(&ledger);
}

#[test]
fn without_a_bundle_nothing_overflows_and_a_running_call_keeps_its_payer() {
    let mut none = ledger(1, 0, 0, 60, 500);
    none.set_policy(ReservePolicy { bundle_overflow: Payer::Company, ..ReservePolicy::default() });
    assert_eq!(paid_s(none.apply(start(), reserve("a", Some(COVERED)))), Some(60));
    assert!(matches!(none.apply(start(), extend("a", 50)), Ok(Outcome::LastGrant(..))), "the profile pays");

    let mut ledger = overflowing(0, 500);
    paid_s(ledger.apply(start(), reserve("a", Some(COVERED))));
    ledger.set_policy(ReservePolicy::default());
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 50))), Some(120), "the company pays on");
    ledger.apply(start(), LedgerOp::Answer { call: call("a"), at: start(), known: None }).unwrap();
    ledger.apply(start(), extend("a", 110)).unwrap();
    settled(ledger.apply(start(), LedgerOp::Expire { call: call("a") }));
    assert_eq!(ledger.books().balance(Account::Company(COMPANY)).balance, 446, "54 s beyond the minute");
    assert_eq!(credit(&ledger), 0);
    assert_sound(&ledger);
}

#[test]
fn a_bundle_needs_no_credit_and_is_not_for_other_numbers() {
    let mut ledger = ledger(2, 1, 5_000, 0, 0);
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(COVERED)))), Some(60));
    let refused = ledger.apply(start(), reserve("b", Some(MICRO_A_SECOND)));
    assert!(matches!(refused, Err(Refusal::InsufficientCredit { .. })));
}

#[test]
fn the_call_over_the_limit_is_refused_in_either_direction_and_frees_as_calls_end() {
    let mut ledger = ledger(2, 0, 0, 1_000, 0);
    paid_s(ledger.apply(start(), reserve("a", None)));
    paid_s(ledger.apply(start(), reserve("b", Some(MICRO_A_SECOND))));
    for tariff in [None, Some(MICRO_A_SECOND)] {
        assert_eq!(ledger.apply(start(), reserve("c", tariff)), Err(Refusal::NoFreeChannel { channels: 2 }));
    }
    settled(ledger.apply(start(), settle("b", Some(MICRO_A_SECOND), 10)));
    paid_s(ledger.apply(start(), reserve("c", None)));
    assert_sound(&ledger);
}

#[test]
fn every_operation_on_a_call_can_be_repeated() {
    let mut ledger = ledger(1, 0, 0, 1_000, 0);
    let tariff = Some(MICRO_A_SECOND);
    for _ in 0..3 {
        assert_eq!(paid_s(ledger.apply(start(), reserve("a", tariff))), Some(60));
        assert_eq!(
            ledger.apply(start(), LedgerOp::Answer { call: call("a"), at: start(), known: None }),
            Ok(Outcome::Answered)
        );
    }
    for _ in 0..3 {
        assert_eq!(settled(ledger.apply(start(), settle("a", tariff, 40))).amount, Micros(42));
    }
    let void = LedgerOp::Void { call: call("a"), record: Box::new(record(tariff, None)) };
    assert_eq!(settled(ledger.apply(start(), void)).amount, Micros(42), "the first end counts");
    assert_eq!(settled(ledger.apply(start(), LedgerOp::Expire { call: call("a") })).amount, Micros(42));
    for late in
        [reserve("a", tariff), extend("a", 1), LedgerOp::Answer { call: call("a"), at: start(), known: None }]
    {
        assert_eq!(ledger.apply(start(), late), Err(Refusal::CallIsOver(call("a"))));
    }
    assert_eq!((credit(&ledger), ledger.cdrs().len()), (958, 1));
    assert_sound(&ledger);
}

#[test]
fn a_refused_attempt_is_recorded_without_charge_and_a_voided_one_frees_everything() {
    let mut ledger = ledger(1, 0, 0, 1_000, 0);
    let tariff = Some(MICRO_A_SECOND);
    assert_eq!(settled(ledger.apply(start(), settle("never reserved", tariff, 40))).amount, Micros::ZERO);
    paid_s(ledger.apply(start(), reserve("a", tariff)));
    // A CANCEL that crossed the answer: answered, but never billed.
    let void = LedgerOp::Void { call: call("a"), record: Box::new(record(tariff, Some(2))) };
    assert_eq!(settled(ledger.apply(start(), void)).amount, Micros::ZERO);
    assert_eq!(
        (credit(&ledger), ledger.cdrs().len(), ledger.books().channels_in_use(PROFILE)),
        (1_000, 2, 0)
    );
    assert_sound(&ledger);
}

#[test]
fn recharges_in_mid_call_and_stops_when_the_company_is_empty() {
    let mut ledger = ledger(1, 0, 0, 70, 100);
    let recharge = Recharge { threshold: Micros(20), amount: Micros(100) };
    ledger.apply(start(), LedgerOp::SetRecharge { profile: PROFILE, recharge: Some(recharge) }).unwrap();
    assert_eq!(paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND)))), Some(60));
    assert_eq!(ledger.books().balance(Account::Company(COMPANY)).balance, 0, "70 - 60 is below 20");
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 50))), Some(120));
    assert_eq!(paid_s(ledger.apply(start(), extend("a", 110))), Some(168));
    assert!(matches!(ledger.apply(start(), extend("a", 160)), Ok(Outcome::LastGrant(_, Limit::Credit))));
    assert_sound(&ledger);
}

#[test]
fn without_a_paid_subscription_there_are_no_calls() {
    let mut ledger = ledger(1, 1, 5_000, 1_000, 0);
    let lapsed = start().plus_days(30).plus_s(3_600);
    assert_eq!(ledger.apply(lapsed, reserve("a", None)), Err(Refusal::NotActive(Standing::Lapsed)));
    let other = ProfileId(2);
    ledger.apply(start(), LedgerOp::OpenProfile { profile: other, company: COMPANY }).unwrap();
    let attempt = Box::new(attempt(None));
    let reserve = LedgerOp::Reserve { call: call("b"), profile: other, attempt };
    assert_eq!(ledger.apply(start(), reserve), Err(Refusal::NotActive(Standing::NotSubscribed)));
}

#[test]
fn a_new_subscription_refunds_the_old_one_and_begins_its_own_minutes() {
    let mut ledger = ledger(1, 1, 100, 0, 100_000_000);
    paid_s(ledger.apply(start(), reserve("a", Some(COVERED))));
    let prices = Box::new(PriceList { bundle_minutes: 100, ..PriceList::default() });
    let order = Order { channels: 2, bundles: 1 };
    let half = start().plus_days(15);
    let outcome = ledger.apply(half, LedgerOp::Subscribe { profile: PROFILE, order, prices }).unwrap();
    let Outcome::Subscribed { refund, subscription } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (refund, subscription.period),
        (Micros::from_cents(1_500 + 347).checked_add(Micros(5_000)).unwrap(), 2)
    );
    // The old period keeps only what the running call holds; what that call leaves does not slip into the new one.
    assert_eq!(ledger.books().balance(Account::Bundle { profile: PROFILE, period: 1 }).balance, 60);
    assert_eq!(settled(ledger.apply(half, settle("a", Some(COVERED), 30))).bundle_s, 30);
    assert_eq!(ledger.books().balance(Account::Bundle { profile: PROFILE, period: 1 }).balance, 0);
    assert_eq!(ledger.books().balance(Account::Bundle { profile: PROFILE, period: 2 }).balance, 6_000);
    assert_sound(&ledger);
}

#[test]
fn credit_that_live_calls_hold_cannot_be_taken_back() {
    let mut ledger = ledger(1, 0, 0, 100, 0);
    paid_s(ledger.apply(start(), reserve("a", Some(MICRO_A_SECOND))));
    let take = |amount| LedgerOp::TakeBack { profile: PROFILE, amount };
    let refused = ledger.apply(start(), take(Some(Micros(41))));
    assert_eq!(refused, Err(Refusal::NothingToTakeBack { available: Micros(40) }));
    ledger.apply(start(), take(None)).unwrap();
    assert_eq!((credit(&ledger), ledger.books().balance(Account::Company(COMPANY)).balance), (60, 40));
    assert!(ledger.apply(start(), take(None)).is_err());
    assert_sound(&ledger);
}

#[test]
fn amounts_that_are_not_above_zero_or_too_large_are_refused() {
    let mut ledger = ledger(1, 0, 0, 0, 0);
    for amount in [0, -1, i64::MIN, i64::MAX, i64::MAX / 2] {
        let top_up = LedgerOp::TopUp { company: COMPANY, amount: Micros(amount), note: String::new() };
        assert_eq!(ledger.apply(start(), top_up), Err(Refusal::BadAmount(Micros(amount))));
    }
    assert_sound(&ledger);
}

#[test]
fn after_a_crash_calls_are_settled_to_their_last_proved_second() {
    let mut ledger = ledger(3, 0, 0, 1_000, 0);
    for name in ["answered", "proved", "ringing"] {
        paid_s(ledger.apply(start(), reserve(name, Some(MICRO_A_SECOND))));
    }
    for name in ["answered", "proved"] {
        ledger.apply(start(), LedgerOp::Answer { call: call(name), at: start(), known: None }).unwrap();
    }
    paid_s(ledger.apply(start(), extend("proved", 50)));
    assert_eq!(ledger.settle_orphans(start().plus_s(500)), 3);
    let billed =
        |name: &str| ledger.cdrs().iter().find(|cdr| cdr.call == call(name)).unwrap().settlement.billed_s;
    assert_eq!((billed("answered"), billed("proved"), billed("ringing")), (30, 54, 0));
    assert_eq!((ledger.books().channels_in_use(PROFILE), credit(&ledger)), (0, 1_000 - 84));
    assert_eq!(ledger.settle_orphans(start()), 0);
    assert_sound(&ledger);
}
