//! `a=crypto` of RFC 4568: reading what peers write, choosing, writing our own.
//!
//! Reading is lenient about form (tags, lifetimes, padding) and strict about meaning: a line is chosen only
//! if everything it demands is really done here.

use crate::srtp::keys::{MAX_MKI, Mki};
use crate::srtp::{Keys, Suite};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::fmt;

/// Padding is optional on reading: RFC 4568 has it, some peers leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest value read, in octets: a key, a lifetime, an MKI and a few parameters fit many times.
const MAX_LINE: usize = 1024;

/// One `a=crypto` value that the relay can honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoLine {
    /// The tag by which an answer names the line it takes. It may be 0.
    pub tag: u32,
    /// Suite, key and MKI.
    pub keys: Keys,
}

/// Why a line cannot be used. Other lines of the same description may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdesError {
    /// The key is not base64, or not as long as the suite needs.
    #[error("the key in a=crypto is damaged or has the wrong length")]
    BadKey,
    /// The MKI is not `value:length` within 1 to 16 octets.
    #[error("the master key identifier in a=crypto is not usable")]
    BadMki,
    /// The line does not have the form of RFC 4568, 9.1.
    #[error("the a=crypto line is malformed")]
    Malformed,
    /// Several master keys in one line.
    #[error("a=crypto with several master keys is not supported")]
    SeveralKeys,
    /// The suite is unknown.
    #[error("the crypto suite is not supported")]
    UnsupportedSuite,
    /// A session parameter that must be understood is not supported (RFC 4568, 6.3).
    #[error("a session parameter in a=crypto is not supported")]
    UnsupportedParameter,
}

impl CryptoLine {
    /// Reads the text after `a=crypto:`.
    ///
    /// # Errors
    /// Says why this line cannot be used.
    pub fn parse(value: &str) -> Result<Self, SdesError> {
        if value.len() > MAX_LINE {
            return Err(SdesError::Malformed);
        }
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(key)) = (words.next(), words.next(), words.next()) else {
            return Err(SdesError::Malformed);
        };
        if tag.is_empty() || tag.len() > 9 || !tag.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(SdesError::Malformed);
        }
        let tag = tag.parse().map_err(|_| SdesError::Malformed)?;
        let suite = Suite::from_name(suite).ok_or(SdesError::UnsupportedSuite)?;
        let keys = parse_key(suite, key)?;
        if !words.all(is_harmless) {
            return Err(SdesError::UnsupportedParameter);
        }
        Ok(Self { tag, keys })
    }
}

/// `inline:` key and salt `[|lifetime][|MKI:length]`
fn parse_key(suite: Suite, text: &str) -> Result<Keys, SdesError> {
    let (method, key) = text.split_once(':').ok_or(SdesError::Malformed)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(SdesError::Malformed);
    }
    if key.contains(';') {
        return Err(SdesError::SeveralKeys);
    }
    let mut parts = key.split('|');
    let octets = BASE64.decode(parts.next().unwrap_or_default()).map_err(|_| SdesError::BadKey)?;
    let keys = Keys::new(suite, &octets).ok_or(SdesError::BadKey)?;
    let mut mki = None;
    for (position, part) in parts.enumerate() {
        match part.split_once(':') {
            Some((value, len)) if mki.is_none() => mki = Some(parse_mki(value, len)?),
            // The lifetime is the peer's promise to rekey in time. No call outlives 2^48 packets, so every
            // value is accepted, even one that a call could reach: then the peer sends a new key by itself.
            None if position == 0 && is_lifetime(part) => {}
            _ => return Err(SdesError::Malformed),
        }
    }
    Ok(keys.with_mki(mki))
}

fn parse_mki(value: &str, len: &str) -> Result<Mki, SdesError> {
    let value: u128 = value.parse().map_err(|_| SdesError::BadMki)?;
    let len: usize = len.parse().map_err(|_| SdesError::BadMki)?;
    if len > MAX_MKI {
        return Err(SdesError::BadMki);
    }
    Mki::new(value, len).ok_or(SdesError::BadMki)
}

fn is_lifetime(part: &str) -> bool {
    let digits = part.strip_prefix("2^").unwrap_or(part);
    !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
}

/// May a line with this session parameter be used? `KDR=0` is what is done anyway; `WSH` is advice; a leading
/// dash marks a parameter that may be ignored (RFC 4568, 6.3.7).
fn is_harmless(parameter: &str) -> bool {
    let upper = parameter.to_ascii_uppercase();
    upper == "KDR=0" || upper.starts_with("WSH=") || upper.starts_with('-')
}

/// What the lines of a description come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first line that can be honoured.
    Taken(Box<CryptoLine>),
    /// Lines there were, but none fits; the first one's reason.
    Unusable(SdesError),
    /// No lines at all.
    Absent,
}

/// Takes the first line that is supported and whose suite is `allowed`: lines stand in the peer's order of
/// preference (RFC 4568, 7.1.2).
#[must_use]
pub fn choose<S: AsRef<str>>(lines: &[S], allowed: &[Suite]) -> Choice {
    let mut reason = None;
    for line in lines {
        match CryptoLine::parse(line.as_ref()) {
            Ok(line) if allowed.contains(&line.keys.suite()) => return Choice::Taken(Box::new(line)),
            Ok(_) => reason = reason.or(Some(SdesError::UnsupportedSuite)),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    reason.map_or(Choice::Absent, Choice::Unusable)
}

/// Written without a lifetime: it is optional, and some peers stumble over it.
impl fmt::Display for CryptoLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(self.keys.key_and_salt());
        write!(f, "{} {} inline:{key}", self.tag, self.keys.suite())?;
        match self.keys.mki() {
            Some(mki) => write!(f, "|{}:{}", mki.value(), mki.octets().len()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::suite::MAX_MASTER;
    use proptest::prelude::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    fn parse(rest: &str) -> Result<CryptoLine, SdesError> {
        CryptoLine::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}"))
    }

    #[test]
    fn the_forms_in_use_are_read() {
        for rest in ["", "|2^31", "|2^48", "|1048576", "|2^31|1:1", "|1:4", " KDR=0", " WSH=64", " -FOO=1"] {
            let line = parse(rest).unwrap();
            assert_eq!(line.tag, 1);
            assert_eq!(line.keys.key(), b"wDfvg&T+)xG7@fb5");
            assert_eq!(line.keys.mki().is_some(), rest.contains(':'), "{rest}");
        }
        assert_eq!(parse("|2^31|1:4").unwrap().keys.mki().unwrap().octets(), [0, 0, 0, 1]);
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        for (rest, error) in [
            (" UNENCRYPTED_SRTCP", SdesError::UnsupportedParameter),
            (" UNENCRYPTED_SRTP", SdesError::UnsupportedParameter),
            (" UNAUTHENTICATED_SRTP", SdesError::UnsupportedParameter),
            (" FEC_ORDER=FEC_SRTP", SdesError::UnsupportedParameter),
            (" KDR=1", SdesError::UnsupportedParameter),
            ("|1:0", SdesError::BadMki),
            ("|256:1", SdesError::BadMki),
            ("|1:200", SdesError::BadMki),
            ("|x", SdesError::Malformed),
            ("|2^31|2^31", SdesError::Malformed),
            (";inline:abc", SdesError::SeveralKeys),
            ("AAAA", SdesError::BadKey),
        ] {
            assert_eq!(parse(rest), Err(error), "{rest}");
        }
        for value in ["", "1", "1 AES_CM_128_HMAC_SHA1_80", "x AES_CM_128_HMAC_SHA1_80 inline:a", "+1 a b"] {
            assert!(CryptoLine::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn padding_may_be_missing_and_tags_may_be_zero() {
        let keys = Keys::from_random(Suite::AesCm256Sha1Tag80, &[3; MAX_MASTER]);
        let padded = CryptoLine { tag: 0, keys }.to_string();
        assert!(padded.ends_with("=="));
        let bare = padded.trim_end_matches('=').replace("AES_256_CM", "AES_CM_256");
        assert_eq!(CryptoLine::parse(&bare), CryptoLine::parse(&padded));
        assert_eq!(CryptoLine::parse(&bare).unwrap().tag, 0);
    }

    #[test]
    fn the_first_line_that_is_supported_and_allowed_is_taken() {
        let lines = [
            format!("7 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("3 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
            format!("9 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"),
            format!("2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        ];
        let Choice::Taken(line) = choose(&lines, &Suite::ALL) else { panic!() };
        assert_eq!((line.tag, line.keys.suite()), (9, Suite::AesCm128Sha1Tag32));
        let Choice::Taken(line) = choose(&lines, &[Suite::AesCm128Sha1Tag80]) else { panic!() };
        assert_eq!(line.tag, 2);
        assert_eq!(choose(&lines[..2], &Suite::ALL), Choice::Unusable(SdesError::UnsupportedSuite));
        assert_eq!(choose::<String>(&[], &Suite::ALL), Choice::Absent);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(value in "\\PC{0,80}") {
            let _ = CryptoLine::parse(&value);
        }

        #[test]
        fn near_misses_never_panic(tag in "[0-9]{0,12}", rest in "[|:^0-9a-z= ;-]{0,20}") {
            let _ = CryptoLine::parse(&format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}"));
        }

        #[test]
        fn what_is_written_is_read_back(
            tag in 0u32..1_000_000_000,
            suite in proptest::sample::select(&Suite::ALL[..]),
            random in proptest::array::uniform32(any::<u8>()),
            mki in proptest::option::of((0u128..256, 1usize..=16)),
        ) {
            let mut master = [0; MAX_MASTER];
            master[..32].copy_from_slice(&random);
            let mki = mki.map(|(value, len)| Mki::new(value, len).unwrap());
            let line = CryptoLine { tag, keys: Keys::from_random(suite, &master).with_mki(mki) };
            prop_assert_eq!(CryptoLine::parse(&line.to_string()), Ok(line));
        }
    }
}
