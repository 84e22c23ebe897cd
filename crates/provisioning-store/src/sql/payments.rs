//! Payments, and the recharge of companies.

use sqlx::FromRow;

use super::ledger::{Author, apply_in};
use super::query::{query, query_as, query_scalar};
use super::quotas::OneMore;
use super::rows::word;
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::ledger::{LedgerEntry, LedgerOp};
use crate::model::{CompanyId, Payment, PaymentCause, PaymentId, PaymentState, Recharge, Timestamp};
use crate::money::Micros;
use crate::pages::Slice;

#[derive(FromRow)]
struct PaymentRow {
    id: i64,
    company_id: i64,
    amount_micros: i64,
    cause: String,
    state: String,
    requested_at: i64,
    settled_at: Option<i64>,
    word: String,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PaymentId(row.id),
            company: CompanyId(row.company_id),
            amount: Micros(row.amount_micros),
            cause: word(&row.cause, "a cause of a payment")?,
            state: word(&row.state, "a state of a payment")?,
            requested_at: Timestamp(row.requested_at),
            settled_at: row.settled_at.map(Timestamp),
            word: row.word,
        })
    }
}

/// A company whose credit is low.
#[derive(FromRow)]
struct LowRow {
    company_id: i64,
    threshold_micros: i64,
    amount_micros: i64,
}

impl Database {
    pub(crate) async fn company_recharge(&self, company: CompanyId) -> Result<Option<Recharge>, StoreError> {
        let row: Option<(i64, i64)> = query_as(statements::COMPANY_RECHARGE)
            .bind(company.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a company's recharge"))?;
        let recharge =
            |(threshold, amount)| Recharge { threshold: Micros(threshold), amount: Micros(amount) };
        Ok(row.map(recharge))
    }

    pub(crate) async fn set_company_recharge(
        &self,
        company: CompanyId,
        recharge: Option<Recharge>,
    ) -> Result<(), StoreError> {
        let statement = match recharge {
            None => query(statements::CLEAR_COMPANY_RECHARGE).bind(company.0),
            Some(Recharge { threshold, amount }) => {
                query(statements::SET_COMPANY_RECHARGE).bind(company.0).bind(threshold.0).bind(amount.0)
            }
        };
        let mut transaction = self.begin().await?;
        statement.execute(&mut *transaction).await.map_err(failed("setting a company's recharge"))?;
        transaction.commit().await.map_err(failed("setting a company's recharge"))
    }

    pub(crate) async fn request_payment(
        &self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
    ) -> Result<Payment, StoreError> {
        let mut transaction = self.begin().await?;
        self.refuse_beyond_quota(&mut transaction, OneMore::Payment(company)).await?;
        let payment = insert(&mut transaction, now, (company, amount), PaymentCause::Asked).await?;
        transaction.commit().await.map_err(failed("asking for a payment"))?;
        Ok(payment)
    }

    /// Asks for what companies with a recharge need, one payment at a time each.
    pub(crate) async fn request_recharges(&self, now: Timestamp) -> Result<Vec<Payment>, StoreError> {
        let low: Vec<LowRow> = query_as(statements::COMPANIES_LOW)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading companies whose credit is low"))?;
        let mut asked = Vec::new();
        for row in low {
            let recharge =
                Recharge { threshold: Micros(row.threshold_micros), amount: Micros(row.amount_micros) };
            let company = CompanyId(row.company_id);
            let mut transaction = self.begin().await?;
            // Read here: a payment that came in since must be seen together with what it has brought.
            let credit: i64 = query_scalar(statements::COMPANY_CREDIT)
                .bind(company.0.to_string())
                .fetch_one(&mut *transaction)
                .await
                .map_err(failed("reading a company's credit"))?;
            let latest = latest(&mut transaction, company).await?;
            if recharge.is_payment_due(Micros(credit), latest.as_ref(), now) {
                let terms = (company, recharge.amount);
                asked.push(insert(&mut transaction, now, terms, PaymentCause::Recharge).await?);
                transaction.commit().await.map_err(failed("asking for a payment"))?;
            }
        }
        Ok(asked)
    }

    /// Ends a payment; one that was paid is booked in the same transaction. A payment that ended so before is
    /// given back as it is, so that the payment source may repeat itself; one that ended otherwise too.
    pub(crate) async fn settle_payment(
        &self,
        author: Author<'_>,
        now: Timestamp,
        payment: PaymentId,
        (state, said): (PaymentState, &str),
    ) -> Result<Option<Payment>, StoreError> {
        let mut transaction = self.begin().await?;
        let settled: Option<PaymentRow> = query_as(statements::SETTLE_PAYMENT)
            .bind(payment.0)
            .bind(state.word())
            .bind(now.0)
            .bind(said)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("settling a payment"))?;
        let Some(settled) = settled else { return self.payment(payment).await };
        let settled = Payment::try_from(settled)?;
        if state == PaymentState::Paid {
            let note = format!("payment {payment} {said}").trim_end().to_owned();
            let op = LedgerOp::TopUp { company: settled.company, amount: settled.amount, note };
            for outcome in apply_in(&mut transaction, author, &[LedgerEntry { at: now, op }]).await? {
                outcome?;
            }
        }
        transaction.commit().await.map_err(failed("settling a payment"))?;
        Ok(Some(settled))
    }

    pub(crate) async fn payment(&self, payment: PaymentId) -> Result<Option<Payment>, StoreError> {
        let row: Option<PaymentRow> = query_as(statements::PAYMENT)
            .bind(payment.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a payment"))?;
        row.map(Payment::try_from).transpose()
    }

    /// Payments, newest first; of one company, or of all.
    pub(crate) async fn payments(
        &self,
        company: Option<CompanyId>,
        Slice { after, most }: Slice,
    ) -> Result<Vec<Payment>, StoreError> {
        let rows: Vec<PaymentRow> = query_as(statements::PAYMENTS)
            .bind(company.map(|company| company.0))
            .bind(after)
            .bind(i64::from(most))
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading payments"))?;
        rows.into_iter().map(Payment::try_from).collect()
    }
}

async fn latest(connection: &mut Connection, company: CompanyId) -> Result<Option<Payment>, StoreError> {
    let row: Option<PaymentRow> = query_as(statements::LATEST_RECHARGE)
        .bind(company.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a payment"))?;
    row.map(Payment::try_from).transpose()
}

async fn insert(
    connection: &mut Connection,
    now: Timestamp,
    (company, amount): (CompanyId, Micros),
    cause: PaymentCause,
) -> Result<Payment, StoreError> {
    let row: PaymentRow = query_as(statements::INSERT_PAYMENT)
        .bind(company.0)
        .bind(amount.0)
        .bind(cause.word())
        .bind(now.0)
        .fetch_one(connection)
        .await
        .map_err(failed("asking for a payment"))?;
    row.try_into()
}
