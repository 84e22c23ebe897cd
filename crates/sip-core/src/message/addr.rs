//! `name-addr` and `addr-spec` (RFC 3261 20.10): From, To, Contact, Route and their like.

use std::borrow::Cow;

use thiserror::Error;

use super::{Params, Uri, UriError, is_param, text};

/// A display name, a URI and the parameters after it, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    raw: &'a str,
    display: &'a str,
    uri: &'a str,
    params: Params<'a>,
}

/// Why a value is no address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MalformedAddr {
    /// There is no URI.
    #[error("the address has no URI")]
    NoUri,
    /// A `<` without its `>`.
    #[error("the address opens a bracket that it does not close")]
    OpenBracket,
    /// A quoted string without its end.
    #[error("the address opens a quotation that it does not close")]
    OpenQuote,
    /// A URI with `?` outside brackets (RFC 3261 20.10).
    #[error("a URI with header fields must stand in brackets")]
    NoBrackets,
    /// Something other than parameters after the URI.
    #[error("the address has something other than parameters after its URI")]
    Trailing,
}

impl<'a> NameAddr<'a> {
    /// Reads one address; a list has been split before. The URI itself is not looked into.
    pub fn parse(raw: &'a str) -> Result<Self, MalformedAddr> {
        let raw = raw.trim();
        match text::find_outside_quotes(raw, b'<') {
            Some(open) => Self::bracketed(raw, open),
            None if text::quotes_close(raw) => Self::bare(raw),
            None => Err(MalformedAddr::OpenQuote),
        }
    }

    fn bracketed(raw: &'a str, open: usize) -> Result<Self, MalformedAddr> {
        let inside = &raw[open + 1..];
        let close = text::bracket_end(inside.as_bytes()).ok_or(MalformedAddr::OpenBracket)?;
        let (uri, after) = (inside[..close].trim(), inside[close + 1..].trim());
        if uri.is_empty() {
            return Err(MalformedAddr::NoUri);
        }
        if !after.is_empty() && !after.starts_with(';') {
            return Err(MalformedAddr::Trailing);
        }
        Ok(Self { raw, display: raw[..open].trim(), uri, params: Params::new(after) })
    }

    /// Without brackets, parameters belong to the field, not to the URI (RFC 3261 20).
    fn bare(raw: &'a str) -> Result<Self, MalformedAddr> {
        let end = raw.find(';').unwrap_or(raw.len());
        let uri = raw[..end].trim();
        if uri.is_empty() {
            return Err(MalformedAddr::NoUri);
        }
        if uri.contains('?') {
            return Err(MalformedAddr::NoBrackets);
        }
        Ok(Self { raw, display: "", uri, params: Params::new(&raw[end..]) })
    }

    /// The name without quotes and escapes; `None` when there is none or it is empty.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        let inside = text::unquote(self.display);
        let name = if inside.len() == self.display.len() {
            Cow::Borrowed(inside)
        } else {
            text::unescape_quoted(inside)
        };
        (!name.is_empty()).then_some(name)
    }

    /// The URI as received, without brackets.
    pub fn uri_raw(&self) -> &'a str {
        self.uri
    }

    /// The URI, read as far as it is needed.
    pub fn uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::parse_leniently(self.uri)
    }

    /// The parameters of the field (`tag`, `expires`, `q`), not those of the URI.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The `tag` parameter. An empty one does not count.
    pub fn tag(&self) -> Option<&'a str> {
        let tags = self.params.iter().filter(|(name, _)| name.eq_ignore_ascii_case("tag"));
        tags.filter_map(|(_, value)| value.map(text::unquote)).find(|tag| !tag.is_empty())
    }

    /// The pieces of an address without a tag, to which one is added. Empty tags are left out: a reader
    /// of the first one would not find ours.
    pub(crate) fn untagged(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let params = self.params.raw();
        let (address, _) = self.raw.split_at(self.raw.len() - params.len());
        let mut at = 0;
        let pieces = text::split_outside_quotes(params, b';').map(move |piece| {
            // With the separator before it.
            let start = at;
            at += piece.len() + 1;
            &params[start.saturating_sub(1)..start + piece.len()]
        });
        let is_tag = |piece: &&str| is_param(piece.trim_start_matches(';'), "tag");
        std::iter::once(address).chain(pieces.filter(move |piece| !is_tag(piece)))
    }

    /// The whole value as received.
    pub fn raw(&self) -> &'a str {
        self.raw
    }
}

/// One value of a Contact field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactValue<'a> {
    /// `*`: all bindings (RFC 3261 10.2.2).
    Star,
    /// An address.
    Addr(NameAddr<'a>),
}

impl<'a> ContactValue<'a> {
    /// Reads one value; `None` when it is neither `*` nor an address.
    pub fn parse(raw: &'a str) -> Option<Self> {
        if raw.trim() == "*" {
            return Some(Self::Star);
        }
        NameAddr::parse(raw).ok().map(Self::Addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        let full = NameAddr::parse(r#""A \"B\" <c>" <sip:x@y;lr>;tag=1;q=0.5"#).unwrap();
        assert_eq!(full.display_name().as_deref(), Some(r#"A "B" <c>"#));
        assert_eq!(full.uri_raw(), "sip:x@y;lr");
        assert_eq!(full.tag(), Some("1"));
        assert_eq!(full.params().value("q"), Some("0.5"));
        let bare = NameAddr::parse("sip:x@y;tag=2").unwrap();
        assert_eq!((bare.uri_raw(), bare.tag(), bare.display_name()), ("sip:x@y", Some("2"), None));
        assert_eq!(
            NameAddr::parse("Two Words<tel:+1>").unwrap().display_name().as_deref(),
            Some("Two Words")
        );
        assert_eq!(NameAddr::parse(r#""" <tel:+1>"#).unwrap().display_name(), None);
    }

    #[test]
    fn quoted_parameters_stand_in_both_forms() {
        let bare = NameAddr::parse(r#"sip:x@y;+sip.instance="<urn:uuid:1>";q=1"#).unwrap();
        assert_eq!((bare.uri_raw(), bare.params().value("q")), ("sip:x@y", Some("1")));
        let inside = NameAddr::parse(r#"<sip:x@y;a="b > c">;q=1"#).unwrap();
        assert_eq!((inside.uri_raw(), inside.params().value("q")), (r#"sip:x@y;a="b > c""#, Some("1")));
        assert_eq!(NameAddr::parse(r#"<sip:x"z@y>;q=1"#).unwrap().uri_raw(), r#"sip:x"z@y"#);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, fault) in [
            ("", MalformedAddr::NoUri),
            ("<>", MalformedAddr::NoUri),
            (";tag=1", MalformedAddr::NoUri),
            ("<sip:a@b", MalformedAddr::OpenBracket),
            ("\"Mr. J. User <sip:j@x>", MalformedAddr::OpenQuote),
            ("sip:a@b?Route=c", MalformedAddr::NoBrackets),
            ("<sip:a@b> x", MalformedAddr::Trailing),
        ] {
            assert_eq!(NameAddr::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_star_is_a_contact() {
        assert_eq!(ContactValue::parse(" * "), Some(ContactValue::Star));
        assert!(matches!(ContactValue::parse("<sip:a@b>"), Some(ContactValue::Addr(_))));
        assert_eq!(ContactValue::parse("<"), None);
    }
}
