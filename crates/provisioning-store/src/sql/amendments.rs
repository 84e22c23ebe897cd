//! Changes of a part of a thing: what is there is read and what it becomes is written in one transaction, so that two changes
//! of different parts at one time are both made.

use super::carriers::{carrier, put_carrier};
use super::companies::{chosen, company};
use super::ledger::{Author, apply_in};
use super::profiles::{profile, put_settings};
use super::query::query;
use super::revision::{Changed, raise_revision};
use super::{Connection, Database, failed, statements};
use crate::error::{StoreError, refuse_unless_agreed};
use crate::ledger::{LedgerEntry, LedgerOp, Outcome};
use crate::lifecycle::{Order, PriceList, Subscription};
use crate::model::{
    Carrier, CarrierId, Company, CompanyId, GuardOverrides, NewCarrier, Profile, ProfileId, ProfileSettings,
    Timestamp,
};
use crate::money::Micros;
use crate::secrets::Vault;

use std::num::NonZeroU32;

/// By which prices something is bought, and what was agreed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase<'a> {
    pub(crate) prices: &'a PriceList,
    /// `None` takes whatever the price is.
    pub(crate) agreed: Option<Micros>,
}

fn absent(what: &'static str, id: impl ToString) -> StoreError {
    StoreError::NotFound { what, name: id.to_string() }
}

impl Database {
    /// Gives a profile the name and settings that `amend` makes of what it is.
    pub(crate) async fn amend_profile<E: From<StoreError>>(
        &self,
        id: ProfileId,
        amend: impl FnOnce(Profile) -> Result<(String, ProfileSettings), E> + Send,
    ) -> Result<(), E> {
        let mut transaction = self.begin().await?;
        let before = profile(&mut transaction, id).await?.ok_or_else(|| absent("profile", id))?;
        let (name, settings) = amend(before)?;
        put_profile(&mut transaction, id, (&name, settings)).await?;
        Ok(transaction.commit().await.map_err(failed("changing a profile"))?)
    }

    /// Gives a profile the limits of its own that `amend` makes of what it is.
    pub(crate) async fn amend_spend_guard<E: From<StoreError>>(
        &self,
        author: Author<'_>,
        now: Timestamp,
        id: ProfileId,
        amend: impl FnOnce(Profile) -> Result<GuardOverrides, E> + Send,
    ) -> Result<(), E> {
        let mut transaction = self.begin().await?;
        let before = profile(&mut transaction, id).await?.ok_or_else(|| absent("profile", id))?;
        let op = LedgerOp::SetGuard { profile: id, guard: Box::new(amend(before)?) };
        for outcome in apply_in(&mut transaction, author, &[LedgerEntry { at: now, op }]).await? {
            outcome.map_err(StoreError::from)?;
        }
        Ok(transaction.commit().await.map_err(failed("changing a spend guard"))?)
    }

    /// Buys the channels and bundles that `amend` orders, knowing what there is, if they have the price that was agreed.
    pub(crate) async fn amend_subscription<E: From<StoreError>>(
        &self,
        author: Author<'_>,
        now: Timestamp,
        id: ProfileId,
        purchase: Purchase<'_>,
        amend: impl FnOnce(Profile) -> Result<Order, E> + Send,
    ) -> Result<(Subscription, Micros), E> {
        let mut transaction = self.begin().await?;
        let before = profile(&mut transaction, id).await?.ok_or_else(|| absent("profile", id))?;
        let prices = Box::new(purchase.prices.clone());
        let op = LedgerOp::Subscribe { profile: id, order: amend(before)?, prices };
        let outcomes = apply_in(&mut transaction, author, &[LedgerEntry { at: now, op }]).await?;
        let outcome = outcomes.into_iter().next().expect("a batch has as many outcomes as operations");
        let Outcome::Subscribed { subscription, refund } = outcome.map_err(StoreError::from)? else {
            unreachable!("Subscribe is answered by Subscribed alone")
        };
        // Nothing of it has happened where the transaction is dropped.
        refuse_unless_agreed(subscription.price().unwrap_or(Micros::MAX), purchase.agreed)?;
        transaction.commit().await.map_err(failed("buying a subscription"))?;
        Ok((subscription, refund))
    }

    /// Gives a carrier the settings that `amend` makes of what it is, its password too.
    pub(crate) async fn amend_carrier<E: From<StoreError>>(
        &self,
        vault: &Vault,
        id: CarrierId,
        amend: impl FnOnce(Carrier) -> Result<NewCarrier, E> + Send,
    ) -> Result<(), E> {
        let mut transaction = self.begin().await?;
        let before = carrier(&mut transaction, vault, id).await?.ok_or_else(|| absent("carrier", id))?;
        put_carrier(&mut transaction, vault, id, &amend(before)?).await?;
        Ok(transaction.commit().await.map_err(failed("changing a carrier"))?)
    }

    /// Gives a company the limit of calls a second that `amend` makes of what it is.
    pub(crate) async fn amend_calls_per_second<E: From<StoreError>>(
        &self,
        id: CompanyId,
        amend: impl FnOnce(Company) -> Result<Option<NonZeroU32>, E> + Send,
    ) -> Result<(), E> {
        let mut transaction = self.begin().await?;
        let before = company(&mut transaction, id).await?.ok_or_else(|| absent("company", id))?;
        let most = amend(before)?;
        raise_revision(&mut transaction, Changed::Company(id)).await?;
        query(statements::SET_CALLS_PER_SECOND)
            .bind(id.0)
            .bind(chosen(most))
            .execute(&mut *transaction)
            .await
            .map_err(failed("limiting a company"))?;
        Ok(transaction.commit().await.map_err(failed("limiting a company"))?)
    }
}

async fn put_profile(
    connection: &mut Connection,
    id: ProfileId,
    (name, settings): (&str, ProfileSettings),
) -> Result<(), StoreError> {
    raise_revision(connection, Changed::Profile(id)).await?;
    query(statements::RENAME_PROFILE)
        .bind(id.0)
        .bind(name)
        .execute(&mut *connection)
        .await
        .map_err(failed("renaming a profile"))?;
    put_settings(id, settings).execute(connection).await.map_err(failed("changing a profile"))?;
    Ok(())
}
