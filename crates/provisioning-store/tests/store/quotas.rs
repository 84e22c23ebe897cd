//! What a company may create by itself.

use provisioning_store::error::StoreError;
use provisioning_store::lifecycle::NumberOffer;
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::quotas::Quotas;
use provisioning_store::store::{NewProfile, Store};
use provisioning_store::tokens::{NewToken, Role};

use crate::world::*;

/// Two of each.
const TWO: Quotas = Quotas {
    profiles: 2,
    addresses_per_profile: 2,
    numbers: 2,
    business_accounts: 2,
    administrators: 2,
    landlines: 2,
    tokens: 2,
    pending_payments: 2,
};

fn new_profile(company: CompanyId) -> NewProfile {
    NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order: None }
}

/// Creates the n-th of each kind; what was refused for its number.
async fn create(store: &Store, company: CompanyId, profile: ProfileId, n: u32) -> Vec<&'static str> {
    let token = NewToken { name: "console".into(), role: Role::Administrator(company), expires_at: None };
    let administrator =
        Administrator { company, email: format!("a{n}@example.com"), name: "Ada".into(), account: None };
    let rule = NewIpRule::new(format!("192.0.2.{n}/32").parse().unwrap(), Transport::Udp);
    let done = [
        ("profiles", store.create_profile(start(), new_profile(company)).await.map(drop)),
        ("addresses", store.claim_ip_rule(start(), profile, &rule).await.map(drop)),
        ("numbers", store.buy_number(start(), company, &format!("+1202684330{n}")).await.map(drop)),
        ("accounts", store.create_business_account(company, &format!("sales{n}"), None).await.map(drop)),
        ("administrators", store.set_administrator(administrator).await.map(drop)),
        (
            "landlines",
            store.add_landline(start(), company, &format!("+120255501{n:02}"), None).await.map(drop),
        ),
        ("tokens", store.create_token(start(), token).await.map(drop)),
        ("payments", store.request_payment(start(), company, Micros::from_units(1)).await.map(drop)),
    ];
    let mut refused = Vec::new();
    for (what, outcome) in done {
        match outcome {
            Ok(()) => {}
            Err(StoreError::QuotaReached { most: 2, .. }) => refused.push(what),
            Err(other) => panic!("{what}: {other}"),
        }
    }
    refused
}

#[tokio::test]
async fn a_company_creates_so_many_of_each_kind_and_an_operator_more() {
    let home = Home::new();
    let store = home.open().await;
    let (own, other) = (company(&store, "Architects").await, company(&store, "Builders").await);
    store.top_up(start(), own, Micros::from_units(100), "").await.unwrap();
    let sales = profile(&store, own, "Sales").await;
    for n in 0..9 {
        let number = format!("+1202684330{n}");
        let offer = NumberOffer { number, fee: Micros::from_units(1), term_days: 30 };
        store.stock_number(StockNumber { country: "US".into(), offer }).await.unwrap();
    }
    let limited = store.within(TWO);
    // One profile is there already.
    assert_eq!(create(&limited, own, sales, 1).await, [] as [&str; 0]);
    assert_eq!(create(&limited, own, sales, 2).await, ["profiles"]);
    let all =
        ["profiles", "addresses", "numbers", "accounts", "administrators", "landlines", "tokens", "payments"];
    assert_eq!(create(&limited, own, sales, 3).await, all);
    assert_eq!(create(&store, own, sales, 4).await, [] as [&str; 0], "an operator");
    // Another company's do not count, and what is there may be changed.
    limited.create_profile(start(), new_profile(other)).await.unwrap();
    let again =
        Administrator { company: own, email: "a1@example.com".into(), name: "Eve".into(), account: None };
    let two = store.within(Quotas { administrators: 3, landlines: 3, ..TWO });
    two.set_administrator(again).await.unwrap();
    two.add_landline(start(), own, "+12025550101", None).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_deleted_or_ended_counts_for_a_month() {
    let home = Home::new();
    let store = home.open().await;
    let own = company(&store, "Architects").await;
    let limited = store.within(TWO);
    for _ in 0..2 {
        let (profile, _) = limited.create_profile(start(), new_profile(own)).await.unwrap();
        limited.delete_profile(start(), profile.id).await.unwrap();
        let token = NewToken { name: "console".into(), role: Role::Administrator(own), expires_at: None };
        let (token, _) = limited.create_token(start(), token).await.unwrap();
        limited.revoke_token(start(), token.id).await.unwrap();
    }
    let refused = limited.create_profile(start(), new_profile(own)).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "there are 2 profiles (those deleted within the last month count too), as many as a company may have by itself; \
         remove some, or ask an operator"
    );
    let month = start().plus_days(30);
    limited.create_profile(month, new_profile(own)).await.unwrap();
    let token = NewToken { name: "console".into(), role: Role::Administrator(own), expires_at: None };
    limited.create_token(month, token).await.unwrap();
}
