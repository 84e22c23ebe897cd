//! One side's state: its latches, its keys and its counters.

use super::description::Terms;
use super::exposure::Exposure;
use super::latch::{Evidence, Latch};
use super::pace::Pace;
use super::renumber::Payload;
use super::silence::Part;
use super::splice::Splice;
use super::stats::{DropReason, SideStats};
use super::{Channel, rtcp};
use crate::packet::{Kind, PacketBuf, RtpHeader};
use crate::srtp::{Context, Keys, Srtp};
use std::net::SocketAddr;
use std::time::Instant;

/// One direction's SRTP state, or none for plain RTP.
///
/// The same key keeps its state, a new key starts with fresh state (RFC 4568, 7.1.4). The context before the current one
/// is kept on a shelf: when a re-offer is taken back, its key returns with its rollover counter, and no packet
/// index is ever used twice under it.
#[derive(Default)]
struct Protection {
    current: Option<Box<Context>>,
    shelf: Option<Box<Context>>,
}

impl Protection {
    fn apply(&mut self, keys: Option<&Keys>) {
        let has = |context: &Option<Box<Context>>| context.as_ref().map(|context| context.keys()) == keys;
        if has(&self.current) {
            return;
        }
        let next = match keys {
            None => None,
            Some(_) if has(&self.shelf) => self.shelf.take(),
            Some(keys) => Some(Box::new(Context::new(keys.clone()))),
        };
        if let Some(before) = std::mem::replace(&mut self.current, next) {
            self.shelf = Some(before);
        }
    }
}

/// One side of a relay.
#[derive(Default)]
pub(super) struct Leg {
    terms: Option<Terms>,
    latches: [Latch; 2],
    inbound: Protection,
    outbound: Protection,
    splice: Splice,
    pace: Pace,
    exposure: Exposure,
    pub(super) stats: SideStats,
    /// Did this peer's media arrive already?
    pub(super) is_heard: bool,
    /// Did any of it come from where the peer says that it is?
    is_located: bool,
    /// When the terms were agreed.
    agreed: Option<Instant>,
    /// Unauthentic packets already told of.
    pub(super) unauthentic_told: u64,
}

impl Leg {
    pub(super) fn apply(&mut self, now: Instant, terms: &Terms) {
        if self.terms.as_ref() == Some(terms) {
            return;
        }
        self.latches[Channel::Rtp.index()].signal(now, terms.remote.rtp, &terms.hosts);
        self.latches[Channel::Rtcp.index()].signal(now, terms.remote.rtcp, &terms.hosts);
        self.inbound.apply(terms.security.as_ref().map(|security| &security.receive));
        self.outbound.apply(terms.security.as_ref().map(|security| &security.send));
        self.agreed = Some(now);
        self.terms = Some(terms.clone());
    }

    /// Starts afresh with another peer. What was counted stays: it belongs to the call.
    pub(super) fn forget(&mut self) {
        let Self { stats, unauthentic_told, .. } = std::mem::take(self);
        *self = Self { stats, unauthentic_told, ..Self::default() };
    }

    /// Verifies, decrypts and latches. On success the packet lies in clear; RTP's header is returned.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        kind: Kind,
        source: SocketAddr,
        channel: Channel,
        packet: &mut PacketBuf,
    ) -> Result<Option<RtpHeader>, DropReason> {
        if self.terms.is_none() {
            return Err(DropReason::NotDescribed);
        }
        let octets = packet.len();
        let header = match kind {
            Kind::Rtp => Some(RtpHeader::parse(packet.as_slice()).ok_or(DropReason::Malformed)?),
            _ => None,
        };
        let evidence = match (&mut self.inbound.current, &header) {
            (Some(context), Some(_)) => {
                context.unprotect_rtp(packet)?;
                Evidence::Authentic
            }
            (Some(context), None) => {
                context.unprotect_rtcp(packet)?;
                Evidence::Authentic
            }
            (None, Some(header)) => Evidence::Stream { ssrc: header.ssrc, sequence: header.sequence },
            (None, None) => Evidence::Control { companion: self.latches[0].source() },
        };
        if header.is_none() && !rtcp::is_valid(packet.as_slice()) {
            return Err(DropReason::Malformed);
        }
        if !self.latches[channel.index()].admits(now, source, evidence) {
            return Err(DropReason::Stranger);
        }
        self.exposure.prove(source.ip());
        if !self.pace.allows(now) {
            return Err(DropReason::TooFast);
        }
        match &header {
            Some(header) => self.stats.count_media(now, octets, header),
            None => self.stats.count_control(now),
        }
        Ok(header)
    }

    /// Whether this packet is the first from a host of the peer's own. The address in its description is not enough: a
    /// forger of the request wrote that as well, and may send from there.
    pub(super) fn is_located_by(&mut self, source: SocketAddr) -> bool {
        let is_own = |terms: &Terms| terms.hosts.contain(source.ip());
        let is_first = !self.is_located && self.terms.as_ref().is_some_and(is_own);
        self.is_located |= is_first;
        is_first
    }

    /// Encrypts if this leg is encrypted, and says where the packet goes: media if it has a header, else control.
    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        header: Option<&RtpHeader>,
        packet: &mut PacketBuf,
    ) -> Result<(SocketAddr, Channel), DropReason> {
        let terms = self.terms.as_ref().ok_or(DropReason::NoDestination)?;
        let is_on_media_port = header.is_some() || terms.remote.is_mux;
        let channel = if is_on_media_port { Channel::Rtp } else { Channel::Rtcp };
        let target = self.latches[channel.index()].target().ok_or(DropReason::NoDestination)?;
        if !self.exposure.allows(now, target.ip(), &terms.hosts) {
            self.stats.is_unproved = true;
            return Err(DropReason::Unproved);
        }
        if let Some(context) = &mut self.outbound.current {
            match header {
                Some(header) => {
                    self.splice.join(context, header.ssrc, header.sequence, packet);
                    context.protect_rtp(packet)?;
                }
                None => context.protect_rtcp(packet)?,
            }
        }
        Ok((target, channel))
    }

    /// What was counted, and how things stand.
    pub(super) fn stats(&self) -> SideStats {
        let mut stats = self.stats;
        stats.source = self.latches[Channel::Rtp.index()].source();
        stats.suite = self.inbound.current.as_ref().map(|context| context.keys().suite());
        stats
    }

    /// The payload types that the peer has described.
    pub(super) fn payloads(&self) -> &[Payload] {
        self.terms.as_ref().map_or(&[], |terms| &terms.payloads)
    }

    /// What the peer has agreed to and done, as far as silence is concerned.
    pub(super) fn part(&self) -> Option<Part> {
        let flow = self.terms.as_ref()?.remote.flow;
        Some(Part { flow, agreed: self.agreed?, heard: self.stats.last })
    }

    #[cfg(test)]
    pub(super) fn inbound_rollover(&self, ssrc: u32) -> Option<u32> {
        self.inbound.current.as_ref().and_then(|context| context.rollover(ssrc))
    }
}
