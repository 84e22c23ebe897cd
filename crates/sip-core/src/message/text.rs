//! Small readings of text that several fields share: quotes, escapes, tokens.

use std::borrow::Cow;
use std::fmt::Write as _;

use memchr::{memchr, memchr2};

/// A set of octets, asked with one look into a table: the walks over every message's values use nothing else.
pub(crate) struct OctetSet([bool; 256]);

impl OctetSet {
    /// The ASCII letters and digits, and `more`.
    pub(crate) const fn alphanumeric_and(more: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut octet = 0;
        while octet < 128 {
            set[octet] = (octet as u8).is_ascii_alphanumeric();
            octet += 1;
        }
        let mut at = 0;
        while at < more.len() {
            set[more[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    /// Whether all of `text` is in the set, and there is some.
    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        !text.is_empty() && text.iter().all(|&octet| self.0[usize::from(octet)])
    }
}

/// RFC 3261 25.1.
static TOKEN: OctetSet = OctetSet::alphanumeric_and(b"-.!%*_+`'~");

/// Whether all of `text` is a token of RFC 3261 25.1, and there is some.
pub(crate) fn is_token(text: &[u8]) -> bool {
    TOKEN.holds(text)
}

/// Where the first `wanted` stands that is not inside a quoted string. `wanted` is ASCII.
pub(crate) fn find_outside_quotes(text: &str, wanted: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(length) = memchr2(wanted, b'"', &bytes[at..]) {
        at += length;
        if bytes[at] == wanted {
            return Some(at);
        }
        at = quoted_end(bytes, at)?;
    }
    None
}

/// The pieces between the `separator`s that are not inside a quoted string. A quotation that never closes swallows the
/// rest.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = find_outside_quotes(whole, separator);
        rest = end.map(|end| &whole[end + 1..]);
        Some(end.map_or(whole, |end| &whole[..end]))
    })
}

/// Whether every quoted string that opens also closes.
pub(crate) fn quotes_close(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(length) = memchr(b'"', &bytes[at..]) {
        match quoted_end(bytes, at + length) {
            Some(end) => at = end,
            None => return false,
        }
    }
    true
}

/// The place after the quoted string that opens at `at`; `None` when it never closes.
pub(crate) fn quoted_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    while let Some(length) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += length;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
    None
}

/// Where the `>` stands that closes the bracket before `text`. No URI holds a `>`, but some have parameters in quotes;
/// where the quotations leave no `>` outside them, or one never closes, they do not count.
pub(crate) fn bracket_end(text: &[u8]) -> Option<usize> {
    unquoted_bracket_end(text).or_else(|| memchr(b'>', text))
}

/// Where the first `>` outside quotations stands; `None` also behind a quotation that never closes.
pub(crate) fn unquoted_bracket_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(length) = memchr2(b'>', b'"', &text[at..]) {
        at += length;
        if text[at] == b'>' {
            return Some(at);
        }
        at = quoted_end(text, at)?;
    }
    None
}

/// Takes the quotes off a quoted string; anything else stays as it is. Escapes inside are kept.
pub(crate) fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// Resolves the `\x` pairs of a quoted string's inside.
pub(crate) fn unescape_quoted(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(if char == '\\' { chars.next().unwrap_or('\\') } else { char });
    }
    Cow::Owned(out)
}

/// Resolves `%hh`. What is no escape stays; octets that are no UTF-8 become U+FFFD.
pub(crate) fn unescape_percent(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match escaped_octet(bytes, at) {
            Some(octet) => {
                out.push(octet);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(
        String::from_utf8(out).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
    )
}

/// The octet that a `%hh` at `at` stands for.
pub(crate) fn escaped_octet(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = bytes.get(at..at + 3)? else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Octets as text, those that are no UTF-8 as `%hh`.
pub(crate) fn escape_foreign(octets: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(octets) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(octets.len() + 8);
    for chunk in octets.utf8_chunks() {
        out.push_str(chunk.valid());
        for octet in chunk.invalid() {
            write!(out, "%{octet:02X}").expect("writing to memory cannot fail");
        }
    }
    Cow::Owned(out)
}

/// A decimal number of digits only: no sign, which Rust's own parser would take.
pub(crate) fn decimal<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_what_is_inside() {
        assert_eq!(find_outside_quotes(r#""a\"<b" <c>"#, b'<'), Some(8));
        assert_eq!(find_outside_quotes(r#""never closed <"#, b'<'), None);
        assert_eq!(find_outside_quotes(r#""ends in escape\"#, b'<'), None);
    }

    #[test]
    fn pieces_stand_between_separators_outside_quotes() {
        let pieces = |text| split_outside_quotes(text, b';').collect::<Vec<_>>();
        assert_eq!(pieces(r#"a; b="c;d" ;"#), ["a", r#" b="c;d" "#, ""]);
        assert_eq!(pieces(r#"a;b="c;d"#), ["a", r#"b="c;d"#]);
        assert!(quotes_close(r#""a\"" b "c""#) && quotes_close(""));
        assert!(!quotes_close(r#""a" "b"#));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape_quoted(r#"a \"b\" \\"#), r#"a "b" \"#);
        assert_eq!(unescape_percent("%2B49%zz%"), "+49%zz%");
        assert_eq!(unescape_percent("%ff"), "\u{fffd}");
        assert_eq!(escape_foreign(b"m\xfcll\xc3\xa9r"), "m%FCll\u{e9}r");
        assert_eq!(decimal::<u32>("+5"), None);
        assert_eq!(decimal::<u32>("0005"), Some(5));
        assert_eq!(decimal::<u32>("4294967296"), None);
    }
}
