//! Administrators, verification, and business accounts that sign in by themselves.

use provisioning_store::error::StoreError;
use provisioning_store::model::*;
use provisioning_store::store::{NewProfile, Store};

use crate::world::*;

async fn company(store: &Store) -> CompanyId {
    let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
    store.create_company(start(), &new).await.unwrap().id
}

#[tokio::test]
async fn who_has_verified_a_company_is_known_and_when() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store).await;
    store.verify_company(start(), company, "Claude Morel").await.unwrap();
    let verified = store.company(company).await.unwrap();
    assert!(verified.is_verified);
    assert_eq!(verified.verification, Some(Verification { by: "Claude Morel".into(), at: start() }));
    store.unverify_company(company).await.unwrap();
    let undone = store.company(company).await.unwrap();
    assert_eq!((undone.is_verified, undone.verification), (false, None));
    assert!(store.verify_company(start(), company, " ").await.is_err(), "somebody must have done it");
}

#[tokio::test]
async fn the_account_of_an_administrator_is_known_before_it_is_attached() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store).await;
    let account = store.create_business_account(company, "claude.morel", None).await.unwrap().id;
    let new = Administrator {
        company,
        email: " Claude@Example.com ".into(),
        name: "Claude Morel".into(),
        account: Some(account),
    };
    let claude = store.set_administrator(new.clone()).await.unwrap();
    assert_eq!(claude.email, "claude@example.com");
    let users = store.administrators_of_account(account).await.unwrap();
    assert_eq!(users, std::slice::from_ref(&claude));
    let renamed = Administrator { name: "C. Morel".into(), account: None, ..claude };
    store.set_administrator(renamed.clone()).await.unwrap();
    assert_eq!(store.administrators(company).await.unwrap(), [renamed]);
    assert_eq!(store.administrators_of_account(account).await.unwrap(), []);
    for email in ["", "claude", "a@b@c.d", "claude @example.com"] {
        assert!(store.set_administrator(Administrator { email: email.into(), ..new.clone() }).await.is_err());
    }
    store.remove_administrator(company, "claude@example.com").await.unwrap();
    assert_eq!(store.administrators(company).await.unwrap(), []);
}

#[tokio::test]
async fn an_account_signs_in_only_while_no_profile_has_it() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store).await;
    let new = NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order: None };
    let sales = store.create_profile(start(), new).await.unwrap().0.id;
    let account = store.create_business_account(company, "vanessa", None).await.unwrap().id;
    assert!(matches!(store.account_credentials(account).await, Err(StoreError::NotFound { .. })));
    let (name, password) = store.new_account_password(account).await.unwrap();
    assert_eq!(name, "vanessa");
    assert_eq!(store.account_credentials(account).await.unwrap().1, password);
    store.attach_business_account(account, sales, None).await.unwrap();
    let refused = store.account_credentials(account).await.unwrap_err().to_string();
    assert_eq!(refused, "the business account vanessa belongs to the profile Sales; remove it there first");
    assert!(matches!(store.new_account_password(account).await, Err(StoreError::AccountInUse { .. })));
    store.detach_business_account(account).await.unwrap();
    assert_eq!(store.account_credentials(account).await.unwrap().1, password, "an ordinary account again");
}
