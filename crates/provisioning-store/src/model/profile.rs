//! A SIP profile: one trunk to one PBX.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{
    Authentication, CallerIdByCall, CompanyId, DigestAlgorithms, GuardOverrides, IpRuleId,
    NumberPresentation, ProfileId, Srtp, Switch, Timestamp, Transport,
};
use crate::ledger::Spending;
use crate::lifecycle::{ProfileState, Subscription, Terms};
use crate::money::Micros;
use crate::secrets::Password;

/// A profile with its settings, its subscription and what it may spend. Its password is in [`Credentials`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Identity.
    pub id: ProfileId,
    /// The company it belongs to.
    pub company: CompanyId,
    /// Name, a label.
    pub name: String,
    /// SIP user: 14 digits beginning `990500`.
    pub sip_user: String,
    /// Settings that can change at any time.
    #[serde(flatten)]
    pub settings: ProfileSettings,
    /// The latest channel subscription with its bundles, also when it has run out.
    pub subscription: Option<Subscription>,
    /// Refills the profile's credit from the company's.
    pub recharge: Option<Recharge>,
    /// Its own spend guard, laid over the installation's.
    #[serde(rename = "spend_guard")]
    pub guard: GuardOverrides,
    /// What its calls were charged in the latest hour and day.
    pub spending: Spending,
    /// Credit for outgoing calls, the part that live calls have reserved included.
    #[serde(rename = "credit_micros")]
    pub credit: Micros,
    /// Credit that live calls have reserved, and what is on hand.
    #[serde(rename = "reserved_micros")]
    pub reserved: Micros,
    /// The part of it that no call holds: it is kept for calls that begin while the database does not answer.
    #[serde(rename = "on_hand_micros")]
    pub on_hand: Micros,
    /// Bundle seconds left in this period, the part that live calls have reserved included.
    pub bundle_left_s: u32,
    /// Calls going on now.
    pub channels_in_use: u32,
}

impl Profile {
    /// Where it is in its life.
    pub fn state(&self, terms: Terms, now: Timestamp) -> ProfileState {
        ProfileState::of(self.subscription.as_ref(), terms, now)
    }
}

/// A profile's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSettings {
    /// How the PBX proves who it is.
    pub authentication: Authentication,
    /// Digest algorithms offered.
    pub digest: DigestAlgorithms,
    /// How the called number is written towards the PBX.
    pub presentation: NumberPresentation,
    /// Whether media is encrypted towards the PBX.
    pub srtp: Srtp,
    /// Whether the PBX may choose its Caller ID in each call.
    pub caller_id_by_call: CallerIdByCall,
    /// Whether the PBX is told callers' names beside their numbers.
    pub caller_name: Switch,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        Self {
            authentication: Authentication::Registration,
            // Old PBXs read only the first challenge and know only MD5.
            digest: DigestAlgorithms::Md5,
            presentation: NumberPresentation::Digits,
            srtp: Srtp::Auto,
            caller_id_by_call: CallerIdByCall::Denied,
            caller_name: Switch::On,
        }
    }
}

/// What a PBX registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The profile they belong to.
    pub profile: ProfileId,
    /// SIP user.
    pub sip_user: String,
    /// Generated password.
    pub password: Password,
}

/// When a profile's credit falls below `threshold`, `amount` comes from the company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recharge {
    /// Balance below which it fires; 2.00 is recommended.
    #[serde(rename = "threshold_micros")]
    pub threshold: Micros,
    /// Amount that moves each time, above zero; 10.00 is recommended.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
}

impl Recharge {
    /// The values the guide recommends; lower ones risk a call without credit.
    pub const RECOMMENDED: Self = Self { threshold: Micros::from_units(2), amount: Micros::from_units(10) };
}

/// An address that a PBX with IP authentication sends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpRule {
    /// Identity.
    pub id: IpRuleId,
    /// The profile that the address proves.
    pub profile: ProfileId,
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

/// Whose calls an address rule may be about to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The operator knows what it does.
    Anybodys,
    /// Only where nobody else is known.
    Nobodys,
}

impl NewIpRule {
    /// The widest ranges that a company may claim for its site, in leading bits.
    const WIDEST_CLAIM: (u8, u8) = (24, 48);

    /// Whoever sends from there, from any port and without a certificate.
    pub fn new(network: IpNet, transport: Transport) -> Self {
        Self { network, port: None, transport, certificate: None }
    }

    /// The rule with the certificate's name as it is compared, or what is wrong with the name.
    pub(crate) fn checked(&self) -> Result<Self, String> {
        let Some(name) = &self.certificate else { return Ok(self.clone()) };
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
        Ok(Self { certificate: Some(name.to_ascii_lowercase()), ..self.clone() })
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
fn canonical(network: IpNet) -> IpNet {
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
