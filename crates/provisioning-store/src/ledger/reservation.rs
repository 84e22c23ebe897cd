//! A live call in the books.

use serde::{Deserialize, Serialize};

use super::on_hand::Held;
use super::operation::Grant;
use crate::cdr::{Attempt, CallId, Ending};
use crate::lifecycle::Subscription;
use crate::model::choices::choices;
use crate::model::{ProfileId, SpendGuard, Timestamp};
use crate::money::Micros;
use crate::rating::BundleCover;

choices! {
    /// Whose credit pays what bundle minutes do not.
    #[derive(Default)]
    Payer, "payer" {
        /// The profile's.
        #[default]
        Profile = "profile",
        /// The company's, once the minutes of a bundle are used up.
        Company = "company",
    }
}

/// How far ahead calls reserve, and within which limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservePolicy {
    /// Seconds reserved before the call may ring; at least the shortest billed duration is.
    pub first_s: u32,
    /// Seconds that each extension adds.
    pub extension_s: u32,
    /// Whose credit pays the rest of a call, and later calls, when a profile's bundle minutes are used up before they
    /// are renewed.
    pub bundle_overflow: Payer,
    /// The spend guard of profiles that set none of their own.
    pub guard: SpendGuard,
}

impl Default for ReservePolicy {
    /// A minute each: long enough to keep the database quiet, short enough to leave credit to other calls. No limits.
    fn default() -> Self {
        Self { first_s: 60, extension_s: 60, bundle_overflow: Payer::Profile, guard: SpendGuard::default() }
    }
}

impl ReservePolicy {
    /// Whose credit a call that begins now draws on. There is no overflow where there is no bundle.
    pub(super) fn payer(&self, subscription: &Subscription, attempt: &Attempt) -> Payer {
        let is_covered = attempt.charged().is_some_and(|tariff| tariff.bundle == BundleCover::Covered);
        if is_covered && subscription.bundles > 0 { self.bundle_overflow } else { Payer::Profile }
    }
}

/// A live call: its channel, the seconds paid ahead for it, and how long it is known to have lasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The call.
    pub call: CallId,
    /// Whose channel it occupies and whose credit it reserves.
    pub profile: ProfileId,
    /// How it began, with its terms.
    pub attempt: Attempt,
    /// Bundle period that `bundle_s` comes from; 0 when there was none.
    pub bundle_period: i64,
    /// Bundle seconds reserved.
    pub bundle_s: u32,
    /// Whose credit it draws on; settled when it begins, whatever the policy becomes.
    #[serde(default)]
    pub payer: Payer,
    /// Credit reserved.
    pub credit: Micros,
    /// Seconds from answer that are paid, or that the longest call leaves a free one; `None` is free of charge, without
    /// end.
    pub paid_s: Option<u32>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Seconds from answer that the call is known to have lasted: what it owes after a crash.
    pub proved_s: u32,
    /// What its record will say, as far as it was known when it was answered.
    #[serde(default)]
    pub known: Option<Box<Ending>>,
}

impl Reservation {
    /// What the caller of the ledger is told.
    pub fn grant(&self) -> Grant {
        Grant {
            paid_s: self.paid_s,
            held: self.held(),
            payer: self.payer,
            on_hand: None,
            warnings: Vec::new(),
        }
    }

    /// What it holds.
    pub fn held(&self) -> Held {
        Held { credit: self.credit, bundle_period: self.bundle_period, bundle_s: self.bundle_s }
    }
}
