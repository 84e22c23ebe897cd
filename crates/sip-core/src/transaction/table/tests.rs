//! What a failure costs, counted.

use std::net::SocketAddr;

use super::*;
use crate::timers::testing::start;
use crate::types::{ConnectionId, Transport};

const OTHERS: u32 = 10_000;

fn flow(transport: Transport, peer: SocketAddr, connection: Option<u64>) -> Flow {
    let local = "192.0.2.1:5060".parse().unwrap();
    Flow { transport, local, peer, connection: connection.map(ConnectionId) }
}

fn udp(host: u32, port: u16) -> Flow {
    flow(Transport::Udp, SocketAddr::from((host.to_be_bytes(), port)), None)
}

fn table() -> Transactions<u32> {
    Transactions::new(TimerSettings::default(), usize::MAX)
}

fn send(table: &mut Transactions<u32>, flow: Flow, method: &Method, user: u32) -> ClientKey {
    let branch = format!("z9hG4bK{user}");
    let bytes = octets(user);
    table.request(start(), Outgoing { flow, method, branch: &branch, bytes, user }, &mut Outbox::default())
}

fn octets(user: u32) -> Bytes {
    Bytes::from(format!("OCTETS {user}"))
}

/// The request of `user` could not be sent as a datagram.
fn unsent(table: &mut Transactions<u32>, flow: Flow, user: u32) -> Vec<u32> {
    table.unsent(start(), &Transmit { flow, bytes: octets(user) }, &mut Outbox::default())
}

fn answer(table: &mut Transactions<u32>, flow: Flow, method: &Method, user: u32, status: u16) {
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK{user}\r\nCSeq: 1 {}\r\n\r\n",
        method.as_str()
    );
    let response = crate::message::lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap();
    let id = table.answered_by(flow, &response, |_, _| true).unwrap();
    table.receive_response(start(), id, &response, &mut Outbox::default());
}

/// Many that wait for answers of others, over datagrams and connections.
fn among_others() -> Transactions<u32> {
    let mut table = table();
    for user in 0..OTHERS {
        let host = 0x0a00_0000 + user;
        let line = flow(Transport::Tcp, SocketAddr::from((host.to_be_bytes(), 5060)), Some(user.into()));
        send(&mut table, udp(host, 5060), &Method::Invite, 2 * user);
        send(&mut table, line, &Method::Options, 2 * user + 1);
    }
    table
}

#[test]
fn a_failure_costs_only_what_it_concerns() {
    let (mut table, mut out) = (among_others(), Outbox::default());
    let there = udp(0xc000_0207, 5060);
    send(&mut table, there, &Method::Invite, 1_000_001);
    send(&mut table, there, &Method::Bye, 1_000_002);
    // A stranger's connection, and a datagram that cannot be sent to nobody that was asked anything.
    let stranger = flow(Transport::Tcp, "203.0.113.66:40000".parse().unwrap(), Some(77_777));
    assert!(table.connection_lost(start(), stranger, &mut out).is_empty());
    assert!(unsent(&mut table, udp(0xcb00_7142, 0), 1_000_001).is_empty());
    // Nor one that was too long, beside others to the same address.
    assert!(unsent(&mut table, there, 1_000_003).is_empty());
    assert_eq!(unsent(&mut table, there, 1_000_001), [1_000_001]);
    assert_eq!(unsent(&mut table, there, 1_000_002), [1_000_002]);
    let examined = table.waiting.examined.get();
    assert!(examined <= 8, "{examined} of {} transactions were looked at", table.len());
    assert_eq!(table.len(), 2 * OTHERS as usize, "nobody else's has failed");
}

#[test]
fn what_was_answered_costs_a_failure_nothing() {
    let mut table = table();
    let there = udp(0xc000_0207, 5060);
    for user in 0..OTHERS {
        send(&mut table, there, &Method::Bye, user);
        answer(&mut table, there, &Method::Bye, user, 200);
    }
    assert_eq!(table.len(), OTHERS as usize, "they linger for answers that come again");
    assert!(unsent(&mut table, there, 0).is_empty());
    assert_eq!((table.waiting.examined.get(), table.waiting.len()), (0, 0));
}

#[test]
fn an_invite_that_is_being_worked_on_does_not_fail_with_a_datagram() {
    let mut table = table();
    let there = udp(0xc000_0207, 5060);
    send(&mut table, there, &Method::Invite, 1);
    answer(&mut table, there, &Method::Invite, 1, 180);
    send(&mut table, there, &Method::Invite, 2);
    send(&mut table, Flow { local: "192.0.2.1:5080".parse().unwrap(), ..there }, &Method::Invite, 3);
    assert!(unsent(&mut table, there, 1).is_empty());
    assert_eq!(unsent(&mut table, there, 2), [2]);
    assert_eq!((table.len(), table.waiting.len()), (2, 1));
}

#[test]
fn a_lost_connection_fails_what_went_over_it_and_what_should_have_been_answered_at_once() {
    let (mut table, mut out) = (table(), Outbox::default());
    let peer = "198.51.100.7:5060".parse().unwrap();
    let (line, named) = (flow(Transport::Tcp, peer, Some(7)), flow(Transport::Tcp, peer, None));
    send(&mut table, line, &Method::Invite, 1);
    answer(&mut table, line, &Method::Invite, 1, 180);
    send(&mut table, named, &Method::Invite, 2);
    send(&mut table, named, &Method::Bye, 3);
    send(&mut table, flow(Transport::Tls, peer, None), &Method::Bye, 4);
    assert_eq!(table.connection_lost(start(), line, &mut out), [1, 3]);
    assert_eq!(table.waiting.len(), 2);
}

#[test]
fn a_response_is_found_by_its_branch_whatever_its_cseq_says() {
    let mut table = table();
    let there = udp(1, 5060);
    let invite = send(&mut table, there, &Method::Invite, 7);
    let found = |table: &Transactions<u32>, cseq: &str| {
        let text = format!("SIP/2.0 200 OK\r\nVia: ?? ;branch=z9hG4bK7;received=[[\r\nCSeq: {cseq}\r\n\r\n");
        let response = crate::message::lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap();
        table.answered_by(there, &response, |_, _| true).ok()
    };
    for cseq in ["1 INVITE", "99999999999 INVITE", "x", "", "1 BYE"] {
        assert_eq!(found(&table, cseq), Some(invite), "{cseq}");
    }
    // The CANCEL has the same branch; its answer is not the INVITE's.
    assert_eq!(found(&table, "1 CANCEL"), None);
    let cancel = send(&mut table, there, &Method::Cancel, 7);
    assert_eq!(found(&table, "1 CANCEL"), Some(cancel));
    assert_eq!(found(&table, "2 INVITE"), Some(invite));
    assert_eq!(found(&table, "x"), None);
}

#[test]
fn a_response_that_takes_another_way_is_told_from_one_to_nothing() {
    let mut table = table();
    send(&mut table, udp(1, 5060), &Method::Invite, 7);
    let found = |branch: u32| {
        let text = format!("SIP/2.0 200 OK\r\nVia: x;branch=z9hG4bK{branch}\r\nCSeq: 1 INVITE\r\n\r\n");
        let response = crate::message::lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap();
        table.answered_by(udp(2, 5060), &response, |asked, answers| asked == answers)
    };
    assert_eq!(found(7), Err(Unasked::Elsewhere));
    assert_eq!(found(8), Err(Unasked::Never));
}

#[test]
fn an_icmp_error_concerns_what_was_sent_to_there_and_not_answered() {
    let (mut table, mut out) = (among_others(), Outbox::default());
    let there = udp(0xc000_0207, 5060);
    send(&mut table, there, &Method::Invite, 1_000_001);
    send(&mut table, there, &Method::Invite, 1_000_002);
    answer(&mut table, there, &Method::Invite, 1_000_002, 100);
    send(&mut table, there, &Method::Bye, 1_000_003);
    let mut unreachable =
        |flow, quoted: &[u8]| table.unreachable(start(), flow, quoted, |user| user != 1_000_003, &mut out);
    assert_eq!(unreachable(udp(0xc000_0207, 5061), b""), [0; 0], "another port");
    assert_eq!(unreachable(Flow { local: "192.0.2.1:5080".parse().unwrap(), ..there }, b""), [0; 0]);
    assert_eq!(unreachable(there, b"OCTAVO"), [0; 0], "not what we have sent");
    assert_eq!(unreachable(Flow { local: "0.0.0.0:5060".parse().unwrap(), ..there }, b"OCT"), [1_000_001]);
    assert_eq!(unreachable(there, b""), [0; 0], "the others are being answered, or are not to fail");
    assert!(table.waiting.examined.get() <= 20, "{} were looked at", table.waiting.examined.get());
}
