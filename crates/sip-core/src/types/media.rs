//! What the core says of a call's media.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::ip::Cidr;

/// How the media of one leg is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SecureMedia {
    /// RTP/AVP without keys.
    #[default]
    Off,
    /// RTP/AVP with keys offered; the peer decides (RFC 8643).
    Optional,
    /// RTP/SAVP only.
    Required,
}

/// Whether a description offers or answers (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpRole {
    /// An offer.
    Offer,
    /// An answer in a provisional response: the final one may still say something else.
    EarlyAnswer,
    /// The answer that concludes the exchange.
    Answer,
}

/// The hosts that may speak for a half's media besides the one that its description names, and how it may protect it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Where its signalling comes from: behind a NAT its media comes from there as well.
    pub signalling: IpAddr,
    /// Networks that the operator has named as the peer's.
    pub networks: Arc<[Cidr]>,
    /// What the peer's policy allows it. Keys that it offers where they are off are left without an answer
    /// (RFC 8643 section 3).
    pub may_secure: SecureMedia,
}
