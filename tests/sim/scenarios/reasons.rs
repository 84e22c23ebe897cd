//! What one side is told of the other's reasons.

use sip_core::message::{Message, Method};
use sip_core::refusal::Refusal;
use sip_core::types::{CallRecord, CarrierId, Event};

use crate::agent::Overheard;
use crate::agent::manner::{Act, Dial, Manner, s};
use crate::provisioning::{self, FAR_AWAY};
use crate::world::{ALPHA, SALES, World};

const SAID: &str = "Q.850;cause=38;text=\"Wholesale Inc: trunk 7 is out of order\"";

/// A BYE of an agent that gives a reason.
fn bye(known: &Overheard, said: &str) -> String {
    format!(
        "BYE sip:y@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.21:5060;branch=z9hG4bKr\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: 900 BYE\r\nMax-Forwards: 70\r\nReason: {said}\r\nContent-Length: 0\r\n\r\n",
        known.local_tag, known.remote_tag, known.call_id
    )
}

/// What the operator learns.
fn said(world: &World) -> Vec<(CarrierId, &str)> {
    let of = |event| match event {
        &Event::CarrierReason { carrier, ref said, .. } => Some((carrier, said.as_str())),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn a_carriers_words_are_the_operators_alone() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[ALPHA].overhear(0);
    world.say(ALPHA, &bye(&known, SAID));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].bye_reason.as_deref(), Some("Q.850;cause=38"));
    assert_eq!(said(&world), [(provisioning::ALPHA, SAID)]);
}

#[test]
fn a_customers_words_reach_the_other_side() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[SALES].overhear(call);
    world.say(SALES, &bye(&known, SAID));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].calls[0].bye_reason.as_deref(), Some(SAID));
    assert_eq!(said(&world), []);
}

/// A goodbye passes on what it can of a reason; with all of it, it would be too long for a datagram, and the call would go
/// on for the carrier.
#[test]
fn a_reason_that_would_fill_a_datagram_keeps_no_goodbye_from_the_other_side() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[SALES].overhear(call);
    let long = format!("Q.850;cause=38;text=\"{}\"", "x".repeat(65_000));
    world.say(SALES, &bye(&known, &long));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].calls[0].bye_reason.as_deref(), Some("Q.850;cause=38"));
}

/// The Reason fields of a message as they stand on the wire.
fn fields(message: &Message) -> Vec<String> {
    let text = String::from_utf8_lossy(message.bytes());
    text.lines().filter(|line| line.starts_with("Reason:")).map(str::to_owned).collect()
}

/// Ours: the cause of the telephone network first, since some user agents read one field alone, and of it one value.
fn ours(why: Refusal, status: u16) -> [String; 2] {
    let (row, said) = (why.row(), why.sentence());
    [
        format!("Reason: Q.850;cause={};text=\"{said}\"", row.cause),
        format!("Reason: SIP;cause={status};text=\"{said}\""),
    ]
}

#[test]
fn each_reason_of_ours_has_a_field_of_its_own_in_refusals() {
    for (number, dial, status, why) in [
        (1, Dial::to(FAR_AWAY).max_forwards(0), 483, Refusal::LoopDetected),
        (2, Dial::to("1234567"), 484, Refusal::AddressIncomplete),
        (3, Dial::to(FAR_AWAY), 486, Refusal::CalleeBusy),
        (4, Dial::to(FAR_AWAY), 600, Refusal::CalleeBusy),
    ] {
        let mut world = World::new();
        world.teach(ALPHA, Manner::refusing(status));
        world.dial(SALES, dial);
        world.settle();
        let refusal = world.agents[SALES].responses(Method::Invite).last().unwrap();
        assert_eq!((refusal.status(), fields(refusal)), (status, ours(why, status).to_vec()), "{number}");
    }
}

#[test]
fn each_reason_of_ours_has_a_field_of_its_own_in_cancel_and_bye() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    let cancel = world.agents[ALPHA].requests(Method::Cancel).next().unwrap();
    assert_eq!(fields(cancel), ours(Refusal::NoAnswer, 480));
    let mut world = World::new();
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    let (now, call) = (world.present(), world.gateway.live_calls()[0].call);
    world.gateway.end_call(now, call, Refusal::EndedByOperator);
    world.flush();
    world.settle();
    for agent in [SALES, ALPHA] {
        let bye = world.agents[agent].requests(Method::Bye).next().unwrap();
        assert_eq!(fields(bye), ours(Refusal::EndedByOperator, 480));
    }
}

#[test]
fn what_others_say_in_one_field_is_passed_on_in_several() {
    let mut world = World::new();
    world.agents[SALES].reasons = vec!["SIP;cause=200;text=\"Call completed elsewhere\", Q.850;cause=26"];
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::HangUp);
    world.settle();
    let bye = world.agents[ALPHA].requests(Method::Bye).next().unwrap();
    let said = ["Reason: SIP;cause=200;text=\"Call completed elsewhere\"", "Reason: Q.850;cause=26"];
    assert_eq!(fields(bye), said);
}

#[test]
fn a_carriers_words_are_in_the_record_for_the_operator() {
    let mut world = World::new();
    world.agents[ALPHA].reasons = vec![SAID];
    world.teach(ALPHA, Manner::refusing(486));
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    world.teach(ALPHA, Manner::polite().then(s(3), Act::HangUp));
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    let said = |record: &CallRecord| record.attempts.last().and_then(|attempt| attempt.said.clone());
    let records = &world.desk.books.records;
    assert_eq!(records.iter().map(said).collect::<Vec<_>>(), [Some(SAID.to_owned()), Some(SAID.to_owned())]);
    assert!(records.iter().all(|record| record.detail.is_none()), "the company reads this");
}
