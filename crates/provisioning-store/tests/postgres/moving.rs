//! Moving from SQLite to PostgreSQL.

use provisioning_store::error::StoreError;
use provisioning_store::model::NewCompany;
use provisioning_store::moving::copy_to_postgres;
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{NewProfile, PostgresUrl, Store, StoreOptions};

use crate::server::Fresh;
use crate::world::*;

fn url(database: &Fresh) -> PostgresUrl {
    PostgresUrl::new(database.url()).unwrap()
}

/// A company, a profile with credit, calls that are over and one that goes on.
async fn furnish(store: &Store) {
    let new = NewCompany { name: "Ärchitects".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap().id;
    store.top_up(start(), company, provisioning_store::money::Micros(90_000_000), "cheque").await.unwrap();
    let order = provisioning_store::lifecycle::Order { channels: 4, bundles: 1 };
    let order = Some((order, provisioning_store::lifecycle::PriceList::default()));
    let new = NewProfile { company, name: "Sales".into(), settings: Default::default(), order };
    let (profile, _) = store.create_profile(start(), new).await.unwrap();
    assert_eq!(profile.id, PROFILE);
    store.allocate(start(), PROFILE, provisioning_store::money::Micros(1_000_000)).await.unwrap();
    store.add_number(company, "+12026843376", "US").await.unwrap();
    store.add_landline(start(), company, "+12025550100", Some("Ada")).await.unwrap();
    for n in 0..5 {
        store.apply_one(start(), reserve(&n.to_string(), Some(MICRO_A_SECOND))).await.unwrap();
        if n > 0 {
            store.apply_one(start(), settle(&n.to_string(), Some(MICRO_A_SECOND), 40)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn all_that_there_was_is_there_afterwards() {
    let (home, database) = (Home::on_file(), Fresh::new());
    let before = home.open().await;
    furnish(&before).await;
    let moved = copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap();
    assert_eq!((moved.rows["companies"], moved.rows["cdrs"], moved.rows["reservations"]), (1, 4, 1));
    assert!(moved.accounts >= 7, "{moved:?}");

    let after = Store::open(StoreOptions { location: on_server(&database), ..home.options() }).await.unwrap();
    assert_eq!(after.balances().await.unwrap(), before.balances().await.unwrap());
    assert_eq!(after.verify().await.unwrap(), []);
    let (was, is) = (before.load_directory().await.unwrap(), after.load_directory().await.unwrap());
    assert_eq!(format!("{is:?}"), format!("{was:?}"));
    let password =
        |store: Store| async move { store.credentials(PROFILE).await.unwrap().password.reveal().to_owned() };
    assert_eq!(password(after.clone()).await, password(before.clone()).await);
    let cdrs = |store: Store| async move { store.latest_cdrs(&Default::default(), 100).await.unwrap() };
    assert_eq!(cdrs(after.clone()).await, cdrs(before).await);

    // Life goes on: new things get identities of their own, and the call that was going on ends.
    after.apply_one(start(), settle("0", Some(MICRO_A_SECOND), 40)).await.unwrap();
    let new = NewCompany { name: "Second".into(), country: "GB".into(), currency: "GBP".into() };
    assert_eq!(after.create_company(start(), &new).await.unwrap().id.0, 2);
    assert_eq!(after.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_database_in_use_is_not_written_over() {
    let (home, database) = (Home::on_file(), Fresh::new());
    furnish(&home.open().await).await;
    let options = StoreOptions { location: on_server(&database), ..home.options() };
    // Opened once, with another key, and nothing put into it: that is empty enough.
    let opened = Store::open(StoreOptions { key: SecretKey::new([9; 32]), ..options.clone() }).await.unwrap();
    opened.close().await;
    copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap();
    let refused = copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Invalid { problem, .. } if problem.contains("companies")),
        "{refused}"
    );
    let refused = copy_to_postgres(&home.file("other.db"), &url(&database)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
}
