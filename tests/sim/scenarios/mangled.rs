//! Whatever a callee answers, a call goes on or ends, both legs know which, and nobody is called again after an answer.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event};

use crate::agent::State;
use crate::agent::mangle::{Mangling, ODDITY_COUNT};
use crate::agent::manner::{Act, Dial, Early, EarlyMedia, Last, Manner, ms, s};
use crate::dice::Dice;
use crate::provisioning::{ENGINEERING_NUMBER, FAR_AWAY};
use crate::world::{ALPHA, BETA, ENGINEERING, SALES, STRANGER, Setting, World};

/// Rings in one way or another and answers, or refuses.
fn manner(dice: &mut Dice) -> Manner {
    let media = *dice.pick(&[EarlyMedia::None, EarlyMedia::Described]);
    let ring = Early::new(ms(100), *dice.pick(&[180, 183]), media);
    let last =
        if dice.hits(80) { Last::Answer(s(1)) } else { Last::Refuse(s(1), *dice.pick(&[404, 486, 603])) };
    let early = if dice.hits(70) { vec![ring] } else { Vec::new() };
    Manner { early, last, ..Manner::polite() }
}

/// One call to a carrier that mangles its responses; gives the world while the call is up, or over.
fn called(seed: u64, mangling: Mangling, manner: Manner) -> World {
    let mut world = World::of(Setting::clear(seed));
    world.teach(ALPHA, manner);
    world.agents[ALPHA].mangling = mangling;
    world.dial(
        SALES,
        Dial::to(FAR_AWAY)
            .then(s(20), Act::Reinvite(crate::agent::manner::Change::Hold))
            .then(s(40), Act::HangUp),
    );
    world.run(s(10));
    world
}

#[test]
fn an_odd_field_that_is_not_needed_harms_no_call() {
    for place in 0..ODDITY_COUNT {
        let mut world = called(1, Mangling::Oddity(place), Manner::polite());
        let caller = world.agents[SALES].last_call();
        assert_eq!(caller.statuses, [100, 180, 200], "oddity {place}");
        assert_eq!(world.agents[ALPHA].last_call().state, State::Up, "oddity {place}");
        assert_eq!(world.speak(SALES, 0), Some(world.agents[ALPHA].media_address(0)), "oddity {place}");
        world.settle();
        assert_eq!(world.agents[SALES].last_call().reinvites, [200], "oddity {place}");
        assert_eq!(world.agents[BETA].calls.len(), 0, "oddity {place}");
    }
}

#[test]
fn an_odd_field_in_a_refusal_keeps_it_from_nobody() {
    for place in 0..ODDITY_COUNT {
        let mut world = called(1, Mangling::Oddity(place), Manner::refusing(486));
        assert_eq!(world.agents[SALES].last_call().statuses, [100, 486], "oddity {place}");
        world.settle();
        assert_eq!(
            world.desk.books.records[0].ending,
            Ending::Refused(Refusal::CalleeBusy),
            "oddity {place}"
        );
    }
}

#[test]
fn odd_fields_of_every_kind_together_harm_no_call() {
    for seed in 1..=60 {
        let manner = manner(&mut Dice::new(seed));
        let is_answered = matches!(manner.last, Last::Answer(_));
        let mut world = called(seed, Mangling::Oddities, manner);
        let state = world.agents[SALES].last_call().state;
        assert_eq!(state, if is_answered { State::Up } else { State::Over }, "seed {seed}");
        assert_eq!(state, world.agents[ALPHA].last_call().state, "seed {seed}");
        world.settle();
        assert_eq!(world.agents[BETA].calls.len(), 0, "seed {seed}");
    }
}

#[test]
fn whatever_becomes_of_a_response_both_legs_end_and_nobody_is_called_twice() {
    let seeds = if crate::seed().is_some() { 1 } else { 300 };
    for seed in (crate::seed().unwrap_or(1)..).take(seeds) {
        let mut world = called(seed, Mangling::Octets, manner(&mut Dice::new(seed)));
        world.settle();
        for agent in [SALES, ALPHA, BETA] {
            let is_over = |call: &crate::agent::Call| call.state == State::Over;
            assert!(
                world.agents[agent].calls.iter().all(is_over),
                "a call goes on for one side, seed {seed}"
            );
        }
        let has_answered = world.agents[ALPHA].calls.iter().any(|call| call.answered.is_some());
        let is_called_again = world.agents[BETA].requests(Method::Invite).next().is_some();
        let is_garbled = world.agents[ALPHA].is_garbled;
        assert!(!has_answered || is_garbled || !is_called_again, "called twice after an answer, seed {seed}");
    }
}

#[test]
fn an_answer_whose_status_says_nothing_ends_the_call_on_both_legs() {
    let mut world = called(1, Mangling::Statusless, Manner { early: Vec::new(), ..Manner::polite() });
    assert_eq!(world.agents[SALES].last_call().statuses, [100, 502]);
    assert_eq!(world.agents[ALPHA].last_call().state, State::Over, "the callee was not told");
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::AnswerUnreadable));
    assert_eq!(world.agents[BETA].calls.len(), 0);
}

#[test]
fn a_faulty_message_of_a_peer_that_leads_nowhere_is_noted() {
    let mut world = World::new();
    let ack =
        "ACK sip:x@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.21;branch=z9hG4bKa\r\nFrom: \"x\r\n\r\n";
    for agent in [ALPHA, STRANGER] {
        world.say(agent, ack);
        world.say(agent, &ack.replace("ACK sip:x@gw.example SIP/2.0", "SIP/2.0 200 OK"));
    }
    world.run(s(1));
    let noted = |event: &Event| match event {
        Event::Dropped { why, is_of_note, .. } => Some((*why, *is_of_note)),
        _ => None,
    };
    let noted: Vec<_> = world.events.iter().filter_map(noted).collect();
    assert_eq!(noted, [true, true, false, false].map(|is_of_note| ("From cannot be read.", is_of_note)));
}

#[test]
fn a_pbx_that_mangles_its_responses_takes_its_calls() {
    for seed in 1..=20 {
        let mut world = World::of(Setting::clear(seed));
        world.agents[ENGINEERING].mangling = Mangling::Oddities;
        world.dial(SALES, Dial::to(ENGINEERING_NUMBER).then(s(20), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[SALES].last_call().state, State::Up, "seed {seed}");
        world.settle();
    }
}
