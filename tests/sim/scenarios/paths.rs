//! PBXs behind an edge proxy, which adds itself to the Path of their REGISTER (RFC 3327). One agent plays both.

use sip_core::message::{Message, Method, Name};
use sip_core::types::{Event, Transport};

use crate::agent::manner::{Act, Dial, Manner, s};
use crate::faults::Fault;
use crate::provisioning::SALES_NUMBER;
use crate::world::{ALPHA, SALES, Setting, World};

const PATH: &str = "<sip:edge@198.51.100.11:5060;lr>, \"Inner, 2\" <sip:inner.example;lr;x=y>";
const ROUTE: [&str; 2] = ["<sip:edge@198.51.100.11:5060;lr>", "\"Inner, 2\" <sip:inner.example;lr;x=y>"];
const OVER_TCP: &str = "<sip:edge@198.51.100.11:5060;transport=tcp;lr>";

/// Sales behind the edge proxy, in a network of its own.
fn behind(path: &'static str, transport: Transport) -> World {
    let mut world = World::unregistered(Setting::clear(1));
    world.agents[SALES].inside = Some(([10, 1, 1, 1], 5060).into());
    world.agents[SALES].path = path;
    if transport != Transport::Udp {
        world.agents[SALES].listens = true;
        world.connect(SALES, transport);
    }
    world.register(SALES, 3_600);
    world
}

fn route(request: &Message) -> Vec<&str> {
    request.headers(Name::Route).collect()
}

/// Calls Sales; gives the INVITE that it heard.
fn called(world: &mut World) -> Message {
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.run(s(20));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
    world.agents[SALES].requests(Method::Invite).last().expect("it was called").clone()
}

#[test]
fn a_pbx_behind_an_edge_proxy_is_called_through_it_and_after_a_restart_too() {
    let mut world = behind(PATH, Transport::Udp);
    let said = world.agents[SALES].responses(Method::Register).last().unwrap();
    assert_eq!(said.headers(Name::Path).collect::<Vec<_>>(), ROUTE, "the Path is echoed");
    assert!(said.lists_tag(Name::Supported, "path"));
    let granted = world.agents[SALES].registration.as_ref().unwrap().granted_s;
    assert_eq!(granted, Some(3_600), "the edge proxy is spoken to, and no NAT stands before it");
    for _ in 0..2 {
        let invite = called(&mut world);
        assert_eq!(invite.request_uri(), "sip:12026843376@10.1.1.1:5060;rinstance=0a1b2c");
        assert_eq!(route(&invite), ROUTE);
        world.befall(Fault::GatewayDies);
    }
    world.settle();
}

#[test]
fn a_cancel_takes_the_way_of_its_invite() {
    let mut world = behind(PATH, Transport::Udp);
    world.teach(SALES, Manner::ringing());
    world.dial(ALPHA, Dial::to(SALES_NUMBER).cancelled_after(s(3)));
    world.settle();
    for method in [Method::Invite, Method::Cancel] {
        let request = world.agents[SALES].requests(method.clone()).last().unwrap();
        assert_eq!(route(request), ROUTE, "{method}");
    }
}

#[test]
fn a_pbx_behind_an_edge_proxy_on_tcp_is_connected_to_where_the_proxy_listens() {
    for dies in [false, true] {
        let mut world = behind(OVER_TCP, Transport::Tcp);
        assert_eq!(route(&called(&mut world)), [OVER_TCP]);
        match dies {
            true => world.befall(Fault::GatewayDies),
            false => world.break_connections(SALES),
        }
        assert_eq!(world.gateway.counts().bindings, 1);
        assert_eq!(route(&called(&mut world)), [OVER_TCP]);
        assert_eq!(world.connections, 2, "one more connection was opened");
        world.settle();
    }
}

#[test]
fn path_may_be_required_and_one_that_leads_nowhere_is_refused() {
    for (path, status, sentence) in [
        ("<sip:edge@198.51.100.11:5060;lr>", 200, None),
        ("<mailto:edge@example.com>", 400, Some("is not a SIP or SIPS URI")),
        ("edge", 400, Some("is not a SIP or SIPS URI")),
        (
            "<sip:p>,<sip:p>,<sip:p>,<sip:p>,<sip:p>,<sip:p>,<sip:p>,<sip:p>,<sip:p>",
            513,
            Some("more proxies"),
        ),
    ] {
        let mut world = World::unregistered(Setting::clear(1));
        world.agents[SALES].path = path;
        world.agents[SALES].requires = "path";
        let now = world.now();
        world.agents[SALES].start_registering(now, 3_600);
        world.run(s(2));
        let said = world.agents[SALES].responses(Method::Register).last().unwrap();
        assert_eq!(said.status(), status, "{path}");
        let warnings: Vec<_> = said.headers(Name::Warning).collect();
        assert!(sentence.is_none_or(|it| warnings.iter().any(|said| said.contains(it))), "{warnings:?}");
        assert_eq!(world.gateway.counts().bindings, usize::from(status == 200));
    }
}

#[test]
fn another_pbx_behind_the_same_edge_proxy_takes_the_profile_over() {
    let mut world = behind(PATH, Transport::Udp);
    world.agents[SALES].registration.as_mut().unwrap().is_kept = false;
    world.agents[SALES].inside = Some(([10, 1, 1, 2], 5060).into());
    world.register(SALES, 3_600);
    let replaced = world.events.iter().filter(|event| matches!(event, Event::Unregistered { .. })).count();
    assert_eq!(replaced, 1);
    assert!(called(&mut world).request_uri().contains("@10.1.1.2:5060"));
    world.settle();
}
