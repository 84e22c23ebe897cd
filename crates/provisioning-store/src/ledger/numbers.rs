//! Online Numbers in the books: their fees, term by term.

use super::account::{Account, TransferKind};
use super::books::{Books, Why};
use super::operation::{Outcome, Refusal};
use crate::lifecycle::{NumberLease, NumberOffer, Renewal};
use crate::model::{CompanyId, NumberId, Timestamp};

impl Books {
    pub(super) fn lease_number(
        &mut self,
        now: Timestamp,
        number: NumberId,
        company: CompanyId,
        offer: &NumberOffer,
    ) -> Result<Outcome, Refusal> {
        self.company(company)?;
        if self.number_lease(number).is_ok() {
            return Err(Refusal::AlreadyOpen);
        }
        let lease = NumberLease::begin(company, offer.clone(), now);
        self.pay_term(now, &lease)?;
        self.keep_lease(number, lease.clone());
        Ok(Outcome::Leased(lease))
    }

    /// One that is not paid has no term left to run to, and goes back at once.
    pub(super) fn cancel_number(&mut self, number: NumberId) -> Result<Outcome, Refusal> {
        if self.number_lease(number)?.renewal == Renewal::Unpaid {
            self.drop_lease(number);
            return Ok(Outcome::Released);
        }
        self.decide(number, Renewal::Cancelled)
    }

    pub(super) fn keep_number(&mut self, number: NumberId) -> Result<Outcome, Refusal> {
        self.decide(number, Renewal::Automatic)
    }

    fn decide(&mut self, number: NumberId, renewal: Renewal) -> Result<Outcome, Refusal> {
        let lease = self.number_lease(number)?;
        if lease.renewal == Renewal::Unpaid {
            return Err(Refusal::NumberUnpaid);
        }
        let lease = NumberLease { renewal, ..lease.clone() };
        self.keep_lease(number, lease.clone());
        Ok(Outcome::Leased(lease))
    }

    pub(super) fn complete_term(
        &mut self,
        now: Timestamp,
        number: NumberId,
        term: i64,
    ) -> Result<Outcome, Refusal> {
        let lease = self.number_lease(number)?;
        if lease.term != term || lease.paid_until > now {
            return Ok(Outcome::NotDue);
        }
        if lease.renewal == Renewal::Cancelled {
            self.drop_lease(number);
            return Ok(Outcome::Released);
        }
        let renewed = lease.renewed();
        let lapsed = NumberLease { renewal: Renewal::Unpaid, ..lease.clone() };
        let lease = if self.pay_term(now, &renewed).is_ok() { renewed } else { lapsed };
        self.keep_lease(number, lease.clone());
        Ok(Outcome::Leased(lease))
    }

    pub(super) fn release_number(&mut self, number: NumberId, term: i64) -> Outcome {
        let is_lapsed = |lease: &NumberLease| lease.term == term && lease.renewal == Renewal::Unpaid;
        if !self.number_lease(number).is_ok_and(is_lapsed) {
            return Outcome::NotDue;
        }
        self.drop_lease(number);
        Outcome::Released
    }

    fn pay_term(&mut self, now: Timestamp, lease: &NumberLease) -> Result<(), Refusal> {
        let fee = lease.offer.fee;
        if fee.is_negative() {
            return Err(Refusal::BadAmount(fee));
        }
        self.company_pays(lease.company, fee)?;
        let way = (Account::Company(lease.company), Account::Revenue);
        let (year, month, day) = lease.paid_until.date();
        let note = format!("number {} until {year:04}-{month:02}-{day:02}", lease.offer.number);
        self.transfer(now, TransferKind::NumberFee, way, fee.0, Why::Note(&note));
        Ok(())
    }
}
