//! What an operator does to companies and profiles beside their settings: names, suspensions, and money that is put right.

use super::{Store, company_name, named, seen};
use crate::error::StoreError;
use crate::ledger::LedgerOp;
use crate::model::{Company, CompanyId, ProfileId, Suspension, Timestamp};
use crate::money::Micros;

impl Store {
    /// Puts a mistake in a company's credit right: adds to it, or takes from it if the amount is below zero. The books say
    /// why, and who has said so.
    pub async fn correct(
        &self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        (reason, author): (&str, &str),
    ) -> Result<Company, StoreError> {
        let note = reasoned(reason, author)?;
        self.apply_one(now, LedgerOp::Correct { company, amount, note }).await?;
        self.company(company).await
    }

    /// Takes a charge back: what was earned goes to the company's credit. The books say why, and who has said so.
    pub async fn give_back(
        &self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        (reason, author): (&str, &str),
    ) -> Result<Company, StoreError> {
        let note = reasoned(reason, author)?;
        self.apply_one(now, LedgerOp::GiveBack { company, amount, note }).await?;
        self.company(company).await
    }

    /// Gives a company another name, which no other has.
    pub async fn rename_company(&self, company: CompanyId, name: &str) -> Result<Company, StoreError> {
        self.database.rename_company(company, &company_name(name)?).await?;
        self.company(company).await
    }

    /// Stops all calls of a company; those that run go on, and what is paid for goes on.
    pub async fn suspend_company(
        &self,
        now: Timestamp,
        company: CompanyId,
        reason: &str,
    ) -> Result<Company, StoreError> {
        let suspension = Suspension { at: now, reason: named("reason", reason)? };
        self.database.suspend_company(company, Some(&suspension)).await?;
        self.company(company).await
    }

    /// Lets a company call and be called again.
    pub async fn resume_company(&self, company: CompanyId) -> Result<Company, StoreError> {
        self.database.suspend_company(company, None).await?;
        self.company(company).await
    }

    /// Stops all calls of a profile; those that run go on, and what is paid for goes on.
    pub async fn suspend_profile(
        &self,
        now: Timestamp,
        profile: ProfileId,
        reason: &str,
    ) -> Result<(), StoreError> {
        let suspension = Suspension { at: now, reason: named("reason", reason)? };
        self.database.suspend_profile(profile, Some(&suspension)).await
    }

    /// Lets a profile call and be called again.
    pub async fn resume_profile(&self, profile: ProfileId) -> Result<(), StoreError> {
        self.database.suspend_profile(profile, None).await
    }
}

/// The note of a movement that somebody has to answer for.
fn reasoned(reason: &str, author: &str) -> Result<String, StoreError> {
    Ok(format!("{} ({})", named("reason", reason)?, seen("author", author)?))
}
