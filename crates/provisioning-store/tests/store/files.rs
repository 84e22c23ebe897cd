//! What becomes of a database that is a file, when the file is not whole.

use provisioning_store::error::StoreError;
use provisioning_store::store::{Location, Store, StoreOptions};

use crate::world::*;

#[tokio::test]
async fn a_file_that_is_no_database_says_so() {
    let home = Home::on_file();
    let path = home.file("sipgw.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    let refused = Store::open(home.options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Database { .. }), "{refused}");
    let options = StoreOptions { location: Location::File("/nowhere/at/all.db".into()), ..home.options() };
    assert!(Store::open(options).await.is_err());
}

#[tokio::test]
async fn a_torn_log_loses_nothing_that_was_on_the_disk() {
    let home = Home::on_file();
    let store = home.open().await;
    open_books(&store, 9, 1_000).await;
    let (database, log) = (home.file("sipgw.db"), home.file("sipgw.db-wal"));
    // What is on the disk when each operation is acknowledged.
    let mut acknowledged = Vec::new();
    for n in 0..6 {
        store.apply_one(start(), reserve(&n.to_string(), Some(MICRO_A_SECOND))).await.unwrap();
        acknowledged.push(std::fs::metadata(&log).unwrap().len());
        if n % 2 == 0 {
            store.apply_one(start(), settle(&n.to_string(), Some(MICRO_A_SECOND), 40)).await.unwrap();
        }
    }
    let (pages, whole) = (std::fs::read(&database).unwrap(), std::fs::read(&log).unwrap());
    // A crash leaves the log cut anywhere, but not before what was synced; or its last octets are not what was written.
    let first = acknowledged[0] as usize;
    let step = (whole.len() - first) / 150 + 1;
    for (round, length) in
        (first..=whole.len()).step_by(step).chain(acknowledged.iter().map(|l| *l as usize)).enumerate()
    {
        let torn = Home::on_file();
        std::fs::write(torn.file("sipgw.db"), &pages).unwrap();
        let mut log = whole[..length].to_vec();
        if round % 2 == 1 {
            log.extend([0x5a; 3_000]);
        }
        std::fs::write(torn.file("sipgw.db-wal"), log).unwrap();
        let store = torn.open().await;
        for (n, end) in acknowledged.iter().enumerate().filter(|(_, end)| **end as usize <= length) {
            let name = call(&n.to_string());
            let is_live = store.live_calls().await.unwrap().iter().any(|live| live.call == name);
            let is_known = is_live || store.cdr(&name).await.unwrap().is_some();
            assert!(is_known, "call {n}, on the disk at {end}, is gone at {length}");
        }
        store.settle_orphans(start()).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), [], "cut at {length}");
        store.close().await;
    }
}
