//! Offers and confirmations around the answer: an UPDATE while it rings (RFC 3311 section 5.1), a PRACK behind the ACK
//! (RFC 3262 section 3).

use sip_core::message::Method;

use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Last, Manner, ms, s};
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, World};

/// A call of Sales that rings at Alpha; both have confirmed how they describe their media.
fn agreed() -> (World, usize) {
    let mut world = World::new();
    let early = vec![Early::new(ms(100), 183, EarlyMedia::Described).reliable()];
    world.teach(ALPHA, Manner { early, last: Last::Answer(s(5)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require"));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183]);
    (world, call)
}

fn updates(world: &World, agent: usize) -> Vec<u16> {
    let others = world.agents[agent].calls[0].others.iter();
    others.filter(|(method, _)| *method == Method::Update).map(|(_, status)| *status).collect()
}

#[test]
fn either_side_may_move_its_media_while_it_rings() {
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        let (mut world, call) = agreed();
        let before = world.agents[who].media_address(0);
        world.act(who, 0, Act::Update(Change::Move));
        world.run(s(1));
        assert_eq!(updates(&world, who), [200], "{}", world.agents[who].name);
        assert_ne!(world.agents[who].media_address(0), before);
        assert_eq!(world.speak(other, 0), Some(world.agents[who].media_address(0)), "while it rings");
        world.run(s(5));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 200]);
        assert_eq!(world.speak(other, 0), Some(world.agents[who].media_address(0)));
        assert_eq!(world.speak(who, 0), Some(world.agents[other].media_address(0)));
        world.act(SALES, call, Act::HangUp);
        world.settle();
    }
}

#[test]
fn before_the_first_offer_is_answered_no_other_may_follow() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Answer(s(5)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require"));
    world.run(s(1));
    world.act(SALES, call, Act::Update(Change::Move));
    world.run(s(1));
    assert_eq!(updates(&world, SALES), [500], "RFC 3311 section 5.2");
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_prack_is_taken_behind_the_ack_to_the_answer() {
    let mut world = World::new();
    let early = vec![Early::new(ms(100), 180, EarlyMedia::None)];
    world.teach(ALPHA, Manner { early, last: Last::Answer(ms(150)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).confirming("Require"));
    let rings = |world: &World| world.agents[SALES].calls[call].statuses.contains(&180);
    assert!(world.run_until(s(1), rings));
    world.delay_to_gateway(ms(300), |bytes| bytes.starts_with(b"PRACK "));
    world.run(ms(200));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.agents[SALES].calls[call].others, []);
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Prack, 200)]);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}
