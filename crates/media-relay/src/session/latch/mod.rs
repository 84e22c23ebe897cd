//! Symmetric RTP: where a peer's packets come from, and therefore where ours go.
//!
//! A peer behind a NAT describes an address that cannot be reached, so its source address is learnt from its packets. If
//! that were too easy, an attacker could take over the audio by guessing a port (RTPBleed). Who may speak for a leg, and
//! who may take it from whom, is [`rules`]; this file applies them:
//! - until something arrives, we send where the signalling says, and nowhere else;
//! - an admitted source holds the leg, and we send there;
//! - the signalling moves the leg to another place. The places that were left are remembered for a while: their last
//!   packets are still on the way, and a call that is resumed returns to where it was.

mod rules;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
#[path = "latch_tests.rs"]
mod tests;

use super::hosts::Hosts;
use rules::{Standing, Takes};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Silence after which a plain peer may be heard from another of its addresses.
pub const RELATCH_SILENCE: Duration = Duration::from_secs(3);

/// Consecutive packets of one stream that a source has to show if only its host is vouched for.
pub const TRIAL_PACKETS: u8 = 3;

/// Gaps in sequence numbers up to this still count as consecutive.
const TRIAL_GAP: u16 = 5;

/// A source on trial that is silent for so long makes room for another one.
const TRIAL_PAUSE: Duration = Duration::from_millis(200);

/// Places remembered after the signalling has left them.
const PLACES_LEFT: usize = 4;

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

/// The source that media goes to.
#[derive(Clone, Copy, Debug)]
struct Holder {
    source: SocketAddr,
    /// `None` once the signalling comes from elsewhere, so that nothing speaks for the source any more.
    standing: Option<Standing>,
    /// Since when it holds the leg.
    since: Instant,
    heard: Instant,
}

impl Holder {
    /// Has it moved by its key a moment ago? A peer may begin to send from its new place before the signalling comes,
    /// and behind a NAT nothing but the time tells that it did.
    fn is_ahead(&self, now: Instant, displaced: Option<Self>) -> bool {
        self.standing == Some(Standing::Authentic)
            && displaced.is_some()
            && now.saturating_duration_since(self.since) < RELATCH_SILENCE
    }
}

/// An address that the signalling has named and left, and where its packets came from.
#[derive(Clone, Copy, Debug)]
struct Place {
    signalled: SocketAddr,
    holder: Option<Holder>,
}

impl Place {
    fn is_at(&self, source: SocketAddr) -> bool {
        self.signalled == source || self.holder.is_some_and(|holder| holder.source == source)
    }
}

/// What a source that is only vouched for has shown so far.
#[derive(Clone, Copy, Debug)]
struct Trial {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    packets: u8,
    at: Instant,
}

/// The learnt and the signalled address of one socket's peer.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    hosts: Hosts,
    signalled: Option<SocketAddr>,
    /// Since when that is the signalled address.
    moved: Option<Instant>,
    is_on_hold: bool,
    holder: Option<Holder>,
    /// From whom the holder took the leg.
    displaced: Option<Holder>,
    /// The latest first.
    left: [Option<Place>; PLACES_LEFT],
    trial: Option<Trial>,
}

impl Latch {
    /// Takes note of what the signalling says now, and of the hosts that may speak for the peer. The same again keeps
    /// what was learnt; an address of `None` is hold, which keeps it too, but nothing is sent.
    pub fn signal(&mut self, now: Instant, address: Option<SocketAddr>, hosts: &Hosts) {
        self.is_on_hold = address.is_none();
        let moved_to = address.filter(|_| address != self.signalled);
        if moved_to.is_none() && self.hosts == *hosts {
            return;
        }
        self.hosts = hosts.clone();
        self.trial = None;
        if let Some(address) = moved_to {
            self.move_to(now, address);
        }
        // What had a standing may be a stranger now, and the other way round. A key proves its owner anywhere.
        if let (Some(holder), Some(signalled)) = (&mut self.holder, self.signalled)
            && holder.standing != Some(Standing::Authentic)
        {
            holder.standing = Standing::of_address(holder.source, signalled, &self.hosts);
        }
    }

    fn move_to(&mut self, now: Instant, address: SocketAddr) {
        self.moved = Some(now);
        let Some(before) = self.signalled.replace(address) else { return };
        // Where the signalling returns to, what was learnt there holds again.
        let known = self.left.iter().position(|place| place.is_some_and(|it| it.signalled == address));
        let returned = known.and_then(|at| self.left[at].take()).and_then(|place| place.holder);
        let displaced = self.displaced.take();
        let left = match self.holder {
            // It spoke from the new place before that was signalled.
            Some(holder) if holder.source == address || holder.is_ahead(now, displaced) => displaced,
            holder => {
                self.holder = returned;
                holder
            }
        };
        // The place that came free moves to the front, or the oldest goes.
        self.left[..=known.unwrap_or(PLACES_LEFT - 1)].rotate_right(1);
        self.left[0] = Some(Place { signalled: before, holder: left });
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
        self.holder.map(|holder| holder.source)
    }

    /// May a packet with this evidence pass? If so its source is latched.
    #[inline]
    pub fn admits(&mut self, now: Instant, source: SocketAddr, evidence: Evidence) -> bool {
        match &mut self.holder {
            Some(holder) if holder.source == source => {
                holder.heard = now;
                true
            }
            _ => self.is_taken(now, source, evidence),
        }
    }

    /// Does a source take the leg that does not hold it?
    fn is_taken(&mut self, now: Instant, source: SocketAddr, evidence: Evidence) -> bool {
        let Some(standing) = Standing::of(source, evidence, self.signalled, &self.hosts) else {
            return false;
        };
        if !self.is_open(now, source, standing) || !self.passes_trial(now, standing, source, evidence) {
            return false;
        }
        let holder = Holder { source, standing: Some(standing), since: now, heard: now };
        self.displaced = self.holder.replace(holder);
        self.trial = None;
        true
    }

    /// May this source have the leg now?
    fn is_open(&self, now: Instant, source: SocketAddr, standing: Standing) -> bool {
        let is_silent = |since: Option<Instant>| {
            since.is_none_or(|it| now.saturating_duration_since(it) >= RELATCH_SILENCE)
        };
        let heard = self.holder.map(|holder| holder.heard);
        let takes = self.holder.map_or(Takes::AtOnce, |holder| standing.takes_from(holder.standing));
        (takes == Takes::AtOnce || is_silent(heard))
            && (!self.is_left(source) || is_silent(heard.max(self.moved)))
    }

    /// Has the signalling sent us away from there?
    fn is_left(&self, source: SocketAddr) -> bool {
        self.signalled != Some(source) && self.left.iter().flatten().any(|place| place.is_at(source))
    }

    /// Has the source shown as much as its standing asks for?
    fn passes_trial(
        &mut self,
        now: Instant,
        standing: Standing,
        source: SocketAddr,
        evidence: Evidence,
    ) -> bool {
        let Evidence::Stream { ssrc, sequence } = evidence else { return true };
        if standing.trial() == 1 {
            return true;
        }
        let packets = match self.trial {
            // Two sources that take turns packet by packet must not keep each other from ever finishing.
            Some(other)
                if other.source != source && now.saturating_duration_since(other.at) < TRIAL_PAUSE =>
            {
                return false;
            }
            Some(before)
                if before.source == source
                    && before.ssrc == ssrc
                    && (1..=TRIAL_GAP).contains(&sequence.wrapping_sub(before.sequence)) =>
            {
                before.packets + 1
            }
            _ => 1,
        };
        self.trial = Some(Trial { source, ssrc, sequence, packets, at: now });
        packets >= standing.trial()
    }
}
