//! Changes of a part of a thing, and changes that are made only while it is as it was: the store's verbs for them.
//!
//! What is left as it is is read in the transaction that writes the rest, so no change undoes another that is made at the
//! same time.

use std::num::NonZeroU32;

use super::{Store, checked_carrier, named};
use crate::error::StoreError;
use crate::lifecycle::{Order, PriceList, Subscription};
use crate::model::{
    Carrier, CarrierId, Company, CompanyId, GuardOverrides, NewCarrier, Profile, ProfileId, ProfileSettings,
    Timestamp,
};
use crate::money::Micros;
use crate::sql::Purchase;
use crate::things::{Condition, Thing};

impl Store {
    /// This store, for a change that is made only while a thing is as it was: otherwise [`StoreError::Changed`].
    pub fn only_while(&self, condition: Condition) -> Self {
        Self { database: self.database.only_while(condition), ..self.clone() }
    }

    /// The version of a thing, which changes whenever somebody changes the thing.
    pub async fn version(&self, thing: &Thing) -> Result<String, StoreError> {
        self.database.version(thing).await
    }

    /// Gives a profile the name and settings that `amend` makes of what it is.
    pub async fn amend_profile<E: From<StoreError>>(
        &self,
        profile: ProfileId,
        amend: impl FnOnce(Profile) -> Result<(String, ProfileSettings), E> + Send,
    ) -> Result<(), E> {
        let checked = |before| {
            let (name, settings) = amend(before)?;
            Ok::<_, E>((named("profile name", &name)?, settings))
        };
        self.database.amend_profile(profile, checked).await
    }

    /// Gives a profile the limits of its own that `amend` makes of what it is.
    pub async fn amend_spend_guard<E: From<StoreError>>(
        &self,
        now: Timestamp,
        profile: ProfileId,
        amend: impl FnOnce(Profile) -> Result<GuardOverrides, E> + Send,
    ) -> Result<(), E> {
        self.database.amend_spend_guard(self.author(), now, profile, amend).await
    }

    /// Buys the channels and bundles that `amend` orders, knowing what there is, if they have the price that was agreed. A
    /// running subscription is replaced, and what comes back for its unused part is given.
    pub async fn amend_subscription<E: From<StoreError>>(
        &self,
        now: Timestamp,
        profile: ProfileId,
        (prices, agreed): (&PriceList, Micros),
        amend: impl FnOnce(Profile) -> Result<Order, E> + Send,
    ) -> Result<(Subscription, Micros), E> {
        let purchase = Purchase { prices, agreed: Some(agreed) };
        self.database.amend_subscription(self.author(), now, profile, purchase, amend).await
    }

    /// Gives a carrier the settings that `amend` makes of what it is, its password too.
    pub async fn amend_carrier<E: From<StoreError>>(
        &self,
        carrier: CarrierId,
        amend: impl FnOnce(Carrier) -> Result<NewCarrier, E> + Send,
    ) -> Result<(), E> {
        let checked = |before| Ok::<_, E>(checked_carrier(amend(before)?)?);
        self.database.amend_carrier(&self.vault, carrier, checked).await
    }

    /// Gives a company the limit of calls a second that `amend` makes of what it is.
    pub async fn amend_calls_per_second<E: From<StoreError>>(
        &self,
        company: CompanyId,
        amend: impl FnOnce(Company) -> Result<Option<NonZeroU32>, E> + Send,
    ) -> Result<Company, E> {
        self.database.amend_calls_per_second(company, amend).await?;
        Ok(self.company(company).await?)
    }
}
