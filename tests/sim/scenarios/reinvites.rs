//! Hold, resume, address change and glare in running calls.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::sdp::Direction;

use crate::agent::manner::{Act, Change, Dial, Duty, Manner, ms, s};
use crate::desk::Pace;
use crate::provisioning::{ECHO, FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, World};

/// A call from Sales over Alpha, up and running.
fn running(manner: Manner) -> (World, usize) {
    let mut world = World::new();
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    (world, call)
}

fn end(mut world: World, call: usize) {
    assert_eq!(world.gateway.live_calls().len(), 1, "the call has ended");
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

fn heard_direction(world: &World, agent: usize) -> Direction {
    world.agents[agent].calls[0].remote_media.as_ref().expect("the call has media").direction
}

#[test]
fn hold_and_resume_pass_both_ways_in_every_form() {
    let (mut world, call) = running(Manner::polite());
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        for (change, heard) in [
            (Change::Hold, Direction::SendOnly),
            (Change::Mute, Direction::Inactive),
            (Change::HoldByZeros, Direction::SendOnly),
            (Change::Resume, Direction::SendRecv),
            (Change::HoldByRecvOnly, Direction::RecvOnly),
            (Change::HoldBySession, Direction::SendOnly),
            (Change::ResumeBySilence, Direction::SendRecv),
            (Change::HoldByPort, Direction::Inactive),
            (Change::ResumeBySilence, Direction::SendRecv),
        ] {
            world.act(who, 0, Act::Reinvite(change));
            world.run(s(1));
            assert_eq!(heard_direction(&world, other), heard, "{change:?}");
            assert_eq!(world.agents[who].calls[0].reinvites.last(), Some(&200));
        }
        assert_eq!(world.speak(other, 0), Some(world.agents[who].media_address(0)));
    }
    end(world, call);
}

#[test]
fn media_follows_a_peer_that_moves() {
    let (mut world, call) = running(Manner::polite());
    world.act(ALPHA, 0, Act::Reinvite(Change::Move));
    world.run(s(1));
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    end(world, call);
}

#[test]
fn a_late_offer_in_a_reinvite_is_made_by_the_other_side() {
    let (mut world, call) = running(Manner::polite());
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        world.act(who, 0, Act::Reinvite(Change::Late));
        world.run(s(1));
        assert_eq!(world.agents[who].calls[0].reinvites.last(), Some(&200));
        assert_eq!(world.speak(who, 0), Some(world.agents[other].media_address(0)));
    }
    end(world, call);
}

#[test]
fn a_refused_reinvite_keeps_the_call() {
    for status in [488, 500, 603] {
        let (mut world, call) = running(Manner { reinvite: status, ..Manner::polite() });
        world.act(SALES, call, Act::Reinvite(Change::Hold));
        world.run(s(1));
        assert_eq!(world.agents[SALES].calls[call].reinvites, [status]);
        assert_eq!(world.agents[SALES].statuses(Method::Bye).len(), 0);
        end(world, call);
    }
}

#[test]
fn only_408_and_481_to_a_reinvite_end_the_call() {
    for status in [408, 481] {
        let (mut world, call) = running(Manner { reinvite: status, ..Manner::polite() });
        world.act(SALES, call, Act::Reinvite(Change::Hold));
        world.run(s(1));
        assert_eq!(world.agents[SALES].calls[call].reinvites, [status]);
        world.settle();
    }
}

#[test]
fn reinvites_that_meet_are_both_refused_and_tried_again() {
    let (mut world, call) = running(Manner::polite());
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    // Just before the gateway's arrives, so that each side has one on its way.
    world.act_at(ms(9), ALPHA, 0, Act::Reinvite(Change::Move));
    world.run(s(10));
    for agent in [SALES, ALPHA] {
        assert_eq!(world.agents[agent].calls[0].reinvites, [491, 200], "{}", world.agents[agent].name);
    }
    end(world, call);
}

#[test]
fn a_bye_during_a_reinvite_wins() {
    let (mut world, call) = running(Manner { reinvite_after: s(3), ..Manner::polite() });
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    world.act(ALPHA, 0, Act::HangUp);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].reinvites, [487]);
}

#[test]
fn a_bye_before_the_answer_to_a_late_offer_leaves_no_2xx_unacknowledged() {
    let (mut world, call) = running(Manner::polite());
    world.act(SALES, call, Act::Reinvite(Change::Late));
    // Alpha has made its offer, and does not wait for the answer.
    assert!(world.run_until(s(1), |world| world.agents[ALPHA].waits_for_ack(0)));
    world.run(ms(7));
    world.act(ALPHA, 0, Act::HangUpRudely);
    world.settle();
}

#[test]
fn a_reinvite_right_behind_a_late_answer_waits_for_it() {
    let (mut world, call) = running(Manner::polite());
    world.desk.studio_pace = Pace::After(400);
    world.act(SALES, call, Act::Reinvite(Change::Late));
    assert!(world.run_until(s(2), |world| world.agents[SALES].calls[call].reinvites == [200]));
    // The answer is in the ACK, and with the relay; Alpha's 2xx is not acknowledged before it comes back.
    world.run(ms(20));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(ms(150));
    world.act(SALES, call, Act::Cancel);
    world.run(s(10));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200, 491, 200]);
    end(world, call);
}

#[test]
fn a_reinvite_that_is_never_answered_does_not_outlive_its_call() {
    let (mut world, call) = running(Manner { reinvite_after: s(100_000), ..Manner::polite() });
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    let address = world.agents[ALPHA].address.ip();
    world.network.cut(address);
    world.act(SALES, call, Act::HangUp);
    world.run(s(40));
    world.agents[ALPHA].forget_calls();
    world.settle();
}

#[test]
fn a_relay_that_does_not_answer_fails_the_reinvite_but_not_the_call() {
    let (mut world, call) = running(Manner::polite());
    let pace = std::mem::replace(&mut world.desk.studio_pace, Pace::Mute);
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(10));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [500]);
    // The description that was never made might still come, so none after it can be told from it.
    world.desk.studio_pace = pace;
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(10));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [500, 500]);
    end(world, call);
}

#[test]
fn the_echo_test_may_be_put_on_hold() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO).then(s(20), Act::HangUp));
    world.run(s(2));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    assert_eq!(heard_direction(&world, SALES), Direction::RecvOnly);
    world.settle();
}

#[test]
fn info_is_passed_on_with_its_body() {
    let (mut world, call) = running(Manner::polite());
    world.act(SALES, call, Act::Info);
    world.act(ALPHA, 0, Act::Info);
    world.run(ms(500));
    for agent in [SALES, ALPHA] {
        let info = world.agents[agent].requests(Method::Info).next().unwrap();
        assert!(info.body().starts_with(b"Signal=5"));
        assert_eq!(world.agents[agent].calls[0].others, [(Method::Info, 200)]);
    }
    end(world, call);
}

#[test]
fn an_incoming_call_is_put_on_hold_by_its_pbx() {
    let mut world = World::new();
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
    world.run(s(3));
    world.act(SALES, 0, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(heard_direction(&world, ALPHA), Direction::SendOnly);
    assert_eq!(world.agents[SALES].calls[0].reinvites, [200]);
    assert_eq!(world.agents[ALPHA].calls[call].state, crate::agent::State::Up);
    world.settle();
}

#[test]
fn a_stream_that_is_off_is_off_on_the_other_side_too_and_comes_back() {
    let (mut world, call) = running(Manner::polite());
    world.act(SALES, call, Act::Reinvite(Change::HoldByPort));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    let heard = world.agents[ALPHA].calls[0].remote_media.clone().unwrap();
    assert!(heard.rtp_port == 0 || heard.on_hold, "{heard:?}");
    assert_eq!(world.speak(ALPHA, 0), None, "a packet goes where nobody listens");
    world.act(SALES, call, Act::Reinvite(Change::Resume));
    world.run(s(1));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    end(world, call);
}

#[test]
fn both_sides_may_hold_at_once_and_resume_in_any_order() {
    let (mut world, call) = running(Manner::polite());
    for (who, change) in
        [(SALES, Change::Hold), (ALPHA, Change::Mute), (SALES, Change::Resume), (ALPHA, Change::Resume)]
    {
        world.act(who, 0, Act::Reinvite(change));
        world.run(s(1));
        assert_eq!(world.agents[who].calls[0].reinvites.last(), Some(&200));
    }
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    end(world, call);
}

fn updates(world: &World, agent: usize) -> Vec<u16> {
    world.agents[agent].calls[0]
        .others
        .iter()
        .filter(|(it, _)| *it == Method::Update)
        .map(|it| it.1)
        .collect()
}

#[test]
fn an_offer_by_update_is_passed_on_and_answered() {
    let (mut world, call) = running(Manner::polite());
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        for (change, heard) in [(Change::Hold, Direction::SendOnly), (Change::Resume, Direction::SendRecv)] {
            world.act(who, 0, Act::Update(change));
            world.run(s(1));
            assert_eq!(heard_direction(&world, other), heard);
        }
        assert_eq!(updates(&world, who), [200, 200]);
    }
    end(world, call);
}

#[test]
fn updates_that_meet_are_both_made_in_the_end() {
    for apart_ms in [0, 1, 3, 6, 9] {
        let (mut world, call) = running(Manner::polite());
        world.act(SALES, call, Act::Update(Change::Move));
        world.act_at(ms(apart_ms), ALPHA, 0, Act::Update(Change::Move));
        world.run(s(12));
        for agent in [SALES, ALPHA] {
            let (name, answers) = (world.agents[agent].name, updates(&world, agent));
            assert_eq!(answers.last(), Some(&200), "{name}, {apart_ms} ms apart: {answers:?}");
            assert!(answers.len() <= 3, "{name}, {apart_ms} ms apart: {answers:?}");
        }
        for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
            let moved = world.agents[other].media_address(0);
            assert_eq!(world.speak(who, 0), Some(moved), "{apart_ms} ms apart");
        }
        end(world, call);
    }
}

#[test]
fn an_update_meets_a_reinvite_of_the_other_side() {
    for (first, second) in [(SALES, ALPHA), (ALPHA, SALES)] {
        let (mut world, call) = running(Manner::polite());
        world.act(first, 0, Act::Update(Change::Move));
        world.act(second, 0, Act::Reinvite(Change::Move));
        world.run(s(12));
        assert_eq!(updates(&world, first).last(), Some(&200));
        assert_eq!(world.agents[second].calls[0].reinvites.last(), Some(&200));
        for (who, other) in [(first, second), (second, first)] {
            assert_eq!(world.speak(who, 0), Some(world.agents[other].media_address(0)));
        }
        end(world, call);
    }
}

#[test]
fn a_second_offer_before_the_first_is_answered_is_told_when_to_come_again() {
    let (mut world, call) = running(Manner { reinvite_after: s(2), ..Manner::polite() });
    world.act(SALES, call, Act::Update(Change::Hold));
    world.run(ms(500));
    world.act(SALES, call, Act::UpdateAgain(Change::Mute));
    world.run(ms(500));
    assert_eq!(updates(&world, SALES), [500], "RFC 3311 section 5.2");
    let refused = world.agents[SALES].responses(Method::Update).next().unwrap();
    assert!(refused.retry_after().is_some_and(|after_s| after_s <= 10), "{refused:?}");
    world.run(s(20));
    assert_eq!(updates(&world, SALES).last(), Some(&200));
    assert_eq!(heard_direction(&world, ALPHA), Direction::Inactive);
    end(world, call);
}

#[test]
fn an_answer_that_says_nothing_of_use_costs_the_change_and_not_the_call() {
    let (mut world, call) = running(Manner { reinvite_sdp: Duty::Neglected, ..Manner::polite() });
    let status = Refusal::AnswerMissing.status();
    let heard = world.agents[ALPHA].media_address(0);
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [status]);
    world.act(SALES, call, Act::Update(Change::Hold));
    world.run(s(1));
    assert_eq!(updates(&world, SALES), [status]);
    assert_eq!(world.speak(SALES, call), Some(heard));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)), "nobody is on hold");
    end(world, call);
}
