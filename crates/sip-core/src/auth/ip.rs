//! Recognising a peer by its address, and by the certificate that it shows from there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use super::CertificateNames;
use crate::types::Transport;

/// A range of addresses. IPv4 written as IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CidrError {
    /// What is before the slash is no address.
    #[error("not an IPv4 or IPv6 address")]
    Address,
    /// What is after the slash is no number, or more than the address has bits.
    #[error("the prefix length is not a number up to 32 (IPv4) or 128 (IPv6)")]
    Prefix,
}

impl Cidr {
    /// The range of `prefix` leading bits of an address; the other bits of it do not matter.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, CidrError> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), mapped @ IpAddr::V4(_)) => {
                (mapped, prefix.checked_sub(96).ok_or(CidrError::Prefix)?)
            }
            (address, _) => (address, prefix),
        };
        if prefix > width(address) {
            return Err(CidrError::Prefix);
        }
        let network = match address {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & mask(32, prefix) as u32).into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & mask(128, prefix)).into()),
        };
        Ok(Self { network, prefix })
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address.to_canonical(), self.prefix).is_ok_and(|range| range == *self)
    }

    /// The lowest address of the range.
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// Whether it is one address.
    pub fn is_single(&self) -> bool {
        self.prefix == width(self.network)
    }

    /// The range that holds one address alone.
    pub fn of_host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { network: address, prefix: width(address) }
    }

    /// How many leading bits are fixed: 0..=32 or 0..=128.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The lowest `width` bits with the first `prefix` of them set.
fn mask(width: u32, prefix: u8) -> u128 {
    let free = width - u32::from(prefix);
    (u128::MAX >> (128 - width)) & u128::MAX.checked_shl(free).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// `192.0.2.0/24`, `2001:db8::/32`, or one address.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let prefix = prefix.map(|prefix| prefix.parse().map_err(|_| CidrError::Prefix)).transpose()?;
        Self::new(address, prefix.unwrap_or_else(|| width(address)))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Who may speak without a password: anyone from these addresses, perhaps from one port, by one transport or with one
/// certificate only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpRule {
    /// The addresses.
    pub cidr: Cidr,
    /// The source port; `None` is any. A TCP or TLS peer's source port says nothing, so it is compared for UDP only.
    pub port: Option<u16>,
    /// The transport; `None` is any.
    pub transport: Option<Transport>,
    /// A DNS name that the client certificate of a TLS connection must bear, whatever its case; `None` asks for no
    /// certificate.
    pub certificate: Option<String>,
}

impl IpRule {
    /// Whether a message from there is the rule's, if it shows the certificate that the rule asks for.
    pub fn matches(&self, source: SocketAddr, transport: Transport) -> bool {
        self.cidr.contains(source.ip())
            && self.transport.is_none_or(|only| only == transport)
            && (transport.is_reliable() || self.port.is_none_or(|only| only == source.port()))
    }

    /// Orders rules: of those that match, the highest is meant. A longer prefix before a port, that before a transport.
    fn specificity(&self) -> impl Ord + use<> {
        (self.cidr.prefix, self.port.is_some(), self.transport.is_some())
    }
}

/// Rules with what they stand for, the most specific first.
type Ordered<T> = Vec<(IpRule, T)>;

/// Rules, found by address: at most one look for each length of prefix that there is, however many rules there are.
/// Those that ask for a certificate are found by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRules<T> {
    /// Longest prefixes first.
    by_prefix: BTreeMap<Reverse<u8>, HashMap<Cidr, Ordered<T>>>,
    by_certificate: HashMap<String, Ordered<T>>,
}

impl<T> Default for IpRules<T> {
    fn default() -> Self {
        Self { by_prefix: BTreeMap::new(), by_certificate: HashMap::new() }
    }
}

/// What rules stand for.
pub trait Precedence: Copy {
    /// Of two rules that say the same, the one of the lower precedence is meant; of equals the first that was added.
    fn precedence(self) -> (u8, i64);
}

impl<T: Precedence> IpRules<T> {
    /// Adds a rule, and what it stands for.
    pub fn add(&mut self, rule: IpRule, stands_for: T) {
        let rules = match &rule.certificate {
            Some(name) => self.by_certificate.entry(name.to_ascii_lowercase()).or_default(),
            None => {
                let ranges = self.by_prefix.entry(Reverse(rule.cidr.prefix)).or_default();
                ranges.entry(rule.cidr).or_default()
            }
        };
        let order = |rule: &IpRule, stands_for: T| (Reverse(rule.specificity()), stands_for.precedence());
        let place =
            rules.partition_point(|(other, theirs)| order(other, *theirs) <= order(&rule, stands_for));
        rules.insert(place, (rule, stands_for));
    }

    /// Those that stand for what is wanted.
    pub fn only(&self, is_wanted: impl Fn(T) -> bool) -> Self {
        let wanted = |rules: &Ordered<T>| {
            let rules: Ordered<T> = rules.iter().filter(|(_, it)| is_wanted(*it)).cloned().collect();
            (!rules.is_empty()).then_some(rules)
        };
        let by_range = |ranges: &HashMap<Cidr, Ordered<T>>| {
            let ranges: HashMap<_, _> =
                ranges.iter().filter_map(|(range, rules)| Some((*range, wanted(rules)?))).collect();
            (!ranges.is_empty()).then_some(ranges)
        };
        let by_prefix =
            self.by_prefix.iter().filter_map(|(prefix, ranges)| Some((*prefix, by_range(ranges)?))).collect();
        let by_certificate = self
            .by_certificate
            .iter()
            .filter_map(|(name, rules)| Some((name.clone(), wanted(rules)?)))
            .collect();
        Self { by_prefix, by_certificate }
    }

    /// What the most specific rule stands for that matches and asks for no certificate.
    pub fn find(&self, source: SocketAddr, transport: Transport) -> Option<&T> {
        let address = source.ip().to_canonical();
        self.by_prefix.iter().find_map(|(Reverse(prefix), ranges)| {
            let rules = ranges.get(&Cidr::new(address, *prefix).ok()?)?;
            first_match(rules, source, transport).map(|(_, found)| found)
        })
    }

    /// Whether any rule matches that stands for this and asks for no certificate, whatever more specific ones say.
    pub fn may_be(&self, source: SocketAddr, transport: Transport, whom: T) -> bool
    where
        T: PartialEq,
    {
        let address = source.ip().to_canonical();
        self.by_prefix.iter().any(|(Reverse(prefix), ranges)| {
            let rules = Cidr::new(address, *prefix).ok().and_then(|range| ranges.get(&range));
            rules.is_some_and(|rules| any_match(rules, source, transport, whom))
        })
    }

    /// The same for a TLS connection on which this certificate was shown, by the rules that ask for one.
    pub fn may_be_certified(&self, source: SocketAddr, shown: &CertificateNames, whom: T) -> bool
    where
        T: PartialEq,
    {
        let mut rules = shown.iter().filter_map(|name| self.by_certificate.get(name));
        rules.any(|rules| any_match(rules, source, Transport::Tls, whom))
    }

    /// What the most specific rule stands for that matches a TLS connection on which this certificate was shown. It
    /// goes before all that [`Self::find`] finds, however small the range: an address can be shared, a key is one's own.
    pub fn find_certified(&self, source: SocketAddr, shown: &CertificateNames) -> Option<&T> {
        let rules = shown.iter().filter_map(|name| self.by_certificate.get(name));
        let matching = rules.filter_map(|rules| first_match(rules, source, Transport::Tls));
        let most_specific = matching
            .reduce(|best, next| if next.0.specificity() > best.0.specificity() { next } else { best });
        most_specific.map(|(_, found)| found)
    }
}

impl<T: PartialEq> IpRules<T> {
    /// The names of certificates whose rules are not the same in both.
    pub fn certificates_that_differ(&self, other: &Self) -> BTreeSet<String> {
        let names = self.by_certificate.keys().chain(other.by_certificate.keys());
        let differs = |name: &&String| self.by_certificate.get(*name) != other.by_certificate.get(*name);
        names.filter(differs).cloned().collect()
    }
}

fn first_match<T>(rules: &Ordered<T>, source: SocketAddr, transport: Transport) -> Option<&(IpRule, T)> {
    rules.iter().find(|(rule, _)| rule.matches(source, transport))
}

fn any_match<T: PartialEq>(rules: &Ordered<T>, source: SocketAddr, transport: Transport, whom: T) -> bool {
    rules.iter().any(|(rule, stands_for)| *stands_for == whom && rule.matches(source, transport))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Precedence for &str {
        fn precedence(self) -> (u8, i64) {
            (0, if self.starts_with("late") { 1 } else { 0 })
        }
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_contain_their_addresses() {
        for (range, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.77/24", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::1", true),
        ] {
            assert_eq!(cidr(range).contains(address.parse().unwrap()), is_in, "{range} {address}");
        }
        assert_eq!(cidr("192.0.2.77/24").to_string(), "192.0.2.0/24");
    }

    #[test]
    fn refuses_what_is_no_range() {
        for (text, error) in [
            ("", CidrError::Address),
            ("example.com", CidrError::Address),
            ("192.0.2.0/33", CidrError::Prefix),
            ("192.0.2.0/", CidrError::Prefix),
            ("::/129", CidrError::Prefix),
            ("::ffff:192.0.2.0/90", CidrError::Prefix),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_most_specific_rule_is_meant() {
        let rule = |text, port, transport| IpRule { cidr: cidr(text), port, transport, certificate: None };
        let mut rules = IpRules::default();
        rules.add(rule("192.0.2.0/24", None, None), "net");
        rules.add(rule("192.0.2.1", None, None), "host");
        rules.add(rule("192.0.2.1", None, None), "late host");
        rules.add(rule("192.0.2.1", Some(5070), None), "port");
        rules.add(rule("192.0.2.1", None, Some(Transport::Tls)), "tls");
        rules.add(rule("2001:db8::/32", None, None), "six");
        let find = |source: &str, transport| rules.find(source.parse().unwrap(), transport).copied();
        assert_eq!(find("192.0.2.9:5060", Transport::Udp), Some("net"));
        assert_eq!(find("192.0.2.1:5060", Transport::Udp), Some("host"));
        assert_eq!(find("192.0.2.1:5070", Transport::Udp), Some("port"));
        assert_eq!(find("192.0.2.1:40000", Transport::Tcp), Some("port"));
        assert_eq!(find("192.0.2.1:40000", Transport::Tls), Some("port"));
        assert_eq!(find("192.0.3.1:5060", Transport::Udp), None);
        assert_eq!(find("[::ffff:192.0.2.9]:5060", Transport::Udp), Some("net"));
        assert_eq!(find("[2001:db8::7]:5060", Transport::Udp), Some("six"));
        let late_and_less = {
            let mut rules = IpRules::default();
            rules.add(rule("192.0.2.1", None, None), "late host");
            rules.add(rule("192.0.2.1", None, None), "host");
            rules
        };
        assert_eq!(late_and_less.find("192.0.2.1:5060".parse().unwrap(), Transport::Udp), Some(&"host"));
        let mut only_tls = IpRules::default();
        only_tls.add(rule("192.0.2.1", None, Some(Transport::Tls)), "tls");
        assert!(only_tls.find("192.0.2.1:1".parse().unwrap(), Transport::Udp).is_none());
    }

    #[test]
    fn a_certificate_is_asked_for_by_name_and_goes_before_every_address() {
        let rule = |text, name: Option<&str>| IpRule {
            cidr: cidr(text),
            port: None,
            transport: Some(Transport::Tls),
            certificate: name.map(str::to_owned),
        };
        let mut rules = IpRules::default();
        rules.add(rule("0.0.0.0/0", Some("PBX.example.com")), "anywhere");
        rules.add(rule("::/0", Some("pbx.example.com")), "anywhere in IPv6");
        rules.add(rule("192.0.2.0/24", Some("pbx.example.com")), "site");
        rules.add(rule("192.0.2.1", None), "host");
        rules.add(rule("192.0.2.1", Some("other.example.com")), "other");
        let find = |source: &str, names: &[&str]| {
            let shown = CertificateNames::new(names.iter().copied());
            rules.find_certified(source.parse().unwrap(), &shown).copied()
        };
        assert_eq!(find("203.0.113.7:40000", &["pbx.example.com"]), Some("anywhere"));
        assert_eq!(find("203.0.113.7:40000", &["Pbx.Example.Com"]), Some("anywhere"));
        assert_eq!(find("[2001:db8::1]:40000", &["pbx.example.com"]), Some("anywhere in IPv6"));
        assert_eq!(find("192.0.2.9:40000", &["x.example", "pbx.example.com"]), Some("site"));
        assert_eq!(find("192.0.2.1:40000", &["pbx.example.com", "other.example.com"]), Some("other"));
        assert_eq!(find("192.0.2.1:40000", &["other.example.com", "pbx.example.com"]), Some("other"));
        for names in [&["example.com"][..], &["*.example.com"], &["a.pbx.example.com"], &[]] {
            assert_eq!(find("192.0.2.1:40000", names), None, "{names:?}");
        }
        assert_eq!(rules.find("203.0.113.7:40000".parse().unwrap(), Transport::Tls), None, "without it");
        assert_eq!(rules.find("192.0.2.1:40000".parse().unwrap(), Transport::Tls), Some(&"host"));
    }
}
