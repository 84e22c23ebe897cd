//! Accounts and credit: the operations that administrators ask for.

use super::account::{Account, TransferKind};
use super::books::{Books, Why};
use super::operation::{Outcome, Refusal};
use crate::model::{CompanyId, ProfileId, Recharge, Timestamp};
use crate::money::Micros;

/// Most that may ever be paid in, or granted in minutes: half of what an account can count, so that no sum of
/// balances overflows.
const MOST_ISSUED: i64 = i64::MAX / 2;

impl Books {
    pub(super) fn open_company(&mut self, company: CompanyId) -> Result<Outcome, Refusal> {
        if self.accounts.contains_key(&Account::Company(company)) {
            return Err(Refusal::AlreadyOpen);
        }
        self.open(Account::Company(company));
        Ok(Outcome::Booked)
    }

    pub(super) fn open_profile(
        &mut self,
        profile: ProfileId,
        company: CompanyId,
    ) -> Result<Outcome, Refusal> {
        self.company(company)?;
        if self.accounts.contains_key(&Account::Profile(profile)) {
            return Err(Refusal::AlreadyOpen);
        }
        self.open(Account::Profile(profile));
        self.add_subscriber(profile, company);
        Ok(Outcome::Booked)
    }

    pub(super) fn top_up(
        &mut self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        note: &str,
    ) -> Result<Outcome, Refusal> {
        let account = self.company(company)?;
        movable(amount)?;
        self.issuable(Account::External, amount.0)?;
        self.transfer(now, TransferKind::TopUp, (Account::External, account), amount.0, Why::Note(note));
        Ok(Outcome::Booked)
    }

    /// Puts a mistake right. What is taken away has to be there.
    pub(super) fn correct(
        &mut self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        note: &str,
    ) -> Result<Outcome, Refusal> {
        let account = self.company(company)?;
        let size = Micros(amount.0.checked_abs().ok_or(Refusal::BadAmount(amount))?);
        movable(size)?;
        let way = if amount.is_negative() {
            self.company_pays(company, size)?;
            (account, Account::External)
        } else {
            self.issuable(Account::External, size.0)?;
            (Account::External, account)
        };
        self.transfer(now, TransferKind::Correction, way, size.0, Why::Note(note));
        Ok(Outcome::Booked)
    }

    /// Takes a charge back.
    pub(super) fn give_back(
        &mut self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        note: &str,
    ) -> Result<Outcome, Refusal> {
        let account = self.company(company)?;
        movable(amount)?;
        self.issuable(Account::Revenue, amount.0)?;
        self.transfer(now, TransferKind::CreditNote, (Account::Revenue, account), amount.0, Why::Note(note));
        Ok(Outcome::Booked)
    }

    pub(super) fn allocate(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        amount: Micros,
    ) -> Result<Outcome, Refusal> {
        let company = self.subscriber(profile)?.company;
        movable(amount)?;
        self.company_pays(company, amount)?;
        let way = (Account::Company(company), Account::Profile(profile));
        self.transfer(now, TransferKind::Allocation, way, amount.0, Why::Profile(profile, ""));
        Ok(Outcome::Booked)
    }

    pub(super) fn take_back(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        amount: Option<Micros>,
    ) -> Result<Outcome, Refusal> {
        let company = self.subscriber(profile)?.company;
        let available = Micros(self.balance(Account::Profile(profile)).available());
        let amount = amount.unwrap_or(available);
        if amount > available || available == Micros::ZERO {
            return Err(Refusal::NothingToTakeBack { available });
        }
        movable(amount)?;
        let way = (Account::Profile(profile), Account::Company(company));
        self.transfer(now, TransferKind::TakeBack, way, amount.0, Why::Profile(profile, ""));
        Ok(Outcome::Booked)
    }

    pub(super) fn set_recharge(
        &mut self,
        profile: ProfileId,
        recharge: Option<Recharge>,
    ) -> Result<Outcome, Refusal> {
        self.subscriber(profile)?;
        if let Some(recharge) = recharge {
            movable(recharge.amount)?;
            movable(recharge.threshold)?;
        }
        if let Some(subscriber) = self.subscriber_mut(profile) {
            subscriber.recharge = recharge;
        }
        Ok(Outcome::Booked)
    }

    pub(super) fn company(&self, company: CompanyId) -> Result<Account, Refusal> {
        let account = Account::Company(company);
        if self.accounts.contains_key(&account) { Ok(account) } else { Err(Refusal::UnknownCompany(company)) }
    }

    pub(super) fn company_pays(&self, company: CompanyId, needed: Micros) -> Result<(), Refusal> {
        let available = Micros(self.balance(Account::Company(company)).available());
        if needed > available {
            Err(Refusal::InsufficientCompanyCredit { needed, available })
        } else {
            Ok(())
        }
    }

    /// Checks that `source` can give `amount` more without coming near the end of what can be counted.
    pub(super) fn issuable(&self, source: Account, amount: i64) -> Result<(), Refusal> {
        let issued = -self.balance(source).balance;
        if amount > MOST_ISSUED - issued { Err(Refusal::BadAmount(Micros(amount))) } else { Ok(()) }
    }
}

fn movable(amount: Micros) -> Result<(), Refusal> {
    if amount > Micros::ZERO && amount.0 <= MOST_ISSUED { Ok(()) } else { Err(Refusal::BadAmount(amount)) }
}
