//! Calls from a UDP address that may be forged.

use provisioning_store::cdr::Cdr;
use provisioning_store::model::{Authentication, NewIpRule, Transport};

use super::*;

/// The record of the call that ended last.
async fn record(daemon: &Daemon) -> Cdr {
    let ended = timeout(SOON * 3, async {
        loop {
            let found = daemon.store().cdrs(&CdrFilter::default(), 1).await.unwrap();
            if let Some(cdr) = found.rows.into_iter().next() {
                return cdr;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    ended.await.expect("a record")
}

/// A gateway, a PBX that it knows by its address, and a carrier that answers.
async fn gateway(directory: &Path, ports: &str) -> (Daemon, Pbx, UdpSocket) {
    let daemon = Daemon::start(config(directory, ports)).await.unwrap();
    let carrier = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let store = daemon.store().clone();
    let port = Some(carrier.local_addr().unwrap().port());
    store.create_carrier(NewCarrier { port, ..NewCarrier::new("Up", "127.0.0.2") }).await.unwrap();
    let rates = "prefix,destination,rate_per_minute\n372,Estonia,0.04\n";
    store.import_rates(storage::now(), STANDARD_PRICE_LIST, None, rates).await.unwrap();
    let credentials = provision(&daemon).await;
    store.allocate(storage::now(), credentials.profile, Micros::from_units(10)).await.unwrap();
    let settings = ProfileSettings { authentication: Authentication::Ip, ..ProfileSettings::default() };
    store.set_profile_settings(credentials.profile, settings).await.unwrap();
    let there = NewIpRule::new("127.0.0.1/32".parse().unwrap(), Transport::Udp);
    store.add_ip_rule(credentials.profile, &there).await.unwrap();
    changes_hold(&daemon).await;
    let pbx = Pbx::new(&daemon, credentials).await;
    (daemon, pbx, carrier)
}

#[tokio::test]
async fn an_answer_that_nobody_hears_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (daemon, pbx, carrier) = gateway(directory.path(), "31200-31299").await;
    let begun = std::time::Instant::now();
    let (answer, ()) = tokio::join!(pbx.forge("+3726001234", 4000), answers(&carrier));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let cdr = record(&daemon).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(cdr.record.ending.reason_code, "answer_unconfirmed");
    assert!(cdr.record.ending.answered_at.is_some());
    assert_eq!(
        (cdr.settlement.duration_s, cdr.settlement.billed_s, cdr.settlement.amount),
        (4, 0, Micros::ZERO)
    );
    assert_eq!(daemon.metrics().answers_unconfirmed.get(), 1);
    let profile = daemon.store().profile(pbx.credentials.profile).await.unwrap();
    assert_eq!((profile.credit, profile.channels_in_use), (Micros::from_units(10), 0));
    daemon.stop().await;
}

#[tokio::test]
async fn media_from_the_callers_address_makes_it_a_call_as_always() {
    let directory = tempfile::tempdir().unwrap();
    let (daemon, pbx, carrier) = gateway(directory.path(), "31300-31399").await;
    let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = rtp.local_addr().unwrap().port();
    let (answer, ()) = tokio::join!(pbx.forge("+3726001234", port), answers(&carrier));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let packet = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7][..], &[0x55; 160]].concat();
    rtp.send_to(&packet, ("127.0.0.1", media_port(&answer))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(daemon.engine().calls(CallsOf::Everybody, None, 10).await.len(), 1, "it goes on");
    daemon.stop().await;
    let reopened = Daemon::start(config(directory.path(), "31300-31399")).await.unwrap();
    let cdr = record(&reopened).await;
    assert_eq!(cdr.settlement.amount.to_string(), "0.02");
    reopened.stop().await;
}
