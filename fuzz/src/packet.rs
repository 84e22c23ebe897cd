//! A datagram at a media port: through a relay on all ways, and through SRTP there and back.
//! The first octet chooses the way and the suite.

use std::net::SocketAddr;
use std::time::Instant;

use media_relay::packet::{Kind, MAX_DATAGRAM, PacketBuf, RtpHeader, classify};
use media_relay::session::{Channel, Flow, Hosts, Relay, Remote, Security, Side, Terms, Verdict};
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Context, Keys, Srtp, Suite};

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let [choice, packet @ ..] = octets else { return };
    if packet.len() > MAX_DATAGRAM {
        return;
    }
    let suite = Suite::ALL[usize::from(choice >> 4) % Suite::ALL.len()];
    round_trip(suite, packet);
    forged(suite, packet);
    relayed(suite, *choice, packet);
}

/// What was protected is unprotected to itself, once; a changed octet or a second time is refused.
fn round_trip(suite: Suite, plain: &[u8]) {
    let is_rtcp = classify(plain) == Kind::Rtcp;
    let (mut sender, mut receiver) = (Context::new(keys(suite, 1)), Context::new(keys(suite, 1)));
    let protect = if is_rtcp { Context::protect_rtcp } else { Context::protect_rtp };
    let unprotect = if is_rtcp { Context::unprotect_rtcp } else { Context::unprotect_rtp };
    let mut packet = filled(plain);
    if protect(&mut sender, &mut packet).is_err() {
        return;
    }
    let protected = packet.as_slice().to_vec();
    assert!(protected.len() > plain.len(), "protected without a tag");
    for place in [0, protected.len() / 2, protected.len() - 1] {
        let mut changed = protected.clone();
        changed[place] ^= 0x01;
        assert!(unprotect(&mut receiver, &mut filled(&changed)).is_err(), "octet {place} may be changed");
    }
    unprotect(&mut receiver, &mut packet).expect("the keys are the same");
    assert_eq!(packet.as_slice(), plain);
    assert!(unprotect(&mut receiver, &mut filled(&protected)).is_err(), "a replay is taken");
}

/// Octets that nobody with the key has made are never taken.
fn forged(suite: Suite, octets: &[u8]) {
    let mut receiver = Context::new(keys(suite, 2));
    assert!(receiver.unprotect_rtp(&mut filled(octets)).is_err());
    assert!(receiver.unprotect_rtcp(&mut filled(octets)).is_err());
}

/// Whatever arrives goes to the other side's address alone, and only if it is RTP or RTCP.
fn relayed(suite: Suite, choice: u8, octets: &[u8]) {
    let now = Instant::now();
    let mut relay = Relay::new(7);
    let security = |wanted: bool| wanted.then(|| Security { send: keys(suite, 3), receive: keys(suite, 4) });
    let (near, far) = (address(1000), address(2000));
    relay.apply(now, Side::Near, &terms(near, security(choice & 1 != 0)));
    relay.apply(now, Side::Far, &terms(far, security(choice & 2 != 0)));
    let channel = if choice & 4 != 0 { Channel::Rtcp } else { Channel::Rtp };
    for (side, source, target) in [(Side::Near, near, far), (Side::Far, far, near)] {
        let mut packet = filled(octets);
        if let Verdict::Forward { destination, .. } =
            relay.handle_packet(now, side, source, channel, &mut packet)
        {
            assert_eq!(destination, target);
            assert!(matches!(classify(octets), Kind::Rtp | Kind::Rtcp));
            assert!(!packet.is_empty());
        }
    }
    let _ = (RtpHeader::parse(octets), relay.stats(), relay.poll_event());
}

fn keys(suite: Suite, number: u8) -> Keys {
    Keys::from_random(suite, &[number; MAX_MASTER])
}

fn filled(octets: &[u8]) -> PacketBuf {
    let mut packet = PacketBuf::new();
    packet.fill(octets);
    packet
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn terms(rtp: SocketAddr, security: Option<Security>) -> Terms {
    let remote = Remote { rtp: Some(rtp), rtcp: None, is_mux: true, flow: Flow::SendRecv };
    Terms { remote, hosts: Hosts::signalling(rtp.ip()), security, payloads: Vec::new() }
}
