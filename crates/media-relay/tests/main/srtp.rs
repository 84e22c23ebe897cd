//! The in-place path against RFC vectors and against the reference.

use media_relay::packet::PacketBuf;
use media_relay::srtp::keys::Mki;
use media_relay::srtp::reference::Reference;
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Context, Keys, MAX_REMEMBERED, MAX_STREAMS, Srtp, SrtpError, Suite};
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn buf(octets: &[u8]) -> PacketBuf {
    let mut packet = PacketBuf::new();
    packet.fill(octets);
    packet
}

fn keys(suite: Suite) -> Keys {
    let random = std::array::from_fn::<u8, MAX_MASTER, _>(|at| at as u8 * 5 + 1);
    Keys::from_random(suite, &random)
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&u32::from(sequence).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[3; 20]);
    packet
}

/// The packet of libsrtp's `srtp_validate`, under the master key of RFC 3711, appendix B.3.
#[test]
fn a_known_packet_is_protected_as_libsrtp_does() {
    let master = hex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6");
    let keys = Keys::new(Suite::AesCm128Sha1Tag80, &master).unwrap();
    let plain = hex("800f1234decafbadcafebabeabababababababababababababababab");
    let mut packet = buf(&plain);
    Context::new(keys.clone()).protect_rtp(&mut packet).unwrap();
    assert_eq!(
        packet.as_slice(),
        hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    );
    Context::new(keys).unprotect_rtp(&mut packet).unwrap();
    assert_eq!(packet.as_slice(), plain);
}

#[test]
fn both_implementations_write_the_same_control_packets() {
    for suite in Suite::ALL {
        let keys = keys(suite);
        let (mut ours, mut theirs) = (Context::new(keys.clone()), Reference::new(&keys).unwrap());
        let (mut our_ear, mut their_ear) = (Context::new(keys.clone()), Reference::new(&keys).unwrap());
        for round in 0..20 {
            let plain = report(round % 3);
            let (mut a, mut b) = (buf(&plain), buf(&plain));
            ours.protect_rtcp(&mut a).unwrap();
            theirs.protect_rtcp(&mut b).unwrap();
            assert_eq!(a.as_slice(), b.as_slice(), "{suite}");
            our_ear.unprotect_rtcp(&mut b).unwrap();
            their_ear.unprotect_rtcp(&mut a).unwrap();
            assert_eq!((a.as_slice(), b.as_slice()), (&plain[..], &plain[..]), "{suite}");
        }
    }
}

#[test]
fn a_changed_octet_anywhere_is_noticed_and_changes_nothing() {
    for suite in Suite::ALL {
        let keys = keys(suite);
        let mut sender = Context::new(keys.clone());
        let mut receiver = Context::new(keys);
        let (mut media, mut control) = (buf(&rtp(9, 7, &[5; 20])), buf(&report(9)));
        sender.protect_rtp(&mut media).unwrap();
        sender.protect_rtcp(&mut control).unwrap();
        for at in 1..media.len() {
            let mut forged = media.as_slice().to_vec();
            forged[at] ^= 1;
            assert!(receiver.unprotect_rtp(&mut buf(&forged)).is_err(), "{suite} octet {at}");
        }
        for at in 4..control.len() {
            let mut forged = control.as_slice().to_vec();
            forged[at] ^= 0x80;
            assert!(receiver.unprotect_rtcp(&mut buf(&forged)).is_err(), "{suite} octet {at}");
        }
        receiver.unprotect_rtp(&mut media).unwrap();
        receiver.unprotect_rtcp(&mut control).unwrap();
        let mut again = buf(&rtp(9, 7, &[5; 20]));
        assert_eq!(sender.protect_rtp(&mut again), Err(SrtpError::Replayed), "no keystream is used twice");
    }
}

#[test]
fn control_packets_in_clear_or_cut_short_are_refused() {
    for suite in Suite::ALL {
        let mut receiver = Context::new(keys(suite));
        let mut forged = report(9);
        forged.extend_from_slice(&[0; 14]);
        assert!(receiver.unprotect_rtcp(&mut buf(&forged)).is_err());
        for len in 0..forged.len() {
            assert!(receiver.unprotect_rtcp(&mut buf(&forged[..len])).is_err());
        }
    }
}

#[test]
fn a_receiver_that_lost_or_missed_a_rollover_finds_it_again() {
    for suite in Suite::ALL {
        let keys = keys(suite);
        let mut sender = Context::new(keys.clone());
        let mut early = Context::new(keys.clone());
        let mut late = Context::new(keys);
        let mut sequence = 65_000u16;
        for sent in 0..40_000u32 {
            let mut packet = buf(&rtp(1, sequence, &[1; 4]));
            sender.protect_rtp(&mut packet).unwrap();
            if sent == 0 || sent > 39_990 {
                early.unprotect_rtp(&mut buf(packet.as_slice())).unwrap();
            }
            if sent > 39_990 {
                late.unprotect_rtp(&mut packet).unwrap();
            }
            sequence = sequence.wrapping_add(1);
        }
        assert_eq!((early.rollover(1), late.rollover(1)), (Some(1), Some(1)), "{suite}");
    }
}

#[test]
fn strangers_get_no_state_and_friends_are_bounded() {
    let keys = keys(Suite::AesCm128Sha1Tag80);
    let mut receiver = Context::new(keys.clone());
    for ssrc in 0..1000 {
        assert_eq!(receiver.unprotect_rtp(&mut buf(&rtp(ssrc, 1, &[0; 40]))), Err(SrtpError::Unauthentic));
    }
    let mut sender = Context::new(keys);
    for ssrc in 0..(MAX_STREAMS + MAX_REMEMBERED) as u32 {
        let mut packet = buf(&rtp(ssrc, 1, &[0; 40]));
        sender.protect_rtp(&mut packet).unwrap();
        receiver.unprotect_rtp(&mut packet).unwrap();
    }
    let mut one_more = buf(&rtp(99_999, 1, &[0; 40]));
    assert_eq!(sender.protect_rtp(&mut one_more), Err(SrtpError::TooManyStreams));
}

/// As a call in which each transfer and each announcement brings another sender, and some come back.
#[test]
fn the_sixty_fifth_sender_is_heard_and_an_old_one_that_returns_brings_no_replay() {
    for suite in Suite::ALL {
        let keys = keys(suite);
        let (mut sender, mut receiver) = (Context::new(keys.clone()), Context::new(keys.clone()));
        let (mut reference, mut ear) = (Reference::new(&keys).unwrap(), Reference::new(&keys).unwrap());
        let mut overheard = Vec::new();
        // The first sender is past a rollover when it falls idle.
        for sequence in [65_000u16, 65_500, 300, 900] {
            let mut packet = buf(&rtp(0, sequence, &[1; 20]));
            sender.protect_rtp(&mut packet).unwrap();
            overheard.push(packet.as_slice().to_vec());
            receiver.unprotect_rtp(&mut packet).unwrap();
            reference.protect_rtp(&mut buf(&rtp(0, sequence, &[1; 20]))).unwrap();
        }
        for ssrc in 1..500u32 {
            let plain = rtp(ssrc, ssrc as u16, &[2; 20]);
            let (mut packet, mut other) = (buf(&plain), buf(&plain));
            sender.protect_rtp(&mut packet).unwrap();
            reference.protect_rtp(&mut other).unwrap();
            assert_eq!(packet.as_slice(), other.as_slice(), "{suite} {ssrc}");
            overheard.push(packet.as_slice().to_vec());
            ear.unprotect_rtp(&mut other).unwrap();
            receiver.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet.as_slice(), plain);
        }
        for packet in &overheard {
            assert!(receiver.unprotect_rtp(&mut buf(packet)).is_err(), "{suite}: a replay");
        }
        for sequence in [65_000u16, 300, 900] {
            let mut again = buf(&rtp(0, sequence, &[3; 20]));
            assert_eq!(
                sender.protect_rtp(&mut again),
                Err(SrtpError::Replayed),
                "no keystream is used twice"
            );
        }
        let plain = rtp(0, 901, &[4; 20]);
        let (mut packet, mut other) = (buf(&plain), buf(&plain));
        sender.protect_rtp(&mut packet).unwrap();
        reference.protect_rtp(&mut other).unwrap();
        assert_eq!(packet.as_slice(), other.as_slice(), "the rollover counter goes on");
        receiver.unprotect_rtp(&mut packet).unwrap();
        assert_eq!((packet.as_slice(), receiver.rollover(0)), (&plain[..], Some(1)));
    }
}

#[test]
fn control_packets_of_many_senders_are_heard_and_never_twice() {
    let keys = keys(Suite::AesCm128Sha1Tag80);
    let (mut sender, mut receiver) = (Context::new(keys.clone()), Context::new(keys));
    let mut overheard = Vec::new();
    for round in 0..3 {
        for ssrc in 0..200 {
            let mut packet = buf(&report(ssrc));
            sender.protect_rtcp(&mut packet).unwrap();
            overheard.push(packet.as_slice().to_vec());
            receiver.unprotect_rtcp(&mut packet).unwrap_or_else(|error| panic!("{round} {ssrc}: {error}"));
        }
    }
    for packet in &overheard {
        assert!(receiver.unprotect_rtcp(&mut buf(packet)).is_err(), "a replay");
    }
}

#[test]
fn an_mki_is_sent_required_and_told_apart() {
    for suite in Suite::ALL {
        for len in [1, 2, 4, 16] {
            let marked = keys(suite).with_mki(Mki::new(1, len));
            let mut sender = Context::new(marked.clone());
            let mut receiver = Context::new(marked);
            let mut other = Context::new(keys(suite).with_mki(Mki::new(2, len)));
            let mut unmarked = Context::new(keys(suite));
            let (plain, control) = (rtp(1, 1, &[4; 30]), report(1));
            let (mut media, mut feedback) = (buf(&plain), buf(&control));
            sender.protect_rtp(&mut media).unwrap();
            sender.protect_rtcp(&mut feedback).unwrap();
            assert_eq!(media.len(), plain.len() + len + suite.rtp_tag_len());
            assert_eq!(other.unprotect_rtp(&mut buf(media.as_slice())), Err(SrtpError::UnknownMki));
            assert_eq!(other.unprotect_rtcp(&mut buf(feedback.as_slice())), Err(SrtpError::UnknownMki));
            assert!(unmarked.unprotect_rtp(&mut buf(media.as_slice())).is_err());
            receiver.unprotect_rtp(&mut media).unwrap();
            receiver.unprotect_rtcp(&mut feedback).unwrap();
            assert_eq!((media.as_slice(), feedback.as_slice()), (&plain[..], &control[..]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Loss, reordering, duplicates and the sequence wrap: both implementations write the same octets and
    /// accept the same packets.
    #[test]
    fn in_place_equals_the_reference(
        suite in proptest::sample::select(&Suite::ALL[..]),
        start in 65_300u16..,
        steps in proptest::collection::vec((-15i32..40, any::<bool>(), any::<bool>()), 1..120),
        header in (0u8..3, any::<bool>()),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let keys = keys(suite);
        let (mut ours, mut theirs) = (Context::new(keys.clone()), Reference::new(&keys).unwrap());
        let (mut our_ear, mut their_ear) = (Context::new(keys.clone()), Reference::new(&keys).unwrap());
        let mut highest = i64::from(start);
        // The first packet arrives: where a stream begins, both sides know that the counter is 0.
        let steps = std::iter::once((0, false, false)).chain(steps);
        for (step, is_lost, is_twice) in steps {
            let index = highest + i64::from(step);
            highest = highest.max(index);
            let mut plain = rtp(0x1234, index as u16, &[]);
            plain[0] |= header.0;
            plain.extend(std::iter::repeat_n(0xcc, usize::from(header.0) * 4));
            if header.1 {
                plain[0] |= 0x10;
                plain.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x1f, 0xff, 0, 1]);
            }
            plain.extend_from_slice(&payload);
            let (mut a, mut b) = (buf(&plain), buf(&plain));
            if ours.protect_rtp(&mut a).is_err() {
                continue; // webrtc-srtp sends one index twice; we do not.
            }
            theirs.protect_rtp(&mut b).unwrap();
            prop_assert_eq!(a.as_slice(), b.as_slice());
            if is_lost {
                continue;
            }
            let copy = a.as_slice().to_vec();
            our_ear.unprotect_rtp(&mut a).unwrap();
            their_ear.unprotect_rtp(&mut b).unwrap();
            prop_assert_eq!(a.as_slice(), &plain[..]);
            prop_assert_eq!(b.as_slice(), &plain[..]);
            if is_twice {
                prop_assert_eq!(our_ear.unprotect_rtp(&mut buf(&copy)), Err(SrtpError::Replayed));
                prop_assert_eq!(their_ear.unprotect_rtp(&mut buf(&copy)), Err(SrtpError::Replayed));
            }
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(
        suite in proptest::sample::select(&Suite::ALL[..]),
        packet in proptest::collection::vec(any::<u8>(), 0..80),
        first in 0x80u8..0xc0,
    ) {
        let mut packet = packet;
        if let Some(octet) = packet.first_mut() {
            *octet = first;
        }
        let (mut ours, mut theirs) = (Context::new(keys(suite)), Reference::new(&keys(suite)).unwrap());
        prop_assert!(ours.unprotect_rtp(&mut buf(&packet)).is_err());
        prop_assert!(ours.unprotect_rtcp(&mut buf(&packet)).is_err());
        prop_assert!(theirs.unprotect_rtp(&mut buf(&packet)).is_err());
        prop_assert!(theirs.unprotect_rtcp(&mut buf(&packet)).is_err());
        let _ = ours.protect_rtp(&mut buf(&packet));
        let _ = ours.protect_rtcp(&mut buf(&packet));
    }
}
