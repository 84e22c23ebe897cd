//! The crypto suites of RFC 4568 (6.2), RFC 6188 and RFC 7714 that the relay speaks.

use std::fmt;

/// A crypto suite: a cipher, its key lengths and its tag lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits: what every SRTP phone has.
    AesCm128Sha1Tag80,
    /// The same with 32 bits on RTP; RTCP keeps 80 (RFC 4568, 6.2.2).
    AesCm128Sha1Tag32,
    /// AES-256 in counter mode, 80 bit tag (RFC 6188).
    AesCm256Sha1Tag80,
    /// AES-256 in counter mode, 32 bit tag on RTP.
    AesCm256Sha1Tag32,
    /// AES-128 GCM with a 16 octet tag (RFC 7714).
    AeadAes128Gcm,
    /// AES-256 GCM with a 16 octet tag.
    AeadAes256Gcm,
}

/// The longest master key with its salt, in octets: AES-256 in counter mode.
pub const MAX_MASTER: usize = 46;

impl Suite {
    /// Every suite, strongest habit first: the order in which an own offer lists them by default.
    pub const ALL: [Self; 6] = [
        Self::AesCm128Sha1Tag80,
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::AesCm256Sha1Tag80,
        Self::AesCm256Sha1Tag32,
        Self::AesCm128Sha1Tag32,
    ];

    /// The name in an `a=crypto` line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128Sha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128Sha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256Sha1Tag80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256Sha1Tag32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Reads a name in any case, and the spelling `AES_CM_256_*` that was in use before RFC 6188.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let older = match name.to_ascii_uppercase().as_str() {
            "AES_CM_256_HMAC_SHA1_80" => Some(Self::AesCm256Sha1Tag80),
            "AES_CM_256_HMAC_SHA1_32" => Some(Self::AesCm256Sha1Tag32),
            _ => None,
        };
        older.or_else(|| Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name)))
    }

    /// Octets of the master key, and of the session key derived from it.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm128Sha1Tag80 | Self::AesCm128Sha1Tag32 | Self::AeadAes128Gcm => 16,
            Self::AesCm256Sha1Tag80 | Self::AesCm256Sha1Tag32 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            _ => 14,
        }
    }

    /// Octets behind `inline:` once decoded.
    #[must_use]
    pub const fn master_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// Octets of the tag on an RTP packet.
    #[must_use]
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128Sha1Tag80 | Self::AesCm256Sha1Tag80 => 10,
            Self::AesCm128Sha1Tag32 | Self::AesCm256Sha1Tag32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Octets of the tag on an RTCP packet: never the short one (RFC 3711, 5.2).
    #[must_use]
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            _ => 10,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_back_to_its_suite() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
            assert_eq!(Suite::from_name(&suite.name().to_lowercase()), Some(suite));
            assert!(suite.master_len() <= MAX_MASTER);
        }
        assert_eq!(Suite::from_name("AES_CM_256_HMAC_SHA1_80"), Some(Suite::AesCm256Sha1Tag80));
        assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
    }
}
