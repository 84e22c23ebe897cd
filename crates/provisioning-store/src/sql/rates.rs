//! Rate tables in the database.

use sqlx::FromRow;

use super::companies::raise_revision;
use super::query::{List, query, query_as};
use super::rows::narrow;
use super::{Database, chunks, failed, statements, with_values};
use crate::error::StoreError;
use crate::money::Micros;
use crate::rating::{Rate, RateTable};

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

impl Database {
    /// Puts a whole table in the place of the old one of that name.
    pub(crate) async fn replace_rates(&self, price_list: &str, table: &RateTable) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        query(statements::DELETE_RATES)
            .bind(price_list)
            .execute(&mut *transaction)
            .await
            .map_err(failed("replacing rates"))?;
        for chunk in chunks(&table.rates()) {
            let push = |mut row: List<'_>, rate: &&Rate| {
                row.push_bind(price_list.to_owned())
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
        raise_revision(&mut transaction).await?;
        transaction.commit().await.map_err(failed("replacing rates"))
    }

    pub(crate) async fn rates(&self, price_list: &str) -> Result<RateTable, StoreError> {
        let rows: Vec<RateRow> = query_as(statements::RATES)
            .bind(price_list)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading rates"))?;
        let rates: Vec<Rate> = rows.into_iter().map(Rate::try_from).collect::<Result<_, _>>()?;
        Ok(RateTable::new(rates))
    }
}
