//! Moves a store from SQLite to PostgreSQL.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::StoreError;
use crate::ledger::Imbalance;
use crate::sql::{self, Database};
use crate::store::{Durability, Location, PostgresUrl};

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Rows of each table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Accounts whose balances were compared one by one.
    pub accounts: usize,
}

/// Copies all that a SQLite database holds into a PostgreSQL one that holds nothing yet, in one transaction, and compares
/// the books of both. The same key opens the secrets of both. No gateway may run on either of them.
pub async fn copy_to_postgres(from: &Path, to: &PostgresUrl) -> Result<Moved, StoreError> {
    if !from.exists() {
        return Err(StoreError::NotFound { what: "database", name: from.display().to_string() });
    }
    // Nobody else has the file meanwhile, so its tables may be brought up to date.
    let from = Location::File(from.to_owned());
    let from = Database::open(&from, Durability::default(), Some("copy")).await?;
    let to = Database::open(&Location::Postgres(to.clone()), Durability::default(), None).await?;
    sound(&from.imbalances().await?, "sound books to copy")?;
    let moved = sql::copy(&from, &to).await?;
    sound(&to.imbalances().await?, "the same books as before")?;
    from.close().await;
    to.close().await;
    Ok(moved)
}

fn sound(imbalances: &[Imbalance], expected: &'static str) -> Result<(), StoreError> {
    match imbalances.first() {
        None => Ok(()),
        Some(wrong) => Err(StoreError::Damaged { found: wrong.to_string(), expected }),
    }
}
