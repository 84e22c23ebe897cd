//! Rate tables in the database.
//!
//! The rows of an edition never change once it is valid, so a table that was read stays true for as long as it is in use.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sqlx::FromRow;

use super::listed::{Listed, Rows};
use super::query::{query, query_as};
use super::rows::narrow;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::model::Timestamp;
use crate::money::Micros;
use crate::rating::{EditionId, Rate, RateBook, RateTable, RateTableBuilder};

/// Rows that are read at once.
const READ_AT_ONCE: i64 = 5_000;

static INSERT_RATES: LazyLock<Listed> = LazyLock::new(|| {
    Listed::new(|rows| {
        format!(
            "INSERT INTO rates (edition_id, prefix, destination, country, rate_per_minute_micros, \
             connection_fee_micros, minimum_s, increment_s) SELECT CAST(value->>0 AS BIGINT), value->>1, value->>2, \
             value->>3, CAST(value->>4 AS BIGINT), CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), \
             CAST(value->>7 AS BIGINT) FROM {rows}"
        )
    })
});

#[derive(FromRow)]
pub(super) struct RateRow {
    prefix: String,
    destination: String,
    country: String,
    rate_per_minute_micros: i64,
    connection_fee_micros: i64,
    minimum_s: i64,
    increment_s: i64,
}

impl TryFrom<RateRow> for Rate {
    type Error = StoreError;

    fn try_from(row: RateRow) -> Result<Self, StoreError> {
        Ok(Self {
            prefix: row.prefix,
            destination: row.destination,
            country: row.country,
            rate_per_minute: Micros(row.rate_per_minute_micros),
            connection_fee: Micros(row.connection_fee_micros),
            minimum_s: narrow(row.minimum_s, "a number of seconds")?,
            increment_s: narrow(row.increment_s, "a number of seconds")?,
        })
    }
}

/// Tables that were read, by their edition.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    in_use: BTreeMap<EditionId, Arc<RateTable>>,
    /// Those that are about to be put in use, so that calls need not wait until they are read.
    prepared: BTreeMap<EditionId, Arc<RateTable>>,
}

impl Tables {
    fn find(&self, edition: EditionId) -> Option<Arc<RateTable>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.in_use.get(&edition).or_else(|| known.prepared.get(&edition)).cloned()
    }

    fn use_these(&self, tables: BTreeMap<EditionId, Arc<RateTable>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.prepared.retain(|edition, _| !tables.contains_key(edition));
        known.in_use = tables;
    }

    pub(super) fn prepare(&self, edition: EditionId, table: Arc<RateTable>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).prepared.insert(edition, table);
    }

    pub(super) fn forget(&self, edition: EditionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).prepared.remove(&edition);
    }
}

impl Database {
    /// Keeps the table of an edition that is about to be put in force.
    pub(crate) fn prepare_table(&self, edition: EditionId, table: Arc<RateTable>) {
        self.tables().prepare(edition, table);
    }

    /// Adds rates to an edition that is being written.
    pub(crate) async fn add_rates(&self, edition: EditionId, rates: &[Rate]) -> Result<(), StoreError> {
        let mut rows = Rows::default();
        for rate in rates {
            rows.add()
                .put(edition.0)
                .put(&rate.prefix)
                .put(&rate.destination)
                .put(&rate.country)
                .put(rate.rate_per_minute.0)
                .put(rate.connection_fee.0)
                .put(rate.minimum_s)
                .put(rate.increment_s);
        }
        let mut transaction = self.begin_beside().await?;
        INSERT_RATES.execute(&mut transaction, rows).await.map_err(failed("writing rates"))?;
        transaction.commit().await.map_err(failed("writing rates"))
    }

    /// The rates of a list that are in force at a moment.
    pub(crate) async fn rates(&self, price_list: &str, at: Timestamp) -> Result<Arc<RateTable>, StoreError> {
        let edition: Option<(i64,)> = query_as(statements::EDITION_IN_FORCE)
            .bind(price_list)
            .bind(at.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading rates"))?;
        match edition {
            Some((edition,)) => self.table(EditionId(edition)).await,
            None => Ok(Arc::default()),
        }
    }

    /// The table of an edition.
    pub(crate) async fn table(&self, edition: EditionId) -> Result<Arc<RateTable>, StoreError> {
        if let Some(known) = self.tables().find(edition) {
            return Ok(known);
        }
        let (mut builder, mut after) = (RateTableBuilder::default(), String::new());
        loop {
            let rows: Vec<RateRow> = query_as(statements::RATES_OF_EDITION)
                .bind(edition.0)
                .bind(after.as_str())
                .bind(READ_AT_ONCE)
                .fetch_all(self.reader())
                .await
                .map_err(failed("reading rates"))?;
            let is_last = (rows.len() as i64) < READ_AT_ONCE;
            for row in rows {
                let rate = Rate::try_from(row)?;
                builder.add(&rate);
                after = rate.prefix;
            }
            if is_last {
                return Ok(Arc::new(builder.build()));
            }
        }
    }

    /// All lists: the editions in force at a moment, and those that come after it.
    pub(crate) async fn rate_book(&self, at: Timestamp) -> Result<RateBook, StoreError> {
        let editions: Vec<(i64, String, i64)> = query_as(statements::EDITIONS_FROM)
            .bind(at.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading rates"))?;
        let (mut book, mut tables) = (RateBook::default(), BTreeMap::new());
        for (edition, price_list, from) in editions {
            let table = self.table(EditionId(edition)).await?;
            tables.insert(EditionId(edition), Arc::clone(&table));
            book.add(&price_list, Timestamp(from), table);
        }
        self.tables().use_these(tables);
        Ok(book)
    }

    /// Deletes some rates of an edition that is gone. False if there are none left.
    pub(super) async fn delete_some_rates(&self, edition: EditionId, most: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin_beside().await?;
        let deleted = query(statements::DELETE_SOME_RATES)
            .bind(edition.0)
            .bind(most)
            .execute(&mut *transaction)
            .await
            .map_err(failed("deleting rates"))?;
        transaction.commit().await.map_err(failed("deleting rates"))?;
        Ok(deleted.rows_affected() > 0)
    }
}
