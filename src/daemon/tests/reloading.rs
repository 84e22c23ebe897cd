//! Configuration and certificates that change under a running gateway.

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

/// A file that changes is read within this time: two looks, and then some.
const NOTICED: Duration = Duration::from_secs(20);

/// A gateway with a TLS listener, its configuration in a file.
pub(super) struct House {
    pub(super) directory: tempfile::TempDir,
    pub(super) daemon: Daemon,
}

/// What a client shows of itself: its certificate and the key of it.
pub(super) type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl House {
    async fn new(rtp_ports: &str) -> Self {
        Self::believing(rtp_ports, None).await
    }

    /// Believes the certificates of this authority (PEM), in the file `ca.pem`.
    pub(super) async fn believing(rtp_ports: &str, authority: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        certify(path, 2040);
        let clients = authority.map_or("", |pem| {
            std::fs::write(path.join("ca.pem"), pem).unwrap();
            ", client_ca: ca.pem"
        });
        let text = format!(
            "node: {{domain: sip.test}}\nsip: {{listen: [{{transport: tls, address: \"127.0.0.1:0\"}}]}}\ntls: {{certificate: c.pem, key: k.pem{clients}}}\nmedia: {{addresses: [{{bind: \"127.0.0.1\"}}], ports: {rtp_ports}, workers: 1}}\nstore: {{path: sipgw.db, key_file: sipgw.key, synchronous: normal, patience_ms: 10000}}\nhttp: {{listen: \"127.0.0.1:0\"}}\ncalls: {{drain_s: 0, question_patience_s: 20}}\n"
        );
        std::fs::write(path.join("sipgw.yaml"), text).unwrap();
        let daemon = Daemon::start(Config::load(&path.join("sipgw.yaml")).unwrap()).await.unwrap();
        Self { directory, daemon }
    }

    /// Changes the configuration's file.
    fn edit(&self, from: &str, to: &str) {
        let file = self.directory.path().join("sipgw.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Connects with trust in the certificate that is in the file now; fails if another one is shown.
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_showing(None).await
    }

    /// The same, with a certificate of its own.
    pub(super) async fn connect_showing(&self, own: Option<Shown>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.directory.path().join("c.pem")).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match own {
            None => client.with_no_client_auth(),
            Some((certificate, key)) => client.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        let stream = TcpStream::connect(self.daemon.listeners()[0].local).await.unwrap();
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("sip.test").unwrap(), stream).await
    }

    pub(super) fn failures(&self) -> u64 {
        self.daemon.metrics().reload_failures.get()
    }

    fn says(&self, line: &str) -> bool {
        self.daemon.metrics().page(&[]).contains(line)
    }
}

/// Makes a new certificate with its key, which expires at the end of a year.
fn certify(directory: &Path, year: i32) {
    let mut params = CertificateParams::new(vec!["sip.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(directory.join("c.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("k.pem"), key.serialize_pem()).unwrap();
}

/// A keepalive is answered (RFC 5626 section 3.5.1): the connection lives.
async fn is_answered(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    timeout(SOON, stream.read_exact(&mut pong)).await.expect("a pong").unwrap();
}

async fn noticed(what: &str, is_so: impl Fn() -> bool) {
    let waiting = timeout(NOTICED, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("not noticed: {what}"));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_and_keeps_those_who_are_connected() {
    let house = House::new("33800-33899").await;
    let mut old = house.connect().await.unwrap();
    is_answered(&mut old).await;
    assert!(house.says("sipgw_tls_certificate_expiry_timestamp_seconds{file="));
    let expiry = |year: i32| format!("c.pem\"}} {}", rcgen::date_time_ymd(year, 12, 31).unix_timestamp());
    assert!(house.says(&expiry(2040)), "{}", house.daemon.metrics().page(&[]));

    certify(house.directory.path(), 2041);
    assert!(house.connect().await.is_err(), "the old certificate is still shown");
    house.daemon.reload().await;
    let mut new = house.connect().await.expect("the new certificate is shown");
    is_answered(&mut new).await;
    is_answered(&mut old).await;
    assert!(house.says(&expiry(2041)) && !house.says(&expiry(2040)));
    assert_eq!(house.failures(), 0);
    house.daemon.stop().await;
}

#[tokio::test]
async fn changed_files_are_noticed_and_bad_ones_refused_as_a_whole() {
    let house = House::new("33900-33999").await;
    certify(house.directory.path(), 2041);
    let expiry = rcgen::date_time_ymd(2041, 12, 31).unix_timestamp().to_string();
    noticed("a new certificate", || house.says(&expiry)).await;
    house.connect().await.expect("the new certificate is shown");
    let before = house.failures();

    // A token that could be taken comes with a port range that cannot be read.
    house.edit("http: {", "http: {token: the-operators-token, ");
    house.edit("ports: 33900-33999", "ports: many");
    noticed("a bad file", || house.failures() > before).await;
    assert_eq!(page(&house, "/api/v1/status").await, 401, "the old file, without the token, is in force");

    house.edit("ports: many", "ports: 33900-33999");
    let access = || house.daemon.reload.config().http.token.is_some();
    noticed("a mended file", access).await;
    assert_eq!(page(&house, "/api/v1/status").await, 200);
    house.edit("drain_s: 0", "drain_s: 0, spend_guard: {day_cap: 5}");
    let cap = || house.daemon.store().policy().guard.day_cap;
    noticed("a spend cap", || cap() == Some(Micros::from_units(5))).await;

    let key = house.directory.path().join("k.pem");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let before = house.failures();
    noticed("a key that does not fit", || house.failures() > before).await;
    house.connect().await.expect("the old pair is in use");
    house.daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_named() {
    let house = House::new("34000-34099").await;
    let other = Config {
        store: crate::config::StoreConfig { path: "elsewhere.db".into(), ..Default::default() },
        ..(*house.daemon.reload.config()).clone()
    };
    assert_eq!(house.daemon.reload.waiting(&other), ["store"]);
    let mut other = (*house.daemon.reload.config()).clone();
    other.calls.drain_s = 5;
    other.calls.spend_guard.warn_percent = 50;
    other.calls.caller_id_countries = vec!["US".to_owned()];
    assert!(house.daemon.reload.waiting(&other).is_empty());
    other.calls.max_forwards = 20;
    other.registration.nat_s = 60;
    other.sip.bans.ban_after = 7;
    other.log.level = "debug".to_owned();
    assert!(house.daemon.reload.waiting(&other).is_empty());
    other.log.format = crate::config::LogFormat::Json;
    other.sip.queue = 100;
    other.http.listen = "127.0.0.1:1".parse().unwrap();
    other.http.connections = 9;
    let waiting = ["sip", "http.listen", "http.connections", "log.format"];
    assert_eq!(house.daemon.reload.waiting(&other), waiting);
    house.daemon.stop().await;
}

#[tokio::test]
async fn changed_calls_and_registrations_hold_for_the_next_ones() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "34100-34199")).await.unwrap();
    let credentials = provision(&daemon).await;
    let pbx = Pbx::new(&daemon, credentials.clone()).await;
    pbx.register().await;
    let answer = pbx.call("17606604690", 4000).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");

    let file = directory.path().join("sipgw.yaml");
    let changed = "calls: {drain_s: 0, question_patience_s: 20, echo_numbers: [\"4930123\"]}\nregistration: {direct_s: 120, nat_s: 120}\n";
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("calls: {drain_s: 0, question_patience_s: 20}\n", changed);
    std::fs::write(&file, text).unwrap();
    daemon.reload().await;
    assert_eq!(
        daemon.engine().calls(CallsOf::Everybody, None, 10).await.len(),
        1,
        "the running call goes on"
    );
    pbx.hang_up(&answer).await;

    let late = Pbx { name: "late", ..Pbx::new(&daemon, credentials).await };
    late.register().await;
    let granted = daemon.engine().bindings(None, 10).await[0].expires_unix_s - engine::now().unix_s;
    assert!((100..=120).contains(&granted), "{granted}");
    let answer = late.call("+4930123", 4002).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    late.hang_up(&answer).await;
    daemon.stop().await;
}

/// The status of a page for whoever shows the token.
async fn page(house: &House, path: &str) -> u16 {
    let url = format!("http://{}{path}", house.daemon.http());
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.get(url).header("authorization", "Bearer the-operators-token").call().unwrap().status().as_u16()
    });
    asked.await.unwrap()
}
