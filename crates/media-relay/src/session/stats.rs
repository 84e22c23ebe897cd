//! What is counted for a call: a few words a side, updated in place.

use super::Side;
use crate::packet::RtpHeader;
use crate::srtp::{SrtpError, Suite};
use std::net::SocketAddr;
use std::time::Instant;

/// Why a packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// RTCP at the echo endpoint, which has nobody to pass it to.
    EchoControl,
    /// A key has protected as many packets as it may.
    Exhausted,
    /// Sent only to keep a NAT open.
    Keepalive,
    /// Lengths or version do not add up.
    Malformed,
    /// The other side does not want media, or nobody knows where it is.
    NoDestination,
    /// No description of this side was agreed yet.
    NotDescribed,
    /// A sequence number seen before, or too old to tell.
    Replayed,
    /// STUN: the peer probes for ICE.
    Stun,
    /// From an address that is not this side's peer.
    Stranger,
    /// More packets a second than audio can have: a flood, or media that circles.
    TooFast,
    /// Longer than audio can be.
    TooLong,
    /// More senders than one key keeps state for.
    TooManyStreams,
    /// The SRTP tag is missing or wrong.
    Unauthentic,
    /// SRTCP in clear.
    Unencrypted,
    /// Neither RTP nor RTCP.
    Unknown,
    /// Under a master key that was not agreed.
    UnknownMki,
    /// To a host that has sent nothing, and that nothing but a description says wants media.
    Unproved,
    /// The kernel did not take it.
    Unsent,
}

impl DropReason {
    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 18] = [
        Self::EchoControl,
        Self::Exhausted,
        Self::Keepalive,
        Self::Malformed,
        Self::NoDestination,
        Self::NotDescribed,
        Self::Replayed,
        Self::Stun,
        Self::Stranger,
        Self::TooFast,
        Self::TooLong,
        Self::TooManyStreams,
        Self::Unauthentic,
        Self::Unencrypted,
        Self::Unknown,
        Self::UnknownMki,
        Self::Unproved,
        Self::Unsent,
    ];

    /// The place in an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word for logs and metric labels.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EchoControl => "echo_control",
            Self::Exhausted => "exhausted",
            Self::Keepalive => "keepalive",
            Self::Malformed => "malformed",
            Self::NoDestination => "no_destination",
            Self::NotDescribed => "not_described",
            Self::Replayed => "replayed",
            Self::Stun => "stun",
            Self::Stranger => "stranger",
            Self::TooFast => "too_fast",
            Self::TooLong => "too_long",
            Self::TooManyStreams => "too_many_streams",
            Self::Unauthentic => "unauthentic",
            Self::Unencrypted => "unencrypted",
            Self::Unknown => "unknown",
            Self::UnknownMki => "unknown_mki",
            Self::Unproved => "unproved",
            Self::Unsent => "unsent",
        }
    }
}

impl From<SrtpError> for DropReason {
    fn from(error: SrtpError) -> Self {
        match error {
            SrtpError::Exhausted => Self::Exhausted,
            SrtpError::Malformed => Self::Malformed,
            SrtpError::Replayed => Self::Replayed,
            SrtpError::TooLong => Self::TooLong,
            SrtpError::TooManyStreams => Self::TooManyStreams,
            SrtpError::Unauthentic => Self::Unauthentic,
            SrtpError::Unencrypted => Self::Unencrypted,
            SrtpError::UnknownMki => Self::UnknownMki,
        }
    }
}

/// What came from one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideStats {
    /// Valid RTP packets.
    pub packets: u64,
    /// Octets of those packets as they arrived, without UDP and IP headers.
    pub octets: u64,
    /// Valid RTCP packets.
    pub control_packets: u64,
    /// Packets that went no further, by [`DropReason::index`].
    pub drops: [u64; DropReason::ALL.len()],
    /// When the first valid RTP packet came.
    pub first: Option<Instant>,
    /// When the last valid packet came, RTP or RTCP.
    pub last: Option<Instant>,
    /// Where they come from now, as learnt from the packets.
    pub source: Option<SocketAddr>,
    /// How the side is encrypted, if it is.
    pub suite: Option<Suite>,
    /// Was media towards it slowed down because nothing came from where it was to go?
    pub is_unproved: bool,
    /// Gaps of streams that have ended.
    lost_before: u64,
    stream: Option<Stream>,
}

/// The running stream's bookkeeping (RFC 3550, appendix A.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream {
    ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
}

impl Stream {
    fn lost(&self) -> u64 {
        (self.highest - self.first + 1).saturating_sub(self.received)
    }
}

/// A jump in sequence numbers over this is a restart, not loss (RFC 3550, appendix A.1: MAX_DROPOUT).
const MAX_DROPOUT: u64 = 3000;

impl SideStats {
    /// An estimate of the RTP packets that never arrived, from gaps in sequence numbers.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_before + self.stream.map_or(0, |stream| stream.lost())
    }

    /// Packets dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()]
    }

    pub(super) fn count_media(&mut self, now: Instant, octets: usize, header: &RtpHeader) {
        self.packets += 1;
        self.octets += octets as u64;
        self.first.get_or_insert(now);
        self.last = Some(now);
        let position = u64::from(header.sequence);
        if let Some(stream) = &mut self.stream
            && stream.ssrc == header.ssrc
        {
            let position = crate::srtp::replay::estimate(stream.highest, header.sequence);
            if position.abs_diff(stream.highest) <= MAX_DROPOUT {
                stream.first = stream.first.min(position);
                stream.highest = stream.highest.max(position);
                stream.received += 1;
                return;
            }
        }
        self.lost_before = self.lost();
        self.stream = Some(Stream { ssrc: header.ssrc, first: position, highest: position, received: 1 });
    }

    pub(super) fn count_control(&mut self, now: Instant) {
        self.control_packets += 1;
        self.last = Some(now);
    }

    pub(super) fn count_drop(&mut self, reason: DropReason) {
        self.drops[reason.index()] += 1;
    }
}

/// What came from both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// From the calling leg.
    pub near: SideStats,
    /// From the called leg.
    pub far: SideStats,
}

impl CallStats {
    /// One side's share.
    #[must_use]
    pub fn side(&self, side: Side) -> &SideStats {
        match side {
            Side::Near => &self.near,
            Side::Far => &self.far,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ssrc: u32, sequence: u16) -> RtpHeader {
        RtpHeader { ssrc, sequence, timestamp: 0, payload_type: 0, len: 12 }
    }

    #[test]
    fn gaps_count_as_lost_over_wraps_and_streams() {
        let now = Instant::now();
        let mut stats = SideStats::default();
        for sequence in [65_533, 65_535, 65_534, 2, 1] {
            stats.count_media(now, 172, &header(1, sequence));
        }
        assert_eq!((stats.lost(), stats.packets, stats.octets), (1, 5, 860), "only number 0 is missing");
        for sequence in [500, 503] {
            stats.count_media(now, 172, &header(2, sequence));
        }
        assert_eq!(stats.lost(), 3);
        stats.count_media(now, 172, &header(2, 30_000));
        assert_eq!(stats.lost(), 3, "a restart is no loss");
    }

    #[test]
    fn reasons_are_in_order_and_named_apart() {
        let mut labels = std::collections::HashSet::new();
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
            assert!(labels.insert(reason.label()));
        }
    }
}
