//! Money that companies pay in.

use serde::{Deserialize, Serialize};

use super::choices::choices;
use super::{CompanyId, PaymentId, Recharge, Timestamp};
use crate::money::Micros;

/// After a payment has failed, no other is asked for by itself for this long, seconds.
const FAILURE_REST_S: i64 = 86_400;

choices! {
    /// How far a payment has come.
    PaymentState, "state of a payment" {
        /// Asked of the payment source; nothing is booked.
        Pending = "pending",
        /// The money has come and is booked.
        Paid = "paid",
        /// It will not come.
        Failed = "failed",
    }
}

choices! {
    /// Why a payment is asked for.
    PaymentCause, "cause of a payment" {
        /// An administrator wants to pay.
        Asked = "asked",
        /// The company's credit fell below its threshold.
        Recharge = "recharge",
    }
}

/// A payment that is asked of the payment source, which says when it is paid or has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Identity.
    pub id: PaymentId,
    /// Who pays.
    pub company: CompanyId,
    /// How much, above zero.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
    /// Why.
    pub cause: PaymentCause,
    /// How far it has come.
    pub state: PaymentState,
    /// When it was asked for.
    #[serde(rename = "requested_at_micros")]
    pub requested_at: Timestamp,
    /// When it was paid or failed.
    #[serde(rename = "settled_at_micros")]
    pub settled_at: Option<Timestamp>,
    /// The payment source's name for it, or its reason why it failed.
    pub word: String,
}

impl Recharge {
    /// What is said of values below the recommended ones, which are taken all the same.
    pub fn warning(&self) -> Option<String> {
        let Self { threshold, amount } = Self::RECOMMENDED;
        (self.threshold < threshold || self.amount < amount).then(|| {
            format!(
                "These values are low: credit may run out within a call. {amount} below {threshold} is recommended."
            )
        })
    }

    /// Whether a company with this recharge is to be asked for a payment: its credit is low, none is on its way, and the
    /// last one did not fail just now.
    pub fn is_payment_due(&self, credit: Micros, latest: Option<&Payment>, now: Timestamp) -> bool {
        let may_ask = latest.is_none_or(|latest| match latest.state {
            PaymentState::Pending => false,
            PaymentState::Paid => true,
            PaymentState::Failed => {
                latest.settled_at.is_none_or(|failed_at| failed_at.plus_s(FAILURE_REST_S) <= now)
            }
        });
        credit < self.threshold && may_ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_below_the_recommended_ones_are_warned_of() {
        assert_eq!(Recharge::RECOMMENDED.warning(), None);
        assert!(Recharge { threshold: Micros(1), ..Recharge::RECOMMENDED }.warning().is_some());
        assert!(Recharge { amount: Micros(1), ..Recharge::RECOMMENDED }.warning().is_some());
    }

    #[test]
    fn one_payment_is_asked_for_at_a_time_and_a_failed_one_rests_for_a_day() {
        let now = Timestamp::from_unix_s(1_000_000);
        let payment = |state, settled_s: Option<i64>| Payment {
            id: PaymentId(1),
            company: CompanyId(1),
            amount: Micros(1),
            cause: PaymentCause::Recharge,
            state,
            requested_at: now,
            settled_at: settled_s.map(|ago| now.plus_s(-ago)),
            word: String::new(),
        };
        let due = |units, latest: Option<Payment>| {
            Recharge::RECOMMENDED.is_payment_due(Micros::from_units(units), latest.as_ref(), now)
        };
        assert!(due(1, None) && !due(2, None));
        assert!(!due(1, Some(payment(PaymentState::Pending, None))));
        assert!(due(1, Some(payment(PaymentState::Paid, Some(0)))));
        assert!(!due(1, Some(payment(PaymentState::Failed, Some(FAILURE_REST_S - 1)))));
        assert!(due(1, Some(payment(PaymentState::Failed, Some(FAILURE_REST_S)))));
    }
}
