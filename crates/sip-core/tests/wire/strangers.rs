//! A datagram's source may be forged: what a stranger over UDP gets is no more than it has sent.

use bytes::Bytes;
use sip_core::directory::DigestPolicy;
use sip_core::message::{Message, Name, Transport, lex};

use crate::bench::{Bench, KNOWN, STRANGER, USER};
use crate::torture::corpus;

/// A request as lean as a user agent may send it.
fn lean(method: &str, extra: &str) -> String {
    format!(
        "{method} sip:gw.example SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bK1;rport\r\n\
         From: <sip:{USER}@gw.example>;tag=1\r\nTo: <sip:{USER}@gw.example>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{extra}\r\n"
    )
}

fn read(bytes: &Bytes) -> Message {
    lex(bytes.clone(), Transport::Datagram).unwrap()
}

/// Holds what a stranger is sent against what it sent, and gives the statuses.
fn statuses(bench: &mut Bench, request: &Bytes) -> Vec<u16> {
    let blank = request.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let answers = bench.send(STRANGER, request.clone());
    assert!(answers.len() <= 1);
    for answer in &answers {
        let (status, sent, got) = (read(answer).status(), request.len() - blank, answer.len());
        let factor = if matches!(status, 401 | 407) { 2 } else { 1 };
        let text = String::from_utf8_lossy(answer);
        assert!(got <= sent * factor, "{got} octets for {sent}:\n{text}");
    }
    answers.iter().map(|answer| read(answer).status()).collect()
}

#[test]
fn no_answer_is_longer_than_a_strangers_request() {
    for policy in [DigestPolicy::Md5, DigestPolicy::Sha256ThenMd5] {
        let mut bench = Bench::with_digest(policy);
        for (_, octets) in corpus() {
            statuses(&mut bench, &octets);
        }
        let odd = ["Require: foo\r\n", "Max-Forwards: 0\r\n", "Content-Length: 9\r\n", "no field\r\n", ""];
        for method in ["REGISTER", "INVITE", "OPTIONS", "BYE", "CANCEL", "INFO", "MESSAGE", "FOO", "NOTIFY"] {
            for (extra, tag) in odd.iter().flat_map(|extra| [(extra, ""), (extra, ";tag=x")]) {
                let request = lean(method, extra).replace("\r\nCall-ID", &format!("{tag}\r\nCall-ID"));
                statuses(&mut bench, &Bytes::from(request));
            }
            for version in ["SIP/3.0", "SIP/2.0 "] {
                statuses(&mut bench, &Bytes::from(lean(method, "").replacen("SIP/2.0", version, 1)));
            }
        }
        for tiny in [
            "A a SIP/2.0",
            "OPTIONS sip:a SIP/2.0\r\n\r\n",
            "REGISTER sip:gw.example SIP/2.0\r\nv: SIP/2.0/UDP a\r\n",
        ] {
            assert_eq!(statuses(&mut bench, &Bytes::from(tiny)), [0; 0], "{tiny}");
        }
    }
}

#[test]
fn the_words_are_left_out_where_they_do_not_fit() {
    let mut bench = Bench::new();
    let lean = bench.ask(
        STRANGER,
        &lean("OPTIONS", "Max-Forwards: 70\r\nContact: <sip:a@203.0.113.66>\r\nUser-Agent: lean\r\n"),
    );
    assert_eq!((lean.status(), lean.header(Name::Allow)), (200, None));
    let padding = format!("X-Padding: {}\r\n", "x".repeat(600));
    let rich = bench.ask(STRANGER, &self::lean("OPTIONS", &padding));
    assert!(rich.header(Name::Allow).is_some());
    let refused = bench.ask(STRANGER, &self::lean("BYE", &padding));
    assert!(refused.status() == 481 && refused.header(Name::Warning).is_some());
}

#[test]
fn a_lean_register_is_challenged_all_the_same() {
    let mut bench = Bench::new();
    let contact = format!("Contact: <sip:{USER}@{STRANGER}>\r\nContent-Length: 0\r\n");
    let challenge = bench.ask(STRANGER, &lean("REGISTER", &contact));
    assert_eq!(challenge.status(), 401);
    assert!(challenge.header(Name::WwwAuthenticate).is_some());
}

/// RFC 4475 section 3.3.1 would have such a request answered 400 whoever sends it.
#[test]
fn what_lacks_via_from_or_call_id_is_answered_to_those_we_know_alone() {
    let (_, insufficient) = corpus().into_iter().find(|(name, _)| *name == "insuf").unwrap();
    let mut bench = Bench::new();
    assert!(bench.send(STRANGER, insufficient.clone()).is_empty());
    let answers = bench.send(KNOWN, insufficient);
    assert_eq!(answers.iter().map(|answer| read(answer).status()).collect::<Vec<_>>(), [400]);
    let padding = format!("X-Padding: {}\r\n", "x".repeat(600));
    for name in ["Via", "From", "Call-ID"] {
        let whole = lean("OPTIONS", &padding);
        let without: String = whole.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect();
        assert!(bench.send(STRANGER, without.clone()).is_empty(), "without {name}");
        assert_eq!(bench.send(KNOWN, without).len(), 1, "without {name}");
    }
}
