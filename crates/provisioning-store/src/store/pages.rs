//! Parts of long lists, and single things of them: the store's verbs for it.

use std::collections::BTreeMap;

use super::{Store, found};
use crate::cdr::{CallId, Cdr, CdrFilter, CdrPlace};
use crate::error::StoreError;
use crate::model::{
    BusinessAccount, BusinessAccountId, CallerIdRule, Carrier, CarrierId, Company, CompanyId, IpRule,
    Landline, OnlineNumber, Profile, ProfileId,
};
use crate::pages::{AccountFilter, CompanyFilter, NumberFilter, ProfileFilter, Purse, RateFilter, Slice};
use crate::rating::Rate;

impl Store {
    /// Companies that meet the conditions, by identity.
    pub async fn companies_in(
        &self,
        filter: &CompanyFilter,
        slice: Slice,
    ) -> Result<Vec<Company>, StoreError> {
        self.database.companies_in(filter, slice).await
    }

    /// Profiles that meet the conditions, by identity.
    pub async fn profiles_in(
        &self,
        filter: &ProfileFilter,
        slice: Slice,
    ) -> Result<Vec<Profile>, StoreError> {
        self.database.profiles_in(filter, slice).await
    }

    /// Online Numbers that meet the conditions, by identity.
    pub async fn numbers_in(
        &self,
        filter: &NumberFilter,
        slice: Slice,
    ) -> Result<Vec<OnlineNumber>, StoreError> {
        self.database.numbers_in(filter, slice).await
    }

    /// Business accounts that meet the conditions, by identity.
    pub async fn business_accounts_in(
        &self,
        filter: &AccountFilter,
        slice: Slice,
    ) -> Result<Vec<BusinessAccount>, StoreError> {
        self.database.accounts_in(filter, slice).await
    }

    /// One business account.
    pub async fn business_account(&self, account: BusinessAccountId) -> Result<BusinessAccount, StoreError> {
        found("business account", account, self.database.account(account).await?)
    }

    /// The addresses and ranges that one profile is let in from, in the order they were added.
    pub async fn ip_rules_of(&self, profile: ProfileId) -> Result<Vec<IpRule>, StoreError> {
        self.database.ip_rules_of(profile).await
    }

    /// What one profile shows as the caller, its default first.
    pub async fn caller_ids_of(&self, profile: ProfileId) -> Result<Vec<CallerIdRule>, StoreError> {
        self.database.caller_ids_of(profile).await
    }

    /// The landline numbers that one company has stored.
    pub async fn landlines_of(&self, company: CompanyId) -> Result<Vec<Landline>, StoreError> {
        self.database.landlines_of(company).await
    }

    /// Who pays for each of these profiles, and in what; profiles that are not there are left out.
    pub async fn purses(&self, profiles: &[ProfileId]) -> Result<BTreeMap<ProfileId, Purse>, StoreError> {
        self.database.purses(profiles).await
    }

    /// Rates that come after a prefix, in the order of prefixes.
    pub async fn rates_in(
        &self,
        filter: &RateFilter,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<Rate>, StoreError> {
        self.database.rates_in(filter, after, most).await
    }

    /// The records that come after a place, at most `most`, newest first.
    pub async fn cdrs_after(
        &self,
        filter: &CdrFilter,
        after: Option<&CdrPlace>,
        most: u32,
    ) -> Result<Vec<Cdr>, StoreError> {
        self.database.cdrs_after(filter, after, most).await
    }

    /// The record of one call.
    pub async fn cdr(&self, call: &CallId) -> Result<Option<Cdr>, StoreError> {
        self.database.cdr(call).await
    }

    /// One carrier, its password in clear.
    pub async fn carrier(&self, carrier: CarrierId) -> Result<Carrier, StoreError> {
        let carriers = self.carriers().await?;
        found("carrier", carrier, carriers.into_iter().find(|one| one.id == carrier))
    }
}
