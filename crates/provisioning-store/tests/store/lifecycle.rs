//! A profile's whole life, one test a rule, on maps and on a database.

use provisioning_store::ledger::{Account, Closing, Held, LedgerOp, Outcome, Refusal};
use provisioning_store::lifecycle::{Renewal, Standing};
use provisioning_store::money::Micros;

use crate::both::Both;
use crate::world::*;

const CANCEL: LedgerOp = LedgerOp::CancelSubscription { profile: PROFILE };
const EXTEND: LedgerOp = LedgerOp::ExtendSubscription { profile: PROFILE };
const DELETE: LedgerOp = LedgerOp::CloseProfile { profile: PROFILE, closing: Closing::Asked };

fn cents(cents: i32) -> Micros {
    Micros::from_cents(cents)
}

#[tokio::test]
async fn a_profile_without_a_subscription_waits_for_ever() {
    let mut both = Both::with_credit(10).await;
    assert_eq!(both.do_due(start().plus_days(4_000)).await, 0);
    let refused = both.apply(start(), reserve("a", None)).await;
    assert_eq!(refused, Err(Refusal::NotActive(Standing::NotSubscribed)));
    both.subscribe(start().plus_days(4_000), 1, 0).await.unwrap();
    assert!(both.apply(start().plus_days(4_000), reserve("a", None)).await.is_ok());
}

#[tokio::test]
async fn a_subscription_renews_every_thirty_days_from_company_credit() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 1).await.unwrap();
    assert_eq!(both.do_due(start().plus_days(30).plus_s(-1)).await, 0);
    assert_eq!(both.do_due(start().plus_days(30)).await, 1);
    assert_eq!(both.credit(), cents(10_000 - 2 * 3_695), "one channel and one bundle are one payment");
    let renewed = both.subscription();
    assert_eq!((renewed.period, renewed.paid_until), (2, start().plus_days(60)));
    let bundle = |period| both.oracle.books().balance(Account::Bundle { profile: PROFILE, period }).balance;
    assert_eq!((bundle(1), bundle(2)), (0, 300_000), "unused minutes do not roll over");
    assert_eq!(both.do_due(start().plus_days(30)).await, 0, "a period is billed once");
}

#[tokio::test]
async fn without_credit_a_subscription_lapses_and_the_profile_stops_working() {
    let mut both = Both::with_credit(7).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    let end = start().plus_days(30);
    assert!(both.apply(end, reserve("late", None)).await.is_ok(), "the renewal may come a little later");
    both.do_due(end).await;
    assert_eq!((both.renewal(), both.credit()), (Renewal::Unpaid, cents(5)));
    let refused = both.apply(end, reserve("a", None)).await;
    assert_eq!(refused, Err(Refusal::NotActive(Standing::Lapsed)));
    settled(both.apply(end, settle("late", None, 9)).await);
    for op in [CANCEL, EXTEND] {
        assert_eq!(both.apply(end, op).await, Err(Refusal::NotActive(Standing::Lapsed)));
    }
}

#[tokio::test]
async fn weeks_without_a_scheduler_are_billed_period_by_period_until_credit_ends() {
    let mut both = Both::with_credit(21).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    assert_eq!(both.do_due(start().plus_days(100)).await, 3, "two renewals and a lapse");
    let subscription = both.subscription();
    assert_eq!((subscription.period, subscription.paid_until), (3, start().plus_days(90)));
    assert_eq!((subscription.renewal, both.credit()), (Renewal::Unpaid, cents(2_100 - 3 * 695)));
}

#[tokio::test]
async fn a_clock_set_back_bills_nothing_again() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.do_due(start().plus_days(30)).await;
    let op = LedgerOp::CompletePeriod { profile: PROFILE, period: 1, prices: Box::default() };
    for days in [29, 30, 31] {
        assert_eq!(both.do_due(start().plus_days(days)).await, 0);
        assert_eq!(both.done(start().plus_days(days), op.clone()).await, Outcome::NotDue);
    }
    assert_eq!(both.credit(), cents(10_000 - 2 * 695));
}

#[tokio::test]
async fn cancelled_runs_to_its_paid_end_and_bundles_end_with_it() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 1).await.unwrap();
    both.done(start().plus_days(3), CANCEL).await;
    assert!(both.apply(start().plus_days(29), reserve("a", Some(COVERED))).await.is_ok());
    settled(both.apply(start().plus_days(29), settle("a", Some(COVERED), 9)).await);
    both.do_due(start().plus_days(30)).await;
    assert_eq!((both.renewal(), both.credit()), (Renewal::Expired, cents(10_000 - 3_695)));
    let bundle = Account::Bundle { profile: PROFILE, period: 1 };
    assert_eq!(both.oracle.books().balance(bundle).balance, 0);
    let refused = both.apply(start().plus_days(30), reserve("b", None)).await;
    assert_eq!(refused, Err(Refusal::NotActive(Standing::Lapsed)));
}

#[tokio::test]
async fn extended_before_its_end_it_renews_on_its_old_date() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.done(start().plus_days(3), CANCEL).await;
    both.done(start().plus_days(29), EXTEND).await;
    assert_eq!(both.renewal(), Renewal::Automatic);
    both.do_due(start().plus_days(30)).await;
    assert_eq!((both.subscription().period, both.credit()), (2, cents(10_000 - 2 * 695)));
}

#[tokio::test]
async fn disabled_for_ninety_days_then_deleted_and_its_credit_returns() {
    let mut both = Both::with_credit(20).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.done(start(), LedgerOp::Allocate { profile: PROFILE, amount: Micros::from_units(10) }).await;
    both.done(start(), CANCEL).await;
    both.do_due(start().plus_days(30)).await;
    assert_eq!(both.do_due(start().plus_days(120).plus_s(-1)).await, 0);
    assert!(both.is_open(PROFILE));
    assert_eq!(both.do_due(start().plus_days(120)).await, 1);
    assert!(!both.is_open(PROFILE));
    assert_eq!(both.credit(), cents(2_000 - 695));
    assert_eq!(both.apply(start(), CANCEL).await, Err(Refusal::UnknownProfile(PROFILE)));
}

#[tokio::test]
async fn a_disabled_profile_is_reactivated_by_buying_and_bills_from_that_day() {
    let mut both = Both::with_credit(20).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.done(start(), CANCEL).await;
    both.do_due(start().plus_days(30)).await;
    let close = LedgerOp::CloseProfile { profile: PROFILE, closing: Closing::Disabled { period: 1 } };
    let back = start().plus_days(119);
    both.subscribe(back, 1, 0).await.unwrap();
    assert_eq!(both.done(start().plus_days(120), close).await, Outcome::NotDue, "it was quicker");
    assert_eq!((both.subscription().period, both.subscription().paid_until), (2, back.plus_days(30)));
    assert!(both.apply(back, reserve("a", None)).await.is_ok());
    assert_eq!(both.credit(), cents(2_000 - 2 * 695));
}

#[tokio::test]
async fn a_change_refunds_pro_rata_and_its_day_becomes_the_billing_day() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 2, 1).await.unwrap();
    let half = start().plus_days(15);
    let outcome = both.subscribe(half, 4, 0).await;
    let Ok(Outcome::Subscribed { subscription, refund }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(refund, cents(695 + 1_500), "half the channels and half the bundle");
    assert_eq!((subscription.paid_until, subscription.channels), (half.plus_days(30), 4));
    assert_eq!(both.credit(), cents(10_000 - 4_390 + 2_195 - 2_780));
}

#[tokio::test]
async fn bundle_minutes_that_are_only_on_hand_are_refunded() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 1).await.unwrap();
    both.done(start(), LedgerOp::Hold { profile: PROFILE, credit: Micros::ZERO, bundle_s: 150_000 }).await;
    let outcome = both.subscribe(start().plus_s(1), 2, 0).await;
    let Ok(Outcome::Subscribed { refund, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(refund > cents(3_690), "a second of the time was used and no minute: {refund}");
}

#[tokio::test]
async fn a_subscription_is_changed_once_a_day() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.subscribe(start().plus_s(60), 2, 0).await.unwrap();
    let evening = start().plus_days(1).plus_s(-1);
    assert_eq!(both.subscribe(evening, 3, 0).await, Err(Refusal::ChangedToday));
    both.subscribe(start().plus_days(1), 3, 0).await.unwrap();
    assert_eq!(both.subscription().channels, 3);
}

#[tokio::test]
async fn a_deleted_profiles_last_call_is_still_charged_and_the_rest_returns() {
    let mut both = Both::with_credit(100).await;
    both.subscribe(start(), 1, 0).await.unwrap();
    both.done(start(), LedgerOp::Allocate { profile: PROFILE, amount: Micros(1_000) }).await;
    both.done(start(), reserve("a", Some(MICRO_A_SECOND))).await;
    let hold = LedgerOp::Hold { profile: PROFILE, credit: Micros(500), bundle_s: 0 };
    both.done(start(), hold.clone()).await;
    let before = both.credit();
    both.done(start(), DELETE).await;
    assert_eq!(both.credit(), Micros(before.0 + 940), "all but what the call holds, what is on hand too");
    assert_eq!(both.apply(start(), reserve("b", None)).await, Err(Refusal::UnknownProfile(PROFILE)));
    assert_eq!(
        both.done(start(), hold).await,
        Outcome::OnHand(Held::default()),
        "a gateway that did not know"
    );
    assert_eq!(settled(both.apply(start(), settle("a", Some(MICRO_A_SECOND), 31)).await).amount, Micros(36));
    assert_eq!(both.credit(), Micros(before.0 + 964));
    assert_eq!(both.oracle.cdrs()[0].record.profile, None, "its history goes");
    assert_eq!(both.oracle.books().balance(Account::Profile(PROFILE)).balance, 0);
}
