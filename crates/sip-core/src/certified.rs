//! TLS connections on which a certificate was shown: who is at the other end, and the way to them.
//!
//! Who it is is found once, when the connection opens or provisioning changes, and not for each message.

use std::collections::{BTreeSet, HashMap};

use crate::auth::CertificateNames;
use crate::directory::{Directory, Peer};
use crate::types::{ConnectionId, Flow, ProfileId};

/// As many as there are such connections, which the shell bounds.
#[derive(Debug, Default)]
pub(crate) struct Certified {
    connections: HashMap<ConnectionId, Connection>,
    /// The same by the names on their certificates.
    by_name: BTreeSet<(Box<str>, ConnectionId)>,
    /// Those of profiles. Numbers of connections rise, so a profile's last is its newest.
    of_profiles: BTreeSet<(ProfileId, ConnectionId)>,
}

#[derive(Debug)]
struct Connection {
    flow: Flow,
    shown: CertificateNames,
    /// Whom the certificate proves, if a rule names it.
    peer: Option<Peer>,
}

impl Certified {
    /// A connection was made. Gives whom its certificate proves.
    pub(crate) fn open(
        &mut self,
        directory: &Directory,
        flow: Flow,
        shown: CertificateNames,
    ) -> Option<Peer> {
        let id = flow.connection?;
        let peer = directory.peer_certified(flow.peer, &shown);
        self.by_name.extend(shown.iter().map(|name| (name.into(), id)));
        self.connections.insert(id, Connection { flow, shown, peer });
        self.of_profiles.extend(peer.and_then(Peer::profile).map(|profile| (profile, id)));
        peer
    }

    /// A connection has ended.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        for name in connection.shown.iter() {
            self.by_name.remove(&(name.into(), id));
        }
        if let Some(profile) = connection.peer.and_then(Peer::profile) {
            self.of_profiles.remove(&(profile, id));
        }
    }

    /// The rules for certificates with these names have changed.
    pub(crate) fn find_anew(&mut self, directory: &Directory, names: &BTreeSet<String>) {
        for name in names {
            let first = (name.as_str().into(), ConnectionId(u64::MIN));
            let shown = self.by_name.range(first..).take_while(|(shown, _)| **shown == **name);
            for (_, id) in shown {
                let Some(connection) = self.connections.get_mut(id) else { continue };
                if let Some(profile) = connection.peer.and_then(Peer::profile) {
                    self.of_profiles.remove(&(profile, *id));
                }
                connection.peer = directory.peer_certified(connection.flow.peer, &connection.shown);
                let profile = connection.peer.and_then(Peer::profile);
                self.of_profiles.extend(profile.map(|profile| (profile, *id)));
            }
        }
    }

    /// Whom the certificate proves that was shown on the connection.
    pub(crate) fn proved_peer(&self, flow: Flow) -> Option<Peer> {
        self.connections.get(&flow.connection?)?.peer
    }

    /// Who speaks from there: by certificate, or else by address alone.
    pub(crate) fn peer_at(&self, directory: &Directory, flow: Flow) -> Option<Peer> {
        self.proved_peer(flow).or_else(|| directory.peer_at(flow.peer, flow.transport))
    }

    /// Whether one peer is known at both places. Carriers share hosts, so any of them may be meant.
    pub(crate) fn is_one_peer(&self, directory: &Directory, one: Flow, other: Flow) -> bool {
        let is_at_both = |peer: Peer| [one, other].iter().all(|flow| self.may_be_at(directory, peer, *flow));
        self.peer_at(directory, one).is_some_and(is_at_both)
            || directory.carriers().iter().any(|carrier| is_at_both(Peer::Carrier(carrier.id)))
    }

    /// Whether this peer may speak from there, even where another goes before it.
    pub(crate) fn may_be_at(&self, directory: &Directory, peer: Peer, flow: Flow) -> bool {
        let shown = flow.connection.and_then(|id| self.connections.get(&id)).map(|it| &it.shown);
        shown.is_some_and(|shown| directory.may_be_certified(peer, flow.peer, shown))
            || directory.may_be_at(peer, flow.peer, flow.transport)
    }

    /// The newest connection of a profile's PBX.
    pub(crate) fn way_to(&self, profile: ProfileId) -> Option<Flow> {
        let all = (profile, ConnectionId(u64::MIN))..=(profile, ConnectionId(u64::MAX));
        let (_, newest) = self.of_profiles.range(all).next_back()?;
        self.connections.get(newest).map(|connection| connection.flow)
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::IpRule;
    use crate::types::{CarrierId, Transport};

    const SALES: ProfileId = ProfileId(1);

    /// Knows the names as the peers', from anywhere, and a carrier at 203.0.113.7.
    fn directory(names: &[(&str, ProfileId)]) -> Directory {
        let mut directory = Directory::new();
        let rule = |network: &str, certificate: Option<&str>| IpRule {
            cidr: network.parse().unwrap(),
            port: None,
            transport: Some(Transport::Tls),
            certificate: certificate.map(str::to_owned),
        };
        for (name, profile) in names {
            directory.add_ip_rule(rule("0.0.0.0/0", Some(name)), Peer::Profile(*profile));
        }
        directory.add_ip_rule(rule("203.0.113.7", None), Peer::Carrier(CarrierId(7)));
        directory
    }

    fn flow(id: u64, peer: &str) -> Flow {
        Flow {
            transport: Transport::Tls,
            local: "192.0.2.10:5061".parse().unwrap(),
            peer: peer.parse().unwrap(),
            connection: Some(ConnectionId(id)),
        }
    }

    #[test]
    fn a_connection_is_its_certificates_until_it_ends() {
        let (directory, mut certified) = (directory(&[("pbx.example", SALES)]), Certified::default());
        let shown = CertificateNames::new(["pbx.example"]);
        let (old, new) = (flow(1, "203.0.113.7:40000"), flow(2, "203.0.113.7:40001"));
        assert_eq!(certified.open(&directory, old, shown.clone()), Some(Peer::Profile(SALES)));
        assert_eq!(certified.open(&directory, new, shown), Some(Peer::Profile(SALES)));
        assert_eq!(certified.peer_at(&directory, old), Some(Peer::Profile(SALES)));
        assert_eq!(certified.way_to(SALES), Some(new), "the newest");
        let carriers = flow(3, "203.0.113.7:40002");
        assert_eq!(certified.peer_at(&directory, carriers), Some(Peer::Carrier(CarrierId(7))));

        certified.close(ConnectionId(2));
        assert_eq!(certified.way_to(SALES), Some(old), "the one that is left");
        certified.close(ConnectionId(1));
        assert_eq!((certified.way_to(SALES), certified.len()), (None, 0));
        assert_eq!(certified.peer_at(&directory, old), Some(Peer::Carrier(CarrierId(7))));
        assert!(certified.of_profiles.is_empty() && certified.by_name.is_empty());
    }

    #[test]
    fn a_peer_that_a_rule_names_may_speak_beside_those_that_go_before_it() {
        let (directory, mut certified) = (directory(&[("pbx.example", SALES)]), Certified::default());
        let there = flow(1, "203.0.113.7:40000");
        certified.open(&directory, there, CertificateNames::new(["pbx.example"]));
        for (peer, may_be) in [
            (Peer::Profile(SALES), true),
            (Peer::Carrier(CarrierId(7)), true),
            (Peer::Carrier(CarrierId(8)), false),
        ] {
            assert_eq!(certified.may_be_at(&directory, peer, there), may_be, "{peer:?}");
        }
        let uncertified = flow(2, "203.0.113.7:40000");
        assert!(!certified.may_be_at(&directory, Peer::Profile(SALES), uncertified));
    }

    #[test]
    fn provisioning_may_change_while_connections_stand() {
        let mut certified = Certified::default();
        let there = flow(1, "198.51.100.1:40000");
        assert_eq!(certified.open(&directory(&[]), there, CertificateNames::new(["pbx.example"])), None);
        let known = directory(&[("pbx.example", SALES)]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        certified.find_anew(&known, &names(&["other.example"]));
        assert_eq!(certified.peer_at(&known, there), None, "only what has changed is looked at");
        certified.find_anew(&known, &names(&["pbx.example"]));
        assert_eq!(certified.peer_at(&known, there), Some(Peer::Profile(SALES)));
        assert_eq!(certified.way_to(SALES), Some(there));
        certified.find_anew(&directory(&[]), &names(&["pbx.example"]));
        assert_eq!((certified.peer_at(&directory(&[]), there), certified.way_to(SALES)), (None, None));
    }
}
