//! A call's name.

use std::fmt;
use std::str::FromStr;

/// A call's identity in every log line, the ledger and the CDR: 128 random bits, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallUid(pub u128);

impl fmt::Display for CallUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What is no [`CallUid`] in 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a call is named by 32 hexadecimal digits")]
pub struct NoCallUid;

impl FromStr for CallUid {
    type Err = NoCallUid;

    fn from_str(text: &str) -> Result<Self, NoCallUid> {
        let is_hex = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        let digits = Some(text).filter(|text| text.len() == 32 && text.bytes().all(is_hex));
        digits.and_then(|text| u128::from_str_radix(text, 16).ok()).map(Self).ok_or(NoCallUid)
    }
}
