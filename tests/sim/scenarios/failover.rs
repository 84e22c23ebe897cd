//! From carrier to carrier: on silence, 408 and 5xx before any ringing, and on nothing else.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Duty, Early, EarlyMedia, Last, Manner, ms, s};
use crate::provisioning::{self, BETA_CREDENTIALS, FAR_AWAY, Provisions};
use crate::world::{ALPHA, BETA, GAMMA_ONE, GAMMA_TWO, SALES, Setting, World};

fn hanging_up() -> Dial {
    Dial::to(FAR_AWAY).then(s(30), Act::HangUp)
}

#[test]
fn a_carrier_that_fails_or_is_silent_is_followed_by_the_next() {
    for manner in [Manner::refusing(503), Manner::refusing(500), Manner::refusing(408), Manner::silent()] {
        let mut world = World::new();
        world.teach(ALPHA, manner);
        let call = world.dial(SALES, hanging_up());
        world.run(s(12));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.speak(SALES, call), Some(world.agents[BETA].media_address(0)));
        world.settle();
        assert_eq!(world.desk.books.records.len(), 1);
    }
}

#[test]
fn a_callee_who_declined_never_rings_again() {
    for status in [404, 480, 484, 486, 600, 603] {
        let mut world = World::new();
        world.teach(ALPHA, Manner::refusing(status));
        let call = world.dial(SALES, hanging_up());
        world.settle();
        assert_eq!(world.agents[BETA].calls.len(), 0, "{status} was not the last word");
        assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), status);
    }
}

#[test]
fn after_ringing_no_other_carrier_is_tried() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Refuse(s(2), 503), ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[BETA].calls.len(), 0);
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 503]);
}

#[test]
fn a_carrier_whose_callee_rang_too_long_is_told_as_no_answer_and_not_as_a_failed_trunk() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Refuse(s(2), 408), ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480]);
    assert_eq!(world.agents[BETA].calls.len(), 0);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoAnswer));
}

#[test]
fn all_carriers_failed() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::refusing(503));
    world.teach(BETA, Manner::silent());
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 503]);
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn a_carrier_that_demands_credentials_gets_them_once() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::refusing(503));
    world.teach(BETA, Manner { demands: Some(BETA_CREDENTIALS), ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    let invites: Vec<_> = world.agents[BETA].requests(Method::Invite).collect();
    assert_eq!(invites.len(), 2);
    assert!(invites[1].header(Name::ProxyAuthorization).is_some());
    assert_eq!(invites[0].call_id(), invites[1].call_id());
    assert!(invites[0].cseq().unwrap().0 < invites[1].cseq().unwrap().0);
    world.settle();
}

#[test]
fn wrong_credentials_are_shown_to_two_nonces_and_the_next_carrier_is_tried() {
    let provisions =
        Provisions { carriers: vec![provisioning::BETA, provisioning::GAMMA], ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.teach(BETA, Manner { demands: Some((BETA_CREDENTIALS.0, "another")), ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[BETA].requests(Method::Invite).count(), 3);
    assert_eq!(world.agents[GAMMA_ONE].calls.len(), 1);
    assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), 200);
}

/// A world whose only carrier has two addresses.
fn with_two_addresses() -> World {
    let provisions = Provisions { carriers: vec![provisioning::GAMMA], ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

#[test]
fn a_carriers_addresses_are_tried_in_turn() {
    let mut world = with_two_addresses();
    world.teach(GAMMA_ONE, Manner::refusing(503));
    let call = world.dial(SALES, hanging_up());
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.speak(SALES, call), Some(world.agents[GAMMA_TWO].media_address(0)));
    world.settle();
}

/// Wakes up long after it was given up.
fn sleepy(last: Last) -> Manner {
    let early = Early::new(s(9), 180, EarlyMedia::None);
    Manner { trying: Duty::Neglected, early: vec![early], last, ..Manner::polite() }
}

#[test]
fn a_first_address_that_wakes_up_late_is_cancelled_and_does_not_disturb_the_second() {
    for woken in [Manner::ringing(), Manner::polite()] {
        let mut world = with_two_addresses();
        world.teach(GAMMA_ONE, sleepy(Last::Answer(s(30))));
        world.teach(GAMMA_TWO, Manner { last: Last::Answer(s(4)), ..woken });
        let call = world.dial(SALES, hanging_up());
        world.run(s(15));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.speak(SALES, call), Some(world.agents[GAMMA_TWO].media_address(0)));
        assert_eq!(world.agents[GAMMA_ONE].requests(Method::Cancel).count(), 1);
        world.settle();
    }
}

#[test]
fn a_first_carrier_that_answers_late_is_hung_up_and_its_goodbye_ends_nothing() {
    for (answers_bye, hangs_up) in [(Duty::Done, false), (Duty::Neglected, true)] {
        let mut world = World::new();
        let mut late = Manner { answers_bye, early: Vec::new(), ..sleepy(Last::Answer(s(10))) };
        if hangs_up {
            late = late.then(ms(1), Act::HangUp);
        }
        world.teach(ALPHA, late);
        world.teach(BETA, Manner { last: Last::Answer(s(1)), ..Manner::polite() });
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(30), Act::HangUp));
        world.run(s(20));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.gateway.live_calls().len(), 1, "the goodbye of a carrier given up ended the call");
        assert_eq!(world.speak(SALES, call), Some(world.agents[BETA].media_address(0)));
        world.settle();
    }
}
