//! Calls from a UDP address that may be forged: who asked for them, and who pays.

use std::time::Duration;

use provisioning_store::money::Micros;
use sip_core::message::{Message, Method};
use sip_core::refusal::Refusal;
use sip_core::types::{Doubt, Ending, Event, Leg};

use crate::agent::manner::{Act, Dial, Manner, ms, s};
use crate::faults::Fault;
use crate::provisioning::{
    ENGINEERING as ENGINEERING_ID, ENGINEERING_NUMBER, ESTONIA, FAR_AWAY, SALES as SALES_ID,
};
use crate::world::{ALPHA, ENGINEERING, SALES, STRANGER, Setting, World};

const UNCONFIRMED: Ending = Ending::Refused(Refusal::AnswerUnconfirmed);

/// A call of Engineering, which is known by its address, that nobody acknowledges; gives the call.
fn forged(world: &mut World) -> usize {
    world.dial(ENGINEERING, Dial::to(ESTONIA).from("+12025550199").never_acknowledged())
}

/// How the last call ended, how long after its answer, and what its profile paid.
fn outcome(world: &World) -> (Ending, Duration, i64) {
    let record = world.desk.books.records.last().expect("a record");
    let cdrs = world.desk.books.ledger.cdrs();
    let name = record.lease.to_string();
    let cdr = cdrs.iter().find(|cdr| cdr.call.as_str() == name).expect("it is in the books");
    (record.ending, record.duration(), cdr.settlement.amount.0)
}

/// The copies of the answer that were sent to Engineering.
fn answers_sent(world: &World) -> usize {
    let is_answer = |message: &Message| message.status() == 200 && *message.method() == Method::Invite;
    world.sent_to(ENGINEERING).filter(is_answer).count()
}

/// The goodbyes that were sent to Engineering.
fn goodbyes_sent(world: &World) -> usize {
    world.sent_to(ENGINEERING).filter(|message| message.is_request()).count()
}

#[test]
fn an_answer_that_nobody_hears_ends_the_call_after_four_seconds_and_costs_nothing() {
    let mut world = World::new();
    forged(&mut world);
    world.settle();
    assert_eq!(outcome(&world), (UNCONFIRMED, s(4), 0));
    let reason = world.agents[ALPHA].last_call().bye_reason.clone().unwrap_or_default();
    assert!(reason.contains(Refusal::AnswerUnconfirmed.sentence()), "{reason}");
    let told = |event: &&Event| matches!(event, Event::AnswerUnconfirmed { profile, .. } if *profile == Some(ENGINEERING_ID));
    assert_eq!(world.events.iter().filter(told).count(), 1);
}

#[test]
fn whoever_never_asked_gets_few_copies_of_the_answer_and_one_goodbye() {
    let mut world = World::new();
    forged(&mut world);
    world.run(s(31));
    assert_eq!(
        (answers_sent(&world), goodbyes_sent(&world)),
        (6, 0),
        "no BYE before the transaction is over"
    );
    world.settle();
    assert_eq!((answers_sent(&world), goodbyes_sent(&world)), (7, 1));
}

#[test]
fn whoever_hears_the_answer_only_when_the_call_is_over_acknowledges_it_and_is_told_goodbye() {
    for callee_hangs_up in [false, true] {
        let mut world = World::new();
        if callee_hangs_up {
            world.teach(ALPHA, Manner::polite().then(ms(700), Act::HangUp));
        }
        let call = world.dial(ENGINEERING, Dial::to(ESTONIA).from("+12025550199"));
        let answered = |world: &World| answers_sent(world) > 0;
        world.run(ms(1_000));
        assert!(!answered(&world));
        world.network.cut(world.agents[ENGINEERING].address.ip());
        assert!(world.run_until(s(10), answered));
        world.run(s(6));
        world.network.mend(world.agents[ENGINEERING].address.ip());
        world.settle();
        let agent = &world.agents[ENGINEERING];
        assert_eq!(agent.calls[call].statuses, [100, 180, 200]);
        assert_eq!(agent.requests(Method::Bye).count(), 1);
        let reason = agent.calls[call].bye_reason.clone().unwrap_or_default();
        assert!(reason.contains(Refusal::AnswerUnconfirmed.sentence()), "{reason}");
        let (ending, _, amount) = outcome(&world);
        assert_eq!((ending, amount), (UNCONFIRMED, 0));
    }
}

#[test]
fn media_from_where_the_caller_says_that_it_is_shows_that_it_is_there() {
    let mut world = World::new();
    let call = forged(&mut world);
    world.run(s(3));
    world.speak(ENGINEERING, call);
    world.settle();
    let (ending, lasted, amount) = outcome(&world);
    assert_eq!((ending, lasted), (Ending::Refused(Refusal::NoAck), s(32)));
    assert!(amount > 0, "it is charged as always");
}

#[test]
fn media_from_anywhere_else_shows_nothing() {
    let mut world = World::new();
    let call = forged(&mut world);
    world.run(s(3));
    let told = world.agents[ENGINEERING].calls[call].remote_media.clone().unwrap();
    for _ in 0..10 {
        world.spray(world.agents[STRANGER].address, told.rtp_port);
    }
    world.settle();
    assert_eq!(outcome(&world), (UNCONFIRMED, s(4), 0));
}

#[test]
fn a_goodbye_of_the_caller_is_a_sign_of_it_and_one_of_the_callee_is_none() {
    let mut world = World::new();
    let call = forged(&mut world);
    world.run(s(3));
    world.act(ENGINEERING, call, Act::HangUpRudely);
    world.settle();
    let (ending, _, amount) = outcome(&world);
    assert!(matches!(ending, Ending::HungUp(_)) && amount > 0, "{ending:?} {amount}");

    let mut world = World::new();
    world.teach(ALPHA, Manner::polite().then(s(2), Act::HangUp));
    forged(&mut world);
    world.settle();
    let (ending, lasted, amount) = outcome(&world);
    assert_eq!((ending, amount), (UNCONFIRMED, 0));
    assert!(lasted < s(4), "{lasted:?}");
}

/// The callee hangs up at once, before the caller's ACK can have come.
#[test]
fn a_caller_whose_callee_hangs_up_at_once_pays_once_it_has_shown_that_it_is_there() {
    for (lost_ack, ending_told) in [(false, Ending::HungUp(Leg::Callee)), (true, UNCONFIRMED)] {
        let mut world = World::new();
        world.teach(ALPHA, Manner::polite().then(ms(0), Act::HangUpRudely));
        let dial = Dial::to(ESTONIA).from("+12025550199");
        let call = world.dial(ENGINEERING, if lost_ack { dial.never_acknowledged() } else { dial });
        world.settle();
        let (ending, lasted, amount) = outcome(&world);
        assert_eq!(ending, ending_told);
        assert_eq!(amount > 0, !lost_ack);
        assert!(lasted < s(1), "the call was over when the callee hung up, not {lasted:?} later");
        assert_eq!(world.agents[ENGINEERING].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.agents[ENGINEERING].requests(Method::Bye).count(), 1);
        assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 0);
    }
}

/// Calls that end so do not use up what a profile may have of unconfirmed calls.
#[test]
fn callees_that_hang_up_at_once_do_not_put_the_callers_address_in_doubt() {
    let mut world = World::new();
    for _ in 0..25 {
        world.teach(ALPHA, Manner::polite().then(ms(0), Act::HangUpRudely));
        let call = world.dial(ENGINEERING, Dial::to(FAR_AWAY).from("+12025550199"));
        world.run(s(3));
        assert_eq!(world.agents[ENGINEERING].calls[call].statuses, [100, 180, 200]);
    }
    world.settle();
}

#[test]
fn whoever_acknowledges_late_pays_from_the_answer_on() {
    let mut world = World::new();
    let call = world.dial(ENGINEERING, Dial::to(ESTONIA).from("+12025550199").then(s(60), Act::HangUp));
    // The first three answers are lost.
    world.run(ms(1_000));
    world.network.cut(world.agents[ENGINEERING].address.ip());
    world.run(s(3));
    world.network.mend(world.agents[ENGINEERING].address.ip());
    world.settle();
    assert_eq!(world.agents[ENGINEERING].calls[call].statuses.last(), Some(&200));
    let (ending, lasted, amount) = outcome(&world);
    assert!(matches!(ending, Ending::HungUp(_)) && lasted > s(60) && amount > 0, "{ending:?} {lasted:?}");
}

#[test]
fn a_crash_before_any_sign_of_the_caller_leaves_no_charge() {
    for (ack, is_charged) in [(false, false), (true, true)] {
        let mut world = World::new();
        let dial = Dial::to(ESTONIA).from("+12025550199");
        world.dial(ENGINEERING, if ack { dial } else { dial.never_acknowledged() });
        world.run(s(3));
        let credit = world.credit(ENGINEERING_ID);
        world.befall(Fault::GatewayDies);
        assert_eq!(world.credit(ENGINEERING_ID) < credit, is_charged);
        let cut = world.desk.books.ledger.cdrs().last().expect("the call is on record").record.ending.clone();
        // What is known of an answer is known once it is believed.
        assert_eq!(!cut.caller_call_id.is_empty() && !cut.callee_call_id.is_empty(), is_charged, "{cut:?}");
    }
}

#[test]
fn an_outage_of_the_store_changes_nothing_of_it() {
    let mut world = World::new();
    forged(&mut world);
    world.run(ms(500));
    world.befall(Fault::StoreFails(s(30)));
    world.settle();
    assert_eq!(outcome(&world), (UNCONFIRMED, s(4), 0));
}

#[test]
fn a_caller_that_proved_its_password_is_charged_as_always() {
    let mut world = World::new();
    world.dial(SALES, Dial::to(ESTONIA).never_acknowledged());
    world.settle();
    let (ending, lasted, amount) = outcome(&world);
    assert_eq!((ending, lasted), (Ending::Refused(Refusal::NoAck), s(32)));
    assert!(amount > 0);
    assert_eq!(world.desk.books.records[0].profile, Some(SALES_ID));
}

#[test]
fn a_carriers_call_that_nobody_acknowledges_ends_as_soon() {
    let mut world = World::new();
    world.dial(ALPHA, Dial::to(ENGINEERING_NUMBER).never_acknowledged());
    world.settle();
    assert_eq!(outcome(&world), (UNCONFIRMED, s(4), 0));
}

#[test]
fn after_so_many_of_them_calls_from_there_have_to_prove_a_password() {
    let mut world =
        World::of(Setting { channels: 30, credit: Micros::from_units(1_000), ..Setting::clear(1) });
    let calls: Vec<_> = (0..20).map(|_| forged(&mut world)).collect();
    world.run(s(3));
    let beyond = forged(&mut world);
    world.run(s(5));
    assert_eq!(world.agents[ENGINEERING].calls[beyond].statuses, [407]);
    let last = world.agents[ENGINEERING].calls[*calls.last().unwrap()].statuses.clone();
    assert!(!last.contains(&407), "{last:?}");
    let doubted = |event: &&Event| matches!(event, Event::OwnerDoubted { doubt: Doubt::Unconfirmed, .. });
    assert_eq!(world.events.iter().filter(doubted).count(), 1);
    // Calls that show a sign cost nothing of it, and half a minute later one more is let in.
    world.run(s(60));
    for _ in 0..3 {
        world.dial(ENGINEERING, Dial::to(ESTONIA).from("+12025550199").then(s(1), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[ENGINEERING].last_call().statuses, [100, 180, 200]);
    }
    world.settle();
}
