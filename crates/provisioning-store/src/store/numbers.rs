//! Online Numbers, business accounts and Caller ID: the store's verbs for them.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::{Store, e164, found, invalid, letters, user_part};
use crate::error::StoreError;
use crate::ledger::{LedgerOp, Outcome};
use crate::lifecycle::{NumberLease, NumberOffer, Renewal};
use crate::model::{
    BusinessAccount, BusinessAccountId, CallerId, CallerIdRule, CompanyId, NumberId, NumberTarget,
    OnlineNumber, ProfileId, StockNumber, Timestamp,
};
use crate::money::Micros;

/// The stock and its sale.
impl Store {
    /// Puts a number on offer, or another price in the place of its old one; whoever has it keeps the fee agreed.
    /// A term has at least a day.
    pub async fn stock_number(&self, number: StockNumber) -> Result<StockNumber, StoreError> {
        let number = checked_stock(number)?;
        self.database.stock(std::slice::from_ref(&number)).await?;
        Ok(number)
    }

    /// Offers a number no longer. A company that has it keeps it.
    pub async fn withdraw_number(&self, number: &str) -> Result<(), StoreError> {
        self.database.withdraw(&e164(number)?).await
    }

    /// Numbers on offer behind `after`, in their order; of one country, or with `None` of all.
    pub async fn numbers_on_offer(
        &self,
        country: Option<&str>,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<StockNumber>, StoreError> {
        let country = country.map(|country| letters("country", country, 2)).transpose()?.unwrap_or_default();
        self.database.on_offer(&country, after, most).await
    }

    /// One number on offer.
    pub async fn number_on_offer(&self, number: &str) -> Result<StockNumber, StoreError> {
        let number = e164(number)?;
        let offer = self.database.offer(&number).await?;
        found("number on offer", number, offer)
    }

    /// A company takes a number of its country from the stock and pays its first term.
    pub async fn buy_number(
        &self,
        now: Timestamp,
        company: CompanyId,
        number: &str,
    ) -> Result<OnlineNumber, StoreError> {
        self.buy_number_at(now, company, number, None).await
    }

    /// The same, if the fee is the one that was agreed.
    pub async fn buy_number_at(
        &self,
        now: Timestamp,
        company: CompanyId,
        number: &str,
        agreed: Option<Micros>,
    ) -> Result<OnlineNumber, StoreError> {
        self.company(company).await?;
        let number = self.database.buy_number(self.author(), now, company, &e164(number)?, agreed).await?;
        self.number(number).await
    }

    /// Lets a number run to the end of its paid term; then it goes back into the stock, an unpaid one at once: it is
    /// given back as it was, and is found no more.
    pub async fn cancel_number(&self, now: Timestamp, number: NumberId) -> Result<OnlineNumber, StoreError> {
        let before = self.number(number).await?;
        match self.apply_one(now, LedgerOp::CancelNumber { number }).await? {
            Outcome::Released => {
                let lease = before.lease.map(|lease| NumberLease { renewal: Renewal::Cancelled, ..lease });
                Ok(OnlineNumber { target: NumberTarget::Nobody, lease, ..before })
            }
            _ => self.number(number).await,
        }
    }

    /// Takes a number's cancellation back; its fee is paid again at the end of the term.
    pub async fn keep_number(&self, now: Timestamp, number: NumberId) -> Result<OnlineNumber, StoreError> {
        self.apply_one(now, LedgerOp::KeepNumber { number }).await?;
        self.number(number).await
    }
}

/// Numbers, business accounts, Caller ID.
impl Store {
    /// Hosts a number for a company, without a fee. `number` is E.164 with `+`, `country` two letters or empty.
    pub async fn add_number(
        &self,
        company: CompanyId,
        number: &str,
        country: &str,
    ) -> Result<OnlineNumber, StoreError> {
        self.company(company).await?;
        let number = e164(number)?;
        let country = if country.is_empty() { String::new() } else { letters("country", country, 2)? };
        let id = self.database.add_number(company, &number, &country).await?;
        Ok(OnlineNumber { id, company, number, country, target: NumberTarget::Nobody, lease: None })
    }

    /// Sends a number's calls to a profile or business account of the same company, or nowhere.
    pub async fn assign_number(&self, number: NumberId, target: NumberTarget) -> Result<(), StoreError> {
        self.database.assign_number(number, target).await
    }

    /// Hosts a number no longer. Calls to it are refused; a profile that showed it shows it no longer.
    pub async fn remove_number(&self, number: NumberId) -> Result<(), StoreError> {
        self.database.remove_number(number).await
    }

    /// One Online Number.
    pub async fn number(&self, number: NumberId) -> Result<OnlineNumber, StoreError> {
        found("Online Number", number, self.database.number(number).await?)
    }

    /// All numbers.
    pub async fn numbers(&self) -> Result<Vec<OnlineNumber>, StoreError> {
        self.database.numbers().await
    }

    /// Creates a business account. Names are kept in small letters, of which each has one at least: none may be taken for
    /// a telephone number.
    pub async fn create_business_account(
        &self,
        company: CompanyId,
        name: &str,
        extension: Option<&str>,
    ) -> Result<BusinessAccount, StoreError> {
        self.company(company).await?;
        let name = user_part("business account", &name.to_lowercase())?;
        if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let problem = format!("\"{name}\" could be a telephone number; write a name with a letter");
            return Err(invalid("business account", problem));
        }
        let extension = extension.map(|extension| user_part("extension", extension)).transpose()?;
        let id = self.database.create_account(company, &name, extension.as_deref()).await?;
        Ok(BusinessAccount { id, company, name, profile: None, extension })
    }

    /// Sends a business account's calls to a profile. An account that another profile has is refused.
    pub async fn attach_business_account(
        &self,
        account: BusinessAccountId,
        profile: ProfileId,
        extension: Option<&str>,
    ) -> Result<(), StoreError> {
        let extension = extension.map(|extension| user_part("extension", extension)).transpose()?;
        self.database.attach_account(account, profile, extension.as_deref()).await
    }

    /// Takes a business account off its profile.
    pub async fn detach_business_account(&self, account: BusinessAccountId) -> Result<(), StoreError> {
        self.database.detach_account(account).await
    }

    /// Removes a business account; its Online Numbers reach nobody until they are assigned anew.
    pub async fn remove_business_account(&self, account: BusinessAccountId) -> Result<(), StoreError> {
        self.database.remove_account(account).await
    }

    /// All business accounts.
    pub async fn business_accounts(&self) -> Result<Vec<BusinessAccount>, StoreError> {
        self.database.accounts().await
    }

    /// Sets what a profile shows to one country, or with `None` to all that have no rule; `shown` of `None` removes
    /// the rule. Only Online Numbers of the profile, of countries that are allowed, and landlines of a verified company
    /// are accepted.
    pub async fn set_caller_id(
        &self,
        profile: ProfileId,
        country: Option<&str>,
        shown: Option<&CallerId>,
    ) -> Result<(), StoreError> {
        let country = country.map(|country| letters("country", country, 2)).transpose()?.unwrap_or_default();
        let countries = self.caller_id_countries.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.database.set_caller_id(profile, &country, shown, &countries).await
    }

    /// Lets only Online Numbers of these countries, two capitals each, be shown as the caller; none allows all.
    pub fn use_caller_id_countries(&self, countries: BTreeSet<String>) {
        *self.caller_id_countries.write().unwrap_or_else(PoisonError::into_inner) = countries;
    }

    /// What profiles show as the caller; a profile's default comes first.
    pub async fn caller_ids(&self) -> Result<Vec<CallerIdRule>, StoreError> {
        self.database.caller_ids().await
    }
}

fn checked_stock(number: StockNumber) -> Result<StockNumber, StoreError> {
    let NumberOffer { number: text, fee, term_days } = number.offer;
    if fee.is_negative() {
        return Err(invalid("fee", "is negative; write 0 or more"));
    }
    if term_days == 0 {
        return Err(invalid("term", "has no day; write 1 or more days"));
    }
    let country = letters("country", &number.country, 2)?;
    Ok(StockNumber { country, offer: NumberOffer { number: e164(&text)?, fee, term_days } })
}
