//! Rate tables in the database.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::query::{List, query, query_as};
use super::revision::{Changed, raise_revision};
use super::rows::narrow;
use super::{Database, chunks, failed, statements, with_values};
use crate::error::StoreError;
use crate::model::Timestamp;
use crate::money::Micros;
use crate::rating::{Edition, Rate, RateBook, RateTable};

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

/// A row with its list and edition.
#[derive(FromRow)]
struct EditionRow {
    price_list: String,
    valid_from: i64,
    #[sqlx(flatten)]
    rate: RateRow,
}

impl Database {
    /// Puts a whole table in the place of an edition, or with `None` of all that have been in force until now.
    pub(crate) async fn replace_rates(
        &self,
        now: Timestamp,
        (price_list, from): (&str, Option<Timestamp>),
        table: &RateTable,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let (delete, moment) = match from {
            Some(from) => (statements::DELETE_EDITION, from),
            None => (statements::DELETE_EDITIONS_UNTIL, now),
        };
        query(delete)
            .bind(price_list)
            .bind(moment.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("replacing rates"))?;
        // What is in force at once has no beginning: a clock that is set back finds rates all the same.
        let valid_from = from.map_or(0, |from| from.0);
        for chunk in chunks(&table.rates()) {
            let push = |mut row: List<'_>, rate: &&Rate| {
                row.push_bind(price_list.to_owned())
                    .push_bind(valid_from)
                    .push_bind(rate.prefix.clone())
                    .push_bind(rate.destination.clone())
                    .push_bind(rate.country.clone())
                    .push_bind(rate.rate_per_minute.0)
                    .push_bind(rate.connection_fee.0)
                    .push_bind(i64::from(rate.minimum_s))
                    .push_bind(i64::from(rate.increment_s));
            };
            let statement = with_values(statements::INSERT_RATES, chunk, push, "");
            statement.build().execute(&mut *transaction).await.map_err(failed("replacing rates"))?;
        }
        raise_revision(&mut transaction, Changed::Rates).await?;
        transaction.commit().await.map_err(failed("replacing rates"))
    }

    pub(crate) async fn rates(&self, price_list: &str, at: Timestamp) -> Result<RateTable, StoreError> {
        let rows: Vec<RateRow> = query_as(statements::RATES)
            .bind(price_list)
            .bind(at.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading rates"))?;
        let rates: Vec<Rate> = rows.into_iter().map(Rate::try_from).collect::<Result<_, _>>()?;
        Ok(RateTable::new(rates))
    }

    /// All lists: the editions in force at a moment, and those that come after it.
    pub(crate) async fn rate_book(&self, at: Timestamp) -> Result<RateBook, StoreError> {
        let rows: Vec<EditionRow> = query_as(statements::RATE_BOOK)
            .bind(at.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading rates"))?;
        let mut editions: BTreeMap<(String, i64), Vec<Rate>> = BTreeMap::new();
        for row in rows {
            editions.entry((row.price_list, row.valid_from)).or_default().push(row.rate.try_into()?);
        }
        let mut book = RateBook::default();
        for ((price_list, from), rates) in editions {
            book.add(&price_list, Timestamp(from), RateTable::new(rates));
        }
        Ok(book)
    }

    pub(crate) async fn editions(&self) -> Result<Vec<Edition>, StoreError> {
        let rows: Vec<(String, i64, i64)> = query_as(statements::EDITIONS)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading price lists"))?;
        let edition = |(price_list, from, rates): (String, i64, i64)| Edition {
            price_list,
            from: Timestamp(from),
            rates: rates.unsigned_abs(),
        };
        Ok(rows.into_iter().map(edition).collect())
    }
}
