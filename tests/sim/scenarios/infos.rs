//! INFO on its way from one side to the other, before the answer too, and what else is answered within a call.

use sip_core::message::{Message, Method, Name};
use sip_core::refusal::Refusal;

use crate::agent::Overheard;
use crate::agent::manner::{Act, Change, Dial, Last, Manner, s};
use crate::provisioning::FAR_AWAY;
use crate::world::{ALPHA, SALES, World};

/// A digit, as an agent sends it whose tags are known.
fn digit(world: &World, agent: usize, known: &Overheard, number: u32) -> String {
    let address = world.agents[agent].address;
    format!(
        "INFO sip:y@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKi{number}\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: {number} INFO\r\nMax-Forwards: 70\r\nContent-Type: application/dtmf-relay\r\n\
         Content-Length: 10\r\n\r\nSignal=5\r\n",
        known.local_tag, known.remote_tag, known.call_id
    )
}

/// A call that rings, as its caller and its callee know it.
fn ringing(manner: Manner) -> (World, Overheard, Overheard) {
    let mut world = World::new();
    world.teach(ALPHA, manner);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let ringing = world.agents[SALES].responses(Method::Invite).find(|it| it.status() == 180);
    let remote_tag = ringing.and_then(|it| it.to()?.tag().map(str::to_owned)).expect("it rings");
    let caller = Overheard { remote_tag, ..world.agents[SALES].overhear(call) };
    let callee = world.agents[ALPHA].overhear(0);
    (world, caller, callee)
}

fn last_word(world: &World, agent: usize) -> (u16, Option<&str>) {
    let last: &Message = world.agents[agent].strays.last().expect("an answer");
    (last.status(), last.header_named("X-Sipgw-Reason"))
}

#[test]
fn an_info_before_the_answer_reaches_the_side_that_it_is_for() {
    let (mut world, caller, callee) = ringing(Manner::ringing());
    for (asker, other, known) in [(SALES, ALPHA, &caller), (ALPHA, SALES, &callee)] {
        let text = digit(&world, asker, known, 900);
        world.say(asker, &text);
        world.run(s(1));
        assert_eq!(last_word(&world, asker), (200, None));
        let passed: Vec<_> = world.agents[other].requests(Method::Info).collect();
        assert_eq!(passed.len(), 1);
        assert_eq!(passed[0].body(), b"Signal=5\r\n");
        assert_eq!(passed[0].header(Name::ContentType), Some("application/dtmf-relay"));
    }
    world.act(SALES, 0, Act::Cancel);
    world.settle();
}

#[test]
fn an_info_that_a_ringing_device_does_not_know_what_to_do_with_ends_nothing() {
    let (mut world, caller, _) = ringing(Manner { info: Some(481), ..Manner::ringing() });
    let text = digit(&world, SALES, &caller, 900);
    world.say(SALES, &text);
    world.run(s(1));
    assert_eq!(last_word(&world, SALES), (491, Some(Refusal::NotAnsweredYet.code())));
    assert_eq!(world.gateway.live_calls().len(), 1);
    world.act(SALES, 0, Act::Cancel);
    world.settle();
}

/// The device that rings leaves the INFO unanswered, and takes the call: the INFO's end is not the call's.
#[test]
fn an_info_that_a_ringing_device_leaves_unanswered_ends_nothing_after_the_answer() {
    let manner = Manner { info: None, last: Last::Answer(s(10)), ..Manner::polite() };
    let (mut world, caller, _) = ringing(manner);
    let text = digit(&world, SALES, &caller, 900);
    world.say(SALES, &text);
    world.run(s(60));
    assert_eq!(last_word(&world, SALES).0, Refusal::OtherSideSlow.status());
    assert_eq!(world.gateway.live_calls().len(), 1, "the call goes on");
    world.act(SALES, 0, Act::HangUp);
    world.settle();
}

/// What the other side would have taken is told, so that the asker can say it so.
#[test]
fn a_refused_info_is_told_what_would_have_been_taken() {
    let mut world = World::new();
    let fields = vec![("Accept", "application/dtmf"), ("Recv-Info", "dtmf")];
    world.teach(ALPHA, Manner { info: Some(415), refusal_fields: fields, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world.act(SALES, call, Act::Info);
    world.run(s(1));
    let refusal = world.agents[SALES].responses(Method::Info).last().unwrap();
    assert_eq!((refusal.status(), refusal.header(Name::Accept)), (415, Some("application/dtmf")));
    assert_eq!(refusal.header(Name::RecvInfo), Some("dtmf"));
    world.act(SALES, call, Act::HangUp);
    world.settle();
}

#[test]
fn more_infos_than_may_wait_are_told_so_and_those_that_wait_hear_of_the_end() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    let address = world.agents[ALPHA].address.ip();
    world.network.cut(address);
    let known = world.agents[SALES].overhear(call);
    for number in 900..909 {
        let text = digit(&world, SALES, &known, number);
        world.say(SALES, &text);
        world.run(s(1));
    }
    assert_eq!(last_word(&world, SALES), (491, Some(Refusal::RequestPending.code())));
    world.act(SALES, call, Act::HangUp);
    world.run(s(1));
    let over = |it: &&Message| it.header_named("X-Sipgw-Reason") == Some(Refusal::CallOver.code());
    assert_eq!(world.agents[SALES].strays.iter().filter(over).count(), 8);
    world.agents[ALPHA].forget_calls();
    world.settle();
}

#[test]
fn what_concerns_the_other_side_alone_is_told_in_words_of_its_own() {
    for (status, why) in [
        (302, Refusal::OtherSideRedirects),
        (421, Refusal::OtherSideNeedsExtension),
        (420, Refusal::OtherSideRefuses),
    ] {
        for act in [Act::Reinvite(Change::Hold), Act::Info] {
            let mut world = World::new();
            world.teach(ALPHA, Manner { reinvite: status, info: Some(status), ..Manner::polite() });
            let call = world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(5));
            world.act(SALES, call, act);
            world.run(s(1));
            let method = if act == Act::Info { Method::Info } else { Method::Invite };
            let refusal = world.agents[SALES].responses(method).last().unwrap();
            assert_eq!(refusal.status(), why.status(), "{status}");
            assert_eq!(refusal.header_named("X-Sipgw-Reason"), Some(why.code()));
            assert_eq!(world.gateway.live_calls().len(), 1, "the call goes on");
            world.act(SALES, call, Act::HangUp);
            world.settle();
        }
    }
}
