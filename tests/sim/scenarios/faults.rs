//! The gateway is killed, the store fails, a host is cut off, a clock jumps: what becomes of a call then.

use provisioning_store::money::Micros;
use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Leg};

use crate::agent::State;
use crate::agent::manner::{Act, Dial, Duty, Manner, ms, s};
use crate::desk::Pace;
use crate::faults::Fault;
use crate::provisioning::{self, ECHO, ESTONIA, FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, BETA, SALES, Setting, World};

/// A call to where a minute costs 1.00, up for ten seconds.
fn dear_call() -> (World, usize) {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ESTONIA));
    world.run(s(11));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    (world, call)
}

fn spent(world: &World) -> i64 {
    10_000_000 - world.credit(provisioning::SALES).0
}

#[test]
fn a_killed_gateway_settles_what_it_left_behind_and_charges_nothing_twice() {
    let (mut world, _) = dear_call();
    world.befall(Fault::GatewayDies);
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 0, "a channel is not free again");
    let charged = spent(&world);
    assert!(charged <= 500_000, "{charged} for ten seconds: more than the shortest billed duration");
    world.settle();
    assert_eq!(spent(&world), charged, "charged again");
    assert_eq!(world.desk.books.ledger.cdrs().len(), 1);
}

#[test]
fn a_pbx_is_still_registered_after_the_gateway_was_killed() {
    let mut world = World::new();
    world.befall(Fault::GatewayDies);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
}

#[test]
fn a_gateway_killed_at_any_step_of_a_call_leaves_sound_books() {
    let steps_of_a_call = {
        let mut world = World::new();
        let begun = world.steps;
        world.dial(SALES, Dial::to(ESTONIA).then(s(8), Act::HangUp));
        world.run(s(12));
        world.steps - begun
    };
    for step in 0..steps_of_a_call {
        let mut world = World::new();
        world.dial(SALES, Dial::to(ESTONIA).then(s(8), Act::HangUp));
        let until = world.steps + step;
        world.run_until(s(12), |world| world.steps >= until);
        world.befall(Fault::GatewayDies);
        let again = world.dial(SALES, Dial::to(ECHO).then(s(2), Act::HangUp));
        world.settle();
        assert_eq!(*world.agents[SALES].calls[again].statuses.last().unwrap(), 200, "killed at step {step}");
        assert!(spent(&world) <= 500_000, "killed at step {step}");
    }
}

#[test]
fn an_extension_that_the_store_could_not_grant_is_asked_for_again() {
    let (mut world, call) = dear_call();
    world.run(s(30));
    // Within the first minute that is paid the store fails, and is back before that minute ends.
    world.befall(Fault::StoreFails(s(15)));
    world.run(s(40));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up, "ended though it could be paid");
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
}

#[test]
fn a_store_that_stays_away_ends_the_call_where_the_paid_time_ends() {
    let (mut world, _) = dear_call();
    world.befall(Fault::StoreFails(s(300)));
    world.settle();
    let record = &world.desk.books.records[0];
    assert_eq!(record.ending, Ending::Refused(Refusal::StoreUnavailable));
    assert_eq!(record.duration(), s(60));
    assert_eq!(spent(&world), 1_000_000, "what it was told while it failed is booked once it is back");
}

#[test]
fn while_the_store_fails_calls_are_refused_and_afterwards_taken_again() {
    let mut world = World::new();
    world.befall(Fault::StoreFails(s(20)));
    let refused = world.dial(SALES, Dial::to(FAR_AWAY));
    let incoming = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(21));
    assert_eq!(world.agents[SALES].calls[refused].statuses, [100, 503]);
    assert_eq!(world.agents[ALPHA].calls[incoming].statuses, [100, 503]);
    let again = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[again].statuses, [100, 180, 200]);
    assert_eq!(world.desk.books.ledger.cdrs().len(), 3, "every attempt has its record");
}

#[test]
fn a_slow_store_delays_calls_and_ends_none() {
    let mut world = World::new();
    world.desk.books_pace = Pace::After(4_000);
    let call = world.dial(SALES, Dial::to(ESTONIA).then(s(100), Act::HangUp));
    world.settle();
    assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), 200);
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
}

#[test]
fn a_clock_that_jumps_changes_no_duration() {
    for jump_s in [3_600, -3_600] {
        let (mut world, call) = dear_call();
        world.befall(Fault::ClockJumps(jump_s));
        world.run(s(20));
        world.act(SALES, call, Act::HangUp);
        world.settle();
        // 30 s and the ways: the step of six after 30 s.
        let talked = world.desk.books.records[0].duration();
        assert!((s(29)..s(31)).contains(&talked), "{talked:?}");
        assert_eq!(spent(&world), if talked > s(30) { 600_000 } else { 500_000 });
    }
}

#[test]
fn a_pbx_keeps_itself_registered_over_a_clock_that_jumps() {
    for jump_s in [7_200, -7_200] {
        let mut world = World::unregistered(Setting::clear(1));
        world.register(SALES, 120);
        world.befall(Fault::ClockJumps(jump_s));
        world.run(s(600));
        assert_eq!(world.gateway.counts().bindings, 1, "jumped by {jump_s} s");
        assert_eq!(world.agents[SALES].registration.as_ref().unwrap().statuses.last(), Some(&200));
    }
}

#[test]
fn a_call_outlives_a_network_that_is_away_for_a_while() {
    let (mut world, call) = dear_call();
    world.befall(Fault::CutOff(SALES, s(20)));
    world.run(s(25));
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
}

#[test]
fn a_call_whose_both_ends_are_gone_is_found_by_the_session_timer() {
    let mut world = World::of(Setting { session_s: Some(90), ..Setting::clear(1) });
    world.dial(SALES, Dial::to(ECHO));
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(10));
    world.befall(Fault::AgentDies(SALES, s(1_000)));
    world.befall(Fault::AgentDies(ALPHA, s(1_000)));
    world.run(s(90));
    assert_eq!(world.counts().live_calls(), 0);
    for record in &world.desk.books.records {
        assert_eq!(record.ending, Ending::Refused(Refusal::SessionExpired));
        assert!(record.duration() < s(80), "found after {:?}", record.duration());
    }
    world.run(s(1_000));
    world.settle();
}

#[test]
fn a_pbx_that_was_rebooted_knows_nothing_of_its_call_and_ends_it() {
    let mut world = World::of(Setting { session_s: Some(90), ..Setting::clear(1) });
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(10));
    world.befall(Fault::AgentDies(SALES, s(5)));
    world.run(s(60));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200], "it has registered anew");
}

#[test]
fn silence_of_the_media_ends_a_call_with_its_reason_and_exactly_once() {
    let (mut world, call) = dear_call();
    let (uid, now) = (world.gateway.live_calls()[0].call, world.present());
    world.gateway.end_call(now, uid, Refusal::MediaSilent);
    world.gateway.end_call(now, uid, Refusal::MediaSilent);
    world.flush();
    world.settle();
    assert_eq!(world.desk.books.records.len(), 1);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::MediaSilent));
    for (agent, call) in [(SALES, call), (ALPHA, 0)] {
        let reason = world.agents[agent].calls[call].bye_reason.clone().unwrap();
        assert!(reason.contains("media"), "{reason}");
    }
    assert_eq!(spent(&world), 500_000);
}

#[test]
fn a_pbx_that_never_acknowledges_a_refusal_holds_nothing_for_long() {
    let mut world = World::of(Setting { credit: Micros(0), ..Setting::clear(1) });
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.befall(Fault::CutOff(SALES, s(100)));
    world.run(s(200));
    world.settle();
}

#[test]
fn a_carrier_that_swallows_invites_costs_its_patience_and_nothing_else() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { trying: Duty::Neglected, ..Manner::silent() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(30), Act::HangUp));
    world.run(ms(8_500));
    assert_eq!(world.agents[BETA].calls.len(), 1, "the next carrier waits too long");
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(
        world.agents[ALPHA].requests(Method::Cancel).count(),
        0,
        "nothing provisional came, nothing to cancel"
    );
    let talked = world.desk.books.records[0].duration();
    assert!((s(29)..s(31)).contains(&talked), "billed for {talked:?}");
}
