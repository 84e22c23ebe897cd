//! A response to a request of ours, with what the request itself knows better.
//!
//! A response cannot be refused, and one that is dropped leaves its sender alone with a call. So once its branch has told
//! what it answers, its identifiers are not needed: the peer was to copy them from the request (RFC 3261 8.2.6.2).

use bytes::Bytes;
use memchr::memmem;

use super::{Message, MessageWriter, Name, NameAddr, Transport, lex, text};

/// The response as it should have been written: From, Call-ID and CSeq are those of the request, as is To if it cannot be
/// read, with the tag that can be made out. Everything else stays, octet by octet. `None` if there is nothing to mend.
pub(crate) fn repaired(response: &Message, request: &Bytes) -> Option<Message> {
    if super::validate(response).is_ok() && numbers_agree(response, request) {
        return None;
    }
    let request = lex(request.clone(), Transport::Datagram).ok()?;
    let mut writer = MessageWriter::beginning(response.start_line());
    writer.copy(response, Name::Via);
    for name in [Name::From, Name::CallId, Name::CSeq] {
        writer.copy(&request, name);
    }
    write_to(&mut writer, response, &request);
    for (name, label, value) in response.all_headers() {
        let is_written = matches!(
            name,
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::ContentLength
        );
        if !is_written {
            writer.verbatim(label, [response.octets_of(value)]);
        }
    }
    lex(writer.finish_with_octets(response.body()), Transport::Stream).ok()
}

/// Whether a response repeats the CSeq of a request as we wrote it.
fn numbers_agree(response: &Message, request: &Bytes) -> bool {
    let number = response.header(Name::CSeq).unwrap_or_default();
    let starts = memmem::find(request, b"\r\nCSeq: ").map(|at| at + b"\r\nCSeq: ".len());
    let rest = starts.and_then(|start| request[start..].strip_prefix(number.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"\r\n"))
}

fn write_to(writer: &mut MessageWriter, response: &Message, request: &Message) {
    let to = response.header(Name::To).unwrap_or_default();
    if NameAddr::parse(to).is_ok() && text::quotes_close(to) {
        writer.verbatim(Name::To.as_str(), [response.octets_of(to)]);
        return;
    }
    let ours = request.header(Name::To).unwrap_or_default();
    let without_tag = ours.split(";tag=").next().unwrap_or_default();
    match tag_in(to) {
        Some(tag) => writer.header(Name::To, format_args!("{without_tag};tag={tag}")),
        None => writer.header(Name::To, ours),
    };
}

/// The tag in an address that cannot be read otherwise.
fn tag_in(value: &str) -> Option<&str> {
    let at = value.to_ascii_lowercase().rfind(";tag=")?;
    let rest = &value[at + ";tag=".len()..];
    let end = rest.bytes().position(|octet| !text::is_token(&[octet])).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::Method;
    use super::*;

    const REQUEST: &str = "INVITE sip:t@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n\
        From: <sip:f@a>;tag=1\r\nTo: <sip:t@b>\r\nCall-ID: c@a\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n";

    fn mended(response: &str) -> Option<Message> {
        let response = lex(Bytes::from(response.to_owned()), Transport::Datagram).unwrap();
        repaired(&response, &Bytes::from_static(REQUEST.as_bytes()))
    }

    fn response(status: &str, fields: &str) -> String {
        format!("SIP/2.0 {status}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n{fields}X-Odd: <\"\r\n\r\nbody")
    }

    #[test]
    fn what_is_right_stays_as_it_is() {
        let right = "From: <sip:f@a>;tag=1\r\nTo: <sip:t@b>;tag=2\r\nCall-ID: c@a\r\nCSeq: 7 INVITE\r\n";
        assert!(mended(&response("200 OK", right)).is_none());
    }

    #[test]
    fn what_the_request_knows_is_taken_from_it() {
        for fields in [
            "To: <sip:t@b>;tag=2\r\n",
            "From: \"f <sip:f@a>;tag=1\r\nTo: <sip:t@b>;tag=2\r\nCall-ID: c@a\r\nCSeq: 7 INVITE\r\n",
            "From: <sip:f@a>;tag=1\r\nTo: \"t <sip:t@b>;tag=2 x\r\nCall-ID: c@a\r\nCSeq: 7 INVITE\r\n",
            "From: <sip:f@a>;tag=1\r\nTo: <sip:t@b;tag=2\r\nCall-ID: c@a\r\nCSeq: 99999999999 INVITE\r\n",
            "From: <sip:f@a>;tag=1\r\nTo: <sip:t@b>;tag=2\r\nCall-ID: c@a\r\nCSeq: 8 INVITE\r\n",
        ] {
            let mended = mended(&response("200 OK", fields)).unwrap();
            assert_eq!(super::super::validate(&mended), Ok(()), "{fields}");
            assert_eq!(mended.cseq(), Some((7, Method::Invite)), "{fields}");
            assert_eq!((mended.status(), mended.call_id()), (200, Some("c@a")), "{fields}");
            assert_eq!(mended.from().unwrap().tag(), Some("1"), "{fields}");
            assert_eq!(mended.to().unwrap().tag(), Some("2"), "{fields}");
            assert_eq!(mended.header_named("x-odd"), Some("<\""), "{fields}");
            assert_eq!(mended.body(), b"body");
        }
        let ringing = mended(&response("1x0 Ringing", "")).unwrap();
        assert_eq!((ringing.status(), ringing.to().unwrap().tag()), (183, None));
        assert!(!mended(&response("OK", "To: <sip:t@b>;tag=2\r\n")).unwrap().has_status());
    }
}
