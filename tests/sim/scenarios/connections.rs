//! PBXs over TCP and TLS: the connection they opened is the only way to them.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event, Leg, Transport, Unregistration};

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Manner, ms, s};
use crate::agent::secure::Protection;
use crate::network::Weather;
use crate::provisioning::{FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

/// Sales registered over a connection.
fn connected(transport: Transport) -> World {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, transport);
    world.register(SALES, 3_600);
    world
}

fn unregistrations(world: &World) -> Vec<Unregistration> {
    let why = |event: &Event| match event {
        Event::Unregistered { why, .. } => Some(*why),
        _ => None,
    };
    world.events.iter().filter_map(why).collect()
}

#[test]
fn calls_in_both_directions_use_the_connection_that_the_pbx_opened() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut world = connected(transport);
        world.agents[SALES].protection = Protection::Optional;
        let out = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
        let come_in = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[SALES].calls[out].statuses, [100, 180, 200]);
        assert_eq!(world.agents[ALPHA].calls[come_in].statuses, [100, 180, 200]);
        let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
        let written = invite.header(Name::Via).unwrap();
        assert!(written.starts_with(&format!("SIP/2.0/{} 192.0.2.10:", transport.via_token())), "{written}");
        assert!(invite.request_uri().contains(&format!(";transport={}", transport.param())));
        let contact = invite.header(Name::Contact).unwrap();
        assert!(contact.ends_with(&format!(";transport={}>", transport.param())), "{contact}");
        world.act(SALES, out, Act::Reinvite(Change::Hold));
        world.run(s(1));
        assert_eq!(world.agents[SALES].calls[out].reinvites, [200]);
        world.settle();
        assert_eq!(world.lines.len(), 1, "another connection was opened");
    }
}

#[test]
fn nothing_but_a_2xx_is_sent_twice_over_a_connection() {
    let mut world = connected(Transport::Tcp);
    world.teach(SALES, Manner { last: crate::agent::manner::Last::Answer(s(10)), ..Manner::silent() });
    world.dial(ALPHA, Dial::to(SALES_NUMBER).cancelled_after(s(9)));
    world.settle();
    assert_eq!(world.agents[SALES].repetitions, 0);
}

#[test]
fn a_lost_connection_ends_the_binding_and_the_calls_that_are_being_set_up_over_it() {
    let mut world = connected(Transport::Tls);
    world.teach(ALPHA, Manner::ringing());
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    world.agents[SALES].break_down();
    world.break_connections(SALES);
    assert_eq!(unregistrations(&world), [Unregistration::ConnectionLost]);
    assert_eq!(world.gateway.counts().bindings, 0);
    let missed = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[missed].statuses, [100, 480]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1, "it rings for nobody");
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::CallerGone));
}

#[test]
fn a_running_call_goes_on_over_the_connection_that_the_pbx_opens_next() {
    let mut world = connected(Transport::Tls);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.break_connections(SALES);
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    world.act(ALPHA, 0, Act::Reinvite(Change::Hold));
    world.run(s(2));
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [200]);
    world.act(ALPHA, 0, Act::HangUp);
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].state, State::Over, "the goodbye found no way");
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_running_call_whose_pbx_never_comes_back_is_ended_by_the_session_timer() {
    let mut world = World::unregistered(Setting { session_s: Some(90), ..Setting::clear(1) });
    world.connect(SALES, Transport::Tcp);
    world.register(SALES, 3_600);
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.agents[SALES].break_down();
    world.break_connections(SALES);
    world.run(s(90));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::SessionExpired));
    world.settle();
}

#[test]
fn the_second_connection_takes_over_and_the_end_of_the_first_ends_nothing() {
    let mut world = connected(Transport::Tcp);
    let first = world.agents[SALES].line.unwrap();
    world.connect(SALES, Transport::Tcp);
    world.register(SALES, 3_600);
    world.break_line(first);
    assert_eq!(world.gateway.counts().bindings, 1, "the old connection took the new binding with it");
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
}

#[test]
fn a_binding_over_a_connection_is_not_kept_over_a_restart_and_made_anew() {
    let mut world = connected(Transport::Tls);
    world.befall(crate::faults::Fault::GatewayDies);
    assert_eq!(world.gateway.counts().bindings, 0, "there is no way to the PBX");
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
}

#[test]
fn a_connection_carries_its_calls_through_foul_weather() {
    let weather = Weather { least_ms: 1, most_ms: 80, loss: 20, duplicates: 20, detours: 20 };
    let mut world = World::unregistered(Setting { weather, ..Setting::clear(7) });
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    for number in 0..4 {
        let (caller, to) = if number % 2 == 0 { (SALES, FAR_AWAY) } else { (ALPHA, SALES_NUMBER) };
        world.dial_at(ms(700 * number), caller, Dial::to(to).then(s(20), Act::HangUp));
    }
    world.settle();
    assert_eq!(world.desk.books.records.iter().filter(|record| record.answered.is_some()).count(), 4);
}
