//! A SIP message as received: octets, and where in them each thing stands.
//!
//! [`lex`] makes a [`Message`] of whatever can be represented as one; [`validate`] says what is wrong with it and
//! which status is owed. Every view ([`Via`], [`NameAddr`], [`Uri`], [`Params`]) borrows from the message and keeps
//! its text as received. [`MessageWriter`] writes messages of our own, [`StreamFramer`] cuts a stream into messages.

mod addr;
mod build;
mod codec;
mod compact;
mod fields;
mod frame;
mod lex;
mod method;
mod name;
mod params;
mod phrase;
mod reason;
mod repair;
pub(crate) mod text;
mod uri;
mod validate;
mod via;
mod write;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

pub use addr::{ContactValue, MalformedAddr, NameAddr};
pub use build::response_to;
#[doc(hidden)]
pub use codec::rsip_reads;
pub(crate) use compact::compact;
pub use fields::{Reading, Row, row};
pub use frame::{Frame, FrameError, StreamFramer};
pub use lex::{LexError, Transport, lex};
pub use method::Method;
pub use name::Name;
pub use params::Params;
pub(crate) use params::is_param;
pub use phrase::reason_phrase;
pub use reason::{cause_of_status, q850_cause, q850_cause_in};
pub(crate) use repair::repaired;
pub use uri::{Host, Scheme, Uri, UriError};
pub use validate::{Fault, MAX_BODY, MAX_HEADERS, MAX_REQUEST_URI, MAX_VALUE, validate};
pub use via::Via;
pub use write::{MessageWriter, Room};

/// The longest message we read, in octets: what one UDP datagram can hold, kept as the limit on streams too.
pub const MAX_MESSAGE: usize = 65_535;

/// A message as received. Cloning it copies a reference count.
#[derive(Clone, Debug)]
pub struct Message(Arc<Parsed>);

/// Where everything stands. All spans point into `head`, which has the same offsets as `bytes`.
#[derive(Debug)]
struct Parsed {
    /// As received, from the start line on.
    bytes: Bytes,
    /// Start line and header fields as text: the same octets, unless something had to be unfolded.
    head: ByteString,
    start: Start,
    fields: SmallVec<[Field; 32]>,
    body: Range<usize>,
    defect: Option<Defect>,
}

#[derive(Debug)]
enum Start {
    Request {
        method: Method,
        uri: Span,
        version: Span,
    },
    /// A status of `None` is one that not even its class can be told of.
    Response {
        version: Span,
        status: Option<u16>,
        reason: Span,
        method: Method,
    },
}

/// One header field, or one element of a field that is a list. Ten octets, so 32 of them fit a cache-friendly array.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Name,
    label: Span,
    value: Span,
}

/// A part of a message; `MAX_MESSAGE` makes sixteen bits enough.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u16,
    end: u16,
}

/// What the lexer could read past, but a message should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// The body is shorter than Content-Length says.
    BodyShort,
    /// Content-Length is no number, or says two things.
    ContentLength,
    /// No empty line ends the header fields.
    HeadUnfinished,
    /// The start line has blanks where none belong.
    StartLine,
    /// The status is not three digits from 100 to 699.
    StatusLine,
    /// More header fields than we keep.
    TooManyHeaders,
}

impl Span {
    fn of(self, head: &str) -> &str {
        // Spans end at ASCII delimiters of the very text they index, so they are always inside and on boundaries.
        head.get(usize::from(self.start)..usize::from(self.end)).unwrap_or("")
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl Message {
    /// Whether this is a request; otherwise it is a response.
    pub fn is_request(&self) -> bool {
        matches!(self.0.start, Start::Request { .. })
    }

    /// The request line's method; for a response the one of its CSeq (empty when it has none).
    pub fn method(&self) -> &Method {
        match &self.0.start {
            Start::Request { method, .. } | Start::Response { method, .. } => method,
        }
    }

    /// The Request-URI as received; empty for a response.
    pub fn request_uri(&self) -> &str {
        match self.0.start {
            Start::Request { uri, .. } => self.text(uri),
            Start::Response { .. } => "",
        }
    }

    /// The same request with another Request-URI; `None` if that makes it too long, or none.
    pub fn with_request_uri(&self, uri: &str) -> Option<Self> {
        let Start::Request { uri: span, .. } = &self.0.start else { return None };
        let (bytes, place) = (&self.0.bytes, span.range());
        let mut text = Vec::with_capacity(bytes.len() + uri.len());
        text.extend_from_slice(bytes.get(..place.start)?);
        text.extend_from_slice(uri.as_bytes());
        text.extend_from_slice(bytes.get(place.end..)?);
        lex(Bytes::from(text), Transport::Datagram).ok()
    }

    /// The status code, 100..=699; 0 for a request. One that is malformed counts as the first of its class, or as 600
    /// where not even that can be told.
    pub fn status(&self) -> u16 {
        match self.0.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status.unwrap_or(600),
        }
    }

    /// Whether a response says whether it accepts or refuses.
    pub fn has_status(&self) -> bool {
        matches!(self.0.start, Start::Response { status: Some(_), .. })
    }

    /// The start line as received.
    fn start_line(&self) -> &[u8] {
        let bytes = &self.0.bytes[..];
        let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        bytes[..end].trim_ascii_end()
    }

    /// The reason phrase of the status line; empty for a request.
    pub fn reason_phrase(&self) -> &str {
        match self.0.start {
            Start::Request { .. } => "",
            Start::Response { reason, .. } => self.text(reason),
        }
    }

    /// Whether the start line says `SIP/2.0`, in any case (RFC 3261 7.1).
    pub fn version_is_supported(&self) -> bool {
        self.version().trim_end().eq_ignore_ascii_case("SIP/2.0")
    }

    fn version(&self) -> &str {
        match self.0.start {
            Start::Request { version, .. } | Start::Response { version, .. } => self.text(version),
        }
    }

    /// The first value of a name: trimmed, unfolded, and the first element where the field is a list.
    pub fn header(&self, name: Name) -> Option<&str> {
        self.headers(name).next()
    }

    /// All values of a name in order, one per element where the field is a list.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &str> {
        self.0.fields.iter().filter(move |field| field.name == name).map(|field| self.text(field.value))
    }

    /// The first value of a field by its received name, without case: for names not in [`Name`].
    pub fn header_named(&self, name: &str) -> Option<&str> {
        self.all_headers().find(|(_, label, _)| label.eq_ignore_ascii_case(name)).map(|(.., value)| value)
    }

    /// Every field in order: its name, the name as received, the value. Lists come one element at a time.
    pub fn all_headers(&self) -> impl Iterator<Item = (Name, &str, &str)> {
        self.0.fields.iter().map(|field| (field.name, self.text(field.label), self.text(field.value)))
    }

    /// How many header fields there are, each element of a list counted.
    pub fn header_count(&self) -> usize {
        self.0.fields.len()
    }

    /// The body, binary, cut by Content-Length.
    pub fn body(&self) -> &[u8] {
        &self.0.bytes[self.0.body.clone()]
    }

    /// The body without copying it.
    pub fn body_bytes(&self) -> Bytes {
        self.0.bytes.slice(self.0.body.clone())
    }

    /// The message as received, from its start line on.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The topmost Via; `None` when there is none or it cannot be read.
    pub fn top_via(&self) -> Option<Via<'_>> {
        Via::parse(self.header(Name::Via)?)
    }

    /// The octets as received of a part of the head that one of the views gave, where foreign encodings are.
    pub fn octets_of<'a>(&'a self, part: &'a str) -> &'a [u8] {
        let start = part.as_ptr().addr().wrapping_sub(self.0.head.as_ptr().addr());
        let is_part = start.checked_add(part.len()).is_some_and(|end| end <= self.0.head.len());
        // The head has the same offsets as the octets.
        if is_part { &self.0.bytes[start..start + part.len()] } else { part.as_bytes() }
    }

    /// The From field; `None` when there is none or it cannot be read.
    pub fn from(&self) -> Option<NameAddr<'_>> {
        NameAddr::parse(self.header(Name::From)?).ok()
    }

    /// The To field; `None` when there is none or it cannot be read.
    pub fn to(&self) -> Option<NameAddr<'_>> {
        NameAddr::parse(self.header(Name::To)?).ok()
    }

    /// The Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.header(Name::CallId)
    }

    /// Sequence number and method of the CSeq (RFC 3261 8.1.1.5: the number is below 2^31; we read any 32 bits).
    pub fn cseq(&self) -> Option<(u32, Method)> {
        let (number, method) = codec::cseq(self.header(Name::CSeq)?)?;
        Some((number, Method::from(method)))
    }

    /// The Max-Forwards, 0..=255; `None` when absent or unreadable ([`validate`] refuses the latter).
    pub fn max_forwards(&self) -> Option<u8> {
        codec::max_forwards(self.header(Name::MaxForwards)?)
    }

    /// The Expires field in seconds; `None` when absent or unreadable.
    pub fn expires(&self) -> Option<u32> {
        codec::seconds(self.header(Name::Expires)?)
    }

    /// The Min-Expires field in seconds; `None` when absent or unreadable.
    pub fn min_expires(&self) -> Option<u32> {
        codec::seconds(self.header(Name::MinExpires)?)
    }

    /// Retry-After in seconds, without its comment and parameters.
    pub fn retry_after(&self) -> Option<u32> {
        let value = self.header(Name::RetryAfter)?;
        text::decimal(value.split([' ', '(', ';', '\t']).next()?)
    }

    /// Whether the peer lists a method in Allow; `None` when it lists none at all.
    pub fn allows(&self, method: &Method) -> Option<bool> {
        let mut methods = self.headers(Name::Allow).peekable();
        methods.peek()?;
        Some(methods.any(|known| known == method.as_str()))
    }

    /// The Contact values that can be read ([`validate`] refuses a request with one that cannot).
    pub fn contacts(&self) -> impl Iterator<Item = ContactValue<'_>> {
        self.headers(Name::Contact).filter_map(ContactValue::parse)
    }

    /// Where the sender is to be reached, as the Request-URI of a request to it: its first Contact that is a SIP or SIPS
    /// URI.
    pub fn target(&self) -> Option<String> {
        self.contacts().find_map(|contact| match contact {
            ContactValue::Addr(addr) => self.request_uri_of(&addr),
            ContactValue::Star => None,
        })
    }

    /// The URI of an address of this message as a Request-URI; `None` if no request can be sent to it.
    pub fn request_uri_of(&self, addr: &NameAddr<'_>) -> Option<String> {
        let raw = text::escape_foreign(self.octets_of(addr.uri_raw()));
        let uri = Uri::parse_leniently(&raw).ok()?;
        matches!(uri.scheme(), Scheme::Sip | Scheme::Sips).then(|| uri.as_request_uri())
    }

    /// Whether an option tag is in `Require`, `Supported` or another list of tags, without case.
    pub fn lists_tag(&self, name: Name, tag: &str) -> bool {
        self.headers(name).any(|known| known.eq_ignore_ascii_case(tag))
    }

    fn text(&self, span: Span) -> &str {
        span.of(&self.0.head)
    }

    /// The octets of a value as received, folds and foreign encodings included.
    fn octets(&self, span: Span) -> &[u8] {
        &self.0.bytes[span.range()]
    }
}
