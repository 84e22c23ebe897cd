//! Addresses that prove profiles: what counts at once, what waits, and for what.

use provisioning_store::error::StoreError;
use provisioning_store::model::*;
use provisioning_store::registrations::{Proof, Registration};

use crate::world::*;

fn plain(network: &str) -> NewIpRule {
    NewIpRule::new(network.parse().unwrap(), Transport::Udp)
}

/// A rule that asks for a certificate.
fn certified(network: &str, name: &str) -> NewIpRule {
    NewIpRule { certificate: Some(name.into()), ..NewIpRule::new(network.parse().unwrap(), Transport::Tls) }
}

fn proof(profile: ProfileId, address: &str, at: Timestamp) -> Proof {
    Proof { profile, address: address.parse().unwrap(), transport: Transport::Udp, at }
}

/// A PBX that is registered from there.
fn binding(profile: ProfileId, source: &str) -> Registration {
    Registration {
        path: vec!["<sip:edge.example;lr>".into(), "\"P, 2\" <sip:p2.example;lr>".into()],
        profile,
        contact: "<sip:99050000000001@192.0.2.1:5060>".into(),
        source: source.into(),
        local: "0.0.0.0:5060".into(),
        transport: Transport::Udp,
        user_agent: String::new(),
        call_id: "reg@pbx".into(),
        cseq: 1,
        media: Srtp::Auto,
        registered_at: start(),
        expires_at: start().plus_s(3_600),
    }
}

#[tokio::test]
async fn a_certificate_is_named_as_it_is_compared_and_over_tls_alone() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let sales = profile(&store, company, "Sales").await;
    store.add_ip_rule(sales, &certified("0.0.0.0/0", "PBX.Example.com")).await.unwrap();
    assert_eq!(store.ip_rules_of(sales).await.unwrap()[0].rule, certified("0.0.0.0/0", "pbx.example.com"));
    let over_udp = NewIpRule { transport: Transport::Udp, ..certified("192.0.2.1/32", "pbx.example.com") };
    for wrong in [certified("192.0.2.1/32", "*.example.com"), over_udp] {
        for refused in [
            store.add_ip_rule(sales, &wrong).await.unwrap_err(),
            store.claim_ip_rule(start(), sales, &wrong).await.unwrap_err(),
        ] {
            assert!(matches!(refused, StoreError::Invalid { field: "certificate", .. }), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_certificate_takes_nobody_elses_peers() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let own = profile(&store, company, "Sales").await;
    let other = profile(&store, company, "Site").await;
    let roaming = certified("0.0.0.0/0", "pbx.builders.example");
    let refused = store.claim_ip_rule(start(), other, &roaming).await;
    assert!(refused.is_err(), "whose name it is an operator knows");
    store.add_ip_rule(other, &roaming).await.unwrap();
    for taken in [
        certified("198.51.100.1/32", "pbx.builders.example"),
        certified("198.51.100.1/32", "PBX.builders.example"),
    ] {
        let refused = store.claim_ip_rule(start(), own, &taken).await.unwrap_err();
        assert!(matches!(refused, StoreError::Taken { .. }), "{taken:?}: {refused}");
    }
    let free = certified("198.51.100.1/32", "pbx.architects.example");
    let claimed = store.claim_ip_rule(start(), own, &free).await.unwrap();
    assert_eq!(claimed.state, ClaimState::Confirmed, "a certificate from anywhere takes no ground");
    store.add_ip_rule(own, &roaming).await.expect("an operator knows what it does");
}

#[tokio::test]
async fn a_claim_counts_at_once_only_where_an_address_is_known_as_nobody_elses() {
    let home = Home::new();
    let store = home.open().await;
    let (own, other) = (company(&store, "Architects").await, company(&store, "Builders").await);
    let (sales, site) = (profile(&store, own, "Sales").await, profile(&store, other, "Site").await);
    let colleague = profile(&store, own, "Engineering").await;
    store.create_carrier(NewCarrier::new("upstream", "203.0.113.7")).await.unwrap();
    store.add_ip_rule(site, &plain("192.0.2.16/28")).await.unwrap();
    store
        .save_registrations(&[binding(site, "192.0.2.1:5060"), binding(colleague, "192.0.2.2:5060")])
        .await
        .unwrap();
    store
        .save_proofs(&[
            proof(site, "192.0.2.3", start()),
            proof(site, "2001:db8::1", start()),
            proof(colleague, "192.0.2.4", start()),
        ])
        .await
        .unwrap();
    let claim = async |profile, rule: NewIpRule, at| {
        store
            .claim_ip_rule(at, profile, &rule)
            .await
            .unwrap_or_else(|refused| panic!("{rule:?}: {refused}"))
            .state
    };
    for (network, state) in [
        ("198.51.100.1/32", ClaimState::Confirmed),
        ("198.51.100.0/31", ClaimState::Pending),
        ("198.51.100.0/24", ClaimState::Pending),
        // A carrier's, another profile's, where another company's PBX is registered or has proved its password.
        ("203.0.113.7/32", ClaimState::Pending),
        ("192.0.2.17/32", ClaimState::Pending),
        ("::ffff:192.0.2.17/128", ClaimState::Pending),
        ("192.0.2.1/32", ClaimState::Pending),
        ("192.0.2.3/32", ClaimState::Pending),
        ("2001:db8::9/128", ClaimState::Pending),
        ("2001:db8:0:1::9/128", ClaimState::Confirmed),
        // Its own.
        ("192.0.2.2/32", ClaimState::Confirmed),
        ("192.0.2.4/32", ClaimState::Confirmed),
    ] {
        assert_eq!(claim(sales, plain(network), start()).await, state, "{network}");
    }
    let named = certified("192.0.2.1/32", "pbx.architects.example");
    assert_eq!(claim(sales, named, start()).await, ClaimState::Pending, "a certificate proves no address");
    // A pending claim of another company makes the next one wait for a proof as well, and none of the own company's.
    assert_eq!(claim(site, plain("198.51.100.77/32"), start()).await, ClaimState::Pending);
    assert_eq!(claim(colleague, plain("198.51.100.78/32"), start()).await, ClaimState::Confirmed);
    let networks = store.ip_rules_of(sales).await.unwrap();
    assert!(
        networks.iter().all(|it| it.rule.network.addr().to_canonical() == it.rule.network.addr()),
        "{networks:?}"
    );
    // A month after the last proof the address may be somebody else's.
    let later = start().plus_s(Proof::REMEMBERED_S);
    assert_eq!(claim(sales, plain("192.0.2.3/32"), later).await, ClaimState::Confirmed);
    for wide in ["0.0.0.0/0", "198.51.0.0/16", "127.0.0.1/32"] {
        let refused = store.claim_ip_rule(start(), sales, &plain(wide)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { field: "network", .. }), "{wide}: {refused}");
    }
}

#[tokio::test]
async fn a_proof_confirms_the_claim_of_its_address_and_no_range() {
    let home = Home::new();
    let store = home.open().await;
    let (own, other) = (company(&store, "Architects").await, company(&store, "Builders").await);
    let (sales, site) = (profile(&store, own, "Sales").await, profile(&store, other, "Site").await);
    store.save_proofs(&[proof(site, "192.0.2.1", start())]).await.unwrap();
    for network in ["192.0.2.1/32", "192.0.2.0/24"] {
        store.claim_ip_rule(start(), sales, &plain(network)).await.unwrap();
    }
    let states =
        async || store.ip_rules_of(sales).await.unwrap().iter().map(|rule| rule.state).collect::<Vec<_>>();
    let over_tcp = Proof { transport: Transport::Tcp, ..proof(sales, "192.0.2.1", start()) };
    for elsewhere in [proof(sales, "192.0.2.2", start()), proof(site, "192.0.2.1", start()), over_tcp] {
        assert!(!store.save_proofs(&[elsewhere]).await.unwrap());
    }
    assert_eq!(states().await, [ClaimState::Pending; 2]);
    let revision = store.revision().await.unwrap();
    assert!(store.save_proofs(&[proof(sales, "192.0.2.1", start())]).await.unwrap());
    assert_eq!(states().await, [ClaimState::Confirmed, ClaimState::Pending]);
    assert_eq!(store.revision().await.unwrap(), revision + 1);
}

#[tokio::test]
async fn proofs_outlive_the_store_for_a_month_and_the_latest_of_each_profile() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let sales = profile(&store, company, "Sales").await;
    let nth = |n: i64| proof(sales, &format!("192.0.2.{n}"), start().plus_s(n));
    for n in 1..=12 {
        store.save_proofs(&[nth(n)]).await.unwrap();
    }
    store.save_proofs(&[proof(sales, "192.0.2.12", start().plus_s(20))]).await.unwrap();
    store.close().await;
    let store = home.open().await;
    let kept = store.load_proofs(start().plus_s(30)).await.unwrap();
    let mut expected: Vec<_> = (5..12).map(nth).collect();
    expected.push(proof(sales, "192.0.2.12", start().plus_s(20)));
    assert_eq!(kept, expected, "the latest eight, the oldest first");
    let later = start().plus_s(Proof::REMEMBERED_S + 12);
    assert_eq!(store.load_proofs(later).await.unwrap(), expected[7..]);
    store.delete_profile(start(), sales).await.unwrap();
    assert_eq!(store.load_proofs(start()).await.unwrap(), []);
}

#[tokio::test]
async fn proofs_saved_together_leave_each_profile_its_own_latest() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let (sales, site) = (profile(&store, company, "Sales").await, profile(&store, company, "Site").await);
    let nth = |profile, n: i64| proof(profile, &format!("192.0.2.{n}"), start().plus_s(n));
    let of_sales = (1..=12).map(|n| nth(sales, n));
    let round: Vec<_> = of_sales.chain([nth(site, 1), nth(site, 2)]).collect();
    store.save_proofs(&round).await.unwrap();
    let mut kept = store.load_proofs(start().plus_s(30)).await.unwrap();
    kept.sort_by_key(|proof| (proof.profile, proof.at));
    let expected: Vec<_> = (5..=12).map(|n| nth(sales, n)).chain([nth(site, 1), nth(site, 2)]).collect();
    assert_eq!(kept, expected);
}
