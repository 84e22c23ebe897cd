//! Requests within a call that come another way than the call did: from a peer's new address, over its new connection,
//! from a carrier's other node; and what comes in the clear for a call that is secret.

use bytes::Bytes;
use sip_core::auth::answer_challenge;
use sip_core::message::{Method, Name};
use sip_core::types::{Ending, Leg, Transport};

use crate::agent::Overheard;
use crate::agent::manner::{Act, Dial, Manner, ms, s};
use crate::provisioning::{self, FAR_AWAY, Provisions, SALES_NUMBER, SALES_USER};
use crate::world::{
    ALPHA, Arrival, BETA, ENGINEERING, GAMMA_ONE, GAMMA_TWO, SALES, STRANGER, Setting, World,
};

const TARGET: &str = "sip:y@gw.example";

/// A BYE with what the caller knows of its call, from where the agent is now.
fn bye(known: &Overheard, number: u32, proof: &str) -> String {
    format!(
        "BYE {TARGET} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bK{number}\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: {number} BYE\r\nMax-Forwards: 70\r\n{proof}Content-Length: 0\r\n\r\n",
        known.local_tag, known.remote_tag, known.call_id
    )
}

/// A call of Sales that is up, and a BYE for it from elsewhere that was challenged: the challenge.
fn challenged_elsewhere(world: &mut World) -> (usize, Overheard, String) {
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[SALES].overhear(call);
    world.say(STRANGER, &bye(&known, 900, ""));
    world.run(s(1));
    let answer = world.agents[STRANGER].strays.last();
    let challenge = answer.and_then(|it| it.header(Name::ProxyAuthenticate)).expect("a challenge");
    (call, known, challenge.to_owned())
}

fn proof(challenge: &str, user: &str, password: &str) -> String {
    let answer = answer_challenge(challenge, "BYE", TARGET, user, password, "c", 1).expect("a challenge");
    format!("Proxy-Authorization: {answer}\r\n")
}

#[test]
fn a_pbx_whose_address_has_changed_hangs_up_with_its_password() {
    let mut world = World::new();
    let (call, known, challenge) = challenged_elsewhere(&mut world);
    assert_eq!(world.gateway.live_calls().len(), 1);
    let proof = proof(&challenge, SALES_USER, provisioning::SALES_PASSWORD);
    world.say(STRANGER, &bye(&known, 901, &proof));
    world.run(s(1));
    assert_eq!(world.agents[STRANGER].stray_responses, [407, 200]);
    assert_eq!(world.gateway.live_calls().len(), 0);
    world.act(SALES, call, Act::HangUp);
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
}

#[test]
fn neither_a_wrong_password_nor_another_profiles_ends_the_call() {
    let passwords =
        [(SALES_USER, "guessed"), (provisioning::ENGINEERING_USER, provisioning::ENGINEERING_PASSWORD)];
    for ((user, password), status) in passwords.into_iter().zip([403, 403]) {
        let mut world = World::new();
        let (call, known, challenge) = challenged_elsewhere(&mut world);
        world.say(STRANGER, &bye(&known, 901, &proof(&challenge, user, password)));
        world.run(s(1));
        assert_eq!(world.agents[STRANGER].stray_responses, [407, status], "{user}");
        assert_eq!(world.gateway.live_calls().len(), 1, "{user}");
        world.act(SALES, call, Act::HangUp);
        world.settle();
        assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Caller));
    }
}

#[test]
fn a_call_is_taken_back_over_a_new_connection() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut world = World::unregistered(Setting::clear(1));
        world.connect(SALES, transport);
        world.register(SALES, 3_600);
        world.teach(ALPHA, Manner::ringing());
        let call = world.dial(SALES, Dial::to(FAR_AWAY));
        world.run(s(2));
        world.connect(SALES, transport);
        world.act(SALES, call, Act::Cancel);
        world.run(s(1));
        assert_eq!(world.agents[SALES].statuses(Method::Cancel), [200]);
        assert_eq!(world.gateway.live_calls().len(), 0, "it rings on");
        world.settle();
        assert_eq!(world.desk.books.records[0].ending, Ending::Cancelled);
    }
}

/// A CANCEL as the node of a carrier writes it that takes over from another.
fn cancel(known: &Overheard, number: u32) -> String {
    format!(
        "CANCEL sip:y@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.24:5060;branch={}\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>\r\nCall-ID: {}\r\nCSeq: {number} CANCEL\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        known.branch, known.local_tag, known.call_id
    )
}

#[test]
fn a_carriers_other_node_takes_a_call_back_and_nobody_else() {
    let provisions = Provisions { carriers: vec![provisioning::GAMMA], ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.teach(SALES, Manner::ringing());
    let call = world.dial(GAMMA_ONE, Dial::to(SALES_NUMBER));
    world.run(s(2));
    let known = world.agents[GAMMA_ONE].overhear(call);
    let invite = world.agents[GAMMA_ONE].responses(Method::Invite).last();
    let number = invite.and_then(|it| it.cseq()).map_or(1, |(number, _)| number);
    // The leanest CANCEL is shorter than any answer to a stranger could be.
    world.say(STRANGER, &cancel(&known, number));
    let usual = "Max-Forwards: 70\r\nUser-Agent: Asterisk PBX 20.5.0\r\nReason: Q.850;cause=16\r\n";
    world.say(STRANGER, &cancel(&known, number).replace("Max-Forwards: 70\r\n", usual));
    world.say(GAMMA_TWO, &cancel(&known, number + 1));
    world.say(GAMMA_TWO, &cancel(&Overheard { branch: "z9hG4bKother".into(), ..known.clone() }, number));
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 1, "something else has cancelled it");
    world.say(GAMMA_TWO, &cancel(&known, number));
    world.run(s(1));
    assert_eq!(world.agents[STRANGER].stray_responses, [481]);
    assert_eq!(world.agents[GAMMA_TWO].stray_responses, [481, 481, 200]);
    assert_eq!(world.gateway.live_calls().len(), 0, "it rings on");
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::Cancelled);
}

#[test]
fn nothing_in_the_clear_is_taken_within_a_secret_dialog() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[SALES].overhear(call);
    let from = world.agents[SALES].address;
    for (number, method) in (900..).zip(["INFO", "UPDATE", "BYE", "CANCEL", "ACK"]) {
        let text = bye(&known, number, "").replace("BYE", method).replace("203.0.113.66", "198.51.100.11");
        world.expect(world.now(), Arrival::AtGateway { from, bytes: Bytes::from(text) });
    }
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 1, "the clear has ended a secret call");
    world.act(ALPHA, 0, Act::HangUp);
    world.run(s(1));
    // Its goodbye still finds the way over TLS.
    assert_eq!(world.agents[SALES].requests(Method::Bye).count(), 1);
    assert_eq!(world.agents[SALES].calls[call].state, crate::agent::State::Over);
    world.settle();
}

#[test]
fn a_call_that_rings_over_tls_is_not_taken_back_in_the_clear() {
    let mut world = World::unregistered(Setting::clear(1));
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    world.teach(ALPHA, Manner::ringing());
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let known = world.agents[SALES].overhear(call);
    let invite = world.agents[SALES].responses(Method::Invite).last();
    let number = invite.and_then(|it| it.cseq()).map_or(1, |(number, _)| number);
    let text = cancel(&known, number).replace("203.0.113.24", "198.51.100.11");
    let from = world.agents[SALES].address;
    world.expect(world.now(), Arrival::AtGateway { from, bytes: Bytes::from(text) });
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 1, "anybody on the way can take the call back");
    // The answer to it had the branch of the INVITE, and was heard by the PBX whose CANCEL it was not.
    world.agents[SALES].outcomes.get_mut(&known.branch).expect("an INVITE").is_excused = true;
    world.act(SALES, call, Act::Cancel);
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 0);
    world.settle();
}

#[test]
fn a_carrier_speaks_from_a_host_that_another_carrier_has_as_well() {
    let carriers = vec![provisioning::BETA];
    let provisions = Provisions { carriers, beta_shares_hosts: true, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(3));
    let known = world.agents[BETA].overhear(0);
    world.say(STRANGER, &bye(&known, 900, ""));
    world.run(s(1));
    assert_eq!(world.gateway.live_calls().len(), 1, "a stranger has ended it");
    world.say(GAMMA_ONE, &bye(&known, 901, ""));
    world.run(s(1));
    assert_eq!(world.agents[GAMMA_ONE].stray_responses, [200]);
    assert_eq!(world.gateway.live_calls().len(), 0);
    world.agents[BETA].forget_calls();
    world.settle();
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(Leg::Callee));
}

#[test]
fn a_carrier_hangs_up_from_the_host_that_its_contact_names_and_a_pbx_does_not() {
    for (callee, number, is_believed) in
        [(ALPHA, FAR_AWAY, true), (ENGINEERING, provisioning::ENGINEERING_NUMBER, false)]
    {
        let mut world = World::new();
        world.agents[callee].inside = Some(world.agents[STRANGER].address);
        // It hears its own words again.
        world.agents[callee].is_forger = true;
        let call = world.dial(SALES, Dial::to(number));
        world.run(ms(500));
        let known = world.agents[callee].overhear(0);
        world.say(STRANGER, &bye(&known, 900, ""));
        world.run(s(3));
        assert_eq!(world.gateway.live_calls().len(), 1, "ended before it was answered");
        world.say(STRANGER, &bye(&known, 901, ""));
        world.run(s(1));
        assert_eq!(world.agents[STRANGER].stray_responses.contains(&200), is_believed);
        assert_eq!(world.gateway.live_calls().len(), usize::from(!is_believed));
        world.act(SALES, call, Act::HangUp);
        world.agents[callee].forget_calls();
        world.run(s(200));
    }
}
