//! What profiles may spend: the store's verbs for it.

use super::Store;
use crate::balances::ProfileBalance;
use crate::error::StoreError;
use crate::ledger::{CapStanding, LedgerOp};
use crate::model::{GuardOverrides, Profile, ProfileId, SpendGuard, Timestamp};
use crate::money::Micros;

impl Store {
    /// Puts a profile's own spend guard in the place of the one before.
    pub async fn set_spend_guard(
        &self,
        now: Timestamp,
        profile: ProfileId,
        guard: GuardOverrides,
    ) -> Result<(), StoreError> {
        self.apply_one(now, LedgerOp::SetGuard { profile, guard: Box::new(guard) }).await.map(|_| ())
    }

    /// Lets a profile spend on: the caps of this hour and day start again from zero.
    pub async fn release_spend_guard(&self, now: Timestamp, profile: ProfileId) -> Result<(), StoreError> {
        self.apply_one(now, LedgerOp::ReleaseGuard { profile }).await.map(|_| ())
    }

    /// The spend guard in force for a profile.
    pub fn spend_guard(&self, profile: &Profile) -> SpendGuard {
        profile.guard.over(&self.policy().guard)
    }

    /// The names of the limits that hold because a profile was created with them.
    pub fn limits_begun_with(&self, profile: &Profile) -> Vec<&'static str> {
        profile.guard.begun_with(&self.policy().guard)
    }

    /// How a profile stands towards each of its caps.
    pub fn cap_standings(&self, profile: &Profile, now: Timestamp) -> Vec<CapStanding> {
        let held_by_calls = Micros(profile.reserved.0 - profile.on_hand.0);
        self.spend_guard(profile).standings(profile.spending, held_by_calls, now)
    }

    /// The same by its balance, which does not say what its own spend guard is.
    pub fn cap_standings_by(
        &self,
        guard: GuardOverrides,
        balance: &ProfileBalance,
        now: Timestamp,
    ) -> Vec<CapStanding> {
        guard.over(&self.policy().guard).standings(balance.spending, balance.held_by_calls, now)
    }
}
