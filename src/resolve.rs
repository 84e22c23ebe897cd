//! Finding a host's addresses (RFC 3263), and what to answer when the DNS does not.
//!
//! An address that worked is kept and served while look-ups fail: a carrier does not move because a name server
//! is down. NAPTR is left out: the transport is configured, and that is all NAPTR would decide.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use sip_core::types::Transport;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Names that are remembered; far more than there are carriers. Beyond it one is forgotten for each new one.
const REMEMBERED: usize = 10_000;
/// Look-ups under way at once. Beyond it what is remembered is served, and a name that is not known has no addresses.
const LOOK_UPS: usize = 256;
/// Targets of one SRV answer that are followed.
const TARGETS: usize = 8;
/// A call waits no longer than this for the DNS, which is less than the core waits for us.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same where an answer is remembered that can be served instead.
const PATIENCE_WITH_STALE: Duration = Duration::from_secs(1);
/// A look-up that failed is not tried again for this long: while the DNS is dead, calls do not wait for it one by one.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// A domain name or an address.
    pub host: String,
    /// Without one, SRV records decide (RFC 3263 section 4.2).
    pub port: Option<u16>,
    /// The transport configured.
    pub transport: Transport,
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// Where the service listens.
    pub port: u16,
    /// On which host.
    pub target: String,
}

/// The DNS did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// A source of DNS records.
pub trait Records: Send + Sync + 'static {
    /// The SRV records of a name; none if it has none, or if there is no such name.
    fn services(&self, name: &str) -> impl Future<Output = Result<Vec<Service>, NoAnswer>> + Send;
    /// The A and AAAA records of a name; none likewise.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, NoAnswer>> + Send;
}

/// The system's own resolver configuration.
pub struct SystemDns(TokioResolver);

impl SystemDns {
    /// Reads `/etc/resolv.conf` and `/etc/hosts`.
    pub fn new() -> Result<Self, NetError> {
        Ok(Self(TokioResolver::builder_tokio()?.build()?))
    }
}

impl Records for SystemDns {
    async fn services(&self, name: &str) -> Result<Vec<Service>, NoAnswer> {
        let lookup = match self.0.srv_lookup(name).await {
            Ok(lookup) => lookup,
            Err(error) => return no_records(&error),
        };
        let services = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_utf8(),
            }),
            _ => None,
        });
        Ok(services.collect())
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        match self.0.lookup_ip(name).await {
            Ok(lookup) => Ok(lookup.iter().collect()),
            Err(error) => no_records(&error),
        }
    }
}

/// An answer that there is nothing is an answer.
fn no_records<T>(error: &NetError) -> Result<Vec<T>, NoAnswer> {
    if error.is_no_records_found() { Ok(Vec::new()) } else { Err(NoAnswer) }
}

/// Finds addresses and remembers them.
pub struct Resolver<R> {
    records: R,
    metrics: Metrics,
    remembered: Mutex<HashMap<Query, Remembered>>,
    look_ups: Semaphore,
}

/// What is known of a name.
#[derive(Clone, Debug, Default)]
struct Remembered {
    /// As found last; none if it was never found.
    addresses: Vec<SocketAddr>,
    /// When the last look-up failed, if it did.
    failed: Option<Instant>,
}

impl<R: Records> Resolver<R> {
    /// A resolver that has not found anything yet.
    pub fn new(records: R, metrics: Metrics) -> Arc<Self> {
        let look_ups = Semaphore::new(LOOK_UPS);
        Arc::new(Self { records, metrics, remembered: Mutex::default(), look_ups })
    }

    /// The addresses to try, in order; those found last time if the DNS fails now; none if it never answered.
    pub async fn resolve(&self, query: &Query) -> Vec<SocketAddr> {
        if let Ok(ip) = query.host.trim_matches(['[', ']']).parse() {
            return vec![SocketAddr::new(ip, query.port.unwrap_or_else(|| query.transport.default_port()))];
        }
        let known = self.memory().get(query).cloned().unwrap_or_default();
        let has_failed_lately = known.failed.is_some_and(|at| at.elapsed() < FAILED_FOR);
        let (without, found) = match self.look_ups.try_acquire() {
            _ if has_failed_lately => ("failed", Vec::new()),
            Err(_) => ("busy", Vec::new()),
            Ok(_permit) => {
                let patience = if known.addresses.is_empty() { PATIENCE } else { PATIENCE_WITH_STALE };
                let found = tokio::time::timeout(patience, self.look_up(query)).await;
                let found = found.unwrap_or(Err(NoAnswer)).unwrap_or_default();
                self.remember(query, &found);
                ("failed", found)
            }
        };
        let (result, addresses) = match (found.is_empty(), known.addresses.is_empty()) {
            (false, _) => ("found", found),
            (true, false) => ("stale", known.addresses),
            (true, true) => (without, Vec::new()),
        };
        self.metrics.resolutions.with_label_values(&[result]).inc();
        addresses
    }

    /// Every address at which a host may be: those of its services, and its own. They are remembered by whoever follows it.
    pub async fn whereabouts(&self, query: &Query) -> Result<BTreeSet<IpAddr>, NoAnswer> {
        let Ok(_permit) = self.look_ups.acquire().await else { return Err(NoAnswer) };
        let asked = tokio::time::timeout(PATIENCE, async {
            tokio::join!(self.look_up(query), self.records.addresses(&query.host))
        });
        match asked.await {
            Err(_) | Ok((Err(NoAnswer), Err(NoAnswer))) => Err(NoAnswer),
            Ok((services, own)) => {
                let services = services.unwrap_or_default().into_iter().map(|address| address.ip());
                Ok(services.chain(own.unwrap_or_default()).collect())
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Query, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look-up has brought; what was found before outlives a failure.
    fn remember(&self, query: &Query, found: &[SocketAddr]) {
        let mut memory = self.memory();
        if memory.len() >= REMEMBERED && !memory.contains_key(query) {
            // What was never found is missed least.
            let is_empty = |entry: &(&Query, &Remembered)| entry.1.addresses.is_empty();
            let victim = memory.iter().find(is_empty).or_else(|| memory.iter().next());
            if let Some(victim) = victim.map(|(query, _)| query.clone()) {
                memory.remove(&victim);
            }
        }
        let known = memory.entry(query.clone()).or_default();
        if found.is_empty() {
            known.failed = Some(Instant::now());
        } else {
            *known = Remembered { addresses: found.to_vec(), failed: None };
        }
    }

    async fn look_up(&self, query: &Query) -> Result<Vec<SocketAddr>, NoAnswer> {
        if let Some(port) = query.port {
            return self.hosts(&query.host, port).await;
        }
        // Without an answer the host itself must not be asked: its services may be elsewhere.
        let services = self.records.services(&service_name(query)).await?;
        if services.is_empty() {
            return self.hosts(&query.host, query.transport.default_port()).await;
        }
        let mut found = Vec::new();
        for service in in_order(services, random).into_iter().take(TARGETS) {
            found.extend(self.hosts(&service.target, service.port).await.unwrap_or_default());
        }
        Ok(found)
    }

    async fn hosts(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAnswer> {
        let addresses = self.records.addresses(host).await?;
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// RFC 3263 section 4.1: the service and protocol that a transport has.
fn service_name(query: &Query) -> String {
    let service = match query.transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{}.", query.host.trim_end_matches('.'))
}

/// RFC 2782: by priority, and by chance among equals, each by its weight. `below(n)` is a number from 0 to n.
fn in_order(mut services: Vec<Service>, mut below: impl FnMut(u32) -> u32) -> Vec<Service> {
    // A sole target "." says that the service is decidedly not offered.
    services.retain(|service| service.target != ".");
    services.sort_by_key(|service| (service.priority, service.weight != 0));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(priority) = services.first().map(|service| service.priority) {
        let equals = services.iter().take_while(|service| service.priority == priority);
        let total: u32 = equals.map(|service| u32::from(service.weight)).sum();
        let mut left = below(total);
        let chosen = services.iter().position(|service| {
            let is_chosen = left <= u32::from(service.weight);
            left = left.saturating_sub(service.weight.into());
            is_chosen
        });
        ordered.push(services.remove(chosen.unwrap_or_default()));
    }
    ordered
}

/// A number from 0 to `most`. Without randomness from the system, the first target is as good as any.
fn random(most: u32) -> u32 {
    getrandom::u32().map_or(0, |number| (u64::from(number) % (u64::from(most) + 1)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Zone {
        services: HashMap<&'static str, Vec<Service>>,
        addresses: HashMap<&'static str, Vec<IpAddr>>,
        is_down: AtomicBool,
        asked: AtomicUsize,
    }

    impl Zone {
        /// A server that is down is silent.
        async fn answer<T: Clone + Default>(&self, found: Option<&T>) -> Result<T, NoAnswer> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_down.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return Err(NoAnswer);
            }
            Ok(found.cloned().unwrap_or_default())
        }
    }

    impl Records for Arc<Zone> {
        async fn services(&self, name: &str) -> Result<Vec<Service>, NoAnswer> {
            self.answer(self.services.get(name)).await
        }

        async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
            self.answer(self.addresses.get(name)).await
        }
    }

    fn zone() -> Arc<Zone> {
        let service =
            |priority, target: &str, port| Service { priority, weight: 0, port, target: target.to_owned() };
        Arc::new(Zone {
            services: HashMap::from([(
                "_sip._udp.carrier.example.",
                vec![service(20, "b.carrier.example.", 5070), service(10, "a.carrier.example.", 5060)],
            )]),
            addresses: HashMap::from([
                ("a.carrier.example.", vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
                ("b.carrier.example.", vec!["192.0.2.2".parse().unwrap()]),
                ("carrier.example", vec!["192.0.2.9".parse().unwrap()]),
            ]),
            ..Zone::default()
        })
    }

    fn query(host: &str, port: Option<u16>, transport: Transport) -> Query {
        Query { host: host.to_owned(), port, transport }
    }

    fn text(addresses: Vec<SocketAddr>) -> Vec<String> {
        addresses.iter().map(SocketAddr::to_string).collect()
    }

    #[tokio::test]
    async fn without_a_port_the_services_decide_by_priority() {
        let resolver = Resolver::new(zone(), Metrics::new());
        let found = resolver.resolve(&query("carrier.example", None, Transport::Udp)).await;
        assert_eq!(text(found), ["192.0.2.1:5060", "[2001:db8::1]:5060", "192.0.2.2:5070"]);
    }

    #[tokio::test]
    async fn without_services_the_host_itself_is_asked_at_the_default_port() {
        let resolver = Resolver::new(zone(), Metrics::new());
        let found = resolver.resolve(&query("carrier.example", None, Transport::Tls)).await;
        assert_eq!(text(found), ["192.0.2.9:5061"]);
    }

    #[tokio::test]
    async fn a_port_or_an_address_needs_no_services() {
        let resolver = Resolver::new(zone(), Metrics::new());
        let found = resolver.resolve(&query("carrier.example", Some(5080), Transport::Udp)).await;
        assert_eq!(text(found), ["192.0.2.9:5080"]);
        let found = resolver.resolve(&query("[2001:db8::5]", None, Transport::Tcp)).await;
        assert_eq!(text(found), ["[2001:db8::5]:5060"]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_dns_is_down_the_last_answer_is_served_and_nobody_waits_long() {
        let (zone, metrics) = (zone(), Metrics::new());
        let resolver = Resolver::new(Arc::clone(&zone), metrics.clone());
        let known = query("carrier.example", None, Transport::Udp);
        let unknown = query("other.example", None, Transport::Udp);
        let before = resolver.resolve(&known).await;
        zone.is_down.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        assert_eq!(resolver.resolve(&known).await, before);
        assert_eq!(begun.elapsed(), PATIENCE_WITH_STALE);
        assert!(resolver.resolve(&unknown).await.is_empty());
        let (begun, asked) = (Instant::now(), zone.asked.load(Ordering::Relaxed));
        assert_eq!(resolver.resolve(&known).await, before);
        assert!(resolver.resolve(&unknown).await.is_empty());
        assert_eq!((begun.elapsed(), zone.asked.load(Ordering::Relaxed)), (Duration::ZERO, asked));
        assert_eq!(metrics.resolutions.with_label_values(&["stale"]).get(), 2);
        assert_eq!(metrics.resolutions.with_label_values(&["failed"]).get(), 2);

        zone.is_down.store(false, Ordering::Relaxed);
        tokio::time::sleep(FAILED_FOR).await;
        assert_eq!(resolver.resolve(&known).await, before);
        assert_eq!(metrics.resolutions.with_label_values(&["found"]).get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn look_ups_and_what_is_remembered_are_bounded() {
        let (zone, metrics) = (zone(), Metrics::new());
        let resolver = Resolver::new(Arc::clone(&zone), metrics.clone());
        let known = query("carrier.example", None, Transport::Udp);
        let before = resolver.resolve(&known).await;
        for number in 0..REMEMBERED + 10 {
            resolver.resolve(&query(&format!("{number}.example"), Some(5060), Transport::Udp)).await;
        }
        assert_eq!(resolver.memory().len(), REMEMBERED);
        zone.is_down.store(true, Ordering::Relaxed);
        let waiting: Vec<_> = (0..LOOK_UPS)
            .map(|number| {
                let resolver = Arc::clone(&resolver);
                let asked = query(&format!("w{number}.example"), Some(5060), Transport::Udp);
                tokio::spawn(async move { resolver.resolve(&asked).await })
            })
            .collect();
        while resolver.look_ups.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        assert!(resolver.resolve(&query("more.example", None, Transport::Udp)).await.is_empty());
        assert_eq!(resolver.resolve(&known).await, before, "what was found is kept and served");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(metrics.resolutions.with_label_values(&["busy"]).get(), 1);
        for look_up in waiting {
            assert!(look_up.await.unwrap().is_empty());
        }
    }

    #[test]
    fn equals_are_chosen_by_weight() {
        let service =
            |weight, target: &str| Service { priority: 1, weight, port: 5060, target: target.to_owned() };
        let services = || vec![service(0, "zero"), service(1, "one"), service(3, "three")];
        let first = |chance| in_order(services(), |_| chance)[0].target.clone();
        assert_eq!([first(0), first(1), first(2), first(4)], ["zero", "one", "three", "three"]);
        assert_eq!(in_order(services(), |most| most).len(), 3);
        assert!(in_order(vec![service(0, ".")], |_| 0).is_empty());
    }
}
