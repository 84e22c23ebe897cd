//! Carriers that challenge every request of a call: each gets its proof, and the other half of the call hears nothing
//! of it.

use sip_core::auth::digest::DigestResponse;
use sip_core::message::{Message, Method, Name};

use crate::agent::State;
use crate::agent::manner::{Act, Asked, Change, Devices, Dial, Last, Manner, OnCancel, ms, s};
use crate::provisioning::{self, BETA_CREDENTIALS, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{BETA, SALES, Setting, World};

/// A carrier that asks for its password.
fn asking(asked: Asked) -> Manner {
    Manner { demands: Some(BETA_CREDENTIALS), asked, ..Manner::polite() }
}

/// A world whose only carrier is Beta.
fn over_beta(session_s: Option<u32>) -> World {
    let provisions = Provisions { carriers: vec![provisioning::BETA], ..Provisions::default() };
    World::of(Setting { provisions, session_s, ..Setting::clear(1) })
}

/// The nonce count that a request shows.
fn count(request: &Message) -> Option<u32> {
    DigestResponse::parse(request.header(Name::ProxyAuthorization)?).ok()?.nc
}

fn counts(world: &World, method: Method) -> Vec<Option<u32>> {
    world.agents[BETA].requests(method).map(count).collect()
}

#[test]
fn every_method_is_proved_and_nothing_of_it_reaches_the_pbx() {
    for asked in [Asked::EveryRequest, Asked::EveryRequestAnew] {
        let mut world = over_beta(Some(90));
        world.teach(BETA, Manner { update: Some(200), session: Some("90;refresher=uac"), ..asking(asked) });
        let call = world.dial(SALES, Dial::to(FAR_AWAY));
        world.run(s(5));
        world.act(SALES, call, Act::Info);
        world.run(s(1));
        world.act(SALES, call, Act::Reinvite(Change::Hold));
        world.run(s(1));
        world.act(SALES, call, Act::Update(Change::Resume));
        world.run(s(60));
        assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
        assert_eq!(
            world.agents[SALES].calls[call].others,
            [(Method::Info, 200), (Method::Update, 200)],
            "{asked:?}"
        );
        world.act(SALES, call, Act::HangUp);
        world.run(s(1));
        assert_eq!(world.agents[BETA].calls[0].state, State::Over, "the carrier's leg stays up");
        let refreshes = counts(&world, Method::Update);
        assert!(refreshes.iter().any(Option::is_some), "the session was not refreshed");
        match asked {
            // The nonce of the first challenge holds, and its count rises with each request.
            Asked::EveryRequest => {
                assert_eq!(counts(&world, Method::Invite), [None, Some(1), Some(3), Some(4)]);
                assert_eq!(counts(&world, Method::Info), [Some(2)]);
                assert_eq!(counts(&world, Method::Bye).len(), 1);
            }
            _ => {
                assert_eq!(counts(&world, Method::Info), [Some(2), Some(1)]);
                assert_eq!(counts(&world, Method::Bye), [Some(2), Some(1)]);
            }
        }
        let byes: Vec<_> = world.agents[BETA].requests(Method::Bye).filter_map(Message::cseq).collect();
        assert!(byes.is_sorted_by(|one, next| one.0 < next.0), "a number was used twice: {byes:?}");
        world.settle();
    }
}

#[test]
fn an_ack_shows_the_proof_of_its_invite() {
    let mut world = over_beta(None);
    world.teach(BETA, asking(Asked::EveryRequest));
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(5), Act::HangUp));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    let proof = |method| {
        let last = world.agents[BETA].requests(method).last().unwrap();
        last.header(Name::ProxyAuthorization).map(str::to_owned)
    };
    assert!(proof(Method::Ack).is_some());
    assert_eq!(proof(Method::Ack), proof(Method::Invite));
    world.settle();
}

#[test]
fn a_carrier_that_calls_may_challenge_the_goodbye_as_well() {
    let mut world = over_beta(None);
    let dial = Dial::to(SALES_NUMBER).treating(asking(Asked::EveryRequestAnew));
    let call = world.dial(BETA, dial);
    world.teach(SALES, Manner::polite());
    world.run(s(5));
    world.act(SALES, 0, Act::HangUp);
    world.run(s(1));
    assert_eq!(world.agents[BETA].calls[call].state, State::Over);
    assert_eq!(counts(&world, Method::Bye), [None, Some(1)]);
    world.settle();
}

#[test]
fn a_password_that_is_not_taken_within_a_call_ends_neither_the_call_nor_the_goodbye() {
    let mut world = over_beta(None);
    world.teach(BETA, Manner { asked: Asked::EveryRequest, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    // From here on it wants another password than the one that we have.
    world.agents[BETA].demand(0, ("trunk-7", "another"));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [500]);
    let refused = world.agents[SALES].responses(Method::Invite).last().unwrap();
    assert!(refused.header(Name::Warning).unwrap().contains("credentials"), "{refused:?}");
    assert_eq!(counts(&world, Method::Invite).len(), 4, "the first INVITE, and three tries");
    world.act(SALES, call, Act::Info);
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].others, [(Method::Info, 500)]);
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.run(s(1));
    assert!(counts(&world, Method::Bye).len() <= 3);
    world.agents[BETA].forget_calls();
    world.settle();
}

#[test]
fn a_pbx_that_challenges_us_is_told_nothing_and_its_carrier_nothing_of_it() {
    let mut world = over_beta(None);
    world.teach(SALES, Manner { asked: Asked::EveryRequest, ..Manner::polite() });
    let call = world.dial(BETA, Dial::to(SALES_NUMBER));
    world.run(s(5));
    world.agents[SALES].demand(0, ("x", "y"));
    world.act(BETA, call, Act::Reinvite(Change::Hold));
    world.act(BETA, call, Act::Info);
    world.run(s(1));
    assert_eq!(world.agents[BETA].calls[call].reinvites, [480]);
    assert_eq!(world.agents[BETA].calls[call].others, [(Method::Info, 480)]);
    world.act(BETA, call, Act::HangUp);
    world.run(s(1));
    world.agents[SALES].forget_calls();
    world.settle();
}

#[test]
fn a_second_device_and_an_answer_that_crossed_the_cancel_get_their_goodbye_all_the_same() {
    let anew = || asking(Asked::EveryRequestAnew);
    let mut world = over_beta(None);
    world.teach(BETA, Manner { devices: Devices::TwoAnswer, ..anew() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    assert_eq!(counts(&world, Method::Bye), [Some(2), Some(1)], "the second device's");
    world.act(SALES, call, Act::HangUp);
    world.settle();
    let mut world = over_beta(None);
    world.teach(BETA, Manner { on_cancel: OnCancel::AnswerNevertheless, ..anew() });
    world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(ms(500)));
    world.run(s(3));
    assert_eq!(counts(&world, Method::Bye), [Some(2), Some(1)]);
    assert_eq!(world.agents[BETA].calls[0].state, State::Over);
    world.settle();
}

#[test]
fn a_challenged_reinvite_that_was_cancelled_meanwhile_is_not_sent_again() {
    let mut world = over_beta(None);
    world.teach(BETA, asking(Asked::EveryRequestAnew));
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(ms(6));
    world.act(SALES, call, Act::Cancel);
    world.run(s(2));
    let last = *world.agents[SALES].calls[call].reinvites.last().unwrap();
    assert!(matches!(last, 487 | 200), "{last}");
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn the_goodbye_to_an_answer_that_comes_when_its_call_is_forgotten_is_proved_too() {
    let mut world = over_beta(None);
    let late =
        Manner { on_cancel: OnCancel::Forget, last: Last::Answer(s(100)), ..asking(Asked::EveryRequestAnew) };
    world.teach(BETA, late);
    world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(ms(500)));
    world.run(s(99));
    assert_eq!(world.counts().calls, 0, "the call is not forgotten");
    world.run(s(5));
    assert_eq!(counts(&world, Method::Bye), [None, Some(1)]);
    assert_eq!(world.agents[BETA].calls[0].state, State::Over, "the carrier's leg stays up");
    world.settle();
    // A carrier that wants another password than ours is not asked for ever.
    let mut world = over_beta(None);
    let late = Manner { on_cancel: OnCancel::Forget, last: Last::Answer(s(100)), ..Manner::polite() };
    world.teach(BETA, Manner { asked: Asked::EveryRequestAnew, ..late });
    world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(ms(500)));
    world.run(s(99));
    world.agents[BETA].demand(0, ("trunk-7", "another"));
    world.run(s(5));
    assert_eq!(counts(&world, Method::Bye), [None, Some(1)]);
    world.agents[BETA].forget_calls();
    world.settle();
}
