use super::*;
use crate::packet::RtpHeader;
use crate::session::{Flow, Hosts, Payload, Remote, Security};
use crate::srtp::reference::Reference;
use crate::srtp::suite::MAX_MASTER;
use crate::srtp::{Keys, Srtp, Suite};
use proptest::prelude::*;

const NEAR: &str = "192.0.2.1:4000";
const FAR: &str = "[2001:db8::2]:5000";
const NAT: &str = "198.51.100.7:30000";
const THIEF: &str = "203.0.113.66:666";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn buf(octets: &[u8]) -> PacketBuf {
    let mut packet = PacketBuf::new();
    packet.fill(octets);
    packet
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9]);
    packet.extend_from_slice(&[0x55; 160]);
    packet
}

fn report() -> Vec<u8> {
    vec![0x80, 201, 0, 1, 0, 0, 0, 9]
}

fn keys(number: u8) -> Keys {
    Keys::from_random(Suite::AesCm128Sha1Tag80, &[number; MAX_MASTER])
}

fn security(send: u8, receive: u8) -> Option<Security> {
    Some(Security { send: keys(send), receive: keys(receive) })
}

fn terms(address: &str, security: Option<Security>) -> Terms {
    let rtp = at(address);
    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
    let remote = Remote { rtp: Some(rtp), rtcp: Some(rtcp), is_mux: false, flow: Flow::SendRecv };
    Terms { remote, hosts: Hosts::signalling(rtp.ip()), security, payloads: Vec::new() }
}

fn relay(near: Terms, far: Terms) -> Relay {
    let mut relay = Relay::new(0);
    relay.apply(Instant::now(), Side::Near, &near);
    relay.apply(Instant::now(), Side::Far, &far);
    relay
}

fn feed(relay: &mut Relay, side: Side, source: &str, channel: Channel, octets: &[u8]) -> (Verdict, Vec<u8>) {
    let mut packet = buf(octets);
    let verdict = relay.handle_packet(Instant::now(), side, at(source), channel, &mut packet);
    (verdict, packet.as_slice().to_vec())
}

fn to(side: Side, channel: Channel, address: &str) -> Verdict {
    Verdict::Forward { side, channel, destination: at(address) }
}

#[test]
fn a_side_is_located_by_its_signallings_host_and_not_by_what_it_describes() {
    let (private, nat) = ("192.168.1.5:4000", "198.51.100.7:30000");
    for (described, source, signalling, is_located) in [
        (NEAR, NEAR, Some(at(NEAR).ip()), true),
        (NEAR, "192.0.2.1:4444", Some(at(NEAR).ip()), true),
        (NEAR, NEAR, Some(at(nat).ip()), false),
        (NEAR, NEAR, None, false),
        (NEAR, nat, Some(at(NEAR).ip()), false),
        (private, nat, Some(at(nat).ip()), true),
        (private, nat, Some(at(NEAR).ip()), false),
    ] {
        let mut near = terms(described, None);
        near.hosts = signalling.map(Hosts::signalling).unwrap_or_default();
        let mut relay = relay(near, terms(FAR, None));
        for sequence in 1..6 {
            feed(&mut relay, Side::Near, source, Channel::Rtp, &rtp(sequence));
        }
        let told = std::iter::from_fn(|| relay.poll_event());
        let located = told.filter(|event| *event == SessionEvent::Located { side: Side::Near }).count();
        assert_eq!(located, usize::from(is_located), "{described} {source} {signalling:?}");
    }
}

#[test]
fn plain_media_crosses_between_address_families_unchanged() {
    let mut relay = relay(terms(NEAR, None), terms(FAR, None));
    let (verdict, sent) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(1));
    assert_eq!((verdict, sent), (to(Side::Far, Channel::Rtp, FAR), rtp(1)));
    let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(1));
    assert_eq!(verdict, to(Side::Near, Channel::Rtp, NEAR));
    let (verdict, sent) = feed(&mut relay, Side::Near, "192.0.2.1:4001", Channel::Rtcp, &report());
    assert_eq!((verdict, sent), (to(Side::Far, Channel::Rtcp, "[2001:db8::2]:5001"), report()));
    for side in Side::BOTH {
        assert_eq!(relay.poll_event(), Some(SessionEvent::FirstPacket { side }));
        assert_eq!(relay.poll_event(), Some(SessionEvent::Located { side }));
    }
    assert_eq!(relay.poll_event(), None);
    assert_eq!((relay.stats().near.packets, relay.stats().near.control_packets), (1, 1));
}

#[test]
fn nothing_passes_before_both_sides_agreed() {
    let mut relay = Relay::new(0);
    let (verdict, _) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(1));
    assert_eq!(verdict, Verdict::Drop(DropReason::NotDescribed));
    relay.apply(Instant::now(), Side::Near, &terms(NEAR, None));
    let (verdict, _) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(1));
    assert_eq!(verdict, Verdict::Drop(DropReason::NoDestination));
}

#[test]
fn a_thief_gets_nothing_and_changes_nothing() {
    let mut relay = relay(terms(NEAR, None), terms(FAR, None));
    feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(1));
    for sequence in 0..100 {
        let (verdict, _) = feed(&mut relay, Side::Near, THIEF, Channel::Rtp, &rtp(sequence));
        assert_eq!(verdict, Verdict::Drop(DropReason::Stranger));
        let (verdict, _) = feed(&mut relay, Side::Near, THIEF, Channel::Rtcp, &report());
        assert_eq!(verdict, Verdict::Drop(DropReason::Stranger));
        let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(sequence));
        assert_eq!(verdict, to(Side::Near, Channel::Rtp, NEAR));
    }
}

#[test]
fn a_thief_who_is_first_gets_nothing_either() {
    for described in [NEAR, "10.0.0.5:4000"] {
        let mut near = terms(described, None);
        near.hosts = Hosts::signalling(at(NAT).ip());
        let mut relay = relay(near, terms(FAR, None));
        for sequence in 0..50 {
            for (channel, octets) in [(Channel::Rtp, rtp(sequence)), (Channel::Rtcp, report())] {
                let (verdict, _) = feed(&mut relay, Side::Near, THIEF, channel, &octets);
                assert_eq!(verdict, Verdict::Drop(DropReason::Stranger));
            }
            let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(sequence));
            assert_eq!(verdict, to(Side::Near, Channel::Rtp, described));
        }
        let source = if described == NEAR { NEAR } else { NAT };
        for sequence in 0..3 {
            feed(&mut relay, Side::Near, source, Channel::Rtp, &rtp(sequence));
        }
        let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(60));
        assert_eq!(verdict, to(Side::Near, Channel::Rtp, source));
    }
}

#[test]
fn the_last_packets_of_a_place_that_a_re_offer_left_change_nothing() {
    for security in [None, security(1, 2)] {
        let mut sender = security.as_ref().map(|_| Reference::new(&keys(2)).unwrap());
        let mut relay = relay(terms(NEAR, security.clone()), terms(FAR, None));
        let mut say = |relay: &mut Relay, source: &str, sequence| {
            let mut packet = buf(&rtp(sequence));
            if let Some(sender) = &mut sender {
                sender.protect_rtp(&mut packet).unwrap();
            }
            feed(relay, Side::Near, source, Channel::Rtp, packet.as_slice()).0
        };
        say(&mut relay, NEAR, 1);
        let moved = "192.0.2.1:4002";
        relay.apply(Instant::now(), Side::Near, &terms(moved, security));
        assert_eq!(say(&mut relay, NEAR, 2), Verdict::Drop(DropReason::Stranger));
        assert_eq!(say(&mut relay, moved, 3), to(Side::Far, Channel::Rtp, FAR));
        assert_eq!(say(&mut relay, NEAR, 4), Verdict::Drop(DropReason::Stranger));
        let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(1));
        assert_eq!(verdict, to(Side::Near, Channel::Rtp, moved));
    }
}

#[test]
fn media_towards_a_host_that_only_a_description_names_is_slowed_down_and_the_call_is_marked() {
    let victim = "203.0.113.9:9000";
    let mut near = terms(victim, None);
    near.hosts = Hosts::signalling(at(NEAR).ip());
    let mut relay = relay(near, terms(FAR, None));
    let start = Instant::now();
    let mut sent = 0;
    for packet in 0..50 * 40u16 {
        let now = start + Duration::from_millis(20) * u32::from(packet);
        let verdict = relay.handle_packet(now, Side::Far, at(FAR), Channel::Rtp, &mut buf(&rtp(packet)));
        sent += u32::from(verdict == to(Side::Near, Channel::Rtp, victim));
    }
    assert!((500..=500 + 32).contains(&sent), "{sent}");
    let events: Vec<_> = std::iter::from_fn(|| relay.poll_event()).collect();
    assert_eq!(
        events,
        [
            SessionEvent::FirstPacket { side: Side::Far },
            SessionEvent::Located { side: Side::Far },
            SessionEvent::Unproved { side: Side::Near }
        ]
    );
    let stats = relay.stats();
    assert!(stats.near.is_unproved && !stats.far.is_unproved);
    assert_eq!(stats.far.dropped(DropReason::Unproved), u64::from(2000 - sent));
    let later = start + Duration::from_secs(41);
    relay.handle_packet(later, Side::Near, at(victim), Channel::Rtcp, &mut buf(&report()));
    for sequence in 3000..3050 {
        let verdict = relay.handle_packet(later, Side::Far, at(FAR), Channel::Rtp, &mut buf(&rtp(sequence)));
        assert_eq!(verdict, to(Side::Near, Channel::Rtp, victim), "its control packets prove it");
    }
}

#[test]
fn multiplexed_control_packets_use_the_media_port() {
    let mut far = terms(FAR, None);
    far.remote.is_mux = true;
    let mut relay = relay(terms(NEAR, None), far);
    feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(1));
    let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &report());
    assert_eq!(verdict, to(Side::Near, Channel::Rtcp, "192.0.2.1:4001"));
    let (verdict, _) = feed(&mut relay, Side::Near, "192.0.2.1:4001", Channel::Rtcp, &report());
    assert_eq!(verdict, to(Side::Far, Channel::Rtp, FAR));
}

#[test]
fn srtp_and_rtp_meet_and_each_leg_has_its_own_keys() {
    let mut relay = relay(terms(NEAR, security(1, 2)), terms(FAR, security(3, 4)));
    let mut near_sender = Reference::new(&keys(2)).unwrap();
    let mut far_ear = Reference::new(&keys(3)).unwrap();
    let mut packet = buf(&rtp(7));
    near_sender.protect_rtp(&mut packet).unwrap();
    let (verdict, sent) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, packet.as_slice());
    assert_eq!(verdict, to(Side::Far, Channel::Rtp, FAR));
    let mut sent = buf(&sent);
    far_ear.unprotect_rtp(&mut sent).unwrap();
    assert_eq!(sent.as_slice(), rtp(7));
    let mut control = buf(&report());
    near_sender.protect_rtcp(&mut control).unwrap();
    let (_, sent) = feed(&mut relay, Side::Near, NEAR, Channel::Rtcp, control.as_slice());
    let mut sent = buf(&sent);
    far_ear.unprotect_rtcp(&mut sent).unwrap();
    assert_eq!(sent.as_slice(), report());
    for sequence in 8..18 {
        let (verdict, _) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(sequence));
        assert_eq!(verdict, Verdict::Drop(DropReason::Unauthentic), "plain packets do not pass as encrypted");
    }
    relay.handle_tick(Instant::now(), Duration::from_secs(60));
    assert_eq!(relay.poll_event(), Some(SessionEvent::FirstPacket { side: Side::Near }));
    assert_eq!(relay.poll_event(), Some(SessionEvent::Located { side: Side::Near }));
    assert_eq!(relay.poll_event(), Some(SessionEvent::Unauthentic { side: Side::Near, packets: 10 }));
}

/// Sends through sequence numbers `from..to` in steps of 1000 and says how many arrived.
fn run(relay: &mut Relay, sender: &mut Reference, from: u32, until: u32) -> usize {
    (from..until)
        .step_by(1000)
        .filter(|number| {
            let mut packet = buf(&rtp(*number as u16));
            sender.protect_rtp(&mut packet).unwrap();
            matches!(
                feed(relay, Side::Near, NEAR, Channel::Rtp, packet.as_slice()).0,
                Verdict::Forward { .. }
            )
        })
        .count()
}

#[test]
fn the_same_key_keeps_the_rollover_counter_and_a_new_key_resets_it() {
    let mut relay = relay(terms(NEAR, security(1, 2)), terms(FAR, None));
    let mut sender = Reference::new(&keys(2)).unwrap();
    assert_eq!(run(&mut relay, &mut sender, 1000, 100_000), 99);
    assert_eq!(relay.inbound_rollover(Side::Near, 9), Some(1));

    let mut refreshed = terms(NEAR, security(1, 2));
    refreshed.remote.flow = Flow::SendOnly;
    relay.apply(Instant::now(), Side::Near, &refreshed);
    assert_eq!(run(&mut relay, &mut sender, 100_000, 110_000), 10);
    assert_eq!(relay.inbound_rollover(Side::Near, 9), Some(1));

    relay.apply(Instant::now(), Side::Near, &terms(NEAR, security(1, 5)));
    let mut renewed = Reference::new(&keys(5)).unwrap();
    assert_eq!(run(&mut relay, &mut renewed, 110_000, 120_000), 10);
    assert_eq!(relay.inbound_rollover(Side::Near, 9), Some(0));

    relay.apply(Instant::now(), Side::Near, &refreshed);
    assert_eq!(run(&mut relay, &mut sender, 110_000, 120_000), 10, "a key taken back finds its counter");
    assert_eq!(relay.inbound_rollover(Side::Near, 9), Some(1));
}

#[test]
fn an_authentic_peer_may_move_but_a_replay_may_not_move_it() {
    let mut relay = relay(terms(NEAR, security(1, 2)), terms(FAR, None));
    let mut sender = Reference::new(&keys(2)).unwrap();
    let mut packet = buf(&rtp(1));
    sender.protect_rtp(&mut packet).unwrap();
    feed(&mut relay, Side::Near, NEAR, Channel::Rtp, packet.as_slice());
    let (verdict, _) = feed(&mut relay, Side::Near, THIEF, Channel::Rtp, packet.as_slice());
    assert_eq!(verdict, Verdict::Drop(DropReason::Replayed));
    let mut packet = buf(&rtp(2));
    sender.protect_rtp(&mut packet).unwrap();
    feed(&mut relay, Side::Near, NAT, Channel::Rtp, packet.as_slice());
    let (verdict, _) = feed(&mut relay, Side::Far, FAR, Channel::Rtp, &rtp(1));
    assert_eq!(verdict, to(Side::Near, Channel::Rtp, NAT));
}

#[test]
fn digits_reach_a_peer_under_the_number_that_it_described() {
    let event = |number| vec![Payload { number, encoding: "telephone-event/8000".to_owned() }];
    for keys_of_far in [None, security(3, 4)] {
        let near = Terms { payloads: event(101), ..terms(NEAR, None) };
        let far = Terms { payloads: event(96), ..terms(FAR, keys_of_far.clone()) };
        let mut relay = relay(near, far);
        let mut digit = rtp(1);
        digit[1] = 0x80 | 101;
        let (_, sent) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &digit);
        let mut sent = buf(&sent);
        if keys_of_far.is_some() {
            Reference::new(&keys(3)).unwrap().unprotect_rtp(&mut sent).unwrap();
        }
        digit[1] = 0x80 | 96;
        assert_eq!(sent.as_slice(), digit);
    }
}

#[test]
fn the_echo_sends_media_back_under_another_ssrc_and_our_key() {
    let mut relay = Relay::new(77);
    relay.apply(Instant::now(), Side::Near, &terms(NEAR, security(1, 2)));
    relay.start_echo();
    let mut sender = Reference::new(&keys(2)).unwrap();
    let mut ear = Reference::new(&keys(1)).unwrap();
    for sequence in 1..5 {
        let mut packet = buf(&rtp(sequence));
        sender.protect_rtp(&mut packet).unwrap();
        let (verdict, sent) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, packet.as_slice());
        assert_eq!(verdict, to(Side::Near, Channel::Rtp, NEAR));
        let mut sent = buf(&sent);
        ear.unprotect_rtp(&mut sent).unwrap();
        let header = RtpHeader::parse(sent.as_slice()).unwrap();
        assert_eq!((header.sequence, header.ssrc != 9), (sequence, true));
        assert_eq!(sent.as_slice()[12..], rtp(1)[12..]);
    }
}

#[test]
fn an_answered_call_is_silent_when_neither_side_is_heard_and_neither_holds() {
    let start = Instant::now();
    let limit = Duration::from_secs(10);
    let mut relay = Relay::new(0);
    relay.apply(start, Side::Near, &terms(NEAR, None));
    relay.apply(start, Side::Far, &terms(FAR, None));
    relay.handle_tick(start + limit * 5, limit);
    assert_eq!(relay.poll_event(), None, "it rings");
    let answered = start + limit * 5;
    relay.watch(answered);
    relay.handle_tick(answered + limit - Duration::from_millis(1), limit);
    assert_eq!(relay.poll_event(), None);
    // One side talks, the other says nothing at all.
    let heard = answered + limit / 2;
    relay.handle_packet(heard, Side::Near, at(NEAR), Channel::Rtp, &mut buf(&rtp(1)));
    while relay.poll_event().is_some() {}
    relay.handle_tick(answered + limit, limit);
    assert_eq!(relay.poll_event(), None);
    relay.handle_tick(heard + limit, limit);
    assert_eq!(relay.poll_event(), Some(SessionEvent::Silent { since: heard }));
    relay.handle_tick(heard + limit + Duration::from_secs(1), limit);
    assert_eq!(relay.poll_event(), None, "it is told once");
}

#[test]
fn a_hold_of_either_side_in_any_form_stops_the_time() {
    let limit = Duration::from_secs(10);
    let start = Instant::now();
    for (holder, flow) in [
        (Side::Near, Flow::SendOnly),
        (Side::Far, Flow::SendOnly),
        (Side::Near, Flow::Inactive),
        (Side::Far, Flow::Inactive),
    ] {
        let mut relay = Relay::new(0);
        relay.apply(start, Side::Near, &terms(NEAR, None));
        relay.apply(start, Side::Far, &terms(FAR, None));
        relay.watch(start);
        let mut held = terms(if holder == Side::Near { NEAR } else { FAR }, None);
        held.remote.flow = flow;
        relay.apply(start + limit / 2, holder, &held);
        relay.handle_tick(start + limit * 9, limit);
        assert_eq!(relay.poll_event(), None, "{holder:?} {flow:?}");
        held.remote.flow = Flow::SendRecv;
        let resumed = start + limit * 9;
        relay.apply(resumed, holder, &held);
        relay.handle_tick(resumed + limit / 2, limit);
        assert_eq!(relay.poll_event(), None, "the time begins again");
        relay.handle_tick(resumed + limit, limit);
        assert_eq!(relay.poll_event(), Some(SessionEvent::Silent { since: resumed }));
    }
}

#[test]
fn what_strangers_send_counts_as_no_sound_and_reaches_nobody() {
    for security in [None, security(1, 2)] {
        let is_encrypted = security.is_some();
        let mut relay = relay(terms(NEAR, security), terms(FAR, None));
        let start = Instant::now();
        let mut pass = |now: Instant, side, source: &str, channel, octets: &[u8]| {
            relay.handle_packet(now, side, at(source), channel, &mut buf(octets))
        };
        let mut spoken = buf(&rtp(1));
        let mut said = buf(&report());
        if is_encrypted {
            let mut sender = Reference::new(&keys(2)).unwrap();
            sender.protect_rtp(&mut spoken).unwrap();
            sender.protect_rtcp(&mut said).unwrap();
        }
        assert_eq!(
            pass(start, Side::Near, NEAR, Channel::Rtp, spoken.as_slice()),
            to(Side::Far, Channel::Rtp, FAR)
        );
        let control = "192.0.2.1:4001";
        assert!(matches!(
            pass(start, Side::Near, control, Channel::Rtcp, said.as_slice()),
            Verdict::Forward { .. }
        ));
        // The stranger makes up its own and repeats what it has overheard, for twelve seconds.
        for tick in 0..600u16 {
            let now = start + Duration::from_millis(20) * u32::from(tick);
            for (channel, octets) in [
                (Channel::Rtp, &rtp(tick)[..]),
                (Channel::Rtp, spoken.as_slice()),
                (Channel::Rtp, &report()),
                (Channel::Rtcp, &report()),
                (Channel::Rtcp, said.as_slice()),
            ] {
                let verdict = pass(now, Side::Near, THIEF, channel, octets);
                assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
            }
            let verdict = pass(now, Side::Far, FAR, Channel::Rtp, &rtp(tick));
            assert_eq!(verdict, to(Side::Near, Channel::Rtp, NEAR));
            let verdict = pass(now, Side::Far, "[2001:db8::2]:5001", Channel::Rtcp, &report());
            assert_eq!(verdict, to(Side::Near, Channel::Rtcp, control));
        }
        let stats = relay.stats().near;
        assert_eq!(stats.last, Some(start));
        assert_eq!((stats.packets, stats.control_packets, stats.source), (1, 1, Some(at(NEAR))));
    }
}

#[test]
fn an_echo_sends_nothing_to_strangers_and_no_reports_to_anybody() {
    let mut relay = Relay::new(77);
    relay.apply(Instant::now(), Side::Near, &terms(NEAR, None));
    relay.start_echo();
    feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &rtp(1));
    for sequence in 0..10 {
        let (verdict, _) = feed(&mut relay, Side::Near, THIEF, Channel::Rtp, &rtp(sequence));
        assert_eq!(verdict, Verdict::Drop(DropReason::Stranger));
        let (verdict, _) = feed(&mut relay, Side::Near, THIEF, Channel::Rtcp, &report());
        assert_eq!(verdict, Verdict::Drop(DropReason::Stranger));
    }
    let (verdict, _) = feed(&mut relay, Side::Near, "192.0.2.1:4001", Channel::Rtcp, &report());
    assert_eq!(verdict, Verdict::Drop(DropReason::EchoControl));
}

#[test]
fn media_that_circles_through_our_own_ports_is_slowed() {
    let now = Instant::now();
    let mut relay = relay(terms(NEAR, None), terms(FAR, None));
    let mut packet = buf(&rtp(1));
    let mut passed = 0;
    for _ in 0..5000 {
        if relay.handle_packet(now, Side::Near, at(NEAR), Channel::Rtp, &mut packet)
            == to(Side::Far, Channel::Rtp, FAR)
        {
            passed += 1;
        }
    }
    assert_eq!(passed, 1000);
    assert_eq!(relay.stats().near.dropped(DropReason::TooFast), 4000);
    assert_eq!(relay.stats().near.source, Some(at(NEAR)));
}

#[test]
fn what_is_no_media_is_dropped_by_name() {
    let mut relay = relay(terms(NEAR, None), terms(FAR, None));
    for (octets, reason) in [
        (vec![], DropReason::Keepalive),
        (vec![0; 4], DropReason::Keepalive),
        (vec![0x40; 40], DropReason::Unknown),
        (vec![0x80; 4000], DropReason::TooLong),
        (vec![0x9f; 14], DropReason::Malformed),
        ([report(), vec![1, 2]].concat(), DropReason::Malformed),
    ] {
        let (verdict, _) = feed(&mut relay, Side::Near, NEAR, Channel::Rtp, &octets);
        assert_eq!(verdict, Verdict::Drop(reason));
        assert!(relay.stats().near.dropped(reason) > 0);
    }
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic_and_never_pass_an_encrypted_side(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..20),
        first in 0x80u8..0xc0,
        channel in proptest::sample::select(vec![Channel::Rtp, Channel::Rtcp]),
    ) {
        let mut relay = relay(terms(NEAR, security(1, 2)), terms(FAR, None));
        for mut packet in packets {
            if let Some(octet) = packet.first_mut() {
                *octet = first;
            }
            let (verdict, _) = feed(&mut relay, Side::Near, NEAR, channel, &packet);
            prop_assert!(matches!(verdict, Verdict::Drop(_)));
            feed(&mut relay, Side::Far, FAR, channel, &packet);
        }
    }
}
