//! Offers that are here before the ACK that they follow: datagrams overtake each other.

use std::time::Duration;

use sip_core::message::Method;

use crate::agent::manner::{Act, Change, Dial, Manner, ms, s};
use crate::desk::Pace;
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, World};

/// A call in which Sales has changed something, and its ACK is on its way for so much longer than what follows.
fn behind_an_ack(change: Change, by: Duration) -> (World, usize) {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(change));
    assert!(world.run_until(s(1), |world| world.agents[SALES].calls[call].reinvites == [200]));
    world.delay_to_gateway(by, |bytes| bytes.starts_with(b"ACK "));
    (world, call)
}

fn end(mut world: World, call: usize) {
    assert_eq!(world.gateway.live_calls().len(), 1, "the call has ended");
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_reinvite_that_overtakes_the_ack_before_it_waits_for_it() {
    for (by, answers) in [(ms(50), vec![200, 200]), (ms(300), vec![200, 491, 200])] {
        let (mut world, call) = behind_an_ack(Change::Hold, by);
        world.act(SALES, call, Act::Reinvite(Change::Move));
        world.run(s(10));
        assert_eq!(world.agents[SALES].calls[call].reinvites, answers, "{by:?}");
        assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
        end(world, call);
    }
}

#[test]
fn an_update_that_overtakes_the_ack_before_it_waits_for_it() {
    let (mut world, call) = behind_an_ack(Change::Hold, ms(50));
    world.act(SALES, call, Act::Update(Change::Move));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Update, 200)]);
    end(world, call);
}

#[test]
fn an_offer_of_the_other_side_waits_for_the_ack_too() {
    let (mut world, call) = behind_an_ack(Change::Hold, ms(50));
    world.act(ALPHA, 0, Act::Reinvite(Change::Move));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [200]);
    end(world, call);
    // Right behind its answer to the first INVITE, which the caller has not acknowledged then.
    let mut world = World::new();
    world.teach(ALPHA, Manner::polite().then(ms(12), Act::Reinvite(Change::Move)));
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [200]);
    end(world, call);
}

#[test]
fn it_waits_for_what_the_ack_brings_as_well() {
    let (mut world, call) = behind_an_ack(Change::Late, ms(30));
    world.desk.studio_pace = Pace::After(40);
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200, 200]);
    end(world, call);
}

#[test]
fn one_that_waits_is_taken_back_and_ends_with_the_call() {
    let (mut world, call) = behind_an_ack(Change::Hold, ms(80));
    world.act(SALES, call, Act::Reinvite(Change::Move));
    world.run(ms(20));
    world.act(SALES, call, Act::Cancel);
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200, 487]);
    end(world, call);
    let (mut world, call) = behind_an_ack(Change::Hold, ms(80));
    world.act(SALES, call, Act::Reinvite(Change::Move));
    world.run(ms(20));
    world.act(ALPHA, 0, Act::HangUp);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200, 487]);
}

#[test]
fn no_more_than_one_waits() {
    let (mut world, call) = behind_an_ack(Change::Hold, ms(80));
    world.act(SALES, call, Act::Update(Change::Move));
    world.run(ms(10));
    world.act(SALES, call, Act::UpdateAgain(Change::Mute));
    world.act(ALPHA, 0, Act::Reinvite(Change::Move));
    world.run(ms(20));
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Update, 500)]);
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [491]);
    world.run(s(20));
    end(world, call);
}
