//! What the signalling tells the media, and what it gets to tell the other leg.

use super::hosts::Hosts;
use super::renumber::Payload;
use crate::sdes::SdesError;
use crate::srtp::Keys;
use std::net::{IpAddr, SocketAddr};

/// May, must or must not a leg's media be encrypted?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Plain RTP only; keys that a peer offers with RTP/AVP are left without an answer (RFC 8643, 3).
    Off,
    /// Encrypted if the peer can: RTP/AVP with `a=crypto` (RFC 8643) is offered, both forms are accepted.
    Optional,
    /// RTP/SAVP is offered; nothing unencrypted is accepted.
    Required,
}

/// The transport of the `m=` line. AVPF and SAVPF count as these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// RTP/AVP
    Avp,
    /// RTP/SAVP
    Savp,
}

/// The direction attribute, as its writer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// `a=sendrecv`, or none
    SendRecv,
    /// `a=sendonly`: on hold with music
    SendOnly,
    /// `a=recvonly`
    RecvOnly,
    /// `a=inactive`: on hold
    Inactive,
}

impl Flow {
    /// Does the writer of the attribute say that it will send?
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Does the writer of the attribute listen? If not, it holds the call.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// What a description is in the offer/answer exchange (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An offer, in whichever message it came.
    Offer,
    /// An answer that a final response may still take back, as in 183: it takes effect at once.
    EarlyAnswer,
    /// The answer that ends the exchange.
    Answer,
}

/// The audio part of a description received from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteDescription {
    /// The `c=` address; the unspecified one means hold as of RFC 2543.
    pub ip: IpAddr,
    /// The port of the `m=` line; 0 means that the stream is refused.
    pub rtp_port: u16,
    /// `a=rtcp` if present; otherwise the port above the RTP port.
    pub rtcp: Option<SocketAddr>,
    /// Is `a=rtcp-mux` present?
    pub is_mux: bool,
    /// The transport of the `m=` line.
    pub profile: Profile,
    /// The values of the `a=crypto` lines, without `a=crypto:`, in their order.
    pub crypto: Vec<String>,
    /// The direction attribute.
    pub flow: Flow,
    /// The payload types of the `m=` line.
    pub payloads: Vec<Payload>,
    /// What the peer is allowed: an offer is held against it.
    pub policy: Policy,
    /// The hosts that may speak for the peer besides the one described.
    pub hosts: Hosts,
}

impl RemoteDescription {
    /// Plain RTP at an address, both ways, with RTCP on the port above and no other host known.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            rtp_port: address.port(),
            rtcp: None,
            is_mux: false,
            profile: Profile::Avp,
            crypto: Vec::new(),
            flow: Flow::SendRecv,
            payloads: Vec::new(),
            policy: Policy::Optional,
            hosts: Hosts::default(),
        }
    }
}

/// What goes into the description for the other leg, in place of what the peer wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDescription {
    /// The address for `c=` (and `o=`).
    pub ip: IpAddr,
    /// The port for `m=`.
    pub rtp_port: u16,
    /// The port for `a=rtcp`; equals `rtp_port` where multiplexing is agreed.
    pub rtcp_port: u16,
    /// Write `a=rtcp-mux`?
    pub is_mux: bool,
    /// The transport for `m=`.
    pub profile: Profile,
    /// Values of the `a=crypto` lines to write, in this order; empty for none.
    pub crypto: Vec<String>,
}

/// Where a leg's media is received, as peers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The advertised address.
    pub ip: IpAddr,
    /// The even port.
    pub rtp_port: u16,
    /// The odd port above it.
    pub rtcp_port: u16,
}

/// Where a peer says that it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its RTP address; `None` while it does not want any.
    pub rtp: Option<SocketAddr>,
    /// Its RTCP address, unused with `is_mux`.
    pub rtcp: Option<SocketAddr>,
    /// Does RTCP go to the RTP address?
    pub is_mux: bool,
    /// What it says it will do.
    pub flow: Flow,
}

/// What a leg has agreed to: all that a [`Relay`](super::Relay) needs to serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The peer's side.
    pub remote: Remote,
    /// The hosts that may speak for the peer besides the one it has described.
    pub hosts: Hosts,
    /// Keys, if the leg is encrypted.
    pub security: Option<Security>,
    /// The payload types that the peer has described.
    pub payloads: Vec<Payload>,
}

/// The two keys of an encrypted leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Ours.
    pub send: Keys,
    /// The peer's.
    pub receive: Keys,
}

/// Why a description cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Every `a=crypto` line of an encrypted description is damaged or asks for what is not supported.
    #[error("none of the peer's crypto lines can be used: {0}")]
    BadCrypto(SdesError),
    /// The answer takes a suite that was not offered.
    #[error("the peer answered with a crypto suite that was not offered")]
    NoCommonCrypto,
    /// An answer without an offer to this leg.
    #[error("the description answers nothing that was offered")]
    NoOffer,
    /// RTP/SAVP without any `a=crypto`: perhaps DTLS, which a trunk does not use.
    #[error("the description asks for SRTP but brings no key")]
    NoKey,
    /// The peer's policy forbids encryption and the peer insists on it.
    #[error("the peer insists on SRTP, which is switched off for it")]
    SecureRefused,
    /// The peer's policy, or our offer, demands encryption and the peer has none.
    #[error("SRTP is required and the peer did not agree to it")]
    SecureRequired,
}
