//! Choices that are made for a profile or a carrier.

/// Which digest algorithms a profile is challenged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DigestPolicy {
    /// MD5 alone: old PBXs read only the first challenge.
    #[default]
    Md5,
    /// SHA-256 first, then MD5 (RFC 8760 section 2.3).
    Sha256ThenMd5,
    /// SHA-256 alone.
    Sha256,
}

/// How a number is written in a user part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NumberFormat {
    /// `12025550123`, as in the guide.
    #[default]
    Digits,
    /// `+12025550123`.
    E164,
    /// `0012025550123`.
    ZeroZero,
    /// As dialled within the company's country, with its trunk prefix.
    National,
}

/// How media towards and from a peer is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// Found out from what the peer offers, from its make and from the transport.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Offered as RTP/AVP with keys (RFC 8643).
    Optional,
    /// RTP/SAVP or nothing.
    Required,
}
