//! Hosts that may speak for a peer although its description does not name them.

use std::net::IpAddr;
use std::sync::Arc;

/// A range of addresses: the leading `prefix` bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range of the `prefix` leading bits of an address; a longer prefix than the address has means the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix }
    }

    /// Is the address in the range?
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let free = 32 - u32::from(self.prefix.min(32));
                (own.to_bits() ^ other.to_bits()).checked_shr(free).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let free = 128 - u32::from(self.prefix.min(128));
                (own.to_bits() ^ other.to_bits()).checked_shr(free).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What is known of a peer's hosts besides its description. Without any of it, nothing but the described host may
/// send without a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The host that its signalling comes from. Behind a NAT its media comes from there as well.
    pub signalling: Option<IpAddr>,
    /// Networks that the operator has named as the peer's, such as a carrier's media servers.
    pub networks: Arc<[Network]>,
}

impl Hosts {
    /// Only the host that the signalling comes from.
    #[must_use]
    pub fn signalling(host: IpAddr) -> Self {
        Self { signalling: Some(host), networks: Arc::default() }
    }

    /// Is this one of them?
    #[must_use]
    pub fn contain(&self, host: IpAddr) -> bool {
        self.signalling == Some(host) || self.is_in_networks(host)
    }

    pub(super) fn is_in_networks(&self, host: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(host))
    }
}

/// Can packets from the internet not bear this address? Then a peer that describes it is behind a NAT, or on our own
/// network (RFC 1918, RFC 6598, RFC 3927, RFC 4193).
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            ip.is_private() || is_shared || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_what_shares_its_leading_bits() {
        let carrier = Network::new(ip("198.51.100.77"), 24);
        assert!(carrier.contains(ip("198.51.100.1")) && !carrier.contains(ip("198.51.101.1")));
        assert!(Network::new(ip("0.0.0.0"), 0).contains(ip("203.0.113.9")), "everything of the family");
        assert!(!Network::new(ip("0.0.0.0"), 0).contains(ip("2001:db8::1")));
        let one = Network::new(ip("2001:db8::1"), 200);
        assert!(one.contains(ip("2001:db8::1")) && !one.contains(ip("2001:db8::2")));
        assert!(Network::new(ip("2001:db8::"), 32).contains(ip("2001:db8:1::2")));
    }

    #[test]
    fn addresses_behind_a_nat_are_told_from_public_ones() {
        for private in ["10.0.0.5", "192.168.1.9", "172.31.0.1", "100.64.0.1", "100.127.255.255", "127.0.1.1"]
        {
            assert!(is_private(ip(private)), "{private}");
        }
        for private in ["169.254.1.1", "fd00::1", "fe80::1", "::1"] {
            assert!(is_private(ip(private)), "{private}");
        }
        for public in ["192.0.2.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_private(ip(public)), "{public}");
        }
    }
}
