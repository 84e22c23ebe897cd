//! The terms of Online Numbers in the database: the part of the books that [`super::ledger`] loads and writes with the
//! rest.

use sqlx::FromRow;

use super::numbers::forget_numbers;
use super::query::List;
use super::revision::{Changed, raise_revision};
use super::rows::{narrow, word};
use super::{Connection, chunks, failed, statements, with_list, with_values};
use crate::error::StoreError;
use crate::ledger::{Books, Changes};
use crate::lifecycle::{NumberLease, NumberOffer};
use crate::model::{CompanyId, NumberId, Timestamp};
use crate::money::Micros;

/// A lease as it is kept.
#[derive(FromRow)]
pub(super) struct LeaseRow {
    number_id: i64,
    company_id: i64,
    number: String,
    fee_micros: i64,
    term_days: i64,
    term: i64,
    paid_until: i64,
    renewal: String,
}

impl LeaseRow {
    pub(super) fn lease(self) -> Result<(NumberId, NumberLease), StoreError> {
        let offer = NumberOffer {
            number: self.number,
            fee: Micros(self.fee_micros),
            term_days: narrow(self.term_days, "a number of days")?,
        };
        let lease = NumberLease {
            company: CompanyId(self.company_id),
            offer,
            term: self.term,
            paid_until: Timestamp(self.paid_until),
            renewal: word(&self.renewal, "a renewal")?,
        };
        Ok((NumberId(self.number_id), lease))
    }
}

pub(super) async fn load(
    connection: &mut Connection,
    numbers: &[i64],
    books: &mut Books,
) -> Result<(), StoreError> {
    for chunk in chunks(numbers) {
        let statement = with_list(statements::LEASES_OF_NUMBERS_IN, chunk, "");
        let rows: Vec<LeaseRow> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading the terms of numbers"))?;
        for row in rows {
            let (number, lease) = row.lease()?;
            books.leases_of_numbers.insert(number, lease);
        }
    }
    Ok(())
}

/// A number whose lease has gone goes with it: its calls are refused, and it is in the stock again.
pub(super) async fn write(
    connection: &mut Connection,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    if changes.numbers.is_empty() {
        return Ok(());
    }
    let touched: Vec<i64> = changes.numbers.iter().map(|number| number.0).collect();
    raise_revision(connection, Changed::Numbers(&touched)).await?;
    let lease = |number: &NumberId| Some((*number, books.number_lease(*number).ok()?.clone()));
    let kept: Vec<(NumberId, NumberLease)> = changes.numbers.iter().filter_map(lease).collect();
    for chunk in chunks(&kept) {
        let statement = with_values(
            statements::INSERT_NUMBER_LEASES,
            chunk,
            push_lease,
            statements::UPDATE_NUMBER_LEASES,
        );
        statement.build().execute(&mut *connection).await.map_err(failed("writing the terms of numbers"))?;
    }
    let gone: Vec<i64> = changes
        .numbers
        .iter()
        .filter(|number| books.number_lease(**number).is_err())
        .map(|it| it.0)
        .collect();
    for chunk in chunks(&gone) {
        forget_numbers(connection, chunk).await?;
        for statement in [statements::DELETE_NUMBER_LEASES_IN, statements::DELETE_NUMBERS_IN] {
            let statement = with_list(statement, chunk, "");
            statement.build().execute(&mut *connection).await.map_err(failed("releasing numbers"))?;
        }
    }
    Ok(())
}

fn push_lease(mut row: List<'_>, (number, lease): &(NumberId, NumberLease)) {
    row.push_bind(number.0)
        .push_bind(lease.company.0)
        .push_bind(lease.offer.number.clone())
        .push_bind(lease.offer.fee.0)
        .push_bind(i64::from(lease.offer.term_days))
        .push_bind(lease.term)
        .push_bind(lease.paid_until.0)
        .push_bind(lease.renewal.word());
}
