//! How one gateway is set up: what an operator can tune, in the core's own terms.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::limits::Limits;
use crate::makes::Makes;
use crate::types::Transport;

/// Everything the core is told at start; [`Tuning`] may change later.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our domain: the host of From and To towards PBXs.
    pub domain: String,
    /// The digest realm, the same for REGISTER and INVITE.
    pub realm: String,
    /// User-Agent and Server: `sipgw/<version>`.
    pub product: String,
    /// Where we listen; at least one.
    pub listeners: Vec<Listener>,
    /// Advertised addresses that are not this machine's, because a NAT stands before it.
    pub foreign: HashSet<IpAddr>,
    /// Which hosts a Request-URI may name.
    pub hosts: HostPolicy,
    /// Names and addresses besides `domain` and those of the listeners that mean us.
    pub aliases: HashSet<String>,
    /// Registration intervals.
    pub registration: RegistrationSettings,
    /// What guessing passwords leads to.
    pub bans: BanSettings,
    /// How calls behave.
    pub calls: CallSettings,
    /// The timers of RFC 3261.
    pub timers: TimerSettings,
    /// What is known of PBXs by their make.
    pub makes: Makes,
    /// Bounds of every map, queue and loop.
    pub limits: Limits,
}

/// What of the settings may change while calls go on. What is left out is built into tables and running transactions.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// Registration intervals.
    pub registration: RegistrationSettings,
    /// What guessing passwords leads to.
    pub bans: BanSettings,
    /// How calls behave.
    pub calls: CallSettings,
    /// What is known of PBXs by their make.
    pub makes: Makes,
}

/// Which hosts the Request-URI of an INVITE or REGISTER may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// Any: what reached us means us. PBXs are set up with names and addresses that we do not know of.
    #[default]
    Any,
    /// Those of the domain, the aliases and the listeners alone.
    Own,
}

/// One address we listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Over which transport.
    pub transport: Transport,
    /// The bound address.
    pub local: SocketAddr,
    /// The host to write into Via and Contact: as peers reach us.
    pub advertised_host: IpAddr,
    /// The port to write into Via and Contact.
    pub advertised_port: u16,
}

impl Listener {
    /// Whether what is sent there comes in here, as far as that can be told.
    pub fn is_at(&self, transport: Transport, address: SocketAddr) -> bool {
        let (host, port) = (address.ip(), address.port());
        let is_everywhere = self.local.ip().is_unspecified() && self.local.port() == port;
        self.transport == transport
            && (self.local == address
                || (self.advertised_host, self.advertised_port) == (host, port)
                || is_everywhere && (host == self.advertised_host || host.is_loopback()))
    }
}

/// Registration intervals: short behind a NAT or firewall, which forgets a flow that is idle; long directly on the
/// internet.
#[derive(Clone, Debug)]
pub struct RegistrationSettings {
    /// Granted to a PBX behind a NAT or firewall, seconds.
    pub nat_s: u32,
    /// Granted to a PBX directly on the internet, seconds.
    pub direct_s: u32,
    /// Less than this is answered 423 (RFC 3261 section 10.3), seconds.
    pub min_s: u32,
    /// How long a nonce is fresh.
    pub nonce_lifetime: Duration,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        // A PBX refreshes some seconds before the end, so less than 20 s would leave it no time.
        Self { nat_s: 45, direct_s: 3600, min_s: 20, nonce_lifetime: Duration::from_secs(300) }
    }
}

/// What guessing passwords leads to. The defaults never ban a PBX that tries a wrong password every ten seconds or
/// more seldom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanSettings {
    /// Wrong passwords count for so long.
    pub window: Duration,
    /// After so many from one source it has to wait between guesses: 1 s, then twice as long after each one.
    pub slow_after: u32,
    /// The longest such wait.
    pub longest_pause: Duration,
    /// After so many from one source nothing is heard from it.
    pub ban_after: u32,
    /// How long a source is not heard.
    pub ban: Duration,
    /// After so many for one user name it is heard only from where its password was proved before.
    pub guard_after: u32,
    /// How long a user is guarded.
    pub guard: Duration,
}

impl Default for BanSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            slow_after: 10,
            longest_pause: Duration::from_secs(8),
            ban_after: 40,
            ban: Duration::from_secs(600),
            guard_after: 100,
            guard: Duration::from_secs(300),
        }
    }
}

/// How calls behave.
#[derive(Clone, Debug)]
pub struct CallSettings {
    /// How long a call may ring, from its first INVITE on, whichever target it is tried at.
    pub no_answer: Duration,
    /// How long a carrier may stay silent, without even a 100, before its next address or the next carrier is tried.
    pub carrier_patience: Duration,
    /// How long a carrier that has said 100 may go without 18x and final answer before the next one is tried.
    pub carrier_progress: Duration,
    /// When carriers that fail are left alone.
    pub breaker: BreakerSettings,
    /// How long the peer of a running call may take to connect anew after its connection was lost.
    pub reconnect: Duration,
    /// How long a call may last, whoever pays for it.
    pub longest: Duration,
    /// How long a question may stay unanswered.
    pub question_patience: Duration,
    /// A grant is extended this long before what is paid ends.
    pub extend_ahead: Duration,
    /// The session interval asked for and the longest granted (RFC 4028), seconds.
    pub session_expires_s: u32,
    /// The shortest session interval accepted (RFC 4028 section 4: at least 90), seconds.
    pub min_se_s: u32,
    /// The highest Max-Forwards written (30 or lower: a loop through other people's gateways ends soon).
    pub max_forwards: u8,
    /// E.164 digits of the echo test.
    pub echo_numbers: HashSet<String>,
    /// Numbers never carried, by country (ISO 3166 alpha-2); `*` holds for every country.
    pub emergency: HashMap<String, HashSet<String>>,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            no_answer: Duration::from_secs(120),
            carrier_patience: Duration::from_secs(8),
            // Calls abroad may take ten seconds and more until it rings.
            carrier_progress: Duration::from_secs(20),
            breaker: BreakerSettings::default(),
            // As long as any request would wait for its answer (64*T1).
            reconnect: Duration::from_secs(32),
            // Nobody talks for a day; what lasts so long was forgotten.
            longest: Duration::from_secs(86_400),
            question_patience: Duration::from_secs(5),
            extend_ahead: Duration::from_secs(10),
            session_expires_s: 1800,
            min_se_s: 90,
            max_forwards: 30,
            echo_numbers: HashSet::from(["17606604690".to_owned()]),
            emergency: HashMap::from([(
                "*".to_owned(),
                ["112", "911", "999", "000"].map(str::to_owned).into_iter().collect(),
            )]),
        }
    }
}

/// When a carrier that fails is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The first pause; it doubles with every trial that fails.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The longest that a Retry-After is believed.
    pub longest_retry_after: Duration,
    /// So many 408 and 5xx in a row open the breaker.
    pub failures_in_a_row: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(120),
            longest_retry_after: Duration::from_secs(300),
            failures_in_a_row: 5,
        }
    }
}

/// The base values of RFC 3261 section 17 (table 4).
#[derive(Clone, Debug)]
pub struct TimerSettings {
    /// Round-trip estimate.
    pub t1: Duration,
    /// The longest retransmit interval for non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// The longest time a message stays in the network.
    pub t4: Duration,
}

impl Default for TimerSettings {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl TimerSettings {
    /// 64*T1: when a transaction gives up.
    pub fn give_up(&self) -> Duration {
        self.t1 * 64
    }
}

impl Settings {
    /// Settings for one listener with every default; tests and the simulation start from here.
    pub fn new(domain: impl Into<String>, listeners: Vec<Listener>) -> Self {
        let domain = domain.into();
        Self {
            realm: domain.clone(),
            domain,
            product: concat!("sipgw/", env!("CARGO_PKG_VERSION")).to_owned(),
            listeners,
            foreign: HashSet::new(),
            hosts: HostPolicy::default(),
            aliases: HashSet::new(),
            registration: RegistrationSettings::default(),
            bans: BanSettings::default(),
            calls: CallSettings::default(),
            timers: TimerSettings::default(),
            makes: Makes::default(),
            limits: Limits::default(),
        }
    }

    /// The listener that a message came to, or the first of its transport and address family.
    pub fn listener(&self, transport: Transport, local: SocketAddr) -> Option<&Listener> {
        let of_transport = || self.listeners.iter().filter(move |l| l.transport == transport);
        of_transport()
            .find(|l| l.local == local)
            .or_else(|| of_transport().find(|l| l.hears(local)))
            .or_else(|| of_transport().find(|l| l.local.is_ipv4() == local.is_ipv4()))
    }

    /// Whether we ourselves listen there, as far as that can be told.
    pub fn is_own_address(&self, transport: Transport, peer: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| listener.is_at(transport, peer))
    }

    /// The listener to send from towards `peer`: from this machine itself nothing leads to others.
    pub fn listener_toward(&self, transport: Transport, peer: SocketAddr) -> Option<&Listener> {
        let is_of_kind = |l: &&Listener| l.transport == transport && l.local.is_ipv4() == peer.is_ipv4();
        let leads_there = |l: &&Listener| !l.local.ip().is_loopback() || peer.ip().is_loopback();
        let of_kind = || self.listeners.iter().filter(is_of_kind);
        of_kind().find(leads_there).or_else(|| of_kind().next())
    }

    /// `host:port` as the peer of a flow with this address of ours is told it, IPv6 in brackets. Where we listen at every
    /// address of the machine, it is the one that the peer speaks to, from which it is answered too. Behind a NAT the
    /// machine's own addresses mean nothing to a peer.
    pub fn host_port(&self, transport: Transport, local: SocketAddr) -> String {
        let Some(listener) = self.listener(transport, local) else { return local.to_string() };
        let is_own = listener.local.ip().is_unspecified()
            && !local.ip().is_unspecified()
            && !self.foreign.contains(&listener.advertised_host);
        let host = if is_own { local.ip() } else { listener.advertised_host };
        SocketAddr::new(host, listener.advertised_port).to_string()
    }
}

impl Listener {
    /// Whether what comes to this address of ours comes to the listener.
    pub fn hears(&self, address: SocketAddr) -> bool {
        let is_everywhere = self.local.ip().is_unspecified();
        let is_same_port = self.local.port() == address.port() && self.local.is_ipv4() == address.is_ipv4();
        self.local == address || is_everywhere && is_same_port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(local: &str, advertised: &str) -> Listener {
        let local: SocketAddr = local.parse().unwrap();
        let advertised_host = advertised.parse().unwrap();
        Listener { transport: Transport::Udp, local, advertised_host, advertised_port: local.port() }
    }

    #[test]
    fn a_peer_is_told_the_address_that_it_speaks_to() {
        let everywhere = listener("0.0.0.0:5060", "203.0.113.10");
        let one = listener("192.0.2.1:5080", "203.0.113.11");
        let mut settings = Settings::new("gw.example", vec![everywhere, one]);
        let told =
            |settings: &Settings, local: &str| settings.host_port(Transport::Udp, local.parse().unwrap());
        assert_eq!(told(&settings, "0.0.0.0:5060"), "203.0.113.10:5060");
        assert_eq!(told(&settings, "198.51.100.7:5060"), "198.51.100.7:5060");
        assert_eq!(told(&settings, "192.0.2.1:5080"), "203.0.113.11:5080", "as the operator wants it");
        settings.foreign.insert("203.0.113.10".parse().unwrap());
        assert_eq!(told(&settings, "10.0.0.5:5060"), "203.0.113.10:5060", "behind a NAT");
    }

    #[test]
    fn a_listener_of_this_machine_alone_is_not_sent_from_to_others() {
        let listeners =
            vec![listener("127.0.0.1:5060", "127.0.0.1"), listener("192.0.2.1:5060", "192.0.2.1")];
        let settings = Settings::new("gw.example", listeners);
        let toward = |peer: &str| {
            settings.listener_toward(Transport::Udp, peer.parse().unwrap()).map(|l| l.local.to_string())
        };
        assert_eq!(toward("198.51.100.1:5060").as_deref(), Some("192.0.2.1:5060"));
        assert_eq!(toward("127.0.0.9:5060").as_deref(), Some("127.0.0.1:5060"));
        assert_eq!(toward("[2001:db8::1]:5060"), None);
    }
}
