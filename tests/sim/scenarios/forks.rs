//! Several devices behind one callee: each in a dialog of its own, whatever the others have said.

use sip_core::message::{Message, Method, Name, response_to};
use sip_core::types::Event;

use crate::agent::State;
use crate::agent::mangle::Mangling;
use crate::agent::manner::{Act, Change, Devices, Dial, Duty, Early, EarlyMedia, Manner, Proxy, ms, s};
use crate::provisioning::{FAR_AWAY, GATEWAY};
use crate::world::{ALPHA, SALES, STRANGER, World};

/// The users of a request's Request-URI and of its first Route.
fn way(request: &Message) -> (String, Option<String>) {
    let user = |uri: &str| {
        uri.trim_start_matches("<sip:")
            .trim_start_matches("sip:")
            .split('@')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    (user(request.request_uri()), request.header(Name::Route).map(user))
}

fn last(world: &World, method: Method) -> Message {
    world.agents[ALPHA].requests(method).last().expect("it was sent").clone()
}

#[test]
fn a_device_that_answers_gets_nothing_of_what_another_has_said() {
    let mut world = World::new();
    let manner = Manner { devices: Devices::RingsHereAnswersThere, proxy: Proxy::Loose, ..Manner::polite() };
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(way(&last(&world, Method::Ack)), ("alpha".into(), Some("proxy".into())));
    world.act(SALES, call, Act::Info);
    world.run(s(1));
    assert_eq!(way(&last(&world, Method::Info)), ("alpha".into(), Some("proxy".into())));
    world.settle();
    assert_eq!(way(&last(&world, Method::Bye)), ("alpha".into(), Some("proxy".into())));
}

#[test]
fn a_description_holds_for_the_device_that_made_it_alone() {
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    for (devices, status) in [(Devices::One, 200), (Devices::RingsHereAnswersThere, 502)] {
        let mut world = World::new();
        let manner = Manner { devices, early: vec![early], answer_sdp: Duty::Neglected, ..Manner::polite() };
        world.teach(ALPHA, manner);
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, status], "{devices:?}");
    }
}

#[test]
fn a_second_device_is_hung_up_in_its_own_dialog_once_and_acknowledged_each_time() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { devices: Devices::TwoAnswer, proxy: Proxy::Loose, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let bye = last(&world, Method::Bye);
    assert_eq!(way(&bye), ("second.alpha".into(), Some("second.proxy".into())));
    assert!(bye.to().unwrap().tag().unwrap().ends_with("-second"));
    let acks = world.agents[ALPHA].requests(Method::Ack).count();
    // Its ACK was lost: it answers again.
    world.act(ALPHA, 0, Act::SecondAnswerAgain);
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].requests(Method::Ack).count(), acks + 1);
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    assert_eq!(world.agents[ALPHA].calls[0].state, State::Up);
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(way(&last(&world, Method::Bye)), ("alpha".into(), Some("proxy".into())));
}

#[test]
fn an_answer_that_comes_again_after_a_reinvite_is_acknowledged_as_before() {
    for asker in [SALES, ALPHA] {
        let mut world = World::new();
        let call = world.dial(SALES, Dial::to(FAR_AWAY));
        world.run(s(3));
        let first = last(&world, Method::Ack);
        world.act(asker, 0, Act::Reinvite(Change::Hold));
        world.run(s(1));
        world.act(asker, 0, Act::Reinvite(Change::Resume));
        world.run(s(1));
        world.act(ALPHA, 0, Act::AnswerAgain);
        world.run(ms(100));
        assert_eq!(last(&world, Method::Ack).bytes(), first.bytes());
        world.act(SALES, call, Act::HangUp);
        world.settle();
    }
}

#[test]
fn however_many_reinvites_have_followed_the_first_answer_is_acknowledged_as_before() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let first = last(&world, Method::Ack);
    for turn in 0..70 {
        let change = if turn % 2 == 0 { Change::Hold } else { Change::Resume };
        world.act(SALES, call, Act::Reinvite(change));
        world.run(ms(200));
        world.act(ALPHA, 0, Act::AnswerAgain);
        world.run(ms(100));
        assert_eq!(last(&world, Method::Ack).bytes(), first.bytes(), "after {turn} changes");
    }
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn an_answer_without_a_tag_is_that_of_the_device_that_rings() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { proxy: Proxy::Loose, ..Manner::polite() });
    world.agents[ALPHA].mangling = Mangling::Tagless;
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let ack = last(&world, Method::Ack);
    assert!(ack.to().unwrap().tag().is_some(), "{:?}", ack.header(Name::To));
    world.act(ALPHA, 0, Act::AnswerAgain);
    world.run(s(1));
    assert_eq!(last(&world, Method::Ack).bytes(), ack.bytes());
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(way(&last(&world, Method::Bye)), ("alpha".into(), Some("proxy".into())));
}

#[test]
fn an_answer_from_where_nobody_was_asked_is_not_taken_and_told_of() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(s(2)));
    world.run(ms(200));
    let invite = world.agents[ALPHA].requests(Method::Invite).next().expect("it was called");
    let busy = response_to(invite, 486, "Busy Here", Some("elsewhere"), GATEWAY).finish();
    world.say(STRANGER, &String::from_utf8_lossy(&busy));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[0].statuses, [100]);
    let is_told = |event: &Event| matches!(event, Event::Dropped { is_of_note: true, why, .. } if why.contains("elsewhere"));
    assert_eq!(world.events.iter().filter(|event| is_told(event)).count(), 1);
    world.settle();
}

#[test]
fn an_answer_to_nothing_is_hung_up_also_where_it_names_no_contact() {
    for contact in ["", "Contact: bob\r\n"] {
        let mut world = World::new();
        world.say(
            ALPHA,
            &format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-gone\r\nFrom: <sip:a@gw.example>;tag=gone\r\n\
                 To: <sip:+12152751701@203.0.113.21>;tag=there\r\nCall-ID: gone\r\nCSeq: 7 INVITE\r\n{contact}\
                 Content-Length: 0\r\n\r\n"
            ),
        );
        world.run(s(1));
        for method in [Method::Ack, Method::Bye] {
            let uri = last(&world, method).request_uri().to_owned();
            assert_eq!(uri, "sip:+12152751701@203.0.113.21", "{contact}");
        }
        world.settle();
    }
}
