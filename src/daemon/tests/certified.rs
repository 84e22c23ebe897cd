//! PBXs that are known by their client certificate, over real TLS.

use provisioning_store::model::{Authentication, NewIpRule, Transport};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::reloading::{House, Shown};
use super::*;
use crate::net::TlsFiles;

const ECHO: &str = "sip:17606604690@sip.test";
const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Vouches for PBXs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate of this name.
    fn vouch_for(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

/// A gateway that believes an authority and knows a profile by the certificate of `pbx.example.com`, from anywhere.
async fn house(rtp_ports: &str, authority: &Authority) -> House {
    let house = House::believing(rtp_ports, Some(&authority.pem)).await;
    let profile = provision(&house.daemon).await.profile;
    let store = house.daemon.store();
    let settings = ProfileSettings { authentication: Authentication::Ip, ..ProfileSettings::default() };
    store.set_profile_settings(profile, settings).await.unwrap();
    let certificate = Some("pbx.example.com".to_owned());
    let anywhere = NewIpRule::new("0.0.0.0/0".parse().unwrap(), Transport::Tls);
    store.add_ip_rule(profile, &NewIpRule { certificate, ..anywhere }).await.unwrap();
    changes_hold(&house.daemon).await;
    house
}

/// One end of a connection, texts in and out.
struct Line {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
    /// Requests sent, so that each is a new one.
    sent: u32,
}

impl Line {
    async fn open(house: &House, own: Option<Shown>) -> Self {
        let stream = house.connect_showing(own).await.expect("a connection");
        Self { stream, unread: Vec::new(), sent: 0 }
    }

    async fn send(&mut self, method: &str, uri: &str, to: &str, cseq: u32, body: &str) {
        self.sent += 1;
        let own = self.stream.get_ref().0.local_addr().unwrap();
        let (branch, length) = (self.sent, body.len());
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: <sip:pbx@sip.test>;tag=a\r\nTo: {to}\r\nCall-ID: {own}\r\nCSeq: {cseq} {method}\r\nContact: <sip:pbx@{own};transport=tls>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next final answer.
    async fn answer(&mut self) -> String {
        loop {
            let message = next_message(&mut self.stream, &mut self.unread).await;
            if !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
    }

    /// Calls the echo, and hangs up if it answers; gives the status of the call.
    async fn call(&mut self) -> String {
        let cseq = self.sent + 1;
        self.send("INVITE", ECHO, &format!("<{ECHO}>"), cseq, OFFER).await;
        let answer = self.answer().await;
        self.send("ACK", ECHO, header(&answer, "To"), cseq, "").await;
        if answer.starts_with("SIP/2.0 200") {
            let contact = header(&answer, "Contact");
            let uri = contact.trim_start_matches('<').split('>').next().unwrap();
            self.send("BYE", uri, header(&answer, "To"), cseq + 1, "").await;
            let bye = self.answer().await;
            assert!(bye.starts_with("SIP/2.0 200"), "{bye}");
        }
        answer["SIP/2.0 ".len()..].split(' ').next().unwrap().to_owned()
    }
}

pub(super) async fn next_message(stream: &mut (impl AsyncRead + Unpin), unread: &mut Vec<u8>) -> String {
    loop {
        let text = String::from_utf8_lossy(unread).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = header(head, "Content-Length").parse().unwrap();
            if body.len() >= length {
                let message = text[..head.len() + 4 + length].to_owned();
                unread.drain(..message.len());
                return message;
            }
        }
        let mut buffer = [0; 4_096];
        let length = timeout(SOON, stream.read(&mut buffer)).await.expect("a message").unwrap();
        assert_ne!(length, 0, "the connection was closed");
        unread.extend_from_slice(&buffer[..length]);
    }
}

/// Whether the gateway lets somebody with this certificate in. In TLS 1.3 a client learns that it is not believed by what
/// it reads first.
async fn lets_in(house: &House, own: Shown) -> bool {
    let Ok(mut stream) = house.connect_showing(Some(own)).await else { return false };
    let mut pong = [0; 2];
    let said = stream.write_all(b"\r\n\r\n").await.is_ok();
    said && matches!(timeout(SOON, stream.read_exact(&mut pong)).await.expect("an end"), Ok(2))
}

#[tokio::test]
async fn a_pbx_is_known_by_its_certificate_and_by_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let house = house("34600-34619", &authority).await;
    let mut pbx = Line::open(&house, Some(authority.vouch_for("PBX.example.com"))).await;
    assert_eq!(pbx.call().await, "200");
    assert_eq!(pbx.call().await, "200", "it is known as long as the connection stands");
    for stranger in
        [None, Some(authority.vouch_for("other.example.com")), Some(authority.vouch_for("*.example.com"))]
    {
        assert_eq!(Line::open(&house, stranger).await.call().await, "407");
    }
    let refused = || {
        let closed = &house.daemon.metrics().connections_closed;
        closed.with_label_values(&["tls", "certificate"]).get()
    };
    assert!(!lets_in(&house, other.vouch_for("pbx.example.com")).await, "anybody may sign that");
    assert_eq!(refused(), 1);
    house.daemon.stop().await;
}

#[tokio::test]
async fn other_authorities_are_believed_as_soon_as_their_file_is_read() {
    let (old, new) = (Authority::new(), Authority::new());
    let house = house("34620-34639", &old).await;
    let (mine, theirs) = (old.vouch_for("pbx.example.com"), new.vouch_for("pbx.example.com"));
    let mut connected = Line::open(&house, Some((mine.0.clone(), mine.1.clone_key()))).await;
    let file = house.directory.path().join("ca.pem");
    std::fs::write(&file, &new.pem).unwrap();
    house.daemon.reload().await;
    assert_eq!(house.failures(), 0);
    assert_eq!(Line::open(&house, Some((theirs.0.clone(), theirs.1.clone_key()))).await.call().await, "200");
    assert!(!lets_in(&house, mine).await, "the old one is still believed");
    assert_eq!(connected.call().await, "200", "who is connected stays");

    for nothing in ["", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, nothing).unwrap();
        let refused = TlsFiles::read(&house.daemon.reload.config()).err().expect("a refusal").to_string();
        assert!(refused.contains("ca.pem") && refused.contains("PEM"), "{refused}");
        let before = house.failures();
        house.daemon.reload().await;
        assert!(house.failures() > before);
    }
    assert_eq!(Line::open(&house, Some(theirs)).await.call().await, "200", "the last good file holds");
    house.daemon.stop().await;
}
