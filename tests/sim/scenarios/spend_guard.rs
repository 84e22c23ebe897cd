//! Calls within what the spend guard allows: ended at the exact second, refused with the true reason.

use provisioning_store::model::{GuardOverrides, Override};
use provisioning_store::money::Micros;
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, s};
use crate::provisioning::{self, ECHO, ESTONIA, FAR_AWAY};
use crate::world::{ALPHA, SALES, World};

/// A world in which Sales has ten units of credit, pays one a minute to Estonia, and is guarded.
fn guarded(guard: GuardOverrides) -> World {
    let mut world = World::new();
    let now = world.now();
    world.desk.books.guard(now, provisioning::SALES, guard);
    world
}

fn hour_cap(micros: i64) -> GuardOverrides {
    GuardOverrides { hour_cap: Override::Set(Micros(micros)), ..GuardOverrides::default() }
}

fn ended(world: &World, record: usize) -> (Ending, u64) {
    let record = &world.desk.books.records[record];
    (record.ending, record.duration().as_secs())
}

#[test]
fn a_cap_reached_in_mid_call_ends_it_at_the_exact_second_and_says_why() {
    // 3.05 pay 183 s; the step of six makes 180 s of them.
    let mut world = guarded(hour_cap(3_050_000));
    let call = world.dial(SALES, Dial::to(ESTONIA));
    world.settle();
    let record = &world.desk.books.records[0];
    assert_eq!(record.ending, Ending::Refused(Refusal::SpendCapExhausted));
    assert_eq!(record.duration(), s(180));
    assert_eq!(world.credit(provisioning::SALES).0, 7_000_000);
    for (agent, call) in [(SALES, call), (ALPHA, 0)] {
        let reason = world.agents[agent].calls[call].bye_reason.clone().unwrap();
        assert!(reason.contains("402") && reason.contains("spend cap"), "{reason}");
    }
    let late = world.dial(SALES, Dial::to(ESTONIA));
    world.settle();
    assert_eq!(world.agents[SALES].calls[late].statuses, [100, 402], "0.05 are left");
    assert_eq!(ended(&world, 1).0, Ending::Refused(Refusal::SpendCapReached));
}

#[test]
fn calls_at_the_same_time_spend_one_cap_together() {
    let mut world = guarded(hour_cap(2_000_000));
    for _ in 0..4 {
        world.dial(SALES, Dial::to(ESTONIA));
    }
    world.settle();
    let talked: u64 = world.desk.books.records.iter().map(|record| record.duration().as_secs()).sum();
    assert_eq!(talked, 120, "two minutes were allowed");
    assert_eq!(world.credit(provisioning::SALES).0, 8_000_000);
}

#[test]
fn the_operators_release_lets_a_running_call_go_on() {
    let mut world = guarded(hour_cap(1_000_000));
    world.dial(SALES, Dial::to(ESTONIA).then(s(100), Act::HangUp));
    world.run(s(55));
    let now = world.now();
    world.desk.books.release_guard(now, provisioning::SALES);
    world.settle();
    assert!(matches!(ended(&world, 0), (Ending::HungUp(_), 100)), "{:?}", ended(&world, 0));
}

#[test]
fn a_denied_country_is_refused_before_any_carrier_hears_of_it() {
    let denied = Override::Set("EE".parse().unwrap());
    let mut world = guarded(GuardOverrides { denied, ..GuardOverrides::default() });
    let call = world.dial(SALES, Dial::to(ESTONIA));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 403]);
    assert_eq!(ended(&world, 0).0, Ending::Refused(Refusal::CountryDenied));
    assert!(world.agents[ALPHA].calls.is_empty());
    let home = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(*world.agents[SALES].calls[home].statuses.last().unwrap(), 200);
}

#[test]
fn one_call_at_once_to_one_country() {
    let busy = Override::Set(1);
    let mut world = guarded(GuardOverrides { calls_to_one_country: busy, ..GuardOverrides::default() });
    world.dial(SALES, Dial::to(ESTONIA).then(s(30), Act::HangUp));
    world.run(s(5));
    let second = world.dial(SALES, Dial::to(ESTONIA));
    let elsewhere = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[second].statuses, [100, 403]);
    assert_eq!(*world.agents[SALES].calls[elsewhere].statuses.last().unwrap(), 200);
    let third = world.dial(SALES, Dial::to(ESTONIA).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(*world.agents[SALES].calls[third].statuses.last().unwrap(), 200, "free again");
}

#[test]
fn the_longest_call_ends_free_calls_too_and_they_prove_meanwhile_that_they_live() {
    let longest_call_s = Override::Set(200);
    let mut world = guarded(GuardOverrides { longest_call_s, ..GuardOverrides::default() });
    world.dial(SALES, Dial::to(ECHO));
    world.dial(SALES, Dial::to(ESTONIA));
    world.run(s(130));
    let proved: Vec<_> = world.desk.books.ledger.books().live_calls().map(|call| call.proved_s).collect();
    assert!(proved.len() == 2 && proved.iter().all(|proved_s| *proved_s >= 100), "{proved:?}");
    world.settle();
    let why = Ending::Refused(Refusal::LongestCall);
    let mut ends = [ended(&world, 0), ended(&world, 1)];
    ends.sort_by_key(|(_, lasted_s)| *lasted_s);
    assert_eq!(ends, [(why, 198), (why, 200)], "a charged call ends with a whole step");
}
