//! Connections on which nobody has proved who it is: lent for a while, and the first to go.

use super::*;

/// Sends keepalives until the connection ends; gives how long that took.
async fn keep_alive(pbx: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    loop {
        let mut buffer = [0; 10];
        if pbx.write_all(b"\r\n\r\n").await.is_err() {
            return begun.elapsed();
        }
        match timeout(SOON, pbx.read(&mut buffer)).await.unwrap() {
            Ok(0) | Err(_) => return begun.elapsed(),
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn keepalives_and_requests_without_proof_buy_no_time() {
    let mut fixture = Fixture::new(|config| config.sip.connections.unproved_s = 1).await;
    let mut stranger = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    stranger.write_all(OPTIONS.as_bytes()).await.unwrap();
    fixture.message().await;
    assert_eq!(fixture.metrics.connections_unproved.get(), 1);
    let lasted = keep_alive(&mut stranger).await;
    assert!(lasted >= Duration::from_millis(700) && lasted < Duration::from_secs(10), "{lasted:?}");
    assert!(matches!(fixture.next().await, Inbound::Lost(_)));
    assert_eq!(fixture.metrics.connections_closed.with_label_values(&["tcp", "unproved"]).get(), 1);
    assert_eq!(fixture.metrics.connections_unproved.get(), 0);
}

#[tokio::test]
async fn a_connection_with_proof_stays() {
    let mut fixture = Fixture::new(|config| config.sip.connections.unproved_s = 1).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    fixture.net.prove(flow.connection.unwrap());
    assert_eq!(fixture.metrics.connections_unproved.get(), 0);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    pbx.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut pbx).await, "\r\n", "the connection was closed");
}

#[tokio::test]
async fn beyond_the_limit_of_a_source_the_oldest_without_proof_goes() {
    let mut fixture = Fixture::new(|config| config.sip.connections.per_source = 2).await;
    let address = fixture.address(Transport::Tcp);
    let mut pbx = TcpStream::connect(address).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    fixture.net.prove(flow.connection.unwrap());
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut stranger).await, "\r\n");
        strangers.push(stranger);
    }
    let mut buffer = [0; 10];
    for gone in &mut strangers[..2] {
        assert!(matches!(timeout(SOON, gone.read(&mut buffer)).await.unwrap(), Ok(0) | Err(_)));
    }
    for kept in [&mut strangers[2], &mut pbx] {
        kept.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(read(kept).await, "\r\n");
    }
    soon(|| fixture.metrics.connections_closed.with_label_values(&["tcp", "evicted"]).get() == 2).await;
}

#[tokio::test]
async fn connections_with_proof_are_limited_by_source() {
    let mut fixture = Fixture::new(|config| config.sip.connections.per_source = 2).await;
    let address = fixture.address(Transport::Tcp);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut pbx = TcpStream::connect(address).await.unwrap();
        pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
        let (flow, _) = fixture.message().await;
        fixture.net.prove(flow.connection.unwrap());
        kept.push(pbx);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let _refused = third.write_all(b"\r\n\r\n").await;
    let mut buffer = [0; 10];
    assert!(matches!(timeout(SOON, third.read(&mut buffer)).await.unwrap(), Ok(0) | Err(_)));
    assert_eq!(fixture.metrics.connections_closed.with_label_values(&["tcp", "limit"]).get(), 1);
}

#[tokio::test]
async fn a_flood_of_silent_handshakes_shuts_nobody_out() {
    let fixture = Fixture::new(|config| {
        (config.sip.connections.handshakes, config.sip.connections.handshakes_per_source) = (4, 100);
    })
    .await;
    let address = fixture.address(Transport::Tls);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut pbx = fixture.tls_client().await;
    pbx.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut pbx).await, "\r\n");
    soon(|| fixture.metrics.connections_closed.with_label_values(&["tls", "evicted"]).get() >= 16).await;
}
