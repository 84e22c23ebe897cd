//! Passwords guessed: slowed, banned, and never at the cost of the PBX whose password it is.

use std::net::SocketAddr;

use sip_core::bans::Banned;
use sip_core::message::{Message, Method, Name};
use sip_core::types::Event;

use crate::agent::manner::{Act, Dial, ms, s};
use crate::provisioning::{FAR_AWAY, SALES_NUMBER, SALES_USER};
use crate::world::{ALPHA, SALES, STRANGER, Setting, World};

/// A user name of the right shape that nobody has.
const NOBODY: &str = "99050000000999";

/// Lets the stranger try a wrong password as this user; gives what it was answered within the time.
fn guess(world: &mut World, user: &str, span: std::time::Duration) -> Vec<u16> {
    let now = world.now();
    let stranger = &mut world.agents[STRANGER];
    stranger.user = user.to_owned();
    stranger.is_forger = true;
    stranger.forget_password();
    stranger.start_registering(now, 120);
    world.flush();
    world.run(span);
    world.agents[STRANGER].registration.as_ref().map(|tried| tried.statuses.clone()).unwrap_or_default()
}

fn place(agent: usize, world: &mut World, address: &str) {
    world.agents[agent].address = address.parse::<SocketAddr>().expect("tests write addresses");
}

fn bans(world: &World) -> Vec<&Event> {
    let is_ban = |event: &&Event| matches!(event, Event::SourceBanned { .. } | Event::UserGuarded { .. });
    world.events.iter().filter(is_ban).collect()
}

/// The PBX of Sales registers anew, is called, and calls.
fn sales_is_well(world: &mut World) {
    world.register(SALES, 3_600);
    let out = world.dial(SALES, Dial::to(FAR_AWAY).then(s(2), Act::HangUp));
    let incoming = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(2), Act::HangUp));
    world.run(s(6));
    assert_eq!(world.agents[SALES].calls[out].statuses.last(), Some(&200));
    assert_eq!(world.agents[ALPHA].calls[incoming].statuses.last(), Some(&200));
}

#[test]
fn guesses_are_slowed_then_banned_and_the_pbx_of_that_name_notices_nothing() {
    let mut world = World::new();
    let mut refused = 0;
    for _ in 0..200 {
        refused += usize::from(guess(&mut world, SALES_USER, ms(100)).contains(&403));
    }
    assert!((10..14).contains(&refused), "{refused} guesses were answered");
    assert!(matches!(bans(&world)[..], [Event::SourceBanned { .. }]), "{:?}", bans(&world));
    assert_eq!(guess(&mut world, NOBODY, s(1)), [] as [u16; 0], "not even a challenge");
    let now = world.now();
    world.agents[STRANGER].ask_options(now);
    world.say(STRANGER, "OPTIONS sip:gw.example SIP/2.0\r\n\r\n");
    world.run(s(1));
    assert_eq!(world.agents[STRANGER].statuses(Method::Options), [] as [u16; 0]);
    sales_is_well(&mut world);
    world.run(s(600));
    assert_eq!(guess(&mut world, NOBODY, s(1)), [401, 403], "a ban ends");
    world.settle();
}

#[test]
fn the_operator_ends_a_ban() {
    let mut world = World::new();
    for _ in 0..60 {
        guess(&mut world, SALES_USER, ms(100));
    }
    let (now, whom) = (world.present(), Banned::Source("203.0.113.66".parse().unwrap()));
    let banned: Vec<_> = world.gateway.bans(now, None, 10).into_iter().map(|ban| ban.whom).collect();
    assert_eq!(banned, std::slice::from_ref(&whom));
    assert!(world.gateway.release_ban(now, &whom));
    assert!(guess(&mut world, SALES_USER, s(1)).contains(&403));
    world.settle();
}

#[test]
fn a_guesser_behind_the_nat_of_a_pbx_does_it_no_harm() {
    let mut world = World::new();
    place(STRANGER, &mut world, "198.51.100.11:6666");
    for _ in 0..100 {
        guess(&mut world, NOBODY, ms(100));
    }
    assert_eq!(bans(&world).len(), 1);
    assert_eq!(guess(&mut world, NOBODY, s(1)), [401], "challenged, and then not heard");
    sales_is_well(&mut world);
    // The NAT gives the PBX another port.
    place(SALES, &mut world, "198.51.100.11:7777");
    sales_is_well(&mut world);
    world.settle();
}

#[test]
fn a_pbx_with_a_wrong_password_is_told_so_for_days() {
    let mut world = World::unregistered(Setting::clear(1));
    world.agents[SALES].forget_password();
    for _ in 0..2_880 {
        let now = world.now();
        world.agents[SALES].start_registering(now, 120);
        world.flush();
        world.run(s(30));
        assert_eq!(world.agents[SALES].registration.as_ref().unwrap().statuses, [401, 403]);
    }
    assert!(bans(&world).is_empty());
    world.settle();
}

#[test]
fn a_user_guessed_at_from_many_sources_is_heard_at_home_alone() {
    for user in [SALES_USER, NOBODY] {
        let mut world = World::new();
        for host in 100..200 {
            place(STRANGER, &mut world, &format!("203.0.113.{host}:5060"));
            assert_eq!(guess(&mut world, user, ms(100)), [401, 403]);
        }
        assert!(matches!(bans(&world)[..], [Event::UserGuarded { .. }]), "{:?}", bans(&world));
        place(STRANGER, &mut world, "203.0.113.201:5060");
        assert_eq!(guess(&mut world, user, s(1)), [401]);
        sales_is_well(&mut world);
        world.run(s(300));
        assert_eq!(guess(&mut world, user, s(1)), [401, 403]);
        world.settle();
    }
}

/// What a response says, but for what every request and every nonce has of its own.
fn said(response: &Message) -> String {
    let own = |name: &Name| matches!(name, Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq);
    let nonce = |value: &str| match value.split_once("nonce=\"") {
        Some((before, after)) => format!("{before}{}", &after[after.find('"').unwrap_or_default()..]),
        None => value.to_owned(),
    };
    let headers = response.all_headers().filter(|(name, ..)| !own(name));
    let lines = headers.map(|(_, name, value)| format!("\n{name}: {}", nonce(value)));
    format!("{} {}{}", response.status(), response.reason_phrase(), lines.collect::<String>())
}

#[test]
fn the_answer_to_an_unknown_user_is_the_answer_to_a_wrong_password() {
    let mut world = World::new();
    let mut stories = Vec::new();
    // Known by password, known by address, unknown in its place, and of another shape.
    for user in [SALES_USER, "99050000000102", NOBODY, "root"] {
        let before = world.agents[STRANGER].heard.len();
        assert_eq!(guess(&mut world, user, s(1)), [401, 403]);
        stories.push(world.agents[STRANGER].heard[before..].iter().map(said).collect::<Vec<_>>());
    }
    assert!(stories[0][1].contains("403") && stories[0][1].contains("X-Sipgw-Reason"), "{:?}", stories[0]);
    for story in &stories {
        assert_eq!(*story, stories[0]);
    }
    world.settle();
}
