use super::*;
use crate::session::Flow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn negotiation(near: Policy, far: Policy) -> Negotiation {
    let mut negotiation = Negotiation::new(Suites::default());
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    negotiation.set_party(Side::Near, near, Endpoint { ip: v4, rtp_port: 20_000, rtcp_port: 20_001 });
    negotiation.set_party(Side::Far, far, Endpoint { ip: v6, rtp_port: 30_000, rtcp_port: 30_001 });
    negotiation
}

fn plain(port: u16) -> RemoteDescription {
    RemoteDescription::plain(SocketAddr::from(([192, 0, 2, 1], port)))
}

fn line(tag: u32, suite: Suite, key: u8) -> String {
    CryptoLine { tag, keys: Keys::from_random(suite, &[key; MAX_MASTER]) }.to_string()
}

fn secure(port: u16, profile: Profile, lines: &[String]) -> RemoteDescription {
    RemoteDescription { profile, crypto: lines.to_vec(), ..plain(port) }
}

/// Every call yields other octets, so that two equal keys mean the same key.
fn dice() -> impl FnMut(&mut [u8]) {
    let mut next = 0u8;
    move |out| {
        next += 1;
        out.fill(next);
    }
}

fn suites(description: &LocalDescription) -> Vec<Suite> {
    description.crypto.iter().map(|line| CryptoLine::parse(line).unwrap().keys.suite()).collect()
}

fn key_of(description: &LocalDescription) -> Keys {
    CryptoLine::parse(&description.crypto[0]).unwrap().keys
}

#[test]
fn plain_legs_swap_their_addresses() {
    let mut call = negotiation(Policy::Optional, Policy::Off);
    let mut random = dice();
    let offer = call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    assert_eq!((offer.ip, offer.rtp_port, offer.rtcp_port), (Ipv6Addr::LOCALHOST.into(), 30_000, 30_001));
    assert_eq!((offer.profile, offer.is_mux, offer.crypto.len()), (Profile::Avp, false, 0));
    assert!(call.terms(Side::Near).is_none(), "an offer alone agrees nothing");
    let answer = call.describe(Side::Far, Role::Answer, &plain(5000), &mut random).unwrap();
    assert_eq!(
        (answer.ip, answer.rtp_port, answer.profile),
        (Ipv4Addr::LOCALHOST.into(), 20_000, Profile::Avp)
    );
    let near = call.terms(Side::Near).unwrap();
    assert_eq!(near.remote.rtp.unwrap().port(), 4000);
    assert_eq!(near.remote.rtcp.unwrap().port(), 4001);
    assert!(near.security.is_none() && call.terms(Side::Far).unwrap().security.is_none());
}

#[test]
fn each_policy_meets_each_offer_as_it_should() {
    let lines = [line(0, Suite::AeadAes128Gcm, 9)];
    let odd = ["1 F8_128_HMAC_SHA1_80 inline:abcd".to_owned()];
    let cases = [
        (Policy::Off, plain(1), Ok(false)),
        (Policy::Off, secure(1, Profile::Avp, &lines), Ok(false)),
        (Policy::Off, secure(1, Profile::Savp, &lines), Err(NegotiationError::SecureRefused)),
        (Policy::Optional, plain(1), Ok(false)),
        (Policy::Optional, secure(1, Profile::Avp, &lines), Ok(true)),
        (Policy::Optional, secure(1, Profile::Avp, &odd), Ok(false)),
        (Policy::Optional, secure(1, Profile::Savp, &lines), Ok(true)),
        (Policy::Optional, secure(1, Profile::Savp, &[]), Err(NegotiationError::NoKey)),
        (Policy::Required, plain(1), Err(NegotiationError::SecureRequired)),
        (Policy::Required, secure(1, Profile::Avp, &lines), Ok(true)),
        (Policy::Required, secure(1, Profile::Savp, &lines), Ok(true)),
    ];
    for (policy, offer, expected) in cases {
        let mut call = negotiation(Policy::Off, Policy::Off);
        let mut random = dice();
        let offer = RemoteDescription { policy, ..offer };
        let outcome = call.describe(Side::Near, Role::Offer, &offer, &mut random).and_then(|_| {
            let answer = call.describe(Side::Far, Role::Answer, &plain(5000), &mut random)?;
            assert_eq!(answer.profile, offer.profile, "an answer keeps the offer's transport");
            assert!(answer.crypto.iter().all(|line| line.starts_with("0 AEAD_AES_128_GCM ")));
            Ok(call.terms(Side::Near).unwrap().security.is_some())
        });
        assert_eq!(outcome, expected, "{policy:?} {offer:?}");
    }
    let mut call = negotiation(Policy::Optional, Policy::Off);
    let refused = call.describe(Side::Near, Role::Offer, &secure(1, Profile::Savp, &odd), &mut dice());
    assert!(matches!(refused, Err(NegotiationError::BadCrypto(_))));
}

#[test]
fn our_offers_follow_the_policy_and_answers_decide() {
    let with_key = [line(1, Suite::AesCm128Sha1Tag80, 9)];
    let stranger = [line(1, Suite::AesCm256Sha1Tag32, 9)];
    let cases = [
        (Policy::Optional, Profile::Avp, secure(1, Profile::Avp, &with_key), Ok(true)),
        (Policy::Optional, Profile::Avp, plain(1), Ok(false)),
        (
            Policy::Optional,
            Profile::Avp,
            secure(1, Profile::Avp, &stranger),
            Err(NegotiationError::NoCommonCrypto),
        ),
        (Policy::Required, Profile::Savp, secure(1, Profile::Savp, &with_key), Ok(true)),
        (Policy::Required, Profile::Savp, plain(1), Err(NegotiationError::SecureRequired)),
        (
            Policy::Required,
            Profile::Savp,
            secure(1, Profile::Savp, &stranger),
            Err(NegotiationError::NoCommonCrypto),
        ),
    ];
    for (policy, profile, answer, expected) in cases {
        let mut call = negotiation(Policy::Off, policy);
        let mut random = dice();
        let offer = call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
        assert_eq!(offer.profile, profile);
        assert_eq!(suites(&offer), Suites::default().offered);
        let outcome = call.describe(Side::Far, Role::Answer, &answer, &mut random);
        let is_secure = || call.terms(Side::Far).unwrap().security.clone();
        assert_eq!(outcome.map(|_| is_secure().is_some()), expected, "{policy:?} {answer:?}");
        if expected == Ok(true) {
            let security = is_secure().unwrap();
            assert_eq!(security.send, key_of(&offer));
            assert_eq!(security.receive.key(), [9; 16]);
        }
    }
}

/// Agrees on SRTP on both legs and returns what each side was told.
fn secured(call: &mut Negotiation, random: Random<'_>) -> (LocalDescription, LocalDescription) {
    let near = secure(4000, Profile::Savp, &[line(4, Suite::AeadAes256Gcm, 1)]);
    let offer = call.describe(Side::Near, Role::Offer, &near, random).unwrap();
    let far = secure(5000, Profile::Savp, &[line(1, Suite::AesCm128Sha1Tag80, 2)]);
    let answer = call.describe(Side::Far, Role::Answer, &far, random).unwrap();
    (offer, answer)
}

#[test]
fn keys_stay_over_re_offers_from_either_side() {
    let mut call = negotiation(Policy::Optional, Policy::Required);
    let mut random = dice();
    let (offer, answer) = secured(&mut call, &mut random);
    let (near, far) = (call.terms(Side::Near).cloned(), call.terms(Side::Far).cloned());

    let (offer_again, answer_again) = secured(&mut call, &mut random);
    assert_eq!(offer_again.crypto, offer.crypto[..1], "only what is in use is offered again");
    assert_eq!(answer_again, answer);

    let from_far = secure(5000, Profile::Savp, &[line(8, Suite::AesCm128Sha1Tag80, 2)]);
    let to_near = call.describe(Side::Far, Role::Offer, &from_far, &mut random).unwrap();
    assert_eq!((to_near.profile, key_of(&to_near)), (Profile::Savp, key_of(&answer)));
    let from_near = secure(4000, Profile::Savp, &[line(1, Suite::AeadAes256Gcm, 1)]);
    let to_far = call.describe(Side::Near, Role::Answer, &from_near, &mut random).unwrap();
    assert_eq!(key_of(&to_far), key_of(&offer));
    assert!(to_far.crypto[0].starts_with("8 "), "the tag is the one the peer offered");
    assert_eq!((call.terms(Side::Near).cloned(), call.terms(Side::Far).cloned()), (near, far));
}

#[test]
fn a_suite_that_was_left_does_not_come_back_with_its_old_key() {
    let mut call = negotiation(Policy::Optional, Policy::Off);
    let mut random = dice();
    let mut told = Vec::new();
    for suite in [Suite::AeadAes128Gcm, Suite::AesCm128Sha1Tag80, Suite::AeadAes128Gcm] {
        let offer = secure(4000, Profile::Savp, &[line(1, suite, 1)]);
        call.describe(Side::Near, Role::Offer, &offer, &mut random).unwrap();
        told.push(key_of(&call.describe(Side::Far, Role::Answer, &plain(5000), &mut random).unwrap()));
    }
    assert_ne!(told[0], told[2]);
}

#[test]
fn a_refused_re_offer_leaves_no_trace() {
    let mut call = negotiation(Policy::Optional, Policy::Required);
    let mut random = dice();
    let (_, answer) = secured(&mut call, &mut random);
    let (near, far) = (call.terms(Side::Near).cloned(), call.terms(Side::Far).cloned());
    assert!(!call.rollback(), "a settled exchange stays");

    let moved = secure(4444, Profile::Savp, &[line(1, Suite::AesCm128Sha1Tag32, 7)]);
    call.describe(Side::Near, Role::Offer, &moved, &mut random).unwrap();
    assert!(call.rollback());
    assert_eq!(
        (call.terms(Side::Near).cloned(), call.terms(Side::Far).cloned()),
        (near.clone(), far.clone())
    );

    call.describe(Side::Near, Role::Offer, &moved, &mut random).unwrap();
    let early = secure(5555, Profile::Savp, &[line(1, Suite::AesCm128Sha1Tag80, 6)]);
    call.describe(Side::Far, Role::EarlyAnswer, &early, &mut random).unwrap();
    assert_ne!(call.terms(Side::Near).cloned(), near);
    assert!(call.rollback());
    assert_eq!((call.terms(Side::Near).cloned(), call.terms(Side::Far).cloned()), (near, far));
    assert_eq!(secured(&mut call, &mut random).1, answer);
}

#[test]
fn a_late_offer_comes_from_the_far_side() {
    let mut call = negotiation(Policy::Optional, Policy::Off);
    let mut random = dice();
    let to_near = call.describe(Side::Far, Role::Offer, &plain(5000), &mut random).unwrap();
    assert_eq!(suites(&to_near).len(), 3);
    let to_far = call.describe(Side::Near, Role::Answer, &plain(4000), &mut random).unwrap();
    assert!(to_far.crypto.is_empty());
    assert_eq!(call.terms(Side::Far).unwrap().remote.rtp.unwrap().port(), 5000);
}

#[test]
fn an_early_answer_and_the_final_one_may_differ() {
    let mut call = negotiation(Policy::Off, Policy::Off);
    let mut random = dice();
    call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    call.describe(Side::Far, Role::EarlyAnswer, &plain(5000), &mut random).unwrap();
    call.describe(Side::Far, Role::Answer, &plain(6000), &mut random).unwrap();
    assert_eq!(call.terms(Side::Far).unwrap().remote.rtp.unwrap().port(), 6000);
    assert_eq!(
        negotiation(Policy::Off, Policy::Off).describe(Side::Far, Role::Answer, &plain(1), &mut random),
        Err(NegotiationError::NoOffer)
    );
}

#[test]
fn an_exchange_that_is_over_is_not_answered_again_once_another_began() {
    let mut call = negotiation(Policy::Off, Policy::Off);
    let mut random = dice();
    call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    call.describe(Side::Far, Role::Answer, &plain(5000), &mut random).unwrap();
    call.describe(Side::Far, Role::Answer, &plain(5000), &mut random).unwrap();
    call.describe(Side::Far, Role::Offer, &plain(5002), &mut random).unwrap();
    let stray = call.describe(Side::Far, Role::Answer, &plain(5000), &mut random);
    assert_eq!(stray, Err(NegotiationError::NoOffer));
    call.describe(Side::Near, Role::Answer, &plain(4000), &mut random).unwrap();
    assert_eq!(call.terms(Side::Far).unwrap().remote.rtp.unwrap().port(), 5002);
}

#[test]
fn another_peer_on_a_side_gets_fresh_keys() {
    let mut call = negotiation(Policy::Off, Policy::Required);
    let mut random = dice();
    let first = call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    let local = Endpoint { ip: Ipv4Addr::LOCALHOST.into(), rtp_port: 40_000, rtcp_port: 40_001 };
    call.set_party(Side::Far, Policy::Required, local);
    let second = call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    assert_ne!(key_of(&first), key_of(&second));
    assert_eq!(second.rtp_port, 40_000);
}

#[test]
fn multiplexing_is_agreed_leg_by_leg() {
    let mut call = negotiation(Policy::Off, Policy::Off);
    let mut random = dice();
    let mux = |port| RemoteDescription { is_mux: true, ..plain(port) };
    let offer = call.describe(Side::Near, Role::Offer, &mux(4000), &mut random).unwrap();
    assert_eq!((offer.is_mux, offer.rtcp_port), (true, 30_001), "with a fallback");
    let answer = call.describe(Side::Far, Role::Answer, &plain(5000), &mut random).unwrap();
    assert_eq!((answer.is_mux, answer.rtcp_port), (true, 20_000));
    assert!(call.terms(Side::Near).unwrap().remote.is_mux && !call.terms(Side::Far).unwrap().remote.is_mux);
    call.describe(Side::Near, Role::Offer, &plain(4000), &mut random).unwrap();
    let answer = call.describe(Side::Far, Role::Answer, &mux(5000), &mut random).unwrap();
    assert!(!answer.is_mux && !call.terms(Side::Far).unwrap().remote.is_mux, "not offered, not agreed");
}

#[test]
fn hold_and_refusal_stop_the_sending() {
    let mut call = negotiation(Policy::Off, Policy::Off);
    let mut random = dice();
    let held = RemoteDescription { ip: Ipv4Addr::UNSPECIFIED.into(), flow: Flow::SendOnly, ..plain(4000) };
    call.describe(Side::Near, Role::Offer, &held, &mut random).unwrap();
    call.describe(Side::Far, Role::Answer, &plain(0), &mut random).unwrap();
    for side in Side::BOTH {
        let remote = call.terms(side).unwrap().remote;
        assert_eq!((remote.rtp, remote.rtcp), (None, None));
    }
}

#[test]
fn the_echo_answers_and_offers_by_itself() {
    let mut call = negotiation(Policy::Optional, Policy::Off);
    let mut random = dice();
    let offer = secure(4000, Profile::Savp, &[line(2, Suite::AesCm128Sha1Tag80, 3)]);
    let answer = call.answer_alone(Side::Near, &offer, &mut random).unwrap();
    assert!(answer.crypto[0].starts_with("2 AES_CM_128"));
    assert!(call.terms(Side::Near).unwrap().security.is_some());

    let mut call = negotiation(Policy::Optional, Policy::Off);
    assert_eq!(call.offer_alone(Side::Near, &mut random).unwrap().profile, Profile::Avp);
    call.accept_alone(Side::Near, &plain(4000)).unwrap();
    assert!(call.terms(Side::Near).unwrap().security.is_none());
}
