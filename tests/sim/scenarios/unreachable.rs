//! Programs that are down on hosts that say so (ICMP): known at once, and no weapon in the hands of strangers.

use bytes::Bytes;
use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Flow, Transport};

use crate::agent::State;
use crate::agent::manner::{Act, Dial, Duty, Manner, ms, s};
use crate::provisioning::{ENGINEERING_NUMBER, FAR_AWAY, GATEWAY, SALES_NUMBER};
use crate::world::{ALPHA, BETA, ENGINEERING, SALES, World};

/// A message of the network's that nobody has asked for.
fn forge(world: &mut World, of: usize, quoted: &'static [u8]) {
    let peer = world.agents[of].address;
    let flow = Flow { transport: Transport::Udp, local: GATEWAY, peer, connection: None };
    let now = world.present();
    world.gateway.handle_unreachable(now, flow, &Bytes::from_static(quoted));
    world.flush();
}

#[test]
fn a_carrier_that_is_down_costs_a_round_trip() {
    let mut world = World::new();
    world.agents[ALPHA].is_down = true;
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(1));
    assert_eq!(world.agents[BETA].requests(Method::Invite).count(), 1, "the next carrier was not tried");
    world.agents[ALPHA].is_down = false;
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.agents[ALPHA].heard.len(), 0, "the INVITE was sent again");
}

#[test]
fn a_pbx_that_is_down_is_told_at_once_and_stays_registered() {
    for (pbx, number) in [(SALES, SALES_NUMBER), (ENGINEERING, ENGINEERING_NUMBER)] {
        let mut world = World::new();
        world.agents[pbx].is_down = true;
        let call = world.dial(ALPHA, Dial::to(number));
        world.run(s(1));
        assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 480]);
        let warning = world.agents[ALPHA].responses(Method::Invite).last().unwrap().header(Name::Warning);
        assert!(warning.is_some_and(|it| it.contains(Refusal::PbxUnreachable.sentence())), "{warning:?}");
        assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::PbxUnreachable));
        assert_eq!(world.gateway.counts().bindings, 1);
        world.agents[pbx].is_down = false;
        world.settle();
    }
}

#[test]
fn a_call_that_was_heard_of_is_not_ended_by_what_anybody_can_forge() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(s(8)));
    // Octets that we have not sent say nothing, not even before the first answer.
    forge(&mut world, ALPHA, b"INVITE sip:somebody@else SIP/2.0");
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].state, State::Early);
    forge(&mut world, ALPHA, b"");
    forge(&mut world, SALES, b"");
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].state, State::Early, "a ringing call was ended");
    assert_eq!(world.agents[BETA].requests(Method::Invite).count(), 0);
    world.settle();
}

#[test]
fn a_running_call_and_its_goodbye_are_left_to_their_timers() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { answers_bye: Duty::Neglected, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    forge(&mut world, ALPHA, b"");
    forge(&mut world, SALES, b"");
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].state, State::Up);
    world.act(SALES, call, Act::HangUp);
    world.run(ms(200));
    forge(&mut world, ALPHA, b"BYE ");
    forge(&mut world, ALPHA, b"");
    world.settle();
    assert!(world.agents[ALPHA].requests(Method::Bye).count() > 5, "the goodbye was not repeated");
}
