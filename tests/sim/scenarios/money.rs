//! Calls within what is paid.

use provisioning_store::money::Micros;
use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Manner, ms, s};
use crate::desk::Pace;
use crate::provisioning::{self, ESTONIA, FAR_AWAY};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

fn with_credit(micros: i64) -> World {
    World::of(Setting { credit: Micros(micros), ..Setting::clear(1) })
}

#[test]
fn a_call_is_extended_while_it_lasts_and_ends_at_the_last_paid_second() {
    // At 1.00 a minute 3.05 pay 183 s; the step of six makes 180 s of them.
    let mut world = with_credit(3_050_000);
    let call = world.dial(SALES, Dial::to(ESTONIA));
    world.settle();
    let record = &world.desk.books.records[0];
    assert_eq!(record.ending, Ending::Refused(Refusal::CreditExhausted));
    assert_eq!(record.duration(), s(180));
    assert_eq!(world.credit(provisioning::SALES).0, 50_000);
    for (agent, call) in [(SALES, call), (ALPHA, 0)] {
        let reason = world.agents[agent].calls[call].bye_reason.clone().unwrap();
        assert!(reason.contains("402"), "{reason}");
    }
}

#[test]
fn calls_at_the_same_time_share_what_there_is_and_never_overdraw_it() {
    let mut world = World::of(Setting { credit: Micros(2_000_000), channels: 4, ..Setting::clear(1) });
    for _ in 0..4 {
        world.dial(SALES, Dial::to(ESTONIA));
    }
    world.settle();
    assert!(world.credit(provisioning::SALES).0 < 100_000, "the rest pays a step of six");
    let talked: u64 = world.desk.books.records.iter().map(|record| record.duration().as_secs()).sum();
    assert_eq!(talked, 120, "two minutes were paid");
}

#[test]
fn bundle_minutes_come_first_and_credit_goes_on_in_the_same_call() {
    let mut world = World::new();
    world.dial(ENGINEERING, Dial::to(FAR_AWAY).then(s(150), Act::HangUp));
    world.settle();
    let cdr = &world.desk.books.ledger.cdrs()[0];
    assert_eq!(cdr.settlement.bundle_s, 120);
    assert_eq!(cdr.settlement.billed_s, 156);
    assert_eq!(cdr.settlement.amount.0, 4_800);
}

#[test]
fn books_that_fall_silent_in_a_call_end_it_where_the_paid_time_ends() {
    let mut world = with_credit(10_000_000);
    world.dial(SALES, Dial::to(ESTONIA));
    world.run(s(10));
    world.desk.books_pace = Pace::Mute;
    world.settle();
    assert_eq!(world.desk.books.records[0].duration(), s(60));
}

#[test]
fn a_relay_that_falls_silent_at_the_answer_ends_the_call_unbilled() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(ms(500));
    world.desk.studio_pace = Pace::Mute;
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 500]);
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn books_that_never_answer_refuse_the_call_and_hold_nothing() {
    let mut world = World::new();
    world.desk.books_pace = Pace::Mute;
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 503]);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::StoreUnavailable));
    assert_eq!(world.agents[ALPHA].calls.len(), 0);
}

#[test]
fn a_call_that_rings_and_is_never_answered_costs_nothing() {
    let mut world = with_credit(500_000);
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(ESTONIA));
    world.settle();
    assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), 480);
    assert_eq!(world.credit(provisioning::SALES).0, 500_000);
}
