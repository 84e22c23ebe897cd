//! What a request costs in the gateway, from its octets to those of the response: challenged without state, answered
//! by a transaction, and retransmitted.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sip_core::auth::{Algorithm, Challenge, ha1};
use sip_core::directory::{
    Authentication, CallerId, DigestPolicy, Directory, NumberFormat, Profile, SrtpPolicy,
};
use sip_core::message::{self, Name, lex};
use sip_core::settings::Listener;
use sip_core::types::{CompanyId, Flow, Now, ProfileId, Transport};
use sip_core::{Gateway, Settings};

const DOMAIN: &str = "sip.example.com";
const USER: &str = "99050012345678";
const PASSWORD: &str = "secret";
/// Time between two requests, so that transactions end as fast as others begin.
const PACE: Duration = Duration::from_millis(10);

/// A gateway with one profile, and its PBX's side of the digest.
struct Bench {
    gateway: Gateway,
    now: Now,
    flow: Flow,
}

impl Bench {
    fn new() -> Self {
        let local: SocketAddr = ([198, 51, 100, 7], 5060).into();
        let listener = Listener {
            transport: Transport::Udp,
            local,
            advertised_host: local.ip(),
            advertised_port: local.port(),
        };
        let mut directory = Directory::new();
        directory.add_profile(profile());
        let mut settings = Settings::new(DOMAIN, vec![listener]);
        settings.limits.requests_per_source = u32::MAX / 4;
        let flow = Flow {
            transport: Transport::Udp,
            local,
            peer: ([203, 0, 113, 20], 5060).into(),
            connection: None,
        };
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
        let now = Now { monotonic: Instant::now(), unix_s: 1_700_000_000 };
        Self { gateway: Gateway::new(settings, Arc::new(directory), [7; 32]), now, flow }
    }

    /// Lets the gateway take a datagram, some time after the last; returns what it sends.
    fn handle(&mut self, octets: Bytes) -> Option<Bytes> {
        self.now.monotonic += PACE;
        if self.gateway.poll_timeout().is_some_and(|due| due <= self.now.monotonic) {
            self.gateway.handle_timeout(self.now);
        }
        self.gateway.handle_datagram(self.now, self.flow, octets);
        let mut sent = None;
        while let Some(transmit) = self.gateway.poll_transmit() {
            sent = Some(transmit.bytes);
        }
        while self.gateway.poll_question().is_some() {}
        while self.gateway.poll_event().is_some() {}
        sent
    }

    fn status_of(&mut self, octets: &Bytes) -> u16 {
        let sent = self.handle(octets.clone()).expect("every request is answered");
        lex(sent, message::Transport::Datagram).expect("we can read what we write").status()
    }
}

fn profile() -> Profile {
    let secret = |algorithm| ha1(algorithm, USER, DOMAIN, PASSWORD);
    Profile {
        id: ProfileId(1),
        company: CompanyId(1),
        name: "Sales".to_owned(),
        user: USER.to_owned(),
        country: "US".to_owned(),
        authentication: Authentication::Registration {
            ha1_md5: secret(Algorithm::Md5),
            ha1_sha256: secret(Algorithm::Sha256),
            digest: DigestPolicy::default(),
        },
        number_format: NumberFormat::E164,
        caller_id: CallerId::default(),
        takes_caller_names: true,
        suspended: None,
        srtp: SrtpPolicy::Auto,
    }
}

fn register(count: u32, proof: Option<&str>) -> Bytes {
    let proof = proof.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    Bytes::from(format!(
        "REGISTER sip:{DOMAIN} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 203.0.113.20:5060;rport;branch=z9hG4bK{count}\r\n\
         From: <sip:{USER}@{DOMAIN}>;tag=t\r\nTo: <sip:{USER}@{DOMAIN}>\r\n\
         Call-ID: c\r\nCSeq: {count} REGISTER\r\nContact: <sip:s@203.0.113.20:5060>\r\nExpires: 3600\r\n\
         Max-Forwards: 70\r\n{proof}Content-Length: 0\r\n\r\n"
    ))
}

fn transaction(c: &mut Criterion) {
    let mut bench = Bench::new();
    let strange = register(1, None);
    assert_eq!(bench.status_of(&strange), 401);
    let refused = bench.handle(strange.clone()).expect("it is challenged");
    let refused = lex(refused, message::Transport::Datagram).expect("we can read what we write");
    let challenge = refused.header(Name::WwwAuthenticate).expect("a 401 has a challenge").to_owned();
    let challenge = Challenge::parse(&challenge).expect("we can read our challenge");
    let mut count = 1;
    let mut proved = || {
        count += 1;
        let uri = format!("sip:{DOMAIN}");
        register(count, Some(&challenge.answer("REGISTER", &uri, USER, PASSWORD, "c", count)))
    };

    let first = proved();
    assert_eq!(bench.status_of(&first), 200);
    for (name, octets) in [("challenged", &strange), ("retransmitted", &first)] {
        let made = allocation_counter::measure(|| {
            black_box(bench.handle(octets.clone()));
        });
        println!("transaction/{name}: {} allocations", made.count_total);
    }
    let next = proved();
    let made = allocation_counter::measure(|| {
        black_box(bench.handle(next.clone()));
    });
    println!("transaction/registered: {} allocations", made.count_total);

    c.bench_function("transaction/a REGISTER without proof is challenged", |b| {
        b.iter(|| bench.handle(black_box(strange.clone())));
    });
    let last = proved();
    assert_eq!(bench.status_of(&last), 200);
    c.bench_function("transaction/a REGISTER with proof renews", |b| {
        b.iter_batched(&mut proved, |octets| bench.handle(octets), BatchSize::SmallInput);
    });
    let last = proved();
    assert_eq!(bench.status_of(&last), 200);
    // No time passes, or its transaction ends.
    let begun = bench.now;
    c.bench_function("transaction/a retransmission gets the octets kept", |b| {
        b.iter(|| {
            bench.now = begun;
            bench.handle(black_box(last.clone()))
        });
    });
}

criterion_group!(benches, transaction);
criterion_main!(benches);
