//! Phones of business accounts: they register and are called while no profile has their account.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Event, Unregistration};

use crate::agent::manner::{Act, Dial, s};
use crate::provisioning::{self, FAR_AWAY, PHONE_NUMBER, PHONE_USER, Provisions, SALES_NUMBER, Vanessa};
use crate::world::{ALPHA, PHONE, SALES, Setting, World};

fn world(vanessa: Vanessa) -> World {
    World::of(Setting { provisions: Provisions { vanessa, ..Provisions::default() }, ..Setting::clear(1) })
}

#[test]
fn a_phone_registers_and_is_called_by_its_name_and_its_number_as_it_has_registered() {
    let mut world = world(Vanessa::Detached);
    world.register(PHONE, 3_600);
    for called in [PHONE_USER, PHONE_NUMBER] {
        let call = world.dial(ALPHA, Dial::to(called).from("442079460123").then(s(30), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200], "{called}");
        let invite = world.agents[PHONE].requests(Method::Invite).last().unwrap();
        let contact = world.agents[PHONE].responses(Method::Register).last().unwrap();
        let contact = contact.header(Name::Contact).unwrap().to_owned();
        assert!(contact.contains(invite.request_uri()), "{contact}");
        world.run(s(60));
    }
    // A PBX of ours calls it without a carrier, and needs a channel of its own.
    world.dial(SALES, Dial::to(PHONE_NUMBER).then(s(30), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.agents[SALES].last_call().statuses.last(), Some(&200));
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 1);
    world.settle();
    let records = &world.desk.books.records;
    assert_eq!(records.len(), 3, "every call has its record");
    assert!(records[..2].iter().all(|record| record.profile.is_none() && !record.reserved));
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000, "nobody is charged");
}

#[test]
fn a_phone_calls_nobody_and_is_told_so() {
    let mut world = world(Vanessa::Detached);
    world.register(PHONE, 3_600);
    for called in [FAR_AWAY, SALES_NUMBER, provisioning::ECHO] {
        world.dial(PHONE, Dial::to(called));
        world.run(s(2));
        assert_eq!(world.agents[PHONE].last_call().statuses.last(), Some(&403), "{called}");
    }
    let refusal = world.agents[PHONE].responses(Method::Invite).last().unwrap();
    assert!(refusal.header(Name::Reason).unwrap().contains(Refusal::PhoneCannotCall.sentence()));
    world.settle();
    assert_eq!(world.desk.books.records.len(), 3);
}

#[test]
fn an_account_that_a_profile_has_cannot_sign_in_and_its_calls_reach_the_profile() {
    let mut world = world(Vanessa::Attached);
    let now = world.now();
    world.agents[PHONE].start_registering(now, 3_600);
    world.run(s(2));
    assert_eq!(world.agents[PHONE].registration.as_ref().unwrap().statuses, [401, 403]);
    let refusal = world.agents[PHONE].responses(Method::Register).last().unwrap();
    assert!(refusal.header(Name::Reason).unwrap().contains(Refusal::AccountAttached.sentence()));
    for called in [PHONE_USER, PHONE_NUMBER] {
        world.dial(ALPHA, Dial::to(called).then(s(2), Act::HangUp));
        world.run(s(5));
        let invite = world.agents[SALES].requests(Method::Invite).last().unwrap();
        assert!(invite.request_uri().starts_with(&format!("sip:{called}@")), "{}", invite.request_uri());
    }
    world.settle();
}

#[test]
fn a_phone_whose_account_a_profile_gets_is_no_longer_registered() {
    let mut world = world(Vanessa::Detached);
    world.register(PHONE, 3_600);
    world.provide(Provisions { vanessa: Vanessa::Attached, ..Provisions::default() });
    let is_gone = |event: &Event| match event {
        Event::Unregistered { profile, why } => {
            *profile == provisioning::PHONE && *why == Unregistration::ProfileGone
        }
        _ => false,
    };
    assert!(world.events.iter().any(is_gone));
    world.dial(ALPHA, Dial::to(PHONE_USER).then(s(2), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.agents[PHONE].requests(Method::Invite).count(), 0);
    assert_eq!(world.agents[SALES].requests(Method::Invite).count(), 1);
    world.settle();
}
