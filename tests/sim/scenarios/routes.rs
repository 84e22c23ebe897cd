//! Proxies of RFC 2543 on the way, which route strictly, and SIPS URIs.

use sip_core::message::{Message, Method, Name};
use sip_core::types::Transport;

use crate::agent::manner::{Act, Change, Dial, Manner, Proxy, s};
use crate::agent::secure::Protection;
use crate::provisioning::{FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

/// The Route of a request.
fn route(request: &Message) -> Vec<&str> {
    request.headers(Name::Route).collect()
}

#[test]
fn a_strict_router_of_the_callee_gets_itself_in_the_request_uri() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { proxy: Proxy::Strict, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    world.act(SALES, call, Act::Info);
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    world.act(SALES, call, Act::HangUp);
    world.settle();
    for method in [Method::Ack, Method::Info, Method::Invite, Method::Bye] {
        let request = world.agents[ALPHA].requests(method.clone()).last().unwrap();
        assert_eq!(request.request_uri(), "sip:proxy@203.0.113.21:5060", "{method}");
        assert_eq!(route(request), ["<sip:alpha@203.0.113.21:5060>"], "{method}");
    }
}

#[test]
fn a_strict_router_of_the_caller_gets_itself_in_the_request_uri() {
    for (record, uri, routes) in [
        (
            "<sip:edge@198.51.100.11:5060>",
            "sip:edge@198.51.100.11:5060",
            vec!["<sip:99050000000101@198.51.100.11:5060;rinstance=0a1b2c>"],
        ),
        (
            "<sip:edge@198.51.100.11:5060>, <sip:inner@198.51.100.11;lr>",
            "sip:edge@198.51.100.11:5060",
            vec!["<sip:inner@198.51.100.11;lr>", "<sip:99050000000101@198.51.100.11:5060;rinstance=0a1b2c>"],
        ),
        (
            "<sip:edge@198.51.100.11:5060;lr>, <sip:inner@198.51.100.11>",
            "sip:99050000000101@198.51.100.11:5060;rinstance=0a1b2c",
            vec!["<sip:edge@198.51.100.11:5060;lr>", "<sip:inner@198.51.100.11>"],
        ),
    ] {
        let mut world = World::new();
        world.teach(ALPHA, Manner::polite().then(s(2), Act::Reinvite(Change::Hold)).then(s(4), Act::HangUp));
        world.dial(SALES, Dial::to(FAR_AWAY).header("Record-Route", record));
        world.settle();
        for method in [Method::Invite, Method::Ack, Method::Bye] {
            let request = world.agents[SALES].requests(method.clone()).last().unwrap();
            assert_eq!((request.request_uri(), route(request)), (uri, routes.clone()), "{method}");
        }
    }
}

#[test]
fn a_call_that_a_strict_router_sends_goes_to_the_number_at_the_end_of_its_route() {
    let mut world = World::new();
    let address = world.agents[ALPHA].address;
    world.say(
        ALPHA,
        &format!(
            "INVITE sip:gw.example;lr SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-strict\r\n\
             Max-Forwards: 70\r\nRoute: <sip:{SALES_NUMBER}@gw.example>\r\n\
             From: <sip:442079460123@{address}>;tag=1\r\nTo: <sip:trunk@gw.example>\r\nCall-ID: strict\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:alpha@{address}>\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    world.run(s(1));
    let invite = world.agents[SALES].requests(Method::Invite).next().expect("the PBX was called");
    assert!(invite.request_uri().starts_with(&format!("sip:{SALES_NUMBER}@")));
    world.agents[ALPHA].is_forger = true;
    world.say(
        ALPHA,
        &format!(
            "CANCEL sip:gw.example;lr SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-strict\r\n\
             Max-Forwards: 70\r\nRoute: <sip:{SALES_NUMBER}@gw.example>\r\n\
             From: <sip:442079460123@{address}>;tag=1\r\nTo: <sip:trunk@gw.example>\r\nCall-ID: strict\r\n\
             CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    world.run(s(1));
    assert_eq!(world.agents[SALES].requests(Method::Cancel).count(), 1);
    world.settle();
}

/// Sales over TLS with SIPS URIs.
fn secure() -> World {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tls);
    world.agents[SALES].scheme = "sips";
    world.agents[SALES].protection = Protection::Required;
    world.register(SALES, 3_600);
    world
}

#[test]
fn a_pbx_with_sips_is_answered_with_a_sips_contact_and_reaches_it() {
    let mut world = secure();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    let said = world.agents[SALES].responses(Method::Invite).filter(|it| matches!(it.status(), 180 | 200));
    for response in said {
        let contact = response.header(Name::Contact).unwrap();
        assert_eq!(contact, "<sips:12152751701@192.0.2.10:5061>", "{}", response.status());
    }
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.act(ALPHA, 0, Act::Info);
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    let contact = world.agents[SALES].requests(Method::Info).next().unwrap().header(Name::Contact);
    assert!(contact.unwrap().starts_with("<sips:"));
    let carriers = world.agents[ALPHA].requests(Method::Invite).next().unwrap().header(Name::Contact);
    assert!(carriers.unwrap().starts_with("<sip:"), "the carrier uses none");
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_pbx_with_sips_is_called_by_sips() {
    let mut world = secure();
    world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.run(s(3));
    let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
    assert!(invite.request_uri().starts_with("sips:12026843376@"), "{}", invite.request_uri());
    assert!(invite.header(Name::Contact).unwrap().starts_with("<sips:"));
    assert_eq!(world.agents[ALPHA].calls[0].statuses, [100, 180, 200]);
    world.settle();
    let bye = world.agents[SALES].requests(Method::Bye).next().unwrap();
    assert!(bye.request_uri().starts_with("sips:"));
}
