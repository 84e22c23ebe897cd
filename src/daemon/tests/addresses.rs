//! A gateway at every address of a machine that has several: peers hear from the one that they know.

use super::*;
use crate::config::Advertise;

/// A gateway at every address that tells peers this one.
async fn everywhere(directory: &Path, rtp_ports: &str, told: &str) -> Daemon {
    let mut config = config(directory, rtp_ports);
    config.sip.listen[0].address = "0.0.0.0:0".parse().unwrap();
    config.sip.listen[0].advertise = Some(told.parse::<Advertise>().unwrap());
    Daemon::start(config).await.unwrap()
}

/// The next datagram, and where it comes from.
async fn heard(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, source) = timeout(SOON, socket.recv_from(&mut buffer)).await.expect("a message").unwrap();
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), source)
}

#[tokio::test]
async fn a_pbx_hears_from_the_address_that_it_has_registered_at() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = everywhere(directory.path(), "33700-33799", "127.0.0.1").await;
    let port = daemon.listeners()[0].local.port();
    let carrier = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let new =
        NewCarrier { sources: vec!["127.0.0.3/32".parse().unwrap()], ..NewCarrier::new("Up", "127.0.0.3") };
    daemon.store().create_carrier(new).await.unwrap();
    let credentials = provision(&daemon).await;
    let mut pbx = Pbx::new(&daemon, credentials).await;
    // The PBX knows the gateway by another of its addresses than the one that others are told.
    let known = SocketAddr::new("127.0.0.2".parse().unwrap(), port);
    pbx.gateway = known;
    pbx.register().await;

    let own = carrier.local_addr().unwrap();
    let body =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let invite = format!(
        "INVITE sip:+12026843376@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:+12125550100@127.0.0.3>;tag=a\r\nTo: <sip:+12026843376@127.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    carrier.send_to(invite.as_bytes(), ("127.0.0.1", port)).await.unwrap();
    let (trying, source) = heard(&carrier).await;
    assert!(
        trying.starts_with("SIP/2.0 100") && source == SocketAddr::new("127.0.0.1".parse().unwrap(), port),
        "{trying}"
    );

    let (invite, source) = heard(&pbx.socket).await;
    assert!(invite.starts_with("INVITE "), "{invite}");
    assert_eq!(source, known);
    for name in ["Via", "Contact"] {
        assert!(header(&invite, name).contains(&known.to_string()), "{name} names another address: {invite}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_carrier_hears_from_the_address_that_peers_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = everywhere(directory.path(), "33800-33899", "127.0.0.4").await;
    let told = SocketAddr::new("127.0.0.4".parse().unwrap(), daemon.listeners()[0].local.port());
    let carrier = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let new =
        NewCarrier { port: Some(carrier.local_addr().unwrap().port()), ..NewCarrier::new("Up", "127.0.0.3") };
    let store = daemon.store().clone();
    store.create_carrier(new).await.unwrap();
    let rates = "prefix,destination,rate_per_minute\n372,Estonia,0.04\n";
    store.import_rates(storage::now(), STANDARD_PRICE_LIST, None, rates).await.unwrap();
    let credentials = provision(&daemon).await;
    store.allocate(storage::now(), credentials.profile, Micros::from_units(10)).await.unwrap();
    let mut pbx = Pbx::new(&daemon, credentials).await;
    pbx.gateway = SocketAddr::new("127.0.0.1".parse().unwrap(), told.port());
    pbx.register().await;
    let ((invite, source), answer) = tokio::join!(heard(&carrier), async {
        drop(timeout(Duration::from_secs(3), pbx.call("+3726001234", 4000)).await);
    });
    let () = answer;
    assert_eq!(source, told, "{invite}");
    for name in ["Via", "Contact"] {
        assert!(header(&invite, name).contains(&told.to_string()), "{name} names another address: {invite}");
    }
    daemon.stop().await;
}
