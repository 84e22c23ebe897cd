//! What was whole is answered before a connection closes.

use super::*;

const OK: &str = "SIP/2.0 200 OK\r\n\r\n";

/// All that comes until the other end closes.
async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut octets = Vec::new();
    timeout(SOON, stream.read_to_end(&mut octets)).await.unwrap().unwrap();
    String::from_utf8_lossy(&octets).trim_start().to_owned()
}

#[tokio::test]
async fn garbage_behind_a_request_does_not_cost_its_answer() {
    let mut fixture = Fixture::new(|_| {}).await;
    for delay in [0, 300] {
        let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
        let segment = format!("{OPTIONS}{OPTIONS}GARBAGE\r\nwithout: an end\r\n\r\n{}", "x".repeat(70_000));
        pbx.write_all(segment.as_bytes()).await.unwrap();
        for _ in 0..2 {
            let (flow, bytes) = fixture.message().await;
            assert_eq!(bytes, OPTIONS);
            tokio::time::sleep(Duration::from_millis(delay)).await;
            fixture.net.send(answer(flow, OK)).unwrap();
        }
        assert_eq!(read_all(&mut pbx).await, OK.repeat(2));
        assert!(matches!(fixture.next().await, Inbound::Lost(_)));
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_more_hears_the_answers() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    pbx.shutdown().await.unwrap();
    let (flow, _) = fixture.message().await;
    // The answer takes a while, longer than a peer that is gone is waited for.
    fixture.net.send(answer(flow, "SIP/2.0 100 Trying\r\n\r\n")).unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let request = answer(flow, "INVITE sip:x@y SIP/2.0\r\n\r\n");
    assert_eq!(fixture.net.send(request), Err(flow), "nobody would answer");
    fixture.net.send(answer(flow, OK)).unwrap();
    let heard = read_all(&mut pbx).await;
    assert!(heard.starts_with("SIP/2.0 100") && heard.ends_with(OK), "{heard}");
    assert!(matches!(fixture.next().await, Inbound::Lost(lost) if lost == flow));
}

#[tokio::test]
async fn the_same_holds_for_tls() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = fixture.tls_client().await;
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    pbx.shutdown().await.unwrap();
    let (flow, _) = fixture.message().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    fixture.net.send(answer(flow, OK)).unwrap();
    assert_eq!(read_all(&mut pbx).await, OK);
    let mut other = fixture.tls_client().await;
    other.write_all(format!("{OPTIONS}GARBAGE\r\n\r\n").as_bytes()).await.unwrap();
    while !matches!(fixture.next().await, Inbound::Message { flow, .. } if fixture.net.send(answer(flow, OK)).is_ok())
    {
    }
    assert_eq!(read_all(&mut other).await, OK);
}

#[tokio::test]
async fn a_peer_that_is_gone_altogether_is_noticed_while_it_is_owed_an_answer() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    drop(pbx);
    let begun = Instant::now();
    loop {
        if matches!(fixture.next().await, Inbound::Lost(lost) if lost == flow) {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_that_owes_nothing_ends_at_once() {
    let mut fixture = Fixture::new(|_| {}).await;
    let mut pbx = TcpStream::connect(fixture.address(Transport::Tcp)).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    let (flow, _) = fixture.message().await;
    fixture.net.send(answer(flow, OK)).unwrap();
    assert_eq!(read(&mut pbx).await, OK);
    pbx.shutdown().await.unwrap();
    assert_eq!(read(&mut pbx).await, "");
}
