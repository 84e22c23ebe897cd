//! Addresses that prove a profile's PBX, and the claims that companies make on them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::choices::choices;
use super::{IpRuleId, ProfileId, Transport};

choices! {
    /// Whether an address proves its profile by itself.
    ClaimState, "state of a claim" {
        /// It waits until an operator confirms it. Meanwhile it counts where the PBX proves the profile's password.
        Pending = "pending",
        /// It counts.
        Confirmed = "confirmed",
    }
}

/// An address that a PBX with IP authentication sends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpRule {
    /// Identity.
    pub id: IpRuleId,
    /// The profile that the address proves.
    pub profile: ProfileId,
    /// Whether it counts by itself.
    pub state: ClaimState,
    /// What must match.
    #[serde(flatten)]
    pub rule: NewIpRule,
}

/// The matching part of an [`IpRule`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewIpRule {
    /// Address or range.
    pub network: IpNet,
    /// Source port; `None` matches every port.
    pub port: Option<u16>,
    /// Transport.
    pub transport: Transport,
    /// A DNS name that the client certificate must bear, in lower case; `None` asks for no certificate. Whoever bears it
    /// is the rule's, whatever rules without a certificate say of the address.
    pub certificate: Option<String>,
}

impl NewIpRule {
    /// The widest ranges that a company may claim for its site, in leading bits.
    const WIDEST_CLAIM: (u8, u8) = (24, 48);

    /// Any sender there, from any port and without a certificate.
    pub fn new(network: IpNet, transport: Transport) -> Self {
        Self { network, port: None, transport, certificate: None }
    }

    /// The rule with its network and the certificate's name as they are compared, or what is wrong with the name.
    pub(crate) fn checked(&self) -> Result<Self, String> {
        let checked = Self { network: canonical(self.network), ..self.clone() };
        let Some(name) = &self.certificate else { return Ok(checked) };
        if self.transport != Transport::Tls {
            return Err(format!(
                "a certificate is shown over TLS alone, not over {}; write tls as the transport",
                self.transport
            ));
        }
        if !is_domain_name(name) {
            return Err(format!(
                "\"{name}\" is no DNS name like pbx.example.com; write one that the PBX's certificate bears, whole"
            ));
        }
        Ok(Self { certificate: Some(name.to_ascii_lowercase()), ..checked })
    }

    /// Whether it asks for the name that another's rule asks for.
    pub(crate) fn wants_name_of(&self, other: &Self) -> bool {
        self.certificate.is_some() && self.certificate == other.certificate
    }

    /// Whether its network is another's ground. A range wider than a site is nobody's if a certificate is asked for: there
    /// the names tell the peers apart.
    pub(crate) fn wants_ground_of(&self, other: &Self) -> bool {
        let is_ground = other.certificate.is_none() || !other.is_wider_than_a_site();
        is_ground && self.overlaps(&other.network)
    }

    /// Whether some address is in both ranges.
    pub(crate) fn overlaps(&self, other: &IpNet) -> bool {
        let (own, other) = (canonical(self.network), canonical(*other));
        other.contains(&own) || own.contains(&other)
    }

    /// Whether it names one address and not a range.
    pub(crate) fn is_single(&self) -> bool {
        let network = canonical(self.network);
        network.prefix_len() == network.max_prefix_len()
    }

    /// Whether the address that a profile proved its password at is one that the rule is about. An IPv6 address speaks
    /// for its /64, whose owner has all of it.
    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Net::new(v6, 64).is_ok_and(|site| self.overlaps(&site.trunc().into())),
            v4 => self.overlaps(&v4.into()),
        }
    }

    fn is_wider_than_a_site(&self) -> bool {
        canonical(self.network).prefix_len() < self.widest_claim()
    }

    fn widest_claim(&self) -> u8 {
        let (widest_v4, widest_v6) = Self::WIDEST_CLAIM;
        if canonical(self.network).addr().is_ipv4() { widest_v4 } else { widest_v6 }
    }

    /// Why a company may not claim this network as its own. A certificate does not widen what it may claim: nobody can
    /// see whose name it is, so whoever guessed another's would take its calls.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let (network, widest) = (canonical(self.network), self.widest_claim());
        let address = network.addr();
        let is_nobodys_site = address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || matches!(address, IpAddr::V4(v4) if v4.is_link_local() || v4.is_broadcast())
            || matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if is_nobodys_site {
            return Some(format!("{network} is nobody's public address; name that of the PBX"));
        }
        self.is_wider_than_a_site().then(|| {
            format!("{network} is wider than a site; an operator can allow it, a company /{widest} at most")
        })
    }
}

/// IPv4 written as IPv6 is IPv4, to a rule as to a peer: `::ffff:192.0.2.0/120` is `192.0.2.0/24`.
pub fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    match (network, network.addr().to_canonical()) {
        // Only a prefix that covers the first 96 bits leaves such an address whole.
        (IpNet::V6(_), IpAddr::V4(address)) => {
            Ipv4Net::new(address, network.prefix_len().saturating_sub(96)).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// RFC 1035 section 2.3.1, as certificates bear it: labels of letters, digits and hyphens.
fn is_domain_name(name: &str) -> bool {
    let is_inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(network: &str, transport: Transport, certificate: Option<&str>) -> NewIpRule {
        let certificate = certificate.map(str::to_owned);
        NewIpRule { certificate, ..NewIpRule::new(network.parse().unwrap(), transport) }
    }

    #[test]
    fn a_certificate_is_named_by_a_domain_and_shown_over_tls() {
        let anywhere = |name| rule("0.0.0.0/0", Transport::Tls, Some(name)).checked();
        assert_eq!(anywhere("PBX.Example.com").unwrap().certificate.as_deref(), Some("pbx.example.com"));
        anywhere("localhost").unwrap();
        for wrong in ["", "*.example.com", "pbx.example.com.", "-a.example", "a b", "ä.example", "a..b"] {
            let problem = anywhere(wrong).unwrap_err();
            assert!(problem.contains("pbx.example.com"), "{problem}");
        }
        for long in [format!("{}.example", "x".repeat(64)), ["label"; 50].join(".")] {
            rule("0.0.0.0/0", Transport::Tls, Some(&long)).checked().unwrap_err();
        }
        for transport in [Transport::Udp, Transport::Tcp] {
            let problem = rule("192.0.2.1/32", transport, Some("pbx.example.com")).checked().unwrap_err();
            assert!(problem.contains("write tls"), "{problem}");
        }
        let plain = rule("192.0.2.1/32", Transport::Udp, None);
        assert_eq!(plain.checked().unwrap(), plain);
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        let plain = |network| rule(network, Transport::Udp, None);
        for (claim, is_refused) in [
            ("::ffff:198.51.100.0/120", false),
            ("::ffff:64.0.0.0/98", true),
            ("::ffff:127.0.0.1/128", true),
            ("::ffff:198.51.100.1/64", true),
            ("2001:db8::/48", false),
        ] {
            assert_eq!(plain(claim).obstacle().is_some(), is_refused, "{claim}");
        }
        let mapped = plain("::ffff:192.0.2.17/128");
        assert!(mapped.overlaps(&"192.0.2.16/28".parse().unwrap()));
        assert!(plain("192.0.2.17/32").overlaps(&"::ffff:192.0.2.16/124".parse().unwrap()));
        assert!(!mapped.overlaps(&"192.0.2.32/28".parse().unwrap()));
    }

    #[test]
    fn a_proof_speaks_for_its_address_and_in_ipv6_for_its_site() {
        let plain = |network| rule(network, Transport::Udp, None);
        for (claim, address, is_near) in [
            ("192.0.2.17/32", "192.0.2.17", true),
            ("192.0.2.17/32", "::ffff:192.0.2.17", true),
            ("192.0.2.17/32", "192.0.2.18", false),
            ("192.0.2.0/28", "192.0.2.15", true),
            ("2001:db8::7/128", "2001:db8::9", true),
            ("2001:db8::7/128", "2001:db8:0:1::7", false),
            ("2001:db8::/48", "2001:db8:0:1::7", true),
        ] {
            assert_eq!(plain(claim).is_near(address.parse().unwrap()), is_near, "{claim} {address}");
        }
        assert!(plain("192.0.2.17/32").is_single() && plain("::ffff:192.0.2.17/128").is_single());
        assert!(!plain("192.0.2.16/31").is_single() && !plain("2001:db8::/127").is_single());
    }

    #[test]
    fn rules_want_the_same_name_wherever_and_the_ground_of_a_site() {
        let plain = |network| rule(network, Transport::Tls, None);
        let named = |network, name| rule(network, Transport::Tls, Some(name));
        for (claim, other, wants_ground, wants_name) in [
            (plain("192.0.2.0/28"), plain("192.0.2.0/24"), true, false),
            (plain("192.0.2.0/28"), plain("198.51.100.0/24"), false, false),
            (plain("192.0.2.0/28"), plain("0.0.0.0/0"), true, false),
            (plain("192.0.2.0/28"), named("0.0.0.0/0", "a.example"), false, false),
            (plain("192.0.2.0/28"), named("192.0.2.0/24", "a.example"), true, false),
            (named("192.0.2.0/28", "a.example"), plain("192.0.2.0/24"), true, false),
            (named("192.0.2.0/28", "a.example"), named("0.0.0.0/0", "b.example"), false, false),
            (named("192.0.2.0/28", "a.example"), named("0.0.0.0/0", "a.example"), false, true),
            (named("192.0.2.0/28", "a.example"), named("198.51.100.0/24", "a.example"), false, true),
            (named("2001:db8::/48", "a.example"), named("::/0", "b.example"), false, false),
        ] {
            let found = (claim.wants_ground_of(&other), claim.wants_name_of(&other));
            assert_eq!(found, (wants_ground, wants_name), "{claim:?} {other:?}");
        }
    }
}
