//! What falls due with time, and in which order it is done: pure functions of the accounts and now.
//!
//! Each duty names the period or term that it ends, so that it is done once, however often it is asked for. Of one
//! company only the earliest duty is given at a time: what it does decides what the next one finds. After weeks without
//! a scheduler everything is thus done in the order in which it would have been.

use super::{NumberLease, PriceList, Renewal, Subscription, Terms};
use crate::ledger::{Closing, LedgerOp, Outcome};
use crate::model::{CompanyId, NumberId, ProfileId, Timestamp};
use crate::money::Micros;

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// A period of channels has ended: it is renewed, or lapses, or expires.
    CompletePeriod {
        /// Whose.
        profile: ProfileId,
        /// Which.
        period: i64,
    },
    /// A number's term has ended: it is renewed, or lapses, or the number goes back into the stock.
    CompleteTerm {
        /// Whose.
        number: NumberId,
        /// Which.
        term: i64,
    },
    /// A number's fee was not paid for too long: it goes back into the stock.
    ReleaseNumber {
        /// Which.
        number: NumberId,
        /// The term that was the last.
        term: i64,
    },
    /// A profile was disabled for too long: it is deleted.
    CloseProfile {
        /// Which.
        profile: ProfileId,
        /// The period that was the last.
        period: i64,
    },
}

/// A duty, by the moment it falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// What.
    pub duty: Duty,
    /// Whose.
    pub company: CompanyId,
}

impl Due {
    /// What becomes of a profile's subscription next.
    pub fn of_subscription(
        (profile, company): (ProfileId, CompanyId),
        subscription: &Subscription,
        terms: Terms,
    ) -> Self {
        Self::of_period(
            (profile, company),
            (subscription.period, subscription.paid_until),
            subscription.renewal,
            terms,
        )
    }

    /// The same, of a period by its number and end.
    pub fn of_period(
        (profile, company): (ProfileId, CompanyId),
        (period, end): (i64, Timestamp),
        renewal: Renewal,
        terms: Terms,
    ) -> Self {
        match renewal {
            Renewal::Automatic | Renewal::Cancelled => {
                Self { at: end, duty: Duty::CompletePeriod { profile, period }, company }
            }
            Renewal::Unpaid | Renewal::Expired => {
                Self { at: terms.deleted_at(end), duty: Duty::CloseProfile { profile, period }, company }
            }
        }
    }

    /// What becomes of a number next. One that was not paid is renewed as soon as its company's credit pays it.
    pub fn of_number(number: NumberId, lease: &NumberLease, credit: Micros, terms: Terms) -> Self {
        let (term, end, company) = (lease.term, lease.paid_until, lease.company);
        let is_paid_now = lease.renewal != Renewal::Unpaid || credit >= lease.offer.fee;
        let (at, duty) = match is_paid_now {
            true => (end, Duty::CompleteTerm { number, term }),
            false => (terms.released_at(end), Duty::ReleaseNumber { number, term }),
        };
        Self { at, duty, company }
    }

    /// What has ended with it, in a sentence; `None` for a renewal, which is the way of things.
    pub fn ending(&self, outcome: &Outcome) -> Option<String> {
        match (self.duty, outcome) {
            (Duty::CompletePeriod { profile, .. }, Outcome::Continues(subscription)) => {
                let is_unpaid = subscription.renewal == Renewal::Unpaid;
                let why = if is_unpaid { "the company's credit does not pay it" } else { "it was cancelled" };
                Some(format!("The channel subscription of profile {profile} has ended: {why}."))
            }
            (Duty::CloseProfile { profile, .. }, Outcome::Booked) => {
                Some(format!("Profile {profile} was deleted after its days of being disabled."))
            }
            (Duty::CompleteTerm { .. }, Outcome::Leased(lease)) if lease.renewal == Renewal::Unpaid => {
                Some(format!("The fee of {} could not be paid: it reaches nobody.", lease.offer.number))
            }
            (Duty::CompleteTerm { number, .. } | Duty::ReleaseNumber { number, .. }, Outcome::Released) => {
                Some(format!("Online Number {number} went back into the stock."))
            }
            _ => None,
        }
    }

    /// The operation on the books that does it.
    pub fn operation(&self, prices: &PriceList) -> LedgerOp {
        match self.duty {
            Duty::CompletePeriod { profile, period } => {
                LedgerOp::CompletePeriod { profile, period, prices: Box::new(prices.clone()) }
            }
            Duty::CloseProfile { profile, period } => {
                LedgerOp::CloseProfile { profile, closing: Closing::Disabled { period } }
            }
            Duty::CompleteTerm { number, term } => LedgerOp::CompleteTerm { number, term },
            Duty::ReleaseNumber { number, term } => LedgerOp::ReleaseNumber { number, term },
        }
    }
}

/// What is to be done now, oldest first: of each company the first duty only. Ask again when it is done, until nothing
/// is left.
pub fn due_now(candidates: impl IntoIterator<Item = Due>, now: Timestamp) -> Vec<Due> {
    let mut due: Vec<Due> = candidates.into_iter().filter(|due| due.at <= now).collect();
    due.sort_unstable();
    let mut companies = std::collections::BTreeSet::new();
    due.retain(|due| companies.insert(due.company));
    due
}

#[cfg(test)]
mod tests {
    use super::super::{NumberOffer, Order, buy};
    use super::*;

    const COMPANY: CompanyId = CompanyId(1);

    fn subscription() -> Subscription {
        buy(&PriceList::default(), Order { channels: 1, bundles: 0 }, None, Timestamp(0)).unwrap()
    }

    fn of(renewal: Renewal) -> Due {
        let subscription = Subscription { renewal, ..subscription() };
        Due::of_subscription((ProfileId(7), COMPANY), &subscription, Terms::default())
    }

    #[test]
    fn a_period_ends_after_thirty_days_and_a_disabled_profile_ninety_later() {
        let completed = Duty::CompletePeriod { profile: ProfileId(7), period: 1 };
        let closed = Duty::CloseProfile { profile: ProfileId(7), period: 1 };
        for (renewal, days, duty) in [
            (Renewal::Automatic, 30, completed),
            (Renewal::Cancelled, 30, completed),
            (Renewal::Unpaid, 120, closed),
            (Renewal::Expired, 120, closed),
        ] {
            let due = of(renewal);
            assert_eq!((due.at, due.duty), (Timestamp(0).plus_days(days), duty), "{renewal}");
        }
    }

    #[test]
    fn an_unpaid_number_is_renewed_when_there_is_credit_and_released_after_its_grace() {
        let offer = NumberOffer { number: "+12026843376".into(), fee: Micros::from_units(6), term_days: 30 };
        let lease = NumberLease::begin(COMPANY, offer, Timestamp(0));
        let unpaid = NumberLease { renewal: Renewal::Unpaid, ..lease.clone() };
        let due = |lease: &NumberLease, units| {
            Due::of_number(NumberId(3), lease, Micros::from_units(units), Terms::default())
        };
        let end = Timestamp(0).plus_days(30);
        let (completed, released) = (
            Duty::CompleteTerm { number: NumberId(3), term: 1 },
            Duty::ReleaseNumber { number: NumberId(3), term: 1 },
        );
        assert_eq!((due(&lease, 0).at, due(&lease, 0).duty), (end, completed));
        assert_eq!((due(&unpaid, 6).at, due(&unpaid, 6).duty), (end, completed));
        assert_eq!((due(&unpaid, 5).at, due(&unpaid, 5).duty), (end.plus_days(14), released));
    }

    #[test]
    fn of_one_company_only_the_earliest_is_given() {
        let later = Due { at: Timestamp(5), company: COMPANY, duty: of(Renewal::Automatic).duty };
        let earlier = Due { at: Timestamp(4), ..later };
        let other = Due { at: Timestamp(3), company: CompanyId(2), ..later };
        let tomorrow = Due { at: Timestamp(9), company: CompanyId(3), ..later };
        assert_eq!(due_now([later, earlier, other, tomorrow], Timestamp(5)), [other, earlier]);
        assert_eq!(due_now([later], Timestamp(4)), [], "a clock set back makes nothing due");
    }
}
