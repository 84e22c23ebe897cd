//! More comes in than can be handled: what was begun goes on, those we know are told at once, strangers wait.

use std::time::Duration;

use sip_core::message::{Method, Name};

use crate::agent::manner::{Act, Dial, ms, s};
use crate::provisioning::FAR_AWAY;
use crate::world::{ENGINEERING, SALES, STRANGER, World};

/// Lets every input wait so long, for as long as it takes the gateway to notice.
fn inputs_wait(world: &mut World, waited: Duration) {
    for _ in 0..20 {
        world.note_waited(waited);
        world.run(ms(10));
    }
}

#[test]
fn under_overload_running_calls_go_on_and_new_ones_are_told_to_try_elsewhere() {
    let mut world = World::new();
    let running = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    inputs_wait(&mut world, ms(80));

    let by_digest = world.dial(SALES, Dial::to(FAR_AWAY));
    let by_address = world.dial(ENGINEERING, Dial::to(FAR_AWAY));
    let stranger = world.dial(STRANGER, Dial::to(FAR_AWAY));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[by_digest].statuses, [503]);
    assert_eq!(world.agents[ENGINEERING].calls[by_address].statuses, [503]);
    let refusal = world.agents[ENGINEERING].responses(Method::Invite).last().unwrap();
    assert!(refusal.header(Name::RetryAfter).is_some());
    assert_eq!(world.agents[STRANGER].calls[stranger].statuses, [] as [u16; 0], "strangers wait");

    inputs_wait(&mut world, ms(1));
    world.act(SALES, running, Act::HangUp);
    world.settle();
    assert_eq!(world.agents[STRANGER].calls[stranger].statuses, [407], "his next try is heard");
    let records = &world.desk.books.records;
    assert_eq!(records.len(), 1, "a call refused at the door costs no write");
    assert!(records[0].answered.is_some());
}

#[test]
fn once_inputs_no_longer_wait_calls_are_taken_again() {
    let mut world = World::new();
    inputs_wait(&mut world, ms(80));
    inputs_wait(&mut world, ms(1));
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
}
