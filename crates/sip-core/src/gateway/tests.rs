//! What one command or change costs where there are many calls and registrations, counted.

use std::net::SocketAddr;

use super::*;
use crate::auth::IpRule;
use crate::directory::{
    Authentication, CallerId, DigestPolicy, NumberFormat, Profile, SrtpPolicy, carrier_of,
};
use crate::settings::Listener;
use crate::timers::testing::start;
use crate::types::CompanyId;

/// Companies with one profile each, known by its address.
const COMPANIES: i64 = 100;
const CALLS_OF_EACH: usize = 20;

fn now() -> Now {
    Now { monotonic: start(), unix_s: 1_000_000 }
}

fn address(company: i64) -> SocketAddr {
    format!("198.51.100.{company}:5060").parse().unwrap()
}

fn profile(company: i64, authentication: Authentication) -> Profile {
    Profile {
        id: ProfileId(company),
        company: CompanyId(company),
        name: "Sales".into(),
        user: format!("990500{company:08}"),
        country: "US".into(),
        authentication,
        number_format: NumberFormat::Digits,
        caller_id: CallerId::default(),
        srtp: SrtpPolicy::Auto,
        takes_caller_names: true,
        suspended: None,
    }
}

fn directory(companies: impl Iterator<Item = i64>) -> Arc<Directory> {
    let mut directory = Directory::new();
    directory.add_carrier(carrier_of(None, NumberFormat::E164));
    for company in companies {
        directory.add_profile(profile(company, Authentication::by_address(None)));
        let cidr = address(company).ip().to_string().parse().unwrap();
        let rule = IpRule { cidr, port: None, transport: None, certificate: None };
        directory.add_ip_rule(rule, Peer::Profile(ProfileId(company)));
    }
    Arc::new(directory)
}

fn flow(peer: SocketAddr) -> Flow {
    Flow { transport: Transport::Udp, local: "192.0.2.1:5060".parse().unwrap(), peer, connection: None }
}

fn gateway(directory: Arc<Directory>) -> Gateway {
    let local: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let listener = Listener {
        transport: Transport::Udp,
        local,
        advertised_host: local.ip(),
        advertised_port: local.port(),
    };
    Gateway::new(Settings::new("gw.example", vec![listener]), directory, [7; 32])
}

fn invite(peer: SocketAddr, number: usize) -> Bytes {
    let text = format!(
        "INVITE sip:12152751701@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP {peer};branch=z9hG4bK{number}\r\n\
         From: <sip:a@b>;tag={number}\r\nTo: <sip:12152751701@gw.example>\r\nCall-ID: {number}@{peer}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:a@{peer}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    Bytes::from(text)
}

/// A gateway with calls of every company.
fn busy() -> Gateway {
    let mut gateway = gateway(directory(1..=COMPANIES));
    for company in 1..=COMPANIES {
        for number in 0..CALLS_OF_EACH {
            gateway.handle_datagram(now(), flow(address(company)), invite(address(company), number));
        }
    }
    assert_eq!(gateway.counts().calls, COMPANIES as usize * CALLS_OF_EACH);
    gateway.calls.examined.set(0);
    gateway
}

#[test]
fn a_call_that_is_ended_costs_no_look_at_the_others() {
    let mut gateway = busy();
    let uids = gateway.call_uids(None, usize::MAX);
    gateway.calls.examined.set(0);
    for uid in uids.iter().take(100) {
        assert!(gateway.end_call(now(), *uid, Refusal::EndedByOperator));
    }
    assert!(!gateway.end_call(now(), CallUid(7), Refusal::EndedByOperator));
    assert_eq!(gateway.calls.examined.get(), 0);
    assert_eq!(gateway.counts().live_calls(), uids.len() - 100);
}

#[test]
fn a_part_of_the_calls_costs_what_it_shows() {
    let gateway = busy();
    for (whose, all) in [
        (CallsOf::Everybody, COMPANIES as usize * CALLS_OF_EACH),
        (CallsOf::Company(CompanyId(7)), CALLS_OF_EACH),
        (CallsOf::Profile(ProfileId(9)), CALLS_OF_EACH),
        (CallsOf::Profile(ProfileId(999)), 0),
    ] {
        gateway.calls.examined.set(0);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let part = gateway.live_calls_of(whose, after, 7);
            assert!(gateway.calls.examined.replace(0) <= 7);
            after = part.last().map(|call| call.call);
            seen.extend(part.iter().map(|call| call.call));
            if part.len() < 7 {
                break;
            }
        }
        assert!(seen.is_sorted() && seen.len() == all, "{whose:?}: {}", seen.len());
    }
}

#[test]
fn a_deleted_profile_costs_a_look_at_its_own_calls() {
    let mut gateway = busy();
    let old = Arc::clone(&gateway.directory);
    let succession = Succession::new(&old, directory((1..=COMPANIES).filter(|company| *company != 7)));
    gateway.set_directory(now(), succession);
    assert_eq!(gateway.calls.examined.get(), CALLS_OF_EACH);
    assert_eq!(gateway.live_calls_of(CallsOf::Company(CompanyId(8)), None, 100).len(), CALLS_OF_EACH);
    let left = gateway.live_calls_of(CallsOf::Company(CompanyId(7)), None, 100);
    assert!(left.iter().all(|call| call.stage == Stage::Over));
}

#[test]
fn all_calls_end_in_parts() {
    let mut gateway = busy();
    let (mut after, mut parts) = (None, 0);
    while let Some(last) = gateway.end_calls(now(), after, 64, Refusal::ShuttingDown) {
        assert!(gateway.calls.examined.replace(0) <= 64);
        (after, parts) = (Some(last), parts + 1);
    }
    assert_eq!(parts, (COMPANIES as usize * CALLS_OF_EACH).div_ceil(64));
    assert_eq!(gateway.counts().live_calls(), 0);
}

/// A registration of each of so many profiles.
fn registered(profiles: i64) -> Gateway {
    let mut directory = Directory::new();
    for id in 1..=profiles {
        let digest = DigestPolicy::Md5;
        let authentication =
            Authentication::Registration { ha1_md5: String::new(), ha1_sha256: String::new(), digest };
        directory.add_profile(profile(id, authentication));
    }
    let mut gateway = gateway(Arc::new(directory));
    for id in 1..=profiles {
        let host = std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(id).unwrap());
        let binding = Binding {
            profile: ProfileId(id),
            contact_uri: "sip:a@b".into(),
            contact: "<sip:a@b>".into(),
            path: Vec::new(),
            flow: flow((host, 5060).into()),
            user_agent: None,
            call_id: "x".into(),
            cseq: 1,
            media: None,
            behind_nat: true,
            expires_unix_s: now().unix_s + 45,
        };
        gateway.restore_binding(now(), binding);
    }
    gateway
}

#[test]
fn a_part_of_the_registrations_costs_what_it_shows() {
    let mut gateway = registered(5_000);
    let part = gateway.bindings(Some(ProfileId(100)), 3);
    assert_eq!(part.iter().map(|it| it.profile.0).collect::<Vec<_>>(), [101, 102, 103]);
    assert_eq!(gateway.registered(Some(ProfileId(4_998)), 10), [4_999, 5_000].map(ProfileId));
    assert_eq!(gateway.bindings_of(&[4, 5_001, 6].map(ProfileId)).len(), 2);
    assert!(gateway.registrar.examined.get() <= 3 + 2);
    // They all expire in one moment.
    let at = gateway.poll_timeout().unwrap();
    let then = Now { monotonic: at, ..now() };
    let mut turns = 0;
    while gateway.poll_timeout().is_some_and(|due| due <= at + Duration::from_secs(1)) {
        let before = gateway.counts().bindings;
        gateway.handle_timeout(Now { monotonic: at + Duration::from_secs(1), ..then });
        assert!(before - gateway.counts().bindings <= DUE_AT_ONCE);
        turns += 1;
    }
    assert_eq!((gateway.counts().bindings, turns), (0, 5_000_usize.div_ceil(DUE_AT_ONCE)));
}

#[test]
fn nobody_is_answered_at_port_zero() {
    let mut gateway = busy();
    while gateway.poll_transmit().is_some() {}
    while gateway.poll_event().is_some() {}
    let nowhere = SocketAddr::new(address(1).ip(), 0);
    gateway.handle_datagram(now(), flow(nowhere), invite(nowhere, 1));
    assert!(gateway.poll_transmit().is_none());
    assert!(matches!(gateway.poll_event(), Some(Event::Dropped { why: "source port 0", .. })));
}
