//! Responses to requests, with the fields every response repeats.

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::{Message, MessageWriter, Name, Via, is_param, text};

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
        write_top_via(&mut writer, request, top, received);
    }
    for via in vias {
        writer.verbatim(Name::Via.as_str(), [request.octets_of(via)]);
    }
    writer.copy(request, Name::From);
    match (request.to(), to_tag) {
        (Some(to), Some(tag)) if to.tag().is_none() => {
            let pieces = to.untagged().map(|piece| request.octets_of(piece));
            writer.verbatim(Name::To.as_str(), pieces.chain([&b";tag="[..], tag.as_bytes()]))
        }
        _ => writer.copy(request, Name::To),
    };
    writer.copy(request, Name::CallId).copy(request, Name::CSeq);
    if status == 100 {
        writer.copy(request, Name::Timestamp);
    }
    writer
}

/// Echoes the topmost Via with what we know of its sender (RFC 3261 18.2.1, RFC 3581 4). What the sender itself claims in
/// these parameters is replaced; everything else stays as it was, octet by octet.
fn write_top_via(writer: &mut MessageWriter, request: &Message, top: &str, from: SocketAddr) {
    let Some(via) = Via::parse(top) else {
        writer.verbatim(Name::Via.as_str(), [request.octets_of(top)]);
        return;
    };
    let known = sender(&via, from);
    let mut pieces: SmallVec<[&[u8]; 24]> = SmallVec::new();
    let is_kept = |piece: &&str| !is_param(piece, "received") && !is_param(piece, "rport");
    for piece in text::split_outside_quotes(top, b';').filter(is_kept) {
        if !pieces.is_empty() {
            pieces.push(b";");
        }
        pieces.push(request.octets_of(piece));
    }
    pieces.push(known.as_bytes());
    writer.verbatim(Name::Via.as_str(), pieces);
}

/// What is added to a Via about its sender.
fn sender(via: &Via<'_>, from: SocketAddr) -> String {
    let ip = from.ip().to_canonical();
    match via.rport_requested() {
        true => format!(";received={ip};rport={}", from.port()),
        false if via.host().ip() != Some(ip) => format!(";received={ip}"),
        false => String::new(),
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
    fn what_the_sender_wrote_is_echoed_octet_by_octet() {
        let raw = b"INVITE sip:a SIP/2.0\r\nVia: SIP / 2.0/UDP 10.0.0.1 ; rport ;branch = z9hG4bK1;x=\"\xfc;rport\" ;\r\n\
            v: SIP/2.0/UDP \xe9\r\nf: J\xf6 <sip:f>;tag=1\r\nt: \"\xe4\" <sip:t> \r\ni: c\r\nCSeq: 1  INVITE\r\n\r\n";
        let request = lex(Bytes::from_static(raw), Transport::Datagram).unwrap();
        let source = "192.0.2.7:4444".parse().unwrap();
        assert_eq!(
            response_to(&request, 486, "Busy Here", Some("mine"), source).finish(),
            &b"SIP/2.0 486 Busy Here\r\n\
               Via: SIP / 2.0/UDP 10.0.0.1 ;branch = z9hG4bK1;x=\"\xfc;rport\" ;;received=192.0.2.7;rport=4444\r\n\
               Via: SIP/2.0/UDP \xe9\r\nFrom: J\xf6 <sip:f>;tag=1\r\nTo: \"\xe4\" <sip:t>;tag=mine\r\n\
               Call-ID: c\r\nCSeq: 1  INVITE\r\nContent-Length: 0\r\n\r\n"[..]
        );
    }

    #[test]
    fn says_nothing_where_nothing_is_asked() {
        let text = answer("SIP/2.0/UDP 192.0.2.7;branch=b", "<sip:t>;tag=theirs", Some("mine"));
        assert!(text.contains("Via: SIP/2.0/UDP 192.0.2.7;branch=b\r\n"));
        assert!(text.contains("To: <sip:t>;tag=theirs\r\n"));
    }

    #[test]
    fn an_empty_tag_makes_room_for_ours() {
        for (to, written) in [
            ("<sip:t>;tag=", "<sip:t>;tag=mine"),
            ("<sip:t;tag=>;a=b;TAG=\"\";c", "<sip:t;tag=>;a=b;c;tag=mine"),
            ("sip:t;tag", "sip:t;tag=mine"),
            ("<sip:t>;tag=;tag=theirs", "<sip:t>;tag=;tag=theirs"),
        ] {
            let text = answer("SIP/2.0/UDP 192.0.2.7;branch=b", to, Some("mine"));
            assert!(text.contains(&format!("To: {written}\r\n")), "{to}: {text}");
        }
    }

    #[test]
    fn a_claimed_address_is_replaced() {
        let text = answer("SIP/2.0/UDP pbx.example;received=203.0.113.1;rport=9;branch=b", "<sip:t>", None);
        assert!(text.contains("Via: SIP/2.0/UDP pbx.example;branch=b;received=192.0.2.7;rport=4444\r\n"));
        assert!(text.contains("To: <sip:t>\r\n"));
    }
}
