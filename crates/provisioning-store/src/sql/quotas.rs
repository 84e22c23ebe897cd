//! What a company has of each kind, counted by the transaction that is about to add one more.

use std::sync::Arc;

use super::query::{QueryScalar, query_scalar};
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::model::{CompanyId, ProfileId, Timestamp};
use crate::quotas::Quotas;

/// One thing more, of a kind that a company may have so many of.
#[derive(Clone, Copy, Debug)]
pub(super) enum OneMore<'a> {
    Profile(CompanyId, Timestamp),
    Address(ProfileId),
    Number(CompanyId),
    BusinessAccount(CompanyId),
    /// Unless one of this address is there already: then it is changed.
    Administrator(CompanyId, &'a str),
    /// Unless it is stored already.
    Landline(CompanyId, &'a str),
    Token(CompanyId, Timestamp),
    Payment(CompanyId),
}

impl OneMore<'_> {
    /// What there is more than one of, and the most that there may be.
    fn limit(self, quotas: &Quotas) -> (&'static str, u32) {
        match self {
            Self::Profile(..) => {
                ("profiles (those deleted within the last month count too)", quotas.profiles)
            }
            Self::Address(_) => ("addresses of this profile", quotas.addresses_per_profile),
            Self::Number(_) => ("Online Numbers", quotas.numbers),
            Self::BusinessAccount(_) => ("business accounts", quotas.business_accounts),
            Self::Administrator(..) => ("administrators", quotas.administrators),
            Self::Landline(..) => ("landline numbers", quotas.landlines),
            Self::Token(..) => ("tokens (those made within the last month count too)", quotas.tokens),
            Self::Payment(_) => ("pending payments", quotas.pending_payments),
        }
    }

    /// Counts the others.
    fn others(self) -> QueryScalar<i64> {
        let remembered_since = |now: Timestamp| now.plus_s(-Quotas::REMEMBERED_S).0;
        match self {
            Self::Profile(company, now) => {
                query_scalar(statements::COUNT_PROFILES).bind(company.0).bind(remembered_since(now))
            }
            Self::Address(profile) => query_scalar(statements::COUNT_IP_RULES).bind(profile.0),
            Self::Number(company) => query_scalar(statements::COUNT_NUMBERS).bind(company.0),
            Self::BusinessAccount(company) => query_scalar(statements::COUNT_ACCOUNTS).bind(company.0),
            Self::Administrator(company, email) => {
                query_scalar(statements::COUNT_ADMINISTRATORS).bind(company.0).bind(email)
            }
            Self::Landline(company, number) => {
                query_scalar(statements::COUNT_LANDLINES).bind(company.0).bind(number)
            }
            Self::Token(company, now) => {
                query_scalar(statements::COUNT_TOKENS).bind(company.0).bind(now.0).bind(remembered_since(now))
            }
            Self::Payment(company) => query_scalar(statements::COUNT_PENDING_PAYMENTS).bind(company.0),
        }
    }
}

impl Database {
    /// This database, for somebody who may create so many things.
    pub(crate) fn within(&self, quotas: Quotas) -> Self {
        let mut database = self.clone();
        database.quotas = Some(Arc::new(quotas));
        database
    }

    /// Refuses one thing more than the quota. The count is part of the transaction that adds it.
    pub(super) async fn refuse_beyond_quota(
        &self,
        connection: &mut Connection,
        thing: OneMore<'_>,
    ) -> Result<(), StoreError> {
        let Some(quotas) = &self.quotas else { return Ok(()) };
        let (what, most) = thing.limit(quotas);
        let others =
            thing.others().fetch_one(connection).await.map_err(failed("counting what a company has"))?;
        if others >= i64::from(most) { Err(StoreError::QuotaReached { what, most }) } else { Ok(()) }
    }
}
