//! The read-only view of provisioning that the core needs.
//!
//! The shell builds a new one whenever the store changes, out of the old one and what has changed, and swaps it in whole;
//! the core never writes to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::auth::ip::{Cidr, IpRule, IpRules, Precedence};
use crate::auth::{Algorithm, CertificateNames};
use crate::types::{CarrierId, CarrierLabel, CompanyId, Flow, ProfileId, Transport};

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
    /// How many profiles are challenged in each way.
    policies: BTreeMap<DigestPolicy, u64>,
}

/// A password. No log shows it.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(Box<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

/// A directory in the place of another.
#[derive(Clone, Debug)]
pub struct Succession {
    /// The new one.
    pub directory: Arc<Directory>,
    /// The profiles that are not the same any more, came or went.
    pub changed: BTreeSet<ProfileId>,
    /// The names of certificates that no longer prove whom they did.
    pub certificates: BTreeSet<String>,
}

impl Succession {
    /// Finds whom `new` treats otherwise than `old`. It looks at every profile, so it is not for the call path.
    pub fn new(old: &Directory, new: Arc<Directory>) -> Self {
        let is_same = |profile: &Arc<Profile>| {
            let is_equal = |other: &Arc<Profile>| Arc::ptr_eq(profile, other) || profile == other;
            // Whether a phone may sign in depends on its account as well.
            let is_let_in = |directory: &Directory| directory.may_register(profile.id);
            new.profile(profile.id).is_some_and(is_equal)
                && (!profile.id.is_phone() || is_let_in(old) == is_let_in(&new))
        };
        let changed = old.profiles.values().filter(|profile| !is_same(profile)).map(|profile| profile.id);
        let added = new.profiles.keys().filter(|id| old.profile(**id).is_none()).copied();
        let changed = changed.chain(added).collect();
        let certificates = old.ip_rules.certificates_that_differ(&new.ip_rules);
        Self { directory: new, changed, certificates }
    }
}

/// Somebody we exchange calls with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// A customer's PBX.
    Profile(ProfileId),
    /// A trunk to the telephone network.
    Carrier(CarrierId),
}

impl Peer {
    /// Before all others in order.
    pub(crate) const LEAST: Self = Self::Profile(ProfileId(i64::MIN));

    /// The profile, if it is one.
    pub(crate) fn profile(self) -> Option<ProfileId> {
        match self {
            Self::Profile(id) => Some(id),
            Self::Carrier(_) => None,
        }
    }
}

impl Precedence for Peer {
    /// Profiles go before carriers, and those before phones; carriers in the order in which they were added, which is
    /// their order of priority.
    fn precedence(self) -> (u8, i64) {
        match self {
            Self::Profile(id) if id.is_phone() => (2, id.0.saturating_neg()),
            Self::Profile(id) => (0, id.0),
            Self::Carrier(_) => (1, 0),
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
    /// How its media is protected.
    pub srtp: SrtpPolicy,
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

/// The addresses that a profile claims, and the password that tells its PBX apart where an address alone does not: it
/// is believed from there and from nowhere else.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Rules without a certificate, each with whether it is in force.
    pub rules: Vec<(IpRule, Standing)>,
    /// The password; without one nothing can be proved.
    pub password: Option<Password>,
}

/// Whether a claim of an address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Whoever sends from there is the claimant's, unless something speaks for another.
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

/// Which digest algorithms a profile is challenged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DigestPolicy {
    /// MD5 alone: old PBXs read only the first challenge.
    #[default]
    Md5,
    /// SHA-256 first, then MD5 (RFC 8760 section 2.3).
    Sha256ThenMd5,
    /// SHA-256 alone.
    Sha256,
}

/// How a number is written in a user part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NumberFormat {
    /// `12025550123`, as in the guide.
    #[default]
    Digits,
    /// `+12025550123`.
    E164,
    /// `0012025550123`.
    ZeroZero,
    /// As dialled within the company's country, with its trunk prefix.
    National,
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

/// How media towards and from a peer is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// Found out from what the peer offers, from its make and from the transport.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Offered as RTP/AVP with keys (RFC 8643).
    Optional,
    /// RTP/SAVP or nothing.
    Required,
}

/// Where calls to a business account go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRoute {
    /// The profile it is attached to, or its own phone.
    pub profile: ProfileId,
    /// The user part of the Request-URI: the extension, or else the account's name. A phone is called as it has registered.
    pub user: String,
}

/// A trunk to the telephone network.
#[derive(Clone, PartialEq, Eq)]
pub struct Carrier {
    /// The number in the store.
    pub id: CarrierId,
    /// A label.
    pub name: String,
    /// Domain name or address.
    pub host: String,
    /// `None`: by SRV records, or the transport's default.
    pub port: Option<u16>,
    /// Over which transport.
    pub transport: Transport,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// User name and password: what it challenges us for, and what it proves itself with when it calls from an
    /// address that no rule knows.
    pub credentials: Option<(String, String)>,
    /// How numbers are written towards it.
    pub number_format: NumberFormat,
    /// ISO 3166 alpha-2: the country whose national form its numbers may have.
    pub country: Option<String>,
    /// Leading characters taken off the called number, once it is written in the carrier's format.
    pub strip: u8,
    /// Put before what is left of it.
    pub prefix: String,
    /// How its media is protected.
    pub srtp: SrtpPolicy,
    /// Whether it is in our trust domain (RFC 3325): it learns who calls also where the callee must not.
    pub is_trusted: bool,
    /// Where its media may come from besides the hosts that it describes: the networks that its calls come from.
    pub media_networks: Arc<[Cidr]>,
    /// Whether calls are sent to it.
    pub is_active: bool,
}

impl Carrier {
    /// What a record says of it.
    pub(crate) fn label(&self) -> CarrierLabel {
        CarrierLabel { id: self.id, name: self.name.clone() }
    }
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

impl Profile {
    /// Whether it has a claim on the flow's address that waits for confirmation.
    pub(crate) fn claims(&self, flow: Flow) -> bool {
        self.own_claims().is_some_and(|claims| claims.waiting_on(flow).next().is_some())
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
    fn digest(&self) -> Option<DigestPolicy> {
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
    /// Whoever has the hashes can register: no log shows them.
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

impl fmt::Debug for Carrier {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("transport", &self.transport)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

/// Whether a name looks like a profile's user name.
pub fn is_user_name(name: &str) -> bool {
    name.len() == 14 && name.starts_with("990500") && name.bytes().all(|octet| octet.is_ascii_digit())
}

impl Directory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// What stays of it when the part of these companies is to be built anew; the carriers are.
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
        self.profiles.insert(profile.id, profile);
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

    /// How a user is challenged. `lot` is any number that is always the same for one name: it decides for user names
    /// that nobody has, in the proportions of those that somebody has, so that a challenge does not tell which there
    /// are. Carriers, whose names have any shape, are challenged like everybody else without a user name of ours.
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

    /// Who is known by a certificate with these names, shown on a TLS connection from this address.
    pub fn peer_certified(&self, source: SocketAddr, shown: &CertificateNames) -> Option<Peer> {
        self.ip_rules.find_certified(source, shown).copied()
    }
}

/// A carrier for tests, of this country and with this way to write numbers.
#[cfg(test)]
pub(crate) fn carrier_of(country: Option<&str>, number_format: NumberFormat) -> Carrier {
    Carrier {
        id: CarrierId(1),
        name: "wholesale".into(),
        host: "192.0.2.1".into(),
        port: None,
        transport: Transport::Udp,
        priority: 10,
        weight: 10,
        credentials: None,
        number_format,
        country: country.map(str::to_owned),
        strip: 0,
        prefix: String::new(),
        srtp: SrtpPolicy::Off,
        is_trusted: true,
        media_networks: Arc::default(),
        is_active: true,
    }
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
        srtp: SrtpPolicy::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_policy_is_no_other_password() {
        let of = |password: &str, digest| Authentication::Registration {
            ha1_md5: format!("md5 of {password}"),
            ha1_sha256: format!("sha256 of {password}"),
            digest,
        };
        let old = of("old", DigestPolicy::Md5);
        assert!(old.has_password_of(&of("old", DigestPolicy::Sha256)));
        assert!(!old.has_password_of(&of("new", DigestPolicy::Md5)));
        assert!(!old.has_password_of(&Authentication::by_address(None)));
    }

    fn profile(id: ProfileId, company: i64, user: &str) -> Profile {
        let hash = |algorithm: &str| format!("{algorithm} of {user}");
        Profile {
            id,
            company: CompanyId(company),
            name: user.into(),
            user: user.into(),
            country: "US".into(),
            authentication: Authentication::Registration {
                ha1_md5: hash("md5"),
                ha1_sha256: hash("sha256"),
                digest: DigestPolicy::Md5,
            },
            number_format: NumberFormat::Digits,
            caller_id: CallerId::default(),
            takes_caller_names: true,
            srtp: SrtpPolicy::Auto,
        }
    }

    /// Adds what belongs to a company: a PBX with a number, an address and a business account, and a phone with the
    /// user name of the carrier.
    fn furnish(directory: &mut Directory, company: i64) {
        let (pbx, phone) = (ProfileId(company), ProfileId::of_phone(company));
        directory.add_profile(profile(pbx, company, &format!("9905000000000{company}")));
        directory.add_profile(profile(phone, company, "us"));
        directory.add_number(format!("1202555010{company}"), pbx);
        let cidr = "192.0.2.0/24".parse().unwrap();
        let rule = IpRule { cidr, port: None, transport: None, certificate: None };
        directory.add_ip_rule(IpRule { certificate: Some("pbx.example".into()), ..rule }, Peer::Profile(pbx));
        directory.add_ip_rule(rule, Peer::Profile(pbx));
        directory.add_account(&format!("sales{company}"), AccountRoute { profile: pbx, user: "200".into() });
    }

    fn furnish_carrier(directory: &mut Directory) {
        directory.add_carrier(Carrier {
            credentials: Some(("us".into(), "password".into())),
            ..carrier_of(None, NumberFormat::E164)
        });
    }

    fn with_companies(companies: &[i64]) -> Directory {
        let mut directory = Directory::new();
        companies.iter().for_each(|company| furnish(&mut directory, *company));
        furnish_carrier(&mut directory);
        directory
    }

    #[test]
    fn a_directory_is_the_same_in_whatever_order_it_was_built() {
        let whole = with_companies(&[1, 2, 3]);
        assert_eq!(with_companies(&[3, 1, 2]), whole);
        let pbx = Peer::Profile(ProfileId(1));
        assert_eq!(whole.peer_at("192.0.2.7:5060".parse().unwrap(), Transport::Udp), Some(pbx));
        assert_eq!(whole.peer_of_user("us"), Some(Peer::Carrier(CarrierId(1))));
        let one = BTreeSet::from([CompanyId(1)]);
        let mut anew = whole.without(&one);
        assert_eq!(anew.peer_of_user("us"), Some(Peer::Profile(ProfileId::of_phone(2))), "no carrier has it");
        furnish(&mut anew, 1);
        furnish_carrier(&mut anew);
        assert_eq!(anew, whole);
        let mut gone = whole.without(&one);
        furnish_carrier(&mut gone);
        assert_eq!(gone, with_companies(&[2, 3]));
    }

    #[test]
    fn of_carriers_that_share_a_name_and_an_address_the_first_is_meant() {
        let mut directory = Directory::new();
        for id in [7, 3] {
            directory.add_carrier(Carrier {
                id: CarrierId(id),
                credentials: Some(("us".into(), "password".into())),
                ..carrier_of(None, NumberFormat::E164)
            });
            let cidr = "192.0.2.0/24".parse().unwrap();
            let rule = IpRule { cidr, port: None, transport: None, certificate: None };
            directory.add_ip_rule(rule, Peer::Carrier(CarrierId(id)));
        }
        let first = Some(Peer::Carrier(CarrierId(7)));
        assert_eq!(directory.peer_at("192.0.2.7:5060".parse().unwrap(), Transport::Udp), first);
        assert_eq!(directory.peer_of_user("us"), first);
    }

    #[test]
    fn those_have_changed_who_are_not_the_same_any_more_came_or_went() {
        let old = with_companies(&[1, 2, 3, 5]);
        let one_to_three = (1..=3).map(CompanyId).collect();
        let mut new = old.without(&one_to_three);
        furnish(&mut new, 1);
        let pbx = ProfileId(2);
        furnish(&mut new, 2);
        new.add_profile(Profile { srtp: SrtpPolicy::Required, ..profile(pbx, 2, "99050000000002") });
        furnish(&mut new, 4);
        // The account of the fifth company's phone is a profile's from now on.
        new.add_account("us", AccountRoute { profile: ProfileId::of_phone(5), user: "us".into() });
        let changed = Succession::new(&old, Arc::new(new)).changed;
        let [three, four] = [3, 4].map(|id| [ProfileId(id), ProfileId::of_phone(id)]);
        let expected = three.into_iter().chain(four).chain([pbx, ProfileId::of_phone(5)]);
        assert_eq!(changed, expected.collect());
    }

    #[test]
    fn no_secret_is_shown() {
        let mut directory = Directory::new();
        directory.add_profile(Profile {
            id: ProfileId(1),
            company: CompanyId(1),
            name: "Sales".into(),
            user: "99050000000101".into(),
            country: "US".into(),
            authentication: Authentication::Registration {
                ha1_md5: "secret-md5".into(),
                ha1_sha256: "secret-sha256".into(),
                digest: DigestPolicy::Sha256,
            },
            number_format: NumberFormat::Digits,
            caller_id: CallerId::default(),
            takes_caller_names: true,
            srtp: SrtpPolicy::Auto,
        });
        directory.add_carrier(Carrier {
            credentials: Some(("us".into(), "secret-password".into())),
            ..carrier_of(None, NumberFormat::E164)
        });
        let shown = format!("{directory:?}");
        assert!(shown.contains("99050000000101") && shown.contains("wholesale"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
