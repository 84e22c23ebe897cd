//! A response in as few octets as its fields allow, for those who must not be sent more than they have sent.

use bytes::Bytes;

/// How the fields that every response repeats are written, and in short (RFC 3261 section 7.3.3).
const SHORT: [(&[u8], &[u8]); 4] =
    [(b"Via: ", b"v: "), (b"From: ", b"f: "), (b"To: ", b"t: "), (b"Call-ID: ", b"i: ")];

/// What a response without a body says of its length, and need not in a datagram (RFC 3261 section 18.3).
const NO_BODY: &[u8] = b"Content-Length: 0\r\n";

/// The same response with short names. One with a body stays as it is.
pub(crate) fn compact(response: &Bytes) -> Bytes {
    let mut short = Vec::with_capacity(response.len());
    for line in response.split_inclusive(|octet| *octet == b'\n').filter(|line| *line != NO_BODY) {
        let named = SHORT.iter().find_map(|(long, short)| Some((short, line.strip_prefix(*long)?)));
        match named {
            Some((name, value)) => {
                short.extend_from_slice(name);
                short.extend_from_slice(value);
            }
            None => short.extend_from_slice(line),
        }
    }
    if short.ends_with(b"\r\n\r\n") { Bytes::from(short) } else { response.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Transport, lex};

    #[test]
    fn names_are_short_and_values_stay() {
        let long = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: b\r\nFrom: \"From: x\" <sip:f>;tag=1\r\n\
                    To: <sip:t>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
        let short = compact(&Bytes::from_static(long.as_bytes()));
        assert_eq!(
            short,
            "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nv: b\r\nf: \"From: x\" <sip:f>;tag=1\r\n\
             t: <sip:t>;tag=2\r\ni: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        let read = lex(short, Transport::Datagram).unwrap();
        assert_eq!((read.status(), read.call_id(), read.to().unwrap().tag()), (200, Some("c"), Some("2")));
    }

    #[test]
    fn a_body_stays() {
        let described = Bytes::from_static(b"SIP/2.0 200 OK\r\nVia: a\r\nContent-Length: 3\r\n\r\nv=0");
        assert_eq!(compact(&described), described);
    }
}
