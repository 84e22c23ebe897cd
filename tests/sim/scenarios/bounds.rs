//! Every call ends by itself, and what a peer may repeat at will has a bound.

use provisioning_store::money::Micros;
use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::settings::{CallSettings, Tuning};
use sip_core::types::Ending;

use crate::agent::manner::{Act, Change, Dial, Early, EarlyMedia, Last, Manner, ms, s};
use crate::desk::Pace;
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, Setting, World};

#[test]
fn no_call_lasts_longer_than_the_longest_and_one_that_runs_keeps_its_bound() {
    let mut world = World::of(Setting { credit: Micros::from_units(1_000), ..Setting::clear(1) });
    let longest = |span| Tuning {
        calls: CallSettings { longest: span, ..CallSettings::default() },
        ..Tuning::default()
    };
    world.gateway.set_tuning(longest(s(300)));
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(10));
    world.gateway.set_tuning(longest(s(60)));
    world.run(s(200));
    assert_eq!(world.gateway.live_calls().len(), 1, "the running call keeps its bound");
    world.settle();
    let record = &world.desk.books.records[0];
    assert_eq!((record.ending, record.duration()), (Ending::Refused(Refusal::TooLong), s(300)));
    for agent in [SALES, ALPHA] {
        assert_eq!(world.agents[agent].requests(Method::Bye).count(), 1);
    }
}

#[test]
fn a_reinvite_that_is_never_answered_is_taken_back_and_the_call_goes_on() {
    let mut world = World::of(Setting { credit: Micros::from_units(1_000), ..Setting::clear(1) });
    world.teach(ALPHA, Manner { reinvite_after: s(400), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(119));
    assert!(world.agents[SALES].calls[call].reinvites.is_empty());
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [504]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn early_answers_beyond_the_bound_ring_without_their_media() {
    let mut world = World::new();
    world.desk.studio_pace = Pace::After(1_500);
    let early = (1..=60).map(|number| Early::new(ms(20 * number), 183, EarlyMedia::Described));
    world.teach(ALPHA, Manner { early: early.collect(), last: Last::Answer(s(60)), ..Manner::polite() });
    world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(4));
    let told = world.agents[SALES].statuses(Method::Invite).iter().filter(|status| **status == 183).count();
    assert!(told >= 60 - 18, "those that cannot wait are passed on at once: {told}");
    world.settle();
    let answered = world.desk.books.records[0].answered;
    assert!(answered.is_some());
}
