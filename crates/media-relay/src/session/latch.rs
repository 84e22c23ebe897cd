//! Symmetric RTP: where a peer's packets come from, and therefore where ours go.
//!
//! Peers behind a NAT sign an address nobody can reach, so the source of their packets is learnt. Learnt too
//! easily, anybody who guesses a port gets the call's audio (the fault known as RTPBleed). Hence:
//! - until something arrives, we send where the signalling says, and never anywhere else;
//! - an authenticated SRTP packet proves its sender, who may also move;
//! - plain packets from the signalled address are taken at once; from elsewhere only after a few that form one
//!   stream, and they yield to the signalled address when it speaks;
//! - behind a NAT the media comes from the host that the signalling comes from, so of all sources elsewhere
//!   that host counts most: it takes the place from any stranger as soon as it shows a stream;
//! - a taken place is free again after signalling names another address, or after silence. Where the
//!   signalling's host is known, silence frees nothing for strangers: a muted peer keeps its place.

use std::net::{IpAddr, SocketAddr};
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
    /// It is at the host that the signalling comes from, and looked like a stream.
    SignallingHost,
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
    signalling: Option<IpAddr>,
    is_on_hold: bool,
    held: Option<Held>,
    trials: Trials,
}

/// Each claim has its own trial, so that a stranger's packets never interrupt the one that counts more.
#[derive(Clone, Copy, Debug, Default)]
struct Trials {
    stranger: Option<Trial>,
    signalling_host: Option<Trial>,
}

impl Latch {
    /// Takes note of what the signalling says now, and of the host it comes from. The same again keeps what was
    /// learnt; an address of `None` is hold, which keeps it too, but nothing is sent.
    pub fn signal(&mut self, address: Option<SocketAddr>, signalling: Option<IpAddr>) {
        self.is_on_hold = address.is_none();
        let is_moved = address.is_some() && address != self.signalled;
        if !is_moved && signalling == self.signalling {
            return;
        }
        self.signalling = signalling;
        self.trials = Trials::default();
        if is_moved {
            self.signalled = address;
            self.held = self.held.filter(|held| Some(held.source) == address);
        }
        // What was a good claim may be a stranger's now, and the other way round.
        if let Some(held) = self.held
            && let Some(claim) = self.standing(held.source)
        {
            self.held = Some(Held { claim, ..held });
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
        let claim = self
            .claim(source, evidence)
            .filter(|claim| self.is_open(now, *claim, evidence))
            .filter(|claim| self.trials.passes(*claim, source, evidence));
        if let Some(claim) = claim {
            self.held = Some(Held { source, claim, heard: now });
            self.trials = Trials::default();
        }
        claim.is_some()
    }

    /// What a source may claim by its address and evidence.
    fn claim(&self, source: SocketAddr, evidence: Evidence) -> Option<Claim> {
        if evidence == Evidence::Authentic {
            return Some(Claim::Proved);
        }
        let standing = self.standing(source)?;
        let is_beside_media = match evidence {
            Evidence::Control { companion } => companion.map(|rtp| rtp.ip()) == Some(source.ip()),
            _ => true,
        };
        (standing >= Claim::SameHost || is_beside_media).then_some(standing)
    }

    /// What a source may claim by its address alone.
    fn standing(&self, source: SocketAddr) -> Option<Claim> {
        let signalled = self.signalled?;
        Some(match source {
            _ if source == signalled => Claim::Proved,
            _ if source.ip() == signalled.ip() => Claim::SameHost,
            _ if Some(source.ip()) == self.signalling => Claim::SignallingHost,
            _ => Claim::Assumed,
        })
    }

    /// Is the place free for this claim?
    fn is_open(&self, now: Instant, claim: Claim, evidence: Evidence) -> bool {
        self.held.is_none_or(|held| {
            let is_silent = now.saturating_duration_since(held.heard) >= RELATCH_SILENCE;
            evidence == Evidence::Authentic
                || claim > held.claim
                || (is_silent && self.may_follow(claim, held))
        })
    }

    /// May this claim follow a source that fell silent? Where the signalling's host is known, a peer that moves
    /// without a word is looked for there, and not wherever somebody sends from.
    fn may_follow(&self, claim: Claim, held: Held) -> bool {
        self.signalling.is_none() || claim > Claim::Assumed || held.claim == Claim::Assumed
    }
}

impl Trials {
    /// Has the source shown enough for its claim?
    fn passes(&mut self, claim: Claim, source: SocketAddr, evidence: Evidence) -> bool {
        let Evidence::Stream { ssrc, sequence } = evidence else { return true };
        let trial = match claim {
            Claim::Assumed => &mut self.stranger,
            Claim::SignallingHost => &mut self.signalling_host,
            Claim::SameHost | Claim::Proved => return true,
        };
        let packets = match *trial {
            Some(before)
                if before.source == source
                    && before.ssrc == ssrc
                    && (1..=TRIAL_GAP).contains(&sequence.wrapping_sub(before.sequence)) =>
            {
                before.packets + 1
            }
            _ => 1,
        };
        *trial = Some(Trial { source, ssrc, sequence, packets });
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
        latch.signal(Some(at(PEER)), None);
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
        latch.signal(Some(at(PEER)), None);
        assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
        latch.signal(None, None);
        assert_eq!(latch.target(), None, "hold");
        assert!(latch.admits(now, at("192.0.2.1:4444"), stream(2)), "music on hold still passes");
        latch.signal(Some(at(PEER)), None);
        assert_eq!(latch.target(), Some(at("192.0.2.1:4444")));
        latch.signal(Some(at("192.0.2.9:5000")), None);
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

    const PRIVATE: &str = "10.0.0.5:4000";

    /// The latch of a peer that signs its private address, and signals from its NAT's host.
    fn behind_nat() -> Latch {
        let mut latch = Latch::default();
        latch.signal(Some(at(PRIVATE)), Some(at(NAT).ip()));
        latch
    }

    /// Three packets of one stream; does the last one pass?
    fn speaks(latch: &mut Latch, now: Instant, source: &str) -> bool {
        (0..3).map(|sequence| latch.admits(now, at(source), stream(sequence))).last() == Some(true)
    }

    #[test]
    fn the_signalling_host_takes_what_a_thief_assumed_without_waiting_for_silence() {
        let now = Instant::now();
        let mut latch = behind_nat();
        assert!(speaks(&mut latch, now, THIEF));
        assert!(speaks(&mut latch, now, NAT));
        assert_eq!(latch.target(), Some(at(NAT)));
        assert!(!speaks(&mut latch, now, THIEF), "and it does not come back");
        assert!(latch.admits(now, at(PRIVATE), stream(1)), "the signalled address is a better claim still");
    }

    #[test]
    fn a_thief_who_keeps_talking_does_not_disturb_the_signalling_hosts_trial() {
        let now = Instant::now();
        let mut latch = behind_nat();
        for sequence in 0..3 {
            // Never consecutive, and so never latched.
            latch.admits(now, at(THIEF), stream(sequence * 100));
            latch.admits(now, at(NAT), stream(sequence));
        }
        assert_eq!(latch.target(), Some(at(NAT)));
    }

    #[test]
    fn silence_of_a_peer_behind_a_nat_frees_its_place_for_its_own_host_only() {
        let now = Instant::now();
        let mut latch = behind_nat();
        assert!(speaks(&mut latch, now, NAT));
        let later = now + RELATCH_SILENCE * 100;
        assert!(!speaks(&mut latch, later, THIEF));
        assert_eq!(latch.target(), Some(at(NAT)));
        assert!(speaks(&mut latch, later, "198.51.100.7:31000"), "the NAT forgot its mapping");
        assert!(latch.admits(later, at(THIEF), Evidence::Authentic), "a key needs no address");
    }

    #[test]
    fn silence_of_the_signalled_address_frees_nothing_for_a_stranger() {
        let now = Instant::now();
        let mut latch = Latch::default();
        latch.signal(Some(at(PEER)), Some(at(NAT).ip()));
        assert!(latch.admits(now, at(PEER), stream(1)));
        let later = now + RELATCH_SILENCE * 100;
        assert!(!speaks(&mut latch, later, THIEF));
        assert!(speaks(&mut latch, later, NAT));
    }

    #[test]
    fn two_strangers_still_take_turns_after_silence() {
        let now = Instant::now();
        let mut latch = behind_nat();
        assert!(speaks(&mut latch, now, THIEF));
        let other = "192.0.2.50:7000";
        assert!(!speaks(&mut latch, now, other));
        assert!(speaks(&mut latch, now + RELATCH_SILENCE, other));
    }

    #[test]
    fn new_signalling_judges_the_claims_anew() {
        let now = Instant::now();
        let mut latch = behind_nat();
        assert!(speaks(&mut latch, now, NAT));
        latch.signal(Some(at(PRIVATE)), Some(at(PEER).ip()));
        assert_eq!(latch.target(), Some(at(NAT)), "media goes on until the peer is heard from its new host");
        assert!(speaks(&mut latch, now, PEER));
        assert_eq!(latch.target(), Some(at(PEER)));
        latch.signal(Some(at("10.0.0.6:4000")), Some(at(PEER).ip()));
        assert_eq!(latch.target(), Some(at("10.0.0.6:4000")));
        assert!(speaks(&mut latch, now, PEER), "its new port behind the NAT is learnt like the first");
    }

    #[test]
    fn control_packets_of_a_peer_behind_a_nat_are_safe_from_a_thief() {
        let now = Instant::now();
        let mut latch = behind_nat();
        let beside = Evidence::Control { companion: Some(at(NAT)) };
        assert!(latch.admits(now, at("198.51.100.7:30001"), beside));
        let astray = Evidence::Control { companion: Some(at(THIEF)) };
        assert!(!latch.admits(now + RELATCH_SILENCE, at(THIEF), astray));
    }
}
