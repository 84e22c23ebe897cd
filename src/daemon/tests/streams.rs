//! PBXs over TLS: which of their connections stay, and how they are reached once those have ended.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certified::next_message;
use super::*;

/// A gateway that listens over UDP and TLS, and one certificate for everybody.
struct House {
    daemon: Daemon,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
    credentials: Credentials,
    _directory: tempfile::TempDir,
}

/// A PBX's connection.
struct Line {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

impl House {
    async fn new(rtp_ports: &str, change: impl FnOnce(&mut Config)) -> Self {
        let names = ["sip.test".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("c.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(directory.path().join("k.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let text = format!(
            "node: {{domain: sip.test}}\nsip: {{listen: [{{transport: udp, address: \"127.0.0.1:0\"}}, {{transport: tls, address: \"127.0.0.1:0\"}}]}}\ntls: {{certificate: c.pem, key: k.pem, authorities: c.pem}}\nmedia: {{addresses: [{{bind: \"127.0.0.1\"}}], ports: {rtp_ports}, workers: 1}}\nstore: {{path: sipgw.db, key_file: sipgw.key, synchronous: normal, patience_ms: 10000}}\nhttp: {{listen: \"127.0.0.1:0\"}}\ncalls: {{drain_s: 0, question_patience_s: 20}}\n"
        );
        let file = directory.path().join("sipgw.yaml");
        std::fs::write(&file, text).unwrap();
        let mut config = Config::load(&file).unwrap();
        change(&mut config);
        let daemon = Daemon::start(config).await.unwrap();
        let credentials = provision(&daemon).await;
        Self { daemon, certificate, credentials, _directory: directory }
    }

    async fn connect(&self) -> Line {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.daemon.listeners()[1].local).await.unwrap();
        let name = ServerName::try_from("sip.test").unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
        Line { stream, unread: Vec::new() }
    }

    /// Takes a connection from the gateway, as a PBX that listens.
    async fn accept(&self, listener: &TcpListener) -> tokio_rustls::server::TlsStream<TcpStream> {
        let key = PrivateKeyDer::try_from(self.certificate.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.cert.der().clone()], key)
            .unwrap();
        let (stream, _) = timeout(SOON, listener.accept()).await.expect("a connection").unwrap();
        TlsAcceptor::from(Arc::new(server)).accept(stream).await.unwrap()
    }

    /// Registers over a connection, as a PBX that listens there.
    async fn register(&self, line: &mut Line, listens: SocketAddr) {
        let (user, own) = (&self.credentials.sip_user, line.stream.get_ref().0.local_addr().unwrap());
        let request = |cseq: u32, proof: &str| {
            format!(
                "REGISTER sip:sip.test SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bK{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@sip.test>;tag=a\r\nTo: <sip:{user}@sip.test>\r\nCall-ID: r\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{listens};transport=tls>\r\nExpires: 300\r\n{proof}Content-Length: 0\r\n\r\n"
            )
        };
        let challenge = line.ask(&request(1, "")).await;
        let asked = header(&challenge, "WWW-Authenticate");
        let password = self.credentials.password.reveal();
        let proof = answer_challenge(asked, "REGISTER", "sip:sip.test", user, password, "c0ffee", 1).unwrap();
        let answer = line.ask(&request(2, &format!("Authorization: {proof}\r\n"))).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
}

impl Line {
    async fn ask(&mut self, text: &str) -> String {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        next_message(&mut self.stream, &mut self.unread).await
    }

    /// Whether a keepalive is answered (RFC 5626 section 3.5.1).
    async fn lives(&mut self) -> bool {
        let mut pong = [0; 2];
        let is_sent = self.stream.write_all(b"\r\n\r\n").await.is_ok();
        is_sent && matches!(timeout(SOON, self.stream.read_exact(&mut pong)).await, Ok(Ok(2)))
    }
}

#[tokio::test]
async fn a_pbx_is_called_where_it_listens_once_its_connection_has_ended() {
    let house = House::new("35040-35059", |_| {}).await;
    let carrier = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let new =
        NewCarrier { sources: vec!["127.0.0.3/32".parse().unwrap()], ..NewCarrier::new("Up", "127.0.0.3") };
    house.daemon.store().create_carrier(new).await.unwrap();
    changes_hold(&house.daemon).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut line = house.connect().await;
    house.register(&mut line, listener.local_addr().unwrap()).await;
    drop(line);
    timeout(SOON, async {
        while house.daemon.engine().bindings(None, 10).await[0].flow.connection.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the end of the connection is noticed, and the registration stays");

    let (own, to) = (carrier.local_addr().unwrap(), house.daemon.listeners()[0].local);
    let body = offer(4000).replace("127.0.0.1", "127.0.0.3");
    let invite = format!(
        "INVITE sip:+12026843376@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:+12125550100@127.0.0.3>;tag=a\r\nTo: <sip:+12026843376@{to}>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    carrier.send_to(invite.as_bytes(), to).await.unwrap();
    let mut called = house.accept(&listener).await;
    let invite = next_message(&mut called, &mut Vec::new()).await;
    assert!(invite.starts_with("INVITE sip:12026843376@"), "{invite}");
    let busy =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(&invite, name)));
    let busy = format!("SIP/2.0 486 Busy Here\r\n{}Content-Length: 0\r\n\r\n", busy.concat());
    called.write_all(busy.as_bytes()).await.unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let (length, _) = timeout(SOON, carrier.recv_from(&mut buffer)).await.expect("an answer").unwrap();
        match buffer[..length].strip_prefix(b"SIP/2.0 ") {
            Some(answer) if answer.starts_with(b"1") => {}
            Some(answer) => {
                assert!(answer.starts_with(b"486 "), "{}", String::from_utf8_lossy(answer));
                break;
            }
            None => panic!("{}", String::from_utf8_lossy(&buffer[..length])),
        }
    }
    house.daemon.stop().await;
}

#[tokio::test]
async fn a_connection_on_which_a_password_was_proved_stays_and_one_without_is_closed() {
    let house = House::new("35060-35079", |config| config.sip.connections.unproved_s = 3).await;
    let mut pbx = house.connect().await;
    house.register(&mut pbx, "127.0.0.1:5061".parse().unwrap()).await;
    let mut stranger = house.connect().await;
    assert!(stranger.lives().await);
    // It came last, so whoever is lent no more than it has gone before it.
    timeout(SOON, async {
        while stranger.lives().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("a connection without proof is lent");
    assert!(pbx.lives().await, "the table of connections was not told of the proof");
    house.daemon.stop().await;
}
