//! Finding the session description in a message's body.

use bytes::Bytes;
use memchr::memmem;
use thiserror::Error;

use crate::message::{Message, Method, Name, Params};

/// How deep multipart bodies may be nested.
const MAX_DEPTH: usize = 3;

/// Why a body cannot be used; the answer is 415 (RFC 3261 21.4.13).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BodyFault {
    /// The body is compressed or otherwise encoded: the answer names `Accept-Encoding: identity`.
    #[error("the encoding of the body is not supported")]
    Encoding,
    /// The body is of another type than SDP: the answer names `Accept: application/sdp`.
    #[error("the type of the body is not supported")]
    Type,
}

impl BodyFault {
    /// The status owed.
    pub fn status(&self) -> u16 {
        415
    }
}

/// The session description of a message, without copying it; `None` when it has none. A body that its sender marks as
/// optional may be of any type (RFC 3261 20.11). A part that it marks as required has to be understood, where that can
/// still be refused: in a request that gets an answer.
pub fn sdp_body(msg: &Message) -> Result<Option<Bytes>, BodyFault> {
    if msg.body().is_empty() {
        return Ok(None);
    }
    if msg.headers(Name::ContentEncoding).any(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(BodyFault::Encoding);
    }
    let Some(kind) = msg.header(Name::ContentType) else {
        return if msg.body().starts_with(b"v=0") {
            Ok(Some(msg.body_bytes()))
        } else {
            Err(BodyFault::Type)
        };
    };
    let disposition = msg.header(Name::ContentDisposition).unwrap_or("");
    let can_refuse = msg.is_request() && *msg.method() != Method::Ack;
    if split(disposition).0.eq_ignore_ascii_case("early-session") {
        // RFC 3959 section 4: such a session is for those who say that they know it.
        return if is_handled(disposition, "optional") { Ok(None) } else { Err(BodyFault::Type) };
    }
    match find(kind, msg.body_bytes(), Reading { depth: MAX_DEPTH, can_refuse }) {
        Found::Sdp(body) => Ok(Some(body)),
        Found::Nothing => Ok(None),
        Found::Foreign | Found::Missed if is_handled(disposition, "optional") => Ok(None),
        Found::Foreign | Found::Missed => Err(BodyFault::Type),
    }
}

#[derive(Clone, Copy)]
struct Reading {
    /// How many containers may be entered.
    depth: usize,
    /// Whether parts that are required and not understood matter.
    can_refuse: bool,
}

enum Found {
    Sdp(Bytes),
    /// A container without a description in it.
    Nothing,
    Foreign,
    /// A part in it is required, and foreign.
    Missed,
}

fn find(content_type: &str, body: Bytes, reading: Reading) -> Found {
    let (kind, params) = split(content_type);
    if is_sdp(kind) {
        return Found::Sdp(body);
    }
    let is_container = kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    match params.value("boundary") {
        Some(boundary) if is_container && reading.depth > 0 && !boundary.is_empty() => {
            let within = Reading { depth: reading.depth - 1, ..reading };
            // Of alternatives one is enough (RFC 2046 5.1.4).
            let is_choice = kind.eq_ignore_ascii_case("multipart/alternative");
            gather(parts(&body, boundary).map(|part| inside(part, within)), is_choice)
        }
        _ => Found::Foreign,
    }
}

/// What a container's parts are together.
fn gather(parts: impl Iterator<Item = Found>, is_choice: bool) -> Found {
    let (mut description, mut is_missed) = (None, false);
    for part in parts {
        match part {
            Found::Sdp(body) => {
                description.get_or_insert(body);
            }
            Found::Missed => is_missed = true,
            Found::Nothing | Found::Foreign => {}
        }
    }
    match description {
        Some(body) if is_choice || !is_missed => Found::Sdp(body),
        _ if is_missed => Found::Missed,
        _ => Found::Nothing,
    }
}

fn is_sdp(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("application/sdp")
}

/// Whether a description so marked is that of the call (RFC 3261 20.11: without a mark it is).
fn is_of_session(disposition: &str) -> bool {
    let (kind, _) = split(disposition);
    kind.is_empty() || kind.eq_ignore_ascii_case("session")
}

/// The head of a part with each folded field on one line (RFC 5322 2.2.3).
fn unfolded(head: &str) -> String {
    let mut whole = String::with_capacity(head.len());
    for line in head.lines() {
        if !line.starts_with([' ', '\t']) {
            whole.push('\n');
        }
        whole.push_str(line);
    }
    whole
}

fn split(value: &str) -> (&str, Params<'_>) {
    let end = value.find(';').unwrap_or(value.len());
    (value[..end].trim(), Params::new(&value[end..]))
}

/// Whether the sender says how the body is to be handled, and says this. Many senders leave out what RFC 3261 20.11 then
/// takes for required, beside parts that no trunk reads; only what is marked as required is taken at its word.
fn is_handled(disposition: &str, how: &str) -> bool {
    split(disposition).1.value("handling").is_some_and(|handling| handling.eq_ignore_ascii_case(how))
}

/// What stands between the delimiters (RFC 2046 5.1.1), without the line end that belongs to the delimiter. The last
/// part may lack its closing delimiter.
fn parts<'a>(body: &'a Bytes, boundary: &str) -> impl Iterator<Item = Bytes> + use<'a> {
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = memmem::find_iter(body, delimiter.as_bytes())
        .filter(|&at| at == 0 || body[at - 1] == b'\n')
        .chain([body.len()])
        .collect();
    let length = delimiter.len();
    let ranges: Vec<_> = starts.windows(2).map(|pair| pair[0] + length..pair[1]).collect();
    ranges.into_iter().filter(|range| range.start <= range.end).map(|range| {
        let part = body.slice(range);
        let end =
            part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).map_or(part.len(), <[u8]>::len);
        part.slice(..end)
    })
}

/// A part: its own header fields, an empty line, its body.
fn inside(part: Bytes, reading: Reading) -> Found {
    // What follows the closing delimiter is no part.
    if part.starts_with(b"--") {
        return Found::Nothing;
    }
    let Some((head_end, body_start)) = end_of_head(&part) else { return Found::Nothing };
    let Ok(head) = std::str::from_utf8(&part[..head_end]) else { return Found::Nothing };
    let head = unfolded(head);
    let field = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(known, value)| (known.trim().eq_ignore_ascii_case(name)).then_some(value.trim()))
    };
    let is_plain =
        |encoding: &str| ["7bit", "8bit", "binary"].iter().any(|plain| plain.eq_ignore_ascii_case(encoding));
    let disposition = field("Content-Disposition").unwrap_or("");
    let found = match field("Content-Type").or_else(|| field("c")) {
        Some(kind) if field("Content-Transfer-Encoding").is_none_or(is_plain) => {
            find(kind, part.slice(body_start..), reading)
        }
        // The call's own description, in a form that we do not read.
        Some(kind) if is_sdp(split(kind).0) && is_of_session(disposition) => Found::Missed,
        _ => Found::Foreign,
    };
    match found {
        // Of another session than the call's, such as one for early media (RFC 3959).
        Found::Sdp(_)
            if !is_of_session(disposition) && is_handled(disposition, "required") && reading.can_refuse =>
        {
            Found::Missed
        }
        Found::Sdp(_) if !is_of_session(disposition) => Found::Nothing,
        Found::Missed if is_handled(disposition, "optional") => Found::Nothing,
        Found::Foreign | Found::Nothing if reading.can_refuse && is_handled(disposition, "required") => {
            Found::Missed
        }
        found => found,
    }
}

fn end_of_head(part: &[u8]) -> Option<(usize, usize)> {
    let crlf = memmem::find(part, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = memmem::find(part, b"\n\n").map(|at| (at, at + 2));
    [crlf, lf].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use crate::message::{Transport, lex};

    use super::*;

    fn body(head: &str, body: &str) -> Result<Option<Bytes>, BodyFault> {
        let text = format!("INVITE sip:a SIP/2.0\r\n{head}\r\n\r\n{body}");
        sdp_body(&lex(Bytes::from(text), Transport::Datagram).unwrap())
    }

    #[test]
    fn a_plain_description_is_the_body() {
        let found = Ok(Some(Bytes::from_static(b"v=0\r\n")));
        assert_eq!(body("Content-Type: application/sdp", "v=0\r\n"), found);
        assert_eq!(body("c: Application/SDP; charset=utf-8", "v=0\r\n"), found);
        assert_eq!(body("X: 1", "v=0\r\n"), found);
        assert_eq!(body("Content-Type: application/sdp", ""), Ok(None));
    }

    #[test]
    fn other_types_are_refused_unless_optional() {
        assert_eq!(body("Content-Type: text/plain", "hello"), Err(BodyFault::Type));
        assert_eq!(body("X: 1", "hello"), Err(BodyFault::Type));
        assert_eq!(
            body("Content-Type: text/plain\r\nContent-Disposition: render; handling=optional", "hello"),
            Ok(None)
        );
        assert_eq!(
            body("Content-Type: application/sdp\r\nContent-Encoding: gzip", "hello"),
            Err(BodyFault::Encoding)
        );
    }

    /// A description beside a part of another kind, in this container.
    fn beside(container: &str, disposition: &str) -> Result<Option<Bytes>, BodyFault> {
        let text = format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: application/x-foo\r\n\
             {disposition}\r\nfoo\r\n--b--"
        );
        body(&format!("Content-Type: multipart/{container};boundary=b"), &text)
    }

    #[test]
    fn a_part_that_is_required_has_to_be_understood() {
        let found = Ok(Some(Bytes::from_static(b"v=0")));
        assert_eq!(
            beside("mixed", "Content-Disposition: signal;handling=required\r\n"),
            Err(BodyFault::Type)
        );
        assert_eq!(beside("mixed", "content-disposition: x; Handling=REQUIRED\r\n"), Err(BodyFault::Type));
        assert_eq!(beside("mixed", "Content-Disposition: signal;handling=optional\r\n"), found);
        assert_eq!(beside("mixed", "Content-Disposition: signal\r\n"), found, "as many senders leave it");
        assert_eq!(beside("mixed", ""), found);
        assert_eq!(
            beside("alternative", "Content-Disposition: x;handling=required\r\n"),
            found,
            "one is enough"
        );
    }

    #[test]
    fn a_folded_field_of_a_part_is_read_as_a_whole() {
        let required = "Content-Disposition: signal;\r\n\thandling=required\r\n";
        assert_eq!(beside("mixed", required), Err(BodyFault::Type));
        let text = "--b\r\nContent-Type:\r\n application/sdp\r\n\r\nv=0\r\n--b--";
        assert_eq!(
            body("Content-Type: multipart/mixed;boundary=b", text),
            Ok(Some(Bytes::from_static(b"v=0")))
        );
    }

    /// Two descriptions, the first of which is so marked.
    fn behind(head: &str) -> Result<Option<Bytes>, BodyFault> {
        let text = format!(
            "--b\r\nContent-Type: application/sdp\r\n{head}\r\nother\r\n--b\r\nContent-Type: application/sdp\r\n\r\n\
             v=0\r\n--b--"
        );
        body("Content-Type: multipart/mixed;boundary=b", &text)
    }

    #[test]
    fn only_the_calls_own_description_counts() {
        let (first, second) = (Ok(Some(Bytes::from_static(b"other"))), Ok(Some(Bytes::from_static(b"v=0"))));
        assert_eq!(behind(""), first);
        assert_eq!(behind("Content-Disposition: Session;handling=required\r\n"), first);
        assert_eq!(behind("Content-Disposition: early-session\r\n"), second);
        assert_eq!(behind("Content-Disposition: early-session;handling=optional\r\n"), second);
        assert_eq!(behind("Content-Disposition: early-session;handling=required\r\n"), Err(BodyFault::Type));
        let alone = "Content-Type: application/sdp\r\nContent-Disposition: early-session";
        assert_eq!(body(alone, "v=0"), Err(BodyFault::Type));
        assert_eq!(body(&format!("{alone};handling=optional"), "v=0"), Ok(None));
    }

    #[test]
    fn a_description_in_a_form_that_is_not_read_is_not_taken_for_none() {
        let encoded = |disposition: &str| {
            let text = format!(
                "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n{disposition}\r\n\
                 dj0w\r\n--b--"
            );
            body("Content-Type: multipart/mixed;boundary=b", &text)
        };
        assert_eq!(encoded(""), Err(BodyFault::Type));
        assert_eq!(encoded("Content-Disposition: session;handling=optional\r\n"), Ok(None));
        assert_eq!(encoded("Content-Disposition: early-session\r\n"), Ok(None));
    }

    #[test]
    fn what_cannot_be_refused_any_more_is_read_as_far_as_it_goes() {
        let text = "SIP/2.0 200 OK\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/x\r\nContent-Disposition: x;handling=required\r\n\r\nfoo\r\n\
            --b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--";
        let answer = lex(Bytes::from_static(text.as_bytes()), Transport::Datagram).unwrap();
        assert_eq!(sdp_body(&answer), Ok(Some(Bytes::from_static(b"v=0"))));
    }

    /// A description within so many containers.
    fn nested(depth: usize) -> Result<Option<Bytes>, BodyFault> {
        let part = |(kind, text): (String, String), at| {
            let text = format!("--b{at}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n--b{at}--");
            (format!("multipart/mixed;boundary=b{at}"), text)
        };
        let (kind, text) = (1..=depth).fold(("application/sdp".to_owned(), "v=0".to_owned()), part);
        body(&format!("Content-Type: {kind}"), &text)
    }

    #[test]
    fn the_description_is_found_among_parts() {
        let text = "preamble\r\n--b1\r\nContent-Type: application/isup;version=nxv3\r\n\
            Content-Disposition: signal; handling=optional\r\n\r\n\u{1}\u{0}\r\n--b1\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n\
            --in\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--in--\r\n--b1--\r\nepilogue";
        assert_eq!(
            body("Content-Type: multipart/mixed;boundary=\"b1\"", text),
            Ok(Some(Bytes::from_static(b"v=0\r\ns=-\r\n")))
        );
        assert_eq!(body("Content-Type: multipart/mixed;boundary=other", text), Ok(None));
        assert_eq!(nested(MAX_DEPTH), Ok(Some(Bytes::from_static(b"v=0"))));
        assert_eq!(nested(MAX_DEPTH + 1), Ok(None), "no container is followed deeper than that");
        assert_eq!(body("Content-Type: multipart/mixed", text), Err(BodyFault::Type));
    }
}
