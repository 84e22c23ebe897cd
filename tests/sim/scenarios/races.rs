//! Lost ACKs, lost and crossing BYEs, several To tags, repetitions.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Devices, Dial, Duty, Manner, ms, s};
use crate::faults::Fault;
use crate::network::Weather;
use crate::provisioning::{self, FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

#[test]
fn a_2xx_is_repeated_until_its_ack_comes() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
    assert!(world.run_until(s(5), |world| world.agents[SALES].calls[call].statuses.contains(&200)));
    // The ACK is on its way, but does not arrive.
    let address = world.agents[SALES].address.ip();
    world.lose_what_is_on_its_way();
    world.network.cut(address);
    world.run(ms(300));
    world.network.mend(address);
    world.run(s(5));
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(sip_core::types::Leg::Caller));
}

#[test]
fn a_2xx_that_is_never_acknowledged_ends_the_call_after_32_seconds() {
    let mut world = World::new();
    world.dial(SALES, Dial::to(FAR_AWAY).never_acknowledged());
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoAck));
    assert_eq!(world.agents[SALES].requests(Method::Bye).count(), 1);
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
}

#[test]
fn a_callee_that_hangs_up_before_the_callers_ack_waits_for_it() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::polite().then(s(1), Act::HangUp));
    let call = world.dial(SALES, Dial::to(FAR_AWAY).never_acknowledged());
    world.run(s(10));
    // RFC 3261 section 15: no BYE before the ACK to the 2xx, or the end of the wait for it.
    assert_eq!(world.agents[SALES].requests(Method::Bye).count(), 0);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].state, crate::agent::State::Over);
    assert_eq!(world.agents[SALES].requests(Method::Bye).count(), 1);
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::HangUp);
    world.act(ALPHA, 0, Act::HangUp);
    world.settle();
    for agent in [SALES, ALPHA] {
        assert_eq!(world.agents[agent].calls[0].others, [(Method::Bye, 200)]);
    }
}

#[test]
fn a_bye_that_is_never_answered_does_not_keep_the_call() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { answers_bye: Duty::Neglected, ..Manner::polite() });
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(10));
    let record = &world.desk.books.records[0];
    assert!(record.duration() < s(6));
    world.settle();
}

#[test]
fn a_bye_that_is_lost_is_sent_again() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::HangUp);
    world.lose_what_is_on_its_way();
    world.run(s(2));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    world.settle();
}

#[test]
fn one_device_may_ring_and_another_answer() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { devices: Devices::RingsHereAnswersThere, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1, "the BYE had the wrong tag");
}

#[test]
fn a_second_device_that_answers_is_acknowledged_and_hung_up() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { devices: Devices::TwoAnswer, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1, "the second device's");
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    world.settle();
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 2);
    assert_eq!(world.desk.books.records.len(), 1);
}

#[test]
fn a_second_device_that_answers_when_the_call_is_over_is_hung_up_too() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { devices: Devices::TwoAnswer, ..Manner::polite() });
    // The second answer comes 30 ms after the first; by then the caller has hung up.
    world.dial(SALES, Dial::to(FAR_AWAY).then(ms(0), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 2);
    assert_eq!(world.agents[ALPHA].requests(Method::Ack).count(), 2);
}

#[test]
fn repetitions_are_absorbed_and_answered_as_before() {
    let weather = Weather { duplicates: 100, ..Weather::clear() };
    let mut world = World::of(Setting { weather, ..Setting::clear(1) });
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls.len(), 2, "one each way");
    assert_eq!(world.desk.books.records.len(), 2);
    assert_eq!(world.agents[SALES].statuses(Method::Bye), [200]);
}

#[test]
fn an_ack_that_comes_again_changes_nothing() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
    world.run(s(3));
    for _ in 0..5 {
        world.act(SALES, call, Act::AcknowledgeAgain);
    }
    world.run(s(5));
    assert_eq!(world.gateway.live_calls().len(), 1);
    assert_eq!(world.agents[ALPHA].requests(Method::Ack).count(), 1);
    world.settle();
    assert_eq!(world.agents[SALES].statuses(Method::Bye), [200]);
}

#[test]
fn a_callee_whose_2xx_was_lost_and_who_says_goodbye_leaves_nothing_behind() {
    // Found by storm 291.
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(ms(500));
    world.befall(Fault::CutOff(ALPHA, s(34)));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480]);
    assert_eq!(world.agents[ALPHA].calls[0].others, [(Method::Bye, 200)]);
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}
