//! Session timers (RFC 4028): each leg by itself, refreshed by whoever the last refresh named, and a call whose peer no
//! longer confirms it is ended.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Manner, ms, s};
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, Setting, World};

/// A world whose gateway wants sessions of 90 s.
fn brief() -> World {
    World::of(Setting { session_s: Some(90), ..Setting::clear(1) })
}

fn talk(world: &mut World, dial: Dial, manner: Manner) -> usize {
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, dial);
    world.run(s(5));
    call
}

fn timed(session: &'static str) -> Manner {
    Manner { session: Some(session), ..Manner::polite() }
}

#[test]
fn a_peer_that_knows_no_timers_is_refreshed_by_us_by_invite() {
    let mut world = brief();
    let call = talk(&mut world, Dial::to(FAR_AWAY), Manner::polite());
    world.run(s(100));
    // The first one and a refresh each 45 s; Sales was never invited before.
    assert_eq!(world.agents[ALPHA].requests(Method::Invite).count(), 3);
    assert_eq!(world.agents[SALES].requests(Method::Invite).count(), 2);
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_peer_that_allows_update_is_refreshed_by_update() {
    let mut world = brief();
    let manner = Manner { update: Some(200), session: Some("90;refresher=uac"), ..Manner::polite() };
    let call = talk(&mut world, Dial::to(FAR_AWAY), manner);
    world.run(s(100));
    assert_eq!(world.agents[ALPHA].requests(Method::Invite).count(), 1);
    assert_eq!(world.agents[ALPHA].requests(Method::Update).count(), 2);
    for update in world.agents[ALPHA].requests(Method::Update) {
        assert_eq!(update.header(Name::SessionExpires), Some("90;refresher=uac"));
        assert!(update.body().is_empty());
    }
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_peer_that_promised_to_refresh_and_does_not_ends_the_call() {
    for (dial, manner) in [
        (Dial::to(FAR_AWAY).timed("90;refresher=uac"), timed("90;refresher=uac")),
        (Dial::to(FAR_AWAY).timed("90;refresher=uas"), timed("90;refresher=uas")),
    ] {
        let mut world = brief();
        talk(&mut world, dial, manner);
        world.settle();
        let record = &world.desk.books.records[0];
        assert_eq!(record.ending, Ending::Refused(Refusal::SessionExpired));
        // RFC 4028 section 10: the smaller of 32 s and a third of the interval before its end.
        let talked = record.duration();
        assert!(talked.abs_diff(s(60)) < ms(100), "{talked:?}");
        for agent in [SALES, ALPHA] {
            assert!(world.agents[agent].calls[0].bye_reason.as_ref().unwrap().contains("SIP;cause=408"));
        }
    }
}

#[test]
fn a_peer_that_refreshes_by_update_or_invite_keeps_its_call() {
    for act in [Act::Refresh("uac"), Act::Reinvite(Change::Resume)] {
        let mut world = brief();
        let dial =
            (1..8).fold(Dial::to(FAR_AWAY).timed("90;refresher=uac"), |dial, n| dial.then(s(40 * n), act));
        let call = talk(&mut world, dial.then(s(300), Act::HangUp), Manner::polite());
        world.run(s(280));
        assert_eq!(world.agents[SALES].calls[call].state, State::Up, "{act:?}");
        assert_eq!(world.agents[SALES].requests(Method::Invite).count(), 0, "refreshed by both");
        world.settle();
    }
}

#[test]
fn the_roles_are_those_of_the_latest_refresh() {
    let mut world = brief();
    let call = talk(&mut world, Dial::to(FAR_AWAY).timed("90;refresher=uac"), Manner::polite());
    world.run(s(30));
    // Of this one the caller is the client, and leaves the next to us.
    world.act(SALES, call, Act::Refresh("uas"));
    world.run(s(100));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    assert_eq!(world.agents[SALES].requests(Method::Invite).count(), 2);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn too_brief_a_session_is_refused_with_the_least_that_is_taken() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).timed("30"));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 422]);
    let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
    assert_eq!(refusal.header(Name::MinSe), Some("90"));
    assert_eq!(world.agents[ALPHA].calls.len(), 0);
}

#[test]
fn only_408_and_481_to_a_refresh_end_the_call() {
    for (status, goes_on) in [(200, true), (405, true), (488, true), (500, true), (408, false), (481, false)]
    {
        let mut world = brief();
        let manner = Manner { update: Some(status), session: Some("90;refresher=uac"), ..Manner::polite() };
        let call = talk(&mut world, Dial::to(FAR_AWAY), manner);
        world.run(s(50));
        assert_eq!(world.gateway.counts().live_calls(), usize::from(goes_on), "{status}");
        if goes_on {
            world.act(SALES, call, Act::HangUp);
        } else {
            let why = if status == 481 { Refusal::CallForgotten } else { Refusal::SessionExpired };
            assert_eq!(world.desk.books.records[0].ending, Ending::Refused(why));
        }
        world.settle();
    }
}
