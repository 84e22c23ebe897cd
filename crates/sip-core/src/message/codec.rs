//! What rsip reads for us, and only here: single header fields that its 0.4.0 reads well. It never sees a whole
//! message from the network. CSeq is read for every message, so it is read in place; a test holds it against rsip's.

use rsip::prelude::UntypedHeader;

use super::text;

/// Number and method of a CSeq (RFC 3261 20.16).
pub(super) fn cseq(value: &str) -> Option<(u32, &str)> {
    let mut words = value.split_ascii_whitespace();
    let (number, method) = (words.next()?, words.next()?);
    match words.next() {
        Some(_) => None,
        None => Some((text::decimal(number)?, method)),
    }
}

/// Hops left (RFC 3261 20.22): 0..=255.
pub(super) fn max_forwards(value: &str) -> Option<u8> {
    let hops = rsip::headers::MaxForwards::new(value).num().ok()?;
    // rsip takes a sign, which RFC 3261 does not.
    value.starts_with(|first: char| first.is_ascii_digit()).then(|| u8::try_from(hops).ok())?
}

/// Delta-seconds of Expires and Min-Expires (RFC 3261 20.19).
pub(super) fn seconds(value: &str) -> Option<u32> {
    let seconds = rsip::headers::Expires::new(value).seconds().ok()?;
    value.starts_with(|first: char| first.is_ascii_digit()).then_some(seconds)
}
