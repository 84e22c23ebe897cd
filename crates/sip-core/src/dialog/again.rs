//! A request of ours that was refused for something that it lacked, once more.

use bytes::Bytes;

use crate::message::{Message, MessageWriter, Name};

/// The same request under a number and a Via of its own (RFC 3261 section 8.1.3.5): whatever it said stands, but its
/// proofs, in whose place `added` comes.
pub(crate) fn again(request: &Message, cseq: u32, via: &str, added: &[(Name, String)]) -> Bytes {
    let method = request.method();
    let mut writer = MessageWriter::request(method, request.request_uri());
    writer.header(Name::Via, via);
    for (name, label, value) in request.all_headers() {
        match name {
            Name::Via | Name::Authorization | Name::ProxyAuthorization => {}
            // They end the message.
            Name::ContentType | Name::ContentLength => {}
            Name::CSeq => {
                writer.header(Name::CSeq, format_args!("{cseq} {method}"));
            }
            _ => {
                writer.header_raw(label, value);
            }
        }
    }
    for (name, value) in added {
        writer.header(*name, value);
    }
    match request.header(Name::ContentType) {
        Some(kind) if !request.body().is_empty() => writer.finish_with_body(kind, request.body()),
        _ => writer.finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Transport, lex};

    #[test]
    fn a_request_keeps_what_it_said_but_not_what_it_proved() {
        let text = "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nRoute: <sip:p;lr>\r\n\
                    From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 4 INFO\r\n\
                    Proxy-Authorization: old\r\nX-Own: kept\r\nContent-Type: application/dtmf-relay\r\n\
                    Content-Length: 8\r\n\r\nSignal=5";
        let request = lex(Bytes::from(text), Transport::Datagram).unwrap();
        let via = "SIP/2.0/UDP c;branch=z9hG4bK2";
        let bytes = again(&request, 5, via, &[(Name::ProxyAuthorization, "new".to_owned())]);
        assert_eq!(
            std::str::from_utf8(&bytes).unwrap(),
            "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK2\r\nRoute: <sip:p;lr>\r\n\
             From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 5 INFO\r\n\
             X-Own: kept\r\nProxy-Authorization: new\r\nContent-Type: application/dtmf-relay\r\n\
             Content-Length: 8\r\n\r\nSignal=5"
        );
    }
}
