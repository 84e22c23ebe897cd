//! Payments: the seam to whoever brings the money, and the recharge of companies.
//!
//! A payment is asked for, by an administrator or because the credit is low, and stays pending until the payment source
//! says that it is paid or has failed. The built-in source is the operator, who says so by hand; another one is an
//! adapter that reads the pending ones and answers for them.

use super::{Store, found, invalid, noted};
use crate::error::StoreError;
use crate::model::{CompanyId, Payment, PaymentId, PaymentState, Recharge, Timestamp};
use crate::money::Micros;
use crate::pages::Slice;

impl Store {
    /// Turns the recharge of a company's credit through the payment source on, or off with `None`.
    pub async fn set_company_recharge(
        &self,
        company: CompanyId,
        recharge: Option<Recharge>,
    ) -> Result<(), StoreError> {
        self.company(company).await?;
        if let Some(Recharge { threshold, amount }) = recharge {
            positive("threshold", threshold)?;
            positive("amount", amount)?;
        }
        self.database.set_company_recharge(company, recharge).await
    }

    /// A company's recharge, if it is on.
    pub async fn company_recharge(&self, company: CompanyId) -> Result<Option<Recharge>, StoreError> {
        self.database.company_recharge(company).await
    }

    /// Asks the payment source for an amount. Nothing is booked before it is paid.
    pub async fn request_payment(
        &self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
    ) -> Result<Payment, StoreError> {
        self.company(company).await?;
        positive("amount", amount)?;
        self.database.request_payment(now, company, amount).await
    }

    /// Asks for what companies need whose credit is below the threshold of their recharge. Returns what was asked for.
    pub async fn request_recharges(&self, now: Timestamp) -> Result<Vec<Payment>, StoreError> {
        self.database.request_recharges(now).await
    }

    /// The payment source says that the money has come: it is booked, once, however often this is said, and though it
    /// was said to have failed before. `reference` is the source's name for it.
    pub async fn pay_payment(
        &self,
        now: Timestamp,
        payment: PaymentId,
        reference: &str,
    ) -> Result<Payment, StoreError> {
        self.settle_payment(now, payment, (PaymentState::Paid, reference)).await
    }

    /// The payment source says that the money will not come.
    pub async fn fail_payment(
        &self,
        now: Timestamp,
        payment: PaymentId,
        reason: &str,
    ) -> Result<Payment, StoreError> {
        self.settle_payment(now, payment, (PaymentState::Failed, reason)).await
    }

    async fn settle_payment(
        &self,
        now: Timestamp,
        payment: PaymentId,
        (state, said): (PaymentState, &str),
    ) -> Result<Payment, StoreError> {
        let said = noted("reference", said)?;
        let settled = self.database.settle_payment(self.author(), now, payment, (state, &said)).await?;
        let settled = found("payment", payment, settled)?;
        if settled.state != state {
            let is = settled.state;
            return Err(invalid("payment", format!("{payment} is {is} already; ask for another one")));
        }
        Ok(settled)
    }

    /// One payment.
    pub async fn payment(&self, payment: PaymentId) -> Result<Payment, StoreError> {
        found("payment", payment, self.database.payment(payment).await?)
    }

    /// Payments, newest first; of one company, or with `None` of all.
    pub async fn payments(
        &self,
        company: Option<CompanyId>,
        slice: Slice,
    ) -> Result<Vec<Payment>, StoreError> {
        self.database.payments(company, slice).await
    }
}

fn positive(field: &'static str, amount: Micros) -> Result<(), StoreError> {
    if amount > Micros::ZERO { Ok(()) } else { Err(invalid(field, "must be above zero")) }
}
