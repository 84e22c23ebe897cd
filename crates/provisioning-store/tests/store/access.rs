//! Tokens, the audit trail, and requests that are done once.

use provisioning_store::answers::Once;
use provisioning_store::audit::{AuditFilter, Deed};
use provisioning_store::error::StoreError;
use provisioning_store::model::{CompanyId, NewCompany, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::pages::{CompanyFilter, Slice};
use provisioning_store::store::Store;
use provisioning_store::tokens::{NewToken, Role};

use crate::world::Home;

/// When it all happens.
const T0: Timestamp = Timestamp::from_unix_s(1_308_009_600);
const ALL: Slice = Slice { after: None, most: 100 };

fn deed(company: Option<CompanyId>, once: Option<Once>) -> Deed {
    Deed {
        at: T0,
        actor: "token 1 (console)".into(),
        origin: "192.0.2.1".into(),
        company,
        action: "POST /api/v1/companies/1/top-ups".into(),
        detail: "{\"amount\":\"5.00\"}".into(),
        once,
    }
}

async fn company(store: &Store, name: &str) -> CompanyId {
    let new = NewCompany { name: name.into(), country: "US".into(), currency: "USD".into() };
    store.create_company(T0, &new).await.unwrap().id
}

#[tokio::test]
async fn a_token_opens_until_it_is_revoked_and_its_secret_is_not_kept() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let new = |role, expires_at| NewToken { name: "console".into(), role, expires_at };
    let (operator, secret) = store.create_token(T0, new(Role::Operator, None)).await.unwrap();
    let tomorrow = Some(T0.plus_days(1));
    let role = Role::Administrator(company);
    let (administrator, other) = store.create_token(T0, new(role, tomorrow)).await.unwrap();
    assert_eq!(store.token_of(T0, secret.reveal()).await.unwrap(), Some(operator.clone()));
    assert_eq!(store.token_of(T0, other.reveal()).await.unwrap().unwrap().role, role);
    assert_eq!(store.token_of(T0.plus_days(1), other.reveal()).await.unwrap(), None, "its day is over");
    assert_eq!(store.token_of(T0, "sipgw_guess").await.unwrap(), None);
    assert_eq!(store.tokens(Some(company), ALL).await.unwrap(), [administrator]);

    assert_eq!(store.revoke_token(T0, operator.id).await.unwrap().revoked_at, Some(T0));
    assert_eq!(store.token_of(T0, secret.reveal()).await.unwrap(), None);
    assert!(matches!(store.revoke_token(T0, operator.id).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.tokens(None, ALL).await.unwrap().len(), 2, "it stays in the list");
    store.close().await;
    let on_disk = home.everything();
    for secret in [secret.reveal(), other.reveal()] {
        assert!(!on_disk.windows(secret.len()).any(|octets| octets == secret.as_bytes()));
    }
}

#[tokio::test]
async fn every_role_is_kept_as_it_was_made() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let roles = [
        Role::Operator,
        Role::OperatorReadOnly,
        Role::Administrator(company),
        Role::AdministratorReadOnly(company),
        Role::Billing(Some(company)),
        Role::Billing(None),
    ];
    for role in roles {
        let new = NewToken { name: "console".into(), role, expires_at: Some(T0.plus_days(1)) };
        let (_, secret) = store.create_token(T0, new).await.unwrap();
        assert_eq!(store.token_of(T0, secret.reveal()).await.unwrap().unwrap().role, role);
    }
    assert_eq!(store.endless_tokens().await.unwrap(), 0);
    for role in [Role::Operator, Role::Billing(Some(company))] {
        store.create_token(T0, NewToken { name: "x".into(), role, expires_at: None }).await.unwrap();
    }
    assert_eq!(store.endless_tokens().await.unwrap(), 2, "an operator's token counts as well");
    assert!(store.is_first_time(T0, "it").await.unwrap() && store.is_first_time(T0, "more").await.unwrap());
    assert!(!store.is_first_time(T0, "it").await.unwrap());
}

#[tokio::test]
async fn a_token_is_for_a_company_that_there_is() {
    let home = Home::new();
    let store = home.open().await;
    let new = NewToken { name: "x".into(), role: Role::Administrator(CompanyId(7)), expires_at: None };
    assert!(matches!(store.create_token(T0, new).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn every_change_in_somebodys_name_is_on_the_trail_and_no_refused_one() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let trail = AuditFilter::default();
    assert_eq!(store.audit(&trail, None, 10).await.unwrap(), [], "nobody's name, no entry");

    let store = store.on_behalf(deed(Some(company), None));
    store.top_up(T0, company, Micros::from_units(5), "").await.unwrap();
    store.top_up(T0, CompanyId(99), Micros::from_units(5), "").await.unwrap_err();
    store.top_up(T0, company, Micros::ZERO, "").await.unwrap_err();
    store.remove_landline(company, "+12025550100").await.unwrap_err();
    let entries = store.audit(&trail, None, 10).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((entries[0].actor.as_str(), entries[0].company), ("token 1 (console)", Some(company)));

    store.add_landline(T0, company, "+12025550100", None).await.unwrap();
    let newest = store.audit(&trail, None, 1).await.unwrap();
    assert_eq!(store.audit(&trail, Some(newest[0].id), 10).await.unwrap(), entries, "newest first");
    for (filter, found) in [
        (AuditFilter { company: Some(CompanyId(2)), ..trail.clone() }, 0),
        (AuditFilter { actor: Some("token 1 (console)".into()), ..trail.clone() }, 2),
        (AuditFilter { since: Some(T0), before: Some(T0.plus_s(1)), ..trail.clone() }, 2),
        (AuditFilter { before: Some(T0), ..trail.clone() }, 0),
    ] {
        assert_eq!(store.audit(&filter, None, 10).await.unwrap().len(), found, "{filter:?}");
    }
}

#[tokio::test]
async fn a_named_request_is_done_once_within_a_day() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, "Architects").await;
    let once = Once { owner: "token 1".into(), key: "k".into(), fingerprint: "f".into() };
    let named = store.on_behalf(deed(Some(company), Some(once.clone())));

    // Refused: the name is free for another try.
    named.top_up(T0, company, Micros::ZERO, "").await.unwrap_err();
    assert_eq!(store.kept_answer("token 1", "k", T0).await.unwrap(), None);

    named.top_up(T0, company, Micros::from_units(5), "").await.unwrap();
    let again = named.top_up(T0, company, Micros::from_units(5), "").await;
    assert!(matches!(again, Err(StoreError::AskedTwice)), "{again:?}");
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_units(5));
    assert_eq!(store.kept_answer("token 1", "k", T0).await.unwrap().unwrap().answer, None);

    store.keep_answer(&once, 201, "{}").await.unwrap();
    let kept = store.kept_answer("token 1", "k", T0).await.unwrap().unwrap();
    assert_eq!((kept.fingerprint.as_str(), kept.answer), ("f", Some((201, "{}".to_owned()))));
    assert_eq!(store.kept_answer("token 2", "k", T0).await.unwrap(), None, "another's name");

    let later = T0.plus_days(1).plus_s(1);
    assert_eq!(store.kept_answer("token 1", "k", later).await.unwrap(), None, "a day is over");
    let tomorrow = Deed { at: later, ..deed(Some(company), Some(once)) };
    store.on_behalf(tomorrow).top_up(later, company, Micros::from_units(5), "").await.unwrap();
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_units(10));
}

#[tokio::test]
async fn a_list_is_read_in_parts_and_by_conditions() {
    let home = Home::new();
    let store = home.open().await;
    for name in ["Ärzte", "Builders 100%", "Carpenters", "builders 1000"] {
        company(&store, name).await;
    }
    let mut seen = Vec::new();
    let mut slice = Slice { after: None, most: 3 };
    loop {
        let part = store.companies_in(&CompanyFilter::default(), slice).await.unwrap();
        let Some(last) = part.last() else { break };
        slice.after = Some(last.id.0);
        seen.extend(part.into_iter().map(|company| company.id.0));
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    for (part, found) in [("BUILD", 2), ("100%", 1), ("_", 0), ("", 4)] {
        let filter = CompanyFilter { name: Some(part.into()), ..CompanyFilter::default() };
        assert_eq!(store.companies_in(&filter, ALL).await.unwrap().len(), found, "{part}");
    }
}
