//! Media in calls: who is heard, and when a call counts as silent.

use std::net::SocketAddr;
use std::time::Duration;

use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Last, Manner, ms, s};
use crate::provisioning::{ECHO, FAR_AWAY};
use crate::world::{ALPHA, SALES, STRANGER, World};

/// As long as a call may be silent in these stories.
const LIMIT: Duration = Duration::from_secs(300);

fn endings(world: &World) -> Vec<Ending> {
    world.desk.books.records.iter().map(|record| record.ending).collect()
}

/// A call from Sales over Alpha, up and running.
fn running() -> (World, usize) {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    (world, call)
}

fn end(mut world: World, call: usize) {
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_call_in_which_neither_side_is_heard_ends() {
    let (mut world, call) = running();
    world.run(LIMIT - s(4));
    world.end_silent_calls(LIMIT);
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    world.run(s(4));
    world.end_silent_calls(LIMIT);
    world.settle();
    assert_eq!(endings(&world), [Ending::Refused(Refusal::MediaSilent)]);
}

#[test]
fn a_call_in_which_one_side_talks_goes_on() {
    for talker in [SALES, ALPHA] {
        let (mut world, call) = running();
        for _ in 0..5 {
            world.run(LIMIT / 2);
            assert!(world.speak(talker, 0).is_some());
            world.end_silent_calls(LIMIT);
        }
        assert_eq!(world.agents[SALES].calls[call].state, State::Up);
        end(world, call);
    }
}

#[test]
fn a_held_call_goes_on_whichever_side_holds_and_however_it_says_so() {
    for holder in [SALES, ALPHA] {
        for hold in
            [Change::Hold, Change::Mute, Change::HoldByZeros, Change::HoldBySession, Change::HoldByPort]
        {
            let (mut world, call) = running();
            // Most of the time passes before the hold: it must not count afterwards.
            world.run(LIMIT - s(10));
            world.end_silent_calls(LIMIT);
            world.act(holder, 0, Act::Reinvite(hold));
            world.run(LIMIT * 3);
            world.end_silent_calls(LIMIT);
            assert_eq!(world.agents[SALES].calls[call].state, State::Up, "{hold:?}");
            world.act(holder, 0, Act::Reinvite(Change::Resume));
            world.run(LIMIT - s(10));
            world.end_silent_calls(LIMIT);
            assert_eq!(world.agents[SALES].calls[call].state, State::Up, "{hold:?}: the time begins again");
            world.run(s(20));
            world.end_silent_calls(LIMIT);
            world.settle();
            assert_eq!(endings(&world), [Ending::Refused(Refusal::MediaSilent)], "{hold:?}");
        }
    }
}

#[test]
fn ringing_and_early_media_do_not_count() {
    let mut world = World::new();
    world.settings.calls.no_answer = LIMIT * 2;
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    let answered_after = s(100);
    world.teach(ALPHA, Manner { early: vec![early], last: Last::Answer(answered_after), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    let limit = s(60);
    world.run(s(99));
    world.end_silent_calls(limit);
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    world.end_silent_calls(limit);
    world.run(s(50));
    world.end_silent_calls(limit);
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    world.run(s(10));
    world.end_silent_calls(limit);
    world.settle();
    assert_eq!(endings(&world), [Ending::Refused(Refusal::MediaSilent)]);
}

#[test]
fn an_echo_that_hears_nothing_ends() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO));
    world.run(s(2));
    assert!(world.speak(SALES, call).is_some());
    world.run(LIMIT + s(1));
    world.end_silent_calls(LIMIT);
    world.settle();
    assert_eq!(endings(&world), [Ending::Refused(Refusal::MediaSilent)]);
}

#[test]
fn a_spray_over_all_ports_takes_no_call_before_or_after_its_sides_have_spoken() {
    let (mut world, call) = running();
    let stranger = SocketAddr::new(world.agents[STRANGER].address.ip(), 666);
    for _ in 0..2 {
        for (agent, call) in [(SALES, call), (ALPHA, 0)] {
            let port = world.agents[agent].calls[call].remote_media.as_ref().expect("a description").rtp_port;
            for _ in 0..50 {
                assert_eq!(world.spray(stranger, port), None);
            }
        }
        assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
        assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
        world.run(s(10));
    }
    end(world, call);
}

#[test]
fn a_party_that_moves_is_not_taken_back_by_its_last_packets() {
    let (mut world, call) = running();
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        let left = world.agents[who].media_address(0);
        let port = world.agents[who].calls[0].remote_media.as_ref().expect("a description").rtp_port;
        assert!(world.speak(who, 0).is_some());
        world.act(who, 0, Act::Reinvite(Change::Move));
        world.run(s(1));
        let moved = world.agents[who].media_address(0);
        assert_ne!(moved, left);
        assert_eq!(world.spray(left, port), None, "before the new place is heard");
        assert_eq!(world.speak(other, 0), Some(moved));
        assert!(world.speak(who, 0).is_some());
        assert_eq!(world.spray(left, port), None);
        assert_eq!(world.speak(other, 0), Some(moved));
    }
    end(world, call);
}
