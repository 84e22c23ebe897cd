//! The table of connections: who is connected, and who has to make room.
//!
//! A connection proves itself by a request that is believed: by its password, its address or its certificate. Until then
//! its place is lent. Where there is no room, the oldest connection without proof makes it, and a share of the table is
//! kept for those with proof, so that strangers cannot shut anybody out by connecting.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sip_core::guard::network;
use sip_core::types::{ConnectionId, Flow, Transmit, Transport};
use tokio::sync::{mpsc, watch};

use super::tally::{Full, Tally, site};
use crate::config::ConnectionConfig;

/// One in so many places is kept for connections with proof.
const KEPT_FOR_PROVED: usize = 4;

/// What a connection may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has proved anything on it.
    Unproved,
    /// A request on it was believed, or we have opened it.
    Proved,
    /// It has to end: another needs its place.
    Evicted,
    /// It has to end: its queue is full.
    Slow,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The peer.
    Accepted,
    /// We did, towards a known peer.
    Opened,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Table {
    last_id: u64,
    entries: HashMap<ConnectionId, Entry>,
    by_peer: HashMap<(Transport, SocketAddr), ConnectionId>,
    tally: Tally,
    /// Those without proof.
    strangers: Ages,
    most_strangers: usize,
    /// Accepted connections whose TLS handshake is under way: the dearest thing that a stranger can ask for.
    shaking: Ages,
    handshakes: Tally,
    /// Messages that may wait for one connection.
    queue: usize,
}

#[derive(Debug)]
struct Entry {
    peer: (Transport, SocketAddr),
    queue: mpsc::Sender<Transmit>,
    standing: watch::Sender<Standing>,
    /// The peer has said its last word; nothing is to be asked of it.
    is_ending: bool,
}

/// A connection's own end of its entry.
pub(super) struct Slot {
    pub(super) flow: Flow,
    pub(super) id: ConnectionId,
    pub(super) opened: Instant,
    pub(super) queue: mpsc::Sender<Transmit>,
    pub(super) waiting: mpsc::Receiver<Transmit>,
    pub(super) standing: watch::Receiver<Standing>,
}

/// How a message can reach a connection.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) queue: mpsc::Sender<Transmit>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) is_ending: bool,
}

/// Connections by age, in all, of a network and of a site: their numbers rise with time.
#[derive(Debug, Default)]
struct Ages {
    all: BTreeSet<ConnectionId>,
    by_network: BTreeSet<(IpAddr, ConnectionId)>,
    by_site: BTreeSet<(IpAddr, ConnectionId)>,
}

impl Ages {
    fn insert(&mut self, source: IpAddr, id: ConnectionId) {
        self.all.insert(id);
        self.by_network.insert((network(source), id));
        self.by_site.extend(site(source).map(|site| (site, id)));
    }

    fn remove(&mut self, source: IpAddr, id: ConnectionId) -> bool {
        let was_there = self.all.remove(&id);
        if was_there {
            self.by_network.remove(&(network(source), id));
            if let Some(site) = site(source) {
                self.by_site.remove(&(site, id));
            }
        }
        was_there
    }

    /// The oldest that takes room where there is none for the source.
    fn oldest(&self, full: Full, source: IpAddr) -> Option<ConnectionId> {
        let of = |ages: &BTreeSet<(IpAddr, ConnectionId)>, key: IpAddr| {
            let all = (key, ConnectionId(u64::MIN))..=(key, ConnectionId(u64::MAX));
            ages.range(all).next().map(|(_, id)| *id)
        };
        match full {
            Full::All => self.all.first().copied(),
            Full::Source => of(&self.by_network, network(source)),
            Full::Site => of(&self.by_site, site(source)?),
        }
    }
}

impl Table {
    pub(super) fn new(limits: &ConnectionConfig) -> Self {
        Self {
            last_id: 0,
            entries: HashMap::new(),
            by_peer: HashMap::new(),
            tally: Tally::new(limits.total, limits.per_source),
            strangers: Ages::default(),
            most_strangers: (limits.total - limits.total / KEPT_FOR_PROVED).max(1),
            shaking: Ages::default(),
            handshakes: Tally::new(limits.handshakes, limits.handshakes_per_source),
            queue: limits.queue,
        }
    }

    /// Makes an entry, if there is room or if some can be made; gives how many others had to go for it.
    pub(super) fn enter(&mut self, flow: Flow, origin: Origin) -> Option<(Slot, usize)> {
        let source = flow.peer.ip();
        let mut evicted = 0;
        while let Some(full) = self.tally.full(source) {
            self.evict(self.strangers.oldest(full, source)?);
            evicted += 1;
        }
        if origin == Origin::Accepted && self.strangers.all.len() >= self.most_strangers {
            self.evict(self.strangers.oldest(Full::All, source)?);
            evicted += 1;
        }
        self.tally.enter(source);
        Some((self.insert(flow, origin), evicted))
    }

    fn insert(&mut self, flow: Flow, origin: Origin) -> Slot {
        self.last_id += 1;
        let id = ConnectionId(self.last_id);
        let (queue, waiting) = mpsc::channel(self.queue);
        let standing = match origin {
            Origin::Accepted => Standing::Unproved,
            Origin::Opened => Standing::Proved,
        };
        let (sender, standing) = watch::channel(standing);
        if origin == Origin::Accepted {
            self.strangers.insert(flow.peer.ip(), id);
        }
        let peer = (flow.transport, flow.peer);
        let entry = Entry { peer, queue: queue.clone(), standing: sender, is_ending: false };
        self.entries.insert(id, entry);
        self.by_peer.insert(peer, id);
        let flow = Flow { connection: Some(id), ..flow };
        Slot { flow, id, opened: Instant::now(), queue, waiting, standing }
    }

    /// Tells a connection to end, and gives its place away at once.
    fn evict(&mut self, id: ConnectionId) {
        if let Some(entry) = self.take(id) {
            entry.standing.send_replace(Standing::Evicted);
        }
    }

    fn take(&mut self, id: ConnectionId) -> Option<Entry> {
        self.end_handshake(id);
        let entry = self.entries.remove(&id)?;
        if self.by_peer.get(&entry.peer) == Some(&id) {
            self.by_peer.remove(&entry.peer);
        }
        let source = entry.peer.1.ip();
        self.tally.leave(source);
        self.strangers.remove(source, id);
        Some(entry)
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.take(id);
    }

    /// A TLS handshake begins; `None` if its source has too many under way. Where there are too many in all, the oldest
    /// goes, since an honest one takes a moment; gives how many.
    pub(super) fn begin_handshake(&mut self, id: ConnectionId) -> Option<usize> {
        let source = self.entries.get(&id)?.peer.1.ip();
        let mut evicted = 0;
        while let Some(full) = self.handshakes.full(source) {
            let oldest = self.shaking.oldest(full, source).filter(|_| full == Full::All)?;
            self.evict(oldest);
            evicted += 1;
        }
        self.handshakes.enter(source);
        self.shaking.insert(source, id);
        Some(evicted)
    }

    /// A TLS handshake is over, or was none.
    pub(super) fn end_handshake(&mut self, id: ConnectionId) {
        let Some(source) = self.entries.get(&id).map(|entry| entry.peer.1.ip()) else { return };
        if self.shaking.remove(source, id) {
            self.handshakes.leave(source);
        }
    }

    /// A request on the connection was believed.
    pub(super) fn prove(&mut self, id: ConnectionId) {
        let Some(entry) = self.entries.get(&id) else { return };
        if self.strangers.remove(entry.peer.1.ip(), id) {
            entry.standing.send_replace(Standing::Proved);
        }
    }

    /// The peer has said its last word: it gets its answers, and is asked nothing any more.
    pub(super) fn end(&mut self, id: ConnectionId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_ending = true;
        if self.by_peer.get(&entry.peer) == Some(&id) {
            self.by_peer.remove(&entry.peer);
        }
    }

    /// The connection that a flow names, or else the one that leads to its peer.
    pub(super) fn line(&self, flow: Flow) -> Option<Line> {
        let id = flow.connection.or_else(|| self.by_peer.get(&(flow.transport, flow.peer)).copied())?;
        let Entry { queue, standing, is_ending, .. } = self.entries.get(&id)?;
        Some(Line { queue: queue.clone(), standing: standing.clone(), is_ending: *is_ending })
    }

    /// How many have proved nothing.
    pub(super) fn strangers(&self) -> usize {
        self.strangers.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(total: usize, per_source: usize) -> Table {
        Table::new(&ConnectionConfig { total, per_source, ..ConnectionConfig::default() })
    }

    fn flow(host: &str, port: u16) -> Flow {
        let peer = SocketAddr::new(host.parse().unwrap(), port);
        let local = "192.0.2.1:5060".parse().unwrap();
        Flow { transport: Transport::Tcp, local, peer, connection: None }
    }

    fn standing(slot: &Slot) -> Standing {
        *slot.standing.borrow()
    }

    #[test]
    fn the_oldest_without_proof_makes_room_and_those_with_proof_stay() {
        let mut table = table(8, 8);
        let enter = |table: &mut Table, last: u8| {
            table.enter(flow(&format!("192.0.2.{last}"), 40_000), Origin::Accepted).map(|(slot, _)| slot)
        };
        let pbxs: Vec<_> = (0..2).map(|last| enter(&mut table, last).unwrap()).collect();
        pbxs.iter().for_each(|slot| table.prove(slot.id));
        let strangers: Vec<_> = (10..16).map(|last| enter(&mut table, last).unwrap()).collect();
        assert!(strangers.iter().all(|slot| standing(slot) == Standing::Unproved));
        let next = enter(&mut table, 20).unwrap();
        assert_eq!(standing(&strangers[0]), Standing::Evicted);
        assert!(strangers[1..].iter().chain([&next]).all(|slot| standing(slot) == Standing::Unproved));
        // What we open ourselves needs room too.
        let (ours, evicted) = table.enter(flow("198.51.100.1", 5060), Origin::Opened).unwrap();
        assert_eq!(
            (standing(&ours), evicted, standing(&strangers[1])),
            (Standing::Proved, 1, Standing::Evicted)
        );
        for slot in strangers[2..].iter().chain([&next]) {
            table.prove(slot.id);
        }
        assert!(enter(&mut table, 30).is_none(), "there are only connections with proof");
        assert!(pbxs.iter().all(|slot| standing(slot) == Standing::Proved));
    }

    #[test]
    fn strangers_never_have_the_whole_table() {
        let mut table = table(100, 1_000);
        let strangers: Vec<_> = (0..300)
            .map(|port| table.enter(flow("203.0.113.66", 10_000 + port), Origin::Accepted).unwrap().0)
            .collect();
        let standing_now = strangers.iter().filter(|slot| standing(slot) == Standing::Unproved).count();
        assert_eq!((standing_now, table.strangers(), table.entries.len()), (75, 75, 75));
    }

    #[test]
    fn a_source_and_a_site_crowd_out_only_themselves() {
        let mut table = table(1_000, 2);
        let pbx = table.enter(flow("2001:db8:1::1", 5_060), Origin::Accepted).unwrap().0;
        let of_site = |network: u16| format!("2001:db8:0:{network:x}::1");
        let sprayed: Vec<_> = (0..256_u16)
            .map(|network| table.enter(flow(&of_site(network), 40_000), Origin::Accepted).unwrap().0)
            .collect();
        assert_eq!(sprayed.iter().filter(|slot| standing(slot) == Standing::Unproved).count(), 8);
        assert_eq!(standing(&pbx), Standing::Unproved, "another site's");
        let behind_one_nat: Vec<_> = (0..5)
            .map(|port| table.enter(flow("192.0.2.7", 40_000 + port), Origin::Accepted).unwrap().0)
            .collect();
        assert_eq!(behind_one_nat.iter().filter(|slot| standing(slot) == Standing::Unproved).count(), 2);
        // A source with nothing but connections that have proved something gets no more.
        behind_one_nat.iter().for_each(|slot| table.prove(slot.id));
        assert!(table.enter(flow("192.0.2.7", 50_000), Origin::Accepted).is_none());
    }

    #[test]
    fn a_handshake_that_drags_on_makes_room() {
        let limits =
            ConnectionConfig { handshakes: 2, handshakes_per_source: 1, ..ConnectionConfig::default() };
        let mut table = Table::new(&limits);
        let slots: Vec<_> = (1..4)
            .map(|last| table.enter(flow(&format!("192.0.2.{last}"), 40_000), Origin::Accepted).unwrap().0)
            .collect();
        let begun: Vec<_> = slots.iter().map(|slot| table.begin_handshake(slot.id)).collect();
        assert_eq!(begun, [Some(0), Some(0), Some(1)]);
        assert_eq!(standing(&slots[0]), Standing::Evicted);
        let again = table.enter(flow("192.0.2.2", 40_001), Origin::Accepted).unwrap().0;
        assert_eq!(table.begin_handshake(again.id), None, "one at a time from one source");
        table.end_handshake(slots[1].id);
        assert_eq!(table.begin_handshake(again.id), Some(0));
        slots.iter().chain([&again]).for_each(|slot| table.leave(slot.id));
        assert!(table.entries.is_empty() && table.by_peer.is_empty() && table.strangers() == 0);
        assert_eq!((table.handshakes.full("192.0.2.2".parse().unwrap()), table.shaking.all.len()), (None, 0));
    }

    #[test]
    fn a_peer_that_has_said_its_last_word_is_asked_nothing() {
        let mut table = table(10, 10);
        let there = flow("192.0.2.7", 40_000);
        let slot = table.enter(there, Origin::Accepted).unwrap().0;
        assert!(table.line(there).is_some_and(|line| !line.is_ending));
        table.end(slot.id);
        assert!(table.line(there).is_none(), "not found by its address");
        assert!(table.line(slot.flow).is_some_and(|line| line.is_ending));
        table.leave(slot.id);
        assert!(table.line(slot.flow).is_none());
    }
}
