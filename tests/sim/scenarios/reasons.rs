//! What one side is told of the other's reasons.

use sip_core::types::{CarrierId, Event};

use crate::agent::Overheard;
use crate::agent::manner::{Dial, s};
use crate::provisioning::{self, FAR_AWAY};
use crate::world::{ALPHA, SALES, World};

const SAID: &str = "Q.850;cause=38;text=\"Wholesale Inc: trunk 7 is out of order\"";

/// A BYE of an agent that gives a reason.
fn bye(known: &Overheard) -> String {
    format!(
        "BYE sip:y@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.21:5060;branch=z9hG4bKr\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: 900 BYE\r\nMax-Forwards: 70\r\nReason: {SAID}\r\nContent-Length: 0\r\n\r\n",
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
    world.say(ALPHA, &bye(&known));
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
    world.say(SALES, &bye(&known));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].calls[0].bye_reason.as_deref(), Some(SAID));
    assert_eq!(said(&world), []);
}
