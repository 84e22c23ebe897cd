//! Symmetric RTP: where a peer's packets come from, and therefore where ours go.
//!
//! Peers behind a NAT sign an address nobody can reach, so the source of their packets is learnt. Learnt too
//! easily, anybody who guesses a port gets the call's audio (the fault known as RTPBleed). Hence:
//! - until something arrives, we send where the signalling says, and never anywhere else;
//! - an authenticated SRTP packet proves its sender, who may also move;
//! - plain packets from the signalled address are taken at once; from elsewhere only after a few that form one
//!   stream, and they yield to the signalled address when it speaks;
//! - a taken place is free again after signalling names another address, or after silence.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Silence after which a plain peer may be heard from elsewhere.
pub const RELATCH_SILENCE: Duration = Duration::from_secs(3);

/// Consecutive packets of one stream that a plain source at an unexpected address has to show.
pub const TRIAL_PACKETS: u8 = 3;

/// Gaps in sequence numbers up to this still count as consecutive.
const TRIAL_GAP: u16 = 5;

/// What a packet proves about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its tag verified and it is no replay.
    Authentic,
    /// A plain RTP packet of this stream and position.
    Stream {
        /// The sender's SSRC.
        ssrc: u32,
        /// Its sequence number.
        sequence: u16,
    },
    /// A plain RTCP packet; `companion` is where the leg's RTP comes from.
    Control {
        /// The source latched for RTP.
        companion: Option<SocketAddr>,
    },
}

/// Why the current source holds its place; a better claim takes it from a lesser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It was first, and looked like a stream.
    Assumed,
    /// It is at the signalled host, on another port: NATs and media proxies change ports.
    SameHost,
    /// It is at the very address that was signalled, or has the key.
    Proved,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    source: SocketAddr,
    claim: Claim,
    heard: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    packets: u8,
}

/// The learnt and the signalled address of one socket's peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latch {
    signalled: Option<SocketAddr>,
    is_on_hold: bool,
    held: Option<Held>,
    trial: Option<Trial>,
}

impl Latch {
    /// Takes note of what the signalling says now. The same address again keeps what was learnt; `None` is
    /// hold, which keeps it too, but nothing is sent.
    pub fn signal(&mut self, address: Option<SocketAddr>) {
        self.is_on_hold = address.is_none();
        if address.is_some() && address != self.signalled {
            self.signalled = address;
            self.trial = None;
            if self.held.is_some_and(|held| Some(held.source) != address) {
                self.held = None;
            }
        }
    }

    /// Where to send, if anywhere.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        if self.is_on_hold {
            return None;
        }
        self.source().or(self.signalled)
    }

    /// Where packets were learnt to come from.
    #[must_use]
    pub fn source(&self) -> Option<SocketAddr> {
        self.held.map(|held| held.source)
    }

    /// May a packet with this evidence pass? If so its source is latched.
    pub fn admits(&mut self, now: Instant, source: SocketAddr, evidence: Evidence) -> bool {
        if let Some(held) = &mut self.held
            && held.source == source
        {
            held.heard = now;
            return true;
        }
        let claim = self.claim(source, evidence).filter(|claim| self.is_open(now, *claim, evidence));
        let passes = match (claim, evidence) {
            (Some(Claim::Assumed), Evidence::Stream { ssrc, sequence }) => {
                self.passes_trial(source, ssrc, sequence)
            }
            (claim, _) => claim.is_some(),
        };
        if let Some(claim) = claim.filter(|_| passes) {
            self.held = Some(Held { source, claim, heard: now });
            self.trial = None;
        }
        passes
    }

    /// What a source may claim by its address and evidence.
    fn claim(&self, source: SocketAddr, evidence: Evidence) -> Option<Claim> {
        if evidence == Evidence::Authentic {
            return Some(Claim::Proved);
        }
        let signalled = self.signalled?;
        match evidence {
            _ if source == signalled => Some(Claim::Proved),
            _ if source.ip() == signalled.ip() => Some(Claim::SameHost),
            Evidence::Control { companion } if companion.map(|rtp| rtp.ip()) != Some(source.ip()) => None,
            _ => Some(Claim::Assumed),
        }
    }

    /// Is the place free for this claim?
    fn is_open(&self, now: Instant, claim: Claim, evidence: Evidence) -> bool {
        self.held.is_none_or(|held| {
            evidence == Evidence::Authentic
                || claim > held.claim
                || now.saturating_duration_since(held.heard) >= RELATCH_SILENCE
        })
    }

    fn passes_trial(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let packets = match self.trial {
            Some(trial)
                if trial.source == source
                    && trial.ssrc == ssrc
                    && (1..=TRIAL_GAP).contains(&sequence.wrapping_sub(trial.sequence)) =>
            {
                trial.packets + 1
            }
            _ => 1,
        };
        self.trial = Some(Trial { source, ssrc, sequence, packets });
        packets >= TRIAL_PACKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1:4000";
    const NAT: &str = "198.51.100.7:30000";
    const THIEF: &str = "203.0.113.66:666";

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn stream(sequence: u16) -> Evidence {
        Evidence::Stream { ssrc: 1, sequence }
    }

    fn latch() -> Latch {
        let mut latch = Latch::default();
        latch.signal(Some(at(PEER)));
        latch
    }

    #[test]
    fn nothing_passes_and_nothing_is_sent_before_the_signalling() {
        let mut latch = Latch::default();
        assert!(!latch.admits(Instant::now(), at(THIEF), stream(1)));
        assert_eq!(latch.target(), None);
    }

    #[test]
    fn the_signalled_host_is_taken_at_once_on_any_port() {
        let mut latch = latch();
        assert_eq!(latch.target(), Some(at(PEER)));
        assert!(latch.admits(Instant::now(), at("192.0.2.1:4444"), stream(1)));
        assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
    }

    #[test]
    fn another_host_must_show_a_stream() {
        let now = Instant::now();
        let mut latch = latch();
        assert!(!latch.admits(now, at(NAT), stream(1)));
        assert!(!latch.admits(now, at(NAT), stream(900)), "a jump begins anew");
        assert!(!latch.admits(now, at(NAT), stream(901)));
        assert_eq!(latch.target(), Some(at(PEER)), "nothing goes to a source on trial");
        assert!(latch.admits(now, at(NAT), stream(902)));
        assert_eq!(latch.target(), Some(at(NAT)));
    }

    #[test]
    fn a_thief_cannot_take_a_place_that_is_held() {
        let start = Instant::now();
        let mut latch = latch();
        assert!(latch.admits(start, at(PEER), stream(1)));
        for packet in 0..200u16 {
            let now = start + Duration::from_millis(20) * u32::from(packet);
            assert!(latch.admits(now, at(PEER), stream(packet)));
            assert!(!latch.admits(now, at(THIEF), stream(packet)));
        }
        assert_eq!(latch.target(), Some(at(PEER)));
    }

    #[test]
    fn the_signalled_host_takes_back_what_another_assumed() {
        let now = Instant::now();
        let mut latch = latch();
        for sequence in 0..10 {
            latch.admits(now, at(THIEF), stream(sequence));
        }
        assert_eq!(latch.target(), Some(at(THIEF)));
        assert!(latch.admits(now, at(PEER), stream(1)));
        assert_eq!(latch.target(), Some(at(PEER)));
        for sequence in 10..20 {
            assert!(!latch.admits(now, at(THIEF), stream(sequence)), "and it does not come back");
        }
    }

    #[test]
    fn another_port_of_the_host_yields_to_the_signalled_one() {
        let now = Instant::now();
        let mut latch = latch();
        assert!(latch.admits(now, at("192.0.2.1:4444"), stream(1)));
        assert!(latch.admits(now, at(PEER), stream(1)));
        assert!(!latch.admits(now, at("192.0.2.1:4444"), stream(2)));
        assert_eq!(latch.target(), Some(at(PEER)));
    }

    #[test]
    fn silence_frees_the_place() {
        let now = Instant::now();
        let mut latch = latch();
        assert!(latch.admits(now, at(PEER), stream(1)));
        let later = now + RELATCH_SILENCE;
        assert!(!latch.admits(later, at(NAT), stream(1)));
        assert!(!latch.admits(later, at(NAT), stream(2)));
        assert!(latch.admits(later, at(NAT), stream(3)));
    }

    #[test]
    fn an_authentic_packet_moves_the_latch() {
        let now = Instant::now();
        let mut latch = latch();
        assert!(latch.admits(now, at(PEER), Evidence::Authentic));
        assert!(latch.admits(now, at(NAT), Evidence::Authentic));
        assert_eq!(latch.target(), Some(at(NAT)));
    }

    #[test]
    fn a_new_address_forgets_and_the_same_one_remembers() {
        let now = Instant::now();
        let mut latch = latch();
        assert!(latch.admits(now, at("192.0.2.1:4444"), stream(1)));
        latch.signal(Some(at(PEER)));
        assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
        latch.signal(None);
        assert_eq!(latch.target(), None, "hold");
        assert!(latch.admits(now, at("192.0.2.1:4444"), stream(2)), "music on hold still passes");
        latch.signal(Some(at(PEER)));
        assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
        latch.signal(Some(at("192.0.2.9:5000")));
        assert_eq!(latch.target(), Some(at("192.0.2.9:5000")));
    }

    #[test]
    fn plain_control_packets_follow_the_media() {
        let now = Instant::now();
        let mut latch = latch();
        let beside = Evidence::Control { companion: Some(at(NAT)) };
        assert!(!latch.admits(now, at(THIEF), beside));
        assert!(!latch.admits(now, at(THIEF), Evidence::Control { companion: None }));
        assert!(latch.admits(now, at("198.51.100.7:30001"), beside));
    }
}
