//! A profile's life, as people are told of it.

use serde::{Deserialize, Serialize};

use super::{Renewal, Subscription};
use crate::model::Timestamp;

/// How long things are kept that nobody pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Days from the end of its subscription after which a profile is deleted.
    pub disabled_days: u32,
    /// Days for which a number whose fee could not be paid is kept for its company.
    pub number_grace_days: u32,
}

impl Default for Terms {
    /// The guide's 90 days; two weeks for numbers.
    fn default() -> Self {
        Self { disabled_days: 90, number_grace_days: 14 }
    }
}

impl Terms {
    /// When a profile whose subscription ended at `ended` is deleted.
    pub fn deleted_at(self, ended: Timestamp) -> Timestamp {
        ended.plus_days(i64::from(self.disabled_days))
    }

    /// When a number that was paid until `ended` goes back into the stock.
    pub fn released_at(self, ended: Timestamp) -> Timestamp {
        ended.plus_days(i64::from(self.number_grace_days))
    }
}

/// Where a profile is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProfileState {
    /// Nothing was ever bought: no calls, and no end to it.
    NotSubscribed,
    /// Carries calls, and renews.
    Active {
        /// When the next period is paid.
        #[serde(rename = "next_payment_micros")]
        next_payment: Timestamp,
    },
    /// Carries calls to its paid end.
    Cancelled {
        /// Its end.
        #[serde(rename = "until_micros")]
        until: Timestamp,
    },
    /// Carries no calls, and can be reactivated by buying a subscription.
    Disabled {
        /// Since when.
        #[serde(rename = "since_micros")]
        since: Timestamp,
        /// When it is deleted unless a subscription is bought.
        #[serde(rename = "deleted_at_micros")]
        deleted_at: Timestamp,
    },
}

impl ProfileState {
    /// The state at `now`.
    pub fn of(subscription: Option<&Subscription>, terms: Terms, now: Timestamp) -> Self {
        let Some(subscription) = subscription else { return Self::NotSubscribed };
        let end = subscription.paid_until;
        match subscription.renewal {
            Renewal::Automatic => Self::Active { next_payment: end },
            Renewal::Cancelled if now < end => Self::Cancelled { until: end },
            _ => Self::Disabled { since: end, deleted_at: terms.deleted_at(end) },
        }
    }

    /// The state in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotSubscribed => "not_subscribed",
            Self::Active { .. } => "active",
            Self::Cancelled { .. } => "cancelled",
            Self::Disabled { .. } => "disabled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Order, PriceList, buy};
    use super::*;

    #[test]
    fn a_profile_is_active_then_cancelled_then_disabled_for_ninety_days() {
        let bought =
            buy(&PriceList::default(), Order { channels: 1, bundles: 0 }, None, Timestamp(0)).unwrap();
        let state = |subscription: Option<Subscription>, days| {
            ProfileState::of(subscription.as_ref(), Terms::default(), Timestamp(0).plus_days(days))
        };
        let cancelled = Some(Subscription { renewal: Renewal::Cancelled, ..bought });
        let end = Timestamp(0).plus_days(30);
        let disabled = ProfileState::Disabled { since: end, deleted_at: Timestamp(0).plus_days(120) };
        assert_eq!(state(None, 0), ProfileState::NotSubscribed);
        assert_eq!(state(Some(bought), 0), ProfileState::Active { next_payment: end });
        assert_eq!(state(cancelled, 29), ProfileState::Cancelled { until: end });
        assert_eq!(state(cancelled, 30), disabled);
        assert_eq!(state(Some(Subscription { renewal: Renewal::Unpaid, ..bought }), 30), disabled);
    }
}
