//! Responses to requests, with the fields every response repeats.

use std::fmt;
use std::net::SocketAddr;

use super::{Message, MessageWriter, Name, Via};

/// Begins the response to a request (RFC 3261 8.2.6.2): all Via with `received` and `rport` in the topmost, From, To
/// (with our tag where it has none), Call-ID, CSeq, and the Timestamp of a request answered with 100. Record-Route is
/// the caller's: only responses that make a dialog repeat it.
pub fn response_to(
    request: &Message,
    status: u16,
    reason: &str,
    to_tag: Option<&str>,
    received: SocketAddr,
) -> MessageWriter {
    let mut writer = MessageWriter::response(status, reason);
    let mut vias = request.headers(Name::Via);
    if let Some(top) = vias.next() {
        match Via::parse(top) {
            Some(via) => writer.header(Name::Via, Received { via, from: received }),
            None => writer.header(Name::Via, top),
        };
    }
    for via in vias {
        writer.header(Name::Via, via);
    }
    writer.copy(request, Name::From);
    match (request.to(), to_tag) {
        (Some(to), Some(tag)) if to.tag().is_none() => {
            writer.header(Name::To, format_args!("{};tag={tag}", to.raw()))
        }
        _ => writer.copy(request, Name::To),
    };
    writer.copy(request, Name::CallId).copy(request, Name::CSeq);
    if status == 100 {
        writer.copy(request, Name::Timestamp);
    }
    writer
}

/// The topmost Via with what we know of its sender (RFC 3261 18.2.1, RFC 3581 4). What the sender itself claims in
/// these parameters is replaced.
struct Received<'a> {
    via: Via<'a>,
    from: SocketAddr,
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { via, from } = self;
        let before_params = via.raw().split(';').next().unwrap_or_default();
        f.write_str(before_params.trim_end())?;
        for (name, value) in via.params().iter() {
            match value {
                _ if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") => {}
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        let ip = from.ip().to_canonical();
        if via.rport_requested() || via.host().ip() != Some(ip) {
            write!(f, ";received={ip}")?;
        }
        if via.rport_requested() {
            write!(f, ";rport={}", from.port())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Transport, lex};
    use super::*;

    fn answer(via: &str, to: &str, tag: Option<&str>) -> String {
        let text = format!(
            "INVITE sip:a SIP/2.0\r\nVia: {via}\r\nVia: SIP/2.0/UDP second\r\nFrom: <sip:f>;tag=1\r\nTo: {to}\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        let request = lex(Bytes::from(text), Transport::Datagram).unwrap();
        let source = "192.0.2.7:4444".parse().unwrap();
        String::from_utf8(response_to(&request, 486, "Busy Here", tag, source).finish().to_vec()).unwrap()
    }

    #[test]
    fn tells_the_sender_where_it_came_from() {
        assert_eq!(
            answer("SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1", "<sip:t>", Some("mine")),
            "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;received=192.0.2.7;rport=4444\r\n\
             Via: SIP/2.0/UDP second\r\nFrom: <sip:f>;tag=1\r\nTo: <sip:t>;tag=mine\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn says_nothing_where_nothing_is_asked() {
        let text = answer("SIP/2.0/UDP 192.0.2.7;branch=b", "<sip:t>;tag=theirs", Some("mine"));
        assert!(text.contains("Via: SIP/2.0/UDP 192.0.2.7;branch=b\r\n"));
        assert!(text.contains("To: <sip:t>;tag=theirs\r\n"));
    }

    #[test]
    fn a_claimed_address_is_replaced() {
        let text = answer("SIP/2.0/UDP pbx.example;received=203.0.113.1;rport=9;branch=b", "<sip:t>", None);
        assert!(text.contains("Via: SIP/2.0/UDP pbx.example;branch=b;received=192.0.2.7;rport=4444\r\n"));
        assert!(text.contains("To: <sip:t>\r\n"));
    }
}
