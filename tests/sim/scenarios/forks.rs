//! Several devices behind one callee: each in a dialog of its own, whatever the others have said.

use sip_core::message::{Message, Method, Name};

use crate::agent::State;
use crate::agent::manner::{Act, Change, Devices, Dial, Duty, Early, EarlyMedia, Manner, Proxy, ms, s};
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, World};

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
