//! Trunks to PBXs, and how those are recognised.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;

use super::{DigestPolicy, NumberFormat, SrtpPolicy};
use crate::auth::Algorithm;
use crate::auth::ip::IpRule;
use crate::refusal::Refusal;
use crate::types::{CompanyId, Flow, ProfileId, Transport};

/// Who was suspended by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// The company, and with it all that it has.
    Company,
    /// The profile alone.
    Profile,
}

impl Suspended {
    /// Why a call is not made.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Company => Refusal::CompanySuspended,
            Self::Profile => Refusal::ProfileSuspended,
        }
    }
}

/// One trunk to one PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The number in the store.
    pub id: ProfileId,
    /// Whose it is. Addresses that one company claims say nothing of another's PBX.
    pub company: CompanyId,
    /// A label.
    pub name: String,
    /// The SIP user: 14 digits beginning 990500.
    pub user: String,
    /// The company's country, ISO 3166 alpha-2: decides how national numbers are read.
    pub country: String,
    /// How its PBX is recognised.
    pub authentication: Authentication,
    /// How numbers are written towards the PBX.
    pub number_format: NumberFormat,
    /// What its calls show as the caller.
    pub caller_id: CallerId,
    /// Whether its PBX is told callers' names beside their numbers.
    pub takes_caller_names: bool,
    /// Whether it makes and takes no calls for the time being, and who does not.
    pub suspended: Option<Suspended>,
    /// How its media is protected.
    pub srtp: SrtpPolicy,
}

impl Profile {
    /// Whether it has a claim on the flow's address that waits for confirmation.
    pub(crate) fn claims(&self, flow: Flow) -> bool {
        self.own_claims().is_some_and(|claims| claims.waiting_on(flow).next().is_some())
    }

    /// Whether it has a claim that waits for confirmation, on whatever address.
    pub(super) fn has_pending_claims(&self) -> bool {
        let is_pending = |(_, standing): &(IpRule, Standing)| *standing == Standing::Waits;
        self.own_claims().is_some_and(|claims| claims.rules.iter().any(is_pending))
    }

    /// Whether it has such a claim on this address alone, which a proof of its password confirms.
    pub(crate) fn claims_alone(&self, flow: Flow) -> bool {
        self.own_claims().is_some_and(|claims| claims.waiting_on(flow).any(|rule| rule.cidr.is_single()))
    }

    /// Whether its password is believed over this flow: from anywhere, unless it is known by its addresses.
    pub(crate) fn may_prove_over(&self, flow: Flow) -> bool {
        self.own_claims().is_none_or(|claims| claims.on(flow).next().is_some())
    }

    fn own_claims(&self) -> Option<&Claims> {
        match &self.authentication {
            Authentication::Registration { .. } => None,
            Authentication::Ip { claims, .. } => Some(claims),
        }
    }
}

/// How a PBX is recognised.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// By user name and password; the hashes are `H(user:realm:password)` in lower-case hex.
    Registration {
        /// For MD5.
        ha1_md5: String,
        /// For SHA-256.
        ha1_sha256: String,
        /// Which challenges it is offered.
        digest: DigestPolicy,
    },
    /// By address, perhaps with a certificate.
    Ip {
        /// Where calls to it go, and over which transport, while no connection stands on which it has shown its
        /// certificate; `None` if it is known by a range alone: then it can call, but not be called there.
        target: Option<(SocketAddr, Transport)>,
        /// How it may be told apart from others at its addresses.
        claims: Claims,
    },
}

impl Authentication {
    /// By address alone, without any claim that could be proved.
    pub fn by_address(target: Option<(SocketAddr, Transport)>) -> Self {
        Self::Ip { target, claims: Claims::default() }
    }

    /// The hash that an answer is checked against; `None` if there is no password.
    pub(crate) fn ha1(&self, algorithm: Algorithm) -> Option<&str> {
        let (md5, sha256) = match self {
            Self::Registration { ha1_md5, ha1_sha256, .. } => (ha1_md5, ha1_sha256),
            Self::Ip { claims, .. } => {
                claims.password.as_ref().map(|password| (&password.ha1_md5, &password.ha1_sha256))?
            }
        };
        Some(if algorithm.is_sha256() { sha256 } else { md5 })
    }

    /// Which challenges it is offered; `None` if it can prove nothing.
    pub(super) fn digest(&self) -> Option<DigestPolicy> {
        match self {
            Self::Registration { digest, .. } => Some(*digest),
            Self::Ip { claims, .. } => claims.password.as_ref().map(|password| password.digest),
        }
    }

    /// Whether both prove the same password. What the policy believes is another matter.
    pub(crate) fn has_password_of(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Registration { ha1_md5, ha1_sha256, .. },
                Self::Registration { ha1_md5: md5, ha1_sha256: sha256, .. },
            ) => (ha1_md5, ha1_sha256) == (md5, sha256),
            _ => false,
        }
    }
}

impl fmt::Debug for Authentication {
    /// The hashes suffice to register, so no log shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registration { ha1_md5: _, ha1_sha256: _, digest } => {
                f.debug_struct("Registration").field("digest", digest).finish_non_exhaustive()
            }
            Self::Ip { target, claims } => f
                .debug_struct("Ip")
                .field("target", target)
                .field("claims", &claims.rules)
                .finish_non_exhaustive(),
        }
    }
}

/// The addresses that a profile claims, and the password that tells its PBX apart where an address alone does not: it
/// is believed from there and from nowhere else.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Rules without a certificate, each with whether it is in force.
    pub rules: Vec<(IpRule, Standing)>,
    /// The password; without one nothing can be proved.
    pub password: Option<Password>,
}

impl Claims {
    /// The rules for a flow.
    fn on(&self, flow: Flow) -> impl Iterator<Item = &(IpRule, Standing)> {
        self.rules.iter().filter(move |(rule, _)| rule.matches(flow.peer, flow.transport))
    }

    /// The rules for it that wait for confirmation.
    fn waiting_on(&self, flow: Flow) -> impl Iterator<Item = &IpRule> {
        self.on(flow).filter(|(_, standing)| *standing == Standing::Waits).map(|(rule, _)| rule)
    }
}

/// Whether a claim of an address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// What is sent from there comes from the claimant, unless the request names somebody else.
    InForce,
    /// Only where the claimant has proved its password, until an operator has confirmed it.
    Waits,
}

/// What a password is checked against; the hashes are `H(user:realm:password)` in lower-case hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// For MD5.
    pub ha1_md5: String,
    /// For SHA-256.
    pub ha1_sha256: String,
    /// Which challenges it is offered.
    pub digest: DigestPolicy,
}

/// What a profile's calls show as the caller: digits without `+`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerId {
    /// Where no country's own is set; `None` shows none.
    pub default: Option<String>,
    /// What identifies its calls to those who keep it to themselves, also where none is shown.
    pub identity: Option<String>,
    /// By the called country, ISO 3166 alpha-2.
    pub by_country: HashMap<String, String>,
    /// The numbers that the PBX may choose by call, empty if the policy forbids choosing.
    pub choices: HashSet<String>,
}

/// Whether a name looks like a profile's user name.
pub fn is_user_name(name: &str) -> bool {
    name.len() == 14 && name.starts_with("990500") && name.bytes().all(|octet| octet.is_ascii_digit())
}

/// A profile for tests, with this Caller ID.
#[cfg(test)]
pub(crate) fn profile_of(caller_id: CallerId) -> Profile {
    Profile {
        id: ProfileId(1),
        company: CompanyId(1),
        name: "Sales".into(),
        user: "99050000000101".into(),
        country: "US".into(),
        authentication: Authentication::by_address(None),
        number_format: NumberFormat::default(),
        caller_id,
        takes_caller_names: true,
        suspended: None,
        srtp: SrtpPolicy::Auto,
    }
}
