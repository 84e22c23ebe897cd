//! What the gateway does with each header field that it receives: one table, by which `validate` judges.
//!
//! Only a field that the gateway acts on decides about a message. All others are echoed, passed on or left alone, octet by
//! octet, whatever they hold: what one peer writes wrongly is often of interest to nobody, or to the other peer alone.
//! What cannot be refused, a response or an ACK, is used as far as it goes; see `repair`.

use super::{Method, Name};

/// How a field's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is needed: a request in which it cannot be read is refused.
    Strict,
    /// Strictly in requests of these methods; otherwise it is not read.
    StrictIn(&'static [Method]),
    /// As far as it goes: a value that cannot be read counts as none.
    Lenient,
    /// It decides nothing about the message. It is echoed or passed on, or one place has a use for it and takes of it what can
    /// be read, such as the cause in a Reason or the host in a Route.
    Forwarded,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// How it is read in a request.
    pub request: Reading,
    /// How it is read in a response. Nothing but the branch in Via is needed there, which tells what is answered.
    pub response: Reading,
    /// The paragraph that defines the field.
    pub defined_in: &'static str,
}

impl Row {
    /// Whether the gateway reads it at all.
    pub const fn is_read(&self) -> bool {
        !matches!((self.request, self.response), (Reading::Forwarded, Reading::Forwarded))
    }

    /// Whether a request of this method cannot do without it.
    pub fn is_strict_in(&self, method: &Method) -> bool {
        match self.request {
            Reading::Strict => true,
            Reading::StrictIn(methods) => methods.contains(method),
            Reading::Lenient | Reading::Forwarded => false,
        }
    }
}

/// INVITE and UPDATE say where their sender is reached from then on, REGISTER says it for calls to come.
const TARGETING: Reading = Reading::StrictIn(&[Method::Invite, Method::Register, Method::Update]);
const INVITING: Reading = Reading::StrictIn(&[Method::Invite]);

macro_rules! rows {
    ($($name:ident: $request:expr, $response:expr, $defined_in:literal;)*) => {
        /// The row of a field.
        pub const fn row(name: Name) -> Row {
            use Reading::{Forwarded, Lenient, Strict};
            match name {
                $(Name::$name => Row { request: $request, response: $response, defined_in: $defined_in },)*
            }
        }
    };
}

// In the order of `Name`: how it is read in a request, how in a response, where it is defined.
rows! {
    Accept: Forwarded, Forwarded, "RFC 3261 20.1";
    AcceptContact: Forwarded, Forwarded, "RFC 3841 9.2";
    AcceptEncoding: Forwarded, Forwarded, "RFC 3261 20.2";
    AcceptLanguage: Forwarded, Forwarded, "RFC 3261 20.3";
    AlertInfo: Forwarded, Forwarded, "RFC 3261 20.4";
    Allow: Lenient, Lenient, "RFC 3261 20.5";
    AllowEvents: Forwarded, Forwarded, "RFC 6665 8.2.2";
    AuthenticationInfo: Forwarded, Forwarded, "RFC 3261 20.6";
    Authorization: Lenient, Forwarded, "RFC 3261 20.7";
    CallId: Strict, Lenient, "RFC 3261 20.8";
    CallInfo: Forwarded, Forwarded, "RFC 3261 20.9";
    Contact: TARGETING, Lenient, "RFC 3261 20.10";
    ContentDisposition: Lenient, Lenient, "RFC 3261 20.11";
    ContentEncoding: Lenient, Lenient, "RFC 3261 20.12";
    ContentLanguage: Forwarded, Forwarded, "RFC 3261 20.13";
    ContentLength: Strict, Lenient, "RFC 3261 20.14";
    ContentType: Lenient, Lenient, "RFC 3261 20.15";
    CSeq: Strict, Lenient, "RFC 3261 20.16";
    Date: Forwarded, Forwarded, "RFC 3261 20.17";
    Diversion: Lenient, Forwarded, "RFC 5806";
    ErrorInfo: Forwarded, Forwarded, "RFC 3261 20.18";
    Event: Lenient, Forwarded, "RFC 6665 8.2.1";
    Expires: Lenient, Forwarded, "RFC 3261 20.19";
    From: Strict, Lenient, "RFC 3261 20.20";
    HistoryInfo: Lenient, Forwarded, "RFC 7044 5";
    Identity: Forwarded, Forwarded, "RFC 8224 4";
    IdentityInfo: Forwarded, Forwarded, "RFC 4474 9";
    InReplyTo: Forwarded, Forwarded, "RFC 3261 20.21";
    MaxForwards: INVITING, Forwarded, "RFC 3261 20.22";
    MimeVersion: Forwarded, Forwarded, "RFC 3261 20.24";
    MinExpires: Forwarded, Forwarded, "RFC 3261 20.23";
    MinSe: Lenient, Lenient, "RFC 4028 5";
    Organization: Forwarded, Forwarded, "RFC 3261 20.25";
    PAccessNetworkInfo: Forwarded, Forwarded, "RFC 7315 4.4";
    PAssertedIdentity: Lenient, Forwarded, "RFC 3325 9.1";
    PAssociatedUri: Forwarded, Forwarded, "RFC 7315 4.1";
    PCalledPartyId: Forwarded, Forwarded, "RFC 7315 4.2";
    PChargingVector: Forwarded, Forwarded, "RFC 7315 4.6";
    PEarlyMedia: Forwarded, Forwarded, "RFC 5009 8";
    PPreferredIdentity: Lenient, Forwarded, "RFC 3325 9.2";
    // The registrar refuses what it cannot route by in its own words, once it knows who registers.
    Path: Lenient, Forwarded, "RFC 3327 4";
    Priority: Forwarded, Forwarded, "RFC 3261 20.26";
    Privacy: Lenient, Forwarded, "RFC 3323 4.2";
    ProxyAuthenticate: Forwarded, Lenient, "RFC 3261 20.27";
    ProxyAuthorization: Lenient, Forwarded, "RFC 3261 20.28";
    ProxyRequire: Lenient, Forwarded, "RFC 3261 20.29";
    RAck: Lenient, Forwarded, "RFC 3262 7.2";
    RSeq: Forwarded, Lenient, "RFC 3262 7.1";
    Reason: Forwarded, Forwarded, "RFC 3326 2";
    RecordRoute: Lenient, Lenient, "RFC 3261 20.30";
    RecvInfo: Forwarded, Forwarded, "RFC 6086 5.2.3";
    ReferTo: Forwarded, Forwarded, "RFC 3515 2.1";
    ReferredBy: Forwarded, Forwarded, "RFC 3892 3";
    RejectContact: Forwarded, Forwarded, "RFC 3841 9.2";
    RemotePartyId: Lenient, Forwarded, "draft-ietf-sip-privacy-04 5";
    Replaces: Lenient, Forwarded, "RFC 3891 6.1";
    ReplyTo: Forwarded, Forwarded, "RFC 3261 20.31";
    RequestDisposition: Forwarded, Forwarded, "RFC 3841 9.1";
    Require: Lenient, Lenient, "RFC 3261 20.32";
    RetryAfter: Forwarded, Lenient, "RFC 3261 20.33";
    Route: Forwarded, Forwarded, "RFC 3261 20.34";
    Server: Forwarded, Forwarded, "RFC 3261 20.35";
    ServiceRoute: Forwarded, Forwarded, "RFC 3608 5";
    SessionExpires: Lenient, Lenient, "RFC 4028 4";
    Subject: Forwarded, Forwarded, "RFC 3261 20.36";
    SubscriptionState: Forwarded, Forwarded, "RFC 6665 8.2.3";
    Supported: Lenient, Lenient, "RFC 3261 20.37";
    Timestamp: Forwarded, Forwarded, "RFC 3261 20.38";
    To: Strict, Lenient, "RFC 3261 20.39";
    Unsupported: Forwarded, Forwarded, "RFC 3261 20.40";
    UserAgent: Lenient, Forwarded, "RFC 3261 20.41";
    UserToUser: Forwarded, Forwarded, "RFC 7433 4";
    Via: Strict, Strict, "RFC 3261 20.42";
    Trail: Lenient, Forwarded, "ours, circle.rs";
    Warning: Forwarded, Forwarded, "RFC 3261 20.43";
    WwwAuthenticate: Forwarded, Lenient, "RFC 3261 20.44";
    Other: Forwarded, Forwarded, "RFC 3261 7.3.1";
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::name::KNOWN;
    use super::super::{Fault, Message, Transport, lex, validate};
    use super::*;

    /// What no grammar of a field with a structure allows, and what some makers write all the same.
    const ODD: [&str; 14] = [
        "<sip:a@b;thinfo=\"x y\">",
        "<sip:a b@c>;q=\"",
        "bob",
        "\"unbalanced <sip:a@b>",
        "<sip:a@b",
        "sip:a@b?Subject=x",
        ";;;=;",
        "-1",
        "99999999999999999999",
        "\u{fc}\u{0}",
        "*",
        "a, b; c=\"d, e\", <",
        "@@@",
        "\"\\",
    ];

    fn read(start: &str, method: &str, more: &str) -> Message {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:f@a>;tag=1\r\nTo: <sip:t@a>\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\n{more}\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn request(method: &Method, more: &str) -> Message {
        read(&format!("{method} sip:t@a SIP/2.0"), method.as_str(), more)
    }

    #[test]
    fn a_field_that_is_not_needed_decides_about_no_message() {
        let methods = [Method::Invite, Method::Register, Method::Bye, Method::Ack, Method::Update];
        for &(name, text) in KNOWN {
            for odd in ODD {
                let more = format!("{text}: {odd}\r\n");
                if !matches!(row(name).response, Reading::Strict) {
                    // A copy of From and the like is one too many; the first one counts.
                    let response = read("SIP/2.0 200 OK", "INVITE", &more);
                    assert_eq!(validate(&response), Ok(()), "{text}: {odd} in a response");
                }
                for method in methods.iter().filter(|method| !row(name).is_strict_in(method)) {
                    assert_eq!(validate(&request(method, &more)), Ok(()), "{text}: {odd} in {method}");
                }
            }
        }
    }

    #[test]
    fn a_field_that_is_needed_does() {
        for (method, name, odd) in [
            (Method::Invite, Name::Contact, "bob"),
            (Method::Invite, Name::Contact, "<sip:a b c>"),
            (Method::Update, Name::Contact, "<>"),
            (Method::Register, Name::Contact, "\"unbalanced <sip:a@b>"),
            (Method::Invite, Name::MaxForwards, "-1"),
            (Method::Bye, Name::Via, ";"),
        ] {
            let more = format!("{name}: {odd}\r\n");
            assert_eq!(validate(&request(&method, &more)), Err(Fault::Malformed(name)), "{more}");
        }
    }
}
