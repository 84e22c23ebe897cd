//! A PBX registers, refreshes, and is forgotten.

use sip_core::message::{Method, Name};
use sip_core::types::{Event, Unregistration};

use crate::agent::manner::{Act, Dial, s};
use crate::provisioning::{FAR_AWAY, Provisions, SALES_NUMBER, SALES_USER};
use crate::world::{ALPHA, SALES, Setting, World};

fn unregistrations(world: &World) -> Vec<Unregistration> {
    let why = |event: &Event| match event {
        Event::Unregistered { why, .. } => Some(*why),
        _ => None,
    };
    world.events.iter().filter_map(why).collect()
}

#[test]
fn a_pbx_is_challenged_bound_and_keeps_itself_bound() {
    let mut world = World::unregistered(Setting::clear(1));
    world.register(SALES, 120);
    let registration = world.agents[SALES].registration.as_ref().unwrap();
    assert_eq!(registration.statuses, [401, 200]);
    assert_eq!(registration.granted_s, Some(120));
    let contact = world.agents[SALES].responses(Method::Register).last().unwrap();
    let contact = contact.header(Name::Contact).unwrap();
    assert!(contact.contains(";rinstance=0a1b2c>"), "not echoed: {contact}");
    world.run(s(1_000));
    assert_eq!(world.gateway.counts().bindings, 1);
    assert!(unregistrations(&world).is_empty(), "a refreshed binding ended");
    world.settle();
}

#[test]
fn a_binding_that_is_not_refreshed_expires_and_calls_to_it_are_refused() {
    let mut world = World::unregistered(Setting::clear(1));
    world.register(SALES, 60);
    world.agents[SALES].registration.as_mut().unwrap().is_kept = false;
    world.run(s(61));
    assert_eq!(unregistrations(&world), [Unregistration::Expired]);
    world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].last_call().statuses, [100, 480]);
    world.settle();
}

#[test]
fn too_short_an_interval_is_refused_with_the_least_that_is_granted() {
    let mut world = World::unregistered(Setting::clear(1));
    let now = world.now();
    world.agents[SALES].start_registering(now, 5);
    world.run(s(1));
    assert_eq!(world.agents[SALES].registration.as_ref().unwrap().statuses, [401, 423]);
    let refusal = world.agents[SALES].responses(Method::Register).last().unwrap();
    assert_eq!(refusal.min_expires(), Some(20));
}

#[test]
fn a_wrong_password_is_refused_and_not_challenged_again() {
    let mut world = World::unregistered(Setting::clear(1));
    world.agents[SALES].forget_password();
    let now = world.now();
    world.agents[SALES].start_registering(now, 3_600);
    world.run(s(2));
    assert_eq!(world.agents[SALES].registration.as_ref().unwrap().statuses, [401, 403]);
    assert_eq!(world.gateway.counts().bindings, 0);
}

#[test]
fn a_new_password_leaves_the_pbx_registered_until_it_has_to_refresh() {
    let mut world = World::unregistered(Setting::clear(1));
    world.register(SALES, 300);
    world.provide(Provisions { sales_password: "another-horse!", ..Provisions::default() });
    let incoming = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    let outgoing = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(20));
    assert_eq!(world.agents[ALPHA].calls[incoming].statuses, [100, 180, 200]);
    assert_eq!(world.agents[SALES].calls[outgoing].statuses, [100, 180, 200]);
    assert!(unregistrations(&world).is_empty());
    world.run(s(300));
    assert_eq!(world.agents[SALES].registration.as_ref().unwrap().statuses.last(), Some(&403));
    assert_eq!(world.gateway.counts().bindings, 0);
    world.agents[SALES].learn_credentials(SALES_USER, "another-horse!");
    world.register(SALES, 300);
    world.settle();
}
