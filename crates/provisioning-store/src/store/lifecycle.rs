//! Subscriptions on their way, and what falls due: the store's verbs for them.

use super::Store;
use crate::audit::Deed;
use crate::error::StoreError;
use crate::ledger::{Closing, LedgerEntry, LedgerOp, Outcome, Refusal};
use crate::lifecycle::agenda::Due;
use crate::lifecycle::{PriceList, Subscription, Terms};
use crate::model::{ProfileId, Timestamp};

impl Store {
    /// Cancels a running subscription, its bundles with it: it runs to the end of its paid period, then the profile is
    /// disabled.
    pub async fn cancel_subscription(
        &self,
        now: Timestamp,
        profile: ProfileId,
    ) -> Result<Subscription, StoreError> {
        self.go_on(now, LedgerOp::CancelSubscription { profile }).await
    }

    /// Takes a cancellation back while the paid period still runs, that of the bundles too; it renews on its old date.
    pub async fn extend_subscription(
        &self,
        now: Timestamp,
        profile: ProfileId,
    ) -> Result<Subscription, StoreError> {
        self.go_on(now, LedgerOp::ExtendSubscription { profile }).await
    }

    async fn go_on(&self, now: Timestamp, op: LedgerOp) -> Result<Subscription, StoreError> {
        match self.apply_one(now, op).await? {
            Outcome::Continues(subscription) => Ok(subscription),
            other => {
                unreachable!("a subscription that goes on otherwise is answered by itself, not by {other:?}")
            }
        }
    }

    /// Deletes a profile. Its credit goes back to the company, what live calls hold when they end; its Online Numbers
    /// reach nobody until they are assigned anew; its business accounts are free; its call records go. A running
    /// subscription is not refunded. Whoever carries its calls has to end them.
    pub async fn delete_profile(&self, now: Timestamp, profile: ProfileId) -> Result<(), StoreError> {
        self.profile(profile).await?;
        let op = LedgerOp::CloseProfile { profile, closing: Closing::Asked };
        let entry = LedgerEntry { at: now, op };
        for outcome in self.database.apply_and_forget(self.author(), &[entry], |_, _| None).await? {
            outcome?;
        }
        Ok(())
    }

    /// When it was looked for what is due, by the clock of then; `None` before the first time.
    pub async fn last_look(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.last_look().await
    }

    /// Notes that it was looked for what is due, and that the clock was right.
    pub async fn note_look(&self, now: Timestamp) -> Result<(), StoreError> {
        self.database.note_look(now).await
    }

    /// What has fallen due, oldest first, of each company the first duty only.
    pub async fn due(&self, now: Timestamp, terms: Terms) -> Result<Vec<Due>, StoreError> {
        self.database.due(now, terms).await
    }

    /// Does everything that has fallen due, each period and term once and in order, however late it is. Returns what
    /// was done.
    pub async fn do_due(
        &self,
        now: Timestamp,
        prices: &PriceList,
        terms: Terms,
    ) -> Result<Vec<(Due, Outcome)>, StoreError> {
        let mut done = Vec::new();
        loop {
            let due = self.due(now, terms).await?;
            if due.is_empty() {
                return Ok(done);
            }
            let entry = |due: &Due| LedgerEntry { at: now, op: due.operation(prices) };
            let entries: Vec<_> = due.iter().map(entry).collect();
            let told = |index: usize, outcome: &Outcome| deed(now, due.get(index)?, outcome);
            let outcomes = self.database.apply_and_forget(self.author(), &entries, told).await?;
            // Whoever deleted a profile or a number at this moment was quicker; what is due is never refused otherwise.
            let booked = |(due, outcome): (Due, Result<Outcome, Refusal>)| Some((due, outcome.ok()?));
            let booked: Vec<_> = due.into_iter().zip(outcomes).filter_map(booked).collect();
            if booked.is_empty() {
                return Ok(done);
            }
            done.extend(booked);
        }
    }
}

/// What ends by itself stands in the audit trail like what somebody ends.
fn deed(now: Timestamp, due: &Due, outcome: &Outcome) -> Option<Deed> {
    Some(Deed {
        at: now,
        actor: "scheduler".to_owned(),
        origin: "gateway".to_owned(),
        company: Some(due.company),
        action: due.ending(outcome)?,
        detail: String::new(),
        once: None,
    })
}
