//! Who is who in the simulation: the guide's company with two PBXs, three carriers and a stranger.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use sip_core::auth::digest::{Algorithm, ha1};
use sip_core::auth::ip::{Cidr, IpRule};
use sip_core::directory::{
    AccountRoute, Authentication, CallerId, Carrier, Claims, DigestPolicy, Directory, NumberFormat, Password,
    Peer, Profile, SrtpPolicy, Standing, Suspended,
};
use sip_core::limits::Limits;
use sip_core::settings::{Listener, Settings};
use sip_core::types::{CarrierId, CompanyId, ProfileId, Transport};

use crate::agent::Agent;
use crate::dice::Dice;

/// 14 June 2011, when the guide's story begins.
pub(crate) const BASE_UNIX_S: u64 = 1_308_009_600;
pub(crate) const DOMAIN: &str = "gw.example";
pub(crate) const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060);
pub(crate) const GATEWAY_TLS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5061);

pub(crate) const SALES: ProfileId = ProfileId(1);
pub(crate) const ENGINEERING: ProfileId = ProfileId(2);
pub(crate) const SALES_USER: &str = "99050000000101";
pub(crate) const SALES_PASSWORD: &str = "correct-horse!";
/// The Online Numbers.
pub(crate) const SALES_NUMBER: &str = "12026843376";
pub(crate) const ENGINEERING_NUMBER: &str = "12026555376";
/// A subscriber somewhere in the US, and one in Estonia, where calls are dear.
pub(crate) const FAR_AWAY: &str = "12152751701";
pub(crate) const ESTONIA: &str = "3728800814";
pub(crate) const ECHO: &str = "17606604690";
/// What the carrier Beta demands.
pub(crate) const BETA_CREDENTIALS: (&str, &str) = ("trunk-7", "beta-secret");

/// What differs between scenarios.
#[derive(Clone, Debug)]
pub(crate) struct Provisions {
    /// The profiles there are.
    pub(crate) profiles: Vec<ProfileId>,
    /// The carriers in use.
    pub(crate) carriers: Vec<CarrierId>,
    /// Calls a second that each profile may begin, and the company all in all.
    pub(crate) calls_per_second: Option<u32>,
    pub(crate) company_calls_per_second: Option<u32>,
    /// What the carrier Alpha is called.
    pub(crate) alpha: &'static str,
    /// Whether the carrier Beta is at Gamma's addresses too.
    pub(crate) beta_shares_hosts: bool,
    /// Carriers tried for one call.
    pub(crate) attempts: usize,
    /// Every other bound.
    pub(crate) limits: Limits,
    /// How Sales wants numbers written.
    pub(crate) sales_format: NumberFormat,
    pub(crate) sales_password: &'static str,
    pub(crate) carriers_transport: Transport,
    /// How the carriers' media is protected.
    pub(crate) carriers_srtp: SrtpPolicy,
    /// Whether the carriers are told who calls where the number is withheld.
    pub(crate) carriers_are_trusted: bool,
    /// Whether Sales is told callers' names.
    pub(crate) sales_takes_names: bool,
    /// Whether Sales makes and takes no calls for the time being.
    pub(crate) sales_suspended: Option<Suspended>,
    pub(crate) vanessa: Vanessa,
    pub(crate) engineering: Proof,
}

/// What Engineering is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Address,
    /// The address of Sales, claimed by this company; its PBX knows a password too.
    SalesAddress(CompanyId),
    /// All addresses of both, claimed by this company and not yet confirmed.
    WaitingRange(CompanyId),
    /// The certificate of [`ENGINEERING_HOST`], from anywhere.
    Certificate,
}

pub(crate) const COMPANY: CompanyId = CompanyId(1);

pub(crate) const ENGINEERING_USER: &str = "99050000000102";
pub(crate) const ENGINEERING_PASSWORD: &str = "tr0ub4dor&3...";
pub(crate) const ENGINEERING_HOST: &str = "engineering.example";

/// What the business account [`PHONE_USER`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vanessa {
    /// Nothing but a name.
    Unknown,
    /// It has a password, and no profile has it.
    Detached,
    /// It belongs to Sales.
    Attached,
}

/// A business account with an Online Number of its own.
pub(crate) const PHONE_USER: &str = "vanessa.lombardi";
const PHONE_PASSWORD: &str = "phone-secret!";
pub(crate) const PHONE_NUMBER: &str = "12026555377";
pub(crate) const PHONE: ProfileId = ProfileId(-5);

pub(crate) const ALPHA: CarrierId = CarrierId(1);
pub(crate) const BETA: CarrierId = CarrierId(2);
/// Known by a name that leads to two addresses.
pub(crate) const GAMMA: CarrierId = CarrierId(3);

impl Default for Provisions {
    fn default() -> Self {
        Self {
            profiles: vec![SALES, ENGINEERING],
            carriers: vec![ALPHA, BETA],
            calls_per_second: None,
            company_calls_per_second: None,
            alpha: "alpha",
            beta_shares_hosts: false,
            attempts: 6,
            limits: Limits::default(),
            sales_format: NumberFormat::Digits,
            sales_password: SALES_PASSWORD,
            carriers_transport: Transport::Udp,
            carriers_srtp: SrtpPolicy::Off,
            carriers_are_trusted: true,
            sales_takes_names: true,
            sales_suspended: None,
            vanessa: Vanessa::Unknown,
            engineering: Proof::Address,
        }
    }
}

fn host(last: [u8; 4]) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(last)), 5060)
}

/// The agents, in the order of the constants in `world`. No address is part of another's text.
pub(crate) fn agents(dice: &mut Dice) -> Vec<Agent> {
    let mut agent = |name, address| Agent::new(name, host(address), GATEWAY, dice.split());
    vec![
        agent("sales", [198, 51, 100, 11]).with_credentials(SALES_USER, SALES_PASSWORD),
        agent("engineering", [198, 51, 100, 12]),
        agent("alpha", [203, 0, 113, 21]),
        agent("beta", [203, 0, 113, 22]),
        agent("gamma-one", [203, 0, 113, 23]),
        agent("gamma-two", [203, 0, 113, 24]),
        agent("stranger", [203, 0, 113, 66]),
        agent("phone", [198, 51, 100, 13]).with_credentials(PHONE_USER, PHONE_PASSWORD),
    ]
}

pub(crate) fn settings(provisions: &Provisions) -> Settings {
    let listener = |transport, local: SocketAddr| Listener {
        transport,
        local,
        advertised_host: local.ip(),
        advertised_port: local.port(),
    };
    let listeners = vec![
        listener(Transport::Udp, GATEWAY),
        listener(Transport::Tcp, GATEWAY),
        listener(Transport::Tls, GATEWAY_TLS),
    ];
    let mut settings = Settings::new(DOMAIN, listeners);
    settings.limits = Limits { attempts_per_call: provisions.attempts, ..provisions.limits.clone() };
    settings
}

/// Where names lead.
pub(crate) fn names() -> HashMap<String, Vec<SocketAddr>> {
    HashMap::from([("gamma.example".to_owned(), vec![host([203, 0, 113, 23]), host([203, 0, 113, 24])])])
}

pub(crate) fn directory(provisions: &Provisions) -> Directory {
    let mut directory = Directory::new();
    let registration = Authentication::Registration {
        ha1_md5: ha1(Algorithm::Md5, SALES_USER, DOMAIN, provisions.sales_password),
        ha1_sha256: ha1(Algorithm::Sha256, SALES_USER, DOMAIN, provisions.sales_password),
        digest: DigestPolicy::Md5,
    };
    let address = (provisions.engineering == Proof::Address).then(|| host([198, 51, 100, 12]));
    let by_address = Authentication::Ip {
        target: address.map(|address| (address, Transport::Udp)),
        claims: claims_of_engineering(provisions.engineering),
    };
    let sales = Profile {
        number_format: provisions.sales_format,
        takes_caller_names: provisions.sales_takes_names,
        suspended: provisions.sales_suspended,
        ..profile(SALES, SALES_USER, registration, SALES_NUMBER)
    };
    let engineering = Profile {
        company: match provisions.engineering {
            Proof::SalesAddress(company) | Proof::WaitingRange(company) => company,
            Proof::Address | Proof::Certificate => COMPANY,
        },
        ..profile(ENGINEERING, ENGINEERING_USER, by_address, ENGINEERING_NUMBER)
    };
    let there_are = |profile: &Profile| provisions.profiles.contains(&profile.id);
    [sales, engineering].into_iter().filter(there_are).for_each(|profile| directory.add_profile(profile));
    directory.add_password(SALES, provisions.sales_password);
    for profile in [SALES, ENGINEERING] {
        provisions
            .calls_per_second
            .and_then(NonZeroU32::new)
            .into_iter()
            .for_each(|most| directory.limit_profile(profile, most));
    }
    let company_limit = provisions.company_calls_per_second.and_then(NonZeroU32::new);
    company_limit.into_iter().for_each(|most| directory.limit_company(COMPANY, most));
    directory.add_number(SALES_NUMBER, SALES);
    directory.add_number(ENGINEERING_NUMBER, ENGINEERING);
    directory
        .add_account("architects.sales", AccountRoute { profile: SALES, user: "architects.sales".into() });
    directory
        .add_account("architects.engineering", AccountRoute { profile: ENGINEERING, user: "200".into() });
    if let (rule, Standing::InForce) = rule_of_engineering(provisions.engineering) {
        directory.add_ip_rule(rule, Peer::Profile(ENGINEERING));
    }
    for (last, id) in [(21, ALPHA), (22, BETA), (23, GAMMA), (24, GAMMA)] {
        directory.add_ip_rule(known(host([203, 0, 113, last])), Peer::Carrier(id));
    }
    for last in [23, 24].into_iter().filter(|_| provisions.beta_shares_hosts) {
        directory.add_ip_rule(known(host([203, 0, 113, last])), Peer::Carrier(BETA));
    }
    for id in &provisions.carriers {
        let (srtp, transport) = (provisions.carriers_srtp, provisions.carriers_transport);
        let is_trusted = provisions.carriers_are_trusted;
        let carrier = carrier(*id);
        let name = if *id == ALPHA { provisions.alpha.to_owned() } else { carrier.name.clone() };
        directory.add_carrier(Carrier { srtp, transport, is_trusted, name, ..carrier });
    }
    add_vanessa(&mut directory, provisions.vanessa);
    directory
}

fn known(address: SocketAddr) -> IpRule {
    let cidr = Cidr::new(address.ip(), 32).expect("32 bits fit");
    IpRule { cidr, port: None, transport: None, certificate: None }
}

fn rule_of_engineering(proof: Proof) -> (IpRule, Standing) {
    let range = |text: &str| text.parse().expect("a range");
    match proof {
        Proof::Address => (known(host([198, 51, 100, 12])), Standing::InForce),
        Proof::SalesAddress(_) => (known(host([198, 51, 100, 11])), Standing::InForce),
        Proof::WaitingRange(_) => {
            (IpRule { cidr: range("198.51.100.0/24"), ..known(host([198, 51, 100, 0])) }, Standing::Waits)
        }
        Proof::Certificate => {
            let certificate = Some(ENGINEERING_HOST.to_owned());
            let rule = IpRule { certificate, transport: Some(Transport::Tls), ..known(host([0; 4])) };
            (IpRule { cidr: range("0.0.0.0/0"), ..rule }, Standing::InForce)
        }
    }
}

fn claims_of_engineering(proof: Proof) -> Claims {
    let hash = |algorithm| ha1(algorithm, ENGINEERING_USER, DOMAIN, ENGINEERING_PASSWORD);
    let password = Password {
        ha1_md5: hash(Algorithm::Md5),
        ha1_sha256: hash(Algorithm::Sha256),
        digest: DigestPolicy::Md5,
    };
    let rules = [rule_of_engineering(proof)].into_iter().filter(|(rule, _)| rule.certificate.is_none());
    Claims { rules: rules.collect(), password: Some(password) }
}

fn add_vanessa(directory: &mut Directory, vanessa: Vanessa) {
    let profile_called = match vanessa {
        Vanessa::Unknown => return,
        Vanessa::Detached => PHONE,
        Vanessa::Attached => SALES,
    };
    let authentication = Authentication::Registration {
        ha1_md5: ha1(Algorithm::Md5, PHONE_USER, DOMAIN, PHONE_PASSWORD),
        ha1_sha256: ha1(Algorithm::Sha256, PHONE_USER, DOMAIN, PHONE_PASSWORD),
        digest: DigestPolicy::default(),
    };
    directory.add_profile(profile(PHONE, PHONE_USER, authentication, PHONE_NUMBER));
    directory.add_number(PHONE_NUMBER, profile_called);
    directory.add_account(PHONE_USER, AccountRoute { profile: profile_called, user: PHONE_USER.into() });
}

fn profile(id: ProfileId, user: &str, authentication: Authentication, number: &str) -> Profile {
    Profile {
        id,
        company: COMPANY,
        name: format!("profile {}", id.0),
        user: user.to_owned(),
        country: "US".to_owned(),
        authentication,
        number_format: NumberFormat::Digits,
        caller_id: CallerId {
            default: Some(number.to_owned()),
            identity: Some(number.to_owned()),
            ..CallerId::default()
        },
        takes_caller_names: true,
        suspended: None,
        srtp: SrtpPolicy::Auto,
    }
}

fn carrier(id: CarrierId) -> Carrier {
    let (name, host, credentials) = match id {
        ALPHA => ("alpha", "203.0.113.21", None),
        BETA => ("beta", "203.0.113.22", Some(BETA_CREDENTIALS)),
        _ => ("gamma", "gamma.example", None),
    };
    Carrier {
        id,
        name: name.to_owned(),
        host: host.to_owned(),
        port: None,
        transport: Transport::Udp,
        priority: u16::try_from(id.0).expect("small"),
        weight: 10,
        credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_owned())),
        number_format: NumberFormat::E164,
        country: None,
        strip: 0,
        prefix: String::new(),
        srtp: SrtpPolicy::Off,
        is_trusted: true,
        media_networks: Arc::default(),
        is_active: true,
    }
}
