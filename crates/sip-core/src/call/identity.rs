//! How a caller is written towards a callee: From, Contact, P-Asserted-Identity, Privacy.

use std::fmt::Write as _;

use crate::caller::Caller;
use crate::directory::NumberFormat;
use crate::message::{MessageWriter, Name};
use crate::number;

/// A caller as one particular callee is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presentation {
    /// From, without tag.
    pub(crate) from: String,
    /// The user part of our Contact.
    pub(crate) user: String,
    asserted: Option<String>,
}

impl Presentation {
    /// Writes `caller` in the callee's number format, at our domain: no carrier's address ever shows.
    pub(crate) fn new(caller: &Caller, format: NumberFormat, country: &str, domain: &str) -> Self {
        match caller {
            Caller::Number(digits) => {
                let user = number::present(digits, format, country);
                let asserted = Some(format!("<sip:+{digits}@{domain}>"));
                Self { from: format!("<sip:{user}@{domain}>"), user, asserted }
            }
            Caller::Name(name) => {
                let user = escape_user(name);
                Self { from: format!("<sip:{user}@{domain}>"), user, asserted: None }
            }
            // RFC 3323 section 4.1.1.3.
            Caller::Anonymous => Self {
                from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
                user: "anonymous".to_owned(),
                asserted: None,
            },
        }
    }

    /// Adds what asserts or withholds the caller (RFC 3325); only for peers that we trust with it.
    pub(crate) fn write(&self, writer: &mut MessageWriter) {
        match &self.asserted {
            Some(asserted) => {
                writer.header(Name::PAssertedIdentity, asserted);
            }
            None if self.user == "anonymous" => {
                writer.header(Name::Privacy, "id");
            }
            None => {}
        }
    }
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

    #[test]
    fn a_number_is_shown_in_the_callees_format_at_our_domain() {
        let caller = Caller::Number("442079460123".into());
        let shown = Presentation::new(&caller, NumberFormat::Digits, "US", "gw.example");
        assert_eq!(shown.from, "<sip:442079460123@gw.example>");
        assert_eq!(shown.asserted.as_deref(), Some("<sip:+442079460123@gw.example>"));
    }

    #[test]
    fn a_withheld_caller_shows_nothing() {
        let shown = Presentation::new(&Caller::Anonymous, NumberFormat::E164, "US", "gw.example");
        assert!(shown.from.contains("anonymous.invalid") && shown.asserted.is_none());
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(escape_user("a b>\"@c\r\n"), "a%20b%3E%22%40c%0D%0A");
    }
}
