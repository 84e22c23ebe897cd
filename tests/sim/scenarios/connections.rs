//! PBXs over TCP and TLS: the connection they opened is the only way to them.

use provisioning_store::money::Micros;
use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event, Leg, Transport, Unregistration};

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Manner, ms, s};
use crate::agent::secure::Protection;
use crate::network::Weather;
use crate::provisioning::{FAR_AWAY, Provisions, SALES_NUMBER, SALES_USER};
use crate::world::{ALPHA, BETA, ENGINEERING, SALES, Setting, World};

const RICH: Micros = Micros::from_units(1_000);

/// Sales registered over a connection, behind a NAT: nobody can connect to it.
fn connected_through_nat(transport: Transport) -> World {
    let mut world = World::unregistered(Setting::clear(1));
    world.agents[SALES].inside = Some(([10, 0, 0, 5], 5060).into());
    world.connect(SALES, transport);
    world.register(SALES, 3_600);
    world
}

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
    let mut world = connected_through_nat(Transport::Tls);
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
fn a_pbx_without_a_nat_is_connected_to_at_its_contact() {
    for (transport, breaks) in [Transport::Tcp, Transport::Tls].into_iter().zip([true, false]) {
        let mut world = connected(transport);
        world.agents[SALES].listens = true;
        if breaks {
            world.break_connections(SALES);
        } else {
            world.befall(crate::faults::Fault::GatewayDies);
        }
        assert_eq!((unregistrations(&world), world.gateway.counts().bindings), (vec![], 1));
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.connections, 2, "one more connection was opened");
        // A request of its own over this connection is heard as the PBX's.
        let out = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
        world.settle();
        assert_eq!(world.agents[SALES].calls[out].statuses, [100, 180, 200]);
        assert_eq!(world.connections, 2);
    }
}

#[test]
fn a_pbx_that_cannot_be_connected_to_is_refused_for_that() {
    let mut world = connected(Transport::Tcp);
    world.break_connections(SALES);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.settle();
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 480]);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::PbxUnreachable));
}

#[test]
fn a_connection_is_proved_once_by_a_request_that_is_believed() {
    let mut world = World::unregistered(Setting::clear(1));
    let line = world.connect(SALES, Transport::Tcp);
    let proofs = |world: &World| {
        let is_proof = |event: &&Event| matches!(event, Event::ConnectionProved(proved) if *proved == line);
        world.events.iter().filter(is_proof).count()
    };
    world.say(SALES, "OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
    world.run(s(1));
    assert_eq!(proofs(&world), 0, "anybody can ask that");
    world.agents[SALES].forget_password();
    let now = world.now();
    world.agents[SALES].start_registering(now, 3_600);
    world.flush();
    world.run(s(5));
    assert_eq!(proofs(&world), 0, "the password is wrong");
    world.agents[SALES].learn_credentials(SALES_USER, "correct-horse!");
    world.register(SALES, 3_600);
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(proofs(&world), 1);
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

/// A call from Sales to the network that has lasted five seconds when the connection of Sales breaks.
fn cut_off(transport: Transport) -> (World, usize) {
    let mut world = connected(transport);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.break_connections(SALES);
    (world, call)
}

fn connect_again(world: &mut World, transport: Transport) {
    world.connect(SALES, transport);
    world.register(SALES, 3_600);
}

#[test]
fn a_running_call_whose_pbx_never_comes_back_is_ended_with_its_reason() {
    let (mut world, _) = cut_off(Transport::Tcp);
    world.agents[SALES].break_down();
    world.run(s(31));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 0, "the PBX had no time to come back");
    world.run(s(2));
    let reason = world.agents[ALPHA].calls[0].bye_reason.clone().unwrap();
    assert!(reason.contains(Refusal::ConnectionLost.sentence()), "{reason}");
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::ConnectionLost));
    world.settle();
}

#[test]
fn sound_goes_on_while_a_pbx_connects_anew_and_the_pbx_is_asked_for_its_call() {
    let (mut world, call) = cut_off(Transport::Tls);
    let (pbx, carrier) = (world.agents[SALES].media_address(call), world.agents[ALPHA].media_address(0));
    for _ in 0..3 {
        world.run(s(9));
        assert_eq!(world.speak(SALES, call), Some(carrier));
        assert_eq!(world.speak(ALPHA, 0), Some(pbx));
    }
    let asked = world.agents[SALES].requests(Method::Invite).count();
    connect_again(&mut world, Transport::Tls);
    world.run(s(60));
    assert_eq!(world.agents[SALES].requests(Method::Invite).count(), asked + 1);
    assert_eq!(world.agents[ALPHA].calls[0].state, State::Up, "the call did not outlast its connection");
    world.act(ALPHA, 0, Act::HangUp);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].state, State::Over);
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_pbx_that_was_started_anew_does_not_know_its_call_and_the_call_ends() {
    let (mut world, _) = cut_off(Transport::Tls);
    world.agents[SALES].break_down();
    connect_again(&mut world, Transport::Tls);
    world.run(s(8));
    assert_eq!(world.agents[ALPHA].calls[0].state, State::Over);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::CallForgotten));
    world.settle();
}

#[test]
fn a_pbx_that_speaks_over_its_new_connection_is_found_before_it_registers() {
    let (mut world, call) = cut_off(Transport::Tcp);
    world.run(s(20));
    world.connect(SALES, Transport::Tcp);
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(60));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
}

#[test]
fn a_reinvite_towards_a_lost_pbx_is_refused_and_the_call_goes_on() {
    let (mut world, call) = cut_off(Transport::Tcp);
    world.run(s(3));
    world.act(ALPHA, 0, Act::Reinvite(Change::Hold));
    world.run(s(3));
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [504]);
    connect_again(&mut world, Transport::Tcp);
    world.run(s(10));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_reinvite_that_its_connection_takes_along_does_not_end_the_call() {
    let mut world = connected(Transport::Tls);
    world.teach(SALES, Manner { reinvite_after: s(10), ..Manner::polite() });
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(3));
    world.act(ALPHA, call, Act::Reinvite(Change::Hold));
    world.run(s(3));
    world.break_connections(SALES);
    connect_again(&mut world, Transport::Tls);
    world.run(s(40));
    assert_eq!(world.agents[ALPHA].calls[call].reinvites, [504]);
    assert_eq!(world.agents[SALES].last_call().state, State::Up);
    world.act(ALPHA, call, Act::HangUp);
    world.settle();
}

/// A call from Engineering to a carrier over TCP, whose connection breaks after five seconds.
fn carrier_cut_off() -> (World, usize) {
    let provisions = Provisions { carriers_transport: Transport::Tcp, ..Provisions::default() };
    let mut world = World::unregistered(Setting { provisions, ..Setting::clear(1) });
    for carrier in [ALPHA, BETA] {
        world.agents[carrier].listens = true;
    }
    let call = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    world.run(s(5));
    assert_eq!(world.agents[ENGINEERING].calls[call].statuses, [100, 180, 200]);
    (world, call)
}

#[test]
fn a_carrier_whose_connection_breaks_is_connected_to_anew() {
    let (mut world, call) = carrier_cut_off();
    world.break_connections(ALPHA);
    world.run(s(60));
    assert_eq!(world.connections, 2, "the carrier was not connected to");
    assert_eq!(world.agents[ALPHA].requests(Method::Invite).count(), 2, "the carrier was not asked");
    assert_eq!(world.agents[ENGINEERING].calls[call].state, State::Up);
    world.act(ALPHA, 0, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_carrier_that_connected_to_us_is_connected_to_where_it_listens() {
    let provisions = Provisions { carriers_transport: Transport::Tcp, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.agents[ALPHA].listens = true;
    world.connect(ALPHA, Transport::Tcp);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(5));
    world.break_connections(ALPHA);
    world.run(s(60));
    assert_eq!(world.agents[ALPHA].calls[call].state, State::Up);
    world.act(SALES, 0, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_carrier_that_cannot_be_connected_to_for_a_while_loses_no_call() {
    let (mut world, call) = carrier_cut_off();
    world.agents[ALPHA].listens = false;
    world.break_connections(ALPHA);
    world.run(s(20));
    world.agents[ALPHA].listens = true;
    world.run(s(40));
    assert_eq!(world.agents[ENGINEERING].calls[call].state, State::Up);
    world.act(ENGINEERING, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_carrier_that_cannot_be_connected_to_any_more_ends_its_calls() {
    let (mut world, _) = carrier_cut_off();
    world.agents[ALPHA].listens = false;
    world.agents[ALPHA].break_down();
    world.break_connections(ALPHA);
    world.run(s(34));
    let reason = world.agents[ENGINEERING].calls[0].bye_reason.clone().unwrap();
    assert!(reason.contains(Refusal::ConnectionLost.sentence()), "{reason}");
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::ConnectionLost));
    world.settle();
}

#[test]
fn many_calls_over_one_connection_ask_one_after_another_when_it_is_back() {
    let mut world = World::unregistered(Setting { channels: 40, credit: RICH, ..Setting::clear(1) });
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    let calls: Vec<_> = (0..30).map(|_| world.dial(SALES, Dial::to(FAR_AWAY))).collect();
    world.run(s(5));
    world.break_connections(SALES);
    world.run(s(2));
    connect_again(&mut world, Transport::Tls);
    let asked = |world: &World| world.agents[SALES].requests(Method::Invite).count();
    let at_once = asked(&world);
    assert!(at_once < 10, "{at_once} at once");
    world.run(s(5));
    assert_eq!(asked(&world), 30);
    calls.into_iter().for_each(|call| world.act(SALES, call, Act::HangUp));
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
fn a_binding_over_a_connection_through_a_nat_is_not_kept_over_a_restart_and_made_anew() {
    let mut world = connected_through_nat(Transport::Tls);
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
