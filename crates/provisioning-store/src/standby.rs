//! The books that the gateway carries in its head: what it needs to grant calls while the database does not answer.
//!
//! While all is well, [`Standby`] is told what the database has answered: which calls are live, what they hold, what
//! is on hand. In an outage it decides by the same rules as the database would, on books in which a profile has what
//! is on hand and nothing else. What it grants is to be kept in the [`crate::journal`] and adopted by the database
//! afterwards ([`LedgerOp::Adopt`]); what is on hand there is never less than here, so the adoption always finds it.

use std::collections::BTreeMap;

use crate::cdr::{Attempt, CallId, Ending};
use crate::ledger::{
    Account, Balance, Books, Grant, Held, LedgerEntry, LedgerOp, Outcome, Refusal, Reservation,
    ReservePolicy, Subscriber,
};
use crate::model::{ProfileId, Timestamp};
use crate::money::Micros;

/// Whether the database may have carried out the same request, without having told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was never asked.
    Unasked,
    /// It was asked and has not answered: what it may have drawn from what is on hand must count as drawn.
    MayBeDone,
}

/// Live calls, subscriptions and what is on hand, as last heard of.
#[derive(Clone, Debug)]
pub struct Standby {
    policy: ReservePolicy,
    books: Books,
}

impl Standby {
    /// Knows nothing yet.
    pub fn new(policy: ReservePolicy) -> Self {
        Self { policy, books: Books::default() }
    }

    /// Puts in the subscriptions that calls are granted by. Nothing recharges in an outage: a recharge is the
    /// company's money, and none of that is on hand.
    pub fn set_subscribers(&mut self, subscribers: BTreeMap<ProfileId, Subscriber>) {
        let without_recharge = |(profile, it)| (profile, Subscriber { recharge: None, ..it });
        self.books.subscribers = subscribers.into_iter().map(without_recharge).collect();
    }

    /// Puts in how far ahead calls reserve, and within which limits.
    pub fn set_policy(&mut self, policy: ReservePolicy) {
        self.policy = policy;
    }

    /// The database has granted a call.
    pub fn reserved(&mut self, call: &CallId, profile: ProfileId, attempt: &Attempt, grant: Grant) {
        self.books.load_live(Reservation {
            call: call.clone(),
            profile,
            attempt: attempt.clone(),
            bundle_period: grant.held.bundle_period,
            bundle_s: grant.held.bundle_s,
            payer: grant.payer,
            credit: grant.held.credit,
            paid_s: grant.paid_s,
            answered_at: None,
            proved_s: 0,
            known: None,
        });
        self.drawn(profile, grant);
    }

    /// The database has granted a call more, or told that there is no more.
    pub fn extended(&mut self, call: &CallId, elapsed_s: u32, grant: Grant) {
        let Some(mut live) = self.books.live_call(call).cloned() else { return };
        live.proved_s = live.proved_s.max(elapsed_s);
        (live.paid_s, live.credit, live.bundle_s) = (grant.paid_s, grant.held.credit, grant.held.bundle_s);
        let profile = live.profile;
        self.books.load_live(live);
        self.drawn(profile, grant);
    }

    fn drawn(&mut self, profile: ProfileId, grant: Grant) {
        if let Some(left) = grant.on_hand {
            self.set_on_hand(profile, left);
        }
    }

    /// A call was answered.
    pub fn answered(&mut self, call: &CallId, at: Timestamp, known: Option<Box<Ending>>) {
        let Some(mut live) = self.books.live_call(call).cloned() else { return };
        live.answered_at = live.answered_at.or(Some(at));
        live.known = live.known.or(known);
        self.books.load_live(live);
    }

    /// A call is over, whether the database knows it or not. What it held does not come back on hand.
    pub fn ended(&mut self, call: &CallId) -> Option<Reservation> {
        let over = self.books.release(call);
        drop(self.books.take_changes());
        over
    }

    /// A live call.
    pub fn call(&self, call: &CallId) -> Option<&Reservation> {
        self.books.live_call(call)
    }

    /// Live calls of a profile.
    pub fn calls_of(&self, profile: ProfileId) -> usize {
        self.books.channels_in_use(profile)
    }

    /// What is on hand for a profile.
    pub fn on_hand(&self, profile: ProfileId) -> Held {
        let period = self.books.on_hand(profile).bundle_period;
        let left = |account| self.books.balance(account).available().max(0);
        Held {
            credit: Micros(left(Account::Profile(profile))),
            bundle_period: period,
            bundle_s: u32::try_from(left(Account::Bundle { profile, period })).unwrap_or(u32::MAX),
        }
    }

    /// Puts in what the database says is on hand for a profile.
    pub fn set_on_hand(&mut self, profile: ProfileId, held: Held) {
        let before = self.books.on_hand(profile).bundle_period;
        self.books.accounts.remove(&Account::Bundle { profile, period: before });
        let amounts = [
            (Account::Profile(profile), held.credit.0),
            (Account::Bundle { profile, period: held.bundle_period }, i64::from(held.bundle_s)),
        ];
        for (account, balance) in amounts {
            self.books.accounts.insert(account, Balance { balance, reserved: 0 });
        }
        // The amounts are in the accounts, where calls draw on them; the hold only remembers the period.
        self.books.holds.insert(profile, Held { bundle_period: held.bundle_period, ..Held::default() });
    }

    /// Grants a call from what is on hand, or refuses it by the ledger's rules.
    pub fn reserve(
        &mut self,
        now: Timestamp,
        call: &CallId,
        profile: ProfileId,
        attempt: &Attempt,
        doubt: Doubt,
    ) -> Result<Reservation, Refusal> {
        let op = LedgerOp::Reserve { call: call.clone(), profile, attempt: Box::new(attempt.clone()) };
        let wanted_s = attempt.tariff.map(|tariff| tariff.billed_s(self.policy.first_s));
        let granted = self.decide(now, op, call);
        self.doubt(profile, doubt, &granted, wanted_s);
        granted
    }

    /// Grants a live call more from what is on hand. It is refused when nothing is left; what was granted before
    /// stands all the same.
    pub fn extend(
        &mut self,
        now: Timestamp,
        call: &CallId,
        elapsed_s: u32,
        doubt: Doubt,
    ) -> Result<Reservation, Refusal> {
        let live = self.books.live_call(call).ok_or_else(|| Refusal::UnknownCall(call.clone()))?;
        let profile = live.profile;
        let wanted_s = live
            .paid_s
            .zip(live.attempt.tariff)
            .map(|(paid_s, tariff)| tariff.billed_s(paid_s.saturating_add(self.policy.extension_s.max(1))));
        let granted = self.decide(now, LedgerOp::Extend { call: call.clone(), elapsed_s }, call);
        self.doubt(profile, doubt, &granted, wanted_s);
        granted
    }

    fn decide(&mut self, now: Timestamp, op: LedgerOp, call: &CallId) -> Result<Reservation, Refusal> {
        let outcome = self.books.apply(self.policy, &LedgerEntry { at: now, op });
        // There is no database to write them to.
        drop(self.books.take_changes());
        // What a call of a company's gave back is not on hand: the database still holds it for the call.
        if let Some(subscriber) =
            self.books.live_call(call).and_then(|it| self.books.subscribers.get(&it.profile))
        {
            let company = Account::Company(subscriber.company);
            self.books.accounts.remove(&company);
        }
        match outcome? {
            Outcome::LastGrant(_, limit) => Err(Refusal::Exhausted(limit)),
            _ => self.books.live_call(call).cloned().ok_or_else(|| Refusal::UnknownCall(call.clone())),
        }
    }

    /// The database may have granted the same request, and more of it than there is here, because it knows what else
    /// is free. A request that was granted whole has drawn as much here as it can have drawn there; otherwise what is
    /// left counts as drawn too.
    fn doubt(
        &mut self,
        profile: ProfileId,
        doubt: Doubt,
        granted: &Result<Reservation, Refusal>,
        wanted_s: Option<u32>,
    ) {
        let is_whole = granted.as_ref().is_ok_and(|call| call.paid_s.is_none() || call.paid_s >= wanted_s);
        if doubt == Doubt::MayBeDone && !is_whole && wanted_s.is_some() {
            let nothing =
                Held { bundle_period: self.books.on_hand(profile).bundle_period, ..Held::default() };
            self.set_on_hand(profile, nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::{CallKind, Direction};
    use crate::ledger::Limit;
    use crate::lifecycle::{self, Order, PriceList};
    use crate::model::{CompanyId, GuardOverrides, Override, SpendGuard};
    use crate::rating::{BundleCover, Tariff};

    const PROFILE: ProfileId = ProfileId(1);
    const NOW: Timestamp = Timestamp::from_unix_s(1_308_009_600);
    /// A millionth a second.
    const TARIFF: Tariff = Tariff::standard(Micros(60), BundleCover::Covered);

    fn standby(channels: u32, credit: i64, bundle_s: u32) -> Standby {
        let order = Order { channels, bundles: 1 };
        let subscription = lifecycle::buy(&PriceList::default(), order, None, NOW).unwrap();
        let guard = GuardOverrides {
            calls_to_one_country: Override::Set(8),
            longest_call_s: Override::Set(7_200),
            ..GuardOverrides::default()
        };
        let company = CompanyId(1);
        let subscriber =
            Subscriber { company, subscription: Some(subscription), recharge: None, guard, closed_at: None };
        let mut standby = Standby::new(ReservePolicy::default());
        standby.set_subscribers(BTreeMap::from([(PROFILE, subscriber)]));
        standby.set_on_hand(
            PROFILE,
            Held { credit: Micros(credit), bundle_period: subscription.period, bundle_s },
        );
        standby
    }

    fn attempt(tariff: Option<Tariff>) -> Attempt {
        Attempt {
            direction: Direction::Outgoing,
            kind: CallKind::Telephone,
            from: String::new(),
            is_withheld: false,
            to: "+3728800814".into(),
            destination: "Estonia".into(),
            country: "EE".into(),
            tariff,
            started_at: NOW,
        }
    }

    fn reserve(standby: &mut Standby, name: &str, doubt: Doubt) -> Result<Reservation, Refusal> {
        standby.reserve(NOW, &CallId::new(name), PROFILE, &attempt(Some(TARIFF)), doubt)
    }

    #[test]
    fn what_is_on_hand_is_granted_and_not_a_millionth_more() {
        let mut standby = standby(9, 70, 40);
        let first = reserve(&mut standby, "a", Doubt::Unasked).unwrap();
        assert_eq!((first.paid_s, first.bundle_s, first.credit), (Some(60), 40, Micros(20)));
        assert_eq!(standby.on_hand(PROFILE).credit, Micros(50));
        let more = standby.extend(NOW, &CallId::new("a"), 50, Doubt::Unasked).unwrap();
        assert_eq!((more.paid_s, more.credit, more.proved_s), (Some(108), Micros(68), 50));
        assert!(matches!(
            reserve(&mut standby, "b", Doubt::Unasked),
            Err(Refusal::InsufficientCredit { available: Micros(2), .. })
        ));
        let refused = standby.extend(NOW, &CallId::new("a"), 100, Doubt::Unasked).unwrap_err();
        assert_eq!(refused, Refusal::Exhausted(Limit::Credit));
        assert_eq!(standby.call(&CallId::new("a")).unwrap().paid_s, Some(108), "what was granted stands");
        standby.ended(&CallId::new("a"));
        assert_eq!(standby.on_hand(PROFILE).credit, Micros(2), "what a call held is settled, not lent again");
    }

    #[test]
    fn channels_and_standing_hold_in_an_outage_too() {
        let mut standby = standby(1, 0, 0);
        let free = |standby: &mut Standby, name| {
            standby.reserve(NOW, &CallId::new(name), PROFILE, &attempt(None), Doubt::Unasked)
        };
        assert_eq!(free(&mut standby, "a").unwrap().paid_s, Some(7_200), "free calls need no money");
        assert!(matches!(free(&mut standby, "b"), Err(Refusal::NoFreeChannel { channels: 1 })));
        let longer = standby.extend(NOW, &CallId::new("a"), 7_100, Doubt::Unasked);
        assert_eq!(longer, Err(Refusal::Exhausted(Limit::LongestCall)));
        standby.ended(&CallId::new("a"));
        let late = NOW.plus_days(31);
        let lapsed = standby.reserve(late, &CallId::new("c"), PROFILE, &attempt(None), Doubt::Unasked);
        assert!(matches!(lapsed, Err(Refusal::NotActive(_))));
        let unknown = standby.reserve(NOW, &CallId::new("d"), ProfileId(9), &attempt(None), Doubt::Unasked);
        assert!(matches!(unknown, Err(Refusal::UnknownProfile(ProfileId(9)))));
    }

    #[test]
    fn the_spend_guard_holds_in_an_outage_too() {
        let mut standby = standby(20, 0, 0);
        let call = |standby: &mut Standby, n: u32| {
            let name = CallId::new(n.to_string());
            standby.reserve(NOW, &name, PROFILE, &attempt(None), Doubt::Unasked)
        };
        (0..8).for_each(|n| drop(call(&mut standby, n).unwrap()));
        assert_eq!(call(&mut standby, 8), Err(Refusal::CountryBusy { country: "EE".into(), most: 8 }));
        let guard = SpendGuard { denied: "EE".parse().unwrap(), ..SpendGuard::default() };
        standby.set_policy(ReservePolicy { guard, ..ReservePolicy::default() });
        assert_eq!(call(&mut standby, 9), Err(Refusal::CountryDenied { country: "EE".into() }));
    }

    #[test]
    fn a_request_in_doubt_may_have_drawn_all_that_it_was_not_granted() {
        let mut sure = standby(9, 50, 0);
        assert_eq!(reserve(&mut sure, "a", Doubt::Unasked).unwrap().paid_s, Some(48));
        assert_eq!(sure.on_hand(PROFILE).credit, Micros(2));
        let mut unsure = standby(9, 50, 0);
        assert_eq!(reserve(&mut unsure, "a", Doubt::MayBeDone).unwrap().paid_s, Some(48));
        assert_eq!(unsure.on_hand(PROFILE).credit, Micros::ZERO);
        let mut whole = standby(9, 70, 0);
        assert_eq!(reserve(&mut whole, "a", Doubt::MayBeDone).unwrap().paid_s, Some(60));
        assert_eq!(whole.on_hand(PROFILE).credit, Micros(10));
    }
}
