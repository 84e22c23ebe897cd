//! A PBX that is known by its client certificate, from wherever it connects.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Leg, Transport};

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, s};
use crate::provisioning::{ENGINEERING_HOST, ENGINEERING_NUMBER, FAR_AWAY, Proof, Provisions};
use crate::world::{ALPHA, ENGINEERING, STRANGER, Setting, World};

/// Engineering is known by its certificate, and has not connected yet.
fn world() -> World {
    let provisions = Provisions { engineering: Proof::Certificate, ..Provisions::default() };
    World::unregistered(Setting { provisions, ..Setting::clear(1) })
}

#[test]
fn calls_go_both_ways_over_the_connection_on_which_a_certificate_was_shown() {
    let mut world = world();
    world.connect_as(ENGINEERING, ENGINEERING_HOST);
    let out = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    let come_in = world.dial(ALPHA, Dial::to(ENGINEERING_NUMBER).then(s(20), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.agents[ENGINEERING].calls[out].statuses, [100, 180, 200]);
    assert_eq!(world.agents[ALPHA].calls[come_in].statuses, [100, 180, 200]);
    let invite = world.agents[ENGINEERING].requests(Method::Invite).next().unwrap();
    assert_eq!(invite.request_uri(), format!("sip:{ENGINEERING_NUMBER}@198.51.100.12:40001;transport=tls"));
    world.act(ENGINEERING, out, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(world.agents[ENGINEERING].calls[out].reinvites, [200]);
    // The carrier's goodbye reaches the PBX, the PBX's reaches the carrier.
    world.act(ENGINEERING, out, Act::HangUp);
    world.settle();
    assert_eq!(world.lines.len(), 1, "another connection was opened");
    assert_eq!(world.desk.books.records.iter().filter(|record| record.answered.is_some()).count(), 2);
}

#[test]
fn whoever_shows_another_name_or_none_is_a_stranger() {
    let mut world = world();
    let refused = [401, 407];
    world.connect(STRANGER, Transport::Tls);
    let without = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.run(s(2));
    world.connect_as(STRANGER, "stranger.example");
    let other = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.run(s(2));
    for call in [without, other] {
        let statuses = &world.agents[STRANGER].calls[call].statuses;
        assert!(
            statuses.iter().all(|status| refused.contains(status)) && !statuses.is_empty(),
            "{statuses:?}"
        );
    }
    let missed = world.dial(ALPHA, Dial::to(ENGINEERING_NUMBER));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[missed].statuses, [100, 480]);
    let why: Vec<_> = world.desk.books.records.iter().map(|record| record.ending).collect();
    assert_eq!(why, [Ending::Refused(Refusal::NoAddressToCall)]);
}

#[test]
fn a_certificate_is_forgotten_with_its_connection() {
    let mut world = world();
    world.connect_as(ENGINEERING, ENGINEERING_HOST);
    let newer = world.connect_as(ENGINEERING, ENGINEERING_HOST);
    assert_eq!(world.gateway.counts().certified, 2);
    world.break_line(newer);
    assert_eq!(world.gateway.counts().certified, 1);
    world.break_connections(ENGINEERING);
    assert_eq!(world.gateway.counts().certified, 0);
    world.connect(ENGINEERING, Transport::Tls);
    let call = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    world.settle();
    assert!(!world.agents[ENGINEERING].calls[call].statuses.contains(&200), "from the same address");
}

#[test]
fn a_running_call_goes_on_over_the_next_connection_with_the_certificate() {
    let mut world = world();
    world.connect_as(ENGINEERING, ENGINEERING_HOST);
    let call = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.break_connections(ENGINEERING);
    world.connect_as(ENGINEERING, ENGINEERING_HOST);
    let asked = world.agents[ENGINEERING].requests(Method::Invite).count();
    world.run(s(60));
    assert_eq!(world.agents[ENGINEERING].requests(Method::Invite).count(), asked + 1, "it was not asked");
    assert_eq!(world.agents[ALPHA].calls[0].state, State::Up);
    world.act(ALPHA, 0, Act::HangUp);
    world.run(s(2));
    assert_eq!(world.agents[ENGINEERING].calls[call].state, State::Over, "the goodbye found no way");
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_certificate_counts_as_soon_as_it_is_allowed_and_no_longer() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect_as(STRANGER, ENGINEERING_HOST);
    let before = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.run(s(2));
    world.provide(Provisions { engineering: Proof::Certificate, ..Provisions::default() });
    let allowed = world.dial(STRANGER, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(8));
    world.provide(Provisions::default());
    let after = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.settle();
    let calls = &world.agents[STRANGER].calls;
    assert_eq!(calls[allowed].statuses, [100, 180, 200]);
    for call in [before, after] {
        assert!(!calls[call].statuses.contains(&200), "{:?}", calls[call].statuses);
    }
}
