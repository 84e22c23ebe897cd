//! Finding a host's addresses (RFC 3263), and what to answer when the DNS does not.
//!
//! An address that worked is kept and served while look-ups fail: a carrier does not move because a name server
//! is down. NAPTR is left out: the transport is configured, and that is all NAPTR would decide.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use sip_core::types::Transport;

use crate::metrics::Metrics;

/// Names that are remembered; far more than there are carriers. Beyond it the memory starts afresh.
const REMEMBERED: usize = 10_000;
/// Targets of one SRV answer that are followed.
const TARGETS: usize = 8;
/// A call waits no longer than this for the DNS.
const PATIENCE: Duration = Duration::from_secs(4);

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

/// The DNS did not answer, or has no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// A source of DNS records.
pub trait Records: Send + Sync + 'static {
    /// The SRV records of a name.
    fn services(&self, name: &str) -> impl Future<Output = Result<Vec<Service>, NoAnswer>> + Send;
    /// The A and AAAA records of a name.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, NoAnswer>> + Send;
}

/// The system's own resolver configuration.
pub struct SystemDns(TokioResolver);

impl SystemDns {
    /// Reads `/etc/resolv.conf` and `/etc/hosts`.
    pub fn new() -> Result<Self, hickory_resolver::net::NetError> {
        Ok(Self(TokioResolver::builder_tokio()?.build()?))
    }
}

impl Records for SystemDns {
    async fn services(&self, name: &str) -> Result<Vec<Service>, NoAnswer> {
        let lookup = self.0.srv_lookup(name).await.map_err(|_| NoAnswer)?;
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
        let lookup = self.0.lookup_ip(name).await.map_err(|_| NoAnswer)?;
        Ok(lookup.iter().collect())
    }
}

/// Finds addresses and remembers them.
pub struct Resolver<R> {
    records: R,
    metrics: Metrics,
    remembered: Mutex<HashMap<Query, Vec<SocketAddr>>>,
}

impl<R: Records> Resolver<R> {
    /// A resolver that has not found anything yet.
    pub fn new(records: R, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { records, metrics, remembered: Mutex::default() })
    }

    /// The addresses to try, in order; those found last time if the DNS fails now; none if it never answered.
    pub async fn resolve(&self, query: &Query) -> Vec<SocketAddr> {
        if let Ok(ip) = query.host.trim_matches(['[', ']']).parse() {
            return vec![SocketAddr::new(ip, query.port.unwrap_or_else(|| query.transport.default_port()))];
        }
        let found = tokio::time::timeout(PATIENCE, self.look_up(query)).await.unwrap_or_default();
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, addresses) = if found.is_empty() {
            match remembered.get(query) {
                Some(known) => ("stale", known.clone()),
                None => ("failed", Vec::new()),
            }
        } else {
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(query.clone(), found.clone());
            ("found", found)
        };
        self.metrics.resolutions.with_label_values(&[result]).inc();
        addresses
    }

    async fn look_up(&self, query: &Query) -> Vec<SocketAddr> {
        if let Some(port) = query.port {
            return self.hosts(&query.host, port).await;
        }
        let services = self.records.services(&service_name(query)).await.unwrap_or_default();
        if services.is_empty() {
            return self.hosts(&query.host, query.transport.default_port()).await;
        }
        let mut found = Vec::new();
        for service in in_order(services, random).into_iter().take(TARGETS) {
            found.extend(self.hosts(&service.target, service.port).await);
        }
        found
    }

    async fn hosts(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let addresses = self.records.addresses(host).await.unwrap_or_default();
        addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
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
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Zone {
        services: HashMap<&'static str, Vec<Service>>,
        addresses: HashMap<&'static str, Vec<IpAddr>>,
        is_down: AtomicBool,
    }

    impl Records for Arc<Zone> {
        async fn services(&self, name: &str) -> Result<Vec<Service>, NoAnswer> {
            if self.is_down.load(Ordering::Relaxed) {
                return Err(NoAnswer);
            }
            self.services.get(name).cloned().ok_or(NoAnswer)
        }

        async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
            if self.is_down.load(Ordering::Relaxed) {
                return Err(NoAnswer);
            }
            self.addresses.get(name).cloned().ok_or(NoAnswer)
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
            is_down: AtomicBool::new(false),
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

    #[tokio::test]
    async fn while_the_dns_is_down_the_last_answer_is_served() {
        let (zone, metrics) = (zone(), Metrics::new());
        let resolver = Resolver::new(Arc::clone(&zone), metrics.clone());
        let asked = query("carrier.example", None, Transport::Udp);
        let before = resolver.resolve(&asked).await;
        zone.is_down.store(true, Ordering::Relaxed);
        assert_eq!(resolver.resolve(&asked).await, before);
        assert!(resolver.resolve(&query("other.example", None, Transport::Udp)).await.is_empty());
        assert_eq!(metrics.resolutions.with_label_values(&["stale"]).get(), 1);
        assert_eq!(metrics.resolutions.with_label_values(&["failed"]).get(), 1);
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
