use std::sync::Arc;

use provisioning_store::model::{
    BusinessAccount, BusinessAccountId, CallerIdRule, Company, CompanyId, Credentials, IpRuleId, NewCarrier,
    NewIpRule, NumberId, OnlineNumber, ProfileSettings,
};
use provisioning_store::money::Micros;
use provisioning_store::secrets::Password;
use sip_core::auth::CertificateNames;

use super::*;

fn profile(id: i64, settings: ProfileSettings) -> model::Profile {
    model::Profile {
        id: model::ProfileId(id),
        company: CompanyId(1),
        name: format!("P{id}"),
        sip_user: format!("9905000000000{id}"),
        settings,
        suspension: None,
        subscription: None,
        recharge: None,
        guard: Default::default(),
        spending: Default::default(),
        credit: Micros::ZERO,
        reserved: Micros::ZERO,
        on_hand: Micros::ZERO,
        bundle_left_s: 0,
        channels_in_use: 0,
    }
}

fn number(id: i64, number: &str, country: &str, target: NumberTarget) -> OnlineNumber {
    let (id, company) = (NumberId(id), CompanyId(1));
    OnlineNumber { id, company, number: number.to_owned(), country: country.to_owned(), target, lease: None }
}

/// Profile 1 registers, profile 2 is known by address; a number and an account for profile 1, a carrier.
fn rows() -> DirectoryRows {
    let by_ip = ProfileSettings { authentication: model::Authentication::Ip, ..ProfileSettings::default() };
    let network = |text: &str| text.parse().unwrap();
    let rule = |id, text, port| model::IpRule {
        id: IpRuleId(id),
        state: ClaimState::Confirmed,
        profile: model::ProfileId(2),
        rule: NewIpRule { port, ..NewIpRule::new(network(text), model::Transport::Udp) },
    };
    let account = BusinessAccount {
        id: BusinessAccountId(1),
        company: CompanyId(1),
        name: "architects.sales".to_owned(),
        profile: Some(model::ProfileId(1)),
        extension: Some("100".to_owned()),
    };
    let carrier = model::Carrier {
        id: model::CarrierId(1),
        settings: NewCarrier {
            sources: vec![network("192.0.2.0/24")],
            ..NewCarrier::new("Up", "198.51.100.1")
        },
    };
    let caller_id = |country: Option<&str>, number: &str| CallerIdRule {
        profile: model::ProfileId(1),
        country: country.map(str::to_owned),
        shown: model::CallerId::OnlineNumber(number.to_owned()),
    };
    DirectoryRows {
        revision: 1,
        revision_of_rates: 1,
        changed: None,
        companies: vec![Company {
            verification: None,
            id: CompanyId(1),
            name: "A".to_owned(),
            country: "US".to_owned(),
            currency: "USD".to_owned(),
            is_verified: false,
            price_list: "standard".into(),
            calls_per_second: None,
            suspension: None,
            credit: Micros::ZERO,
        }],
        profiles: vec![profile(1, ProfileSettings::default()), profile(2, by_ip)],
        credentials: vec![Credentials {
            profile: model::ProfileId(1),
            sip_user: "99050000000001".to_owned(),
            password: Password::new("secret"),
        }],
        ip_rules: vec![rule(1, "203.0.113.0/28", None), rule(2, "203.0.113.9/32", Some(5080))],
        numbers: vec![
            number(1, "+12026843376", "US", NumberTarget::Profile(model::ProfileId(1))),
            number(2, "+442079460123", "GB", NumberTarget::BusinessAccount(BusinessAccountId(1))),
            number(3, "+12025550100", "US", NumberTarget::Nobody),
        ],
        business_accounts: vec![account],
        phones: Vec::new(),
        landlines: Vec::new(),
        caller_ids: vec![caller_id(None, "+12026843376"), caller_id(Some("GB"), "+442079460123")],
        carriers: vec![carrier],
    }
}

fn shape(countries: &[&str]) -> Shape {
    Shape {
        realm: "sip.test".to_owned(),
        caller_id_countries: countries.iter().map(|&c| c.to_owned()).collect(),
        calls_per_second: None,
    }
}

#[test]
fn numbers_and_accounts_lead_to_their_profile() {
    let directory = build(&Directory::new(), &rows(), &shape(&[]));
    let reached = |number| directory.profile_of_number(number).map(|profile| profile.id);
    assert_eq!(reached("12026843376"), Some(ProfileId(1)));
    assert_eq!(reached("442079460123"), Some(ProfileId(1)), "through the business account");
    assert_eq!(reached("12025550100"), None);
    assert_eq!(directory.account("Architects.Sales").map(|route| route.user.as_str()), Some("100"));
}

/// The rows of some companies.
fn of(rows: &DirectoryRows, companies: &[i64]) -> DirectoryRows {
    let is_of = |company: CompanyId| companies.contains(&company.0);
    let owner =
        |profile: model::ProfileId| rows.profiles.iter().any(|it| it.id == profile && is_of(it.company));
    let of_companies = rows.business_accounts.iter().filter(|it| is_of(it.company));
    let accounts: Vec<BusinessAccountId> = of_companies.map(|it| it.id).collect();
    DirectoryRows {
        companies: rows.companies.iter().filter(|it| is_of(it.id)).cloned().collect(),
        profiles: rows.profiles.iter().filter(|it| is_of(it.company)).cloned().collect(),
        credentials: rows.credentials.iter().filter(|it| owner(it.profile)).cloned().collect(),
        ip_rules: rows.ip_rules.iter().filter(|it| owner(it.profile)).cloned().collect(),
        numbers: rows.numbers.iter().filter(|it| is_of(it.company)).cloned().collect(),
        business_accounts: rows.business_accounts.iter().filter(|it| is_of(it.company)).cloned().collect(),
        phones: rows.phones.iter().filter(|it| accounts.contains(&it.account)).cloned().collect(),
        landlines: rows.landlines.iter().filter(|it| is_of(it.company)).cloned().collect(),
        caller_ids: rows.caller_ids.iter().filter(|it| owner(it.profile)).cloned().collect(),
        changed: Some(companies.iter().map(|id| CompanyId(*id)).collect()),
        ..rows.clone()
    }
}

#[test]
fn what_has_changed_is_built_into_what_was_there() {
    let mut rows = rows();
    rows.companies.push(Company { id: CompanyId(2), country: "GB".to_owned(), ..rows.companies[0].clone() });
    rows.profiles[1].company = CompanyId(2);
    for (id, company) in [(2, CompanyId(1)), (3, CompanyId(2))] {
        let (id, user) = (BusinessAccountId(id), format!("phone{id}"));
        let account = BusinessAccount { id, company, name: user.clone(), profile: None, extension: None };
        rows.business_accounts.push(account);
        rows.phones.push(model::PhoneCredentials { account: id, user, password: Password::new("secret") });
    }
    let (nobody, shape) = (Directory::new(), shape(&[]));
    let old = build(&nobody, &rows, &shape);
    rows.numbers[0].target = NumberTarget::Nobody;
    rows.business_accounts[0].profile = None;
    rows.carriers[0].settings.host = "198.51.100.2".to_owned();
    let new = build(&old, &of(&rows, &[1]), &shape);
    assert_eq!(new, build(&nobody, &rows, &shape));
    assert!(new.profile_of_number("12026843376").is_none() && new.account("architects.sales").is_none());
    let is_kept = |id| Arc::ptr_eq(old.profile(ProfileId(id)).unwrap(), new.profile(ProfileId(id)).unwrap());
    assert!(!is_kept(1) && is_kept(2), "company 2 has not changed");
    assert!(new.profile(ProfileId::of_phone(2)).is_some() && new.account("phone3").is_some());
    rows.profiles.remove(1);
    rows.ip_rules.clear();
    let gone = build(&new, &of(&rows, &[2]), &shape);
    assert_eq!(gone, build(&nobody, &rows, &shape));
    assert!(gone.profile(ProfileId(2)).is_none());
}

#[test]
fn a_password_becomes_hashes_of_the_realm() {
    let mut rows = rows();
    rows.profiles[0].settings.digest = model::DigestAlgorithms::Sha256AndMd5;
    let directory = build(&Directory::new(), &rows, &shape(&[]));
    let profile = directory.profile_of_user("99050000000001").unwrap();
    let Authentication::Registration { ha1_md5, digest, .. } = &profile.authentication else { panic!() };
    assert_eq!(*ha1_md5, ha1(Algorithm::Md5, "99050000000001", "sip.test", "secret"));
    assert_eq!((*digest, profile.country.as_str()), (DigestPolicy::Sha256ThenMd5, "US"));
}

#[test]
fn a_pbx_known_by_address_is_called_at_its_single_address() {
    let directory = build(&Directory::new(), &rows(), &shape(&[]));
    let profile = directory.profile(ProfileId(2)).unwrap();
    let Authentication::Ip { target, .. } = &profile.authentication else { panic!() };
    assert_eq!(*target, Some(("203.0.113.9:5080".parse().unwrap(), Transport::Udp)));
    let peer = |source: &str| directory.peer_at(source.parse().unwrap(), Transport::Udp);
    assert_eq!(peer("203.0.113.3:9999"), Some(Peer::Profile(ProfileId(2))));
    assert_eq!(peer("198.51.100.1:1024"), Some(Peer::Carrier(CarrierId(1))), "its own address");
    assert_eq!(peer("192.0.2.77:5060"), Some(Peer::Carrier(CarrierId(1))));
    assert_eq!(peer("192.0.3.1:5060"), None);
}

#[test]
fn a_range_alone_can_call_but_not_be_called() {
    let mut rows = rows();
    rows.ip_rules.truncate(1);
    let directory = build(&Directory::new(), &rows, &shape(&[]));
    let caller = directory.peer_at("203.0.113.3:5060".parse().unwrap(), Transport::Udp);
    assert_eq!(caller, Some(Peer::Profile(ProfileId(2))));
    let profile = directory.profile(ProfileId(2)).expect("a profile that can call");
    assert!(matches!(profile.authentication, Authentication::Ip { target: None, .. }));
}

#[test]
fn an_ipv4_address_in_a_range_of_ipv6_is_of_that_range() {
    let mut rows = rows();
    rows.ip_rules[0].rule.network = "::ffff:203.0.113.3/64".parse().unwrap();
    rows.ip_rules[1].rule.network = "::ffff:203.0.113.0/120".parse().unwrap();
    let directory = build(&Directory::new(), &rows, &shape(&[]));
    let peer = |source: &str| directory.peer_at(source.parse().unwrap(), Transport::Udp);
    assert_eq!(peer("[::7]:5060"), Some(Peer::Profile(ProfileId(2))));
    assert_eq!(peer("203.0.113.3:5080"), Some(Peer::Profile(ProfileId(2))));
    assert_eq!(peer("203.0.114.3:5080"), None);
}

#[test]
fn a_certificates_name_is_a_rule_of_its_own() {
    let mut rows = rows();
    let rule = &mut rows.ip_rules[0].rule;
    (rule.network, rule.transport) = ("0.0.0.0/0".parse().unwrap(), model::Transport::Tls);
    rule.certificate = Some("pbx.example.com".to_owned());
    rows.ip_rules.truncate(1);
    let directory = build(&Directory::new(), &rows, &shape(&[]));
    let from = "203.0.113.3:40000".parse().unwrap();
    let shown = |name| directory.peer_certified(from, &CertificateNames::new([name]));
    assert_eq!(shown("pbx.example.com"), Some(Peer::Profile(ProfileId(2))));
    assert_eq!(shown("other.example.com"), None);
    assert_eq!(directory.peer_at(from, Transport::Tls), None, "without a certificate it is a stranger");
}

#[test]
fn a_profile_without_a_password_is_left_out() {
    let mut rows = rows();
    rows.credentials.clear();
    let directory = build(&Directory::new(), &rows, &shape(&[]));
    assert!(directory.profile(ProfileId(1)).is_none(), "an empty password would let everybody in");
}

#[test]
fn a_landline_is_shown_only_while_it_and_the_company_are_verified() {
    let mut rows = rows();
    rows.profiles[0].settings.caller_id_by_call = CallerIdByCall::Allowed;
    rows.caller_ids[0].shown = model::CallerId::Landline("+12025550123".to_owned());
    let shown = |rows: &DirectoryRows| {
        let directory = build(&Directory::new(), rows, &shape(&[]));
        let caller_id = directory.profile(ProfileId(1)).unwrap().caller_id.clone();
        (caller_id.default, caller_id.choices.contains("12025550123"))
    };
    assert_eq!(shown(&rows), (None, false));
    rows.companies[0].is_verified = true;
    let (company, number) = (rows.companies[0].id, "+12025550123".to_owned());
    rows.landlines.push(model::Landline { company, number, verification: None });
    assert_eq!(shown(&rows), (None, false), "nobody has made sure that it is theirs");
    let at = model::Timestamp(0);
    rows.landlines[0].verification = Some(model::Verification { by: "Ada".to_owned(), at });
    assert_eq!(shown(&rows), (Some("12025550123".to_owned()), true));
}

#[test]
fn a_profile_that_shows_no_number_is_identified_by_one_of_its_own() {
    let mut rows = rows();
    let identity = |rows: &DirectoryRows| {
        let directory = build(&Directory::new(), rows, &shape(&[]));
        let caller_id = directory.profile(ProfileId(1)).unwrap().caller_id.clone();
        (caller_id.default, caller_id.identity)
    };
    let number = || Some("12026843376".to_owned());
    assert_eq!(identity(&rows), (number(), number()));
    rows.caller_ids.clear();
    assert_eq!(identity(&rows), (None, number()));
    rows.numbers.clear();
    assert_eq!(identity(&rows), (None, None));
}

#[test]
fn only_numbers_of_the_countries_configured_are_shown() {
    let all = build(&Directory::new(), &rows(), &shape(&[]));
    let shown = &all.profile(ProfileId(1)).unwrap().caller_id;
    assert_eq!(shown.default.as_deref(), Some("12026843376"));
    assert_eq!(shown.by_country.get("GB").map(String::as_str), Some("442079460123"));
    let few = build(&Directory::new(), &rows(), &shape(&["US"]));
    assert!(few.profile(ProfileId(1)).unwrap().caller_id.by_country.is_empty());
}
