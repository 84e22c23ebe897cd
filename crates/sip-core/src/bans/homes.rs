//! Where which peer proved its password.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::directory::Peer;

/// Proofs by network and peer; the one that lies back longest makes room.
#[derive(Debug)]
pub(super) struct Homes {
    pub(super) since: BTreeMap<(IpAddr, Peer), Instant>,
    pub(super) by_age: BTreeSet<(Instant, IpAddr, Peer)>,
    pub(super) by_peer: BTreeSet<(Peer, IpAddr)>,
    max: usize,
}

impl Homes {
    pub(super) fn new(max: usize) -> Self {
        Self { since: BTreeMap::new(), by_age: BTreeSet::new(), by_peer: BTreeSet::new(), max }
    }

    pub(super) fn note(&mut self, now: Instant, network: IpAddr, peer: Peer) {
        match self.since.insert((network, peer), now) {
            Some(before) => {
                self.by_age.remove(&(before, network, peer));
            }
            None if self.since.len() > self.max => {
                if let Some((_, network, peer)) = self.by_age.first().copied() {
                    self.remove(network, peer);
                }
            }
            None => {}
        }
        self.by_age.insert((now, network, peer));
        self.by_peer.insert((peer, network));
    }

    fn remove(&mut self, network: IpAddr, peer: Peer) {
        if let Some(since) = self.since.remove(&(network, peer)) {
            self.by_age.remove(&(since, network, peer));
            self.by_peer.remove(&(peer, network));
        }
    }

    pub(super) fn is_anybodys(&self, network: IpAddr) -> bool {
        let first = (network, Peer::LEAST);
        self.since.range(first..).next().is_some_and(|((home, _), _)| *home == network)
    }

    pub(super) fn forget(&mut self, peers: &BTreeSet<Peer>) {
        for peer in peers {
            let first = (*peer, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let theirs = self.by_peer.range(first..).take_while(|(other, _)| other == peer);
            for network in theirs.map(|(_, network)| *network).collect::<Vec<_>>() {
                self.remove(network, *peer);
            }
        }
    }
}
