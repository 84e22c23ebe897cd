//! Calls with keys in their descriptions (RFC 4568): encrypted on one side, on the other, or on both with keys of their
//! own. Whoever hears a packet in these stories has decrypted it with the key that he was told.

use sip_core::directory::SrtpPolicy;
use sip_core::message::Method;
use sip_core::types::Transport;

use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Manner, ms, s};
use crate::agent::secure::Protection;
use crate::faults::Fault;
use crate::provisioning::{ECHO, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

/// Both hear each other, and what goes to and from each is encrypted or not as told.
fn hear_each_other(world: &mut World, (sales, alpha): (usize, usize), is_protected: [bool; 2]) {
    assert_eq!(world.agents[SALES].calls[sales].is_protected(), is_protected[0], "Sales");
    assert_eq!(world.agents[ALPHA].calls[alpha].is_protected(), is_protected[1], "Alpha");
    assert_eq!(world.speak(SALES, sales), Some(world.agents[ALPHA].media_address(alpha)));
    assert_eq!(world.speak(ALPHA, alpha), Some(world.agents[SALES].media_address(sales)));
}

fn with_carriers(srtp: SrtpPolicy) -> World {
    let provisions = Provisions { carriers_srtp: srtp, ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

#[test]
fn a_caller_with_keys_talks_to_a_carrier_without() {
    for protection in [Protection::Optional, Protection::Required] {
        let mut world = World::new();
        world.agents[SALES].protection = protection;
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
        world.run(s(5));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
        hear_each_other(&mut world, (call, 0), [true, false]);
        world.settle();
    }
}

#[test]
fn a_caller_without_keys_talks_to_a_carrier_with() {
    let mut world = with_carriers(SrtpPolicy::Required);
    world.agents[ALPHA].protection = Protection::Required;
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
    world.run(s(5));
    hear_each_other(&mut world, (call, 0), [false, true]);
    world.settle();
}

#[test]
fn each_side_has_keys_of_its_own() {
    let mut world = with_carriers(SrtpPolicy::Optional);
    world.agents[SALES].protection = Protection::Required;
    world.agents[ALPHA].protection = Protection::Required;
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
    world.run(s(5));
    hear_each_other(&mut world, (call, 0), [true, true]);
    world.settle();
}

#[test]
fn a_key_may_change_in_a_reinvite_of_either_side_and_a_hold_keeps_it() {
    let mut world = with_carriers(SrtpPolicy::Required);
    world.agents[SALES].protection = Protection::Required;
    world.agents[ALPHA].protection = Protection::Required;
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(60), Act::HangUp));
    world.run(s(5));
    for (who, change) in [
        (SALES, Change::Rekey),
        (ALPHA, Change::Rekey),
        (SALES, Change::Hold),
        (SALES, Change::Resume),
        (ALPHA, Change::Late),
    ] {
        world.act(who, 0, Act::Reinvite(change));
        world.run(s(2));
        assert_eq!(world.agents[who].calls[0].reinvites.last(), Some(&200), "{change:?}");
        if change != Change::Hold {
            hear_each_other(&mut world, (call, 0), [true, true]);
        }
    }
    world.settle();
}

#[test]
fn keys_are_agreed_in_early_media_and_in_a_late_offer() {
    let mut world = World::new();
    world.agents[SALES].protection = Protection::Required;
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    world.teach(ALPHA, Manner { early: vec![early], ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(ms(500));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183]);
    hear_each_other(&mut world, (call, 0), [true, false]);
    world.run(s(20));
    let late = world.dial(ALPHA, Dial::to(SALES_NUMBER).late().then(s(5), Act::HangUp));
    world.run(s(2));
    hear_each_other(&mut world, (1, late), [true, false]);
    world.settle();
}

#[test]
fn a_pbx_over_tls_is_offered_keys_and_the_carrier_none() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    world.agents[SALES].protection = Protection::Required;
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
    world.run(s(5));
    hear_each_other(&mut world, (0, call), [true, false]);
    world.settle();
}

#[test]
fn the_echo_comes_back_under_our_key() {
    let mut world = World::new();
    world.agents[SALES].protection = Protection::Required;
    let call = world.dial(SALES, Dial::to(ECHO).then(s(20), Act::HangUp));
    world.run(s(2));
    let own = world.agents[SALES].media_address(call);
    assert!(world.agents[SALES].calls[call].is_protected());
    assert_eq!(world.speak(SALES, call), Some(own));
    world.settle();
}

#[test]
fn a_pbx_over_tls_that_knows_no_keys_is_asked_again_without() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
    hear_each_other(&mut world, (1, call), [false, false]);
    world.settle();
}

/// The transports of the media lines that an agent was invited with, in order.
fn invited_with(world: &World, agent: usize) -> Vec<bool> {
    let is_secure = |invite: &sip_core::message::Message| {
        let sdp = sip_core::sdp::SessionDescription::parse(invite.body()).expect("the gateway offers");
        sdp.audio().expect("the gateway describes audio").1.profile.is_secure()
    };
    world.agents[agent].requests(Method::Invite).map(is_secure).collect()
}

#[test]
fn a_pbx_that_insists_on_keys_without_tls_is_asked_again_with_them_and_remembered_over_a_restart() {
    let mut world = World::new();
    world.agents[SALES].protection = Protection::Required;
    let call = |world: &mut World| {
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
        world.run(s(3));
        assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
        let latest = world.agents[SALES].calls.len() - 1;
        hear_each_other(world, (latest, call), [true, false]);
        world.run(s(10));
    };
    call(&mut world);
    assert_eq!(invited_with(&world, SALES), [false, true]);
    call(&mut world);
    assert_eq!(invited_with(&world, SALES), [false, true, true]);
    world.befall(Fault::GatewayDies);
    call(&mut world);
    assert_eq!(invited_with(&world, SALES), [false, true, true, true]);
    // It has changed its mind.
    world.agents[SALES].protection = Protection::None;
    let plain = world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(world.agents[ALPHA].calls[plain].statuses, [100, 180, 200]);
    world.settle();
    assert_eq!(invited_with(&world, SALES)[4..], [true, false]);
}

#[test]
fn a_carrier_that_insists_on_keys_or_on_none_is_asked_again_and_remembered() {
    let over_udp = Provisions { carriers_srtp: SrtpPolicy::Auto, ..Provisions::default() };
    let mut world = World::of(Setting { provisions: over_udp, ..Setting::clear(1) });
    world.agents[ALPHA].protection = Protection::Required;
    for _ in 0..2 {
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
        world.run(s(20));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    }
    assert_eq!(invited_with(&world, ALPHA), [false, true, true]);
    world.settle();
}

#[test]
fn a_peer_that_takes_neither_kind_is_asked_twice_and_no_more() {
    for status in [415, 488, 606] {
        let mut world = World::new();
        world.teach(SALES, Manner::refusing(status));
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
        world.settle();
        assert_eq!(invited_with(&world, SALES), [false, true]);
        assert!(world.agents[ALPHA].calls[call].statuses.last().is_some_and(|last| *last >= 400));
    }
}
