//! Profiles and their credentials: the store's verbs for them.

use super::{NewProfile, Store, found, named};
use crate::balances::ProfileBalance;
use crate::error::StoreError;
use crate::ledger::{LedgerOp, Outcome};
use crate::lifecycle::{Order, PriceList, Subscription};
use crate::model::{
    CompanyId, Credentials, GuardOverrides, Profile, ProfileId, ProfileSettings, Recharge, Timestamp,
};
use crate::money::Micros;
use crate::sql::ProfileOrder;

impl Store {
    /// Creates a profile with new credentials and, if ordered, a subscription that the company pays at once.
    pub async fn create_profile(
        &self,
        now: Timestamp,
        new: NewProfile,
    ) -> Result<(Profile, Credentials), StoreError> {
        self.create_profile_with_credit(now, new, None, GuardOverrides::default()).await
    }

    /// The same, with credit that comes from the company at once, and with limits: all of it or nothing.
    pub async fn create_profile_with_credit(
        &self,
        now: Timestamp,
        new: NewProfile,
        credit: Option<Micros>,
        guard: GuardOverrides,
    ) -> Result<(Profile, Credentials), StoreError> {
        self.company(new.company).await?;
        let name = named("profile name", &new.name)?;
        let order = ProfileOrder {
            company: new.company,
            name: &name,
            settings: new.settings,
            order: new.order,
            credit,
            guard,
        };
        let credentials = self.database.create_profile(self.author(), &self.vault, now, order).await?;
        Ok((self.profile(credentials.profile).await?, credentials))
    }

    /// All profiles, or one company's.
    pub async fn profiles(&self, company: Option<CompanyId>) -> Result<Vec<Profile>, StoreError> {
        self.database.profiles(company).await
    }

    /// What every profile has left now.
    pub async fn profile_balances(&self, now: Timestamp) -> Result<Vec<ProfileBalance>, StoreError> {
        self.database.profile_balances(now).await
    }

    /// One profile.
    pub async fn profile(&self, profile: ProfileId) -> Result<Profile, StoreError> {
        found("profile", profile, self.database.profile(profile).await?)
    }

    /// Gives a profile another name.
    pub async fn rename_profile(&self, profile: ProfileId, name: &str) -> Result<(), StoreError> {
        self.database.rename_profile(profile, &named("profile name", name)?).await
    }

    /// Changes a profile's settings.
    pub async fn set_profile_settings(
        &self,
        profile: ProfileId,
        settings: ProfileSettings,
    ) -> Result<(), StoreError> {
        self.database.change_profile(profile, settings).await
    }

    /// A profile's user and password, for an administrator's eyes.
    pub async fn credentials(&self, profile: ProfileId) -> Result<Credentials, StoreError> {
        self.database.credentials(&self.vault, profile).await
    }

    /// Generates a new password. A running registration is not touched.
    pub async fn new_password(&self, profile: ProfileId) -> Result<Credentials, StoreError> {
        self.database.new_password(&self.vault, profile).await
    }

    /// Buys channels and bundles from company credit. A running subscription is replaced, its unused part refunded.
    pub async fn subscribe(
        &self,
        now: Timestamp,
        profile: ProfileId,
        order: Order,
        prices: &PriceList,
    ) -> Result<(Subscription, Micros), StoreError> {
        let op = LedgerOp::Subscribe { profile, order, prices: Box::new(prices.clone()) };
        match self.apply_one(now, op).await? {
            Outcome::Subscribed { subscription, refund } => Ok((subscription, refund)),
            other => unreachable!("Subscribe is answered by Subscribed, not by {other:?}"),
        }
    }

    /// Moves credit from the company to a profile.
    pub async fn allocate(
        &self,
        now: Timestamp,
        profile: ProfileId,
        amount: Micros,
    ) -> Result<Profile, StoreError> {
        self.apply_one(now, LedgerOp::Allocate { profile, amount }).await?;
        self.profile(profile).await
    }

    /// Moves credit from a profile back to the company; `None` is all that live calls have not reserved.
    pub async fn take_back(
        &self,
        now: Timestamp,
        profile: ProfileId,
        amount: Option<Micros>,
    ) -> Result<Profile, StoreError> {
        self.apply_one(now, LedgerOp::TakeBack { profile, amount }).await?;
        self.profile(profile).await
    }

    /// Turns the refill of a profile's credit on, or off with `None`.
    pub async fn set_recharge(
        &self,
        now: Timestamp,
        profile: ProfileId,
        recharge: Option<Recharge>,
    ) -> Result<(), StoreError> {
        self.apply_one(now, LedgerOp::SetRecharge { profile, recharge }).await.map(|_| ())
    }
}
