//! Calls that a PBX forwards to where they have been.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Manner, s};
use crate::provisioning::{FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

const IN_CIRCLE: Ending = Ending::Refused(Refusal::ForwardedInCircle);

/// A world in which the PBX of Sales lets every call ring.
fn ringing() -> World {
    let mut world = World::new();
    world.teach(SALES, Manner::ringing());
    world
}

#[test]
fn a_pbx_that_forwards_a_number_to_itself_takes_few_channels() {
    let mut world = World::of(Setting { channels: 30, ..Setting::clear(1) });
    world.teach(SALES, Manner::ringing());
    let first = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    for _ in 0..10 {
        world.run(s(1));
        world.dial(SALES, Dial::to(SALES_NUMBER));
    }
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 3, "each round takes its channels");
    let refused = world.desk.books.records.iter().filter(|it| it.ending == IN_CIRCLE).count();
    assert_eq!(refused, 8);
    world.act(ALPHA, first, Act::Cancel);
    world.settle();
}

#[test]
fn a_call_that_names_the_number_among_those_that_forwarded_it_is_refused() {
    let past = [
        ("Diversion", format!("<sip:{SALES_NUMBER}@pbx.example>;reason=unconditional"), 482),
        ("Diversion", "<sip:+4930123456@pbx.example>".to_owned(), 180),
        ("History-Info", format!("<sip:{SALES_NUMBER}@gw.example>;index=1"), 180),
        (
            "History-Info",
            format!(
                "<sip:{SALES_NUMBER}@x>;index=1, <sip:+4930123456@x>;index=1.1, <sip:{SALES_NUMBER}@x>;index=1.2"
            ),
            482,
        ),
        ("Diversion", ["<sip:+4930123456@x>"; 11].join(", "), 482),
    ];
    for (name, value, status) in past {
        let mut world = ringing();
        let call = world.dial(ENGINEERING, Dial::to(SALES_NUMBER).header(name, &value));
        world.run(s(2));
        assert_eq!(world.agents[ENGINEERING].calls[call].statuses.last(), Some(&status), "{name}: {value}");
        world.act(ENGINEERING, call, Act::Cancel);
        world.settle();
    }
}

#[test]
fn a_carrier_may_have_forwarded_the_number_once() {
    let diverted = format!("<sip:{SALES_NUMBER}@carrier.example>");
    for (value, status) in [(diverted.clone(), 180), (format!("{diverted}, {diverted}"), 482)] {
        let mut world = ringing();
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).header("Diversion", &value));
        world.run(s(2));
        assert_eq!(world.agents[ALPHA].calls[call].statuses.last(), Some(&status), "{value}");
        world.act(ALPHA, call, Act::Cancel);
        world.settle();
    }
}

#[test]
fn a_pbx_gets_a_mark_by_which_its_forwarded_call_is_known_and_a_carrier_none() {
    let mut world = ringing();
    let first = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(1));
    let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
    let mark = invite.header(Name::Trail).unwrap().to_owned();
    let back = world.dial(ENGINEERING, Dial::to(SALES_NUMBER).header("X-Sipgw-Trail", &mark));
    let on = world.dial(ENGINEERING, Dial::to(FAR_AWAY).header("X-Sipgw-Trail", &mark));
    world.run(s(3));
    assert_eq!(world.agents[ENGINEERING].calls[back].statuses, [100, 482]);
    assert_eq!(world.agents[ENGINEERING].calls[on].statuses.last(), Some(&200));
    let sent = world.agents[ALPHA].requests(Method::Invite).next().unwrap();
    assert_eq!(sent.header(Name::Trail), None, "what we call it is nobody else's business");
    world.act(ALPHA, first, Act::Cancel);
    world.act(ENGINEERING, on, Act::HangUp);
    world.settle();
}
