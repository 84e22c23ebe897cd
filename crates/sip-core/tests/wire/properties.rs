//! What holds for all octets: nothing panics, reading what we wrote changes nothing, splitting does not matter.

use std::net::IpAddr;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sip_core::auth::{Challenge, DigestResponse};
use sip_core::message::{
    ContactValue, Frame, FrameError, Message, NameAddr, Params, StreamFramer, Transport, Uri, Via, lex,
    response_to, validate,
};
use sip_core::sdp::{Direction, LegSdp, LocalMedia, MediaProfile, SessionDescription, sdp_body};
use sip_core::{auth::Cidr, guard};

use crate::torture::rewritten;

const INVITE: &[u8] = include_bytes!("../../benches/invite.sip");
const REGISTER: &[u8] = include_bytes!("../../benches/register.sip");

/// Octets that matter to the grammar come often, so that mutations hit its seams.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![3 => proptest::sample::select(&b" \t\r\n:;,<>\"\\@=%/[]?.0aS\0"[..]), 1 => any::<u8>()]
}

/// A real message with a few pieces cut out, put in or changed.
fn mutated() -> impl Strategy<Value = Bytes> {
    let edit = (any::<prop::sample::Index>(), 0..6_usize, vec(octet(), 0..6));
    (prop_oneof![Just(INVITE), Just(REGISTER)], vec(edit, 0..8)).prop_map(|(base, edits)| {
        let mut octets = base.to_vec();
        for (at, cut, put) in edits {
            let at = at.index(octets.len());
            octets.splice(at..(at + cut).min(octets.len()), put);
        }
        Bytes::from(octets)
    })
}

/// Text of the grammar's own characters.
fn wild_text() -> impl Strategy<Value = String> {
    vec(
        proptest::sample::select(vec![
            "sip:",
            "sips:",
            "tel:",
            "+49",
            "a",
            "example.com",
            "[::1]",
            "10.0.0.1",
            ":5060",
            ";",
            "=",
            "lr",
            "tag",
            "<",
            ">",
            "\"",
            "\\",
            "@",
            "?",
            "&",
            "%41",
            "%",
            ",",
            " ",
            "*",
            "/",
            "SIP/2.0/UDP ",
            "branch",
            "rport",
            "ü",
            "\r",
            "\n",
            "Digest ",
            "nonce",
            "realm",
            "uri",
            "response",
            "username",
            "nc",
            "qop",
        ]),
        0..24,
    )
    .prop_map(|pieces| pieces.concat())
}

/// Asks a message everything it can be asked.
fn look_at_everything(message: &Message) {
    let source = "192.0.2.1:5060".parse().unwrap();
    let _ = (validate(message), sdp_body(message), message.method(), message.reason_phrase());
    let _ =
        (message.top_via(), message.cseq(), message.max_forwards(), message.expires(), message.retry_after());
    let _ =
        (message.from(), message.to(), message.contacts().count(), message.call_id(), message.body().len());
    let _ = response_to(message, 400, "Bad Request", Some("tag"), source).finish();
    for (_, label, value) in message.all_headers() {
        let _ = (
            label.len(),
            NameAddr::parse(value),
            Uri::parse(value),
            Via::parse(value),
            DigestResponse::parse(value),
        );
    }
}

fn frames(octets: &[u8], cuts: &[usize]) -> Vec<Result<Frame, FrameError>> {
    let mut framer = StreamFramer::default();
    let mut all = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([octets.len()]) {
        framer.push(&octets[from..to]);
        from = to;
        while let Some(frame) = framer.next() {
            let is_over = frame.is_err();
            all.push(frame);
            if is_over {
                return all;
            }
        }
    }
    all
}

fn local(port: u16) -> LocalMedia {
    LocalMedia {
        ip: IpAddr::from([198, 51, 100, 7]),
        rtp_port: port,
        rtcp_port: port + 1,
        rtcp_mux: false,
        profile: MediaProfile::Avp,
        crypto: Vec::new(),
    }
}

/// A description of plausible lines in any order.
fn wild_sdp() -> impl Strategy<Value = String> {
    let line = proptest::sample::select(vec![
        "o=- 1 1 IN IP4 10.0.0.1",
        "s=-",
        "c=IN IP4 10.0.0.1",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 ::1",
        "c=IN",
        "t=0 0",
        "a=sendonly",
        "a=inactive",
        "a=recvonly",
        "a=sendrecv",
        "m=audio 4000 RTP/AVP 0 8 101",
        "m=audio 0 RTP/AVP 0",
        "m=audio 5000 RTP/SAVP 8",
        "m=video 6000 RTP/AVP 96",
        "m=image 7000 udptl t38",
        "m=audio",
        "m=",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "a=crypto:",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:",
        "a=rtcp:99999",
        "a=rtcp:4001",
        "a=rtcp-mux",
        "a=ptime:20",
        "garbage",
        "",
        "a=fmtp:101 0-16",
        "b=AS:64",
        "\u{fe}=x",
    ]);
    (vec(line, 0..30), prop_oneof![Just("\r\n"), Just("\n"), Just("\r")])
        .prop_map(|(lines, end)| format!("v=0{end}{}", lines.join(end)))
}

/// What makes a careless reader walk the same octets again and again.
#[test]
fn hostile_octets_cost_no_more_than_their_length() {
    let heads = [
        "Contact: ",
        "Via: ",
        "From: ",
        "X: ",
        "Authorization: Digest ",
        "Content-Type: multipart/mixed;boundary=a\r\n\r\n",
        "Content-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 1.1.1.1\r\n",
    ];
    let pieces = [
        "<",
        "\"",
        ",",
        ";",
        "\\",
        "\r\n ",
        "<>",
        "<\"",
        "a,",
        ";a=",
        "--a\r\n",
        "\"\\\"",
        "\u{fc}",
        "m=audio 1 RTP/AVP 0\r\n",
        "a=rtpmap:0 x\r\n",
        "m: \"\r\n",
        "=",
    ];
    for (head, piece) in heads.iter().flat_map(|head| pieces.map(|piece| (head, piece))) {
        let start = format!("REGISTER sip:a SIP/2.0\r\nCSeq: 1 REGISTER\r\n{head}");
        let text = start.clone() + &piece.repeat((65_000 - start.len()) / piece.len());
        #[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
        let begun = std::time::Instant::now();
        let _ = frames(text.as_bytes(), &[30_000]);
        let message = lex(Bytes::from(text), Transport::Datagram).unwrap();
        look_at_everything(&message);
        if let Ok(Some(body)) = sdp_body(&message) {
            let _ = SessionDescription::parse(&body).map(|sdp| sdp.audio());
        }
        // Unoptimised code on a loaded machine needs some 20 ms; anything quadratic needs seconds.
        assert!(begun.elapsed().as_secs() < 3, "{head:?} and {piece:?} took {:?}", begun.elapsed());
    }
}

/// Every pattern of six of the octets that a list is cut by, repeated to the length of the longest datagram.
#[test]
fn no_pattern_of_brackets_and_quotations_costs_more_than_its_length() {
    let start = "REGISTER sip:a SIP/2.0\r\nCSeq: 1 REGISTER\r\nContact: ";
    let mut patterns = vec!["<".to_owned()];
    for _ in 0..5 {
        let longer = |pattern: String| ["<", ">", "\"", "\\"].map(|octet| format!("{pattern}{octet}"));
        patterns = patterns.into_iter().flat_map(longer).collect();
    }
    for pattern in patterns.iter().filter(|pattern| pattern.contains('>') && pattern.contains('"')) {
        // Only lists with a comma are walked.
        let text = format!("{start}{},", pattern.repeat((65_000 - start.len()) / pattern.len()));
        #[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
        let begun = std::time::Instant::now();
        lex(Bytes::from(text), Transport::Datagram).unwrap();
        assert!(begun.elapsed().as_secs() < 2, "{pattern:?} took {:?}", begun.elapsed());
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in vec(any::<u8>(), 0..2000)) {
        let _ = guard::classify(&octets);
        for transport in [Transport::Datagram, Transport::Stream] {
            if let Ok(message) = lex(Bytes::from(octets.clone()), transport) {
                look_at_everything(&message);
            }
        }
        let _ = SessionDescription::parse(&octets);
    }

    #[test]
    fn mutated_messages_are_read_or_refused(octets in mutated()) {
        for transport in [Transport::Datagram, Transport::Stream] {
            if let Ok(message) = lex(octets.clone(), transport) {
                look_at_everything(&message);
            }
        }
    }

    /// What validates is the same message after it has been written anew, and then stays as it is.
    #[test]
    fn valid_messages_reach_a_fixed_point(octets in mutated()) {
        let Ok(message) = lex(octets, Transport::Datagram) else { return Ok(()) };
        if validate(&message).is_err() {
            return Ok(());
        }
        let first = rewritten(&message);
        let again = lex(first.clone(), Transport::Stream).unwrap();
        prop_assert_eq!(validate(&again), Ok(()));
        prop_assert_eq!(again.body(), message.body());
        prop_assert!(again.header_count() >= message.header_count());
        prop_assert_eq!(rewritten(&again), first);
    }

    /// Whatever a request says, its response holds exactly the fields we mean: nothing smuggles one in.
    #[test]
    fn responses_have_the_fields_we_mean(octets in mutated()) {
        let Ok(message) = lex(octets, Transport::Datagram) else { return Ok(()) };
        let response = response_to(&message, 400, "Bad Request", Some("t"), "192.0.2.1:5060".parse().unwrap()).finish();
        let read = lex(response, Transport::Stream).unwrap();
        prop_assert_eq!(read.status(), 400);
        prop_assert_eq!(read.body(), b"");
        use sip_core::message::Name;
        for (name, ..) in read.all_headers() {
            prop_assert!(
                [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq, Name::ContentLength].contains(&name),
                "{:?}", name
            );
        }
    }

    #[test]
    fn streams_are_cut_alike_however_they_come(
        pieces in vec(prop_oneof![Just(INVITE.to_vec()), Just(REGISTER.to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"\r\n".to_vec()),
            mutated().prop_map(|octets| octets.to_vec())], 0..4),
        mut cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let stream = pieces.concat();
        let mut places: Vec<usize> = cuts.drain(..).map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        prop_assert_eq!(frames(&stream, &places), frames(&stream, &[]));
    }

    #[test]
    fn texts_are_read_or_refused(text in wild_text()) {
        let params = Params::new(&text);
        let _ = (params.is_empty(), params.iter().count(), params.get("tag"));
        if let Ok(uri) = Uri::parse(&text) {
            let _ = (uri.user_decoded(), uri.host().to_string(), uri.with_user("5"), uri.host_port_params());
            prop_assert!(uri.equivalent(&uri), "{}", text);
        }
        if let Ok(addr) = NameAddr::parse(&text) {
            let _ = (addr.display_name(), addr.uri(), addr.tag());
        }
        let _ = (Via::parse(&text), ContactValue::parse(&text), DigestResponse::parse(&text), Challenge::parse(&text));
        let _ = (text.parse::<Cidr>(), guard::is_scanner(&text));
    }

    /// The Request-URI we make of a Contact is a URI whose host, port and parameters are the Contact's.
    #[test]
    fn another_user_keeps_the_target(text in wild_text(), user in "[0-9]{1,15}") {
        let Ok(uri) = Uri::parse(&text) else { return Ok(()) };
        if uri.host().to_string().is_empty() {
            return Ok(());
        }
        let made = uri.with_user(&user);
        let made = Uri::parse(&made).unwrap();
        prop_assert_eq!(made.user(), Some(user.as_str()));
        prop_assert_eq!((made.host(), made.port()), (uri.host(), uri.port()));
        prop_assert_eq!(made.params(), uri.params());
        prop_assert_eq!(made.headers(), None);
    }

    #[test]
    fn descriptions_reach_a_fixed_point(octets in prop_oneof![vec(octet(), 0..400), wild_sdp().prop_map(String::into_bytes)]) {
        let Ok(sdp) = SessionDescription::parse(&octets) else { return Ok(()) };
        let written = sdp.to_bytes();
        prop_assert_eq!(SessionDescription::parse(&written).unwrap().to_bytes(), written);
        let _ = sdp.audio();
    }

    /// Whatever one leg says, the other gets one audio line at our address and nothing of the first one's addresses.
    #[test]
    fn what_we_write_names_only_us(offer in wild_sdp(), answer in wild_sdp()) {
        let (offer, answer) = (SessionDescription::parse(offer.as_bytes()).unwrap(), SessionDescription::parse(answer.as_bytes()).unwrap());
        let (Ok((at, remote)), Ok((answered, _))) = (offer.audio(), answer.audio()) else { return Ok(()) };
        let mut caller = LegSdp::new(1);
        let mut callee = LegSdp::new(2);
        caller.received(&offer, at);
        for written in [callee.write_offer(&offer, at, &local(20000)), caller.write_answer(&answer, answered, &local(30000)),
            caller.write_echo_answer(&offer, at, &local(40000))] {
            let text = String::from_utf8(written.to_vec()).unwrap();
            prop_assert!(!text.contains("10.0.0.1") && !text.contains("::1") && !text.contains("0.0.0.0 "));
            let read = SessionDescription::parse(&written).unwrap();
            let (_, ours) = read.audio().unwrap();
            prop_assert_eq!(ours.ip, Some(IpAddr::from([198, 51, 100, 7])));
        }
        let answer = caller.write_answer(&answer, answered, &local(30000));
        let read = SessionDescription::parse(&answer).unwrap();
        prop_assert_eq!(read.media_count(), offer.media_count());
        let (same, ours) = read.audio().unwrap();
        prop_assert_eq!(same, at);
        prop_assert_eq!(ours.direction.limited_to(remote.direction.mirrored()), ours.direction);
        prop_assert!(!(remote.direction == Direction::Inactive && ours.direction != Direction::Inactive));
    }
}
