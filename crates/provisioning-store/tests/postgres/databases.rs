//! What PostgreSQL sees to by itself, and what is different there.

use std::collections::BTreeSet;
use std::time::Duration;

use provisioning_store::error::StoreError;
use provisioning_store::ledger::{Account, LedgerOp};
use provisioning_store::money::Micros;
use provisioning_store::store::{Claim, Location, PostgresUrl, Store, StoreOptions};

use crate::server::Fresh;
use crate::world::*;

fn options(database: &Fresh) -> StoreOptions {
    StoreOptions { location: on_server(database), ..Home::on_file().options() }
}

#[tokio::test]
async fn the_database_itself_holds_the_ledgers_rules() {
    let database = Fresh::new();
    Store::open(options(&database)).await.unwrap().close().await;
    for statement in [
        "INSERT INTO transfers VALUES (1, 0, 'top_up', 'external', 'company:1', 5, NULL, '', NULL)",
        "INSERT INTO accounts VALUES ('company:1', 1, 5, 5)",
        "INSERT INTO audit VALUES (1, 0, 'token 1', '192.0.2.1', 1, 'POST /', '')",
    ] {
        database.by_hand(statement).unwrap();
    }
    for (statement, refusal) in [
        ("UPDATE transfers SET amount = 6", "never changed"),
        ("DELETE FROM transfers", "never deleted"),
        ("UPDATE audit SET actor = 'nobody'", "never changed"),
        ("DELETE FROM audit", "never deleted"),
        (
            "INSERT INTO transfers VALUES (2, 0, 'top_up', 'external', 'company:1', 0, NULL, '', NULL)",
            "check",
        ),
        ("UPDATE accounts SET balance = -1 WHERE name = 'company:1'", "check"),
        ("UPDATE accounts SET balance = 4 WHERE name = 'company:1'", "check"),
    ] {
        let error = database.by_hand(statement).unwrap_err();
        assert!(error.contains(refusal), "{statement}: {error}");
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| -> BTreeSet<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let files = std::fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[tokio::test]
async fn one_gateway_of_a_name_owns_a_database_and_commands_open_it_all_the_same() {
    let database = Fresh::new();
    let owner = |name: &str| StoreOptions { claim: Claim::Owner, owner: name.into(), ..options(&database) };
    let first = Store::open(owner("gateway")).await.unwrap();
    let refused = Store::open(owner("gateway")).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Owned { .. }), "{refused}");
    Store::open(owner("another")).await.unwrap().close().await;
    Store::open(options(&database)).await.unwrap().close().await;
    first.close().await;
    for _ in 0..1_000 {
        // The server notices that the connection has ended in its own time.
        match Store::open(owner("gateway")).await {
            Ok(store) => return store.close().await,
            Err(error) => assert!(matches!(error, StoreError::Owned { .. }), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody can own it any more");
}

#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_made_anew() {
    let database = Fresh::new();
    let store = Store::open(options(&database)).await.unwrap();
    open_books(&store, 9, 1_000_000).await;
    store.apply_one(start(), reserve("a", Some(MICRO_A_SECOND))).await.unwrap();
    let ended = database.by_hand(
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE application_name = current_schema()",
    );
    assert_ne!(ended.unwrap().trim(), "0", "there are connections to end");
    // One operation may find the connection gone in its middle; the next one does not.
    let _lost = store.apply_one(start(), settle("a", Some(MICRO_A_SECOND), 40)).await;
    store.apply_one(start(), reserve("b", Some(MICRO_A_SECOND))).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn two_writers_take_turns_and_neither_works_with_what_the_other_has_changed() {
    let database = Fresh::new();
    let (one, other) =
        (Store::open(options(&database)).await.unwrap(), Store::open(options(&database)).await.unwrap());
    open_books(&one, 9, 1_000_000).await;
    let work = |store: Store| async move {
        for _ in 0..50 {
            let amount = Some(Micros(1_000));
            store.apply_one(start(), LedgerOp::TakeBack { profile: PROFILE, amount }).await.unwrap();
        }
    };
    tokio::join!(work(one.clone()), work(other));
    assert_eq!(one.balances().await.unwrap()[&Account::Profile(PROFILE)].balance, 900_000);
    assert_eq!(one.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_hold_stops_nothing() {
    let database = Fresh::new();
    let store = Store::open(options(&database)).await.unwrap();
    open_books(&store, 9, 1_000_000).await;
    store.apply_one(start(), reserve("a", Some(MICRO_A_SECOND))).await.unwrap();
    let mut record = record(Some(MICRO_A_SECOND), Some(40));
    record.ending.user_agent = "PBX\0\\u0000".into();
    let op = LedgerOp::Settle { call: call("a"), record: Box::new(record) };
    store.apply_one(start(), op).await.unwrap();
    let kept = store.cdr(&call("a")).await.unwrap().unwrap();
    assert_eq!(kept.record.ending.user_agent, "PBX\u{fffd}\\u0000");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of_and_no_password_is() {
    let url = PostgresUrl::new("postgres://sipgw:hunter2@127.0.0.1:1/sipgw").unwrap();
    let location = Location::Postgres(url);
    let shown = format!("{location:?}");
    let options = StoreOptions { location, ..Home::on_file().options() };
    let refused = Store::open(options).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Database { .. }), "{refused}");
    assert!(!format!("{shown} {refused} {refused:?}").contains("hunter2"));
    assert_eq!(PostgresUrl::new("/var/lib/sipgw/sipgw.db"), None);
}
