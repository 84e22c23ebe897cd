//! Parameters after a `;`: of a URI, of a header field, of a Via.

use super::text;

/// The parameters of something, read on demand from their text. Names compare without case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    text: &'a str,
}

impl<'a> Params<'a> {
    /// Reads `;name=value;flag`; a leading `;` may be missing. Never fails: what has no name is skipped.
    pub fn new(text: &'a str) -> Self {
        Self { text: text.trim() }
    }

    /// The text as received.
    pub fn raw(&self) -> &'a str {
        self.text
    }

    /// Whether there is no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// `None` when absent, `Some(None)` for a flag without `=`, else the value without its quotes.
    pub fn get(&self, name: &str) -> Option<Option<&'a str>> {
        self.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.map(text::unquote))
    }

    /// The value of a parameter that has one, without its quotes.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    /// Whether the parameter occurs, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Name and value as written (quotes kept), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        text::split_outside_quotes(self.text, b';').map(named).filter(|(name, _)| !name.is_empty())
    }
}

/// Name and value of one parameter.
fn named(piece: &str) -> (&str, Option<&str>) {
    match piece.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (piece.trim(), None),
    }
}

/// Whether a piece of text between two `;` is the parameter of this name.
pub(crate) fn is_param(piece: &str, name: &str) -> bool {
    named(piece).0.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags_values_and_quotes() {
        let params = Params::new(r#";lr; Tag = a1 ;+sip.instance="<urn:uuid:1;2>";empty=;x"#);
        assert!(params.has("LR"));
        assert_eq!(params.get("lr"), Some(None));
        assert_eq!(params.value("tag"), Some("a1"));
        assert_eq!(params.value("+sip.instance"), Some("<urn:uuid:1;2>"));
        assert_eq!(params.get("empty"), Some(Some("")));
        assert_eq!(params.get("missing"), None);
        assert_eq!(params.iter().count(), 5);
    }

    #[test]
    fn nothing_in_particular_is_empty() {
        assert!(Params::new("").is_empty());
        assert!(Params::new(" ;; ;").is_empty());
    }
}
