//! The tables of the core, filled to their bounds from the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::auth::digest::{Algorithm, answer_challenge, ha1};
use sip_core::directory::{
    Authentication, CallerId, DigestPolicy, Directory, NumberFormat, Profile, SrtpPolicy,
};
use sip_core::gateway::Gateway;
use sip_core::limits::Limits;
use sip_core::settings::{Listener, Settings};
use sip_core::types::{CompanyId, Flow, Now, ProfileId, Transport};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A gateway with these bounds and two profiles, 101 and 102.
struct House {
    gateway: Gateway,
    now: Now,
    local: SocketAddr,
    peer: SocketAddr,
}

impl House {
    fn new(bound: impl FnOnce(&mut Limits)) -> Self {
        let local = address("192.0.2.1:5060");
        let listener = Listener {
            transport: Transport::Udp,
            local,
            advertised_host: local.ip(),
            advertised_port: local.port(),
        };
        let mut settings = Settings::new("sip.test", vec![listener]);
        bound(&mut settings.limits);
        let mut directory = Directory::new();
        for user in [101, 102] {
            directory.add_profile(profile(user));
        }
        let gateway = Gateway::new(settings, Arc::new(directory), [7; 32]);
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
        let now = Now { monotonic: Instant::now(), unix_s: 1_700_000_000 };
        Self { gateway, now, local, peer: address("198.51.100.7:5060") }
    }

    /// Says something and gives the final answer, or else the last provisional one.
    fn ask(&mut self, text: String) -> String {
        let flow = Flow { transport: Transport::Udp, local: self.local, peer: self.peer, connection: None };
        self.gateway.handle_datagram(self.now, flow, Bytes::from(text));
        let answers = std::iter::from_fn(|| self.gateway.poll_transmit());
        let last = answers.last().map(|sent| String::from_utf8_lossy(&sent.bytes).into_owned());
        while self.gateway.poll_question().is_some() {}
        while self.gateway.poll_event().is_some() {}
        last.unwrap_or_default()
    }

    fn request(&self, method: &str, user: u32, serial: usize, more: &str) -> String {
        let uri = if method == "REGISTER" { "sip:sip.test" } else { "sip:17606604690@sip.test" };
        let to = if method == "REGISTER" { format!("<sip:{user}@sip.test>") } else { format!("<{uri}>") };
        let peer = self.peer;
        let body = if method == "INVITE" {
            "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        } else {
            ""
        };
        let length = body.len();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {peer};branch=z9hG4bK{method}{user}x{serial}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@sip.test>;tag=a{serial}\r\nTo: {to}\r\nCall-ID: {method}{user}x{serial}\r\nCSeq: {serial} {method}\r\n\
             Contact: <sip:{user}@{peer}>\r\nContent-Type: application/sdp\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Sends a request and, challenged, once more with a proof.
    fn prove(&mut self, method: &str, user: u32, serial: usize) -> String {
        let challenge = self.ask(self.request(method, user, 2 * serial, ""));
        let asked = challenge.lines().find_map(|line| line.split_once("uthenticate: "));
        let Some((_, asked)) = asked else { return challenge };
        let uri = if method == "REGISTER" { "sip:sip.test" } else { "sip:17606604690@sip.test" };
        let proof = answer_challenge(asked, method, uri, &user.to_string(), "secret", "c0ffee", 1).unwrap();
        let name = if method == "REGISTER" { "Authorization" } else { "Proxy-Authorization" };
        self.ask(self.request(method, user, 2 * serial + 1, &format!("{name}: {proof}\r\n")))
    }
}

fn profile(user: u32) -> Profile {
    let name = user.to_string();
    let authentication = Authentication::Registration {
        ha1_md5: ha1(Algorithm::Md5, &name, "sip.test", "secret"),
        ha1_sha256: ha1(Algorithm::Sha256, &name, "sip.test", "secret"),
        digest: DigestPolicy::Md5,
    };
    Profile {
        id: ProfileId(user.into()),
        company: CompanyId(1),
        user: name.clone(),
        name,
        country: "US".to_owned(),
        authentication,
        number_format: NumberFormat::Digits,
        caller_id: CallerId::default(),
        takes_caller_names: true,
        suspended: None,
        srtp: SrtpPolicy::Auto,
    }
}

#[test]
fn transactions_are_bounded_and_end_by_themselves() {
    let mut house = House::new(|limits| limits.transactions = 10);
    let answers: Vec<_> = (0..15).map(|serial| house.prove("INVITE", 101, serial)).collect();
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("SIP/2.0 100")).count(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("SIP/2.0 503")).count(), 5);
    assert_eq!(house.gateway.counts().transactions, 10);
    for _ in 0..300 {
        house.now.monotonic += Duration::from_secs(1);
        house.gateway.handle_timeout(house.now);
    }
    let counts = house.gateway.counts();
    assert_eq!((counts.transactions, counts.calls, counts.dialogs, counts.timers), (0, 0, 0, 0));
}

#[test]
fn calls_are_bounded() {
    let mut house = House::new(|limits| limits.calls = 3);
    let answers: Vec<_> = (0..4).map(|serial| house.prove("INVITE", 101, serial)).collect();
    assert!(answers[..3].iter().all(|answer| answer.starts_with("SIP/2.0 100")), "{answers:?}");
    assert!(answers[3].starts_with("SIP/2.0 503") && answers[3].contains("Retry-After: "), "{}", answers[3]);
    assert_eq!((house.gateway.counts().calls, house.gateway.counts().dialogs), (3, 3));
}

#[test]
fn bindings_are_bounded_and_those_there_are_can_be_refreshed() {
    let mut house = House::new(|limits| limits.bindings = 1);
    assert!(house.prove("REGISTER", 101, 1).starts_with("SIP/2.0 200"));
    assert!(house.prove("REGISTER", 102, 1).starts_with("SIP/2.0 503"));
    assert!(house.prove("REGISTER", 101, 2).starts_with("SIP/2.0 200"));
    assert_eq!(house.gateway.counts().bindings, 1);
}

#[test]
fn a_clock_that_is_set_changes_neither_nonces_nor_registrations() {
    let mut house = House::new(|_| {});
    for (serial, unix_s) in [(1, 1_700_000_000), (2, 2_000_000_000), (3, 1_000)] {
        let challenge = house.ask(house.request("REGISTER", 101, 10 * serial, ""));
        house.now.unix_s = unix_s;
        let (_, asked) = challenge.lines().find_map(|line| line.split_once("uthenticate: ")).unwrap();
        let proof =
            answer_challenge(asked, "REGISTER", "sip:sip.test", "101", "secret", "c0ffee", 1).unwrap();
        let proved = house.request(
            "REGISTER",
            101,
            10 * serial + 1,
            &format!("Authorization: {proof}\r\nExpires: 60\r\n"),
        );
        let answer = house.ask(proved);
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        // What is left is told by a query (RFC 3261 section 10.2.3), whatever the clock says meanwhile.
        house.now.unix_s = 3_000_000_000;
        house.now.monotonic += Duration::from_secs(10);
        let contact = format!("Contact: <sip:101@{}>\r\n", house.peer);
        let proof =
            answer_challenge(asked, "REGISTER", "sip:sip.test", "101", "secret", "c0ffee", 2).unwrap();
        let query = house
            .request("REGISTER", 101, 10 * serial + 2, &format!("Authorization: {proof}\r\n"))
            .replace(&contact, "");
        let answer = house.ask(query);
        assert!(answer.contains("expires=50\r\n"), "{answer}");
    }
    house.now.monotonic += Duration::from_secs(49);
    house.gateway.handle_timeout(house.now);
    assert_eq!(house.gateway.counts().bindings, 1);
    house.now.monotonic += Duration::from_secs(1);
    house.gateway.handle_timeout(house.now);
    assert_eq!(house.gateway.counts().bindings, 0);
}
