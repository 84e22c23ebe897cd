//! RFC 4475, octet for octet. Each message has the outcome we chose and those its paragraph permits.
//!
//! The outcome is that of the wire's layer: lexing, validation and the choice of the body. What a message deserves
//! beyond that (401, 420, 483, a response with foreign Vias) is decided where transactions and users are known.

use bytes::Bytes;
use sip_core::message::{Message, MessageWriter, Method, Name, Transport, lex, validate};
use sip_core::refusal::Refusal;
use sip_core::sdp::sdp_body;

const MESSAGES: &str = include_str!("rfc4475.txt");

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It goes on to the transactions.
    Accept,
    /// A request answered with this status.
    Answer(u16),
    /// A response dropped, or octets that are no message.
    Silence,
}

use Outcome::{Accept, Answer, Silence};

/// Name, what we do, and what RFC 4475 permits instead.
const EXPECTED: [(&str, Outcome, &[Outcome]); 49] = [
    // 3.1.1 valid messages
    ("wsinv", Accept, &[]),
    ("intmeth", Accept, &[]),
    ("esc01", Accept, &[]),
    ("escnull", Accept, &[]),
    ("esc02", Accept, &[]),
    ("lwsdisp", Accept, &[]),
    ("longreq", Accept, &[]),
    ("dblreq", Accept, &[]),
    ("semiuri", Accept, &[]),
    ("transports", Accept, &[]),
    ("mpart01", Accept, &[]),
    ("unreason", Accept, &[]),
    ("noreason", Accept, &[]),
    // 3.1.2 invalid messages
    ("badinv01", Answer(400), &[]),
    ("clerr", Answer(400), &[]),
    ("ncl", Answer(400), &[]),
    ("scalar02", Answer(400), &[]),
    ("scalarlg", Silence, &[]),
    ("quotbal", Answer(400), &[]),
    ("ltgtruri", Answer(400), &[Accept]),
    ("lwsruri", Answer(400), &[]),
    ("lwsstart", Answer(400), &[Accept]),
    ("trws", Answer(400), &[Accept]),
    ("escruri", Accept, &[Answer(400)]),
    ("baddate", Accept, &[Answer(400)]),
    ("regbadct", Answer(400), &[]),
    ("badaspec", Accept, &[Answer(400)]),
    ("baddn", Accept, &[Answer(400)]),
    ("badvers", Answer(505), &[]),
    ("mismatch01", Answer(400), &[]),
    ("mismatch02", Answer(400), &[Answer(501)]),
    ("bigcode", Silence, &[]),
    // 3.2 transaction layer
    ("badbranch", Accept, &[]),
    // 3.3 application layer
    ("insuf", Answer(400), &[]),
    ("unkscm", Answer(416), &[]),
    ("novelsc", Answer(416), &[]),
    ("unksm2", Accept, &[]),
    ("bext01", Accept, &[]),
    ("invut", Answer(415), &[]),
    ("regaut01", Accept, &[]),
    ("multi01", Answer(400), &[]),
    ("mcl01", Answer(400), &[]),
    ("bcast", Accept, &[]),
    ("zeromf", Accept, &[]),
    ("cparam01", Accept, &[]),
    ("cparam02", Accept, &[]),
    ("regescrt", Accept, &[]),
    ("sdp01", Accept, &[]),
    // 3.4 backward compatibility
    ("inv2543", Accept, &[]),
];

/// Where we do what the RFC does not permit, and what. An entry that no longer reproduces fails the test too.
const KNOWN_DEVIATIONS: [(&str, Outcome); 0] = [];

/// All messages with their names, in the order of the file.
pub(crate) fn corpus() -> Vec<(&'static str, Bytes)> {
    let (_, all) = MESSAGES.trim_end().split_once("\n=== ").unwrap();
    all.split("\n=== ")
        .map(|part| part.split_once('\n').unwrap())
        .map(|(name, text)| (name, expand(text)))
        .collect()
}

/// Resolves the notation of RFC 4475 section 2.
fn expand(text: &str) -> Bytes {
    let mut octets = Vec::new();
    let mut is_one_line = false;
    for line in text.split('\n') {
        match line {
            "<allOneLine>" => is_one_line = true,
            "</allOneLine>" => {
                is_one_line = false;
                octets.extend(b"\r\n");
            }
            _ => {
                expand_line(line, &mut octets);
                if !is_one_line {
                    octets.extend(b"\r\n");
                }
            }
        }
    }
    Bytes::from(octets)
}

fn expand_line(mut line: &str, octets: &mut Vec<u8>) {
    while let Some(start) = line.find("<hex>").into_iter().chain(line.find("<repeat count=")).min() {
        octets.extend(&line.as_bytes()[..start]);
        let (tag, rest) = line[start + 1..].split_once('>').unwrap();
        let (content, rest) = rest.split_once("</").unwrap();
        match tag.strip_prefix("repeat count=") {
            Some(count) => octets.extend(content.repeat(count.parse().unwrap()).as_bytes()),
            None => octets.extend(
                (0..content.len()).step_by(2).map(|at| u8::from_str_radix(&content[at..at + 2], 16).unwrap()),
            ),
        }
        line = rest.split_once('>').unwrap().1;
    }
    octets.extend(line.as_bytes());
}

fn outcome(bytes: &Bytes) -> Outcome {
    let Ok(message) = lex(bytes.clone(), Transport::Datagram) else { return Silence };
    let status = match validate(&message) {
        Err(fault) => Refusal::of(fault).status(),
        Ok(()) => match sdp_body(&message) {
            Err(fault) => fault.status(),
            Ok(_) => return Accept,
        },
    };
    if message.is_request() { Answer(status) } else { Silence }
}

fn message(name: &str) -> Message {
    let (_, bytes) = corpus().into_iter().find(|(known, _)| *known == name).unwrap();
    lex(bytes, Transport::Datagram).unwrap()
}

/// Writes a message anew from what was read of it.
pub(crate) fn rewritten(message: &Message) -> Bytes {
    let mut writer = if message.is_request() {
        MessageWriter::request(message.method(), message.request_uri())
    } else {
        MessageWriter::response(message.status(), message.reason_phrase())
    };
    for (name, label, value) in message.all_headers().filter(|(name, ..)| *name != Name::ContentLength) {
        match name {
            Name::Other => writer.header_raw(label, value),
            _ => writer.header(name, value),
        };
    }
    let mut octets = writer.finish().to_vec();
    let end = octets.len() - b"0\r\n\r\n".len();
    octets.truncate(end);
    octets.extend(format!("{}\r\n\r\n", message.body().len()).as_bytes());
    octets.extend(message.body());
    Bytes::from(octets)
}

#[test]
fn every_message_has_its_outcome() {
    let corpus = corpus();
    assert_eq!(corpus.iter().map(|(name, _)| *name).collect::<Vec<_>>(), EXPECTED.map(|(name, ..)| name));
    let mut deviations = Vec::new();
    for ((name, bytes), (_, ours, permitted)) in corpus.iter().zip(EXPECTED) {
        let found = outcome(bytes);
        if found != ours {
            assert!(
                !permitted.contains(&found),
                "{name}: {found:?} is permitted, but the table says {ours:?}"
            );
            deviations.push((*name, found));
        }
    }
    assert_eq!(deviations, KNOWN_DEVIATIONS);
}

/// Guards the transcription: where the RFC's Content-Length is right, our octets agree with it.
#[test]
fn the_octets_are_those_of_the_rfc() {
    let wrong_on_purpose = ["clerr", "ncl", "mcl01", "dblreq"];
    for (name, bytes) in
        corpus().iter().filter(|(name, _)| !wrong_on_purpose.contains(name) && *name != "bigcode")
    {
        let message = lex(bytes.clone(), Transport::Datagram).unwrap();
        let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let length = message.header(Name::ContentLength).map(|length| length.parse::<usize>().unwrap());
        assert_eq!(length.unwrap_or(bytes.len() - head_end), bytes.len() - head_end, "{name}");
    }
    let text = String::from_utf8_lossy(message("longreq").bytes()).into_owned();
    assert!(text.contains(&format!("tag=12{}424;", "982".repeat(50))));
}

#[test]
fn accepted_messages_reach_a_fixed_point() {
    for (name, bytes) in corpus().iter().filter(|(_, bytes)| outcome(bytes) == Accept) {
        let first = rewritten(&lex(bytes.clone(), Transport::Datagram).unwrap());
        let again = lex(first.clone(), Transport::Stream).unwrap();
        assert_eq!(outcome(&first), Accept, "{name}");
        assert_eq!(rewritten(&again), first, "{name}");
        assert_eq!(again.body(), lex(bytes.clone(), Transport::Datagram).unwrap().body(), "{name}");
    }
}

#[test]
fn the_tortuous_invite_is_read_right() {
    let message = message("wsinv");
    assert_eq!(message.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(message.from().unwrap().display_name().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(message.from().unwrap().tag(), Some("98asjd8"));
    assert_eq!(message.max_forwards(), Some(68));
    assert_eq!(message.cseq(), Some((9, Method::Invite)));
    let vias: Vec<_> =
        message.headers(Name::Via).map(|via| sip_core::message::Via::parse(via).unwrap()).collect();
    let seen: Vec<_> =
        vias.iter().map(|via| (via.transport(), via.sent_by(), via.branch().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("UDP", "192.0.2.2", "390skdjuw"),
            ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
            ("UDP", "192.168.255.111", "z9hG4bK30239")
        ]
    );
    let sip_core::message::ContactValue::Addr(contact) = message.contacts().next().unwrap() else { panic!() };
    assert_eq!(contact.display_name().as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params().value("newparam"), Some("newvalue"));
    assert_eq!(contact.params().value("q"), Some("0.33"));
    assert_eq!(message.header_named("newfangledheader").unwrap().split_whitespace().count(), 5);
    assert_eq!(message.body().len(), 150);
}

#[test]
fn escapes_are_kept_and_resolved_only_on_request() {
    let message = message("esc01");
    let uri = sip_core::message::Uri::parse(message.request_uri()).unwrap();
    assert_eq!(uri.user(), Some("sips%3Auser%40example.com"));
    assert_eq!(uri.user_decoded().as_deref(), Some("sips:user@example.com"));
    assert_eq!(message_user("semiuri").as_str(), "user;par=u%40example.net");
    assert_eq!(message_user("intmeth").as_str(), "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
}

fn message_user(name: &str) -> String {
    let message = message(name);
    sip_core::message::Uri::parse(message.request_uri()).unwrap().user().unwrap().to_owned()
}

#[test]
fn the_second_request_of_a_datagram_is_ignored() {
    let message = message("dblreq");
    assert_eq!(message.method(), &Method::Register);
    assert_eq!(message.body(), b"");
}

#[test]
fn a_binary_body_passes_untouched() {
    let message = message("mpart01");
    assert_eq!(message.body().len(), 553);
    // The part is DER: its first length says where it ends, before the line end of the closing delimiter.
    let start = message.body().windows(4).position(|four| four == [0x30, 0x82, 0x01, 0x52]).unwrap();
    assert!(message.body()[start + 4 + 0x152..].starts_with(b"\r\n--7a9cbec02ceef655--"));
}
