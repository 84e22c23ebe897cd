//! Where profiles have proved their passwords: the history of an address.
//!
//! An address that somebody claims may have been another profile's all along. Each proof of a password is remembered
//! for a month, over a restart too, and the address's calls are not taken for the claimant's meanwhile. An IPv6 address
//! counts as its /64, whose owner has all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::guard::network;
use crate::types::{Flow, Now, ProfileId, Transport};

/// How long a proof speaks for its address. PBXs register or call more often; an address that its provider has given to
/// somebody else is free again after this.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// How long it speaks for the flow it came over, also against another profile of the same company: as long as a
/// registration lasts. A company that gives its PBX another profile need not wait for longer.
const RECENT: Duration = Duration::from_secs(3_600);

/// A proof is told, to be kept over a restart, this often at most for one profile and address.
const TOLD_EVERY: Duration = Duration::from_secs(86_400);

/// Addresses that are remembered of one profile; a PBX that moves more often is protected at its latest ones.
const ADDRESSES_PER_PROFILE: usize = 8;

/// The proofs of all profiles; the one that lies back longest makes room.
#[derive(Debug)]
pub(crate) struct History {
    proofs: BTreeMap<(IpAddr, ProfileId), Proof>,
    of_profiles: HashMap<ProfileId, SmallVec<[IpAddr; 2]>>,
    by_age: BTreeSet<(Instant, IpAddr, ProfileId)>,
    max: usize,
}

#[derive(Debug)]
struct Proof {
    until: Instant,
    told_until: Instant,
    /// The flow of the last one; `None` after a restart.
    flow: Option<Flow>,
}

/// A profile that has proved its password at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    pub(crate) profile: ProfileId,
    pub(crate) nearness: Nearness,
}

/// How near to a flow a proof was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// Over this very flow, a short while ago.
    SameFlow,
    /// From the host.
    SameHost,
}

/// Whether a proof is to be kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// It is the first one there, or the first one of the day.
    New,
    Known,
}

impl History {
    pub(crate) fn new(max: usize) -> Self {
        let (proofs, of_profiles, by_age) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { proofs, of_profiles, by_age, max: max.max(1) }
    }

    /// A profile has proved its password over this flow.
    pub(crate) fn note(&mut self, now: Now, flow: Flow, profile: ProfileId) -> Novelty {
        let address = network(flow.peer.ip());
        let until = now.monotonic + REMEMBERED;
        let known = self.proofs.get(&(address, profile)).map(|proof| proof.told_until);
        let is_told = known.is_some_and(|told| until.saturating_duration_since(told) < TOLD_EVERY);
        let told_until = known.filter(|_| is_told).unwrap_or(until);
        self.put(now, (address, profile), Proof { until, told_until, flow: Some(flow) });
        if is_told { Novelty::Known } else { Novelty::New }
    }

    /// Puts a proof back that was kept over a restart and made so long ago.
    pub(crate) fn restore(&mut self, now: Now, profile: ProfileId, address: IpAddr, age: Duration) {
        let Some(left) = REMEMBERED.checked_sub(age).filter(|left| !left.is_zero()) else { return };
        let until = now.monotonic + left;
        self.put(now, (network(address), profile), Proof { until, told_until: until, flow: None });
    }

    /// The profiles that have proved their passwords at the host of a flow.
    pub(crate) fn at(&self, now: Instant, flow: Flow) -> impl Iterator<Item = Proved> {
        let address = network(flow.peer.ip());
        let there = (address, ProfileId(i64::MIN))..=(address, ProfileId(i64::MAX));
        let live = self.proofs.range(there).filter(move |(_, proof)| now < proof.until);
        live.map(move |((_, profile), proof)| {
            let is_recent = proof.until.saturating_duration_since(now) > REMEMBERED - RECENT;
            let is_same = is_recent && proof.flow.is_some_and(|known| is_same_way(known, flow));
            let nearness = if is_same { Nearness::SameFlow } else { Nearness::SameHost };
            Proved { profile: *profile, nearness }
        })
    }

    /// The first profile, from this one on, that has proved its password at the host of a flow.
    pub(crate) fn first_at(&self, now: Instant, flow: Flow, least: ProfileId) -> Option<ProfileId> {
        let address = network(flow.peer.ip());
        let mut there = self.proofs.range((address, least)..=(address, ProfileId(i64::MAX)));
        there.find(|(_, proof)| now < proof.until).map(|((_, profile), _)| *profile)
    }

    /// Forgets a profile that is gone.
    pub(crate) fn forget(&mut self, profile: ProfileId) {
        for address in self.of_profiles.remove(&profile).unwrap_or_default() {
            self.remove((address, profile));
        }
    }

    fn put(&mut self, now: Now, key: (IpAddr, ProfileId), proof: Proof) {
        self.forget_old(now.monotonic);
        let (address, profile) = key;
        self.remove(key);
        // In the order of their proofs, the oldest first.
        let addresses = self.of_profiles.get(&profile).map_or(&[][..], SmallVec::as_slice);
        if addresses.len() >= ADDRESSES_PER_PROFILE
            && let Some(oldest) = addresses.first().copied()
        {
            self.remove((oldest, profile));
        }
        if self.proofs.len() >= self.max
            && let Some((_, oldest, whose)) = self.by_age.first().copied()
        {
            self.remove((oldest, whose));
        }
        self.of_profiles.entry(profile).or_default().push(address);
        self.by_age.insert((proof.until, address, profile));
        self.proofs.insert(key, proof);
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((until, address, profile)) = self.by_age.first().copied()
            && until <= now
        {
            self.remove((address, profile));
        }
    }

    fn remove(&mut self, key: (IpAddr, ProfileId)) {
        let Some(proof) = self.proofs.remove(&key) else { return };
        let (address, profile) = key;
        self.by_age.remove(&(proof.until, address, profile));
        if let Some(addresses) = self.of_profiles.get_mut(&profile) {
            addresses.retain(|known| *known != address);
            if addresses.is_empty() {
                self.of_profiles.remove(&profile);
            }
        }
    }
}

/// Whether two flows are the same way to the same peer; a datagram may come in at another of our addresses.
fn is_same_way(one: Flow, other: Flow) -> bool {
    one.transport == other.transport
        && one.peer == other.peer
        && (one.transport == Transport::Udp || one.connection == other.connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ConnectionId;

    const SALES: ProfileId = ProfileId(1);
    const OTHERS: ProfileId = ProfileId(2);
    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(after: Duration) -> Now {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        Now { monotonic: *START.get_or_init(crate::timers::testing::start) + after, unix_s: 0 }
    }

    fn flow(peer: &str) -> Flow {
        let local = "192.0.2.10:5060".parse().unwrap();
        Flow { transport: Transport::Udp, local, peer: peer.parse().unwrap(), connection: None }
    }

    fn seen(history: &History, now: Now, from: Flow) -> Vec<(ProfileId, Nearness)> {
        history.at(now.monotonic, from).map(|it| (it.profile, it.nearness)).collect()
    }

    #[test]
    fn a_proof_speaks_for_its_host_for_a_month() {
        let mut history = History::new(10);
        let there = flow("198.51.100.11:5060");
        assert_eq!(history.note(at(Duration::ZERO), there, SALES), Novelty::New);
        assert_eq!(seen(&history, at(HOUR / 2), there), [(SALES, Nearness::SameFlow)]);
        assert_eq!(seen(&history, at(HOUR), there), [(SALES, Nearness::SameHost)]);
        let elsewhere = flow("198.51.100.11:7777");
        assert_eq!(seen(&history, at(DAY), elsewhere), [(SALES, Nearness::SameHost)]);
        let mapped = Flow { peer: "[::ffff:198.51.100.11]:5060".parse().unwrap(), ..there };
        assert_eq!(seen(&history, at(DAY), mapped).len(), 1, "the same host, written as IPv6");
        history.note(at(Duration::ZERO), flow("[2001:db8::1]:5060"), SALES);
        assert_eq!(seen(&history, at(DAY), flow("[2001:db8::2]:5060")), [(SALES, Nearness::SameHost)]);
        assert!(seen(&history, at(DAY), flow("[2001:db8:0:1::1]:5060")).is_empty());
        assert!(seen(&history, at(DAY), flow("198.51.100.12:5060")).is_empty());
        assert!(seen(&history, at(30 * DAY), there).is_empty());
        history.note(at(30 * DAY), flow("203.0.113.1:1"), OTHERS);
        assert_eq!((history.proofs.len(), history.by_age.len(), history.of_profiles.len()), (1, 1, 1));
    }

    #[test]
    fn a_connection_is_a_way_of_its_own() {
        let mut history = History::new(10);
        let over = |connection| Flow {
            transport: Transport::Tls,
            connection: Some(ConnectionId(connection)),
            ..flow("198.51.100.11:40000")
        };
        history.note(at(Duration::ZERO), over(1), SALES);
        assert_eq!(seen(&history, at(HOUR / 2), over(1)), [(SALES, Nearness::SameFlow)]);
        assert_eq!(seen(&history, at(HOUR / 2), over(2)), [(SALES, Nearness::SameHost)]);
    }

    #[test]
    fn a_proof_is_told_once_a_day() {
        let mut history = History::new(10);
        let there = flow("198.51.100.11:5060");
        let told = (0..73)
            .filter(|hour| history.note(at(Duration::from_secs(hour * 3_600)), there, SALES) == Novelty::New);
        assert_eq!(told.collect::<Vec<_>>(), [0, 24, 48, 72]);
    }

    #[test]
    fn what_was_kept_over_a_restart_lasts_no_longer_for_it() {
        let mut history = History::new(10);
        let there = flow("198.51.100.11:5060");
        history.restore(at(Duration::ZERO), SALES, there.peer.ip(), 10 * DAY);
        history.restore(at(Duration::ZERO), OTHERS, there.peer.ip(), 30 * DAY);
        assert_eq!(seen(&history, at(19 * DAY), there), [(SALES, Nearness::SameHost)]);
        assert!(seen(&history, at(20 * DAY), there).is_empty());
        assert_eq!(history.note(at(DAY), there, SALES), Novelty::New, "the proof before is eleven days old");
    }

    #[test]
    fn memory_is_bounded_for_each_profile_and_for_all() {
        let mut history = History::new(20);
        let nth = |number: u64| flow(&format!("198.51.100.{number}:5060"));
        for number in 0..100 {
            history.note(at(Duration::from_secs(number)), nth(number), SALES);
        }
        assert_eq!(history.proofs.len(), ADDRESSES_PER_PROFILE);
        assert_eq!(seen(&history, at(DAY), nth(99)), [(SALES, Nearness::SameHost)]);
        for profile in 0..100 {
            history.note(at(DAY), nth(1), ProfileId(profile));
        }
        assert_eq!((history.proofs.len(), history.by_age.len()), (20, 20));
        (0..100).for_each(|profile| history.forget(ProfileId(profile)));
        assert_eq!((history.proofs.len(), history.by_age.len(), history.of_profiles.len()), (0, 0, 0));
    }
}
