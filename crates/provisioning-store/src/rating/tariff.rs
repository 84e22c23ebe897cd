//! The terms of one call and the arithmetic of its charge.

use serde::{Deserialize, Serialize};

use crate::money::Micros;

/// Seconds in the minute that rates are quoted for.
const MINUTE_S: i64 = 60;

/// Whether the minutes of a US bundle may pay a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleCover {
    /// Bundle minutes pay first, credit pays what they do not.
    Covered,
    /// Credit pays from the first second.
    NotCovered,
}

/// The terms on which a call is charged, fixed when it starts: a later change of rates does not touch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tariff {
    /// Price of a minute on credit.
    #[serde(rename = "rate_per_minute_micros")]
    pub rate_per_minute: Micros,
    /// Price of the answer itself, for calls that begin on credit.
    #[serde(rename = "connection_fee_micros")]
    pub connection_fee: Micros,
    /// Shortest billed duration in seconds, at least 1.
    pub minimum_s: u32,
    /// Billed steps after the shortest duration in seconds, at least 1.
    pub increment_s: u32,
    /// Whether US bundle minutes may pay.
    pub bundle: BundleCover,
}

impl Tariff {
    /// Shortest billed duration of the standard policy, in seconds.
    pub const STANDARD_MINIMUM_S: u32 = 30;
    /// Billed steps of the standard policy, in seconds.
    pub const STANDARD_INCREMENT_S: u32 = 6;

    /// A tariff on the standard policy: 30 s minimum, then steps of 6 s, no connection fee.
    pub const fn standard(rate_per_minute: Micros, bundle: BundleCover) -> Self {
        Self {
            rate_per_minute,
            connection_fee: Micros::ZERO,
            minimum_s: Self::STANDARD_MINIMUM_S,
            increment_s: Self::STANDARD_INCREMENT_S,
            bundle,
        }
    }

    /// True when no second of the call can cost anything; such a call leaves bundle minutes alone too.
    pub fn is_free(&self) -> bool {
        self.rate_per_minute == Micros::ZERO && self.connection_fee == Micros::ZERO
    }

    /// Seconds billed for an answered call of `duration_s`: the minimum, then whole steps, a begun step counting whole.
    pub fn billed_s(&self, duration_s: u32) -> u32 {
        let over_s = duration_s.saturating_sub(self.minimum_s);
        let steps = over_s.div_ceil(self.increment_s.max(1));
        self.minimum_s.saturating_add(steps.saturating_mul(self.increment_s))
    }

    /// The longest billable duration that does not exceed `limit_s`; `None` when even the shortest does.
    pub fn longest_billable_s(&self, limit_s: u32) -> Option<u32> {
        let over_s = limit_s.checked_sub(self.minimum_s)?;
        Some(limit_s - over_s % self.increment_s.max(1))
    }

    /// The charge for `billed_s` seconds of which bundle minutes pay the first `bundle_s`: worked out over all the
    /// credit seconds at once and rounded up once. A call that begins on bundle minutes owes no connection fee.
    ///
    /// Saturates at [`Micros::MAX`], which nobody's credit can pay.
    pub fn charge(&self, billed_s: u32, bundle_s: u32) -> Micros {
        let credit_s = billed_s.saturating_sub(bundle_s);
        let minutes = self.rate_per_minute.share_rounded_up(i64::from(credit_s), MINUTE_S);
        let fee = if bundle_s == 0 { self.connection_fee } else { Micros::ZERO };
        minutes.and_then(|minutes| minutes.checked_add(fee)).unwrap_or(Micros::MAX)
    }

    /// The most seconds that `credit` pays after `bundle_s` bundle seconds, not yet cut to a billable duration.
    pub fn payable_s(&self, credit: Micros, bundle_s: u32) -> u32 {
        let fee = if bundle_s == 0 { self.connection_fee } else { Micros::ZERO };
        let Some(left) = credit.checked_sub(fee).filter(|left| !left.is_negative()) else { return bundle_s };
        if self.rate_per_minute.0 <= 0 {
            return u32::MAX;
        }
        let credit_s = i128::from(left.0) * i128::from(MINUTE_S) / i128::from(self.rate_per_minute.0);
        u32::try_from(credit_s).unwrap_or(u32::MAX).saturating_add(bundle_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: Tariff = Tariff::standard(Micros(8_000), BundleCover::Covered);

    #[test]
    fn thirty_seconds_then_steps_of_six() {
        for (duration_s, billed_s) in [(0, 30), (1, 30), (30, 30), (31, 36), (36, 36), (37, 42), (60, 60)] {
            assert_eq!(US.billed_s(duration_s), billed_s, "{duration_s} s");
        }
        assert_eq!(US.longest_billable_s(29), None);
        assert_eq!(US.longest_billable_s(35), Some(30));
        assert_eq!(US.longest_billable_s(36), Some(36));
    }

    #[test]
    fn rounds_up_once_over_the_whole_duration() {
        // 36 s at 0.000001 a minute is 0.6 of a millionth; six steps rounded one by one would be six.
        let tariff = Tariff::standard(Micros(1), BundleCover::NotCovered);
        assert_eq!(tariff.charge(36, 0), Micros(1));
        assert_eq!(tariff.charge(66, 0), Micros(2));
        assert_eq!(US.charge(30, 0), Micros(4_000));
        assert_eq!(US.charge(30, 30), Micros::ZERO);
        assert_eq!(US.charge(36, 30), Micros(800));
    }

    #[test]
    fn the_fee_is_for_calls_that_begin_on_credit() {
        let tariff = Tariff { connection_fee: Micros(500), ..US };
        assert_eq!(tariff.charge(30, 0), Micros(4_500));
        assert_eq!(tariff.charge(60, 30), Micros(4_000));
        assert_eq!(tariff.payable_s(Micros(499), 0), 0);
        assert_eq!(tariff.payable_s(Micros(4_500), 0), 30);
    }

    proptest! {
        #[test]
        fn what_is_payable_is_paid_and_one_second_more_is_not(
            rate in 1i64..5_000_000, fee in 0i64..100_000, credit in 0i64..50_000_000, bundle_s in 0u32..400,
        ) {
            let tariff = Tariff { connection_fee: Micros(fee), ..Tariff::standard(Micros(rate), BundleCover::Covered) };
            let payable_s = tariff.payable_s(Micros(credit), bundle_s);
            if payable_s > bundle_s {
                prop_assert!(tariff.charge(payable_s, bundle_s) <= Micros(credit));
                prop_assert!(tariff.charge(payable_s + 1, bundle_s) > Micros(credit));
            }
        }

        #[test]
        fn longer_calls_never_cost_less_and_bundles_never_cost_more(
            rate in 0i64..5_000_000, fee in 0i64..1_000_000, shorter in 0u32..10_000, longer in 0u32..10_000, bundle_s in 0u32..10_000,
        ) {
            let tariff = Tariff { connection_fee: Micros(fee), ..Tariff::standard(Micros(rate), BundleCover::Covered) };
            let (shorter, longer) = (shorter.min(longer), shorter.max(longer));
            let (short_s, long_s) = (tariff.billed_s(shorter), tariff.billed_s(longer));
            prop_assert!(short_s >= shorter && short_s <= long_s);
            prop_assert_eq!(tariff.longest_billable_s(short_s), Some(short_s));
            prop_assert!(tariff.charge(short_s, bundle_s) <= tariff.charge(long_s, bundle_s));
            prop_assert!(tariff.charge(long_s, bundle_s.min(long_s)) <= tariff.charge(long_s, 0));
        }
    }
}
