//! Provisioning, from the store's rows to the core's directory, whenever the store changes.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use ipnet::IpNet;
use provisioning_store::directory::DirectoryRows;
use provisioning_store::model::{self, CallerIdByCall, ClaimState, NumberTarget, Switch};
use sip_core::auth::digest::{Algorithm, ha1};
use sip_core::auth::ip::{Cidr, IpRule};
use sip_core::directory::{
    AccountRoute, Authentication, CallerId, Carrier, Claims, DigestPolicy, Directory, NumberFormat, Password,
    Peer, Profile, SrtpPolicy, Standing, Suspended,
};
use sip_core::types::{CarrierId, CompanyId, ProfileId, Transport};

use crate::config::Config;

/// The rules of the configuration that shape a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The digest realm.
    pub realm: String,
    /// Countries whose Online Numbers may be shown as the caller; empty allows all.
    pub caller_id_countries: HashSet<String>,
    /// Most calls a second of a profile that has no limit of its own.
    pub calls_per_second: Option<NonZeroU32>,
}

impl Shape {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        Self {
            realm: config.realm().to_owned(),
            caller_id_countries: config.calls.caller_id_countries.iter().cloned().collect(),
            calls_per_second: config.calls.spend_guard.guard().calls_per_second,
        }
    }
}

/// Builds the core's directory: anew, or out of the `old` one where the rows are only of companies that have changed.
/// Rows that cannot be used are left out and named in the log: one wrong row must not stop everybody's calls.
pub fn build(old: &Directory, rows: &DirectoryRows, shape: &Shape) -> Directory {
    let mut directory = match &rows.changed {
        Some(companies) => old.without(&companies.iter().map(|id| CompanyId(id.0)).collect()),
        None => Directory::new(),
    };
    let builder = Builder::new(rows, shape);
    for profile in &rows.profiles {
        match builder.profile(profile) {
            Some(built) => {
                directory.add_profile(built);
                if let Some(known) = builder.credentials.get(&profile.id) {
                    directory.add_password(ProfileId(profile.id.0), known.password.reveal());
                }
            }
            None => tracing::error!(
                profile = profile.id.0,
                "A profile has no password, so it can neither register nor call: give it a new one."
            ),
        }
    }
    builder.limits(&mut directory);
    builder.addresses(&mut directory);
    builder.numbers(&mut directory);
    builder.accounts(&mut directory);
    for carrier in &rows.carriers {
        directory.add_carrier(self::carrier(carrier));
        for source in carrier_sources(carrier) {
            directory.add_ip_rule(source, Peer::Carrier(CarrierId(carrier.id.0)));
        }
    }
    builder.phones(&mut directory);
    directory
}

/// The rows, found by what they belong to: there may be hundreds of thousands.
struct Builder<'a> {
    rows: &'a DirectoryRows,
    shape: &'a Shape,
    companies: HashMap<model::CompanyId, &'a model::Company>,
    credentials: HashMap<model::ProfileId, &'a model::Credentials>,
    ip_rules: HashMap<model::ProfileId, Vec<&'a model::IpRule>>,
    caller_ids: HashMap<model::ProfileId, Vec<&'a model::CallerIdRule>>,
    landlines: HashSet<(model::CompanyId, &'a str)>,
    numbers: HashMap<&'a str, &'a model::OnlineNumber>,
    numbers_of: HashMap<model::ProfileId, Vec<&'a model::OnlineNumber>>,
    accounts: HashMap<model::BusinessAccountId, &'a model::BusinessAccount>,
    /// Who is called for a business account: the profile that has it, or its own phone.
    of_accounts: HashMap<model::BusinessAccountId, ProfileId>,
}

impl<'a> Builder<'a> {
    fn new(rows: &'a DirectoryRows, shape: &'a Shape) -> Self {
        let of_profile = |number: &'a model::OnlineNumber| match number.target {
            NumberTarget::Profile(profile) => Some((profile, number)),
            _ => None,
        };
        Self {
            rows,
            shape,
            companies: rows.companies.iter().map(|company| (company.id, company)).collect(),
            credentials: rows.credentials.iter().map(|found| (found.profile, found)).collect(),
            ip_rules: grouped(rows.ip_rules.iter().map(|found| (found.profile, found))),
            caller_ids: grouped(rows.caller_ids.iter().map(|rule| (rule.profile, rule))),
            landlines: rows.landlines.iter().filter(|it| it.verification.is_some()).map(place).collect(),
            numbers: rows.numbers.iter().map(|number| (number.number.as_str(), number)).collect(),
            numbers_of: grouped(rows.numbers.iter().filter_map(of_profile)),
            accounts: rows.business_accounts.iter().map(|account| (account.id, account)).collect(),
            of_accounts: of_accounts(rows),
        }
    }
}

/// A business account that no profile has is called on its phone, if it has a password to sign in with.
fn of_accounts(rows: &DirectoryRows) -> HashMap<model::BusinessAccountId, ProfileId> {
    let phone = |phone: &model::PhoneCredentials| (phone.account, ProfileId::of_phone(phone.account.0));
    let mut called: HashMap<_, _> = rows.phones.iter().map(phone).collect();
    let attached = |account: &model::BusinessAccount| Some((account.id, ProfileId(account.profile?.0)));
    called.extend(rows.business_accounts.iter().filter_map(attached));
    called
}

fn place(landline: &model::Landline) -> (model::CompanyId, &str) {
    (landline.company, &landline.number)
}

/// What belongs to each, in the order it comes in.
fn grouped<K: Eq + Hash, V>(pairs: impl Iterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}

/// What belongs to one of them, which may be nothing.
fn of<'g, K: Eq + Hash, V>(groups: &'g HashMap<K, Vec<V>>, key: &K) -> &'g [V] {
    groups.get(key).map_or(&[], Vec::as_slice)
}

impl Builder<'_> {
    fn profile(&self, profile: &model::Profile) -> Option<Profile> {
        Some(Profile {
            id: ProfileId(profile.id.0),
            company: CompanyId(profile.company.0),
            name: profile.name.clone(),
            user: profile.sip_user.clone(),
            country: self.company(profile).map(|company| company.country.clone()).unwrap_or_default(),
            authentication: self.authentication(profile)?,
            number_format: match profile.settings.presentation {
                model::NumberPresentation::Digits => NumberFormat::Digits,
                model::NumberPresentation::E164 => NumberFormat::E164,
            },
            caller_id: self.caller_id(profile),
            takes_caller_names: profile.settings.caller_name == Switch::On,
            suspended: self.suspended(profile),
            srtp: srtp(profile.settings.srtp),
        })
    }

    /// A company's suspension is told before a profile's own.
    fn suspended(&self, profile: &model::Profile) -> Option<Suspended> {
        let of_company = self.company(profile).and_then(|company| company.suspension.as_ref());
        let of_profile = profile.suspension.as_ref();
        of_company.map(|_| Suspended::Company).or_else(|| of_profile.map(|_| Suspended::Profile))
    }

    fn company(&self, profile: &model::Profile) -> Option<&model::Company> {
        self.companies.get(&profile.company).copied()
    }

    fn authentication(&self, profile: &model::Profile) -> Option<Authentication> {
        let password = self.password(profile);
        if profile.settings.authentication == model::Authentication::Ip {
            let target = self.ip_target(profile.id);
            // Whoever shows a certificate is called over the connection on which it was shown.
            let connects = self.rules_in_force(profile.id).any(|rule| rule.certificate.is_some());
            if target.is_none() && !connects {
                tracing::warn!(
                    profile = profile.id.0,
                    "A profile with IP authentication names no single address that is confirmed: it can call from the \
                     ranges it names, but calls to it are refused until an address or a certificate is allowed."
                );
            }
            return Some(Authentication::Ip {
                target,
                claims: Claims { rules: self.claims(profile.id), password },
            });
        }
        let Password { ha1_md5, ha1_sha256, digest } = password?;
        Some(Authentication::Registration { ha1_md5, ha1_sha256, digest })
    }

    fn password(&self, profile: &model::Profile) -> Option<Password> {
        let credentials = self.credentials.get(&profile.id)?;
        let hash = |algorithm| {
            ha1(algorithm, &credentials.sip_user, &self.shape.realm, credentials.password.reveal())
        };
        Some(Password {
            ha1_md5: hash(Algorithm::Md5),
            ha1_sha256: hash(Algorithm::Sha256),
            digest: match profile.settings.digest {
                model::DigestAlgorithms::Md5 => DigestPolicy::Md5,
                model::DigestAlgorithms::Sha256 => DigestPolicy::Sha256,
                model::DigestAlgorithms::Sha256AndMd5 => DigestPolicy::Sha256ThenMd5,
            },
        })
    }

    fn rules_in_force(&self, profile: model::ProfileId) -> impl Iterator<Item = &model::NewIpRule> {
        let rules = of(&self.ip_rules, &profile).iter();
        rules.filter(|it| it.state == ClaimState::Confirmed).map(|it| &it.rule)
    }

    /// The addresses that the profile's password may be proved at. Where a certificate is asked for, it proves enough.
    fn claims(&self, profile: model::ProfileId) -> Vec<(IpRule, Standing)> {
        let rules = of(&self.ip_rules, &profile).iter().filter(|it| it.rule.certificate.is_none());
        let claim = |it: &&model::IpRule| {
            let standing = match it.state {
                ClaimState::Pending => Standing::Waits,
                ClaimState::Confirmed => Standing::InForce,
            };
            (ip_rule(&it.rule), standing)
        };
        rules.map(claim).collect()
    }

    /// Calls to a PBX with IP authentication go to the first single address it has, unless it is connected with its
    /// certificate.
    fn ip_target(&self, profile: model::ProfileId) -> Option<(SocketAddr, Transport)> {
        let is_single = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
        let rule = self.rules_in_force(profile).find(|rule| is_single(&rule.network))?;
        let transport = transport(rule.transport);
        let port = rule.port.unwrap_or_else(|| transport.default_port());
        Some((SocketAddr::new(rule.network.addr(), port), transport))
    }

    fn caller_id(&self, profile: &model::Profile) -> CallerId {
        let mut caller_id = CallerId::default();
        for rule in of(&self.caller_ids, &profile.id) {
            if !self.may_show(profile, &rule.shown) {
                continue;
            }
            let number = digits(rule.shown.number()).to_owned();
            if profile.settings.caller_id_by_call == CallerIdByCall::Allowed {
                caller_id.choices.insert(number.clone());
            }
            match rule.country.as_deref().filter(|country| !country.is_empty()) {
                Some(country) => drop(caller_id.by_country.insert(country.to_owned(), number)),
                None => caller_id.default = Some(number),
            }
        }
        if profile.settings.caller_id_by_call == CallerIdByCall::Allowed {
            let shown = of(&self.numbers_of, &profile.id).iter().filter(|number| self.is_shown(number));
            caller_id.choices.extend(shown.map(|number| digits(&number.number).to_owned()));
        }
        let in_service = || of(&self.numbers_of, &profile.id).iter().filter(|number| number.is_in_service());
        let first = || in_service().map(|number| digits(&number.number).to_owned()).min();
        caller_id.identity = caller_id.default.clone().or_else(first);
        caller_id
    }

    fn may_show(&self, profile: &model::Profile, shown: &model::CallerId) -> bool {
        match shown {
            // Asked anew at every build: whoever is no longer verified no longer shows it.
            model::CallerId::Landline(number) => {
                self.company(profile).is_some_and(|company| company.is_verified)
                    && self.landlines.contains(&(profile.company, number.as_str()))
            }
            model::CallerId::OnlineNumber(number) => {
                self.numbers.get(number.as_str()).is_some_and(|online| self.is_shown(online))
            }
        }
    }

    /// Only paid numbers of the countries that are allowed.
    fn is_shown(&self, number: &model::OnlineNumber) -> bool {
        let countries = &self.shape.caller_id_countries;
        number.is_in_service() && (countries.is_empty() || countries.contains(&number.country))
    }

    /// The phones of business accounts; those of accounts that a profile has are told why they cannot sign in.
    fn phones(&self, directory: &mut Directory) {
        for phone in &self.rows.phones {
            let Some(account) = self.accounts.get(&phone.account) else { continue };
            let company = self.companies.get(&account.company);
            let hash = |algorithm| ha1(algorithm, &phone.user, &self.shape.realm, phone.password.reveal());
            directory.add_password(ProfileId::of_phone(phone.account.0), phone.password.reveal());
            directory.add_profile(Profile {
                id: ProfileId::of_phone(phone.account.0),
                company: CompanyId(account.company.0),
                name: phone.user.clone(),
                user: phone.user.clone(),
                country: company.map(|company| company.country.clone()).unwrap_or_default(),
                authentication: Authentication::Registration {
                    ha1_md5: hash(Algorithm::Md5),
                    ha1_sha256: hash(Algorithm::Sha256),
                    // Like everybody whose name is not a profile's, so that a challenge does not tell who there is.
                    digest: DigestPolicy::default(),
                },
                number_format: NumberFormat::E164,
                caller_id: CallerId::default(),
                takes_caller_names: true,
                suspended: company.filter(|it| it.suspension.is_some()).map(|_| Suspended::Company),
                srtp: SrtpPolicy::Auto,
            });
        }
    }

    /// How many calls a second profiles and companies may begin.
    fn limits(&self, directory: &mut Directory) {
        for profile in &self.rows.profiles {
            if let Some(most) = profile.guard.call_rate(self.shape.calls_per_second) {
                directory.limit_profile(ProfileId(profile.id.0), most);
            }
        }
        for company in &self.rows.companies {
            if let Some(most) = company.calls_per_second {
                directory.limit_company(CompanyId(company.id.0), most);
            }
        }
    }

    /// The addresses of profiles that are known by them.
    fn addresses(&self, directory: &mut Directory) {
        let is_by_ip =
            |profile: &&model::Profile| profile.settings.authentication == model::Authentication::Ip;
        for profile in self.rows.profiles.iter().filter(is_by_ip) {
            for rule in self.rules_in_force(profile.id) {
                directory.add_ip_rule(ip_rule(rule), Peer::Profile(ProfileId(profile.id.0)));
            }
        }
    }

    fn numbers(&self, directory: &mut Directory) {
        for number in self.rows.numbers.iter().filter(|number| number.is_in_service()) {
            let profile = match number.target {
                NumberTarget::Nobody => None,
                NumberTarget::Profile(profile) => Some(ProfileId(profile.0)),
                NumberTarget::BusinessAccount(account) => self.of_accounts.get(&account).copied(),
            };
            if let Some(profile) = profile {
                directory.add_number(digits(&number.number), profile);
            }
        }
    }

    fn accounts(&self, directory: &mut Directory) {
        for account in &self.rows.business_accounts {
            if let Some(&profile) = self.of_accounts.get(&account.id) {
                let user = account.extension.clone().unwrap_or_else(|| account.name.clone());
                directory.add_account(&account.name, AccountRoute { profile, user });
            }
        }
    }
}

fn carrier(carrier: &model::Carrier) -> Carrier {
    let settings = &carrier.settings;
    Carrier {
        id: CarrierId(carrier.id.0),
        name: settings.name.clone(),
        host: settings.host.clone(),
        port: settings.port,
        transport: transport(settings.transport),
        priority: settings.priority,
        weight: settings.weight,
        credentials: match &settings.authentication {
            model::CarrierAuthentication::Ip => None,
            model::CarrierAuthentication::Digest { user, password } => {
                Some((user.clone(), password.reveal().to_owned()))
            }
        },
        number_format: match settings.number_format {
            model::NumberFormat::E164 => NumberFormat::E164,
            model::NumberFormat::Digits => NumberFormat::Digits,
            model::NumberFormat::ZeroZero => NumberFormat::ZeroZero,
            model::NumberFormat::National => NumberFormat::National,
        },
        country: settings.country.clone(),
        strip: settings.strip,
        prefix: settings.prefix.clone(),
        srtp: srtp(settings.srtp),
        is_trusted: settings.trust == model::Trust::Trusted,
        media_networks: settings.sources.iter().copied().map(cidr).collect(),
        is_active: settings.active == Switch::On,
    }
}

/// Where a carrier's calls may come from: what is listed, and its own address if it is one, from any port.
fn carrier_sources(carrier: &model::Carrier) -> Vec<IpRule> {
    let settings = &carrier.settings;
    let own = settings.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    settings.sources.iter().copied().chain(own.map(IpNet::from)).map(from_anywhere_in).collect()
}

fn ip_rule(rule: &model::NewIpRule) -> IpRule {
    IpRule {
        port: rule.port,
        transport: Some(transport(rule.transport)),
        certificate: rule.certificate.clone(),
        ..from_anywhere_in(rule.network)
    }
}

/// From any port and by any transport.
fn from_anywhere_in(network: IpNet) -> IpRule {
    IpRule { cidr: cidr(network), port: None, transport: None, certificate: None }
}

fn cidr(network: IpNet) -> Cidr {
    // Cut to its prefix first: in a short range of IPv6 no IPv4 address is left, whose prefix would be another.
    Cidr::new(network.network(), network.prefix_len()).expect("a network's prefix fits its address")
}

pub(crate) fn transport(transport: model::Transport) -> Transport {
    match transport {
        model::Transport::Udp => Transport::Udp,
        model::Transport::Tcp => Transport::Tcp,
        model::Transport::Tls => Transport::Tls,
    }
}

fn srtp(srtp: model::Srtp) -> SrtpPolicy {
    match srtp {
        model::Srtp::Auto => SrtpPolicy::Auto,
        model::Srtp::Off => SrtpPolicy::Off,
        model::Srtp::Optional => SrtpPolicy::Optional,
        model::Srtp::Required => SrtpPolicy::Required,
    }
}

/// The store writes E.164 with `+`, the core without.
fn digits(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

#[cfg(test)]
mod tests;
