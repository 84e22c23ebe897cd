//! How a caller is written towards a callee: From, Contact, P-Asserted-Identity, Privacy.

use std::fmt::Write as _;

use crate::caller::{Caller, Identity};
use crate::directory::{Carrier, NumberFormat, Profile};
use crate::message::{MessageWriter, Name};
use crate::number;
use crate::privacy::{ANONYMOUS, ANONYMOUS_HOST};

/// Who is told of the caller, and how it wants to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) format: NumberFormat,
    pub(crate) country: &'a str,
    /// Whether it learns who calls although the caller is withheld, to keep it to itself (RFC 3325 section 5).
    pub(crate) is_trusted: bool,
    /// Whether it is told names beside numbers.
    pub(crate) takes_names: bool,
}

impl<'a> Reader<'a> {
    /// A PBX is the callee's own: it must not learn what the callee must not.
    pub(crate) fn pbx(profile: &'a Profile) -> Self {
        Self {
            format: profile.number_format,
            country: &profile.country,
            is_trusted: false,
            takes_names: profile.takes_caller_names,
        }
    }

    pub(crate) fn carrier(carrier: &Carrier) -> Self {
        let (format, is_trusted) = (carrier.number_format, carrier.is_trusted);
        Self { format, country: "", is_trusted, takes_names: true }
    }
}

/// A caller as one particular callee is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presentation {
    /// From, without tag.
    pub(crate) from: String,
    /// The user part of our Contact.
    pub(crate) user: String,
    asserted: Option<String>,
    is_private: bool,
}

impl Presentation {
    /// Writes `caller` as its reader wants it, at our domain: no carrier's address ever shows.
    pub(crate) fn new(caller: &Caller, reader: Reader<'_>, domain: &str) -> Self {
        let asserted = match &caller.identity {
            Identity::Number(digits) if !caller.is_withheld || reader.is_trusted => {
                Some(format!("<sip:+{digits}@{domain}>"))
            }
            _ => None,
        };
        let user = match &caller.identity {
            _ if caller.is_withheld => None,
            Identity::Number(digits) => Some(number::present(digits, reader.format, reader.country)),
            Identity::Name(name) => Some(escape_user(name)),
            Identity::Unknown => None,
        };
        let Some(user) = user else { return Self::anonymous(asserted) };
        let name = caller.display_name.as_deref().filter(|_| reader.takes_names);
        let name = name.map_or_else(String::new, |name| format!("{} ", quoted(name)));
        Self { from: format!("{name}<sip:{user}@{domain}>"), user, asserted, is_private: false }
    }

    /// RFC 3323 section 4.1.1.3; the identity beside it is for those who keep it (RFC 3325 section 7).
    fn anonymous(asserted: Option<String>) -> Self {
        let from = format!("\"Anonymous\" <sip:{ANONYMOUS}@{ANONYMOUS_HOST}>");
        Self { from, user: ANONYMOUS.to_owned(), asserted, is_private: true }
    }

    /// Adds what asserts or withholds the caller.
    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        if let Some(asserted) = &self.asserted {
            writer.header(Name::PAssertedIdentity, asserted);
        }
        if self.is_private {
            writer.header(Name::Privacy, "id");
        }
    }
}

/// A display name as a quoted string (RFC 3261 section 25.1).
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Escapes what a user part may not hold (RFC 3261 section 25.1, `user`).
fn escape_user(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,?/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const PBX: Reader<'static> =
        Reader { format: NumberFormat::Digits, country: "US", is_trusted: false, takes_names: true };
    const CARRIER: Reader<'static> = Reader { is_trusted: true, ..PBX };

    fn caller(is_withheld: bool) -> Caller {
        let identity = Identity::Number("442079460123".into());
        Caller { identity, display_name: Some("A \"B\" \\ C".into()), is_withheld }
    }

    fn shown(caller: &Caller, reader: Reader<'_>) -> Presentation {
        Presentation::new(caller, reader, "gw.example")
    }

    #[test]
    fn a_number_is_shown_in_the_callees_format_at_our_domain_with_its_name() {
        let told = shown(&caller(false), PBX);
        assert_eq!(told.from, "\"A \\\"B\\\" \\\\ C\" <sip:442079460123@gw.example>");
        assert_eq!(told.asserted.as_deref(), Some("<sip:+442079460123@gw.example>"));
        assert!(!told.is_private);
        let nameless = shown(&caller(false), Reader { takes_names: false, ..PBX });
        assert_eq!(nameless.from, "<sip:442079460123@gw.example>");
    }

    #[test]
    fn a_withheld_caller_is_named_only_to_who_is_trusted_with_it() {
        let told = shown(&caller(true), PBX);
        assert_eq!((told.asserted.as_deref(), told.is_private), (None, true));
        let trusted = shown(&caller(true), CARRIER);
        assert_eq!(trusted.asserted.as_deref(), Some("<sip:+442079460123@gw.example>"));
        for told in [told, trusted] {
            assert_eq!(told.from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
            assert_eq!((told.user.as_str(), told.is_private), ("anonymous", true));
        }
    }

    #[test]
    fn an_unknown_caller_is_anonymous_to_everybody() {
        let told = shown(&Caller::UNKNOWN, CARRIER);
        assert_eq!((told.user.as_str(), told.asserted.as_deref()), ("anonymous", None));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(escape_user("a b>\"@c\r\n"), "a%20b%3E%22%40c%0D%0A");
    }
}
