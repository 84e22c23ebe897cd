//! The books on maps: no database, no clock, no async. The oracle of the tests and the store of the simulation.

use std::collections::BTreeMap;

use crate::cdr::{CallId, Cdr};
use crate::ledger::{
    Account, Books, Imbalance, LedgerEntry, LedgerOp, Outcome, Refusal, ReservePolicy, Transfer,
};
use crate::lifecycle::agenda::due_now;
use crate::lifecycle::{PriceList, Terms};
use crate::model::Timestamp;
use crate::money::Micros;

/// The whole ledger in memory, with every transfer and record since its beginning.
#[derive(Clone, Debug)]
pub struct LedgerState {
    policy: ReservePolicy,
    books: Books,
    transfers: Vec<Transfer>,
    cdrs: Vec<Cdr>,
}

impl LedgerState {
    /// Empty books.
    pub fn new(policy: ReservePolicy) -> Self {
        Self { policy, books: Books::new(), transfers: Vec::new(), cdrs: Vec::new() }
    }

    /// From now on calls reserve by another policy.
    pub fn set_policy(&mut self, policy: ReservePolicy) {
        self.policy = policy;
    }

    /// Does one operation, whole or not at all.
    pub fn apply(&mut self, now: Timestamp, op: LedgerOp) -> Result<Outcome, Refusal> {
        let outcome = self.books.apply(self.policy, &LedgerEntry { at: now, op });
        let changes = self.books.take_changes();
        self.transfers.extend(changes.transfers);
        self.cdrs.extend(changes.cdrs);
        outcome
    }

    /// After a crash: settles every live call to its last proved second, voids the unanswered ones, and frees what is
    /// on hand. Returns how many calls there were.
    pub fn settle_orphans(&mut self, now: Timestamp) -> usize {
        let orphans: Vec<CallId> = self.books.live_calls().map(|call| call.call.clone()).collect();
        let holding: Vec<_> = self.books.holds.keys().copied().collect();
        for profile in holding {
            let op = LedgerOp::Hold { profile, credit: Micros::ZERO, bundle_s: 0 };
            // The profile is in the books, or nothing could be on hand for it.
            let _freed = self.apply(now, op);
        }
        let settled = orphans.iter().map(|call| self.apply(now, LedgerOp::Expire { call: call.clone() }));
        settled.filter(Result::is_ok).count()
    }

    /// Does everything that has fallen due, each period and term once and in order. Returns how much that was.
    pub fn do_due(&mut self, now: Timestamp, prices: &PriceList, terms: Terms) -> usize {
        let mut done = 0;
        loop {
            let due = due_now(self.books.agenda(terms), now);
            if due.is_empty() {
                return done;
            }
            done += due.len();
            for due in due {
                // Nothing that is due is refused: what cannot be paid lapses.
                let _outcome = self.apply(now, due.operation(prices));
            }
        }
    }

    /// The accounts and live calls.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Every movement, oldest first.
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Every record, oldest first.
    pub fn cdrs(&self) -> &[Cdr] {
        &self.cdrs
    }

    /// Everything that is wrong with the books: nothing, in sound ones.
    pub fn verify(&self) -> Vec<Imbalance> {
        let mut sums: BTreeMap<Account, i64> = BTreeMap::new();
        for transfer in &self.transfers {
            *sums.entry(transfer.from).or_default() -= transfer.amount;
            *sums.entry(transfer.to).or_default() += transfer.amount;
        }
        self.books.imbalances(&sums)
    }
}

impl Default for LedgerState {
    fn default() -> Self {
        Self::new(ReservePolicy::default())
    }
}
