//! A whole gateway in this process, spoken to through its sockets.

use std::path::Path;

use provisioning_store::cdr::{Attempt, CallId, CallKind, CdrFilter, Direction};
use provisioning_store::ledger::LedgerOp;
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{Credentials, NewCarrier, NewCompany, NumberTarget, ProfileSettings};
use provisioning_store::money::Micros;
use provisioning_store::store::{NewProfile, STANDARD_PRICE_LIST};
use sip_core::auth::digest::answer_challenge;
use sip_core::gateway::CallsOf;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn config(directory: &Path, rtp_ports: &str) -> Config {
    let text = format!(
        "node: {{domain: sip.test}}\nsip: {{listen: [{{transport: udp, address: \"127.0.0.1:0\"}}]}}\nmedia: {{addresses: [{{bind: \"127.0.0.1\"}}], ports: {rtp_ports}, workers: 1}}\nstore: {{path: sipgw.db, key_file: sipgw.key, synchronous: normal, patience_ms: 10000}}\nhttp: {{listen: \"127.0.0.1:0\"}}\ncalls: {{drain_s: 0, question_patience_s: 20}}\n"
    );
    let file = directory.join("sipgw.yaml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file).unwrap()
}

/// A PBX in a few lines: one socket, texts in and out.
struct Pbx {
    socket: UdpSocket,
    gateway: SocketAddr,
    credentials: Credentials,
    name: &'static str,
}

impl Pbx {
    async fn new(daemon: &Daemon, credentials: Credentials) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, gateway: daemon.listeners()[0].local, credentials, name: "pbx" }
    }

    fn own(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn request(&self, method: &str, uri: &str, cseq: u32, more: &str, body: &str) -> String {
        let (user, own) = (&self.credentials.sip_user, self.own());
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}{cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@sip.test>;tag=a\r\nCall-ID: call-{method_id}@{name}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{own};line=x>\r\n{more}Content-Length: {length}\r\n\r\n{body}",
            name = self.name,
            method_id = if method == "REGISTER" { "r" } else { "i" },
            length = body.len(),
        )
    }

    async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.gateway).await.unwrap();
    }

    async fn next(&self) -> String {
        let mut buffer = [0; 65_536];
        let (length, _) =
            timeout(SOON, self.socket.recv_from(&mut buffer)).await.expect("a message").unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The next message that is not provisional.
    async fn last(&self) -> String {
        loop {
            let message = self.next().await;
            if !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
    }

    fn proof(&self, challenge: &str, method: &str, uri: &str) -> String {
        let (_, asked) = challenge.lines().find_map(|line| line.split_once("uthenticate: ")).unwrap();
        let (user, password) = (self.credentials.sip_user.as_str(), self.credentials.password.reveal());
        let answer = answer_challenge(asked, method, uri, user, password, "c0ffee", 1).unwrap();
        let name = if challenge.starts_with("SIP/2.0 401") { "Authorization" } else { "Proxy-Authorization" };
        format!("{name}: {answer}\r\n")
    }

    async fn register(&self) {
        let to = format!("To: <sip:{}@sip.test>\r\nExpires: 300\r\n", self.credentials.sip_user);
        self.send(&self.request("REGISTER", "sip:sip.test", 1, &to, "")).await;
        let challenge = self.next().await;
        assert!(challenge.starts_with("SIP/2.0 401"), "{challenge}");
        let more = to + &self.proof(&challenge, "REGISTER", "sip:sip.test");
        self.send(&self.request("REGISTER", "sip:sip.test", 2, &more, "")).await;
        let answer = self.next().await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }

    /// Calls as somebody who has forged the address: nothing that is said is heard.
    async fn forge(&self, number: &str, rtp: u16) -> String {
        let uri = format!("sip:{number}@sip.test");
        let more = format!("To: <{uri}>\r\nContent-Type: application/sdp\r\n");
        let from_number = self.request("INVITE", &uri, 1, &more, &offer(rtp));
        self.send(
            &from_number.replace(&format!("From: <sip:{}", self.credentials.sip_user), "From: <sip:+1202"),
        )
        .await;
        self.last().await
    }

    /// Calls, proves who calls if asked, and acknowledges the final answer.
    async fn call(&self, number: &str, rtp: u16) -> String {
        self.call_with(number, &offer(rtp)).await
    }

    async fn call_with(&self, number: &str, offer: &str) -> String {
        let uri = format!("sip:{number}@sip.test");
        let to = format!("To: <{uri}>\r\n");
        let described = format!("{to}Content-Type: application/sdp\r\n");
        self.send(&self.request("INVITE", &uri, 1, &described, offer)).await;
        let mut answer = self.last().await;
        if answer.starts_with("SIP/2.0 401") || answer.starts_with("SIP/2.0 407") {
            self.send(&self.request("ACK", &uri, 1, &to, "")).await;
            let more = described + &self.proof(&answer, "INVITE", &uri);
            self.send(&self.request("INVITE", &uri, 2, &more, offer)).await;
            answer = self.last().await;
        }
        let to = format!("To: {}\r\n", header(&answer, "To"));
        let cseq: u32 = header(&answer, "CSeq").split(' ').next().unwrap().parse().unwrap();
        self.send(&self.request("ACK", &uri, cseq, &to, "")).await;
        answer
    }

    async fn hang_up(&self, answer: &str) {
        let contact = header(answer, "Contact");
        let uri = contact.trim_start_matches('<').split('>').next().unwrap();
        let to = format!("To: {}\r\n", header(answer, "To"));
        self.send(&self.request("BYE", uri, 9, &to, "")).await;
        let answer = self.last().await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
}

fn offer(rtp: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {rtp} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let start = format!("{name}: ");
    message
        .lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap_or_else(|| panic!("no {name}: {message}"))
}

fn media_port(message: &str) -> u16 {
    let line = message.lines().find(|line| line.starts_with("m=audio")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn provision(daemon: &Daemon) -> Credentials {
    provision_channels(daemon, 1).await
}

async fn provision_channels(daemon: &Daemon, channels: u32) -> Credentials {
    let (store, now) = (daemon.store(), storage::now());
    let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(now, &new).await.unwrap();
    store.top_up(now, company.id, Micros::from_units(100), "").await.unwrap();
    let order = Some((Order { channels, bundles: 0 }, PriceList::default()));
    let settings = ProfileSettings::default();
    let profile = NewProfile { company: company.id, name: "Sales".into(), settings, order };
    let (profile, credentials) = store.create_profile(now, profile).await.unwrap();
    let number = store.add_number(company.id, "+12026843376", "US").await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(profile.id)).await.unwrap();
    changes_hold(daemon).await;
    credentials
}

/// Waits until what was provisioned is in force.
async fn changes_hold(daemon: &Daemon) {
    let revision = daemon.store().revision().await.unwrap();
    timeout(SOON, async {
        while daemon.metrics().directory_revision.get() < revision {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the change is noticed");
}

#[tokio::test]
async fn a_pbx_registers_hears_itself_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33000-33099");
    let daemon = Daemon::start(config.clone()).await.unwrap();
    let credentials = provision(&daemon).await;
    let pbx = Pbx::new(&daemon, credentials).await;
    pbx.register().await;

    let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let answer = pbx.call("17606604690", rtp.local_addr().unwrap().port()).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let packet = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7][..], &[0x55; 160]].concat();
    let mut heard = [0; 400];
    let echo = timeout(SOON, async {
        loop {
            rtp.send_to(&packet, ("127.0.0.1", media_port(&answer))).await.unwrap();
            if let Ok(Ok(length)) = timeout(Duration::from_millis(50), rtp.recv(&mut heard)).await {
                return length;
            }
        }
    });
    assert_eq!(echo.await.expect("an echo"), packet.len());
    assert_eq!(heard[12..packet.len()], packet[12..]);
    assert_eq!(daemon.engine().calls(CallsOf::Everybody, None, 10).await.len(), 1);
    pbx.hang_up(&answer).await;

    let records = timeout(SOON, async {
        loop {
            let found = daemon.store().cdrs(&CdrFilter::default(), 1).await.unwrap();
            if found.total > 0 {
                return found.rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let record = &records.await.expect("a record")[0];
    assert_eq!(
        (record.record.ending.reason_code.as_str(), record.settlement.amount),
        ("hung_up", Micros::ZERO)
    );

    let port = daemon.listeners()[0].local;
    daemon.stop().await;
    config.sip.listen[0].address = port;
    let daemon = Daemon::start(config).await.unwrap();
    let bindings = daemon.engine().bindings(None, 10).await;
    assert_eq!(bindings.len(), 1, "the PBX is known again");
    assert_eq!(bindings[0].flow.peer, pbx.own());
    daemon.stop().await;
}

#[tokio::test]
async fn a_call_through_a_carrier_is_charged_and_ended_when_the_gateway_stops() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "33100-33199")).await.unwrap();
    let carrier = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let store = daemon.store().clone();
    let new =
        NewCarrier { port: Some(carrier.local_addr().unwrap().port()), ..NewCarrier::new("Up", "127.0.0.2") };
    store.create_carrier(new).await.unwrap();
    store
        .import_rates(
            storage::now(),
            STANDARD_PRICE_LIST,
            None,
            "prefix,destination,rate_per_minute\n372,Estonia,0.04\n",
        )
        .await
        .unwrap();
    let credentials = provision(&daemon).await;
    store.allocate(storage::now(), credentials.profile, Micros::from_units(10)).await.unwrap();
    let pbx = Pbx::new(&daemon, credentials).await;
    pbx.register().await;

    let (answer, ()) = tokio::join!(pbx.call("+3726001234", 4000), answers(&carrier));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let mut buffer = [0; 65_536];
    let (length, gateway) = timeout(SOON, carrier.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..length].starts_with(b"ACK "), "{}", String::from_utf8_lossy(&buffer[..length]));
    assert_eq!(gateway, daemon.listeners()[0].local);

    daemon.stop().await;
    assert!(pbx.next().await.starts_with("BYE "));
    let (length, _) = timeout(SOON, carrier.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..length].starts_with(b"BYE "));

    let reopened = Daemon::start(config(directory.path(), "33100-33199")).await.unwrap();
    let records = reopened.store().cdrs(&CdrFilter::default(), 1).await.unwrap().rows;
    assert_eq!(records.len(), 1);
    let (settlement, ending) = (&records[0].settlement, &records[0].record.ending);
    assert_eq!((settlement.billed_s, settlement.amount.to_string().as_str()), (30, "0.02"), "{records:?}");
    assert_eq!((ending.reason_code.as_str(), ending.carrier.as_str()), ("shutting_down", "Up"));
    reopened.stop().await;
}

/// Takes the next call as a carrier does; what is left of the one before is not answered.
async fn answers(carrier: &UdpSocket) {
    let mut buffer = [0; 65_536];
    let (invite, gateway) = loop {
        let received = timeout(SOON, carrier.recv_from(&mut buffer)).await.expect("an INVITE");
        let (length, gateway) = received.unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("INVITE ") {
            break (text, gateway);
        }
    };
    assert!(invite.starts_with("INVITE sip:+3726001234@127.0.0.2"), "{invite}");
    let copied = |name: &str| format!("{name}: {}\r\n", header(&invite, name));
    let body =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4002 RTP/AVP 0\r\n";
    let own = carrier.local_addr().unwrap();
    let answer = format!(
        "SIP/2.0 200 OK\r\n{}{}To: {};tag=b\r\n{}{}Contact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        copied("Via"),
        copied("From"),
        header(&invite, "To"),
        copied("Call-ID"),
        copied("CSeq"),
        body.len()
    );
    carrier.send_to(answer.as_bytes(), gateway).await.unwrap();
}

#[tokio::test]
async fn a_second_gateway_on_the_database_is_refused_and_leaves_the_calls_alone() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "33300-33399")).await.unwrap();
    let pbx = Pbx::new(&daemon, provision(&daemon).await).await;
    pbx.register().await;
    let answer = pbx.call("17606604690", 4000).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let second = Daemon::start(config(directory.path(), "33400-33499")).await.err().expect("a refusal");
    assert!(second.to_string().contains("another gateway"), "{second}");
    assert_eq!(daemon.store().live_calls().await.unwrap().len(), 1, "the first one's call is alive");
    pbx.hang_up(&answer).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_gateway_that_cannot_listen_settles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33500-33599");
    let daemon = Daemon::start(config.clone()).await.unwrap();
    let profile = provision(&daemon).await.profile;
    daemon.stop().await;
    let attempt = Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Echo,
        from: String::new(),
        is_withheld: false,
        to: String::new(),
        destination: String::new(),
        country: String::new(),
        tariff: None,
        started_at: storage::now(),
    };
    let call = CallId::new("left by a crash");
    let store = storage::open(&config).await.unwrap();
    let op = LedgerOp::Reserve { call, profile, attempt: Box::new(attempt) };
    store.apply_one(storage::now(), op).await.unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    config.sip.listen[0].address = taken.local_addr().unwrap();
    Daemon::start(config.clone()).await.err().expect("the port is taken");
    assert_eq!(store.live_calls().await.unwrap().len(), 1);
    drop(taken);
    let daemon = Daemon::start(config).await.expect("the refused start holds no lock");
    assert!(store.live_calls().await.unwrap().is_empty(), "the gateway that runs settles it");
    daemon.stop().await;
}

#[tokio::test]
async fn pages_say_how_it_does_and_the_token_guards_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33200-33299");
    config.http.token = Some(crate::config::Secret::new("open sesame"));
    let daemon = Daemon::start(config).await.unwrap();
    provision(&daemon).await;
    let address = daemon.http();
    let page = move |path: &'static str, token: Option<&'static str>| async move {
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut request = agent.get(format!("http://{address}{path}"));
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let mut response = request.call().unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        });
        asked.await.unwrap()
    };
    assert_eq!(page("/healthz", None).await, (200, "ok\n".to_owned()));
    assert_eq!(page("/readyz", None).await, (200, "ready\n".to_owned()));
    for stranger in [None, Some("open")] {
        assert_eq!(page("/metrics", stranger).await.0, 401, "a proxy on this machine would open it to all");
    }
    let (status, metrics) = page("/metrics", Some("open sesame")).await;
    assert_eq!(status, 200);
    assert!(metrics.contains("sipgw_http_auth_failures_total{kind=\"metrics_token\"} 1"), "{metrics}");
    assert!(metrics.contains("sipgw_channels_limit{profile=\"990500"), "{metrics}");
    assert_eq!(page("/api/v1/calls", None).await.0, 401);
    assert_eq!(page("/api/v1/calls", Some("open")).await.0, 401);
    let (status, calls) = page("/api/v1/calls", Some("open sesame")).await;
    assert!(status == 200 && calls.contains("\"items\":[]"), "{calls}");
    let (_, status) = page("/api/v1/status", Some("open sesame")).await;
    assert!(status.contains("\"obstacle\":null"), "{status}");
    daemon.stop().await;
}

#[tokio::test]
async fn while_it_drains_new_calls_are_sent_away_and_running_ones_may_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33600-33699");
    config.calls.drain_s = 60;
    let daemon = Daemon::start(config).await.unwrap();
    let credentials = provision(&daemon).await;
    let pbx = Pbx::new(&daemon, credentials.clone()).await;
    let late = Pbx { name: "late", ..Pbx::new(&daemon, credentials).await };
    pbx.register().await;
    let answer = pbx.call("17606604690", 4000).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let metrics = daemon.metrics().clone();
    let stopping = tokio::spawn(daemon.stop());
    timeout(SOON, async {
        while metrics.draining.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it drains");
    let refusal = late.call("17606604690", 4002).await;
    assert!(refusal.starts_with("SIP/2.0 503"), "{refusal}");
    assert!(header(&refusal, "Retry-After").parse::<u32>().is_ok(), "{refusal}");
    assert!(!stopping.is_finished(), "the running call holds it");
    pbx.hang_up(&answer).await;
    timeout(SOON, stopping).await.expect("it ends with the last call").unwrap();
}

#[tokio::test]
async fn whoever_is_in_a_hurry_ends_the_calls_at_once_and_settles_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33700-33799");
    config.calls.drain_s = 3_600;
    let daemon = Daemon::start(config.clone()).await.unwrap();
    let pbx = Pbx::new(&daemon, provision(&daemon).await).await;
    pbx.register().await;
    let answer = pbx.call("17606604690", 4000).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let (hurry, hurried) = tokio::sync::oneshot::channel::<()>();
    let stopping = tokio::spawn(daemon.stop_sooner_if(async { hurried.await.unwrap() }));
    hurry.send(()).unwrap();
    let bye = pbx.next().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    timeout(SOON, stopping).await.expect("it waits for nobody").unwrap();
    let store = storage::open(&config).await.unwrap();
    assert!(store.live_calls().await.unwrap().is_empty());
    let records = store.cdrs(&CdrFilter::default(), 1).await.unwrap().rows;
    assert_eq!(records[0].record.ending.reason_code, "shutting_down");
}

mod addresses;
mod carriers;
mod certified;
mod descriptions;
mod exhaustion;
mod forged;
mod reloading;
mod streams;
