//! What is malformed, out of place, or from somebody we do not know.

use sip_core::message::{Message, Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, ProfileId};

use crate::agent::manner::{Act, Dial, s};
use crate::network::Weather;
use crate::provisioning::{self, ECHO, FAR_AWAY, Provisions, SALES as SALES_ID, SALES_NUMBER, SALES_USER};
use crate::world::{ALPHA, ENGINEERING, SALES, STRANGER, Setting, World};

fn statuses(world: &World, agent: usize) -> Vec<u16> {
    world.agents[agent].stray_responses.clone()
}

#[test]
fn an_extension_that_we_do_not_have_is_refused_with_its_name() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).header("Require", "foo"));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].statuses, [420]);
    let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
    assert!(refusal.lists_tag(Name::Unsupported, "foo"));
    world.settle();
    assert_eq!(endings(&world), [(Some(SALES_ID), Ending::Refused(Refusal::ExtensionUnsupported))]);
}

#[test]
fn an_extension_is_named_once_however_often_it_is_required() {
    for fields in [
        vec![("Require", "gin, gin")],
        vec![("Require", "gin"), ("Require", "timer, GIN"), ("Proxy-Require", "gin")],
    ] {
        let mut world = World::new();
        let headers = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let call = world.dial(SALES, Dial { headers, ..Dial::to(FAR_AWAY) });
        world.run(s(1));
        assert_eq!(world.agents[SALES].calls[call].statuses, [420]);
        let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
        assert_eq!(refusal.headers(Name::Unsupported).collect::<Vec<_>>(), ["gin"]);
        world.settle();
    }
}

#[test]
fn privacy_may_be_required_of_us_as_a_proxy_and_nothing_else_may() {
    for (tag, status) in [("privacy", 200), ("Privacy", 200), ("gin", 420), ("privacy, gin", 420)] {
        let mut world = World::new();
        let dial = Dial::to(FAR_AWAY).header("Proxy-Require", tag).header("Privacy", "id");
        let call = world.dial(SALES, dial.then(s(1), Act::HangUp));
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&status), "{tag}");
    }
}

fn endings(world: &World) -> Vec<(Option<ProfileId>, Ending)> {
    world.desk.books.records.iter().map(|record| (record.profile, record.ending)).collect()
}

#[test]
fn a_call_that_has_passed_too_many_hops_is_refused() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).max_forwards(0));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [483]);
    assert_eq!(world.agents[ALPHA].calls.len(), 0);
    assert_eq!(endings(&world), [(Some(SALES_ID), Ending::Refused(Refusal::LoopDetected))]);
    let record = &world.desk.books.records[0];
    assert_eq!((record.to.as_str(), record.status), (FAR_AWAY, 483));
}

#[test]
fn a_call_to_a_gateway_that_drains_leaves_its_record() {
    let mut world = World::new();
    world.gateway.refuse_new_calls();
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.settle();
    let why = Ending::Refused(Refusal::ShuttingDown);
    assert_eq!(endings(&world), [(Some(SALES_ID), why), (Some(SALES_ID), why)]);
    assert!(world.desk.books.records.iter().any(|record| record.carrier.is_some()));
}

#[test]
fn a_lost_answer_does_not_make_two_records_of_one_refused_attempt() {
    let weather = Weather { least_ms: 1, most_ms: 60, loss: 20, duplicates: 20, detours: 20 };
    let mut world = World::of(Setting { weather, ..Setting::clear(3) });
    for _ in 0..20 {
        world.dial(SALES, Dial::to(FAR_AWAY).max_forwards(0));
    }
    world.settle();
    assert_eq!(world.desk.books.records.len(), 20);
}

#[test]
fn guessed_passwords_leave_few_records_with_the_profile_they_name() {
    let mut world = World::new();
    world.agents[SALES].forget_password();
    for _ in 0..100 {
        world.dial(SALES, Dial::to(FAR_AWAY));
    }
    world.settle();
    let records = endings(&world);
    assert!((20..25).contains(&records.len()), "{} records", records.len());
    assert!(records.iter().all(|it| *it == (Some(SALES_ID), Ending::Refused(Refusal::BadCredentials))));
}

#[test]
fn a_stranger_is_challenged_and_carries_no_call() {
    let mut world = World::new();
    let call = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[STRANGER].calls[call].statuses, [407]);
    assert_eq!(world.desk.books.records.len(), 0);
}

/// A request as a stranger would write it; `{}` is the tag of To.
fn request(method: &str, call_id: &str, from_tag: &str, to_tag: &str, branch: &str, number: u32) -> String {
    format!(
        "{method} sip:x@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch={branch}\r\n\
         From: <sip:x@x.example>;tag={from_tag}\r\nTo: <sip:y@gw.example>{to_tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn malformed_requests_are_answered_unless_they_are_nameless_or_junk() {
    let mut world = World::new();
    // No answer to a stranger is longer than its request.
    let long = |text: &str| {
        text.replace("Max-Forwards", &format!("User-Agent: {}\r\nMax-Forwards", "x".repeat(600)))
    };
    world.say(STRANGER, "OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKa\r\nContent-Length: 0\r\n\r\n");
    let invite = request("INVITE", "a@b", "1", "", "z9hG4bKb", 1);
    world.say(STRANGER, &long(&invite.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia")));
    world.say(STRANGER, &long(&request("BYE", "nobody@x", "1", ";tag=2", "z9hG4bKc", 2)));
    world.say(STRANGER, "\r\n\r\n");
    world.say(STRANGER, "\0\0\0\0");
    world.say(STRANGER, "GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n");
    world.run(s(1));
    assert_eq!(statuses(&world, STRANGER), [505, 481]);
    world.settle();
}

#[test]
fn a_malformed_call_leaves_the_reason_it_was_told() {
    let mut world = World::new();
    let invite = request("INVITE", "a@b", "1", "", "z9hG4bKb", 1);
    world.say(ALPHA, &invite.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    world.run(s(1));
    assert_eq!(statuses(&world, ALPHA), [505]);
    world.settle();
    assert_eq!(endings(&world), [(None, Ending::Refused(Refusal::VersionUnsupported))]);
    assert_eq!(world.desk.books.records[0].status, 505);
}

#[test]
fn what_was_to_be_secret_is_refused_in_the_clear() {
    let mut world = World::new();
    for (number, method) in (1..).zip(["OPTIONS", "INVITE", "REGISTER"]) {
        let text = request(method, "a@b", "1", "", &format!("z9hG4bK{number}"), number);
        world.say(ENGINEERING, &text.replacen("sip:x@", "SIPS:x@", 1));
    }
    world.run(s(1));
    assert_eq!(statuses(&world, ENGINEERING), [416, 416, 416]);
    world.settle();
    let why = Ending::Refused(Refusal::SchemeUnsupported);
    assert_eq!(endings(&world), [(Some(provisioning::ENGINEERING), why)]);
}

#[test]
fn a_request_in_an_unknown_dialog_is_answered_481() {
    let mut world = World::new();
    for (number, method) in (1..).zip(["BYE", "INFO", "INVITE", "UPDATE"]) {
        world.say(ALPHA, &request(method, "gone@x", "1", ";tag=2", &format!("z9hG4bK{number}"), number));
    }
    world.run(s(40));
    let mut seen = statuses(&world, ALPHA);
    seen.dedup();
    assert_eq!(seen, [481]);
    world.settle();
}

#[test]
fn a_strangers_bye_and_cancel_end_nothing() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO).then(s(20), Act::HangUp));
    world.run(s(2));
    // The stranger knows everything that can be overheard.
    let known = world.agents[SALES].overhear(call);
    world.say(
        STRANGER,
        &request(
            "BYE",
            &known.call_id,
            &known.local_tag,
            &format!(";tag={}", known.remote_tag),
            "z9hG4bKs",
            900,
        ),
    );
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 1, "a stranger ended the call");
    assert_eq!(statuses(&world, STRANGER), [407], "it might be Sales elsewhere, but proves nothing");
    let ringing = world.dial(SALES, Dial::to(FAR_AWAY));
    world.teach(ALPHA, crate::agent::manner::Manner::ringing());
    world.run(s(2));
    let known = world.agents[SALES].overhear(ringing);
    let cancel = request("CANCEL", &known.call_id, &known.local_tag, "", &known.branch, 2);
    // The Via must be the victim's for the transaction to match at all.
    world.say(STRANGER, &cancel.replace("203.0.113.66", "198.51.100.11"));
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 2, "a stranger cancelled the call");
    world.act(SALES, ringing, Act::Cancel);
    world.settle();
}

/// A response to a request of the gateway, as somebody who has overheard it would write it.
fn forged(request: &Message, status: &str) -> String {
    let field = |name| request.header(name).unwrap_or_default();
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=evil\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:e@203.0.113.66>\r\nContent-Length: 0\r\n\r\n",
        field(Name::Via),
        field(Name::From),
        field(Name::To),
        field(Name::CallId),
        field(Name::CSeq)
    )
}

#[test]
fn a_strangers_200_answers_nothing() {
    let mut world = World::new();
    world.teach(ALPHA, crate::agent::manner::Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let invite = world.agents[ALPHA].requests(Method::Invite).next().unwrap().clone();
    world.say(STRANGER, &forged(&invite, "200 OK"));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180]);
    world.act(SALES, call, Act::Cancel);
    world.settle();
}

#[test]
fn options_are_answered_to_known_peers() {
    let mut world = World::new();
    let now = world.now();
    for agent in [SALES, ALPHA, STRANGER] {
        world.agents[agent].ask_options(now);
    }
    world.run(s(1));
    assert_eq!(world.agents[SALES].statuses(Method::Options), [200]);
    assert_eq!(world.agents[ALPHA].statuses(Method::Options), [200]);
    assert_eq!(world.agents[STRANGER].statuses(Method::Options), [403]);
    world.settle();
}

#[test]
fn a_profile_that_is_deleted_loses_its_calls_and_is_told_why() {
    let mut world = World::new();
    let deleted = world.dial(SALES, Dial::to(FAR_AWAY));
    let other = world.dial(ENGINEERING, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
    world.run(s(5));
    let provisions = Provisions { profiles: vec![provisioning::ENGINEERING], ..Default::default() };
    world.provision(&provisions);
    world.run(s(2));
    let reason = world.agents[SALES].calls[deleted].bye_reason.clone().unwrap();
    assert!(reason.contains(Refusal::ProfileDeleted.sentence()), "{reason}");
    assert_eq!(world.agents[ENGINEERING].calls[other].bye_reason, None);
    assert_eq!(world.gateway.live_calls().len(), 1);
    assert_eq!(world.gateway.counts().bindings, 0);
    world.settle();
    assert!(endings(&world).contains(&(Some(SALES_ID), Ending::Refused(Refusal::ProfileDeleted))));
}

#[test]
fn a_body_that_cannot_be_read_is_refused_with_what_can() {
    let mut world = World::new();
    let packed = world.dial(SALES, Dial::to(ECHO).header("Content-Encoding", "gzip"));
    world.run(s(1));
    let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
    assert_eq!(world.agents[SALES].calls[packed].statuses.last(), Some(&415));
    assert_eq!(refusal.header(Name::AcceptEncoding), Some("identity"));
    assert_eq!(refusal.header(Name::Accept), None);
    world.settle();
}

/// The identifiers of a call that rings at Alpha, as a stranger may overhear them.
fn ringing(world: &mut World) -> (usize, crate::agent::Overheard) {
    world.teach(ALPHA, crate::agent::manner::Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let rings = world.agents[SALES].responses(Method::Invite).last();
    let remote_tag = rings.and_then(|rings| rings.to()?.tag().map(str::to_owned)).expect("it rings");
    (call, crate::agent::Overheard { remote_tag, ..world.agents[SALES].overhear(call) })
}

#[test]
fn a_stranger_cannot_cancel_a_ringing_call_by_an_invite_of_its_own() {
    let mut world = World::new();
    let (call, known) = ringing(&mut world);
    let to_tag = format!(";tag={}", known.remote_tag);
    world.say(STRANGER, &request("INVITE", &known.call_id, &known.local_tag, &to_tag, "z9hG4bKe", 900));
    world.run(s(1));
    world.say(STRANGER, &request("CANCEL", &known.call_id, &known.local_tag, &to_tag, "z9hG4bKe", 900));
    for method in ["UPDATE", "INFO", "PRACK", "ACK", "OPTIONS", "NOTIFY"] {
        let branch = format!("z9hG4bK{method}");
        world.say(STRANGER, &request(method, &known.call_id, &known.local_tag, &to_tag, &branch, 901));
    }
    world.run(s(1));
    assert_eq!(statuses(&world, STRANGER), [407, 481, 407, 407, 407, 407, 407]);
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180]);
    assert_eq!(world.gateway.live_calls().len(), 1, "a stranger cancelled the call");
    world.act(SALES, call, Act::Cancel);
    world.settle();
}

#[test]
fn a_stranger_acknowledges_and_refuses_nothing_for_others() {
    let mut world = World::new();
    let (call, known) = ringing(&mut world);
    let invite = world.agents[ALPHA].requests(Method::Invite).next().unwrap().clone();
    for status in
        ["100 Trying", "183 Progress", "302 Moved", "404 No", "407 Prove", "486 Busy", "503 No", "603 No"]
    {
        world.say(STRANGER, &forged(&invite, status));
    }
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180]);
    // Now Sales cancels, and the stranger acknowledges the 487 before Sales has heard of it.
    world.network.cut(world.agents[SALES].address.ip());
    world.gateway.end_call(world.present(), world.gateway.live_calls()[0].call, Refusal::EndedByOperator);
    world.run(s(1));
    let ack = request("ACK", &known.call_id, &known.local_tag, ";tag=x", &known.branch, 2);
    world.say(STRANGER, &ack.replace("203.0.113.66", "198.51.100.11"));
    world.run(s(1));
    world.network.mend(world.agents[SALES].address.ip());
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480]);
}

#[test]
fn a_pbx_that_moves_hangs_up_over_the_flow_that_it_has_registered_since() {
    for address in ["198.51.100.11:7777", "198.51.100.77:5060"] {
        let mut world = World::new();
        let call = world.dial(SALES, Dial::to(FAR_AWAY));
        world.run(s(3));
        world.agents[SALES].address = address.parse().unwrap();
        world.register(SALES, 3_600);
        world.act(SALES, call, Act::HangUp);
        world.run(s(1));
        assert_eq!(world.gateway.live_calls().len(), 0, "{address}");
        assert_eq!(world.agents[SALES].statuses(Method::Bye), [200]);
        world.settle();
    }
}

#[test]
fn scanners_hear_nothing_whatever_they_say() {
    let mut world = World::new();
    let before = world.counts();
    for (number, method) in (1..).zip(["OPTIONS", "REGISTER", "INVITE", "BYE", "CANCEL", "NOTIFY", "XYZZY"]) {
        for to_tag in ["", ";tag=1"] {
            let branch = format!("z9hG4bK{method}{}", to_tag.len());
            let text = request(method, "scan@x", "1", to_tag, &branch, number);
            world.say(STRANGER, &text.replace("\r\nContent", "\r\nUser-Agent: friendly-scanner\r\nContent"));
        }
    }
    let faulty = "INVITE sip:100@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bKf\r\n\
                  User-Agent: SIPVicious\r\n\r\n";
    world.say(STRANGER, faulty);
    world.run(s(1));
    assert_eq!(statuses(&world, STRANGER), [] as [u16; 0]);
    assert_eq!(world.counts(), before);
    world.settle();
}

#[test]
fn options_do_not_tell_which_users_exist() {
    let mut world = World::new();
    let mut answers = Vec::new();
    for user in [SALES_USER, "99050000000999"] {
        world.agents[STRANGER].user = user.to_owned();
        world.agents[STRANGER].is_forger = true;
        let now = world.now();
        world.agents[STRANGER].ask_options(now);
        world.run(s(1));
        answers.push(world.agents[STRANGER].statuses(Method::Options).last().copied());
    }
    assert_eq!(answers, [Some(200), Some(200)]);
    world.settle();
}

/// An OPTIONS as lean as it may be, of the PBX of Sales.
fn lean_options(host: &str, more: &str) -> String {
    format!(
        "OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:{SALES_USER}@gw.example>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n{more}\r\n"
    )
}

#[test]
fn a_trunk_is_seen_to_live_by_the_leanest_question_before_its_pbx_has_registered() {
    for more in ["Content-Length: 0\r\n", ""] {
        let mut world = World::unregistered(Setting::clear(1));
        let question = lean_options("198.51.100.11", more);
        world.say(SALES, &question);
        world.run(s(1));
        assert_eq!(statuses(&world, SALES), [200]);
        let answer = world.sent_to(SALES).next().unwrap();
        assert!(answer.bytes().len() <= question.len(), "{answer:?}");
        // Who is known by its address, or has registered, hears what it may ask for as well.
        world.say(ENGINEERING, &lean_options("198.51.100.12", more));
        world.register(SALES, 3_600);
        world.say(SALES, &question);
        world.run(s(1));
        for agent in [ENGINEERING, SALES] {
            let answer = world.agents[agent].strays.last().unwrap();
            assert!(answer.status() == 200 && answer.header(Name::Allow).is_some(), "{answer:?}");
        }
        world.settle();
    }
}
