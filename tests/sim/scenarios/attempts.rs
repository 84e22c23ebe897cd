//! One carrier tried: challenged, sent back, silent at the wrong moment.

use sip_core::auth::digest::DigestResponse;
use sip_core::message::{Message, Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Hurdle, Last, Manner, OnCancel, ms, s};
use crate::desk::Pace;
use crate::provisioning::{self, BETA_CREDENTIALS, ECHO, FAR_AWAY, Provisions};
use crate::world::{ALPHA, BETA, GAMMA_ONE, GAMMA_TWO, SALES, Setting, World};

fn over(carriers: &[sip_core::types::CarrierId]) -> World {
    let provisions = Provisions { carriers: carriers.to_vec(), ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

fn hanging_up() -> Dial {
    Dial::to(FAR_AWAY).then(s(10), Act::HangUp)
}

/// Nonce count of the credentials that an INVITE shows.
fn shown(invite: &Message) -> Option<u32> {
    DigestResponse::parse(invite.header(Name::ProxyAuthorization)?).ok()?.nc
}

#[test]
fn credentials_are_kept_when_the_session_interval_has_to_rise_and_renewed_when_stale() {
    let mut world = over(&[provisioning::BETA]);
    let hurdles = vec![Hurdle::Demand, Hurdle::Stale, Hurdle::TooBrief(3_600)];
    world.teach(BETA, Manner { demands: Some(BETA_CREDENTIALS), hurdles, ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 180, 200]);
    let invites: Vec<_> = world.agents[BETA].requests(Method::Invite).collect();
    assert_eq!(invites.iter().map(|it| shown(it)).collect::<Vec<_>>(), [None, Some(1), Some(1), Some(2)]);
    for pair in invites.windows(2) {
        assert_eq!(pair[0].call_id(), pair[1].call_id());
        assert_eq!(pair[0].request_uri(), pair[1].request_uri());
        assert!(pair[0].cseq().unwrap().0 < pair[1].cseq().unwrap().0);
    }
    assert!(invites.iter().all(|invite| invite.to().unwrap().tag().is_none()));
    world.settle();
}

#[test]
fn a_nonce_that_is_stale_again_and_again_is_given_up() {
    let mut world = over(&[provisioning::BETA, provisioning::GAMMA]);
    let hurdles = vec![Hurdle::Demand, Hurdle::Stale, Hurdle::Stale, Hurdle::Stale, Hurdle::Stale];
    world.teach(BETA, Manner { hurdles, ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[BETA].requests(Method::Invite).count(), 4);
    assert_eq!(
        *world.agents[SALES].calls[call].statuses.last().unwrap(),
        200,
        "the next carrier was not tried"
    );
}

#[test]
fn a_carrier_that_says_100_and_nothing_more_is_left_for_the_next() {
    for on_cancel in [OnCancel::Obey, OnCancel::AnswerNevertheless] {
        let mut world = World::new();
        world.teach(ALPHA, Manner { early: Vec::new(), last: Last::Never, on_cancel, ..Manner::polite() });
        let call = world.dial(SALES, hanging_up());
        world.run(s(19));
        assert_eq!(world.agents[BETA].calls.len(), 0, "calls abroad take their time until it rings");
        world.run(s(5));
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
        assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
        assert_eq!(world.speak(SALES, call), Some(world.agents[BETA].media_address(0)));
        let late = usize::from(on_cancel == OnCancel::AnswerNevertheless);
        assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), late);
        world.settle();
        assert_eq!(world.desk.books.records.len(), 1);
        let talked = world.desk.books.records[0].duration();
        assert!(talked < s(11), "billed for {talked:?}: the answer that crossed the CANCEL counted");
    }
}

#[test]
fn the_other_address_of_a_carrier_that_sits_on_a_call_is_no_better() {
    let mut world = over(&[provisioning::GAMMA]);
    world.teach(GAMMA_ONE, Manner { early: Vec::new(), last: Last::Never, ..Manner::polite() });
    let call = world.dial(SALES, hanging_up());
    world.settle();
    assert_eq!(world.agents[GAMMA_TWO].calls.len(), 0);
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 503]);
}

#[test]
fn an_answer_that_comes_after_everything_was_given_up_is_hung_up() {
    for talks_on in [true, false] {
        let mut world = World::new();
        // Alpha hears the last repetition of the INVITE only, and answers when its transaction has ended.
        let host = world.agents[ALPHA].address.ip();
        world.network.cut(host);
        world.teach(ALPHA, Manner { last: Last::Answer(s(4)), ..Manner::silent() });
        let hang_up = if talks_on { s(60) } else { s(5) };
        world.dial(SALES, Dial::to(FAR_AWAY).then(hang_up, Act::HangUp));
        world.run(s(31));
        world.network.mend(host);
        world.run(s(10));
        assert_eq!(world.agents[ALPHA].requests(Method::Ack).count(), 1);
        assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
        assert_eq!(world.gateway.live_calls().len(), usize::from(talks_on));
        world.settle();
    }
}

#[test]
fn a_call_rings_no_longer_for_having_been_tried_elsewhere_first() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { early: Vec::new(), last: Last::Never, ..Manner::polite() });
    world.teach(BETA, Manner::ringing());
    let call = world.dial(SALES, hanging_up());
    world.run(s(119));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180]);
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480]);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoAnswer));
}

#[test]
fn a_carriers_second_address_is_tried_on_503_and_silence_and_no_attempt_more_is_counted() {
    for (manner, second) in [
        (Manner::refusing(503), 1),
        (Manner::silent(), 1),
        (Manner::refusing(500), 0),
        (Manner::refusing(408), 0),
    ] {
        let provisions =
            Provisions { carriers: vec![provisioning::GAMMA], attempts: 1, ..Provisions::default() };
        let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
        world.teach(GAMMA_ONE, manner);
        let call = world.dial(SALES, hanging_up());
        world.run(ms(12_000));
        assert_eq!(world.agents[GAMMA_TWO].calls.len(), second);
        let last = if second == 1 { 200 } else { 503 };
        assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), last);
        world.settle();
    }
}

#[test]
fn what_the_callee_says_is_told_with_its_own_reason() {
    for (status, why) in [
        (404, Refusal::CalleeUnknown),
        (410, Refusal::CalleeMoved),
        (480, Refusal::CalleeUnavailable),
        (484, Refusal::CalleeIncomplete),
        (486, Refusal::CalleeBusy),
        (603, Refusal::CalleeDeclined),
        (604, Refusal::CalleeUnknown),
    ] {
        let mut world = over(&[provisioning::ALPHA]);
        world.teach(ALPHA, Manner::refusing(status));
        let call = world.dial(SALES, hanging_up());
        world.settle();
        assert_eq!(*world.agents[SALES].calls[call].statuses.last().unwrap(), status);
        let record = &world.desk.books.records[0];
        assert_eq!((record.ending, record.status), (Ending::Refused(why), status));
    }
}

#[test]
fn who_has_no_channel_is_told_that_and_not_that_the_carrier_has_no_address() {
    for (channels, why) in [(1, Refusal::NoChannel), (2, Refusal::CarriersFailed)] {
        let provisions = Provisions { carriers: vec![provisioning::GAMMA], ..Provisions::default() };
        let mut world = World::of(Setting { provisions, channels, ..Setting::clear(1) });
        world.dial(SALES, Dial::to(ECHO).then(s(30), Act::HangUp));
        world.run(s(2));
        // The name leads nowhere long before the books decide.
        world.desk.names.clear();
        world.desk.books_pace = Pace::After(500);
        let call = world.dial(SALES, hanging_up());
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 503]);
        let called = format!("+{FAR_AWAY}");
        let refused = world.desk.books.records.iter().find(|record| record.to == called).unwrap();
        assert_eq!(refused.ending, Ending::Refused(why));
    }
}
