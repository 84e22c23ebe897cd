//! Bindings: made, refreshed, replaced, lost and ended.

use super::*;
use crate::message::lex;
use crate::types::Transport;
use bytes::Bytes;

const PROFILE: ProfileId = ProfileId(7);

fn now() -> Now {
    Now { monotonic: crate::timers::testing::start(), unix_s: 1_000_000 }
}

fn flow(peer: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        peer: peer.parse().unwrap(),
        connection: None,
    }
}

fn register(call_id: &str, cseq: u32, extra: &str) -> Message {
    let text = format!(
        "REGISTER sip:gw SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{cseq}\r\n\
         From: <sip:u@gw>;tag=1\r\nTo: <sip:u@gw>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n\
         Max-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n"
    );
    lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap()
}

fn run(registrar: &mut Registrar, message: &Message, peer: &str) -> Registration {
    let settings = RegistrationSettings::default();
    registrar.register(now(), &settings, PROFILE, message, flow(peer), &mut Outbox::default())
}

fn bound(contact: &str, left_s: u32) -> Registration {
    Registration::Done(Some(Bound { contact: contact.to_owned(), left_s }))
}

const CONTACT: &str = "Contact: <sip:u@198.51.100.9:5060;rinstance=abc>;q=0.5;expires=600\r\n";

#[test]
fn the_third_pbx_of_two_is_refused_until_one_has_gone() {
    let mut registrar = Registrar::new(2);
    let settings = RegistrationSettings::default();
    let bind = |registrar: &mut Registrar, profile| {
        let message = register("a", 1, CONTACT);
        let (flow, mut out) = (flow("198.51.100.9:5060"), Outbox::default());
        registrar.register(now(), &settings, ProfileId(profile), &message, flow, &mut out)
    };
    assert!(matches!(bind(&mut registrar, 1), Registration::Done(Some(_))));
    assert!(matches!(bind(&mut registrar, 2), Registration::Done(Some(_))));
    assert_eq!(bind(&mut registrar, 3), Registration::Refused(Refusal::Overloaded));
    registrar.remove(ProfileId(1), Unregistration::Asked, &mut Outbox::default());
    assert!(matches!(bind(&mut registrar, 3), Registration::Done(Some(_))));
    assert_eq!(registrar.len(), 2);
}

#[test]
fn a_name_shows_a_nat_where_the_port_cannot() {
    let named = "Contact: <sip:u@pbx.local>;expires=3600\r\n";
    let message = register("a", 1, named);
    let connected = Flow { transport: Transport::Tls, ..flow("198.51.100.9:40000") };
    assert!(is_behind_nat(&message, Some("sip:u@pbx.local"), connected));
    assert!(!is_behind_nat(&message, Some("sip:u@198.51.100.9"), connected));
    assert!(!is_behind_nat(&message, Some("sip:u@pbx.local"), flow("198.51.100.9:5060")));
    assert!(is_behind_nat(&message, Some("sip:u@pbx.local"), flow("198.51.100.9:40000")));
}

#[test]
fn the_contact_is_echoed_with_its_parameters() {
    let mut registrar = Registrar::new(10);
    let done = run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
    assert_eq!(done, bound("<sip:u@198.51.100.9:5060;rinstance=abc>;q=0.5", 600));
    let query = run(&mut registrar, &register("b", 1, ""), "198.51.100.9:5060");
    assert_eq!(query, done);
}

#[test]
fn a_pbx_behind_a_nat_is_given_45_seconds() {
    let mut registrar = Registrar::new(10);
    let done = run(&mut registrar, &register("a", 1, CONTACT), "203.0.113.5:40000");
    assert!(matches!(done, Registration::Done(Some(Bound { left_s: 45, .. }))), "{done:?}");
    let port_only = run(&mut registrar, &register("b", 1, CONTACT), "198.51.100.9:40000");
    assert!(matches!(port_only, Registration::Done(Some(Bound { left_s: 45, .. }))), "{port_only:?}");
}

#[test]
fn how_a_pbx_protects_its_media_is_remembered_as_long_as_it_is_the_one() {
    let mut registrar = Registrar::new(1);
    run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
    let (pbx, mut out) = (Peer::Profile(PROFILE), Outbox::default());
    registrar.note_media(pbx, SecureMedia::Optional, &mut out);
    registrar.note_media(pbx, SecureMedia::Optional, &mut out);
    assert_eq!(out.events.len(), 1, "told once");
    let is_told =
        |event: &Event| matches!(event, Event::MediaShown(it) if it.media == Some(SecureMedia::Optional));
    assert!(is_told(&out.events[0]));
    registrar.note_media(Peer::Profile(ProfileId(8)), SecureMedia::Required, &mut out);
    let other = registrar.media_shown(Peer::Profile(ProfileId(8)));
    assert_eq!(other, None, "more than there may be bindings");
    run(&mut registrar, &register("a", 2, CONTACT), "198.51.100.9:5060");
    assert_eq!(registrar.media_shown(pbx), Some(SecureMedia::Optional), "a refresh changes nothing");
    let kept = registrar.binding(PROFILE).unwrap().clone();
    assert_eq!(kept.media, Some(SecureMedia::Optional), "the store is told with each refresh");
    let mut restarted = Registrar::new(1);
    restarted.recall_media(&kept);
    assert_eq!(restarted.media_shown(pbx), Some(SecureMedia::Optional));
    run(&mut registrar, &register("b", 1, CONTACT), "203.0.113.5:5060");
    assert_eq!(registrar.media_shown(pbx), None, "another PBX");
    registrar.note_media(pbx, SecureMedia::Off, &mut out);
    run(&mut registrar, &register("b", 2, "Contact: *\r\nExpires: 0\r\n"), "203.0.113.5:5060");
    assert_eq!(registrar.media_shown(pbx), None);
}

#[test]
fn too_short_an_interval_is_named() {
    let mut registrar = Registrar::new(10);
    let brief = register("a", 1, "Contact: <sip:u@198.51.100.9>\r\nExpires: 5\r\n");
    assert_eq!(run(&mut registrar, &brief, "198.51.100.9:5060"), Registration::TooBrief { min_s: 20 });
}

#[test]
fn the_contacts_own_interval_wins_over_expires() {
    let mut registrar = Registrar::new(10);
    let both = register("a", 1, "Contact: <sip:u@198.51.100.9>;expires=100\r\nExpires: 200\r\n");
    let done = run(&mut registrar, &both, "198.51.100.9:5060");
    assert!(matches!(done, Registration::Done(Some(Bound { left_s: 100, .. }))), "{done:?}");
}

#[test]
fn the_star_needs_expires_0() {
    let mut registrar = Registrar::new(10);
    run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
    let wrong = register("a", 2, "Contact: *\r\nExpires: 60\r\n");
    assert_eq!(run(&mut registrar, &wrong, "198.51.100.9:5060"), Registration::Refused(Refusal::BadContact));
    let right = register("a", 3, "Contact: *\r\nExpires: 0\r\n");
    assert_eq!(run(&mut registrar, &right, "198.51.100.9:5060"), Registration::Done(None));
    assert!(registrar.binding(PROFILE).is_none());
    assert_eq!(registrar.timers.len(), 0);
}

#[test]
fn a_lower_cseq_is_late_unless_the_call_id_is_new() {
    let mut registrar = Registrar::new(10);
    run(&mut registrar, &register("a", 5, CONTACT), "198.51.100.9:5060");
    assert_eq!(
        run(&mut registrar, &register("a", 4, CONTACT), "198.51.100.9:5060"),
        Registration::Refused(Refusal::RequestOutOfOrder)
    );
    let rebooted = run(&mut registrar, &register("b", 1, CONTACT), "198.51.100.9:5060");
    assert!(matches!(rebooted, Registration::Done(Some(_))));
}

#[test]
fn the_newest_registration_wins_and_is_told() {
    let mut registrar = Registrar::new(10);
    run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
    let mut out = Outbox::default();
    let message = register("b", 1, CONTACT);
    let settings = RegistrationSettings::default();
    registrar.register(now(), &settings, PROFILE, &message, flow("203.0.113.8:5060"), &mut out);
    assert!(matches!(out.events[0], Event::Unregistered { why: Unregistration::Replaced, .. }));
    assert_eq!(registrar.len(), 1);
    assert_eq!(registrar.timers.len(), 1);
}

/// Whether the second of two registrations replaced another PBX.
fn replaces(one: (&str, &str, &str), other: (&str, &str, &str)) -> bool {
    replaces_over(Transport::Udp, one, other)
}

/// The same where the second comes over this transport.
fn replaces_over(second: Transport, one: (&str, &str, &str), other: (&str, &str, &str)) -> bool {
    let mut registrar = Registrar::new(10);
    let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
    for ((call_id, contact, peer), transport) in [(one, Transport::Udp), (other, second)] {
        let message = register(call_id, 1, &format!("Contact: {contact}\r\n"));
        let flow = Flow { transport, ..flow(peer) };
        registrar.register(now(), &settings, PROFILE, &message, flow, &mut out);
    }
    out.events.iter().any(|event| matches!(event, Event::Unregistered { why: Unregistration::Replaced, .. }))
}

#[test]
fn a_pbx_that_goes_over_to_another_transport_is_the_same() {
    let before = ("a", "<sip:u@203.0.113.8:5060>", "203.0.113.8:5060");
    let after = ("b", "<sip:u@203.0.113.8:5060;transport=tcp>", "203.0.113.8:41234");
    assert!(!replaces_over(Transport::Tcp, before, after));
    let behind_nat = ("a", "<sip:u@192.168.1.10:5060>", "203.0.113.8:40000");
    let other = ("b", "<sip:u@192.168.1.11:5060;transport=tcp>", "203.0.113.8:41234");
    assert!(replaces_over(Transport::Tcp, behind_nat, other));
}

#[test]
fn two_pbxs_behind_one_nat_are_told_apart() {
    let first = ("a", "<sip:u@192.168.1.10:5060>", "203.0.113.8:40000");
    assert!(replaces(first, ("b", "<sip:u@192.168.1.11:5060>", "203.0.113.8:40001")));
    assert!(replaces(first, ("b", "<sip:u@192.168.1.10:5070>", "203.0.113.8:40001")));
    // The same private address at another site is another PBX.
    assert!(replaces(first, ("b", "<sip:u@192.168.1.10:5060>", "203.0.113.9:40000")));
    // Started anew, or behind a NAT that has forgotten it.
    assert!(!replaces(first, ("b", "<sip:u@192.168.1.10:5060;rinstance=2>", "203.0.113.8:40001")));
    assert!(!replaces(first, ("b", "<sip:u@192.168.1.99:5060>", "203.0.113.8:40000")));
    // A Contact that follows the flow.
    let rewritten = ("a", "<sip:u@203.0.113.8:40000>", "203.0.113.8:40000");
    assert!(!replaces(rewritten, ("b", "<sip:u@203.0.113.8:40001>", "203.0.113.8:40001")));
    // The instance decides where both name one.
    let known = |id| format!("<sip:u@192.168.1.10:5060>;+sip.instance=\"<urn:uuid:{id}>\"");
    let (one, other) = (known("1"), known("2"));
    assert!(replaces(("a", &one, "203.0.113.8:1"), ("b", &other, "203.0.113.8:2")));
    assert!(!replaces(("a", &one, "203.0.113.8:1"), ("b", &one, "203.0.113.9:2")));
}

#[test]
fn a_pbx_that_was_replaced_takes_nothing_from_its_successor() {
    let mut registrar = Registrar::new(10);
    run(&mut registrar, &register("a", 1, "Contact: <sip:u@198.51.100.9:5060>\r\n"), "198.51.100.9:5060");
    run(&mut registrar, &register("b", 1, "Contact: <sip:u@198.51.100.7:5060>\r\n"), "198.51.100.7:5060");
    let leaves = register("a", 2, "Contact: <sip:u@198.51.100.9:5060>;expires=0\r\n");
    let answer = run(&mut registrar, &leaves, "198.51.100.9:5060");
    assert!(matches!(answer, Registration::Done(Some(_))), "{answer:?}");
    assert_eq!(registrar.len(), 1);
    let leaves = register("b", 2, "Contact: <sip:u@198.51.100.7:5060>;expires=0\r\n");
    assert_eq!(run(&mut registrar, &leaves, "198.51.100.7:5060"), Registration::Done(None));
    assert!(!registrar.is_bound_host("198.51.100.7".parse().unwrap()));
    assert!(registrar.sources.is_empty());
}

#[test]
fn one_pbx_may_register_several_profiles_over_one_flow() {
    let mut registrar = Registrar::new(10);
    let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
    let there = flow("198.51.100.9:5060");
    for profile in [ProfileId(9), ProfileId(3)] {
        registrar.register(now(), &settings, profile, &register("a", 1, CONTACT), there, &mut out);
    }
    let elsewhere = Flow { transport: Transport::Tcp, ..there };
    registrar.register(now(), &settings, ProfileId(1), &register("b", 1, CONTACT), elsewhere, &mut out);
    assert_eq!(registrar.profiles_at(there).collect::<Vec<_>>(), [ProfileId(3), ProfileId(9)]);
    assert_eq!(registrar.profiles_at(elsewhere).collect::<Vec<_>>(), [ProfileId(1)]);
    assert_eq!(registrar.profiles_at(flow("198.51.100.9:5061")).count(), 0);
}

fn over_tcp(connection: u64, peer: &str) -> Flow {
    Flow { transport: Transport::Tcp, connection: Some(ConnectionId(connection)), ..flow(peer) }
}

/// A PBX that names its own address, and listens there.
fn register_directly(registrar: &mut Registrar, profile: ProfileId, there: Flow, out: &mut Outbox) {
    let (host, settings) = (there.peer.ip(), RegistrationSettings::default());
    let text = format!(
        "REGISTER sip:d SIP/2.0\r\nVia: SIP/2.0/TCP {host};branch=z9hG4bK1\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:u@{host}:5060;transport=tcp>\r\nExpires: 3600\r\n\r\n"
    );
    let request = lex(Bytes::from(text), crate::message::Transport::Stream).unwrap();
    let done = registrar.register(now(), &settings, profile, &request, there, out);
    assert!(matches!(done, Registration::Done(Some(Bound { left_s: 3600, .. }))), "{done:?}");
}

#[test]
fn a_lost_connection_ends_the_bindings_of_a_pbx_behind_a_nat() {
    let mut registrar = Registrar::new(10);
    let (settings, mut out) = (RegistrationSettings::default(), Outbox::default());
    let there = over_tcp(3, "198.51.100.9:41234");
    let natted = "Contact: <sip:u@10.0.0.9:5060>\r\n";
    for profile in [PROFILE, ProfileId(8)] {
        registrar.register(now(), &settings, profile, &register("a", 1, natted), there, &mut out);
    }
    registrar.connection_lost(ConnectionId(4), &mut out);
    assert_eq!(registrar.len(), 2);
    registrar.connection_lost(ConnectionId(3), &mut out);
    assert_eq!((registrar.len(), registrar.sources.len(), registrar.by_connection.len()), (0, 0, 0));
}

#[test]
fn a_pbx_without_a_nat_outlives_its_connection() {
    let (mut registrar, mut out) = (Registrar::new(10), Outbox::default());
    let there = over_tcp(3, "198.51.100.9:41234");
    for profile in [PROFILE, ProfileId(8)] {
        register_directly(&mut registrar, profile, there, &mut out);
    }
    assert_eq!(registrar.way_to(PROFILE), Some(there));
    out.events.clear();
    registrar.connection_lost(ConnectionId(3), &mut out);
    let listens = "198.51.100.9:5060".parse().unwrap();
    assert!(
        out.events
            .iter()
            .all(|event| matches!(event, Event::ConnectionEnded { contact, .. } if *contact == listens))
    );
    assert_eq!((registrar.len(), out.events.len()), (2, 2));
    assert_eq!(registrar.way_to(PROFILE), Some(Flow { peer: listens, connection: None, ..there }));
    // The connection that we open there is the PBX's as well.
    let ours = over_tcp(9, "198.51.100.9:5060");
    assert_eq!(registrar.profiles_at(ours).collect::<Vec<_>>(), [PROFILE, ProfileId(8)]);
    assert!(!registrar.is_way_of(PROFILE, over_tcp(10, "198.51.100.9:5061")));
    // It registers again, over a connection of its own: it is the same PBX.
    out.events.clear();
    let anew = over_tcp(11, "198.51.100.9:50001");
    let (settings, again) =
        (RegistrationSettings::default(), "Contact: <sip:u@198.51.100.9:5060;transport=tcp>\r\n");
    registrar.register(now(), &settings, PROFILE, &register("b", 1, again), anew, &mut out);
    assert!(matches!(out.events.make_contiguous(), [Event::Registered(_)]), "{:?}", out.events);
    assert_eq!(registrar.way_to(PROFILE), Some(anew));
    registrar.remove(ProfileId(8), Unregistration::Asked, &mut out);
    registrar.remove(PROFILE, Unregistration::Asked, &mut out);
    assert!(registrar.sources.is_empty() && registrar.by_connection.is_empty());
}

#[test]
fn a_restart_leaves_what_can_be_connected_to() {
    let (mut registrar, mut out) = (Registrar::new(10), Outbox::default());
    register_directly(&mut registrar, PROFILE, over_tcp(3, "198.51.100.9:41234"), &mut out);
    let known = registrar.binding(PROFILE).unwrap().clone();
    let mut fresh = Registrar::new(10);
    fresh.restore(now(), Binding { behind_nat: true, ..known.clone() }, 3_600);
    assert_eq!(fresh.len(), 0);
    fresh.restore(now(), known, 3_600);
    assert_eq!(fresh.way_to(PROFILE).map(|way| (way.peer.port(), way.connection)), Some((5060, None)));
}

#[test]
fn an_unrefreshed_binding_expires() {
    let mut registrar = Registrar::new(10);
    run(&mut registrar, &register("a", 1, CONTACT), "198.51.100.9:5060");
    let at = registrar.next_timeout().unwrap();
    let mut out = Outbox::default();
    registrar.handle_timeout(at, 10, &mut out);
    assert!(matches!(out.events[0], Event::Unregistered { why: Unregistration::Expired, .. }));
    assert!(registrar.next_timeout().is_none());
}

#[test]
fn an_odd_contact_is_bound_and_echoed_as_it_is() {
    for contact in [
        "<sip:u@198.51.100.9:5060;thinfo=\"x y\">",
        "<sip:u v@198.51.100.9:5060 ;line= 1>;+sip.instance=\"<urn:uuid:1;2>\"",
        "sip:u@198.51.100.9:5060;+sip.instance=\"<urn:uuid:1>\"",
    ] {
        let mut registrar = Registrar::new(10);
        let message = register("a", 1, &format!("Contact: {contact};expires=600\r\n"));
        assert_eq!(crate::message::validate(&message), Ok(()), "{contact}");
        let done = run(&mut registrar, &message, "198.51.100.9:5060");
        assert_eq!(done, bound(contact, 600), "{contact}");
    }
}
