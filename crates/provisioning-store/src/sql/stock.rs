//! Numbers on offer, and their sale.

use sqlx::FromRow;

use super::companies::forget_landlines;
use super::ledger::{Author, apply_in};
use super::query::{QueryBuilder, query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, raise_revision};
use super::rows::narrow;
use super::{Database, failed, failed_unless_taken, statements};
use crate::error::{StoreError, refuse_unless_agreed};
use crate::ledger::{LedgerEntry, LedgerOp};
use crate::lifecycle::NumberOffer;
use crate::model::{CompanyId, NumberId, StockNumber, Timestamp};
use crate::money::Micros;

#[derive(FromRow)]
struct StockRow {
    number: String,
    country: String,
    fee_micros: i64,
    term_days: i64,
}

impl TryFrom<StockRow> for StockNumber {
    type Error = StoreError;

    fn try_from(row: StockRow) -> Result<Self, StoreError> {
        let term_days = narrow(row.term_days, "a number of days")?;
        let offer = NumberOffer { number: row.number, fee: Micros(row.fee_micros), term_days };
        Ok(Self { country: row.country, offer })
    }
}

impl Database {
    /// Puts numbers on offer, or others' prices in the place of theirs, all or nothing.
    pub(crate) async fn stock(&self, numbers: &[StockNumber]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for StockNumber { country, offer } in numbers {
            query(statements::SET_STOCK)
                .bind(&offer.number)
                .bind(country)
                .bind(offer.fee.0)
                .bind(i64::from(offer.term_days))
                .execute(&mut *transaction)
                .await
                .map_err(failed("putting numbers on offer"))?;
        }
        transaction.commit().await.map_err(failed("putting numbers on offer"))
    }

    pub(crate) async fn withdraw(&self, number: &str) -> Result<(), StoreError> {
        let statement = query(statements::DELETE_STOCK).bind(number.to_owned());
        let what = ("number on offer", number.to_owned());
        self.change("withdrawing a number", what, None, statement).await
    }

    /// Numbers on offer, of one country or, for the empty one, of all.
    pub(crate) async fn on_offer(
        &self,
        country: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<StockNumber>, StoreError> {
        let mut statement = QueryBuilder::new(statements::NUMBERS_ON_OFFER);
        if !country.is_empty() {
            statement.push(" AND s.country = ").push_bind(country);
        }
        statement.push(" AND s.number > ").push_bind(after.unwrap_or_default());
        statement.push(" ORDER BY s.number LIMIT ").push_bind(i64::from(most));
        let rows: Vec<StockRow> = statement
            .build_query_as()
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading numbers on offer"))?;
        rows.into_iter().map(StockNumber::try_from).collect()
    }

    /// A number on offer, if it is.
    pub(crate) async fn offer(&self, number: &str) -> Result<Option<StockNumber>, StoreError> {
        let mut statement = QueryBuilder::new(statements::NUMBERS_ON_OFFER);
        statement.push(" AND s.number = ").push_bind(number);
        let row: Option<StockRow> = statement
            .build_query_as()
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a number on offer"))?;
        row.map(StockNumber::try_from).transpose()
    }

    /// A company takes a number and pays its first term: both or neither.
    pub(crate) async fn buy_number(
        &self,
        author: Author<'_>,
        now: Timestamp,
        company: CompanyId,
        number: &str,
        agreed: Option<Micros>,
    ) -> Result<NumberId, StoreError> {
        let mut transaction = self.begin().await?;
        self.refuse_beyond_quota(&mut transaction, OneMore::Number(company)).await?;
        let row: Option<StockRow> = query_as(statements::STOCK_NUMBER)
            .bind(number)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("buying a number"))?;
        let not_there = || StoreError::NotFound { what: "number on offer", name: number.to_owned() };
        let StockNumber { country, offer } = row.ok_or_else(not_there)?.try_into()?;
        refuse_unless_agreed(offer.fee, agreed)?;
        let own: String = query_scalar(statements::COUNTRY_OF_COMPANY)
            .bind(company.0)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("buying a number"))?;
        if country != own {
            let problem = format!(
                "{number} is a number of {country}, and the company is in {own}; choose one of {own}"
            );
            return Err(StoreError::Invalid { field: "number", problem });
        }
        let id: i64 = query_scalar(statements::INSERT_NUMBER)
            .bind(company.0)
            .bind(number)
            .bind(country)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed_unless_taken("buying a number", "company with the number", number))?;
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        forget_landlines(&mut transaction, number).await?;
        let number = NumberId(id);
        let op = LedgerOp::LeaseNumber { number, company, offer: Box::new(offer) };
        for outcome in apply_in(&mut transaction, author, &[LedgerEntry { at: now, op }]).await? {
            outcome?;
        }
        transaction.commit().await.map_err(failed("buying a number"))?;
        Ok(number)
    }
}
