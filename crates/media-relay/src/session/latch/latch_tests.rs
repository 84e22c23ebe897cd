use super::*;
use crate::session::hosts::Network;

const PEER: &str = "192.0.2.1:4000";
const NAT: &str = "198.51.100.7:30000";
const PRIVATE: &str = "10.0.0.5:4000";
const THIEF: &str = "203.0.113.66:666";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn stream(sequence: u16) -> Evidence {
    Evidence::Stream { ssrc: 1, sequence }
}

fn hosts(signalling: &str) -> Hosts {
    Hosts::signalling(at(signalling).ip())
}

/// The latch of a peer at a public address, which signals from there.
fn public(now: Instant) -> Latch {
    let mut latch = Latch::default();
    latch.signal(now, Some(at(PEER)), &hosts(PEER));
    latch
}

/// The latch of a peer that describes its private address, and signals from its NAT's host.
fn behind_nat(now: Instant) -> Latch {
    let mut latch = Latch::default();
    latch.signal(now, Some(at(PRIVATE)), &hosts(NAT));
    latch
}

/// Three packets of one stream; does the last one pass?
fn speaks(latch: &mut Latch, now: Instant, source: &str) -> bool {
    (0..3).map(|sequence| latch.admits(now, at(source), stream(sequence))).last() == Some(true)
}

#[test]
fn nothing_passes_and_nothing_is_sent_before_the_signalling() {
    let mut latch = Latch::default();
    assert!(!latch.admits(Instant::now(), at(THIEF), stream(1)));
    assert_eq!(latch.target(), None);
}

#[test]
fn the_signalled_host_is_taken_at_once_on_any_port() {
    let now = Instant::now();
    let mut latch = public(now);
    assert_eq!(latch.target(), Some(at(PEER)));
    assert!(latch.admits(now, at("192.0.2.1:4444"), stream(1)));
    assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
}

#[test]
fn no_stranger_ever_speaks_for_a_leg_however_long_it_is_silent() {
    let now = Instant::now();
    let elsewhere = Hosts::signalling(at(NAT).ip());
    let mut public_media = Latch::default();
    public_media.signal(now, Some(at(PEER)), &elsewhere);
    let mut unknown = Latch::default();
    unknown.signal(now, Some(at(PRIVATE)), &Hosts::default());
    for mut latch in [public(now), behind_nat(now), public_media, unknown] {
        let signalled = latch.target();
        for second in 0..1000 {
            let later = now + Duration::from_secs(second);
            assert!(!speaks(&mut latch, later, THIEF));
            let astray = Evidence::Control { companion: Some(at(THIEF)) };
            assert!(!latch.admits(later, at(THIEF), astray));
        }
        assert_eq!(latch.target(), signalled);
    }
}

#[test]
fn where_the_media_is_public_even_the_signallings_host_is_a_stranger() {
    let now = Instant::now();
    let mut latch = Latch::default();
    latch.signal(now, Some(at(PEER)), &hosts(NAT));
    assert!(!speaks(&mut latch, now + RELATCH_SILENCE, NAT));
    assert_eq!(latch.target(), Some(at(PEER)));
}

#[test]
fn behind_a_nat_the_signallings_host_must_show_a_stream() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    assert!(!latch.admits(now, at(NAT), stream(1)));
    assert!(!latch.admits(now, at(NAT), stream(900)), "a jump begins again");
    assert!(!latch.admits(now, at(NAT), stream(901)));
    assert_eq!(latch.target(), Some(at(PRIVATE)), "nothing goes to a source on trial");
    assert!(latch.admits(now, at(NAT), stream(902)));
    assert_eq!(latch.target(), Some(at(NAT)));
}

#[test]
fn networks_of_the_operator_count_wherever_the_media_is_described() {
    let now = Instant::now();
    let mut latch = Latch::default();
    let networks = [Network::new(at(NAT).ip(), 24)].into();
    latch.signal(now, Some(at(PEER)), &Hosts { networks, ..hosts(PEER) });
    assert!(speaks(&mut latch, now, "198.51.100.200:9000"));
    assert!(!speaks(&mut latch, now, THIEF));
    assert!(latch.admits(now, at(PEER), stream(1)), "the described address is the better claim");
    assert!(!speaks(&mut latch, now, "198.51.100.200:9000"));
}

#[test]
fn two_streams_of_one_vouched_host_do_not_keep_each_other_out() {
    let mut now = Instant::now();
    let mut latch = behind_nat(now);
    let other = "198.51.100.7:31000";
    for sequence in 0..3 {
        for source in [NAT, other] {
            now += Duration::from_millis(10);
            latch.admits(now, at(source), stream(sequence));
        }
    }
    assert_eq!(latch.target(), Some(at(NAT)), "the first one finishes its trial");
}

#[test]
fn another_port_of_the_host_yields_to_the_signalled_one() {
    let now = Instant::now();
    let mut latch = public(now);
    assert!(latch.admits(now, at("192.0.2.1:4444"), stream(1)));
    assert!(latch.admits(now, at(PEER), stream(1)));
    assert!(!latch.admits(now, at("192.0.2.1:4444"), stream(2)));
    assert_eq!(latch.target(), Some(at(PEER)));
}

#[test]
fn silence_frees_the_leg_for_the_peers_other_addresses_only() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    assert!(speaks(&mut latch, now, NAT));
    let later = now + RELATCH_SILENCE * 100;
    assert!(!speaks(&mut latch, later, THIEF));
    assert_eq!(latch.target(), Some(at(NAT)));
    assert!(speaks(&mut latch, later, "198.51.100.7:31000"), "the NAT forgot its mapping");
    assert!(latch.admits(later, at(THIEF), Evidence::Authentic), "a key needs no address");
}

#[test]
fn an_authentic_packet_moves_the_latch() {
    let now = Instant::now();
    let mut latch = public(now);
    assert!(latch.admits(now, at(PEER), Evidence::Authentic));
    assert!(latch.admits(now, at(NAT), Evidence::Authentic));
    assert_eq!(latch.target(), Some(at(NAT)));
}

#[test]
fn a_new_address_forgets_and_the_same_one_remembers() {
    let now = Instant::now();
    let mut latch = public(now);
    assert!(latch.admits(now, at("192.0.2.1:4444"), stream(1)));
    latch.signal(now, Some(at(PEER)), &hosts(PEER));
    assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
    latch.signal(now, None, &hosts(PEER));
    assert_eq!(latch.target(), None, "hold");
    assert!(latch.admits(now, at("192.0.2.1:4444"), stream(2)), "music on hold still passes");
    latch.signal(now, Some(at(PEER)), &hosts(PEER));
    assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
    latch.signal(now, Some(at("192.0.2.9:5000")), &hosts(PEER));
    assert_eq!(latch.target(), Some(at("192.0.2.9:5000")));
}

/// What the last packets of a place show that was left a moment ago.
const LAST_WORDS: [Evidence; 2] = [Evidence::Stream { ssrc: 1, sequence: 50 }, Evidence::Authentic];

#[test]
fn the_last_packets_of_a_place_that_was_left_do_not_take_the_leg_back() {
    for evidence in LAST_WORDS {
        let now = Instant::now();
        let moved = "192.0.2.1:4002";
        let mut latch = public(now);
        assert!(latch.admits(now, at(PEER), evidence));
        latch.signal(now, Some(at(moved)), &hosts(PEER));
        assert!(!latch.admits(now, at(PEER), evidence), "before the new place is heard");
        assert!(latch.admits(now, at(moved), evidence));
        for late in 0..20 {
            assert!(!latch.admits(now + Duration::from_millis(20) * late, at(PEER), evidence));
        }
        assert_eq!(latch.target(), Some(at(moved)));
        assert!(latch.admits(now + RELATCH_SILENCE, at(PEER), evidence), "the new place fell silent");
    }
}

#[test]
fn a_place_that_never_spoke_before_it_was_left_is_left_all_the_same() {
    for evidence in LAST_WORDS {
        let now = Instant::now();
        let mut latch = public(now);
        latch.signal(now, Some(at("192.0.2.1:4002")), &hosts(PEER));
        latch.signal(now, Some(at("192.0.2.1:4004")), &hosts(PEER));
        for left in [PEER, "192.0.2.1:4002"] {
            assert!(!latch.admits(now, at(left), evidence), "{left}");
        }
    }
}

#[test]
fn behind_a_nat_the_old_mapping_is_left_with_its_address() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    assert!(speaks(&mut latch, now, NAT));
    latch.signal(now, Some(at("10.0.0.5:4002")), &hosts(NAT));
    assert!(!speaks(&mut latch, now, NAT));
    assert_eq!(latch.target(), Some(at("10.0.0.5:4002")));
    assert!(speaks(&mut latch, now, "198.51.100.7:30001"));
    assert!(!speaks(&mut latch, now, NAT));
    assert!(speaks(&mut latch, now + RELATCH_SILENCE, NAT), "its port has not changed after all");
}

#[test]
fn a_call_that_returns_to_a_place_finds_what_was_learnt_there() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    assert!(speaks(&mut latch, now, NAT));
    let (music, music_nat) = ("10.0.0.9:6000", "198.51.100.7:32000");
    latch.signal(now, Some(at(music)), &hosts(NAT));
    assert!(speaks(&mut latch, now, music_nat));
    latch.signal(now, Some(at(PRIVATE)), &hosts(NAT));
    assert_eq!(latch.target(), Some(at(NAT)));
    assert!(latch.admits(now, at(NAT), stream(9)));
    assert!(!speaks(&mut latch, now, music_nat), "the music is over");
    let later = now + RELATCH_SILENCE;
    assert!(speaks(&mut latch, later, "198.51.100.7:30009"), "a mapping that has changed is learnt as ever");
}

#[test]
fn a_source_that_speaks_before_it_is_signalled_leaves_its_old_place_for_good() {
    let now = Instant::now();
    let moved = "192.0.2.9:4002";
    let mut latch = behind_nat(now);
    assert!(latch.admits(now, at(NAT), Evidence::Authentic));
    assert!(latch.admits(now, at(moved), Evidence::Authentic));
    latch.signal(now, Some(at(moved)), &hosts(NAT));
    assert!(!latch.admits(now, at(NAT), Evidence::Authentic));
    assert_eq!(latch.target(), Some(at(moved)));
}

#[test]
fn plain_control_packets_follow_the_media() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    let beside = Evidence::Control { companion: Some(at(NAT)) };
    assert!(!latch.admits(now, at(THIEF), beside));
    assert!(!latch.admits(now, at(NAT), Evidence::Control { companion: None }));
    assert!(latch.admits(now, at("198.51.100.7:30001"), beside));
}

#[test]
fn new_signalling_judges_the_holder_again() {
    let now = Instant::now();
    let mut latch = behind_nat(now);
    assert!(speaks(&mut latch, now, NAT));
    latch.signal(now, Some(at(PRIVATE)), &hosts(PEER));
    assert_eq!(latch.target(), Some(at(NAT)), "media goes on until the peer is heard from its new host");
    assert!(speaks(&mut latch, now, PEER));
    assert_eq!(latch.target(), Some(at(PEER)));
    assert!(!speaks(&mut latch, now + RELATCH_SILENCE, NAT), "nothing speaks for its old host any more");
    latch.signal(now, Some(at("10.0.0.6:4000")), &hosts(PEER));
    assert_eq!(latch.target(), Some(at("10.0.0.6:4000")));
    assert!(
        speaks(&mut latch, now, "192.0.2.1:4001"),
        "its new port behind the NAT is learnt like the first"
    );
}
