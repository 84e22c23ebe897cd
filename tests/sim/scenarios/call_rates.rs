//! Calls a second: what is beyond the limit of a profile or its company is refused, and costs next to nothing.

use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event};

use crate::agent::manner::{Act, Dial, ms, s};
use crate::provisioning::{FAR_AWAY, Provisions};
use crate::world::{ENGINEERING, SALES, Setting, World};

fn limited(profile: Option<u32>, company: Option<u32>) -> World {
    let provisions =
        Provisions { calls_per_second: profile, company_calls_per_second: company, ..Provisions::default() };
    World::of(Setting { provisions, channels: 60, ..Setting::clear(1) })
}

/// Calls so many times, each a while after the one before.
fn hammer(world: &mut World, agent: usize, calls: u64, every_ms: u64) {
    for number in 0..calls {
        world.dial_at(ms(number * every_ms), agent, Dial::to(FAR_AWAY).then(s(1), Act::HangUp));
    }
    world.run(s(20));
}

/// How many of an agent's calls were let in.
fn let_in(world: &World, agent: usize) -> usize {
    world.agents[agent].calls.iter().filter(|call| call.statuses.first() == Some(&100)).count()
}

fn records(world: &World, why: Refusal) -> usize {
    world.desk.books.records.iter().filter(|record| record.ending == Ending::Refused(why)).count()
}

fn refused(world: &World, why: Refusal) -> usize {
    let is_one = |event: &&Event| matches!(event, Event::CallTooFast { why: limit, .. } if *limit == why);
    world.events.iter().filter(is_one).count()
}

#[test]
fn a_pbx_that_calls_without_end_is_held_to_its_limit_and_fills_no_records() {
    let mut world = limited(Some(5), None);
    hammer(&mut world, SALES, 2_000, 1);
    assert!((19..=21).contains(&let_in(&world, SALES)), "{}", let_in(&world, SALES));
    let beyond = refused(&world, Refusal::ProfileTooFast);
    assert_eq!(beyond + let_in(&world, SALES), 2_000);
    assert!(records(&world, Refusal::ProfileTooFast) <= 3);
    let refused = world.agents[SALES].calls.iter().find(|call| call.statuses == [503]).unwrap();
    assert!(refused.refusal_reason.as_ref().is_some_and(|reason| reason.starts_with("Q.850;cause=42;")));
    world.settle();
}

#[test]
fn refused_calls_count_and_a_pbx_known_by_its_address_is_limited_too() {
    let mut world = limited(Some(5), None);
    for number in 0..100 {
        // No such number: refused before anything is asked.
        world.dial_at(ms(number), ENGINEERING, Dial::to("abc"));
    }
    world.run(s(5));
    let told = |status: u16| {
        world.agents[ENGINEERING].calls.iter().filter(|call| call.statuses.last() == Some(&status)).count()
    };
    assert_eq!((told(484), told(503)), (10, 90));
    world.settle();
}

#[test]
fn a_company_has_one_limit_for_all_its_profiles() {
    let mut world = limited(None, Some(5));
    for number in 0..50 {
        for agent in [SALES, ENGINEERING] {
            world.dial_at(ms(number), agent, Dial::to(FAR_AWAY).then(s(1), Act::HangUp));
        }
    }
    world.run(s(20));
    assert_eq!(let_in(&world, SALES) + let_in(&world, ENGINEERING), 10);
    assert_eq!(refused(&world, Refusal::CompanyTooFast), 90);
    world.settle();
}

#[test]
fn nobody_is_limited_who_has_no_limit() {
    let mut world = limited(None, None);
    hammer(&mut world, ENGINEERING, 50, 1);
    assert_eq!(let_in(&world, ENGINEERING), 50);
    world.settle();
}

#[test]
fn a_call_for_help_is_told_what_it_is_however_fast_the_others_come() {
    let mut world = limited(Some(1), None);
    for number in 0..100 {
        world.dial_at(ms(number), SALES, Dial::to(FAR_AWAY).then(s(1), Act::HangUp));
    }
    world.dial_at(ms(150), SALES, Dial::to("112"));
    world.run(s(20));
    assert_eq!(world.agents[SALES].last_call().statuses.last(), Some(&403));
    assert_eq!(records(&world, Refusal::Emergency), 1);
    world.settle();
}
