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
        suspended: None,
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
    let mut rebuilt = whole.without(&one);
    assert_eq!(rebuilt.peer_of_user("us"), Some(Peer::Profile(ProfileId::of_phone(2))), "no carrier has it");
    furnish(&mut rebuilt, 1);
    furnish_carrier(&mut rebuilt);
    assert_eq!(rebuilt, whole);
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
        suspended: None,
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

#[test]
fn only_profiles_with_a_pending_claim_are_looked_at_for_one() {
    let claimed = |standing| {
        let cidr = "198.51.100.0/24".parse().unwrap();
        let rule = IpRule { cidr, port: None, transport: None, certificate: None };
        let claims = Claims { rules: vec![(rule, standing)], password: None };
        let authentication = Authentication::Ip { target: None, claims };
        Profile { authentication, ..profile(ProfileId(1), 1, "99050000000001") }
    };
    let mut directory = with_companies(&[1, 2, 3]);
    let first = ProfileId(i64::MIN);
    assert_eq!(directory.first_claimant(first), None);
    directory.add_profile(claimed(Standing::Waits));
    assert_eq!(directory.first_claimant(first), Some(ProfileId(1)));
    assert_eq!(directory.first_claimant(ProfileId(2)), None);
    directory.add_profile(claimed(Standing::InForce));
    assert!(directory.claimants.is_empty());
}
