//! The packet path of one call: in on one side, out on the other.

use super::echo::Echo;
use super::leg::Leg;
use super::renumber::Renumber;
use super::silence::{Parts, Silence};
use super::stats::{CallStats, DropReason};
use super::{Channel, Side, Terms};
use crate::packet::{Kind, MAX_DATAGRAM, PacketBuf, classify};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What to do with a packet that was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the buffer, as it is now, from this side's socket to this address.
    Forward {
        /// Whose socket; with an echo the side it came from.
        side: Side,
        /// Which of its sockets.
        channel: Channel,
        /// Where to.
        destination: SocketAddr,
    },
    /// Send nothing. The buffer's contents are unspecified.
    Drop(DropReason),
}

/// What the signalling should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The first valid RTP packet came from this side.
    FirstPacket {
        /// From where.
        side: Side,
    },
    /// The first valid packet came from the host of this side's signalling, or from a network that is the peer's: the peer
    /// is reachable there.
    Located {
        /// Which side.
        side: Side,
    },
    /// An answered call that neither side holds has been silent, RTP and RTCP, for the agreed time. Told again after as
    /// long if it goes on.
    Silent {
        /// The last packet, or the agreement to send if none came after it.
        since: Instant,
    },
    /// Packets failed authentication since the last such event: wrong keys, or an attack.
    Unauthentic {
        /// From which side's peer.
        side: Side,
        /// How many of them.
        packets: u64,
    },
    /// Media towards this side is slowed down to a packet a second: nothing but its description says that the host
    /// wants any. Told once.
    Unproved {
        /// Which one.
        side: Side,
    },
}

/// Fewer are no news: some peers send their RTCP in clear beside SRTP, a packet every few seconds.
const UNAUTHENTIC_WORTH_TELLING: u64 = 10;

/// Events kept for a caller that does not ask; more are left out.
const MAX_EVENTS: usize = 16;

/// One call's media. One owner, no locks; no allocation for a packet once its stream is known.
pub struct Relay {
    legs: [Leg; 2],
    echo: Echo,
    is_echo: bool,
    /// By the side that the packets come from.
    renumber: [Renumber; 2],
    silence: Silence,
    events: VecDeque<SessionEvent>,
}

impl Relay {
    /// A relay whose sides agreed to nothing yet: every packet is dropped. `seed` is any random number.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let (legs, renumber, silence, events) = Default::default();
        Self { legs, echo: Echo::new(seed), is_echo: false, renumber, silence, events }
    }

    /// Puts a side's agreement into effect. The same keys keep their rollover counters and replay windows.
    pub fn apply(&mut self, now: Instant, side: Side, terms: &Terms) {
        self.legs[side.index()].apply(now, terms);
        let [near, far] = &self.legs;
        self.renumber =
            [Renumber::new(near.payloads(), far.payloads()), Renumber::new(far.payloads(), near.payloads())];
    }

    /// From now on each side hears itself.
    pub fn start_echo(&mut self) {
        self.is_echo = true;
    }

    /// The call was answered: from now on silence is told of.
    pub fn watch(&mut self, now: Instant) {
        self.silence.begin(now);
    }

    /// Forgets a side's peer: another one takes its place, as when a call is tried at the next carrier.
    pub fn forget(&mut self, side: Side) {
        self.legs[side.index()].forget();
    }

    /// Takes a packet that arrived on a side's socket and changes it into what is to be sent.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        side: Side,
        source: SocketAddr,
        channel: Channel,
        packet: &mut PacketBuf,
    ) -> Verdict {
        match self.pass(now, side, source, channel, packet) {
            Ok(verdict) => verdict,
            Err(reason) => {
                self.legs[side.index()].stats.count_drop(reason);
                Verdict::Drop(reason)
            }
        }
    }

    fn pass(
        &mut self,
        now: Instant,
        side: Side,
        source: SocketAddr,
        channel: Channel,
        packet: &mut PacketBuf,
    ) -> Result<Verdict, DropReason> {
        let kind = match classify(packet.as_slice()) {
            _ if packet.len() > MAX_DATAGRAM => return Err(DropReason::TooLong),
            Kind::Stun => return Err(DropReason::Stun),
            Kind::Keepalive => return Err(DropReason::Keepalive),
            Kind::Unknown => return Err(DropReason::Unknown),
            Kind::Rtp if channel == Channel::Rtcp => return Err(DropReason::Malformed),
            kind => kind,
        };
        let leg = &mut self.legs[side.index()];
        let mut header = leg.accept(now, kind, source, channel, packet)?;
        let is_first = kind == Kind::Rtp && !leg.is_heard;
        leg.is_heard |= is_first;
        let is_located = leg.is_located_by(source);
        if is_first {
            self.tell(SessionEvent::FirstPacket { side });
        }
        if is_located {
            self.tell(SessionEvent::Located { side });
        }
        let to = match (self.is_echo, &mut header) {
            (false, None) => side.other(),
            (false, Some(header)) => {
                self.renumber[side.index()].change(header, packet);
                side.other()
            }
            (true, Some(header)) => {
                self.echo.turn(header, packet);
                side
            }
            (true, None) => return Err(DropReason::EchoControl),
        };
        let leg = &mut self.legs[to.index()];
        let was_unproved = leg.stats.is_unproved;
        let sent = leg.dispatch(now, header.as_ref(), packet);
        if leg.stats.is_unproved && !was_unproved {
            self.tell(SessionEvent::Unproved { side: to });
        }
        let (destination, channel) = sent?;
        Ok(Verdict::Forward { side: to, channel, destination })
    }

    /// Notes that a forwarded packet could not be sent after all.
    pub fn note_unsent(&mut self, from: Side) {
        self.legs[from.index()].stats.count_drop(DropReason::Unsent);
    }

    /// Looks for silence and for failed authentication. Call it about every second.
    pub fn handle_tick(&mut self, now: Instant, silence: Duration) {
        for side in Side::BOTH {
            let leg = &mut self.legs[side.index()];
            let failed = leg.stats.dropped(DropReason::Unauthentic);
            let packets = failed - leg.unauthentic_told;
            if packets >= UNAUTHENTIC_WORTH_TELLING {
                leg.unauthentic_told = failed;
                self.tell(SessionEvent::Unauthentic { side, packets });
            }
        }
        let [near, far] = &self.legs;
        let parts = match (near.part(), far.part()) {
            (Some(near), Some(far)) => Parts::Both(near, far),
            (Some(near), None) if self.is_echo => Parts::Alone(near),
            _ => return,
        };
        if let Some(since) = self.silence.look(now, silence, parts) {
            self.tell(SessionEvent::Silent { since });
        }
    }

    /// The next event, until `None`.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    fn tell(&mut self, event: SessionEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        CallStats { near: self.legs[0].stats(), far: self.legs[1].stats() }
    }

    /// The rollover counter of a sender on an encrypted side.
    #[cfg(test)]
    fn inbound_rollover(&self, side: Side, ssrc: u32) -> Option<u32> {
        self.legs[side.index()].inbound_rollover(ssrc)
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
