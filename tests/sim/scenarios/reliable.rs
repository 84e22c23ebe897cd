//! Provisional responses that must arrive (RFC 3262), from callees and to callers, in fair weather and in foul.

use sip_core::message::{Message, Method, Name};

use crate::agent::State;
use crate::agent::manner::{
    Act, Asked, Devices, Dial, Duty, Early, EarlyMedia, Hurdle, Last, Manner, Proxy, ms, s,
};
use crate::network::Weather;
use crate::provisioning::{self, BETA_CREDENTIALS, ENGINEERING_NUMBER, FAR_AWAY, Provisions};
use crate::world::{ALPHA, BETA, ENGINEERING, SALES, Setting, World};

/// Rings with a description that must arrive, and answers.
fn sure() -> Manner {
    let early = |after, status, media| Early::new(after, status, media).reliable();
    Manner {
        early: vec![early(ms(100), 183, EarlyMedia::Described), early(ms(600), 180, EarlyMedia::None)],
        last: Last::Answer(s(3)),
        ..Manner::polite()
    }
}

fn racks(world: &World, agent: usize) -> Vec<String> {
    let rack =
        |prack: &Message| prack.header(Name::RAck).map(str::to_owned).expect("a PRACK names its response");
    world.agents[agent].requests(Method::Prack).map(rack).collect()
}

#[test]
fn a_callee_that_rings_reliably_is_confirmed_whoever_it_is() {
    for (callee, number) in [(ALPHA, FAR_AWAY), (ENGINEERING, ENGINEERING_NUMBER)] {
        let mut world = World::new();
        world.teach(callee, sure());
        let call = world.dial(SALES, Dial::to(number).then(s(5), Act::HangUp));
        world.run(s(2));
        let invite = world.agents[callee].requests(Method::Invite).next().expect("it was called");
        assert!(invite.lists_tag(Name::Supported, "100rel") && !invite.lists_tag(Name::Require, "100rel"));
        assert_eq!(racks(&world, callee), ["701 1 INVITE", "702 1 INVITE"]);
        assert_eq!(world.speak(SALES, call), Some(world.agents[callee].media_address(0)));
        world.run(s(3));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
        world.settle();
    }
}

#[test]
fn a_response_that_comes_again_or_too_early_is_not_confirmed() {
    let mut world =
        World::of(Setting { weather: Weather { duplicates: 100, ..Weather::clear() }, ..Setting::clear(1) });
    world.teach(ALPHA, sure());
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(5));
    assert_eq!(racks(&world, ALPHA), ["701 1 INVITE", "702 1 INVITE"]);
    world.settle();
}

#[test]
fn what_is_lost_on_the_way_is_said_again_until_it_is_confirmed() {
    for seed in 1..20 {
        let weather = Weather { loss: 30, ..Weather::clear() };
        let mut world = World::of(Setting { weather, ..Setting::clear(seed) });
        world.teach(ALPHA, sure());
        let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require").then(s(60), Act::HangUp));
        world.run(s(40));
        let mine = &world.agents[SALES].calls[call];
        assert_eq!(mine.state, State::Up, "{seed}: {:?}", mine.statuses);
        // Where every INVITE to one carrier is lost, the next has the call.
        let mut theirs = [ALPHA, BETA].iter().flat_map(|carrier| &world.agents[*carrier].calls);
        assert!(theirs.any(|call| call.state == State::Up), "{seed}");
        world.settle();
    }
}

#[test]
fn each_device_that_rings_is_confirmed_in_its_own_dialog() {
    let mut world = World::new();
    let manner = Manner { devices: Devices::RingsHereAnswersThere, proxy: Proxy::Strict, ..sure() };
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(2));
    for prack in world.agents[ALPHA].requests(Method::Prack) {
        assert!(prack.to().unwrap().tag().unwrap().ends_with("-rings"));
        assert_eq!(prack.request_uri(), "sip:rings.proxy@203.0.113.21:5060");
        assert_eq!(prack.header(Name::Route), Some("<sip:rings.alpha@203.0.113.21:5060>"));
    }
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
    let ack = world.agents[ALPHA].requests(Method::Ack).last().unwrap();
    assert_eq!(ack.request_uri(), "sip:proxy@203.0.113.21:5060");
    world.settle();
}

#[test]
fn a_prack_that_is_challenged_is_proved() {
    let provisions = Provisions { carriers: vec![provisioning::BETA], ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    let manner = Manner { demands: Some(BETA_CREDENTIALS), asked: Asked::EveryRequestAnew, ..sure() };
    world.teach(BETA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(5));
    assert_eq!(racks(&world, BETA).len(), 4, "each was challenged once");
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
    world.settle();
}

#[test]
fn who_takes_no_call_without_it_is_asked_for_it_once() {
    for (hurdles, invites, last) in
        [(vec![Hurdle::Unreliable], 2, 200), (vec![Hurdle::Unreliable, Hurdle::Unreliable], 2, 480)]
    {
        let mut world = World::new();
        world.teach(ALPHA, Manner { hurdles, ..sure() });
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
        world.settle();
        let required: Vec<_> = world.agents[ALPHA]
            .requests(Method::Invite)
            .map(|invite| invite.lists_tag(Name::Require, "100rel"))
            .collect();
        assert_eq!((required.len(), required[1]), (invites, true));
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&last));
    }
}

#[test]
fn an_offer_in_a_reliable_response_is_answered_in_the_prack_by_a_caller_that_can() {
    for field in ["Require", "Supported"] {
        let mut world = World::new();
        world.teach(ALPHA, sure());
        let dial = Dial::to(FAR_AWAY).late().confirming(field).then(s(5), Act::HangUp);
        let call = world.dial(SALES, dial);
        world.run(s(2));
        let pracks: Vec<_> =
            world.agents[ALPHA].requests(Method::Prack).map(|it| !it.body().is_empty()).collect();
        assert_eq!(pracks, [true, false], "the answer stands in the first");
        assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
        assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
        world.run(s(3));
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&200), "{field}");
        let answer = world.agents[SALES].responses(Method::Invite).last().unwrap();
        assert!(answer.body().is_empty(), "what is agreed is not said again");
        assert_eq!(world.agents[ALPHA].requests(Method::Ack).last().unwrap().body(), b"");
        assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
        world.settle();
    }
}

#[test]
fn a_callee_is_not_told_of_it_where_the_caller_could_not_answer() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).late().then(s(5), Act::HangUp));
    world.run(s(3));
    let invite = world.agents[ALPHA].requests(Method::Invite).next().unwrap();
    assert!(!invite.lists_tag(Name::Supported, "100rel") && invite.lists_tag(Name::Supported, "timer"));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    world.settle();
}

#[test]
fn a_callee_that_insists_is_answered_for_a_caller_that_cannot_confirm() {
    // The second one rings reliably without having been told that it may.
    for (hurdles, invites) in [(vec![Hurdle::Unreliable], 2), (Vec::new(), 1)] {
        for answer_sdp in [Duty::Done, Duty::Neglected] {
            let mut world = World::new();
            world.teach(ALPHA, Manner { hurdles: hurdles.clone(), answer_sdp, ..sure() });
            let call = world.dial(SALES, Dial::to(FAR_AWAY).late().then(s(5), Act::HangUp));
            world.run(s(5));
            assert_eq!(world.agents[ALPHA].requests(Method::Invite).count(), invites);
            assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
            let answer = world.agents[ALPHA].requests(Method::Prack).next().expect("a PRACK").clone();
            let chosen = media_line(&answer);
            assert!(chosen.starts_with("m=audio") && chosen.ends_with("RTP/AVP 8 101"), "{chosen}");
            let offer = world.agents[SALES].responses(Method::Invite).last().expect("a 200").clone();
            assert!(media_line(&offer).ends_with("RTP/AVP 8 101"), "{offer:?}");
            assert_eq!(world.agents[ALPHA].requests(Method::Ack).last().unwrap().body(), b"");
            assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
            assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
            world.settle();
        }
    }
    let mut world = World::new();
    world.teach(ALPHA, Manner { hurdles: vec![Hurdle::Unreliable, Hurdle::Unreliable], ..sure() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).late());
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&480));
}

fn media_line(message: &Message) -> String {
    let body = String::from_utf8_lossy(message.body()).into_owned();
    body.lines().find(|line| line.starts_with("m=")).unwrap_or_default().to_owned()
}

#[test]
fn an_answer_waits_for_the_prack_to_a_description_and_a_prack_may_come_behind_it() {
    // The callee answers 10 ms after its description: the caller has not confirmed it then.
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    let mut world = World::new();
    world.teach(ALPHA, Manner { early: vec![early], last: Last::Answer(ms(110)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require").then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 200]);
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Prack, 200)]);
    world.settle();
    // Nothing is described here: the 200 need not wait, and overtakes the PRACK, which is taken all the same.
    let mut world = World::new();
    let early = Early::new(ms(100), 180, EarlyMedia::None);
    world.teach(ALPHA, Manner { early: vec![early], last: Last::Answer(ms(101)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require").then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Prack, 200)]);
    world.settle();
}

#[test]
fn a_callee_may_leave_its_200_empty_behind_what_was_confirmed() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { answer_sdp: Duty::Neglected, ..sure() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
}

#[test]
fn a_device_that_rings_no_more_is_told_of_to_who_asks_for_it() {
    for (supported, statuses) in [("199", vec![100, 180, 199, 200]), ("timer", vec![100, 180, 200])] {
        let mut world = World::new();
        let ring = |after, status| Early::new(after, status, EarlyMedia::None);
        let early = vec![ring(ms(100), 180), ring(ms(300), 199)];
        world.teach(ALPHA, Manner { early, ..Manner::polite() });
        let headers = vec![("Supported", supported.to_owned())];
        let call = world.dial(SALES, Dial { headers, ..Dial::to(FAR_AWAY).then(s(5), Act::HangUp) });
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses, statuses);
    }
}

#[test]
fn an_invite_is_valid_for_as_long_as_it_says() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Never, ..Manner::polite() });
    let headers = vec![("Expires", "3".to_owned())];
    let call = world.dial(SALES, Dial { headers, ..Dial::to(FAR_AWAY) });
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].state, State::Early);
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&487));
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    world.settle();
}

#[test]
fn a_description_that_waits_for_a_prack_outlives_a_status_without_one() {
    let ring = |after, status, media| Early::new(ms(after), status, media);
    let early = vec![
        ring(100, 180, EarlyMedia::None),
        ring(101, 183, EarlyMedia::Described),
        ring(107, 180, EarlyMedia::None),
    ];
    let mut world = World::new();
    world.teach(ALPHA, Manner { early, last: Last::Answer(s(3)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require").then(s(5), Act::HangUp));
    world.run(s(2));
    assert!(world.agents[SALES].calls[call].remote_media.is_some(), "the early media is lost");
    world.settle();
    assert_eq!(world.agents[SALES].statuses(Method::Prack), [200, 200]);
}
