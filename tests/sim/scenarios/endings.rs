//! How calls end, and how they do not: who hung up, who is gone, what comes to nothing; one truth for both sides, the
//! record and the bill.

use sip_core::message::{Message, Method, Name};
use sip_core::refusal::Refusal;
use sip_core::sdp::{Direction, SessionDescription};
use sip_core::types::{Ending, Leg};

use crate::agent::State;
use crate::agent::manner::{Act, Change, Dial, Duty, Last, Manner, OnCancel, ms, s};
use crate::desk::Pace;
use crate::provisioning::{self, ECHO, FAR_AWAY, SALES_NUMBER};
use crate::world::{ALPHA, SALES, Setting, World};

/// A call from Sales over Alpha, up and running.
fn running(manner: Manner) -> (World, usize) {
    let mut world = World::new();
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    (world, call)
}

fn ending(world: &World) -> (Ending, u16) {
    let record = &world.desk.books.records[0];
    (record.ending, record.status)
}

fn goes_on(mut world: World, call: usize) {
    assert_eq!(world.gateway.live_calls().len(), 1, "the call has ended");
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(ending(&world), (Ending::HungUp(Leg::Caller), 200));
}

fn is_answered(world: &World) -> bool {
    world.agents[ALPHA].calls.first().is_some_and(|call| call.answered.is_some())
}

fn reasons(message: &Message) -> Vec<String> {
    message.headers(Name::Reason).map(str::to_owned).collect()
}

fn direction(world: &World, agent: usize) -> Direction {
    world.agents[agent].calls[0].remote_media.as_ref().expect("the call has media").direction
}

fn updates(world: &World, agent: usize) -> Vec<u16> {
    let others = world.agents[agent].calls[0].others.iter();
    others.filter(|(method, _)| *method == Method::Update).map(|(_, status)| *status).collect()
}

#[test]
fn a_goodbye_counts_whatever_its_number() {
    for (who, by) in [(SALES, 1), (SALES, 2), (ALPHA, 1), (ALPHA, 3)] {
        let (mut world, _) = running(Manner::polite());
        for change in [Change::Hold, Change::Resume, Change::Hold] {
            world.act(who, 0, Act::Reinvite(change));
            world.run(s(1));
        }
        world.act(who, 0, Act::HangUpOutOfOrder(by));
        world.settle();
        assert_eq!(world.agents[who].statuses(Method::Bye), [200], "{by} back");
        let leg = if who == SALES { Leg::Caller } else { Leg::Callee };
        assert_eq!(ending(&world), (Ending::HungUp(leg), 200));
    }
}

#[test]
fn a_callee_that_hangs_up_at_once_was_answered_and_is_paid_for() {
    for dial in [Dial::to(FAR_AWAY), Dial::to(FAR_AWAY).late()] {
        let mut world = World::new();
        world.desk.studio_pace = Pace::After(300);
        world.agents[ALPHA].reasons = vec!["Q.850;cause=16;text=\"Normal\""];
        world.teach(ALPHA, Manner::polite().then(ms(0), Act::HangUpRudely));
        let call = world.dial(SALES, dial);
        world.settle();
        let sales = &world.agents[SALES];
        assert_eq!(sales.calls[call].statuses, [100, 180, 200]);
        let byes: Vec<_> = sales.requests(Method::Bye).map(reasons).collect();
        assert_eq!(byes, [["Q.850;cause=16"]], "a carrier's words stay with the operator");
        assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 0);
        assert_eq!(ending(&world), (Ending::HungUp(Leg::Callee), 200));
        assert!(world.desk.books.records[0].answered.is_some());
        assert_eq!(world.credit(provisioning::SALES).0, 10_000_000 - 4_000, "the shortest billed duration");
    }
}

#[test]
fn a_callees_goodbye_that_overtakes_its_answer_waits_for_it() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::polite());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    assert!(world.run_until(s(5), is_answered));
    world.lose_what_is_on_its_way();
    world.act(ALPHA, 0, Act::HangUpRudely);
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.agents[SALES].requests(Method::Bye).count(), 1);
    assert_eq!(ending(&world), (Ending::HungUp(Leg::Callee), 200));
}

#[test]
fn a_callee_that_hangs_up_and_whose_answer_never_comes_is_no_caller_that_gave_up() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::polite());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    assert!(world.run_until(s(5), is_answered));
    world.lose_what_is_on_its_way();
    world.act(ALPHA, 0, Act::HangUpRudely);
    world.run(ms(50));
    let address = world.agents[ALPHA].address.ip();
    world.network.cut(address);
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480]);
    world.agents[ALPHA].forget_calls();
    world.agents[ALPHA].was_cut_off = true;
    world.settle();
    assert_eq!(ending(&world), (Ending::Refused(Refusal::HungUpUnanswered), 480));
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn a_leg_that_knows_nothing_of_the_call_ends_it_for_that_reason() {
    for (status, why) in [(481, Refusal::CallForgotten), (408, Refusal::SideSilent)] {
        for (manner, act) in [
            (Manner { reinvite: status, ..Manner::polite() }, Act::Reinvite(Change::Hold)),
            (Manner { reinvite: status, ..Manner::polite() }, Act::Update(Change::Hold)),
            (Manner { info: Some(status), ..Manner::polite() }, Act::Info),
        ] {
            let (mut world, call) = running(manner);
            world.act(SALES, call, act);
            world.settle();
            assert_eq!(ending(&world), (Ending::Refused(why), 200), "{act:?}");
            for agent in [SALES, ALPHA] {
                let bye = world.agents[agent].requests(Method::Bye).next().expect("a BYE");
                assert!(
                    reasons(bye)[1].starts_with(&format!("SIP;cause={status};text=")),
                    "{:?}",
                    reasons(bye)
                );
                assert!(reasons(bye)[0].contains(why.sentence()));
            }
        }
    }
}

#[test]
fn a_leg_that_is_silent_ends_the_call_for_that_reason() {
    for act in [Act::Reinvite(Change::Hold), Act::Info] {
        let (mut world, call) = running(Manner::polite());
        let address = world.agents[ALPHA].address.ip();
        world.network.cut(address);
        world.act(SALES, call, act);
        world.run(s(40));
        world.agents[ALPHA].forget_calls();
        world.settle();
        assert_eq!(ending(&world), (Ending::Refused(Refusal::SideSilent), 200), "{act:?}");
        let bye = world.agents[SALES].requests(Method::Bye).next().expect("a BYE");
        assert!(reasons(bye)[0].contains(Refusal::SideSilent.sentence()));
    }
}

#[test]
fn an_offer_by_update_that_is_not_answered_in_time_changes_nothing() {
    for on_cancel in [OnCancel::Obey, OnCancel::AcceptReinvite] {
        let (mut world, call) = running(Manner { reinvite_after: s(100_000), on_cancel, ..Manner::polite() });
        world.act(SALES, call, Act::Update(Change::Hold));
        world.run(s(15));
        assert_eq!(updates(&world, SALES), [0; 0]);
        world.run(s(5));
        assert_eq!(updates(&world, SALES), [504]);
        let refusal = world.agents[SALES].responses(Method::Update).next().unwrap();
        assert_eq!(refusal.header_named("X-Sipgw-Reason"), Some("other_side_slow"));
        let cancel = world.agents[ALPHA].requests(Method::Cancel).next().expect("a CANCEL");
        assert!(reasons(cancel)[0].contains(Refusal::OtherSideSlow.sentence()));
        if on_cancel == OnCancel::AcceptReinvite {
            // It believes in the hold until it is told better.
            world.agents[ALPHA].calls[0].learn_manner(Manner::polite());
            world.run(s(5));
            assert_eq!(direction(&world, ALPHA), Direction::SendRecv);
        }
        world.agents[ALPHA].calls[0].learn_manner(Manner::polite());
        goes_on(world, call);
    }
}

#[test]
fn a_reinvite_that_is_not_answered_in_time_changes_nothing() {
    let (mut world, call) = running(Manner { reinvite_after: s(100_000), ..Manner::polite() });
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(119));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [0; 0]);
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [504], "487 is for those who cancel");
    goes_on(world, call);
}

#[test]
fn a_session_refresh_does_not_repeat_an_offer_that_was_refused() {
    let mut world = World::of(Setting { session_s: Some(90), ..Setting::clear(1) });
    world.teach(ALPHA, Manner { reinvite: 488, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [488]);
    assert_eq!(direction(&world, ALPHA), Direction::SendOnly);
    world.agents[ALPHA].calls[0].learn_manner(Manner::polite());
    world.run(s(60));
    assert_eq!(direction(&world, ALPHA), Direction::SendRecv);
    goes_on(world, call);
}

#[test]
fn an_ack_without_the_late_answer_keeps_a_session_as_it_was() {
    for who in [SALES, ALPHA] {
        let other = if who == SALES { ALPHA } else { SALES };
        let (mut world, call) = running(Manner::polite());
        world.act(who, 0, Act::Reinvite(Change::Hold));
        world.run(s(1));
        world.act(who, 0, Act::Reinvite(Change::Resume));
        world.run(s(1));
        let acks = world.agents[other].requests(Method::Ack).count();
        world.act(who, 0, Act::Reinvite(Change::LateUnanswered));
        world.run(s(1));
        assert_eq!(world.agents[who].calls[0].reinvites, [200, 200, 200]);
        let late: Vec<_> = world.agents[other].requests(Method::Ack).skip(acks).collect();
        assert_eq!(late.len(), 1);
        let answer = SessionDescription::parse(late[0].body()).expect("the ACK answers the offer");
        let (_, media) = answer.audio().unwrap();
        assert_eq!(
            (media.direction, media.codecs.as_slice()),
            (Direction::SendRecv, &["PCMA".to_owned(), "telephone-event".to_owned()][..])
        );
        goes_on(world, call);
    }
}

#[test]
fn the_echo_test_takes_a_reinvite_without_offer_and_answer_for_a_refresh() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO));
    world.run(s(2));
    world.act(SALES, call, Act::Reinvite(Change::LateUnanswered));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].reinvites, [200]);
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn a_caller_that_never_answers_the_late_offer_is_told_so() {
    for to in [FAR_AWAY, ECHO] {
        let mut world = World::new();
        let call = world.dial(SALES, Dial::to(to).late_without_answer());
        world.settle();
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&200));
        assert_eq!(ending(&world), (Ending::Refused(Refusal::NoLateAnswer), 200));
        let bye = world.agents[SALES].requests(Method::Bye).next().expect("a BYE");
        assert!(reasons(bye)[0].contains(Refusal::NoLateAnswer.sentence()));
        // RFC 3261 section 13.2.2.4: the callee's offer is answered, if only to decline it.
        for ack in world.agents[ALPHA].requests(Method::Ack) {
            assert!(std::str::from_utf8(ack.body()).unwrap().contains("m=audio 0 RTP/AVP 8\r\n"));
        }
    }
}

#[test]
fn an_answer_without_a_description_is_the_callees_fault() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { answer_sdp: Duty::Neglected, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 502]);
    assert_eq!(ending(&world), (Ending::Refused(Refusal::AnswerMissing), 502));
    assert_eq!(world.agents[ALPHA].requests(Method::Bye).count(), 1);
}

#[test]
fn a_reinvites_answer_without_a_description_changes_nothing() {
    let (mut world, call) = running(Manner { reinvite_sdp: Duty::Neglected, ..Manner::polite() });
    for change in [Change::Hold, Change::Late] {
        world.act(SALES, call, Act::Reinvite(change));
        world.run(s(2));
        assert_eq!(world.agents[SALES].calls[call].reinvites.last(), Some(&502), "{change:?}");
        assert_eq!(direction(&world, ALPHA), Direction::SendRecv);
    }
    goes_on(world, call);
}

#[test]
fn all_reasons_pass_in_bye_cancel_and_refusals_both_ways() {
    const REASONS: [&str; 2] = ["SIP;cause=200;text=\"Call completed elsewhere\"", "Q.850;cause=26"];
    const WITHOUT_WORDS: [&str; 2] = ["SIP;cause=200", "Q.850;cause=26"];
    // A carrier's words stay with the operator.
    let told = |by: usize| if by == ALPHA { WITHOUT_WORDS } else { REASONS };
    for (caller, callee, to) in [(SALES, ALPHA, FAR_AWAY), (ALPHA, SALES, SALES_NUMBER)] {
        for who in [caller, callee] {
            let mut world = World::new();
            world.agents[who].reasons = REASONS.to_vec();
            world.dial(caller, Dial::to(to));
            world.run(s(5));
            world.act(who, 0, Act::HangUp);
            world.settle();
            let other = if who == caller { callee } else { caller };
            assert_eq!(reasons(world.agents[other].requests(Method::Bye).next().unwrap()), told(who));
        }
        let mut world = World::new();
        world.agents[caller].reasons = REASONS.to_vec();
        world.teach(callee, Manner::ringing());
        world.dial(caller, Dial::to(to).cancelled_after(s(3)));
        world.settle();
        assert_eq!(reasons(world.agents[callee].requests(Method::Cancel).next().unwrap()), told(caller));
        let mut world = World::new();
        world.agents[callee].reasons = REASONS.to_vec();
        world.teach(callee, Manner::refusing(486));
        world.dial(caller, Dial::to(to));
        world.settle();
        let refusal = world.agents[caller].responses(Method::Invite).find(|it| it.status() == 486);
        assert_eq!(reasons(refusal.unwrap()), told(callee));
    }
}

#[test]
fn all_reasons_pass_with_what_becomes_of_a_reinvite() {
    const REASONS: [&str; 2] = ["SIP;cause=488;text=\"No\"", "Q.850;cause=88"];
    let (mut world, call) = running(Manner { reinvite: 488, ..Manner::polite() });
    world.agents[ALPHA].reasons = REASONS.to_vec();
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    let refusal = world.agents[SALES].responses(Method::Invite).find(|it| it.status() == 488);
    assert_eq!(reasons(refusal.unwrap()), ["SIP;cause=488", "Q.850;cause=88"]);
    world.agents[ALPHA].reasons.clear();
    world.agents[ALPHA].calls[0].learn_manner(Manner { reinvite_after: s(100), ..Manner::polite() });
    world.agents[SALES].reasons = REASONS.to_vec();
    world.act(SALES, call, Act::Reinvite(Change::Hold));
    world.run(s(1));
    world.act(SALES, call, Act::Cancel);
    world.run(s(1));
    assert_eq!(reasons(world.agents[ALPHA].requests(Method::Cancel).next().unwrap()), REASONS);
    world.agents[SALES].reasons.clear();
    goes_on(world, call);
}

#[test]
fn a_cancel_of_ours_says_why() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::ringing());
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    let cancel = world.agents[ALPHA].requests(Method::Cancel).next().unwrap();
    assert!(reasons(cancel)[0].contains(Refusal::NoAnswer.sentence()), "{:?}", reasons(cancel));
    assert_eq!(world.agents[ALPHA].last_call().state, State::Over);
}

#[test]
fn the_words_of_a_withheld_callers_reasons_stay_behind() {
    let mut world = World::new();
    world.agents[ALPHA].reasons = vec!["Q.850;cause=16;text=\"+13125550123 is done\""];
    let dial = Dial::to(SALES_NUMBER).header("Privacy", "id").from("+13125550123");
    world.dial(ALPHA, dial.then(s(3), Act::HangUp));
    world.settle();
    assert_eq!(reasons(world.agents[SALES].requests(Method::Bye).next().unwrap()), ["Q.850;cause=16"]);
}

#[test]
fn a_reinvite_that_only_moves_one_sides_media_is_answered_without_the_other() {
    for (who, other) in [(SALES, ALPHA), (ALPHA, SALES)] {
        for act in [Act::Reinvite(Change::Move), Act::Update(Change::Move)] {
            let (mut world, call) = running(Manner::polite());
            let before = world.agents[other].requests(Method::Invite).count();
            world.act(who, 0, act);
            world.run(s(1));
            let answers = [updates(&world, who), world.agents[who].calls[0].reinvites.clone()].concat();
            assert_eq!(answers, [200]);
            assert_eq!(world.agents[other].requests(Method::Invite).count(), before, "{act:?}");
            world.act(who, 0, Act::Reinvite(Change::Hold));
            world.run(s(1));
            assert_eq!(direction(&world, other), Direction::SendOnly);
            world.act(who, 0, Act::Reinvite(Change::Move));
            world.run(s(1));
            goes_on(world, call);
        }
    }
}

#[test]
fn a_call_that_is_refused_late_was_not_given_up_by_its_caller() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { last: Last::Refuse(s(1), 487), ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 480], "487 is for those who cancel");
}
