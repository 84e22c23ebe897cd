//! What rsip reads for us, and only here: single header fields that its 0.4.0 reads well. It never sees a whole
//! message from the network. CSeq is read for every message, so it is read in place; a test holds it against rsip's.

use rsip::prelude::UntypedHeader;

use super::text;

/// Number and method of a CSeq (RFC 3261 20.16).
pub(super) fn cseq(value: &str) -> Option<(u32, &str)> {
    let mut words = value.split_ascii_whitespace();
    let (number, method) = (words.next()?, words.next()?);
    match words.next() {
        Some(_) => None,
        None => Some((text::decimal(number)?, method)),
    }
}

/// Hops left (RFC 3261 20.22): 0..=255.
pub(super) fn max_forwards(value: &str) -> Option<u8> {
    let hops = rsip::headers::MaxForwards::new(value).num().ok()?;
    // rsip takes a sign, which RFC 3261 does not.
    value.starts_with(|first: char| first.is_ascii_digit()).then(|| u8::try_from(hops).ok())?
}

/// Delta-seconds of Expires and Min-Expires (RFC 3261 20.19).
pub(super) fn seconds(value: &str) -> Option<u32> {
    let seconds = rsip::headers::Expires::new(value).seconds().ok()?;
    value.starts_with(|first: char| first.is_ascii_digit()).then_some(seconds)
}

/// Whether rsip can read a whole message: for the benchmark that compares us with it, never for the network.
pub fn rsip_reads(octets: &[u8]) -> bool {
    rsip::SipMessage::try_from(octets).is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rsip::headers::ToTypedHeader;
    use rsip::message::HeadersExt;
    use rsip::typed;

    use super::super::{Message, Method, Name, Transport, lex};
    use super::*;

    /// A message as plain as rsip likes it: long names, no folds, one value to a field.
    fn plain() -> impl Strategy<Value = String> {
        let method = proptest::sample::select(vec!["INVITE", "REGISTER", "OPTIONS", "BYE", "UPDATE"]);
        let word = "[a-z][a-z0-9]{0,8}";
        (method, word, word, 1..65_535_u16, any::<u32>(), 0..=255_u8, any::<u32>(), "[a-zA-Z0-9]{1,20}", "[a-z ]{0,40}")
            .prop_map(|(method, user, host, port, number, hops, expires, tag, body)| {
                format!(
                    "{method} sip:{user}@{host}.example:{port};transport=TCP SIP/2.0\r\n\
                     Via: SIP/2.0/TCP {host}.example:{port};branch=z9hG4bK{tag}\r\n\
                     From: \"{user}\" <sip:{user}@{host}.example>;tag={tag}\r\nTo: <sip:{host}@{user}.example>\r\n\
                     Call-ID: {tag}@{host}\r\nCSeq: {number} {method}\r\nMax-Forwards: {hops}\r\n\
                     Contact: <sip:{user}@{host}.example:{port}>\r\nExpires: {expires}\r\nUser-Agent: {user} {host}\r\n\
                     Allow: INVITE\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            })
    }

    fn both(text: &str) -> (Message, rsip::Request) {
        let ours = lex(Bytes::from(text.to_owned()), Transport::Datagram).unwrap();
        (ours, rsip::Request::try_from(text.as_bytes()).unwrap())
    }

    proptest! {
        #[test]
        fn rsip_and_we_read_plain_messages_alike(text in plain()) {
            let (ours, theirs) = both(&text);
            prop_assert_eq!(ours.method().as_str(), theirs.method.to_string());
            prop_assert_eq!(ours.request_uri(), theirs.uri.to_string());
            prop_assert_eq!(ours.body(), &theirs.body[..]);
            let values: Vec<(String, String)> =
                ours.all_headers().map(|(_, name, value)| (name.to_owned(), value.to_owned())).collect();
            let headers: Vec<(String, String)> = theirs
                .headers
                .iter()
                .map(|header| header.to_string())
                .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
                .collect();
            prop_assert_eq!(values, headers);
            let cseq: typed::CSeq = theirs.cseq_header().unwrap().typed().unwrap();
            prop_assert_eq!(ours.cseq(), Some((cseq.seq, Method::from(&*cseq.method.to_string()))));
            let from = theirs.from_header().unwrap().typed().unwrap();
            prop_assert_eq!(ours.from().unwrap().tag().map(str::to_owned), from.tag().map(|tag| tag.value().to_owned()));
            prop_assert_eq!(ours.from().unwrap().uri_raw(), from.uri.to_string());
            let via = theirs.via_header().unwrap().typed().unwrap();
            let top = ours.top_via().unwrap();
            prop_assert_eq!(top.branch().map(str::to_owned), via.branch().map(|branch| branch.value().to_owned()));
            prop_assert_eq!(top.transport(), via.transport.to_string());
            prop_assert_eq!(top.sent_by(), via.uri.host_with_port.to_string());
        }

        #[test]
        fn numbers_are_digits_only(text in "[+-]?[0-9]{0,11}[a-z ]?") {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(seconds(&text), text.parse().ok().filter(|_| is_number));
            prop_assert_eq!(max_forwards(&text), text.parse().ok().filter(|_| is_number));
        }
    }

    #[test]
    fn a_cseq_is_a_number_and_a_method() {
        assert_eq!(cseq("0009  INVITE"), Some((9, "INVITE")));
        for text in ["", "1", "INVITE 1", "1 INVITE x", "4294967296 BYE", "-1 BYE", "+1 BYE"] {
            assert_eq!(cseq(text), None, "{text}");
        }
        assert_eq!(Name::parse(b"cseq"), Name::CSeq);
    }
}
