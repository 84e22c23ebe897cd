//! Requests as faulty peers write them: served as far as it goes, and refused for what is needed alone.

use sip_core::message::{Message, Method, Name};

use crate::agent::manner::s;
use crate::provisioning::ECHO;
use crate::world::{ENGINEERING, World};

const SDP: &str = "v=0\r\no=- 7 1 IN IP4 198.51.100.12\r\ns=-\r\nc=IN IP4 198.51.100.12\r\nt=0 0\r\nm=audio 10000 RTP/AVP 8\r\n";

/// Fields that make an INVITE odd; a field of the same name stands in place of the usual one.
fn invite(serial: usize, fields: &[&str]) -> String {
    let usual = [
        format!("Via: SIP/2.0/UDP 198.51.100.12:5060;branch=z9hG4bKodd{serial}"),
        "From: <sip:pbx@198.51.100.12>;tag=a".to_owned(),
        format!("To: <sip:{ECHO}@gw.example>"),
        format!("Call-ID: odd{serial}"),
        "CSeq: 1 INVITE".to_owned(),
        "Max-Forwards: 70".to_owned(),
        "Contact: <sip:pbx@198.51.100.12:5060>".to_owned(),
    ];
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let is_usual = |line: &&String| fields.iter().all(|field| name(field) != name(line));
    let mut lines: Vec<&str> = usual.iter().filter(is_usual).map(String::as_str).collect();
    lines.extend(fields.iter().filter(|field| !field.ends_with(": -")));
    format!(
        "INVITE sip:{ECHO}@gw.example SIP/2.0\r\n{}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
        lines.join("\r\n"),
        SDP.len()
    )
}

/// What becomes of such an INVITE: the final status, and the Request-URI of the BYE to a caller that never says ACK.
fn outcome(fields: &[&str]) -> (u16, Option<String>) {
    let mut world = World::new();
    world.say(ENGINEERING, &invite(1, fields));
    world.run(s(40));
    let bye = world.agents[ENGINEERING].requests(Method::Bye).next().map(|bye| bye.request_uri().to_owned());
    let statuses = &world.agents[ENGINEERING].stray_responses;
    (*statuses.iter().find(|status| **status >= 200).expect("an answer"), bye)
}

#[test]
fn odd_fields_that_are_not_needed_keep_no_caller_out() {
    for field in [
        "Refer-To: bob",
        "Referred-By: <",
        "Route: \"x",
        "Record-Route: <sip:198.51.100.12;lr;thinfo=\"x y\">",
        "Record-Route: bob",
        "Path: @",
        "Reply-To: <>",
        "P-Asserted-Identity: \"A",
        "P-Preferred-Identity: <sip:>",
        "History-Info: <sip:a b>;index=x,",
        "Date: yesterday",
        "Session-Expires: soon",
        "Min-SE: -1",
        "RSeq: x",
        "Allow: \"",
        "Supported: <",
        "Reason: \"",
        "Warning: x",
        "Expires: -1",
        "Retry-After: (",
        "From: \"P B X\" <sip:p b x@198.51.100.12>;tag=a;x=\"y z\"",
        "To: <sip:17606604690 @gw.example;a=\"b c\">",
        "Organization Acme",
        "X-Tag[1]: 5",
        "X-B\u{fc}ro: 1",
        "Via: SIP/2.0/UDP [fe80::1%25eth0]:5060;branch=z9hG4bKodd1",
        "Via: SIP/2.0/UDP pbx (the PBX);branch=z9hG4bKodd1",
    ] {
        let (status, bye) = outcome(&[field]);
        assert_eq!((status, bye.as_deref()), (200, Some("sip:pbx@198.51.100.12:5060")), "{field}");
    }
}

#[test]
fn an_odd_contact_is_called_as_it_should_have_been_written() {
    for (contact, target) in [
        ("<sip:pbx@198.51.100.12:5060;thinfo=\"x y\">", "sip:pbx@198.51.100.12:5060;thinfo=%22x%20y%22"),
        ("<sip:p bx@198.51.100.12 ; line= 1>", "sip:p%20bx@198.51.100.12;line=1"),
        ("sip:pbx@198.51.100.12:5060;+sip.instance=\"<urn:uuid:1>\"", "sip:pbx@198.51.100.12:5060"),
        ("<sip:pbx@198.51.100.12?Subject=x>", "sip:pbx@198.51.100.12"),
        ("<sip:pbx@[fe80::1%25eth0]>", "sip:pbx@[fe80::1%25eth0]"),
        ("<sip:pbx@b\u{fc}ro.local>", "sip:pbx@b%C3%BCro.local"),
        ("-", "sip:pbx@198.51.100.12:5060;transport=udp"),
    ] {
        let (status, bye) = outcome(&[&format!("Contact: {contact}")]);
        assert_eq!((status, bye.as_deref()), (200, Some(target)), "{contact}");
    }
}

#[test]
fn a_caller_is_reached_at_one_sip_uri() {
    for (contact, sentence) in [
        ("<tel:+12025550123>", "Contact is not a SIP or SIPS URI."),
        ("mailto:pbx@example.com", "Contact is not a SIP or SIPS URI."),
        ("<sip:a@198.51.100.12>, <sip:b@198.51.100.12>", "There is more than one Contact."),
        ("*", "A Contact cannot be read."),
        ("bob", "A Contact cannot be read."),
    ] {
        let mut world = World::new();
        world.say(ENGINEERING, &invite(1, &[&format!("Contact: {contact}")]));
        world.run(s(1));
        let heard = |message: &&Message| message.status() == 400;
        let refusal = world.agents[ENGINEERING].strays.iter().find(heard).expect("a refusal");
        let warnings: Vec<_> = refusal.headers(Name::Warning).collect();
        assert!(warnings.iter().any(|warning| warning.contains(sentence)), "{contact}: {warnings:?}");
        world.settle();
    }
}

#[test]
fn an_ack_is_heard_whatever_else_it_says() {
    for (serial, odd) in
        (1..).zip(["", "Contact: bob\r\n", "Content-Length: 99\r\n", "no field\r\n", "Refer-To: \"\r\n"])
    {
        let mut world = World::new();
        world.say(ENGINEERING, &invite(serial, &[]));
        world.run(s(1));
        let accepted = world.agents[ENGINEERING].strays.iter().find(|message| message.status() == 200);
        let to = accepted.and_then(|accepted| accepted.header(Name::To)).expect("an answer").to_owned();
        // No empty line at its end.
        world.say(
            ENGINEERING,
            &format!(
                "ACK sip:{ECHO}@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.12:5060;branch=z9hG4bKack{serial}\r\n\
                 From: <sip:pbx@198.51.100.12>;tag=a\r\nTo: {to}\r\nCall-ID: odd{serial}\r\nCSeq: 1 ACK\r\n{odd}"
            ),
        );
        world.run(s(40));
        assert_eq!(world.gateway.live_calls().len(), 1, "not acknowledged: {odd}");
    }
}
