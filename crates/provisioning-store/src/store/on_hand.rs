//! What a gateway keeps on hand, in the database.

use std::collections::BTreeMap;

use super::Store;
use crate::error::StoreError;
use crate::ledger::{Held, LedgerEntry, LedgerOp};
use crate::model::{ProfileId, Timestamp};
use crate::money::Micros;

impl Store {
    /// Frees what this gateway keeps on hand. Returns for how many profiles there was something.
    pub async fn release_on_hand(&self, now: Timestamp) -> Result<usize, StoreError> {
        let on_hand = self.on_hand().await?;
        let release = |&profile: &ProfileId| LedgerOp::Hold { profile, credit: Micros::ZERO, bundle_s: 0 };
        let entries: Vec<_> =
            on_hand.keys().map(|profile| LedgerEntry { at: now, op: release(profile) }).collect();
        for outcome in self.apply(&entries).await? {
            outcome?;
        }
        Ok(on_hand.len())
    }

    /// Frees what this gateway keeps on hand for a profile. One that runs has to be asked itself, or it would go on counting
    /// on it.
    pub async fn release_on_hand_of(&self, now: Timestamp, profile: ProfileId) -> Result<(), StoreError> {
        let op = LedgerOp::Hold { profile, credit: Micros::ZERO, bundle_s: 0 };
        self.apply_one(now, op).await.map(|_| ())
    }

    /// What this gateway keeps on hand.
    pub async fn on_hand(&self) -> Result<BTreeMap<ProfileId, Held>, StoreError> {
        self.database.on_hand(&self.owner).await
    }
}
