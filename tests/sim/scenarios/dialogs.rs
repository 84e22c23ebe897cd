//! Requests within a call that are odd, early or in each other's way.

use sip_core::message::{Message, Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event};

use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Last, Manner, ms, s};
use crate::provisioning::{self, ECHO, FAR_AWAY};
use crate::world::{ALPHA, SALES, STRANGER, World};

/// What the gateway has said last to an INVITE of Sales.
fn last_response(world: &World) -> &Message {
    world.agents[SALES].responses(Method::Invite).last().expect("the gateway has answered")
}

/// A request within a call, as somebody types it who has only just read its identifiers.
fn within(world: &World, method: &str, number: u32, extra: &str) -> String {
    let known = world.agents[SALES].overhear(0);
    let answer = last_response(world);
    let remote_tag = answer.to().and_then(|to| to.tag().map(str::to_owned)).expect("a response has a To tag");
    let address = world.agents[SALES].address;
    format!(
        "{method} sip:gw@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:sales@{address}>;tag={}\r\nTo: <sip:gw@gw.example>;tag={}\r\n\
         Call-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:sales@{address}>\r\n{extra}",
        known.local_tag, remote_tag, known.call_id
    )
}

#[test]
fn a_reinvite_that_meets_our_own_refresh_is_told_to_wait_and_so_are_we() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    let up = world.agents[ALPHA].last_call().answered.unwrap();
    // The refresh goes out half an interval after the answer came in, 5 ms after it left; the re-INVITE of Alpha is
    // on its way then, and comes just afterwards.
    let collision = up + s(900) + ms(3);
    world.act_at(collision - world.now(), ALPHA, 0, Act::Reinvite(Change::Hold));
    world.run(s(900) + s(10));
    assert_eq!(world.agents[ALPHA].calls[0].reinvites, [491, 200]);
    // The re-INVITE that came through has refreshed the session, so the refused refresh had not to be tried again.
    assert_eq!(world.agents[ALPHA].requests(Method::Invite).count(), 2);
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn what_a_request_within_a_call_requires_is_refused_by_name_but_a_goodbye_is_taken() {
    let mut world = World::new();
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    let text = within(&world, "INFO", 50, "Require: timer, foo\r\nContent-Length: 0\r\n\r\n");
    world.say(SALES, &text);
    world.run(s(1));
    assert_eq!(world.agents[SALES].stray_responses, [420]);
    assert_eq!(world.gateway.live_calls().len(), 1);
    let text = within(&world, "BYE", 51, "Require: foo\r\nContent-Length: 0\r\n\r\n");
    world.say(SALES, &text);
    world.run(s(1));
    assert_eq!(world.agents[SALES].stray_responses, [420, 200]);
    world.agents[SALES].forget_calls();
    world.settle();
}

#[test]
fn a_caller_that_never_confirms_its_ringing_is_given_up_with_504() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY).header("Require", "100rel"));
    world.run(s(31));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180]);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 504]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoPrack));
}

/// A PRACK of the ringing, with a description.
fn prack_with(world: &World, number: u32, port: u16, codec: &str) -> String {
    let ringing = last_response(world);
    let (invite, serial) = (ringing.cseq().map_or(0, |(number, _)| number), ringing.header(Name::RSeq));
    let rack = format!("{} {invite} INVITE", serial.expect("the ringing is reliable"));
    let host = world.agents[SALES].address.ip();
    let sdp = format!(
        "v=0\r\no=- 7 9 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {codec}\r\n"
    );
    let extra = format!(
        "RAck: {rack}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    within(world, "PRACK", number, &extra)
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_2xx_or_leaves_what_was_agreed() {
    for (codec, status, port) in
        [("8 101\r\na=rtpmap:101 telephone-event/8000", 200, 12_000), ("9", 488, 10_000)]
    {
        let mut world = World::new();
        let early = Early::new(ms(100), 183, EarlyMedia::Described);
        world.teach(
            ALPHA,
            Manner { early: vec![early], last: Last::Answer(s(5)), ..Manner::polite() }
                .then(s(5), Act::HangUp),
        );
        let call = world.dial(SALES, Dial::to(FAR_AWAY).header("Require", "100rel"));
        world.run(s(1));
        let text = prack_with(&world, 50, 12_000, codec);
        world.say(SALES, &text);
        world.run(ms(100));
        assert_eq!(world.agents[SALES].stray_responses, [status]);
        // From here on it speaks for itself again.
        world.agents[SALES].is_forger = false;
        let heard = world.speak(ALPHA, 0).unwrap();
        assert_eq!((heard.ip(), heard.port()), (world.agents[SALES].address.ip(), port));
        world.run(s(6));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 200]);
        assert_eq!(world.speak(ALPHA, 0).unwrap().port(), port);
        world.settle();
    }
}

#[test]
fn the_echo_test_called_without_an_offer_makes_one() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO).late().then(s(20), Act::HangUp));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 200]);
    assert_eq!(world.agents[SALES].calls[call].remote_media.as_ref().unwrap().codecs[0], "PCMA");
    let own = world.agents[SALES].media_address(call);
    assert_eq!(world.speak(SALES, call), Some(own));
    world.act(SALES, call, Act::Reinvite(Change::Late));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    assert_eq!(world.speak(SALES, call), Some(own));
    world.settle();
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn a_callee_confirms_nothing_of_the_callers() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    world.dial(SALES, Dial::to(FAR_AWAY).header("Require", "100rel"));
    world.run(s(1));
    let (number, _) = last_response(&world).cseq().unwrap();
    let known = world.agents[ALPHA].overhear(0);
    let address = world.agents[ALPHA].address;
    let prack = format!(
        "PRACK sip:gw@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-prack\r\nMax-Forwards: 70\r\n\
         From: <sip:alpha@{address}>;tag={}\r\nTo: <sip:gw@gw.example>;tag={}\r\nCall-ID: {}\r\nCSeq: 900 PRACK\r\n\
         RAck: 1 {number} INVITE\r\nContent-Length: 0\r\n\r\n",
        known.local_tag, known.remote_tag, known.call_id
    );
    world.say(ALPHA, &prack);
    world.settle();
    assert_eq!(world.agents[ALPHA].stray_responses, [481]);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoPrack));
}

#[test]
fn an_ack_that_leads_nowhere_is_told_of() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let ack = within(&world, "ACK", 50, "Content-Length: 0\r\n\r\n");
    world.say(STRANGER, &ack);
    let known = world.agents[SALES].overhear(call);
    world.say(STRANGER, &ack.replace(&known.call_id, "nowhere"));
    world.run(s(1));
    let noted = |event: &Event| match event {
        Event::Dropped { why, is_of_note, .. } => Some((*why, *is_of_note)),
        _ => None,
    };
    let noted: Vec<_> = world.events.iter().filter_map(noted).collect();
    assert_eq!(
        noted,
        [
            ("an ACK from elsewhere than the call's peer", true),
            ("an ACK within no call that there is", false)
        ]
    );
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn an_update_is_accepted_with_all_that_a_target_refresh_has() {
    let mut world = World::new();
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    world.teach(ALPHA, Manner { early: vec![early], last: Last::Answer(s(5)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require").then(s(8), Act::HangUp));
    world.run(s(1));
    let extra = "Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\nContent-Length: 2\r\n\r\nhi";
    let update = within(&world, "UPDATE", 50, extra);
    world.say(SALES, &update);
    world.run(s(1));
    let accepted = world.agents[SALES].strays.last().expect("an answer");
    assert_eq!(accepted.status(), 200);
    for name in [Name::Contact, Name::Allow, Name::Supported] {
        assert!(accepted.header(name).is_some(), "{name}");
    }
    world.agents[SALES].is_forger = false;
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 200]);
}
