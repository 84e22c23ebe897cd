//! A session description: reading what we wrote changes nothing, and what one leg says never names its address to
//! the other. A zero octet parts the offer from the answer.

use std::net::IpAddr;

use sip_core::sdp::{LegSdp, LocalMedia, MediaProfile, SessionDescription};

const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let parted = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    let (offer, answer) = octets.split_at(parted);
    let Some(offer) = read(offer) else { return };
    let Ok((at, _)) = offer.audio() else { return };
    let mut caller = LegSdp::new(1);
    let mut callee = LegSdp::new(2);
    caller.received(&offer, at);
    verify(&callee.write_offer(&offer, at, &local(20_000)), 1);
    verify(&caller.write_echo_answer(&offer, at, &local(30_000)), offer.media_count());
    let Some(answer) = read(answer.get(1..).unwrap_or_default()) else { return };
    let Ok((answered, _)) = answer.audio() else { return };
    callee.received(&answer, answered);
    verify(&caller.write_answer(&answer, answered, &local(40_000)), offer.media_count());
}

/// Reads a description and holds that to write and read it is a fixed point.
fn read(octets: &[u8]) -> Option<SessionDescription> {
    let description = SessionDescription::parse(octets).ok()?;
    let written = description.to_bytes();
    let again = SessionDescription::parse(&written).expect("we can read what we write");
    assert_eq!(again, description);
    Some(description)
}

/// What we write is a description whose audio is at our address, with as many lines as are owed (RFC 3264 section 6).
fn verify(written: &[u8], lines: usize) {
    let description = SessionDescription::parse(written).expect("we can read what we write");
    assert_eq!(description.media_count(), lines);
    if let Ok((_, media)) = description.audio() {
        assert!(media.ip.is_none_or(|ip| ip == OURS), "another address than ours: {media:?}");
    }
    let text = String::from_utf8_lossy(written);
    let is_connection = |line: &&str| line.starts_with("c=") || line.starts_with("o=");
    let foreign = text.split("\r\n").filter(is_connection).find(|line| !line.contains("198.51.100.7"));
    assert_eq!(foreign, None, "an address that is not ours");
}

fn local(port: u16) -> LocalMedia {
    LocalMedia {
        ip: OURS,
        rtp_port: port,
        rtcp_port: port + 1,
        rtcp_mux: false,
        profile: MediaProfile::Avp,
        crypto: Vec::new(),
    }
}
