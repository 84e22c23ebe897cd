//! One pass over the octets: start line, header fields, body. Nothing is copied unless a field is folded.
//!
//! The lexer refuses only what cannot be represented as a message, which is then met with silence. Everything else
//! becomes a [`Message`], perhaps with a defect that `validate` reports, so that it can be answered.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memchr;
use smallvec::SmallVec;
use thiserror::Error;

use super::{Defect, Field, MAX_MESSAGE, Message, Method, Name, Parsed, Span, Start, row, text};

/// Fields beyond this many are not kept; `validate` answers 513 long before (see `MAX_HEADERS`).
const MAX_FIELDS: usize = 1_024;
/// Of fields that the gateway does not read, no more than this many are kept.
const MAX_UNREAD: usize = 512;

/// How the message came, which decides what Content-Length means (RFC 3261 18.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram holds one message: octets past Content-Length are cut, none means the rest is body.
    Datagram,
    /// Content-Length ends the message; none means there is no body.
    Stream,
}

/// Why octets are no SIP message. None of these is owed an answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LexError {
    /// Nothing but line ends.
    #[error("the packet holds nothing but line ends")]
    Empty,
    /// The first line is neither a request line nor a status line.
    #[error("the first line is not SIP")]
    NotSip,
    /// More octets than [`MAX_MESSAGE`].
    #[error("the message is longer than 65535 octets")]
    TooLong,
}

/// Reads one message. See the module for what is refused.
pub fn lex(bytes: Bytes, transport: Transport) -> Result<Message, LexError> {
    // RFC 3261 7.5: line ends before the start line are ignored.
    let blank = bytes.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count();
    let bytes = if blank == 0 { bytes } else { bytes.slice(blank..) };
    match bytes.len() {
        0 => return Err(LexError::Empty),
        1..=MAX_MESSAGE => {}
        _ => return Err(LexError::TooLong),
    }
    let mut lines = Lines { bytes: &bytes, at: 0, folded: false };
    let first = lines.next().ok_or(LexError::Empty)?;
    let mut defect = None;
    let start = start_line(&bytes, first, &mut defect)?;
    let mut head = Head::default();
    let body_start = loop {
        match lines.next() {
            // The end of a datagram is the end of what it holds.
            None if transport == Transport::Datagram => break bytes.len(),
            None => {
                defect.get_or_insert(Defect::HeadUnfinished);
                break bytes.len();
            }
            Some(line) if line.is_empty() => break lines.at,
            Some(line) => head.take(&bytes, line, &mut defect),
        }
    };
    let head_end = lines.at.min(body_start);
    let folded = lines.folded;
    let (fields, head) = (head.fields, head_text(&bytes, head_end, folded));
    let mut parsed = Parsed { bytes, head, start, fields, body: body_start..body_start, defect };
    parsed.cut_body(body_start, transport);
    parsed.take_method_of_response();
    parsed.guess_status();
    Ok(Message(Arc::new(parsed)))
}

/// The logical lines of the head: a line that begins with a blank continues the one before (RFC 3261 7.3.1).
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    at: usize,
    folded: bool,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut from = start;
        while let Some(length) = memchr(b'\n', &self.bytes[from..]) {
            let end = from + length;
            // After an empty line there is the body, which may begin with a blank.
            let is_empty = matches!(self.bytes[start..end], [] | [b'\r']);
            if !is_empty && matches!(self.bytes.get(end + 1), Some(b' ' | b'\t')) {
                self.folded = true;
                from = end + 1;
                continue;
            }
            self.at = end + 1;
            let end = if end > start && self.bytes[end - 1] == b'\r' { end - 1 } else { end };
            return Some(start..end);
        }
        self.at = self.bytes.len();
        (start < self.at).then_some(start..self.at)
    }
}

fn trim(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let part = &bytes[range.clone()];
    let start = range.start + (part.len() - part.trim_ascii_start().len());
    let end = range.end - (part.len() - part.trim_ascii_end().len());
    start..end.max(start)
}

fn span(range: Range<usize>) -> Span {
    let short = |at| u16::try_from(at).expect("a message is at most MAX_MESSAGE octets");
    Span { start: short(range.start), end: short(range.end) }
}

fn start_line(bytes: &[u8], line: Range<usize>, defect: &mut Option<Defect>) -> Result<Start, LexError> {
    let text = &bytes[line.clone()];
    if is_version(text) {
        return Ok(status_line(bytes, line, defect));
    }
    let whole = trim(bytes, line.clone());
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let method_end = text.iter().position(is_blank).ok_or(LexError::NotSip)?;
    let method = &text[..method_end];
    let last_blank = bytes[whole.clone()].iter().rposition(is_blank).ok_or(LexError::NotSip)?;
    let version = whole.start + last_blank + 1..whole.end;
    let uri = line.start + method_end + 1..(whole.start + last_blank).max(line.start + method_end + 1);
    if method.is_empty() || !is_version(&bytes[version.clone()]) {
        return Err(LexError::NotSip);
    }
    // Exactly one space on each side of the URI, and none at the ends (RFC 3261 7.1).
    if whole != line || !text::is_token(method) || bytes[uri.clone()].iter().any(is_blank) || uri.is_empty() {
        *defect = Some(Defect::StartLine);
    }
    let method = Method::from(&*String::from_utf8_lossy(method));
    Ok(Start::Request { method, uri: span(uri), version: span(version) })
}

/// `SIP/2.0 200 OK`. A code that is none is read as the one that RFC 3261 8.1.3.2 has an unknown code be taken for: 183,
/// or the first of its class.
fn status_line(bytes: &[u8], line: Range<usize>, defect: &mut Option<Defect>) -> Start {
    let text = &bytes[line.clone()];
    let version_end = memchr(b' ', text).unwrap_or(text.len());
    let version = span(line.start..line.start + version_end);
    let after = text[version_end..].trim_ascii_start();
    let (code, reason) = after.split_at(after.iter().position(|&byte| byte == b' ').unwrap_or(after.len()));
    let reason = span(trim(bytes, line.end - reason.len()..line.end));
    let status = match code {
        [class @ b'1'..=b'6', tens, ones, rest @ ..]
            if [tens, ones].iter().all(|digit| digit.is_ascii_digit())
                && !rest.first().is_some_and(u8::is_ascii_digit) =>
        {
            Some([class, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0')))
        }
        [b'1', ..] => Some(183),
        [class @ b'2'..=b'6', ..] => Some(u16::from(class - b'0') * 100),
        _ => None,
    };
    if status.is_none() || code.len() != 3 || !code.iter().all(u8::is_ascii_digit) {
        *defect = Some(Defect::StatusLine);
    }
    Start::Response { version, status, reason, method: Method::Other("".into()) }
}

fn is_version(text: &[u8]) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

/// The fields of the head, as far as they are kept.
#[derive(Default)]
struct Head {
    fields: SmallVec<[Field; 32]>,
    /// How many of them the gateway does not read.
    unread: usize,
}

impl Head {
    /// Takes one line. What is no header field is left out, as if it were a field that is not known (RFC 3261 section
    /// 8.2.2: a malformed field that is not needed is ignored); one that is needed is then missing.
    fn take(&mut self, bytes: &[u8], line: Range<usize>, defect: &mut Option<Defect>) {
        let Some(colon) = memchr(b':', &bytes[line.clone()]) else { return };
        // Blanks are allowed before the colon (RFC 3261 7.3.1, HCOLON), none before the name.
        let label = line.start..line.start + bytes[line.start..line.start + colon].trim_ascii_end().len();
        if !text::is_token(&bytes[label.clone()]) {
            return;
        }
        let name = Name::parse(&bytes[label.clone()]);
        let value = trim(bytes, line.start + colon + 1..line.end);
        let mut keep = |value: Range<usize>| {
            let field = Field { name, label: span(label.clone()), value: span(value) };
            self.keep(field, defect);
        };
        if name.is_list() {
            for_each_element(bytes, value, keep);
        } else {
            keep(value);
        }
    }

    /// Fields that the gateway does not read take no room from those that are needed, however many there are.
    fn keep(&mut self, field: Field, defect: &mut Option<Defect>) {
        let is_unread = !row(field.name).is_read();
        if is_unread && self.unread == MAX_UNREAD {
            return;
        }
        if self.fields.len() == MAX_FIELDS {
            defect.get_or_insert(Defect::TooManyHeaders);
            return;
        }
        self.unread += usize::from(is_unread);
        self.fields.push(field);
    }
}

/// Cuts a list at its commas, except those in quoted strings and between `<` and `>`. Empty elements are dropped.
fn for_each_element(bytes: &[u8], list: Range<usize>, mut keep: impl FnMut(Range<usize>)) {
    let mut start = list.start;
    let mut at = list.start;
    // Most lists have one element; the search for a comma is much cheaper than the walk.
    if memchr(b',', &bytes[list.clone()]).is_none() {
        at = list.end;
    }
    let mut bracket = Bracket::default();
    let mut emit = |range: Range<usize>| {
        let element = trim(bytes, range);
        if !element.is_empty() {
            keep(element);
        }
    };
    while at < list.end {
        match bytes[at] {
            b',' => {
                emit(start..at);
                at += 1;
                start = at;
            }
            b'"' => at = text::quoted_end(&bytes[..list.end], at).unwrap_or(list.end),
            // A bracket that never closes swallows the rest, like a quotation: looking on would cost the square.
            b'<' => at = bracket.end(&bytes[..list.end], at),
            _ => at += 1,
        }
    }
    emit(start..list.end);
}

/// Finds the ends of a list's brackets, as `NameAddr` reads each of them.
#[derive(Default)]
struct Bracket {
    /// No bracket from here on ends outside quotations. Quotations do not count any more: to look through the rest of the
    /// list again for each bracket would take quadratic time.
    is_quoted: bool,
}

impl Bracket {
    /// The place after the bracket that opens at `at`.
    fn end(&mut self, bytes: &[u8], at: usize) -> usize {
        let inside = &bytes[at + 1..];
        let Some(plain) = memchr(b'>', inside) else { return bytes.len() };
        let has_quotes = !self.is_quoted && memchr(b'"', &inside[..plain]).is_some();
        let unquoted = has_quotes.then(|| text::unquoted_bracket_end(inside)).flatten();
        self.is_quoted |= has_quotes && unquoted.is_none();
        at + unquoted.unwrap_or(plain) + 2
    }
}

/// The head as text with the offsets of the octets: folds become blanks, octets that are no UTF-8 become `?`.
fn head_text(bytes: &Bytes, end: usize, folded: bool) -> ByteString {
    let raw = bytes.slice(..end);
    if !folded && let Ok(head) = ByteString::try_from(raw.clone()) {
        return head;
    }
    let mut head = String::with_capacity(end);
    for chunk in raw.utf8_chunks() {
        head.push_str(chunk.valid());
        head.extend(chunk.invalid().iter().map(|_| '?'));
    }
    // Values are trimmed, so a line end inside one can only be a fold; those between fields are outside every span.
    ByteString::from(head.replace(['\r', '\n'], " "))
}

impl Parsed {
    fn cut_body(&mut self, start: usize, transport: Transport) {
        let rest = self.bytes.len() - start;
        let length = match self.content_length() {
            Ok(Some(length)) if length > rest => {
                self.defect.get_or_insert(Defect::BodyShort);
                rest
            }
            Ok(Some(length)) => length,
            Ok(None) if transport == Transport::Stream => 0,
            Ok(None) => rest,
            Err(defect) => {
                self.defect.get_or_insert(defect);
                rest
            }
        };
        self.body = start..start + length;
    }

    /// Two Content-Length fields that agree are harmless; two that do not are an attempt to smuggle.
    fn content_length(&self) -> Result<Option<usize>, Defect> {
        let mut found = None;
        for field in self.fields.iter().filter(|field| field.name == Name::ContentLength) {
            let length = text::decimal(field.value.of(&self.head)).ok_or(Defect::ContentLength)?;
            if found.replace(length).is_some_and(|before| before != length) {
                return Err(Defect::ContentLength);
            }
        }
        Ok(found)
    }

    /// Without a tag in To nothing is answered yet: a 100 alone may lack it (RFC 3261 8.2.6.2).
    fn guess_status(&mut self) {
        let Start::Response { status: status @ None, .. } = &mut self.start else { return };
        let to = self.fields.iter().find(|field| field.name == Name::To);
        let value = to.map(|field| field.value.of(&self.head).to_ascii_lowercase());
        if !value.is_some_and(|value| value.contains(";tag=")) {
            *status = Some(100);
        }
    }

    fn take_method_of_response(&mut self) {
        let cseq = self.fields.iter().find(|field| field.name == Name::CSeq);
        // The last word, whatever stands where the number should.
        let named = cseq.and_then(|field| field.value.of(&self.head).split_ascii_whitespace().next_back());
        let named = named.map(Method::from);
        if let (Start::Response { method, .. }, Some(named)) = (&mut self.start, named) {
            *method = named;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(text: &'static str) -> Message {
        lex(Bytes::from_static(text.as_bytes()), Transport::Datagram).unwrap()
    }

    #[test]
    fn reads_a_request() {
        let message = datagram(
            "INVITE sip:+4930@example.com;user=phone SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b\r\n\
             To : <sip:x@y>\r\nSubject: one\r\n  two\r\nX-Own: 5\r\nl: 3\r\n\r\nabcdef",
        );
        assert!(message.is_request());
        assert_eq!(message.method(), &Method::Invite);
        assert_eq!(message.request_uri(), "sip:+4930@example.com;user=phone");
        assert!(message.version_is_supported());
        assert_eq!(
            message.headers(Name::Via).collect::<Vec<_>>(),
            ["SIP/2.0/UDP a;branch=z9hG4bK1", "SIP/2.0/TCP b"]
        );
        assert_eq!(message.header(Name::To), Some("<sip:x@y>"));
        assert_eq!(message.header(Name::Subject), Some("one    two"));
        assert_eq!(message.header_named("x-own"), Some("5"));
        assert_eq!(message.body(), b"abc");
        assert_eq!(message.0.defect, None);
    }

    #[test]
    fn reads_a_response() {
        let message = datagram("SIP/2.0 183 \r\nCSeq: 7 INVITE\r\n\r\n");
        assert_eq!((message.status(), message.reason_phrase()), (183, ""));
        assert_eq!(message.method(), &Method::Invite);
        assert_eq!(message.cseq(), Some((7, Method::Invite)));
    }

    #[test]
    fn what_is_not_sip_is_met_with_silence() {
        for (text, error) in [
            ("", LexError::Empty),
            ("\r\n\r\n", LexError::Empty),
            ("GET / HTTP/1.1\r\n\r\n", LexError::NotSip),
            ("INVITE\r\n\r\n", LexError::NotSip),
        ] {
            assert_eq!(
                lex(Bytes::from_static(text.as_bytes()), Transport::Datagram).err(),
                Some(error),
                "{text}"
            );
        }
    }

    #[test]
    fn a_status_that_is_none_counts_as_the_first_of_its_class() {
        for (line, status) in [
            ("SIP/2.0 2000 OK", 200),
            ("SIP/2.0 2OO OK", 200),
            ("SIP/2.0 486x Busy", 486),
            ("SIP/2.0 18 Ringing", 183),
            ("SIP/2.0 4294967301 better not break the receiver", 400),
            ("SIP/2.0 6", 600),
        ] {
            let message = datagram(format!("{line}\r\n\r\n").leak());
            assert_eq!((message.status(), message.has_status()), (status, true), "{line}");
            assert_eq!(message.0.defect, Some(Defect::StatusLine), "{line}");
        }
        for line in ["SIP/2.0 99 low", "SIP/2.0 OK", "SIP/2.0", "SIP/2.0200 OK", "SIP/2.0 700 high"] {
            let message = datagram(format!("{line}\r\nt: <sip:a>;tag=1\r\n\r\n").leak());
            assert!(!message.has_status(), "{line}");
            let message = datagram(format!("{line}\r\nt: <sip:a>\r\n\r\n").leak());
            assert_eq!((message.status(), message.has_status()), (100, true), "{line}");
        }
        let plain = datagram("SIP/2.0 200\r\n\r\n");
        assert_eq!((plain.status(), plain.reason_phrase(), plain.0.defect), (200, "", None));
    }

    #[test]
    fn a_datagrams_end_is_the_end_of_its_head() {
        for text in ["ACK sip:a SIP/2.0\r\nl: 0\r\n", "ACK sip:a SIP/2.0\r\nl: 0"] {
            let message = datagram(text);
            assert_eq!((message.0.defect, message.header_count()), (None, 1), "{text}");
            let cut = lex(Bytes::from_static(text.as_bytes()), Transport::Stream).unwrap();
            assert_eq!(cut.0.defect, Some(Defect::HeadUnfinished));
        }
    }

    #[test]
    fn content_length_means_what_the_transport_says() {
        let text = "OPTIONS sip:a SIP/2.0\r\n\r\nbody";
        assert_eq!(datagram(text).body(), b"body");
        let stream = lex(Bytes::from_static(text.as_bytes()), Transport::Stream).unwrap();
        assert_eq!(stream.body(), b"");
        assert_eq!(datagram("A sip:a SIP/2.0\r\nl: 9\r\n\r\nx").0.defect, Some(Defect::BodyShort));
        assert_eq!(datagram("A sip:a SIP/2.0\r\nl: -9\r\n\r\nx").0.defect, Some(Defect::ContentLength));
        assert_eq!(
            datagram("A sip:a SIP/2.0\r\nl: 1\r\nl: 0\r\n\r\nx").0.defect,
            Some(Defect::ContentLength)
        );
    }

    #[test]
    fn a_bracket_ends_where_an_address_says_that_it_does() {
        for (list, elements) in [
            ("<sip:a;x=\"b>c,d\">;e=f, <sip:g>", &["<sip:a;x=\"b>c,d\">;e=f", "<sip:g>"][..]),
            ("<sip:a;x=\"b>, <sip:g>", &["<sip:a;x=\"b>", "<sip:g>"]),
            ("<sip:a;x=\"b\\\">c\">,<sip:g>", &["<sip:a;x=\"b\\\">c\">", "<sip:g>"]),
            ("<sip:a, <sip:g", &["<sip:a, <sip:g"]),
        ] {
            let message = datagram(format!("OPTIONS sip:a SIP/2.0\r\nContact: {list}\r\n\r\n").leak());
            assert_eq!(message.headers(Name::Contact).collect::<Vec<_>>(), elements, "{list}");
        }
    }

    #[test]
    fn commas_inside_quotes_and_brackets_separate_nothing() {
        let message = datagram("A sip:a SIP/2.0\r\nm: \"a, b\" <sip:x,y@z>;q=1,, <sip:c@d> , *\r\n\r\n");
        assert_eq!(
            message.headers(Name::Contact).collect::<Vec<_>>(),
            ["\"a, b\" <sip:x,y@z>;q=1", "<sip:c@d>", "*"]
        );
    }

    #[test]
    fn foreign_octets_keep_the_offsets() {
        let raw = b"A sip:a SIP/2.0\r\nf: M\xfcller <sip:m@a>;tag=1\r\nt: <sip:b>\r\n\r\n";
        let message = lex(Bytes::from_static(raw), Transport::Datagram).unwrap();
        assert_eq!(message.header(Name::From), Some("M?ller <sip:m@a>;tag=1"));
        assert_eq!(message.header(Name::To), Some("<sip:b>"));
    }
}
