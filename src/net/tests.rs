//! Real sockets on loopback.

mod addresses;
mod endings;
mod strangers;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

const OPTIONS: &str =
    "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";
const SOON: Duration = Duration::from_secs(20);

struct Fixture {
    net: Net,
    listeners: Vec<Listener>,
    inbound: mpsc::Receiver<Inbound>,
    metrics: Metrics,
    stop: CancellationToken,
    tls: Arc<Tls>,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Fixture {
    async fn new(changes: impl FnOnce(&mut Config)) -> Self {
        let certificate =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let text = "node: {domain: sip.example.com}\nsip:\n  listen:\n    - {transport: udp, address: \"127.0.0.1:0\"}\n    - {transport: tcp, address: \"127.0.0.1:0\"}\n    - {transport: tls, address: \"127.0.0.1:0\"}\ntls: {certificate: cert.pem, key: key.pem, authorities: cert.pem}\nmedia: {addresses: [{bind: \"127.0.0.1\"}]}\n";
        let file = directory.path().join("sipgw.yaml");
        std::fs::write(&file, text).unwrap();
        let mut config = Config::load(&file).unwrap();
        changes(&mut config);
        let (sender, inbound) = mpsc::channel(config.sip.queue);
        let metrics = Metrics::new();
        let stop = CancellationToken::new();
        let tls = Arc::new(Tls::load(&config).unwrap());
        let (net, listeners) =
            Net::bind(&config, Arc::clone(&tls), sender, metrics.clone(), stop.clone()).await.unwrap();
        Self { net, listeners, inbound, metrics, stop, tls, certificate }
    }

    fn address(&self, transport: Transport) -> SocketAddr {
        self.listeners.iter().find(|l| l.transport == transport).unwrap().local
    }

    async fn next(&mut self) -> Inbound {
        timeout(SOON, self.inbound.recv()).await.unwrap().unwrap()
    }

    /// A PBX that trusts our certificate.
    async fn tls_client(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address(Transport::Tls)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap()
    }

    async fn message(&mut self) -> (Flow, Bytes) {
        match self.next().await {
            Inbound::Message { flow, bytes, .. } | Inbound::Datagram { flow, bytes, .. } => (flow, bytes),
            other => panic!("{other:?}"),
        }
    }
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut buffer = [0; 2048];
    let length = timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn answer(flow: Flow, text: &'static str) -> Transmit {
    Transmit { flow, bytes: Bytes::from_static(text.as_bytes()) }
}

#[tokio::test]
async fn a_datagram_comes_in_and_its_answer_goes_back_to_the_source() {
    let mut fixture = Fixture::new(|_| {}).await;
    let pbx = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let large = vec![b'x'; 60_000];
    pbx.send_to(&large, fixture.address(Transport::Udp)).await.unwrap();
    let (flow, bytes) = fixture.message().await;
    assert_eq!((flow.peer, bytes.len()), (pbx.local_addr().unwrap(), 60_000));
    fixture.net.send(answer(flow, "SIP/2.0 200 OK\r\n\r\n")).unwrap();
    let mut buffer = [0; 100];
    let (length, source) = timeout(SOON, pbx.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..length], source), (&b"SIP/2.0 200 OK\r\n\r\n"[..], flow.local));
}

#[tokio::test]
async fn a_full_queue_drops_datagrams_and_counts_them() {
    let fixture = Fixture::new(|config| config.sip.queue = 16).await;
    let pbx = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..40 {
        pbx.send_to(OPTIONS.as_bytes(), fixture.address(Transport::Udp)).await.unwrap();
    }
    let dropped = || fixture.metrics.queue_dropped.with_label_values(&["udp_in"]).get();
    timeout(SOON, async {
        while dropped() < 24 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(dropped(), 24);
}

#[tokio::test]
async fn a_connection_is_reused_and_its_loss_is_told() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    let (head, tail) = OPTIONS.split_at(30);
    pbx.write_all(head.as_bytes()).await.unwrap();
    pbx.flush().await.unwrap();
    pbx.write_all(tail.as_bytes()).await.unwrap();
    let (flow, bytes) = fixture.message().await;
    assert_eq!(bytes, OPTIONS.as_bytes());
    fixture.net.send(answer(flow, "SIP/2.0 200 OK\r\n\r\n")).unwrap();
    assert_eq!(read(&mut pbx).await, "SIP/2.0 200 OK\r\n\r\n");
    // Without a connection named, the one to the peer is found.
    fixture.net.send(answer(Flow { connection: None, ..flow }, "INVITE sip:x@y SIP/2.0\r\n\r\n")).unwrap();
    assert_eq!(read(&mut pbx).await, "INVITE sip:x@y SIP/2.0\r\n\r\n");
    drop(pbx);
    assert!(matches!(fixture.next().await, Inbound::Lost(lost) if lost == flow));
    assert_eq!(fixture.net.send(answer(flow, "x")), Err(flow));
}

#[tokio::test]
async fn a_keepalive_is_answered() {
    let fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut pbx).await, "\r\n");
}

#[tokio::test]
async fn a_pbx_speaks_tls_and_we_speak_tls_to_a_carrier() {
    let mut fixture = Fixture::new(|_| {}).await;
    let address = fixture.address(Transport::Tls);
    let mut pbx = fixture.tls_client().await;
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    assert_eq!(flow.transport, Transport::Tls);
    fixture.net.send(answer(flow, "SIP/2.0 200 OK\r\n\r\n")).unwrap();
    assert_eq!(read(&mut pbx).await, "SIP/2.0 200 OK\r\n\r\n");

    // Our own listener plays the carrier: what we send to it comes in again.
    let toward = Flow { transport: Transport::Tls, local: address, peer: address, connection: None };
    fixture.net.send(Transmit { flow: toward, bytes: Bytes::from_static(OPTIONS.as_bytes()) }).unwrap();
    assert_eq!(fixture.message().await.1, OPTIONS.as_bytes());
}

#[tokio::test]
async fn a_carrier_with_a_wrong_certificate_is_not_spoken_to() {
    let mut fixture = Fixture::new(|_| {}).await;
    let address = fixture.address(Transport::Tls);
    fixture.tls.names.note(address, "other.example.com");
    let toward = Flow { transport: Transport::Tls, local: address, peer: address, connection: None };
    fixture.net.send(answer(toward, OPTIONS)).unwrap();
    let mut failed = false;
    for _ in 0..3 {
        match fixture.next().await {
            Inbound::SendFailed(flow) => {
                assert_eq!(flow, toward);
                failed = true;
                break;
            }
            Inbound::Lost(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(failed);
}

#[tokio::test]
async fn what_cannot_be_connected_comes_back() {
    let mut fixture = Fixture::new(|_| {}).await;
    // A port that was free a moment ago and is listened at by nobody.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let local = fixture.address(Transport::Tcp);
    let flow = Flow { transport: Transport::Tcp, local, peer: free, connection: None };
    fixture.net.send(answer(flow, OPTIONS)).unwrap();
    assert!(matches!(fixture.next().await, Inbound::SendFailed(failed) if failed == flow));
}

#[tokio::test]
async fn a_silent_stranger_is_shown_out() {
    let mut fixture = Fixture::new(|config| config.sip.connections.handshake_s = 1).await;
    let address = fixture.address(Transport::Tcp);
    let mut stranger = TcpStream::connect(address).await.unwrap();
    stranger.write_all(b"OPTIONS sip:").await.unwrap();
    assert_eq!(read(&mut stranger).await, "");
    assert!(matches!(fixture.next().await, Inbound::Lost(_)));
    assert_eq!(fixture.metrics.connections_closed.with_label_values(&["tcp", "idle"]).get(), 1);
}

#[tokio::test]
async fn what_is_not_sip_ends_the_connection() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut browser = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut browser).await, "");
    assert!(matches!(fixture.next().await, Inbound::Lost(_)));
}

#[tokio::test]
async fn stopping_writes_what_is_queued() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    fixture.net.send(answer(flow, "BYE sip:x@y SIP/2.0\r\n\r\n")).unwrap();
    fixture.stop.cancel();
    fixture.net.finish(SOON).await;
    assert_eq!(read(&mut pbx).await, "BYE sip:x@y SIP/2.0\r\n\r\n");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let fixture = Fixture::new(|_| {}).await;
    let taken = fixture.address(Transport::Udp);
    let text = format!(
        "node: {{domain: d}}\nsip: {{listen: [{{transport: udp, address: \"{taken}\"}}]}}\nmedia: {{addresses: [{{bind: \"127.0.0.1\"}}], ports: 1-4}}\n"
    );
    let config = Config::from_text("x.yaml", &text, []).unwrap();
    let (sender, _inbound) = mpsc::channel(16);
    let tls = Arc::new(Tls::load(&config).unwrap());
    let bound = Net::bind(&config, tls, sender, Metrics::new(), CancellationToken::new()).await;
    let message = bound.err().unwrap().to_string();
    assert!(message.starts_with(&format!("cannot listen at {taken} (udp): ")), "{message}");
}

#[tokio::test]
async fn a_message_too_long_for_a_stream_is_answered_before_the_connection_ends() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    let long = OPTIONS.replace("Content-Length: 0", "Content-Length: 100000");
    pbx.write_all(long.as_bytes()).await.unwrap();
    pbx.write_all(&[b'x'; 100_000]).await.unwrap();
    let (flow, bytes) = fixture.message().await;
    assert_eq!(bytes, long);
    fixture.net.send(answer(flow, "SIP/2.0 413 Request Entity Too Large\r\n\r\n")).unwrap();
    assert!(read(&mut pbx).await.starts_with("SIP/2.0 413"));
    assert_eq!(read(&mut pbx).await, "", "nothing can follow");
}

#[tokio::test]
async fn handshakes_are_limited_by_source_and_those_that_are_done_do_not_count() {
    let fixture = Fixture::new(|config| config.sip.connections.handshakes_per_source = 2).await;
    let address = fixture.address(Transport::Tls);
    // They connect and say nothing.
    let idle = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let open = || fixture.metrics.connections.with_label_values(&["tls"]).get();
    soon(|| open() == 2).await;
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut buffer = [0; 10];
    assert!(matches!(timeout(SOON, third.read(&mut buffer)).await.unwrap(), Ok(0) | Err(_)));
    assert_eq!(fixture.metrics.connections_closed.with_label_values(&["tls", "handshakes"]).get(), 1);
    drop(idle);
    soon(|| open() == 0).await;
    let mut done = Vec::new();
    for _ in 0..4 {
        done.push(fixture.tls_client().await);
    }
    assert_eq!(open(), 4);
}

/// Waits until something is so.
async fn soon(is_so: impl Fn() -> bool) {
    let waiting = timeout(SOON, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waiting.await.expect("it becomes so");
}
