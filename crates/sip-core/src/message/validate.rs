//! What is wrong with a message that could be read.

use super::{ContactValue, Defect, Host, Message, Method, Name, NameAddr, Params, Scheme, Uri, Via};
use super::{codec, text};

/// The longest Request-URI we take, in octets; longer ones are answered 414.
pub const MAX_REQUEST_URI: usize = 2048;
/// The longest value of a header field we take, in octets.
pub const MAX_VALUE: usize = 8192;
/// The longest body we take, in octets: several times what a session description with everything in it needs.
pub const MAX_BODY: usize = 16_384;
/// The most header fields (or elements of lists) we take.
pub const MAX_HEADERS: usize = 256;

/// Why a message cannot be served. A response with a fault is dropped; a request is refused for
/// [`Refusal::of`](crate::refusal::Refusal::of) the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The body is shorter than Content-Length says.
    BodyShort,
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
    /// A line is no header field.
    HeaderLine,
    /// A field has no valid value.
    Malformed(Name),
    /// A field that must be there is not.
    Missing(Name),
    /// The start line is malformed.
    StartLine,
    /// There are more than [`MAX_HEADERS`] header fields.
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
            Self::ContentLength => "Content-Length is not one number.",
            Self::CseqMethod => "CSeq names another method than the request line.",
            Self::Duplicate(name) => match name {
                Name::CallId => "There is more than one Call-ID.",
                Name::CSeq => "There is more than one CSeq.",
                Name::From => "There is more than one From.",
                Name::To => "There is more than one To.",
                _ => "A header field that may occur once occurs more often.",
            },
            Self::HeadUnfinished => "No empty line ends the header fields.",
            Self::HeaderLine => "A line among the header fields is not one.",
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
            Self::StartLine => "The request line is malformed.",
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
            Defect::HeaderLine => Self::HeaderLine,
            Defect::StartLine => Self::StartLine,
            Defect::TooManyHeaders => Self::TooManyHeaders,
        }
    }
}

/// Checks everything a request or response must have before anyone acts on it. The version comes first: a message of
/// another version may look different in every other way.
pub fn validate(msg: &Message) -> Result<(), Fault> {
    start(msg)?;
    match msg.0.defect {
        // Cut off a stream because it says to be too long: its body was not waited for.
        Some(Defect::BodyShort) if msg.is_request() && content_length(msg) > MAX_BODY => {
            return Err(Fault::BodyTooLong);
        }
        Some(defect) => return Err(defect.into()),
        None => {}
    }
    let census = Census::of(msg)?;
    census.mandatory()?;
    if msg.is_request() && msg.body().len() > MAX_BODY {
        return Err(Fault::BodyTooLong);
    }
    cseq(msg)?;
    census.malformed.map_or(Ok(()), |name| Err(Fault::Malformed(name)))?;
    star(msg, &census)
}

/// What Content-Length says; nothing where it cannot be read.
fn content_length(msg: &Message) -> usize {
    msg.header(Name::ContentLength).and_then(|value| text::decimal(value.trim())).unwrap_or_default()
}

fn start(msg: &Message) -> Result<(), Fault> {
    if !msg.version_is_supported() {
        return Err(Fault::Version);
    }
    if !msg.is_request() {
        return Ok(());
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

/// What one walk over the fields finds.
struct Census {
    /// How often each name occurs; 255 means that often or more.
    count: [u8; Name::COUNT],
    /// The first field whose value cannot be read.
    malformed: Option<Name>,
}

/// Fields that may occur only once; one that occurs twice has been forged or says two things.
const ONCE: [Name; 12] = [
    Name::CallId,
    Name::ContentType,
    Name::CSeq,
    Name::Event,
    Name::Expires,
    Name::From,
    Name::MaxForwards,
    Name::RAck,
    Name::ReferTo,
    Name::Replaces,
    Name::SessionExpires,
    Name::To,
];

impl Census {
    fn of(msg: &Message) -> Result<Self, Fault> {
        if msg.header_count() > MAX_HEADERS {
            return Err(Fault::TooManyHeaders);
        }
        let mut census = Self { count: [0; Name::COUNT], malformed: None };
        for (name, _, value) in msg.all_headers() {
            if value.len() > MAX_VALUE {
                return Err(Fault::ValueTooLong(name));
            }
            let count = &mut census.count[name as usize];
            *count = count.saturating_add(1);
            if !is_readable(name, value) {
                census.malformed.get_or_insert(name);
            }
        }
        Ok(census)
    }

    /// RFC 3261 8.1.1: without these nothing can be answered or matched. Max-Forwards is mandatory too, but RFC 2543
    /// elements do not send it and nothing breaks without.
    fn mandatory(&self) -> Result<(), Fault> {
        let mandatory = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
        if let Some(name) = mandatory.into_iter().find(|&name| self.count[name as usize] == 0) {
            return Err(Fault::Missing(name));
        }
        match ONCE.into_iter().find(|&name| self.count[name as usize] > 1) {
            Some(name) => Err(Fault::Duplicate(name)),
            None => Ok(()),
        }
    }
}

/// Whether the value is what its field must hold, for the fields we act on. An Expires that is no number may be read
/// as one hour (RFC 3261 10.3), so it is not refused.
fn is_readable(name: Name, value: &str) -> bool {
    match name {
        Name::Via => is_via(value),
        Name::From | Name::To | Name::Route | Name::RecordRoute | Name::Path | Name::ReferTo => {
            is_address(value)
        }
        Name::Contact => is_contact(value),
        Name::CallId => !value.is_empty(),
        Name::MaxForwards => codec::max_forwards(value).is_some(),
        _ => true,
    }
}

fn cseq(msg: &Message) -> Result<(), Fault> {
    let (number, method) =
        msg.header(Name::CSeq).and_then(codec::cseq).ok_or(Fault::Malformed(Name::CSeq))?;
    // RFC 3261 8.1.1.5: less than 2^31.
    if number > i32::MAX as u32 || !text::is_token(method.as_bytes()) {
        return Err(Fault::Malformed(Name::CSeq));
    }
    match msg.is_request() && method != msg.method().as_str() {
        true => Err(Fault::CseqMethod),
        false => Ok(()),
    }
}

/// A REGISTER that removes all bindings says so alone, with Expires 0 (RFC 3261 10.2.2).
fn star(msg: &Message, census: &Census) -> Result<(), Fault> {
    let is_register = *msg.method() == Method::Register && msg.is_request();
    if !is_register || !msg.headers(Name::Contact).any(|value| value == "*") {
        return Ok(());
    }
    match census.count[Name::Contact as usize] == 1 && msg.expires() == Some(0) {
        true => Ok(()),
        false => Err(Fault::Malformed(Name::Contact)),
    }
}

fn is_via(value: &str) -> bool {
    Via::parse(value).is_some_and(|via| via.host() != Host::Name("") && well_formed(via.params()))
}

/// Foreign schemes are allowed here: a From or To of another kind of network concerns nobody.
fn is_address(value: &str) -> bool {
    NameAddr::parse(value).is_ok_and(|addr| addr.uri().is_ok() && well_formed(addr.params()))
}

fn is_contact(value: &str) -> bool {
    match ContactValue::parse(value) {
        Some(ContactValue::Star) => true,
        Some(ContactValue::Addr(addr)) => addr.uri().is_ok() && well_formed(addr.params()),
        None => false,
    }
}

/// Names are tokens, and a quotation that opens also closes.
fn well_formed(params: Params<'_>) -> bool {
    params.iter().all(|(name, value)| text::is_token(name.as_bytes()) && value.is_none_or(is_param_value))
}

fn is_param_value(value: &str) -> bool {
    match value.starts_with('"') {
        true => text::quoted_end(value.as_bytes(), 0) == Some(value.len()),
        false => !value.bytes().any(|byte| matches!(byte, b'"' | b'<' | b'>')),
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
        assert_eq!(with("no field\r\n"), Err(Fault::HeaderLine));
        assert_eq!(with("Content-Length: 9\r\n"), Err(Fault::BodyShort));
        assert_eq!(with("Content-Length: 99999\r\n"), Err(Fault::BodyTooLong));
        assert_eq!(with("Contact: \"Joe <sip:x@y>\r\n"), Err(Fault::Malformed(Name::Contact)));
        assert_eq!(with("Via: SIP/2.0/UDP ;\r\n"), Err(Fault::Malformed(Name::Via)));
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
        assert_eq!(
            check(&format!("INVITE sip:t@a SIP/2.0\r\n{HEAD}{}\r\n", "X: 1\r\n".repeat(MAX_HEADERS))),
            Err(Fault::TooManyHeaders)
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
    fn a_star_stands_alone_with_expires_zero() {
        let register = |extra: &str| {
            check(&format!("REGISTER sip:a SIP/2.0\r\n{}{extra}\r\n", HEAD.replace("INVITE", "REGISTER")))
        };
        assert_eq!(register("Contact: *\r\nExpires: 0\r\n"), Ok(()));
        for extra in
            ["Contact: *\r\n", "Contact: *\r\nExpires: 5\r\n", "Contact: *, <sip:a@b>\r\nExpires: 0\r\n"]
        {
            assert_eq!(register(extra), Err(Fault::Malformed(Name::Contact)), "{extra}");
        }
    }
}
