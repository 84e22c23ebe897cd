//! Callers who change their mind, at every moment there is.

use sip_core::message::Method;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Last, Manner, OnCancel, ms, s};
use crate::desk::Pace;
use crate::provisioning::{self, FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

fn unbilled(world: &World) {
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
    assert!(world.desk.books.records.iter().all(|record| record.answered.is_none()));
}

#[test]
fn a_cancel_before_anybody_was_invited_invites_nobody() {
    let mut world = World::new();
    world.desk.books_pace = Pace::Mute;
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(ms(100));
    world.act(SALES, call, Act::Cancel);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 487]);
    assert_eq!(world.agents[ALPHA].calls.len(), 0);
    assert_eq!(world.desk.books.records[0].ending, Ending::Cancelled);
    unbilled(&world);
}

#[test]
fn a_cancel_before_the_callees_100_waits_for_it() {
    let mut world = World::new();
    world.teach(SALES, Manner { trying: crate::agent::manner::Duty::Neglected, ..Manner::ringing() });
    world.agents[SALES].manners[0].early[0].after = s(1);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).cancelled_after(ms(200)));
    world.run(ms(500));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 487], "the caller need not wait");
    assert_eq!(
        world.agents[SALES].requests(Method::Cancel).count(),
        0,
        "a CANCEL without a response to its INVITE"
    );
    world.settle();
    assert_eq!(world.agents[SALES].requests(Method::Cancel).count(), 1);
    unbilled(&world);
}

#[test]
fn a_cancel_while_it_rings_ends_both_legs() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(s(5)));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 487]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    unbilled(&world);
}

#[test]
fn a_cancel_that_crosses_the_callees_200_is_followed_by_ack_and_bye_and_not_billed() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { on_cancel: OnCancel::AnswerNevertheless, ..Manner::ringing() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(s(5)));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 487]);
    assert_eq!(world.agents[ALPHA].requests(Method::Ack).count(), 1);
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
    unbilled(&world);
}

#[test]
fn a_cancel_between_the_callees_200_and_ours_is_obeyed() {
    for dial in [Dial::to(FAR_AWAY), Dial::to(FAR_AWAY).late()] {
        let mut world = World::new();
        let call = world.dial(SALES, dial);
        world.run(ms(500));
        world.desk.studio_pace = Pace::After(400);
        assert!(world.run_until(s(5), |world| world.agents[ALPHA].last_call().answered.is_some()));
        world.run(ms(50));
        world.act(SALES, call, Act::Cancel);
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 487]);
        assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
        unbilled(&world);
    }
}

#[test]
fn a_cancel_that_crosses_our_200_changes_nothing_and_the_caller_hangs_up() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Answer(s(1)), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    let is_answered =
        |world: &World| world.gateway.live_calls().first().is_some_and(|call| call.answered.is_some());
    assert!(world.run_until(s(5), is_answered));
    world.act(SALES, call, Act::Cancel);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.agents[SALES].statuses(Method::Cancel), [200]);
    assert_eq!(world.agents[SALES].statuses(Method::Bye), [200]);
}

#[test]
fn a_callee_that_never_answers_its_cancelled_invite_is_forgotten() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { on_cancel: OnCancel::Forget, ..Manner::ringing() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY).cancelled_after(s(5)));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 487]);
    unbilled(&world);
}

#[test]
fn a_cancelled_reinvite_leaves_the_call_as_it_was() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { reinvite_after: s(20), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(crate::agent::manner::Change::Hold));
    world.run(s(2));
    world.act(SALES, call, Act::Cancel);
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [487]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    assert_eq!(world.gateway.live_calls().len(), 1, "the call went with its re-INVITE");
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_cancel_that_comes_twice_is_answered_twice_and_passed_on_once() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    world.act(SALES, call, Act::Cancel);
    world.act(SALES, call, Act::Cancel);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 487]);
    assert_eq!(world.agents[ALPHA].requests(Method::Cancel).count(), 1);
    assert_eq!(world.desk.books.records.len(), 1);
    unbilled(&world);
}

#[test]
fn a_lean_cancel_of_a_pbx_that_has_proved_its_invite_is_answered() {
    let mut world = World::unregistered(Setting::clear(1));
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let known = world.agents[SALES].overhear(call);
    let ringing = world.agents[SALES].responses(Method::Invite).last().unwrap();
    let (number, _) = ringing.cseq().unwrap();
    let cancel = format!(
        "CANCEL sip:x@gw SIP/2.0\r\nv:SIP/2.0/UDP {};branch={}\r\nf:<sip:x@x>;tag={}\r\nt:<sip:y@y>\r\ni:{}\r\n\
         CSeq:{number} CANCEL\r\n\r\n",
        world.agents[SALES].address, known.branch, known.local_tag, known.call_id
    );
    world.say(SALES, &cancel);
    world.run(s(1));
    world.run(s(5));
    // The agent has not written it, and takes the answer for one to its INVITE, whose branch it has.
    let finals = world.agents[SALES].outcomes[&known.branch].finals.iter().map(|(status, _)| *status);
    assert_eq!(finals.collect::<Vec<_>>(), [200, 487]);
    assert_eq!(world.desk.books.records[0].ending, Ending::Cancelled);
}
