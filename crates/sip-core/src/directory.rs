//! The read-only view of provisioning that the core needs.
//!
//! The shell builds a new one whenever the store changes, out of the old one and what has changed, and swaps it in whole;
//! the core never writes to it.

mod carrier;
mod peer;
mod policy;
mod profile;
mod succession;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

pub use self::carrier::Carrier;
#[cfg(test)]
pub(crate) use self::carrier::carrier_of;
pub use self::peer::Peer;
pub use self::policy::{DigestPolicy, NumberFormat, SrtpPolicy};
#[cfg(test)]
pub(crate) use self::profile::profile_of;
pub use self::profile::{
    Authentication, CallerId, Claims, Password, Profile, Standing, Suspended, is_user_name,
};
pub use self::succession::Succession;
use crate::auth::CertificateNames;
use crate::auth::ip::{Cidr, IpRule, IpRules, Precedence};
use crate::call_rates::CallLimits;
use crate::types::{CarrierId, CompanyId, ProfileId, Transport};

/// All that is provisioned, indexed for the call path. What it holds does not depend on the order in which companies'
/// parts were added, since the store gives each number and each account's name to one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    profiles: HashMap<ProfileId, Arc<Profile>>,
    /// The passwords, for user names that are hashed with a domain.
    passwords: HashMap<ProfileId, Hidden>,
    users: HashMap<String, Peer>,
    numbers: HashMap<String, ProfileId>,
    accounts: HashMap<String, AccountRoute>,
    carriers: Vec<Arc<Carrier>>,
    ip_rules: IpRules<Peer>,
    call_limits: CallLimits,
    /// How many profiles are challenged in each way.
    policies: BTreeMap<DigestPolicy, u64>,
    /// The profiles that claim addresses which are not confirmed yet.
    claimants: BTreeSet<ProfileId>,
}

/// A password. No log shows it.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(Box<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

/// Where calls to a business account go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRoute {
    /// The profile it is attached to, or its own phone.
    pub profile: ProfileId,
    /// The user part of the Request-URI: the extension, or else the account's name. A phone is called as it has registered.
    pub user: String,
}

impl Directory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy without the carriers and without these companies, whose parts are about to be rebuilt.
    pub fn without(&self, companies: &BTreeSet<CompanyId>) -> Self {
        let stays =
            |id: ProfileId| self.profile(id).is_some_and(|profile| !companies.contains(&profile.company));
        let is_peer_that_stays = |peer: Peer| peer.profile().is_some_and(stays);
        let numbers = self.numbers.iter().filter(|(_, profile)| stays(**profile));
        let accounts = self.accounts.iter().filter(|(_, route)| stays(route.profile));
        let passwords = self.passwords.iter().filter(|(profile, _)| stays(**profile));
        let mut kept = Self {
            numbers: numbers.map(|(number, profile)| (number.clone(), *profile)).collect(),
            accounts: accounts.map(|(name, route)| (name.clone(), route.clone())).collect(),
            passwords: passwords.map(|(profile, hidden)| (*profile, hidden.clone())).collect(),
            ip_rules: self.ip_rules.only(is_peer_that_stays),
            call_limits: self.call_limits.only(stays, |company| !companies.contains(&company)),
            ..Self::default()
        };
        for profile in self.profiles.values().filter(|profile| stays(profile.id)) {
            kept.insert(Arc::clone(profile));
        }
        kept
    }

    /// Adds a profile, or the phone of a business account.
    pub fn add_profile(&mut self, profile: Profile) {
        self.insert(Arc::new(profile));
    }

    fn insert(&mut self, profile: Arc<Profile>) {
        self.claim(&profile.user, Peer::Profile(profile.id));
        // Companies choose the names of phones, and profiles alone have user names of ours.
        if let Some(digest) = profile.authentication.digest().filter(|_| !profile.id.is_phone()) {
            *self.policies.entry(digest).or_default() += 1;
        }
        if profile.has_pending_claims() {
            self.claimants.insert(profile.id);
        } else {
            self.claimants.remove(&profile.id);
        }
        self.profiles.insert(profile.id, profile);
    }

    /// The first profile, from this one on, with a claim of any address that is not confirmed.
    pub(crate) fn first_claimant(&self, least: ProfileId) -> Option<ProfileId> {
        self.claimants.range(least..).next().copied()
    }

    /// Of those that want the same user name, one has it: companies choose the names of their business accounts, and
    /// none may take another's place.
    fn claim(&mut self, user: &str, peer: Peer) {
        let holder = self.users.entry(user.to_owned()).or_insert(peer);
        if peer.precedence() < holder.precedence() {
            *holder = peer;
        }
    }

    /// Keeps a profile's password: `user@domain` is hashed with whatever domain the PBX was set up with (RFC 7616 section
    /// 3.4.2), so no hash of it can be made ahead.
    pub fn add_password(&mut self, profile: ProfileId, password: &str) {
        self.passwords.insert(profile, Hidden(password.into()));
    }

    /// The password of a profile, if it was kept.
    pub(crate) fn password(&self, profile: ProfileId) -> Option<&str> {
        self.passwords.get(&profile).map(|hidden| &*hidden.0)
    }

    /// Lets a profile begin so many calls a second, and no more.
    pub fn limit_profile(&mut self, profile: ProfileId, calls_per_second: NonZeroU32) {
        self.call_limits.profiles.insert(profile, calls_per_second);
    }

    /// The same for all profiles of a company together.
    pub fn limit_company(&mut self, company: CompanyId, calls_per_second: NonZeroU32) {
        self.call_limits.companies.insert(company, calls_per_second);
    }

    pub(crate) fn call_limits(&self) -> &CallLimits {
        &self.call_limits
    }

    /// Gives an Online Number (E.164 digits without `+`) to a profile.
    pub fn add_number(&mut self, number: impl Into<String>, profile: ProfileId) {
        self.numbers.insert(number.into(), profile);
    }

    /// Attaches a business account; names are compared without regard to case.
    pub fn add_account(&mut self, name: &str, route: AccountRoute) {
        self.accounts.insert(name.to_ascii_lowercase(), route);
    }

    /// Adds a carrier.
    pub fn add_carrier(&mut self, carrier: Carrier) {
        if let Some((user, _)) = &carrier.credentials {
            // A profile's user name is 14 digits of ours; should a carrier hand out the same, the profile keeps it.
            self.claim(user, Peer::Carrier(carrier.id));
        }
        self.carriers.push(Arc::new(carrier));
        self.carriers.sort_by_key(|c| (c.priority, c.id));
    }

    /// A carrier is also at these addresses: its calls come from there, and its media may.
    pub fn add_carrier_hosts(&mut self, id: CarrierId, hosts: &[IpAddr]) {
        let Some(carrier) = self.carriers.iter_mut().find(|carrier| carrier.id == id) else { return };
        let hosts: Vec<_> = hosts.iter().map(|host| Cidr::of_host(*host)).collect();
        let carrier = Arc::make_mut(carrier);
        carrier.media_networks = carrier.media_networks.iter().chain(&hosts).copied().collect();
        for cidr in hosts {
            self.add_ip_rule(
                IpRule { cidr, port: None, transport: None, certificate: None },
                Peer::Carrier(id),
            );
        }
    }

    /// Whether any rule recognises a peer by address.
    pub fn is_known_by_address(&self, peer: Peer) -> bool {
        self.ip_rules.only(|it| it == peer) != IpRules::default()
    }

    /// Recognises a peer by address.
    pub fn add_ip_rule(&mut self, rule: IpRule, peer: Peer) {
        self.ip_rules.add(rule, peer);
    }

    /// A profile by number.
    pub fn profile(&self, id: ProfileId) -> Option<&Arc<Profile>> {
        self.profiles.get(&id)
    }

    /// All profiles, in no order.
    pub fn profiles(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.profiles.values()
    }

    /// A profile by SIP user.
    pub fn profile_of_user(&self, user: &str) -> Option<&Arc<Profile>> {
        match self.peer_of_user(user)? {
            Peer::Profile(id) => self.profiles.get(&id),
            Peer::Carrier(_) => None,
        }
    }

    /// Who proves itself with this user name.
    pub fn peer_of_user(&self, user: &str) -> Option<Peer> {
        self.users.get(user).copied()
    }

    /// How a user is challenged. An unassigned user name of our form gets a policy by `lot`, in the proportions of the
    /// assigned ones, so that a challenge does not tell which names are assigned. `lot` must always be the same number
    /// for the same name. All other names, carriers' too, get the default.
    pub fn policy_of_user(&self, user: &str, lot: u64) -> DigestPolicy {
        match self.profile_of_user(user).and_then(|profile| profile.authentication.digest()) {
            Some(digest) => digest,
            None if is_user_name(user) => self.policy_by_lot(lot),
            None => DigestPolicy::default(),
        }
    }

    fn policy_by_lot(&self, lot: u64) -> DigestPolicy {
        let all: u64 = self.policies.values().sum();
        // A share of the whole, so that one profile more moves few names to another lot.
        let mut left = u64::try_from((u128::from(lot) * u128::from(all)) >> 64).unwrap_or_default();
        for (policy, count) in &self.policies {
            match left.checked_sub(*count) {
                Some(rest) => left = rest,
                None => return *policy,
            }
        }
        DigestPolicy::default()
    }

    /// The profile that an Online Number reaches.
    pub fn profile_of_number(&self, number: &str) -> Option<&Arc<Profile>> {
        self.numbers.get(number).and_then(|id| self.profiles.get(id))
    }

    /// Where a business account's calls go.
    pub fn account(&self, name: &str) -> Option<&AccountRoute> {
        self.accounts.get(&name.to_ascii_lowercase())
    }

    /// Whether this is the phone of a business account that belongs to a profile: then it cannot sign in.
    pub fn is_taken(&self, phone: &Profile) -> bool {
        phone.id.is_phone() && self.account(&phone.user).is_none_or(|route| route.profile != phone.id)
    }

    /// Whether there is such a profile or phone, and it registers.
    pub fn may_register(&self, id: ProfileId) -> bool {
        self.profile(id).is_some_and(|profile| {
            matches!(profile.authentication, Authentication::Registration { .. }) && !self.is_taken(profile)
        })
    }

    /// A carrier by number.
    pub fn carrier(&self, id: CarrierId) -> Option<&Arc<Carrier>> {
        self.carriers.iter().find(|carrier| carrier.id == id)
    }

    /// All carriers, by priority.
    pub fn carriers(&self) -> &[Arc<Carrier>] {
        &self.carriers
    }

    /// Who is known at this address, by the most specific rule that asks for no certificate.
    pub fn peer_at(&self, source: SocketAddr, transport: Transport) -> Option<Peer> {
        self.ip_rules.find(source, transport).copied()
    }

    /// Whether a rule recognises this peer at the address, even where a more specific or earlier one recognises another:
    /// carriers share hosts.
    pub(crate) fn may_be_at(&self, peer: Peer, source: SocketAddr, transport: Transport) -> bool {
        self.ip_rules.may_be(source, transport, peer)
    }

    /// The same for a certificate with these names: the profiles of one PBX share it.
    pub(crate) fn may_be_certified(&self, peer: Peer, source: SocketAddr, shown: &CertificateNames) -> bool {
        self.ip_rules.may_be_certified(source, shown, peer)
    }

    /// Who is known by a certificate with these names, shown on a TLS connection from this address.
    pub fn peer_certified(&self, source: SocketAddr, shown: &CertificateNames) -> Option<Peer> {
        self.ip_rules.find_certified(source, shown).copied()
    }
}
