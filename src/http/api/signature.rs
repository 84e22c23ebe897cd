//! Signed messages: HMAC-SHA256 over time and body, so that nobody else can write one, nor send one again later.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that has it.
pub(super) const SIGNATURE: &str = "Sipgw-Signature";
/// How far the clocks of both sides may be apart, and how long a message may take, seconds.
const TOLERANCE_S: u64 = 300;
/// Signatures of one header that are looked at: two while a secret is exchanged for another.
const MOST: usize = 4;

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the header {SIGNATURE} is missing or is not of the form t=TIME,v1=HEX")]
    Form,
    #[error(
        "the signature's time is more than {TOLERANCE_S} s off; sign the message again, or set the clock"
    )]
    Time,
    #[error(
        "the signature is not that of this body; sign the octets that are sent, with the secret of the gateway"
    )]
    Wrong,
}

/// A signature of the form `t=TIME,v1=HEX`, as a header has it.
pub(super) struct Signature<'a> {
    time: &'a str,
    /// What any one of has to be right.
    values: Vec<Vec<u8>>,
}

impl<'a> Signature<'a> {
    /// Reads a header. A signature whose time is off is refused before the body is looked at. `now` is in seconds since
    /// 1970.
    pub(super) fn read(header: &'a str, now: i64) -> Result<Self, Fault> {
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let time = parts().find(|(name, _)| *name == "t").map(|(_, time)| time).ok_or(Fault::Form)?;
        let at: i64 = time.parse().map_err(|_| Fault::Form)?;
        let values = parts().filter(|(name, _)| *name == "v1").take(MOST);
        let values: Vec<Vec<u8>> = values.filter_map(|(_, hex)| octets(hex)).collect();
        if values.is_empty() {
            return Err(Fault::Form);
        }
        if now.abs_diff(at) > TOLERANCE_S { Err(Fault::Time) } else { Ok(Self { time, values }) }
    }

    /// Holds it against a body.
    pub(super) fn verify(&self, secret: &[u8], body: &[u8]) -> Result<(), Fault> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(body);
        // The comparison takes the same time wherever two differ.
        let is_right = |value: &Vec<u8>| mac.clone().verify_slice(value).is_ok();
        if self.values.iter().any(is_right) { Ok(()) } else { Err(Fault::Wrong) }
    }
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let is_even = hex.len().is_multiple_of(2) && hex.is_ascii();
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
    is_even.then(|| (0..hex.len()).step_by(2).map(octet).collect::<Option<_>>()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{"payment":7}' | openssl dgst -sha256 -hmac secret`
    const SIGNED: &str = "t=1700000000,v1=58372fcc01ee42ee24d09734a6b322b82e9ab1d6ddf9238bf14ece4c3d634da8";
    const BODY: &[u8] = br#"{"payment":7}"#;

    #[test]
    fn a_message_is_heard_once_its_signature_is_right_and_fresh() {
        let verify = |secret: &str, header: &str, body: &[u8], now| {
            Signature::read(header, now)?.verify(secret.as_bytes(), body)
        };
        assert_eq!(verify("secret", SIGNED, BODY, 1_700_000_000), Ok(()));
        assert_eq!(verify("secret", SIGNED, BODY, 1_700_000_300), Ok(()));
        assert_eq!(verify("secret", SIGNED, BODY, 1_700_000_301), Err(Fault::Time));
        assert_eq!(verify("secret", SIGNED, BODY, 1_699_999_699), Err(Fault::Time));
        assert_eq!(verify("another", SIGNED, BODY, 1_700_000_000), Err(Fault::Wrong));
        assert_eq!(verify("secret", SIGNED, br#"{"payment":8}"#, 1_700_000_000), Err(Fault::Wrong));
        let moved = SIGNED.replace("1700000000", "1700000001");
        assert_eq!(verify("secret", &moved, BODY, 1_700_000_000), Err(Fault::Wrong));
        for header in ["", "t=1700000000", "v1=00", "t=now,v1=00", "t=1700000000,v1=0g", "t=1700000000,v1=é"]
        {
            assert_eq!(verify("secret", header, BODY, 1_700_000_000), Err(Fault::Form), "{header}");
        }
        let both = SIGNED.replace("v1=", "v1=00ff,v1=");
        assert_eq!(verify("secret", &both, BODY, 1_700_000_000), Ok(()));
    }
}
