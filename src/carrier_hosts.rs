//! Where carriers are that are known by a name: the addresses that the name leads to are the carrier's own, like those that
//! are listed as its sources, and are followed as they change.
//!
//! The resolver keeps to the time that records live, so a name may be looked up often. An address counts for an hour after
//! it was seen last: names lead to a few of many addresses in turn, and calls go on after a carrier has moved. While the
//! DNS fails, nothing is forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use sip_core::directory::{Carrier, Directory, Peer};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::resolve::{Query, Records, Resolver};

/// How often it is looked whether there are names that have not been looked up yet.
const TICK: Duration = Duration::from_secs(1);
/// How often each name is looked up.
const PERIOD: Duration = Duration::from_secs(30);
/// How long an address counts after it was seen last.
const KEPT: Duration = Duration::from_secs(3_600);
/// Addresses of one name; beyond it those that were seen last count.
const ADDRESSES: usize = 64;
/// A start waits no longer than this for the names of carriers.
const PATIENCE_AT_START: Duration = Duration::from_secs(2);

/// Addresses by name.
pub type Hosts = BTreeMap<String, BTreeSet<IpAddr>>;

/// What is known of the names of carriers.
#[derive(Clone, Default)]
pub struct CarrierHosts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// When each address of a name was seen last.
    seen: Mutex<HashMap<String, HashMap<IpAddr, Instant>>>,
    current: ArcSwap<Hosts>,
    /// Told when they are not the same any more.
    changed: Arc<Notify>,
}

/// A carrier's name as it is looked up, if it has one and no address.
fn name_of(carrier: &Carrier) -> Option<Query> {
    let is_address = carrier.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let query = || Query { host: carrier.host.clone(), port: carrier.port, transport: carrier.transport };
    (!is_address).then(query)
}

impl CarrierHosts {
    /// Nothing is known yet. `changed` is told when something else is.
    pub fn new(changed: Arc<Notify>) -> Self {
        Self(Arc::new(Inner { changed, ..Inner::default() }))
    }

    /// The addresses of all names, as of now.
    pub fn current(&self) -> Arc<Hosts> {
        self.0.current.load_full()
    }

    /// A name was looked up, and leads to these addresses.
    pub fn note(&self, host: &str, found: impl IntoIterator<Item = IpAddr>) {
        let now = Instant::now();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls look names up as well, also of a carrier that was just removed.
        let Some(known) = seen.get_mut(host) else { return };
        known.extend(found.into_iter().map(|address| (address.to_canonical(), now)));
        known.retain(|_, last| now.saturating_duration_since(*last) < KEPT);
        while known.len() > ADDRESSES {
            let oldest = known.iter().min_by_key(|(address, last)| (**last, **address)).map(|(it, _)| *it);
            known.remove(&oldest.expect("there are more than none"));
        }
        self.publish(&seen);
    }

    fn publish(&self, seen: &HashMap<String, HashMap<IpAddr, Instant>>) {
        let hosts = seen.iter().map(|(host, known)| (host.clone(), known.keys().copied().collect()));
        let hosts: Hosts = hosts.collect();
        if hosts != **self.0.current.load() {
            self.0.current.store(Arc::new(hosts));
            self.0.changed.notify_one();
        }
    }

    /// Follows these names and no others.
    fn follow_only(&self, names: &BTreeSet<String>) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|host, _| names.contains(host));
        for name in names {
            seen.entry(name.clone()).or_default();
        }
        self.publish(&seen);
    }

    /// Looks the names of all carriers up, for a gateway that is about to take calls.
    pub async fn begin<R: Records>(&self, resolver: &Resolver<R>, directory: &Directory) {
        let names: Vec<_> = directory.carriers().iter().filter_map(|carrier| name_of(carrier)).collect();
        self.follow_only(&names.iter().map(|name| name.host.clone()).collect());
        let look_ups = join_all(names.iter().map(|name| self.look_up(resolver, name)));
        // What is not known by then is looked up again soon.
        let _found = tokio::time::timeout(PATIENCE_AT_START, look_ups).await;
    }

    async fn look_up<R: Records>(&self, resolver: &Resolver<R>, name: &Query) {
        if let Ok(found) = resolver.whereabouts(name).await {
            self.note(&name.host, found);
        }
    }

    /// Follows the names of all carriers that there are, for ever.
    pub async fn follow<R: Records>(self, resolver: Arc<Resolver<R>>, directory: Arc<ArcSwap<Directory>>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut due, mut warned) = (HashMap::<String, Instant>::new(), BTreeSet::new());
        loop {
            let now = ticks.tick().await;
            let carriers = directory.load_full();
            let names: BTreeMap<_, _> = carriers
                .carriers()
                .iter()
                .filter_map(|carrier| name_of(carrier).map(|name| (name.host.clone(), name)))
                .collect();
            self.follow_only(&names.keys().cloned().collect());
            due.retain(|name, _| names.contains_key(name));
            let is_due = |name: &&Query| due.get(&name.host).is_none_or(|at| *at <= now);
            let wanted: Vec<_> = names.values().filter(is_due).cloned().collect();
            join_all(wanted.iter().map(|name| self.look_up(&resolver, name))).await;
            due.extend(wanted.iter().map(|name| (name.host.clone(), now + PERIOD)));
            if !wanted.is_empty() {
                self.warn(&carriers, &mut warned);
            }
        }
    }

    /// Says, once for each, which carriers nobody would recognise.
    fn warn(&self, directory: &Directory, warned: &mut BTreeSet<String>) {
        let hosts = self.current();
        for carrier in directory.carriers() {
            let has_found = hosts.get(&carrier.host).is_some_and(|found| !found.is_empty());
            if has_found || name_of(carrier).is_none() {
                warned.remove(&carrier.name);
            } else if warned.insert(carrier.name.clone()) {
                let advice = match directory.is_known_by_address(Peer::Carrier(carrier.id)) {
                    true => "Calls from its sources are taken, but none can be sent to it.",
                    false => {
                        "It has no sources either, so calls from it are refused and none can be sent to it: correct the \
                         name, or list its addresses with sipgw carrier change --source."
                    }
                };
                tracing::warn!(
                    carrier = carrier.id.0,
                    name = carrier.name,
                    host = carrier.host,
                    "A carrier's name leads to no address. {advice}"
                );
            }
        }
    }
}

/// Makes the addresses that carriers' names lead to their own.
pub fn add(directory: &mut Directory, hosts: &Hosts) {
    let found: Vec<_> = directory
        .carriers()
        .iter()
        .filter_map(|carrier| {
            Some((carrier.id, hosts.get(&carrier.host)?.iter().copied().collect::<Vec<_>>()))
        })
        .collect();
    for (carrier, addresses) in found {
        directory.add_carrier_hosts(carrier, &addresses);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sip_core::directory::{NumberFormat, SrtpPolicy};
    use sip_core::types::{CarrierId, Transport};

    use super::*;
    use crate::metrics::Metrics;
    use crate::resolve::{NoAnswer, Service};

    /// A zone that a test changes.
    #[derive(Clone, Default)]
    struct Zone(Arc<Mutex<BTreeMap<&'static str, Vec<IpAddr>>>>);

    impl Zone {
        fn set(&self, name: &'static str, addresses: &[&str]) {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            self.0.lock().unwrap().insert(name, addresses);
        }

        fn fail(&self) {
            self.0.lock().unwrap().clear();
        }
    }

    impl Records for Zone {
        async fn services(&self, name: &str) -> Result<Vec<Service>, NoAnswer> {
            match name {
                "_sip._udp.services.example." => Ok(["one.example", "two.example"]
                    .map(|target| Service { priority: 1, weight: 1, port: 5070, target: target.into() })
                    .to_vec()),
                _ => Ok(Vec::new()),
            }
        }

        async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
            self.0.lock().unwrap().get(name).cloned().ok_or(NoAnswer)
        }
    }

    fn carrier(id: i64, host: &str) -> Carrier {
        Carrier {
            id: CarrierId(id),
            name: format!("carrier {id}"),
            host: host.into(),
            port: None,
            transport: Transport::Udp,
            priority: 10,
            weight: 10,
            credentials: None,
            number_format: NumberFormat::E164,
            country: None,
            strip: 0,
            prefix: String::new(),
            srtp: SrtpPolicy::Off,
            is_trusted: false,
            media_networks: Arc::default(),
            is_active: true,
        }
    }

    fn directory(hosts: &[&str]) -> Directory {
        let mut directory = Directory::new();
        for (id, host) in (1..).zip(hosts) {
            directory.add_carrier(carrier(id, host));
        }
        directory
    }

    fn whose(directory: &Directory, address: &str) -> Option<Peer> {
        directory.peer_at(format!("{address}:39999").parse().unwrap(), Transport::Tcp)
    }

    const FIRST: Option<Peer> = Some(Peer::Carrier(CarrierId(1)));

    #[tokio::test(start_paused = true)]
    async fn every_address_that_a_name_leads_to_is_the_carriers() {
        let zone = Zone::default();
        zone.set("services.example", &["192.0.2.1"]);
        zone.set("one.example", &["192.0.2.2", "2001:db8::2"]);
        zone.set("two.example", &["192.0.2.3"]);
        let mut known = directory(&["services.example", "192.0.2.9"]);
        let hosts = CarrierHosts::default();
        hosts.begin(&Resolver::new(zone, Metrics::new()), &known).await;
        add(&mut known, &hosts.current());
        for address in ["192.0.2.1", "192.0.2.2", "[2001:db8::2]", "192.0.2.3"] {
            assert_eq!(whose(&known, address), FIRST, "{address}");
        }
        assert_eq!(whose(&known, "192.0.2.4"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_carrier_that_moves_is_followed_and_is_known_at_its_old_place_for_a_while() {
        let zone = Zone::default();
        zone.set("up.example", &["192.0.2.1"]);
        let resolver = Resolver::new(zone.clone(), Metrics::new());
        let carriers = Arc::new(ArcSwap::from_pointee(directory(&["up.example"])));
        let changed = Arc::new(Notify::new());
        let hosts = CarrierHosts::new(Arc::clone(&changed));
        let following = tokio::spawn(hosts.clone().follow(resolver, Arc::clone(&carriers)));
        changed.notified().await;
        let found = || {
            hosts.current().get("up.example").map(|it| it.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(found().unwrap(), ["192.0.2.1"]);
        zone.set("up.example", &["192.0.2.2"]);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(found().unwrap(), ["192.0.2.1", "192.0.2.2"]);
        tokio::time::sleep(KEPT).await;
        assert_eq!(found().unwrap(), ["192.0.2.2"]);
        zone.fail();
        tokio::time::sleep(KEPT * 3).await;
        assert_eq!(found().unwrap(), ["192.0.2.2"], "the DNS has forgotten it, and not the gateway");
        carriers.store(Arc::new(directory(&["other.example"])));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((found(), hosts.current().len()), (None, 1));
        following.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_has_a_bounded_number_of_addresses_and_only_carriers_names_have_any() {
        let hosts = CarrierHosts::default();
        hosts.follow_only(&BTreeSet::from(["up.example".to_owned()]));
        for number in 0..100_u8 {
            hosts.note("up.example", [IpAddr::from([192, 0, 2, number])]);
            hosts.note("other.example", [IpAddr::from([192, 0, 2, number])]);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let current = hosts.current();
        assert_eq!((current.len(), current["up.example"].len()), (1, ADDRESSES));
        assert!(current["up.example"].contains(&IpAddr::from([192, 0, 2, 99])));
    }
}
