//! A carrier that does not answer, on real sockets.

use sip_core::types::Availability;

use super::*;

/// How many datagrams wait in a socket that nobody reads.
fn waiting(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 65_536];
    std::iter::from_fn(|| socket.try_recv(&mut buffer).ok()).count()
}

#[tokio::test]
async fn a_silent_carrier_is_passed_over_by_the_next_call_and_every_attempt_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), "33900-33999");
    config.calls.carrier_patience_s = 1;
    let daemon = Daemon::start(config).await.unwrap();
    let (dead, live) =
        (UdpSocket::bind("127.0.0.3:0").await.unwrap(), UdpSocket::bind("127.0.0.2:0").await.unwrap());
    let store = daemon.store().clone();
    for (name, host, socket, priority) in [("Dead", "127.0.0.3", &dead, 1), ("Up", "127.0.0.2", &live, 2)] {
        let port = Some(socket.local_addr().unwrap().port());
        store.create_carrier(NewCarrier { port, priority, ..NewCarrier::new(name, host) }).await.unwrap();
    }
    let rates = "prefix,destination,rate_per_minute\n372,Estonia,0.04\n";
    store.import_rates(storage::now(), STANDARD_PRICE_LIST, None, rates).await.unwrap();
    let credentials = provision_channels(&daemon, 4).await;
    store.allocate(storage::now(), credentials.profile, Micros::from_units(10)).await.unwrap();
    let pbx = Pbx::new(&daemon, credentials.clone()).await;
    pbx.register().await;

    let (answer, ()) = tokio::join!(pbx.call("+3726001234", 4000), answers(&live));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    // At once and, as its 100 does not come, after half a second.
    assert_eq!(waiting(&dead), 2);
    pbx.hang_up(&answer).await;
    let carriers = daemon.engine().carriers().await;
    assert!(matches!(carriers[0].addresses[0].availability, Availability::Down { .. }), "{carriers:?}");
    assert_eq!(carriers[1].addresses[0].availability, Availability::Up);

    let records = timeout(SOON, async {
        loop {
            let found = store.cdrs(&CdrFilter::default(), 1).await.unwrap().rows;
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let ending = &records.await.expect("a record")[0].record.ending;
    let tried: Vec<_> = ending.attempts.iter().map(|it| (it.name.as_str(), it.result.as_str())).collect();
    assert_eq!(tried, [("Dead", "silent"), ("Up", "answered")]);
    assert!(ending.attempts[0].took_ms >= 1_000, "{ending:?}");
    assert_eq!(ending.carrier, "Up");

    let pbx = Pbx { name: "again", ..Pbx::new(&daemon, credentials).await };
    let (answer, ()) = tokio::join!(pbx.call("+3726001234", 4000), answers(&live));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert_eq!(waiting(&dead), 0, "the second call cost a packet");
    pbx.hang_up(&answer).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_comes_from_where_a_carriers_name_leads_is_the_carriers() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(directory.path(), "34000-34099")).await.unwrap();
    provision(&daemon).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let invite = |number: u32| {
        let own = stranger.local_addr().unwrap();
        format!(
            "INVITE sip:+12026843376@sip.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:+3726001234@{own}>;tag=a\r\nTo: <sip:+12026843376@sip.test>\r\nCall-ID: {number}@carrier\r\nCSeq: 1 INVITE\r\nContact: <sip:{own}>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let answer = async |number: u32| {
        stranger.send_to(invite(number).as_bytes(), daemon.listeners()[0].local).await.unwrap();
        let mut buffer = [0; 65_536];
        loop {
            let length = timeout(SOON, stranger.recv(&mut buffer)).await.expect("an answer").unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(&format!("Call-ID: {number}@carrier")) && !text.starts_with("SIP/2.0 100") {
                return text;
            }
        }
    };
    assert!(answer(1).await.starts_with("SIP/2.0 407"), "nobody is known there");
    let new = NewCarrier { port: Some(5060), ..NewCarrier::new("Named", "localhost") };
    daemon.store().create_carrier(new).await.unwrap();
    changes_hold(&daemon).await;
    let known = timeout(SOON, async {
        for number in 2.. {
            let told = answer(number).await;
            if !told.starts_with("SIP/2.0 407") {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        String::new()
    });
    // The number's PBX has not registered.
    assert!(known.await.expect("the carrier is known by its name").starts_with("SIP/2.0 480"));
    daemon.stop().await;
}
