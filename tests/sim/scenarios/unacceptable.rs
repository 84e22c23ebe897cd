//! Descriptions of which nothing can be accepted: refused with 488 (RFC 3264 6), and a call goes on as it was.

use sip_core::message::{Method, Name};
use sip_core::sdp::Direction;
use sip_core::types::Transport;

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Manner, ms, s};
use crate::provisioning::{ENGINEERING_NUMBER, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

const BAD_PORTS: [&str; 5] = ["99999", "65536", "-1", "+4", "x"];

/// A call from Sales over Alpha, up and running.
fn running() -> (World, usize) {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    (world, call)
}

fn hear_each_other(world: &mut World) {
    assert_eq!(world.speak(SALES, 0), Some(world.agents[ALPHA].media_address(0)));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(0)));
}

fn end(mut world: World, call: usize) {
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_fax_that_takes_the_audios_place_is_refused_and_the_call_goes_on() {
    let bad_ports = BAD_PORTS.map(Change::BadPort);
    for change in [Change::FaxInstead, Change::FaxAlone].into_iter().chain(bad_ports) {
        for who in [SALES, ALPHA] {
            for act in [Act::Reinvite(change), Act::Update(change)] {
                let (mut world, call) = running();
                let heard = world.agents[SALES + ALPHA - who].heard.len();
                world.act(who, 0, act);
                world.run(s(2));
                let method = if act == Act::Update(change) { Method::Update } else { Method::Invite };
                assert_eq!(world.agents[who].statuses(method).last(), Some(&488), "{act:?}");
                let other = &world.agents[SALES + ALPHA - who];
                assert_eq!(other.heard.len(), heard, "{act:?}: the other side hears nothing of it");
                hear_each_other(&mut world);
                end(world, call);
            }
        }
    }
}

#[test]
fn a_fax_beside_the_audio_is_left_out_and_the_audio_goes_on() {
    for who in [SALES, ALPHA] {
        let (mut world, call) = running();
        world.act(who, 0, Act::Reinvite(Change::FaxBeside));
        world.run(s(2));
        assert_eq!(world.agents[who].calls[0].reinvites, [200]);
        let answer = world.agents[who].responses(Method::Invite).last().unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(text.contains("m=image 0 udptl t38\r\n") && !text.contains("m=audio 0"), "{text}");
        hear_each_other(&mut world);
        end(world, call);
    }
}

#[test]
fn a_call_that_begins_with_nothing_to_talk_over_is_refused_before_anybody_is_called() {
    let bad_ports = BAD_PORTS.map(|port| (Change::BadPort(port), "description_without_port"));
    let others = [
        (Change::HoldByPort, "media_off"),
        (Change::FaxInstead, "no_media_in_common"),
        (Change::FaxAlone, "no_media_in_common"),
    ];
    for (change, code) in others.into_iter().chain(bad_ports) {
        let mut world = World::new();
        let call = world.dial(SALES, Dial::to(FAR_AWAY).offering(change));
        let back = world.dial(ALPHA, Dial::to(SALES_NUMBER).offering(change));
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&488), "{change:?}");
        assert_eq!(world.agents[ALPHA].calls[back].statuses.last(), Some(&488), "{change:?}");
        assert_eq!([world.agents[SALES].calls.len(), world.agents[ALPHA].calls.len()], [1, 1]);
        let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
        assert_eq!(refusal.header_named("X-Sipgw-Reason"), Some(code), "{change:?}");
    }
}

#[test]
fn an_answer_that_takes_nothing_makes_no_call() {
    // The first takes nothing of the offer; the second is the callee's mistake, not the caller's.
    for (port, status) in [("0", 488), ("99999", 502)] {
        for early in [None, Some(Early::new(ms(100), 183, EarlyMedia::Described))] {
            let mut world = World::new();
            let early = early.into_iter().collect();
            world.teach(ALPHA, Manner { early, answer_port: Some(port), ..Manner::polite() });
            let call = world.dial(SALES, Dial::to(FAR_AWAY));
            world.settle();
            assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&status), "{port}");
            assert!(world.agents[SALES].calls[call].answered.is_none());
            assert_eq!(world.agents[ALPHA].calls[0].state, State::Over);
            assert!(world.desk.books.records.iter().all(|record| record.answered.is_none()));
        }
    }
}

#[test]
fn a_hold_that_the_other_side_refuses_is_not_repeated_by_the_sessions_refresh() {
    let mut world = World::of(Setting { session_s: Some(90), ..Setting::clear(1) });
    world.teach(ALPHA, Manner { reinvite: 488, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(400), Act::HangUp));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [488]);
    world.run(s(100));
    let refresh = world.agents[ALPHA].requests(Method::Invite).last().unwrap();
    let sdp = sip_core::sdp::SessionDescription::parse(refresh.body()).unwrap();
    let (_, media) = sdp.audio().unwrap();
    assert_eq!(media.direction, Direction::SendRecv);
    world.settle();
}

#[test]
fn how_a_call_was_diverted_passes_to_the_called_side_as_it_was_written() {
    let diversion = "\"Front  Desk\" <sip:+12026843376@pbx.example;user=phone>;reason=no-answer;x=\"a,b\"";
    let history = "<sip:+12026843376@10.0.0.1?Reason=SIP%3Bcause%3D302>;index=1, <sip:9@10.0.0.1>;index=1.1";
    for (privacy, is_passed) in [(None, true), (Some("history"), false), (Some("id"), true)] {
        let mut world = World::new();
        let mut dial = Dial::to(FAR_AWAY).header("Diversion", diversion).header("History-Info", history);
        if let Some(privacy) = privacy {
            dial = dial.header("Privacy", privacy);
        }
        world.dial(SALES, dial.then(s(2), Act::HangUp));
        world.settle();
        let invite = world.agents[ALPHA].requests(Method::Invite).next().unwrap();
        assert_eq!(invite.headers(Name::Diversion).collect::<Vec<_>>().join(", "), diversion);
        let heard = invite.headers(Name::HistoryInfo).collect::<Vec<_>>().join(", ");
        assert_eq!(heard, if is_passed { history } else { "" }, "{privacy:?}");
    }
}

#[test]
fn a_carriers_own_diversion_stays_with_the_carrier() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tcp);
    world.register(SALES, 3_600);
    let dial = Dial::to(SALES_NUMBER).header("Diversion", "<sip:1@core.carrier>;reason=unknown");
    world.dial(ALPHA, dial.then(s(2), Act::HangUp));
    world.settle();
    let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
    assert_eq!(invite.headers(Name::Diversion).count(), 0);
}

#[test]
fn what_a_call_has_passed_in_private_is_for_trusted_carriers_alone() {
    let shown = "<sip:+12026843376@pbx.example>;reason=user-busy";
    let diversion = format!("<sip:+12026843377@pbx.example>;reason=no-answer;privacy=full, {shown}");
    let entry = "<sip:9@pbx.example>;index=1.1";
    let history = format!("<sip:8@pbx.example?Privacy=history>;index=1, {entry}");
    for (number, callee, is_trusted) in
        [(FAR_AWAY, ALPHA, true), (FAR_AWAY, ALPHA, false), (ENGINEERING_NUMBER, ENGINEERING, true)]
    {
        let provisions = Provisions { carriers_are_trusted: is_trusted, ..Provisions::default() };
        let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
        let dial = Dial::to(number).header("Diversion", &diversion).header("History-Info", &history);
        world.dial(SALES, dial.then(s(2), Act::HangUp));
        world.settle();
        let invite = world.agents[callee].requests(Method::Invite).next().unwrap();
        let heard = |name| invite.headers(name).collect::<Vec<_>>().join(", ");
        let is_whole = is_trusted && callee == ALPHA;
        assert_eq!(heard(Name::Diversion), if is_whole { &diversion } else { shown });
        assert_eq!(heard(Name::HistoryInfo), if is_whole { &history } else { entry });
    }
}
