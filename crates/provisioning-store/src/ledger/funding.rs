//! How many seconds of a call can be paid ahead, and from what.

use crate::model::Recharge;
use crate::money::Micros;
use crate::rating::Tariff;

/// Most recharges that one operation sets off; a tiny recharge amount must not empty a company in a loop.
const MOST_RECHARGES: u32 = 16;

/// What a call can draw on: what it holds already and what nobody has reserved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    /// Bundle seconds; 0 for calls that no bundle covers.
    pub(super) bundle_s: u32,
    /// Profile credit.
    pub(super) credit: Micros,
    /// Company credit that a recharge can draw on.
    pub(super) company: Micros,
    /// The profile's recharge.
    pub(super) recharge: Option<Recharge>,
}

/// Seconds paid ahead and what pays them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Funding {
    /// Seconds from answer, a billable duration.
    pub(super) paid_s: u32,
    /// Bundle seconds to hold.
    pub(super) bundle_s: u32,
    /// Credit to hold.
    pub(super) credit: Micros,
    /// Recharges that must come first.
    pub(super) recharges: u32,
}

/// Pays up to `wanted_s`, recharging when the credit left over would fall below the profile's threshold, or would not
/// pay them. `None` when even the shortest billed duration cannot be paid.
pub(super) fn fund(tariff: &Tariff, mut purse: Purse, wanted_s: u32) -> Option<Funding> {
    let wanted_s = tariff.billed_s(wanted_s);
    let mut recharges = 0;
    loop {
        let funding = from_purse(tariff, &purse, wanted_s);
        let is_full = funding.is_some_and(|funding| funding.paid_s == wanted_s);
        let left = Micros(purse.credit.0 - funding.map_or(0, |funding| funding.credit.0));
        let due = purse.recharge.filter(|recharge| {
            recharges < MOST_RECHARGES
                && recharge.amount > Micros::ZERO
                && purse.company >= recharge.amount
                // One recharge lifts a low balance; only a call that is not paid yet asks for more.
                && (!is_full || (recharges == 0 && left < recharge.threshold))
        });
        let Some(recharge) = due else { return funding.map(|funding| Funding { recharges, ..funding }) };
        purse.credit = Micros(purse.credit.0 + recharge.amount.0);
        purse.company = Micros(purse.company.0 - recharge.amount.0);
        recharges += 1;
    }
}

/// Bundle seconds first, credit for the rest, cut to the longest billable duration.
fn from_purse(tariff: &Tariff, purse: &Purse, wanted_s: u32) -> Option<Funding> {
    let payable_s = tariff.payable_s(purse.credit, purse.bundle_s).min(wanted_s);
    let paid_s = tariff.longest_billable_s(payable_s)?;
    let bundle_s = purse.bundle_s.min(paid_s);
    Some(Funding { paid_s, bundle_s, credit: tariff.charge(paid_s, bundle_s), recharges: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rating::BundleCover;

    /// A millionth a second.
    const PLAIN: Tariff = Tariff::standard(Micros(60), BundleCover::Covered);

    fn purse(bundle_s: u32, credit: i64) -> Purse {
        Purse { bundle_s, credit: Micros(credit), company: Micros(1_000), recharge: None }
    }

    fn recharge(threshold: i64, amount: i64) -> Option<Recharge> {
        Some(Recharge { threshold: Micros(threshold), amount: Micros(amount) })
    }

    #[test]
    fn bundle_first_credit_second_split_within_a_call() {
        let paid = |purse| fund(&PLAIN, purse, 60).map(|f| (f.paid_s, f.bundle_s, f.credit.0));
        assert_eq!(paid(purse(100, 0)), Some((60, 60, 0)));
        assert_eq!(paid(purse(20, 100)), Some((60, 20, 40)));
        assert_eq!(paid(purse(20, 27)), Some((42, 20, 22)), "47 payable seconds cut to the step of 42");
        assert_eq!(paid(purse(0, 30)), Some((30, 0, 30)));
        assert_eq!(paid(purse(0, 29)), None);
        assert_eq!(paid(purse(20, 9)), None);
    }

    #[test]
    fn recharges_before_the_balance_is_low_or_short() {
        let recharges = |purse| fund(&PLAIN, purse, 60).map(|f| (f.paid_s, f.recharges));
        assert_eq!(recharges(Purse { recharge: recharge(20, 100), ..purse(0, 80) }), Some((60, 0)));
        assert_eq!(recharges(Purse { recharge: recharge(20, 100), ..purse(0, 79) }), Some((60, 1)));
        assert_eq!(recharges(Purse { recharge: recharge(20, 10), ..purse(0, 0) }), Some((60, 6)));
        assert_eq!(
            recharges(Purse { recharge: recharge(20, 1), ..purse(0, 0) }),
            None,
            "sixteen pay no call"
        );
        assert_eq!(recharges(Purse { recharge: recharge(20, 2_000), ..purse(0, 40) }), Some((36, 0)));
        assert_eq!(recharges(Purse { recharge: recharge(20, 0), ..purse(0, 0) }), None);
    }
}
