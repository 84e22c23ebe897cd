//! Recognising a peer by its address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

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

/// Who may speak without a password: anyone from these addresses, perhaps from one port or by one transport only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpRule {
    /// The addresses.
    pub cidr: Cidr,
    /// The source port; `None` is any. A TCP or TLS peer's source port says nothing, so it is compared for UDP only.
    pub port: Option<u16>,
    /// The transport; `None` is any.
    pub transport: Option<Transport>,
}

impl IpRule {
    /// Whether a message from there is the rule's.
    pub fn matches(&self, source: SocketAddr, transport: Transport) -> bool {
        self.cidr.contains(source.ip())
            && self.transport.is_none_or(|only| only == transport)
            && (transport.is_reliable() || self.port.is_none_or(|only| only == source.port()))
    }

    /// Orders the rules of one range: of those that match, the highest is meant. Port before transport.
    fn specificity(&self) -> impl Ord + use<> {
        (self.port.is_some(), self.transport.is_some())
    }
}

/// The ranges of one length of prefix, each with its rules.
type Ranges<T> = HashMap<Cidr, Vec<(IpRule, T)>>;

/// Rules, found by address: at most one look for each length of prefix that there is, however many rules there are.
#[derive(Clone, Debug)]
pub struct IpRules<T> {
    /// Longest prefixes first; the rules of a range, the most specific first.
    by_prefix: BTreeMap<Reverse<u8>, Ranges<T>>,
}

impl<T> Default for IpRules<T> {
    fn default() -> Self {
        Self { by_prefix: BTreeMap::new() }
    }
}

impl<T> IpRules<T> {
    /// Adds a rule, and what it stands for. Of two that say the same, the first is meant.
    pub fn add(&mut self, rule: IpRule, stands_for: T) {
        let rules =
            self.by_prefix.entry(Reverse(rule.cidr.prefix)).or_default().entry(rule.cidr).or_default();
        let place = rules.partition_point(|(other, _)| other.specificity() >= rule.specificity());
        rules.insert(place, (rule, stands_for));
    }

    /// What the most specific rule that matches stands for.
    pub fn find(&self, source: SocketAddr, transport: Transport) -> Option<&T> {
        let address = source.ip().to_canonical();
        self.by_prefix.iter().find_map(|(Reverse(prefix), ranges)| {
            let rules = ranges.get(&Cidr::new(address, *prefix).ok()?)?;
            rules.iter().find(|(rule, _)| rule.matches(source, transport)).map(|(_, found)| found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let rule = |text, port, transport| IpRule { cidr: cidr(text), port, transport };
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
        let mut only_tls = IpRules::default();
        only_tls.add(rule("192.0.2.1", None, Some(Transport::Tls)), ());
        assert!(only_tls.find("192.0.2.1:1".parse().unwrap(), Transport::Udp).is_none());
    }
}
