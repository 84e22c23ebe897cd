//! Agents among themselves, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn character(user: &str, tone_hz: u16, security: Security) -> Character {
    Character {
        user: user.to_owned(),
        password: None,
        domain: "sip.test".to_owned(),
        believes: None,
        contact_params: ";rinstance=7",
        product: "agent-test",
        tone_hz,
        security,
        rings_for: Duration::from_millis(50),
    }
}

async fn over_udp(security: Security) -> (Agent, Agent) {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut one = Link::udp(any, any).await.unwrap();
    let other = Link::udp(any, one.local).await.unwrap();
    one.peer = other.local;
    (Agent::start(character("one", 440, security), one), Agent::start(character("two", 660, security), other))
}

async fn over_tls() -> (Agent, Agent) {
    let made = rcgen::generate_simple_self_signed(["sip.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let accepted = async {
        let (tcp, peer) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(server)).accept(tcp).await.unwrap();
        Link::over(stream, address, peer)
    };
    let (one, other) = tokio::join!(Link::tls(address, "sip.test", roots), accepted);
    (
        Agent::start(character("one", 440, Security::Sdes), one.unwrap()),
        Agent::start(character("two", 660, Security::Sdes), other),
    )
}

/// One call from the first to the second: both hear each other, and the first hangs up.
async fn call_and_talk((one, mut other): (Agent, Agent)) {
    let mut call = one.call("two").await.unwrap();
    let mut incoming = other.next_call(PATIENCE).await.unwrap();
    assert!(incoming.invite.request_uri().starts_with("sip:two@"));
    call.answered(PATIENCE).await.unwrap();
    incoming.call.answered(PATIENCE).await.unwrap();
    let (here, there) = tokio::join!(call.hears(660, PATIENCE), incoming.call.hears(440, PATIENCE));
    assert!(here.is_steady(660) && there.is_steady(440), "{here:?} {there:?}");
    assert_eq!((here.rejected, there.rejected), (0, 0));
    assert_eq!(call.hang_up().await.unwrap().by, Side::Us);
    assert_eq!(incoming.call.ended(PATIENCE).await.unwrap().by, Side::Them);
}

#[tokio::test]
async fn they_talk_over_udp_and_rtp() {
    call_and_talk(over_udp(Security::Plain).await).await;
}

#[tokio::test]
async fn they_talk_over_tls_and_srtp() {
    call_and_talk(over_tls().await).await;
}

#[tokio::test]
async fn the_called_one_may_hang_up_too() {
    let (one, mut other) = over_udp(Security::Sdes).await;
    let mut call = one.call("two").await.unwrap();
    let mut incoming = other.next_call(PATIENCE).await.unwrap();
    incoming.call.answered(PATIENCE).await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    assert_eq!(incoming.call.hang_up().await.unwrap().by, Side::Us);
    assert_eq!(call.ended(PATIENCE).await.unwrap().by, Side::Them);
}

#[tokio::test]
async fn a_call_given_up_before_the_answer_is_cancelled() {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut one = Link::udp(any, any).await.unwrap();
    let two = Link::udp(any, one.local).await.unwrap();
    one.peer = two.local;
    let slow = Character { rings_for: PATIENCE * 4, ..character("two", 660, Security::Plain) };
    let one = Agent::start(character("one", 440, Security::Plain), one);
    let mut other = Agent::start(slow, two);
    let mut call = one.call("two").await.unwrap();
    let mut incoming = other.next_call(PATIENCE).await.unwrap();
    let _ = call.commands.send(Command::HangUp { call_id: call.call_id.clone() });
    assert_eq!(call.answered(PATIENCE).await.unwrap_err().status, 487);
    assert_eq!(incoming.call.ended(PATIENCE).await.unwrap().by, Side::Them);
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let (one, _other) = over_udp(Security::Plain).await;
    assert_eq!(one.register().await.unwrap_err().status, 405);
    let any = "127.0.0.1:0".parse().unwrap();
    let mut plain = Link::udp(any, any).await.unwrap();
    let secure = Link::udp(any, plain.local).await.unwrap();
    plain.peer = secure.local;
    let plain = Agent::start(character("one", 440, Security::Plain), plain);
    let _secure = Agent::start(character("two", 660, Security::Sdes), secure);
    let mut call = plain.call("two").await.unwrap();
    assert_eq!(call.answered(PATIENCE).await.unwrap_err().status, 488);
}
