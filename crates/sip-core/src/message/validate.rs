//! What is wrong with a message that could be read.

use super::{ContactValue, Defect, Host, Message, Method, Name, NameAddr, Scheme, Uri, Via};
use super::{codec, row, text};

/// The longest Request-URI we take, in octets; longer ones are answered 414.
pub const MAX_REQUEST_URI: usize = 2048;
/// The longest value of a header field that we read, in octets. What we do not read may be as long as it likes.
pub const MAX_VALUE: usize = 8192;
/// The longest body we take, in octets: several times what a session description with everything in it needs.
pub const MAX_BODY: usize = 16_384;
/// The most header fields (or elements of lists) that we read.
pub const MAX_HEADERS: usize = 256;

/// Why a message cannot be served as it is. A request is refused for [`Refusal::of`](crate::refusal::Refusal::of) the
/// fault; a response to a request of ours is used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The body is shorter than Content-Length says.
    BodyShort,
    /// Where the sender is to be reached is no SIP or SIPS URI.
    ContactScheme,
    /// Content-Length is no number, or says two different things.
    ContentLength,
    /// The CSeq names another method than the request line.
    CseqMethod,
    /// A field that may occur once occurs more often.
    Duplicate(Name),
    /// The body is longer than [`MAX_BODY`].
    BodyTooLong,
    /// No empty line ends the header fields.
    HeadUnfinished,
    /// A field has no valid value.
    Malformed(Name),
    /// A field that must be there is not.
    Missing(Name),
    /// A Contact of `*` that does not stand alone, or without Expires 0.
    Star,
    /// The start line is malformed.
    StartLine,
    /// The status is not three digits from 100 to 699.
    StatusLine,
    /// There are more than [`MAX_HEADERS`] header fields that are read.
    TooManyHeaders,
    /// The Request-URI cannot be read.
    Uri,
    /// The Request-URI has a scheme we do not serve.
    UriScheme,
    /// The Request-URI is longer than [`MAX_REQUEST_URI`].
    UriTooLong,
    /// A value is longer than [`MAX_VALUE`].
    ValueTooLong(Name),
    /// The version is not SIP/2.0.
    Version,
}

impl Fault {
    /// What exactly is wrong: a second Warning beside the sentence of the refusal.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::BodyShort => "The body is shorter than Content-Length says.",
            Self::BodyTooLong => "The body is too long.",
            Self::ContactScheme => "Contact is not a SIP or SIPS URI.",
            Self::ContentLength => "Content-Length is not one number.",
            Self::CseqMethod => "CSeq names another method than the request line.",
            Self::Duplicate(name) => match name {
                Name::CallId => "There is more than one Call-ID.",
                Name::Contact => "There is more than one Contact.",
                Name::CSeq => "There is more than one CSeq.",
                Name::From => "There is more than one From.",
                Name::To => "There is more than one To.",
                _ => "A header field that may occur once occurs more often.",
            },
            Self::HeadUnfinished => "No empty line ends the header fields.",
            Self::Malformed(name) => match name {
                Name::Via => "A Via cannot be read.",
                Name::From => "From cannot be read.",
                Name::To => "To cannot be read.",
                Name::Contact => "A Contact cannot be read.",
                Name::CSeq => "CSeq is not a number and a method.",
                Name::MaxForwards => "Max-Forwards is not a number up to 255.",
                _ => "A header field cannot be read.",
            },
            Self::Missing(name) => match name {
                Name::Via => "There is no Via.",
                Name::From => "There is no From.",
                Name::To => "There is no To.",
                Name::CallId => "There is no Call-ID.",
                Name::CSeq => "There is no CSeq.",
                _ => "A mandatory header field is missing.",
            },
            Self::Star => "A Contact of * stands alone, and with Expires: 0.",
            Self::StartLine => "The request line is malformed.",
            Self::StatusLine => "The status is not a number from 100 to 699.",
            Self::TooManyHeaders => "There are too many header fields.",
            Self::Uri => "The Request-URI cannot be read.",
            Self::UriScheme => "The scheme of the Request-URI is not served.",
            Self::UriTooLong => "The Request-URI is too long.",
            Self::ValueTooLong(_) => "A header field is too long.",
            Self::Version => "The version is not SIP/2.0.",
        }
    }

    /// The field the fault is about, where there is one.
    pub fn field(&self) -> Option<Name> {
        match self {
            Self::Duplicate(name)
            | Self::Malformed(name)
            | Self::Missing(name)
            | Self::ValueTooLong(name) => Some(*name),
            _ => None,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())?;
        match self.field() {
            Some(name) if name != Name::Other => write!(f, " ({name})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Defect> for Fault {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::BodyShort => Self::BodyShort,
            Defect::ContentLength => Self::ContentLength,
            Defect::HeadUnfinished => Self::HeadUnfinished,
            Defect::StartLine => Self::StartLine,
            Defect::StatusLine => Self::StatusLine,
            Defect::TooManyHeaders => Self::TooManyHeaders,
        }
    }
}

/// Says what is wrong with a message, by the table of `fields`.
///
/// A request can be refused, so everything that is needed of it must be right. An ACK and a response cannot: the fault
/// found is one that keeps them from being used as they are.
pub fn validate(msg: &Message) -> Result<(), Fault> {
    match msg.is_request() {
        true if *msg.method() == Method::Ack => unanswerable(msg),
        true => request(msg),
        false => match msg.0.defect {
            Some(Defect::StatusLine) => Err(Fault::StatusLine),
            _ => unanswerable(msg),
        },
    }
}

fn request(msg: &Message) -> Result<(), Fault> {
    // The version comes first: a message of another version may look different in every other way.
    start(msg)?;
    // Nothing but its dialog or transaction is of interest in a goodbye: refused, it would leave a call up that is paid for.
    let is_goodbye = matches!(msg.method(), Method::Bye | Method::Cancel);
    if !is_goodbye {
        shape(msg)?;
    }
    let census = Census::of(msg);
    census.mandatory()?;
    census.once(msg.method())?;
    if let Some(fault) = census.beyond.filter(|_| !is_goodbye) {
        return Err(fault);
    }
    let method = cseq(msg)?;
    if method != msg.method().as_str() {
        return Err(Fault::CseqMethod);
    }
    census.malformed.map_or(Ok(()), Err)?;
    star(msg, &census)
}

/// Whether start line, head and body are whole, and the body no longer than we take.
fn shape(msg: &Message) -> Result<(), Fault> {
    match msg.0.defect {
        // Cut off a stream because it says to be too long: its body was not waited for.
        Some(Defect::BodyShort) if content_length(msg) > MAX_BODY => Err(Fault::BodyTooLong),
        Some(defect) => Err(defect.into()),
        None if msg.body().len() > MAX_BODY => Err(Fault::BodyTooLong),
        None => Ok(()),
    }
}

/// What Content-Length says; nothing where it cannot be read.
fn content_length(msg: &Message) -> usize {
    msg.header(Name::ContentLength).and_then(|value| text::decimal(value.trim())).unwrap_or_default()
}

fn start(msg: &Message) -> Result<(), Fault> {
    if !msg.version_is_supported() {
        return Err(Fault::Version);
    }
    if msg.request_uri().len() > MAX_REQUEST_URI {
        return Err(Fault::UriTooLong);
    }
    match Uri::parse(msg.request_uri()) {
        Ok(uri) if uri.scheme() == Scheme::Other => Err(Fault::UriScheme),
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::Uri),
    }
}

/// What an ACK or a response needs to find its transaction and dialog.
fn unanswerable(msg: &Message) -> Result<(), Fault> {
    for name in MANDATORY {
        let value = msg.header(name).ok_or(Fault::Missing(name))?;
        let is_readable = match name {
            Name::Via if msg.is_request() => Via::parse(value).is_some(),
            Name::Via => Via::branch_in(value).is_some(),
            Name::From | Name::To => is_party(value),
            Name::CSeq => cseq(msg).is_ok(),
            _ => !value.is_empty(),
        };
        if !is_readable {
            return Err(Fault::Malformed(name));
        }
    }
    Ok(())
}

/// RFC 3261 8.1.1: without these nothing can be answered or matched. Max-Forwards is mandatory too, but RFC 2543 elements
/// do not send it and nothing breaks without.
const MANDATORY: [Name; 5] = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];

/// What one walk over a request's fields finds.
struct Census {
    /// How often each name occurs; 255 means that often or more.
    count: [u8; Name::COUNT],
    /// The first field that is needed and has no valid value.
    malformed: Option<Fault>,
    /// The first limit that the fields go beyond which are read. The others count only as part of the message.
    beyond: Option<Fault>,
}

impl Census {
    fn of(msg: &Message) -> Self {
        let mut census = Self { count: [0; Name::COUNT], malformed: None, beyond: None };
        let mut read = 0;
        for (name, _, value) in msg.all_headers() {
            let row = row(name);
            if row.is_read() {
                read += 1;
                if value.len() > MAX_VALUE {
                    census.beyond.get_or_insert(Fault::ValueTooLong(name));
                } else if read > MAX_HEADERS {
                    census.beyond.get_or_insert(Fault::TooManyHeaders);
                }
            }
            let count = &mut census.count[name as usize];
            *count = count.saturating_add(1);
            if row.is_strict_in(msg.method())
                && let Err(fault) = readable(name, value, msg.method(), *count == 1)
            {
                census.malformed.get_or_insert(fault);
            }
        }
        census
    }

    fn mandatory(&self) -> Result<(), Fault> {
        match MANDATORY.into_iter().find(|&name| self.count[name as usize] == 0) {
            Some(name) => Err(Fault::Missing(name)),
            None => Ok(()),
        }
    }

    /// What is needed and occurs twice has been forged or says two things. A REGISTER may have many Contacts.
    fn once(&self, method: &Method) -> Result<(), Fault> {
        let once =
            [Name::CallId, Name::CSeq, Name::From, Name::To, Name::MaxForwards, Name::Contact].into_iter();
        let needed = once.filter(|&name| row(name).is_strict_in(method));
        let is_list = |name: Name| name == Name::Contact && *method == Method::Register;
        match needed.filter(|&name| !is_list(name)).find(|&name| self.count[name as usize] > 1) {
            Some(name) => Err(Fault::Duplicate(name)),
            None => Ok(()),
        }
    }
}

/// Whether a field that is needed holds what it must.
fn readable(name: Name, value: &str, method: &Method, is_first: bool) -> Result<(), Fault> {
    let is_readable = match name {
        Name::Via if is_first => is_via(value),
        // The responses of those before us are not ours to route.
        Name::Via => Via::is_like(value),
        Name::From | Name::To => is_party(value),
        Name::Contact if *method == Method::Register => is_contact(value),
        Name::Contact => return target(value),
        Name::CallId => !value.is_empty(),
        Name::MaxForwards => codec::max_forwards(value).is_some(),
        _ => true,
    };
    if is_readable { Ok(()) } else { Err(Fault::Malformed(name)) }
}

/// The method of a CSeq that can be read.
fn cseq(msg: &Message) -> Result<&str, Fault> {
    let (number, method) =
        msg.header(Name::CSeq).and_then(codec::cseq).ok_or(Fault::Malformed(Name::CSeq))?;
    // RFC 3261 8.1.1.5: less than 2^31.
    if number > i32::MAX as u32 || !text::is_token(method.as_bytes()) {
        return Err(Fault::Malformed(Name::CSeq));
    }
    Ok(method)
}

/// A REGISTER that removes all bindings says so alone, with Expires 0 (RFC 3261 10.2.2).
fn star(msg: &Message, census: &Census) -> Result<(), Fault> {
    if *msg.method() != Method::Register || !msg.headers(Name::Contact).any(|value| value == "*") {
        return Ok(());
    }
    match census.count[Name::Contact as usize] == 1 && msg.expires() == Some(0) {
        true => Ok(()),
        false => Err(Fault::Star),
    }
}

fn is_via(value: &str) -> bool {
    Via::parse(value).is_some_and(|via| via.host() != Host::Name("") && text::quotes_close(value))
}

/// From and To identify a dialog by their tags; the URI is of interest to few. Foreign schemes are allowed: a party in
/// another kind of network concerns nobody.
fn is_party(value: &str) -> bool {
    NameAddr::parse(value).is_ok() && text::quotes_close(value)
}

fn is_address(value: &str) -> bool {
    NameAddr::parse(value).is_ok_and(|addr| addr.uri().is_ok())
}

fn is_contact(value: &str) -> bool {
    matches!(ContactValue::parse(value), Some(ContactValue::Star)) || is_address(value)
}

/// Where the peer is to be reached: one SIP or SIPS URI (RFC 3261 8.1.1.8).
fn target(value: &str) -> Result<(), Fault> {
    let addr = NameAddr::parse(value).map_err(|_| Fault::Malformed(Name::Contact))?;
    match addr.uri().map(|uri| uri.scheme()) {
        Ok(Scheme::Sip | Scheme::Sips) => Ok(()),
        Ok(Scheme::Tel | Scheme::Other) => Err(Fault::ContactScheme),
        Err(_) => Err(Fault::Malformed(Name::Contact)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Transport, lex};
    use super::*;

    const HEAD: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:f@a>;tag=1\r\nTo: <sip:t@a>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";

    fn check(text: &str) -> Result<(), Fault> {
        validate(&lex(Bytes::from(text.to_owned()), Transport::Datagram).unwrap())
    }

    fn with(extra: &str) -> Result<(), Fault> {
        check(&format!("INVITE sip:t@a SIP/2.0\r\n{HEAD}{extra}\r\n"))
    }

    #[test]
    fn a_plain_request_has_no_fault() {
        assert_eq!(with(""), Ok(()));
        assert_eq!(with("Max-Forwards: 70\r\nContact: <sip:f@a>\r\nExpires: 1e9\r\n"), Ok(()));
        assert_eq!(check(&format!("INVITE tel:+1 SIP/2.0\r\n{HEAD}\r\n")), Ok(()));
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(with("CSeq: 2 INVITE\r\n"), Err(Fault::Duplicate(Name::CSeq)));
        assert_eq!(with("Max-Forwards: 300\r\n"), Err(Fault::Malformed(Name::MaxForwards)));
        assert_eq!(with("Content-Length: 9\r\n"), Err(Fault::BodyShort));
        assert_eq!(with("Content-Length: 99999\r\n"), Err(Fault::BodyTooLong));
        assert_eq!(with("Contact: \"Joe <sip:x@y>\r\n"), Err(Fault::Malformed(Name::Contact)));
        for scheme in ["tel:+1", "<mailto:a@b>", "urn:x"] {
            assert_eq!(with(&format!("Contact: {scheme}\r\n")), Err(Fault::ContactScheme), "{scheme}");
        }
        assert_eq!(with("Contact: <sip:a@b>, <sip:c@d>\r\n"), Err(Fault::Duplicate(Name::Contact)));
        assert_eq!(with("m: <sip:a@b>\r\nm: <sip:c@d>\r\n"), Err(Fault::Duplicate(Name::Contact)));
        assert_eq!(with("Contact: *\r\n"), Err(Fault::Malformed(Name::Contact)));
        let via = HEAD.replace("SIP/2.0/UDP a;", "SIP/2.0/UDP ;");
        assert_eq!(check(&format!("INVITE sip:t@a SIP/2.0\r\n{via}\r\n")), Err(Fault::Malformed(Name::Via)));
        assert_eq!(with("Via: SIP/2.0/UDP ;\r\n"), Ok(()), "of an element before");
        assert_eq!(check(&format!("BYE sip:t@a SIP/2.0\r\n{HEAD}\r\n")), Err(Fault::CseqMethod));
        let line = |line: &str| check(&format!("{line}\r\n{HEAD}\r\n"));
        assert_eq!(line("INVITE sip:t@a SIP/3.0"), Err(Fault::Version));
        assert_eq!(line("INVITE  sip:t@a SIP/2.0"), Err(Fault::Uri));
        assert_eq!(line("INVITE <sip:t@a> SIP/2.0"), Err(Fault::Uri));
        assert_eq!(line("INVITE urn:x SIP/2.0"), Err(Fault::UriScheme));
        assert_eq!(
            line(&format!("INVITE sip:{}@a SIP/2.0", "u".repeat(MAX_REQUEST_URI))),
            Err(Fault::UriTooLong)
        );
        let long = format!("INVITE sip:t@a SIP/2.0\r\n{HEAD}\r\n{}", "v".repeat(MAX_BODY + 1));
        assert_eq!(check(&long), Err(Fault::BodyTooLong));
        let long = line(&format!("INVITE sip:t@a SIP/2.0\r\nX: {}", "u".repeat(MAX_VALUE + 1)));
        assert_eq!(long, Err(Fault::ValueTooLong(Name::SessionExpires)));
        for count in [MAX_HEADERS, 1_100] {
            let many = "X: 1\r\n".repeat(count);
            assert_eq!(
                check(&format!("INVITE sip:t@a SIP/2.0\r\n{HEAD}{many}\r\n")),
                Err(Fault::TooManyHeaders)
            );
        }
    }

    /// RFC 3261 section 8.2.2.
    #[test]
    fn what_is_not_read_decides_about_no_request() {
        let long = format!("Identity: {}\r\nX-Own: {}\r\n", "a".repeat(9_000), "b".repeat(9_000));
        let many = format!("Accept-Language: {}\r\n{}", "en, ".repeat(700), "X-Own: 1\r\n".repeat(700));
        for method in ["INVITE", "REGISTER", "OPTIONS", "BYE", "CANCEL", "INFO"] {
            for odd in
                ["Organization Acme\r\n", "X-Tag[1]: 5\r\n", "X-B\u{fc}ro: 1\r\n", ": 1\r\n", &long, &many]
            {
                let head = HEAD.replace("INVITE", method);
                for text in [format!("{odd}{head}"), format!("{head}{odd}")] {
                    let text = format!("{method} sip:t@a SIP/2.0\r\n{text}\r\n");
                    assert_eq!(check(&text), Ok(()), "{method} {odd:.40}");
                }
            }
        }
        assert_eq!(with("odd line\r\nContent-Length: 9\r\n"), Err(Fault::BodyShort), "it hides nothing");
        let lost = HEAD.replace("Call-ID: c", "Call-ID c");
        assert_eq!(
            check(&format!("INVITE sip:t@a SIP/2.0\r\n{lost}\r\n")),
            Err(Fault::Missing(Name::CallId))
        );
    }

    #[test]
    fn a_goodbye_is_refused_for_nothing_but_what_names_its_call() {
        let too_long = format!("Subject: s\r\nx: {}\r\n\r\n", "9".repeat(MAX_VALUE + 1));
        let too_many = format!("{}\r\n", "x: 90\r\n".repeat(1_100));
        let too_much = format!("\r\n{}", "b".repeat(MAX_BODY + 1));
        for odd in
            ["Content-Length: 99\r\n\r\n", "Content-Length: x\r\n\r\n", &too_long, &too_many, &too_much]
        {
            for method in ["BYE", "CANCEL"] {
                let head = HEAD.replace("INVITE", method);
                assert_eq!(
                    check(&format!("{method} sip:t@a SIP/2.0\r\n{head}{odd}")),
                    Ok(()),
                    "{method} {odd:.40}"
                );
            }
            assert_ne!(check(&format!("INVITE sip:t@a SIP/2.0\r\n{HEAD}{odd}")), Ok(()), "{odd:.40}");
        }
        let twice = format!("{}Call-ID: other\r\n", HEAD.replace("INVITE", "BYE"));
        assert_eq!(
            check(&format!("BYE sip:t@a SIP/2.0\r\n{twice}\r\n")),
            Err(Fault::Duplicate(Name::CallId))
        );
    }

    #[test]
    fn each_mandatory_field_is_missed() {
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            let head: String =
                HEAD.split_inclusive("\r\n").filter(|line| !line.starts_with(name.as_str())).collect();
            assert_eq!(check(&format!("INVITE sip:t@a SIP/2.0\r\n{head}\r\n")), Err(Fault::Missing(name)));
        }
    }

    #[test]
    fn what_cannot_be_refused_is_judged_by_what_it_needs() {
        let head = HEAD.replace("INVITE", "ACK");
        for broken in ["Content-Length: 9\r\n", "no field\r\n", "To: <sip:t@a>\r\n", "Contact: \"\r\n"] {
            assert_eq!(check(&format!("ACK sip:t@a SIP/2.0\r\n{head}{broken}\r\n")), Ok(()), "{broken}");
            assert_eq!(check(&format!("SIP/3.0 200 OK\r\n{HEAD}{broken}\r\n")), Ok(()), "{broken}");
        }
        assert_eq!(check(&format!("SIP/2.0 20 OK\r\n{HEAD}\r\n")), Err(Fault::StatusLine));
        for (name, odd) in [
            (Name::Via, "Via: SIP/2.0/UDP a"),
            (Name::From, "From: \"f <sip:f@a>;tag=1"),
            (Name::To, "To: <sip:t@a"),
            (Name::CSeq, "CSeq: one INVITE"),
        ] {
            let line = |line: &&str| line.starts_with(name.as_str());
            let head = HEAD.split_inclusive("\r\n").map(|it| if line(&it) { odd } else { it.trim_end() });
            let text = format!("SIP/2.0 200 OK\r\n{}\r\n\r\n", head.collect::<Vec<_>>().join("\r\n"));
            assert_eq!(check(&text), Err(Fault::Malformed(name)), "{odd}");
        }
    }

    #[test]
    fn a_star_stands_alone_with_expires_zero() {
        let register = |extra: &str| {
            check(&format!("REGISTER sip:a SIP/2.0\r\n{}{extra}\r\n", HEAD.replace("INVITE", "REGISTER")))
        };
        assert_eq!(register("Contact: *\r\nExpires: 0\r\n"), Ok(()));
        for extra in
            ["Contact: *\r\n", "Contact: *\r\nExpires: 5\r\n", "Contact: *, <sip:a@b>\r\nExpires: 0\r\n"]
        {
            assert_eq!(register(extra), Err(Fault::Star), "{extra}");
        }
    }
}
