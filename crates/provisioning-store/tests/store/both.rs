//! The oracle and the database side by side: every operation is done on both, and both must answer and end alike.

use provisioning_store::ledger::{Account, LedgerEntry, LedgerOp, Outcome, Refusal};
use provisioning_store::lifecycle::{Order, PriceList, Renewal, Subscription, Terms};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{ProfileId, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::store::Store;

use crate::world::*;

pub(crate) struct Both {
    pub(crate) oracle: LedgerState,
    pub(crate) store: Store,
    pub(crate) prices: PriceList,
    pub(crate) terms: Terms,
    _home: Home,
}

impl Both {
    /// A company with this much credit, in units, and a profile without a subscription.
    pub(crate) async fn with_credit(units: i32) -> Self {
        let home = Home::new();
        let store = home.open().await;
        let mut both = Self {
            oracle: LedgerState::default(),
            store,
            prices: PriceList::default(),
            terms: Terms::default(),
            _home: home,
        };
        both.done(start(), LedgerOp::OpenCompany { company: COMPANY }).await;
        both.done(start(), LedgerOp::OpenProfile { profile: PROFILE, company: COMPANY }).await;
        both.pay_in(start(), units).await;
        both
    }

    /// Does an operation on both.
    pub(crate) async fn apply(&mut self, at: Timestamp, op: LedgerOp) -> Result<Outcome, Refusal> {
        let expected = self.oracle.apply(at, op.clone());
        let entry = LedgerEntry { at, op };
        let outcome = self.store.apply(std::slice::from_ref(&entry)).await.unwrap().remove(0);
        assert_eq!(outcome, expected, "{entry:?}");
        self.assert_same().await;
        outcome
    }

    /// Does an operation that must not be refused.
    pub(crate) async fn done(&mut self, at: Timestamp, op: LedgerOp) -> Outcome {
        self.apply(at, op).await.unwrap()
    }

    pub(crate) async fn pay_in(&mut self, at: Timestamp, units: i32) {
        if units > 0 {
            let amount = Micros::from_units(units);
            self.done(at, LedgerOp::TopUp { company: COMPANY, amount, note: "card".into() }).await;
        }
    }

    pub(crate) async fn subscribe(
        &mut self,
        at: Timestamp,
        channels: u32,
        bundles: u32,
    ) -> Result<Outcome, Refusal> {
        let order = Order { channels, bundles };
        let prices = Box::new(self.prices.clone());
        self.apply(at, LedgerOp::Subscribe { profile: PROFILE, order, prices }).await
    }

    /// Does what is due on both. Returns how much that was.
    pub(crate) async fn do_due(&mut self, at: Timestamp) -> usize {
        let expected = self.oracle.do_due(at, &self.prices, self.terms);
        let done = self.store.do_due(at, &self.prices, self.terms).await.unwrap();
        assert_eq!(done.len(), expected);
        self.assert_same().await;
        expected
    }

    async fn assert_same(&self) {
        assert_eq!(self.oracle.verify(), []);
        assert_eq!(self.store.verify().await.unwrap(), []);
        for (account, balance) in self.store.balances().await.unwrap() {
            assert_eq!(balance, self.oracle.books().balance(account), "{account}");
        }
    }

    /// The company's credit.
    pub(crate) fn credit(&self) -> Micros {
        Micros(self.oracle.books().balance(Account::Company(COMPANY)).balance)
    }

    pub(crate) fn subscription(&self) -> Subscription {
        self.oracle.books().subscriber(PROFILE).unwrap().subscription.unwrap()
    }

    pub(crate) fn renewal(&self) -> Renewal {
        self.subscription().renewal
    }

    pub(crate) fn is_open(&self, profile: ProfileId) -> bool {
        self.oracle.books().subscriber(profile).is_ok()
    }
}
