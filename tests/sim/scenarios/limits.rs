//! What is bounded stays within its bounds, and all of it is usable again.

use provisioning_store::money::Micros;
use sip_core::limits::Limits;
use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, ms, s};
use crate::provisioning::{self, ECHO, ESTONIA, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

/// The most channels that a profile may have.
const CHANNELS: u32 = 300;

/// Calls on every channel, half in each direction.
fn fill(world: &mut World) {
    for number in 0..CHANNELS {
        let (caller, to) = if number % 2 == 0 { (SALES, FAR_AWAY) } else { (ALPHA, SALES_NUMBER) };
        world.dial_at(ms(10 * u64::from(number)), caller, Dial::to(to).then(s(30), Act::HangUp));
    }
    world.run(s(6));
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), CHANNELS as usize);
    assert_eq!(world.gateway.live_calls().len(), CHANNELS as usize);
}

#[test]
fn the_301st_call_is_refused_in_either_direction_and_all_300_channels_are_usable_again() {
    let mut world =
        World::of(Setting { channels: CHANNELS, credit: Micros(100_000_000), ..Setting::clear(1) });
    for _ in 0..2 {
        fill(&mut world);
        let outgoing = world.dial(SALES, Dial::to(FAR_AWAY));
        let incoming = world.dial(ALPHA, Dial::to(SALES_NUMBER));
        world.run(s(1));
        assert_eq!(world.agents[SALES].calls[outgoing].statuses, [100, 503]);
        assert_eq!(world.agents[ALPHA].calls[incoming].statuses, [100, 486]);
        world.run(s(120));
        assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 0);
    }
    world.settle();
    let answered = world.desk.books.records.iter().filter(|record| record.answered.is_some()).count();
    assert_eq!(answered, 2 * CHANNELS as usize);
}

#[test]
fn of_thirty_calls_on_credit_for_one_only_one_is_carried_and_only_as_long_as_it_is_paid() {
    let mut world = World::of(Setting { channels: 30, credit: Micros(500_000), ..Setting::clear(1) });
    for _ in 0..30 {
        world.dial(SALES, Dial::to(ESTONIA));
    }
    world.settle();
    assert_eq!(world.credit(provisioning::SALES), Micros(0));
    let records = &world.desk.books.records;
    let refused = |record: &&sip_core::types::CallRecord| record.ending == Ending::Refused(Refusal::NoCredit);
    assert_eq!(records.iter().filter(refused).count(), 29);
    let talked: u128 = records.iter().map(|record| record.duration().as_millis()).sum();
    assert_eq!(talked, 30_000, "exactly the paid seconds");
}

#[test]
fn thirty_calls_that_begin_together_share_what_there_is_to_the_last_step() {
    let mut world = World::of(Setting { channels: 30, credit: Micros(20_000_000), ..Setting::clear(1) });
    for _ in 0..30 {
        world.dial(SALES, Dial::to(ESTONIA));
    }
    world.settle();
    let left = world.credit(provisioning::SALES).0;
    assert!((0..100_000).contains(&left), "{left} is left, a step of six costs 100,000");
    let charged: i64 = world.desk.books.ledger.cdrs().iter().map(|cdr| cdr.settlement.amount.0).sum();
    assert_eq!(charged + left, 20_000_000);
}

fn bounded(limits: Limits) -> Setting {
    Setting { provisions: Provisions { limits, ..Provisions::default() }, ..Setting::clear(1) }
}

/// The call was refused for too much of something, with the time to try again, and left its record.
fn assert_overloaded(world: &World, agent: usize, call: usize) {
    assert_eq!(world.agents[agent].calls[call].statuses, [503]);
    let refusal = world.agents[agent].responses(Method::Invite).last().expect("a refusal came");
    assert!(refusal.header(Name::RetryAfter).is_some());
    let overloaded = Ending::Refused(Refusal::Overloaded);
    let refused = world.desk.books.records.iter().filter(|record| record.ending == overloaded);
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_call_without_media_ports_is_told_when_to_come_again() {
    let mut world = World::new();
    world.desk.studio.have_ports(2);
    let first = world.dial(SALES, Dial::to(FAR_AWAY).then(s(30), Act::HangUp));
    world.run(s(5));
    let second = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[first].statuses, [100, 180, 200]);
    assert_eq!(world.agents[SALES].calls[second].statuses, [100, 503]);
    let refusal = world.agents[SALES].responses(Method::Invite).last().expect("a refusal came");
    assert!(refusal.retry_after().is_some());
    world.settle();
}

#[test]
fn the_third_call_of_two_is_refused_and_there_is_room_again_afterwards() {
    let mut world = World::of(bounded(Limits { calls: 2, ..Limits::default() }));
    for _ in 0..2 {
        world.dial(SALES, Dial::to(ECHO).then(s(30), Act::HangUp));
    }
    world.run(s(2));
    let third = world.dial(SALES, Dial::to(ECHO));
    world.run(s(2));
    assert_overloaded(&world, SALES, third);
    world.settle();
    let next = world.dial(SALES, Dial::to(ECHO).then(s(1), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[next].statuses.last(), Some(&200));
}

#[test]
fn a_call_for_which_no_transaction_is_left_is_refused_and_there_is_room_again_afterwards() {
    let limits = Limits { transactions: 2, ..Limits::default() };
    let mut world = World::unregistered(bounded(limits));
    world.dial(ENGINEERING, Dial::to(FAR_AWAY).then(s(60), Act::HangUp));
    world.run(s(2));
    let second = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    world.run(s(2));
    assert_overloaded(&world, ENGINEERING, second);
    world.settle();
    let next = world.dial(ENGINEERING, Dial::to(ECHO).then(s(60), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[ENGINEERING].calls[next].statuses.last(), Some(&200));
}
