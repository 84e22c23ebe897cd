//! A host with several addresses: what comes to one is answered from it, and what begins here leaves from the one that
//! peers are told. And what the network says of datagrams that reached nobody.

use std::process::Command;

use super::*;

/// Names the addresses that a test has in its network namespace.
const INSIDE: &str = "SIPGW_TEST_NAMESPACE";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// Listeners at every address that tell peers this one.
fn everywhere(told: &str) -> impl FnOnce(&mut Config) {
    let told: IpAddr = told.parse().unwrap();
    move |config| {
        for listen in &mut config.sip.listen {
            listen.address = if told.is_ipv4() { at("0.0.0.0", 0) } else { at("::", 0) };
            listen.advertise = Some(crate::config::Advertise { host: told, port: None });
        }
    }
}

async fn source_of_answer(fixture: &mut Fixture, pbx: &str, spoken_to: &str) -> SocketAddr {
    let port = fixture.address(Transport::Udp).port();
    let socket = UdpSocket::bind(at(pbx, 0)).await.unwrap();
    socket.send_to(OPTIONS.as_bytes(), at(spoken_to, port)).await.unwrap();
    let (flow, _) = fixture.message().await;
    assert_eq!((flow.local, flow.peer), (at(spoken_to, port), socket.local_addr().unwrap()));
    fixture.net.send(answer(flow, "SIP/2.0 200 OK\r\n\r\n")).unwrap();
    timeout(SOON, socket.recv_from(&mut [0; 100])).await.unwrap().unwrap().1
}

/// Where a datagram that begins here comes from, and a connection that is opened here.
async fn sources_of_ours(fixture: &mut Fixture, pbx: &str) -> (IpAddr, IpAddr) {
    let socket = UdpSocket::bind(at(pbx, 0)).await.unwrap();
    let toward = |transport, peer| {
        let local = fixture.address(transport);
        answer(Flow { transport, local, peer, connection: None }, OPTIONS)
    };
    fixture.net.send(toward(Transport::Udp, socket.local_addr().unwrap())).unwrap();
    let (_, of_datagram) = timeout(SOON, socket.recv_from(&mut [0; 200])).await.unwrap().unwrap();
    let listener = tokio::net::TcpListener::bind(at(pbx, 0)).await.unwrap();
    fixture.net.send(toward(Transport::Tcp, listener.local_addr().unwrap())).unwrap();
    let (_stream, of_connection) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    (of_datagram.ip(), of_connection.ip())
}

#[tokio::test]
async fn a_datagram_is_answered_from_the_address_that_it_came_to() {
    let mut fixture = Fixture::new(everywhere("127.0.0.1")).await;
    let port = fixture.address(Transport::Udp).port();
    for spoken_to in ["127.0.0.2", "127.0.0.3", "127.0.0.1"] {
        assert_eq!(source_of_answer(&mut fixture, "127.0.0.9", spoken_to).await, at(spoken_to, port));
    }
}

#[tokio::test]
async fn a_connection_belongs_to_the_address_that_it_was_made_to() {
    let mut fixture = Fixture::new(everywhere("127.0.0.1")).await;
    let there = at("127.0.0.2", fixture.address(Transport::Tcp).port());
    let mut pbx = TcpStream::connect(there).await.unwrap();
    pbx.write_all(OPTIONS.as_bytes()).await.unwrap();
    assert_eq!(fixture.message().await.0.local, there);
}

#[tokio::test]
async fn what_begins_here_leaves_from_the_address_that_peers_are_told() {
    let told: IpAddr = "127.0.0.4".parse().unwrap();
    let mut fixture = Fixture::new(everywhere("127.0.0.4")).await;
    assert_eq!(sources_of_ours(&mut fixture, "127.0.0.9").await, (told, told));
    let mut fixture = Fixture::new(|config| {
        config.sip.listen.iter_mut().for_each(|listen| listen.address = at("127.0.0.5", 0));
    })
    .await;
    let bound: IpAddr = "127.0.0.5".parse().unwrap();
    assert_eq!(sources_of_ours(&mut fixture, "127.0.0.9").await, (bound, bound));
    // A NAT's address before us is nobody's here.
    let mut fixture = Fixture::new(everywhere("203.0.113.10")).await;
    let (datagram, connection) = sources_of_ours(&mut fixture, "127.0.0.9").await;
    assert!(datagram.is_loopback() && connection.is_loopback());
}

/// A port of this address that nobody listens at.
async fn closed_port(address: &str) -> SocketAddr {
    UdpSocket::bind(at(address, 0)).await.unwrap().local_addr().unwrap()
}

async fn nobody_is_there_and_others_are_reached(fixture: &mut Fixture, host: &str) {
    let (closed, local) = (closed_port(host).await, fixture.address(Transport::Udp));
    let pbx = UdpSocket::bind(at(host, 0)).await.unwrap();
    let open = pbx.local_addr().unwrap();
    let to = |peer| answer(Flow { transport: Transport::Udp, local, peer, connection: None }, OPTIONS);
    for _ in 0..10 {
        fixture.net.send(to(closed)).unwrap();
        // The error that stands on the socket now is not this one's.
        fixture.net.send(to(open)).unwrap();
        timeout(SOON, pbx.recv_from(&mut [0; 1_000])).await.unwrap().unwrap();
        match fixture.next().await {
            Inbound::Unreachable { flow, quoted } => {
                assert_eq!((flow.transport, flow.local, flow.peer), (Transport::Udp, local, closed));
                assert!(!quoted.is_empty() && OPTIONS.as_bytes().starts_with(&quoted), "{quoted:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_datagram_that_reached_nobody_is_told_and_disturbs_no_other() {
    nobody_is_there_and_others_are_reached(&mut Fixture::new(|_| {}).await, "127.0.0.1").await;
    nobody_is_there_and_others_are_reached(&mut Fixture::new(everywhere("127.0.0.1")).await, "127.0.0.7")
        .await;
}

/// Runs the test of this name once more in a network namespace of its own, where this machine has these addresses; `true`
/// if this is that run already. Where no namespace can be made, that is said, and nothing is tested.
fn is_inside(name: &str, addresses: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let spaces: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
    let can_be_made = |space: &&&[&str]| {
        Command::new("unshare").args(**space).arg("true").status().is_ok_and(|it| it.success())
    };
    let Some(space) = spaces.iter().find(can_be_made) else {
        eprintln!("SKIPPED: no network namespace can be made here, so {name} tests nothing");
        return false;
    };
    let add = addresses.iter().map(|address| {
        let at_once = if address.contains(':') { "nodad" } else { "" };
        format!(" && ip address add {address} dev lo {at_once}")
    });
    let script = format!("ip link set lo up{} && exec \"$0\" \"$@\"", add.collect::<String>());
    let status = Command::new("unshare")
        .args(*space)
        .args(["sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("net::tests::addresses::{name}"), "--nocapture"])
        .env(INSIDE, addresses.join(" "))
        .status();
    assert!(status.unwrap().success(), "{name} fails inside its namespace");
    false
}

#[tokio::test]
async fn a_host_with_several_addresses_of_either_family() {
    let name = "a_host_with_several_addresses_of_either_family";
    let addresses = [
        "192.0.2.10/32",
        "192.0.2.11/32",
        "198.51.100.7/32",
        "2001:db8::10/128",
        "2001:db8::11/128",
        "2001:db8:7::7/128",
    ];
    if !is_inside(name, &addresses) {
        return;
    }
    for (told, other, pbx) in
        [("192.0.2.10", "192.0.2.11", "198.51.100.7"), ("2001:db8::10", "2001:db8::11", "2001:db8:7::7")]
    {
        let mut fixture = Fixture::new(everywhere(told)).await;
        let port = fixture.address(Transport::Udp).port();
        for spoken_to in [told, other] {
            assert_eq!(source_of_answer(&mut fixture, pbx, spoken_to).await, at(spoken_to, port));
        }
        let own: IpAddr = told.parse().unwrap();
        assert_eq!(sources_of_ours(&mut fixture, pbx).await, (own, own));
        let mut fixture = Fixture::new(everywhere(told)).await;
        nobody_is_there_and_others_are_reached(&mut fixture, pbx).await;
    }
}
