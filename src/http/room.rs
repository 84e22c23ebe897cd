//! Room for HTTP connections: who gets in while there is little of it.
//!
//! A connection on which a valid token or signature was shown is *proved*. Where a bound is reached, the connection that
//! has been open longest without a proof makes room for a new one, so connections that only wait cannot keep others out.
//! Proved ones stay. A few places belong to this machine, whatever comes from elsewhere or through a proxy.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sip_core::guard::network;
use tokio_util::sync::CancellationToken;

use super::Access;
use crate::config::HttpConfig;
use crate::metrics::Metrics;

/// Places beyond `http.connections` for connections of this machine.
const RESERVED: usize = 16;
/// The transport in the metrics of connections.
pub(super) const HTTP: &str = "http";
/// How often the log tells that there is no room.
const TELL: Duration = Duration::from_secs(60);

/// The connections that are open.
pub(super) struct Room {
    occupants: Mutex<Occupants>,
    most: usize,
    most_of_source: usize,
    access: Arc<ArcSwap<Access>>,
    metrics: Metrics,
}

/// Which of the places a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One of `http.connections`.
    Common,
    /// One of those for this machine.
    Reserved,
}

/// One open connection's place. Gives it back when it is dropped.
pub(super) struct Ticket {
    number: u64,
    pub(super) place: Place,
    /// Cancelled when another connection gets its place.
    pub(super) displaced: CancellationToken,
    room: Arc<Room>,
}

struct Occupant {
    source: IpAddr,
    place: Place,
    is_proved: bool,
    displaced: CancellationToken,
}

#[derive(Default)]
struct Occupants {
    /// In the order in which they came.
    by_number: BTreeMap<u64, Occupant>,
    by_source: HashMap<IpAddr, usize>,
    common: usize,
    reserved: usize,
    next: u64,
    told: Option<Instant>,
}

impl Room {
    pub(super) fn new(limits: &HttpConfig, access: Arc<ArcSwap<Access>>, metrics: Metrics) -> Arc<Self> {
        let (most, most_of_source) = (limits.connections, limits.connections_per_source);
        Arc::new(Self { occupants: Mutex::default(), most, most_of_source, access, metrics })
    }

    /// A place for a connection; `None` if everybody there has proved who they are.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Ticket> {
        let (source, is_local) = (network(peer.ip()), peer.ip().to_canonical().is_loopback());
        // A proxy stands for all its clients, who are counted one by one at their requests.
        let is_bounded = !self.access.load().proxies.trusts(peer.ip());
        let mut occupants = self.lock();
        let of_source = occupants.by_source.get(&source).copied().unwrap_or_default();
        if is_bounded && of_source >= self.most_of_source {
            self.make_room(&mut occupants, |occupant| occupant.source == source)?;
        }
        let place = match () {
            () if occupants.common < self.most => Place::Common,
            () if is_local && occupants.reserved < RESERVED => Place::Reserved,
            () => self.make_room(&mut occupants, |occupant| is_local || occupant.place == Place::Common)?,
        };
        let number = occupants.next;
        occupants.next += 1;
        let displaced = CancellationToken::new();
        occupants.add(number, Occupant { source, place, is_proved: false, displaced: displaced.clone() });
        self.metrics.connections.with_label_values(&[HTTP]).set(occupants.by_number.len() as i64);
        Some(Ticket { number, place, displaced, room: Arc::clone(self) })
    }

    /// Takes the place of the oldest connection that has proved nothing.
    fn make_room(&self, occupants: &mut Occupants, is_meant: impl Fn(&Occupant) -> bool) -> Option<Place> {
        let mut found = occupants.by_number.iter().filter(|(_, it)| !it.is_proved && is_meant(it));
        let found = found.next().map(|(number, _)| *number);
        let left = found.and_then(|number| occupants.remove(number));
        self.count_closed(if left.is_some() { "evicted" } else { "limit" });
        let now = Instant::now();
        if occupants.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL) {
            occupants.told = Some(now);
            tracing::warn!(
                open = occupants.by_number.len(),
                "HTTP connections are at their bound: those that have shown no valid token are closed to make room for others."
            );
        }
        left.map(|occupant| {
            occupant.displaced.cancel();
            occupant.place
        })
    }

    pub(super) fn count_closed(&self, why: &str) {
        self.metrics.connections_closed.with_label_values(&[HTTP, why]).inc();
    }

    fn lock(&self) -> MutexGuard<'_, Occupants> {
        self.occupants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupants {
    fn add(&mut self, number: u64, occupant: Occupant) {
        *self.by_source.entry(occupant.source).or_default() += 1;
        *self.places(occupant.place) += 1;
        self.by_number.insert(number, occupant);
    }

    fn remove(&mut self, number: u64) -> Option<Occupant> {
        let occupant = self.by_number.remove(&number)?;
        *self.places(occupant.place) -= 1;
        if let Some(count) = self.by_source.get_mut(&occupant.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&occupant.source);
            }
        }
        Some(occupant)
    }

    fn places(&mut self, place: Place) -> &mut usize {
        match place {
            Place::Common => &mut self.common,
            Place::Reserved => &mut self.reserved,
        }
    }
}

impl Ticket {
    /// A valid token or signature was shown.
    pub(super) fn prove(&self) {
        if let Some(occupant) = self.room.lock().by_number.get_mut(&self.number) {
            occupant.is_proved = true;
        }
    }

    /// Counts why the connection is closed.
    pub(super) fn count_closed(&self, why: &str) {
        self.room.count_closed(why);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut occupants = self.room.lock();
        occupants.remove(self.number);
        self.room.metrics.connections.with_label_values(&[HTTP]).set(occupants.by_number.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(connections: usize, connections_per_source: usize, proxies: &[&str]) -> Arc<Room> {
        let trusted_proxies = proxies.iter().map(|text| text.parse::<IpAddr>().unwrap().into()).collect();
        let http =
            HttpConfig { connections, connections_per_source, trusted_proxies, ..HttpConfig::default() };
        Room::new(&http, Arc::new(ArcSwap::from_pointee(Access::of(&http))), Metrics::new())
    }

    fn at(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 40_000)
    }

    fn closed(room: &Room, why: &str) -> u64 {
        room.metrics.connections_closed.with_label_values(&[HTTP, why]).get()
    }

    #[test]
    fn the_oldest_without_a_proof_makes_room() {
        let room = room(3, 9, &[]);
        let [first, second, third] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|peer| room.enter(at(peer)).unwrap());
        first.prove();
        let fourth = room.enter(at("192.0.2.4")).expect("there is somebody to displace");
        assert!(second.displaced.is_cancelled() && !first.displaced.is_cancelled());
        assert!(!third.displaced.is_cancelled() && !fourth.displaced.is_cancelled());
        assert_eq!((closed(&room, "evicted"), room.lock().by_number.len()), (1, 3));
        // What was displaced has given its place back already.
        drop(second);
        assert_eq!(room.lock().by_number.len(), 3);
        third.prove();
        fourth.prove();
        assert!(room.enter(at("192.0.2.5")).is_none());
        assert_eq!(closed(&room, "limit"), 1);
        drop(first);
        assert!(room.enter(at("192.0.2.5")).is_some());
    }

    #[test]
    fn a_source_displaces_its_own_alone() {
        let room = room(9, 2, &[]);
        let other = room.enter(at("192.0.2.9")).unwrap();
        let [first, second] = ["2001:db8::1", "2001:db8::2"].map(|peer| room.enter(at(peer)).unwrap());
        let third = room.enter(at("2001:db8::3")).expect("neighbours in a /64 are one source");
        assert!(first.displaced.is_cancelled() && !second.displaced.is_cancelled());
        assert!(!other.displaced.is_cancelled());
        second.prove();
        third.prove();
        assert!(room.enter(at("2001:db8::4")).is_none());
    }

    #[test]
    fn a_trusted_proxy_has_no_bound_of_its_own() {
        let room = room(9, 2, &["192.0.2.1"]);
        let proxied: Vec<_> = (0..9).map(|_| room.enter(at("192.0.2.1")).unwrap()).collect();
        assert!(proxied.iter().all(|ticket| !ticket.displaced.is_cancelled()));
        let client = room.enter(at("192.0.2.7")).unwrap();
        assert!(proxied[0].displaced.is_cancelled() && !client.displaced.is_cancelled());
    }

    #[test]
    fn this_machine_always_gets_in() {
        let room = room(2, 64, &[]);
        let strangers = ["192.0.2.1", "192.0.2.2"].map(|peer| room.enter(at(peer)).unwrap());
        strangers.iter().for_each(Ticket::prove);
        assert!(room.enter(at("192.0.2.3")).is_none());
        let ours: Vec<_> = (0..RESERVED).map(|_| room.enter(at("127.0.0.1")).unwrap()).collect();
        assert!(ours.iter().all(|ticket| ticket.place == Place::Reserved));
        let one_more = room.enter(at("::1")).unwrap();
        assert!(ours[0].displaced.is_cancelled() && one_more.place == Place::Reserved);
        assert!(strangers.iter().all(|ticket| !ticket.displaced.is_cancelled()));
        // A stranger displaces nobody of this machine.
        assert!(room.enter(at("192.0.2.3")).is_none());
        drop((ours, one_more, strangers));
        assert!(room.lock().by_source.is_empty() && room.lock().reserved == 0);
    }
}
