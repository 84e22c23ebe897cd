//! Phones of business accounts: they register and are called while no profile has their account.

use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event, Unregistration, Usage};

use crate::agent::manner::{Act, Dial, ms, s};
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
    let whose: Vec<_> = records.iter().map(|record| (record.profile, record.phone_of)).collect();
    let phones = (None, Some(provisioning::COMPANY));
    assert_eq!(
        whose,
        [phones, phones, (Some(provisioning::SALES), None), phones],
        "each half has its record"
    );
    assert!(records.iter().all(|record| record.reserved == record.profile.is_some()));
    assert!(
        records.iter().all(|record| matches!(record.usage, Some(Usage::Incoming { .. })) == !record.reserved)
    );
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
    let records = &world.desk.books.records;
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| record.phone_of == Some(provisioning::COMPANY)),
        "its company can read why"
    );
}

#[test]
fn a_call_that_did_not_reach_a_phone_is_no_affair_of_its_company_if_it_is_anothers() {
    let provisions = Provisions { vanessa: Vanessa::Detached, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, channels: 1, ..Setting::clear(1) });
    world.register(PHONE, 3_600);
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(1));
    world.dial(SALES, Dial::to(PHONE_NUMBER));
    world.settle();
    let records: Vec<_> = world.desk.books.records.iter().map(|it| (it.status, it.phone_of)).collect();
    assert_eq!(records, [(503, None), (200, None)], "the only channel is in use");
}

#[test]
fn a_call_that_a_phone_does_not_take_has_its_record() {
    let mut world = world(Vanessa::Detached);
    world.dial(ALPHA, Dial::to(PHONE_NUMBER));
    world.settle();
    world.register(PHONE, 3_600);
    world.dial(ALPHA, Dial::to(PHONE_NUMBER).max_forwards(0));
    let given_up = world.dial(ALPHA, Dial::to(PHONE_NUMBER));
    world.run(ms(300));
    world.act(ALPHA, given_up, Act::Cancel);
    world.settle();
    let records = &world.desk.books.records;
    assert!(records.iter().all(|record| record.phone_of == Some(provisioning::COMPANY)));
    let endings: Vec<_> = records.iter().map(|record| record.ending).collect();
    let refused = [Refusal::NotRegistered, Refusal::LoopDetected].map(Ending::Refused);
    assert_eq!(endings, [refused[0], refused[1], Ending::Cancelled]);
}

#[test]
fn an_account_that_a_profile_has_cannot_sign_in_and_its_calls_reach_the_profile() {
    let mut world = world(Vanessa::Attached);
    let now = world.now();
    world.agents[PHONE].start_registering(now, 3_600);
    world.run(s(2));
    assert_eq!(world.agents[PHONE].registration.as_ref().unwrap().statuses, [401, 503]);
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
