//! A datagram: everything a message can be asked, and that writing it anew and reading that changes nothing.

use bytes::Bytes;
use sip_core::auth::DigestResponse;
use sip_core::guard;
use sip_core::message::{
    Message, MessageWriter, Name, NameAddr, Transport, Uri, Via, lex, response_to, validate,
};
use sip_core::sdp::{SessionDescription, sdp_body};

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let _ = guard::classify(octets);
    let Ok(message) = lex(Bytes::copy_from_slice(octets), Transport::Datagram) else { return };
    look(&message);
    if message.is_request() {
        check_response(&message);
    }
    if validate(&message).is_ok() {
        check_fixed_point(&message);
    }
}

/// Asks everything; the answers do not matter here.
fn look(message: &Message) {
    let _ = (message.top_via(), message.from(), message.to(), message.cseq(), message.call_id());
    let _ = (message.max_forwards(), message.expires(), message.min_expires(), message.retry_after());
    let _ = (message.contacts().count(), message.version_is_supported(), message.reason_phrase());
    if let Ok(Some(body)) = sdp_body(message) {
        let _ = SessionDescription::parse(&body).map(|sdp| sdp.audio().is_ok());
    }
    for (_, _, value) in message.all_headers() {
        let _ = (NameAddr::parse(value), Uri::parse(value), Via::parse(value), DigestResponse::parse(value));
    }
}

/// A response is a message of its status without a body, whatever the request says.
fn check_response(request: &Message) {
    let source = ([192, 0, 2, 1], 5060).into();
    let octets = response_to(request, 400, "Bad Request", Some("t"), source).finish();
    let read = lex(octets, Transport::Stream).expect("we can read what we write");
    assert_eq!(read.status(), 400);
    assert!(read.body().is_empty(), "the request smuggled a body into its response");
}

fn check_fixed_point(message: &Message) {
    let first = rewritten(message);
    let again = lex(first.clone(), Transport::Stream).expect("we can read what we write");
    assert_eq!(validate(&again), Ok(()));
    assert_eq!(again.body(), message.body());
    assert_eq!(rewritten(&again), first);
}

fn rewritten(message: &Message) -> Bytes {
    let mut writer = match message.is_request() {
        true => MessageWriter::request(message.method(), message.request_uri()),
        false => MessageWriter::response(message.status(), message.reason_phrase()),
    };
    for (name, label, value) in message.all_headers() {
        match name {
            Name::ContentLength | Name::ContentType => continue,
            Name::Other => writer.header_raw(label, value),
            _ => writer.header(name, value),
        };
    }
    let content_type = message.header(Name::ContentType).unwrap_or("text/plain");
    writer.finish_with_body(content_type, message.body())
}
