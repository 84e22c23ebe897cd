//! A gateway with one profile, one IP-known PBX and one carrier, spoken to datagram by datagram.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_core::auth::digest::{Algorithm, ha1};
use sip_core::auth::ip::{Cidr, IpRule};
use sip_core::directory::{
    AccountRoute, Authentication, CallerId, DigestPolicy, Directory, NumberFormat, Peer, Profile, SrtpPolicy,
};
use sip_core::gateway::Gateway;
use sip_core::message::{Message, Transport as Cut, lex};
use sip_core::settings::{HostPolicy, Listener, Settings};
use sip_core::types::{CompanyId, Event, Flow, Now, ProfileId, Transport};

pub(crate) const DOMAIN: &str = "gw.example";
pub(crate) const USER: &str = "99050000000101";
pub(crate) const PASSWORD: &str = "correct-horse!";
pub(crate) const PROFILE: ProfileId = ProfileId(1);
/// The profile's Online Number.
pub(crate) const NUMBER: &str = "12026843376";

/// Where requests come from.
pub(crate) const STRANGER: &str = "203.0.113.66:5060";
pub(crate) const KNOWN: &str = "198.51.100.12:5060";

pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) now: Now,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_digest(DigestPolicy::Md5)
    }

    pub(crate) fn with_digest(digest: DigestPolicy) -> Self {
        let local = address("192.0.2.10:5060");
        let listener = Listener {
            transport: Transport::Udp,
            local,
            advertised_host: local.ip(),
            advertised_port: local.port(),
        };
        let settings = Settings { hosts: HostPolicy::Own, ..Settings::new(DOMAIN, vec![listener]) };
        let mut directory = Directory::new();
        let by_password = Authentication::Registration {
            ha1_md5: ha1(Algorithm::Md5, USER, DOMAIN, PASSWORD),
            ha1_sha256: ha1(Algorithm::Sha256, USER, DOMAIN, PASSWORD),
            digest,
        };
        directory.add_profile(profile(PROFILE, USER, by_password));
        directory.add_password(PROFILE, PASSWORD);
        directory.add_number(NUMBER, PROFILE);
        directory.add_account(
            "architects.sales",
            AccountRoute { profile: PROFILE, user: "architects.sales".into() },
        );
        directory.add_profile(profile(ProfileId(2), "99050000000102", Authentication::by_address(None)));
        directory.add_number("12026555376", ProfileId(2));
        let known = address(KNOWN).ip();
        let rule =
            IpRule { cidr: Cidr::new(known, 32).unwrap(), port: None, transport: None, certificate: None };
        directory.add_ip_rule(rule, Peer::Profile(ProfileId(2)));
        #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
        let now = Now { monotonic: Instant::now(), unix_s: 1_700_000_000 };
        Self { gateway: Gateway::new(settings, Arc::new(directory), [7; 32]), now, events: Vec::new() }
    }

    /// Sends a datagram and gives everything that is sent back.
    pub(crate) fn send(&mut self, from: &str, octets: impl Into<Bytes>) -> Vec<Bytes> {
        let (local, peer) = (address("192.0.2.10:5060"), address(from));
        let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
        self.gateway.handle_datagram(self.now, flow, octets.into());
        let sent: Vec<_> = std::iter::from_fn(|| self.gateway.poll_transmit()).collect();
        while self.gateway.poll_question().is_some() {}
        self.events.extend(std::iter::from_fn(|| self.gateway.poll_event()));
        sent.into_iter()
            .filter(|transmit| transmit.flow.peer == peer)
            .map(|transmit| transmit.bytes)
            .collect()
    }

    /// Sends a datagram and gives the one answer to it.
    pub(crate) fn ask(&mut self, from: &str, text: &str) -> Message {
        let answers = self.send(from, text.to_owned());
        let [answer] = &answers[..] else { panic!("{} answers to\n{text}", answers.len()) };
        lex(answer.clone(), Cut::Datagram).unwrap()
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn profile(id: ProfileId, user: &str, authentication: Authentication) -> Profile {
    Profile {
        id,
        company: CompanyId(1),
        name: user.to_owned(),
        user: user.to_owned(),
        country: "US".to_owned(),
        authentication,
        number_format: NumberFormat::Digits,
        caller_id: CallerId {
            default: None,
            identity: None,
            by_country: HashMap::new(),
            choices: HashSet::new(),
        },
        takes_caller_names: true,
        suspended: None,
        srtp: SrtpPolicy::Auto,
    }
}
