//! Two years in the life of many companies: random actions, calls, weeks without a scheduler, clocks that are set.
//!
//! `SEEDS=200 cargo test -p provisioning-store --test store years` runs more of them; `SEED=17` replays one.

mod actions;
mod dice;

use std::collections::{BTreeMap, BTreeSet};

use provisioning_store::ledger::{Account, LedgerEntry, LedgerOp, Outcome, Refusal, TransferKind};
use provisioning_store::lifecycle::agenda::{Due, Duty, due_now};
use provisioning_store::lifecycle::{PriceList, Renewal, Subscription, Terms};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{CompanyId, NumberId, ProfileId, Timestamp};
use provisioning_store::store::{Durability, Store, StoreOptions};

use self::dice::Dice;
use crate::world::*;

/// Days that are lived through.
pub(crate) const DAYS: i64 = 730;
/// Seeds that are run where `SEEDS` does not say otherwise.
const SEEDS: u64 = 1;

/// A world of companies, and everything that was ever seen of it.
pub(crate) struct World {
    dice: Dice,
    books: LedgerState,
    prices: PriceList,
    terms: Terms,
    companies: i64,
    /// Profiles that were ever opened, by number.
    profiles: i64,
    numbers: i64,
    /// Live calls and when they began.
    calls: Vec<(String, Timestamp)>,
    calls_made: u64,
    /// Days for which no scheduler runs yet.
    asleep: i64,
    pub(crate) today: Vec<(LedgerEntry, Result<Outcome, Refusal>)>,
    seen: Seen,
}

/// What the daily checks have counted so far, so that each movement is looked at once.
#[derive(Default)]
struct Seen {
    transfers: usize,
    cdrs: usize,
    sums: BTreeMap<Account, i64>,
    charged: BTreeMap<String, i64>,
    reported: BTreeMap<String, i64>,
    paid_periods: BTreeSet<(ProfileId, i64)>,
    /// Payments that the operations told of, and those that the ledger shows.
    payments: u64,
    paid: u64,
    paid_terms: BTreeSet<(NumberId, i64, i64)>,
    events: u64,
}

impl World {
    pub(crate) fn new(seed: u64, companies: i64) -> Self {
        let mut world = Self {
            dice: Dice::new(seed),
            books: LedgerState::default(),
            prices: PriceList::default(),
            terms: Terms::default(),
            companies,
            profiles: 0,
            numbers: 0,
            calls: Vec::new(),
            calls_made: 0,
            asleep: 0,
            today: Vec::new(),
            seen: Seen::default(),
        };
        for company in 1..=companies {
            world.done(start(), LedgerOp::OpenCompany { company: CompanyId(company) }).unwrap();
            world.open_profile(start(), CompanyId(company));
        }
        world
    }

    fn done(&mut self, at: Timestamp, op: LedgerOp) -> Result<Outcome, Refusal> {
        let outcome = self.books.apply(at, op.clone());
        self.note(&op, &outcome);
        self.today.push((LedgerEntry { at, op }, outcome.clone()));
        outcome
    }

    /// Each period and each term is paid for once.
    fn note(&mut self, op: &LedgerOp, outcome: &Result<Outcome, Refusal>) {
        self.seen.events += 1;
        match (op, outcome) {
            (
                LedgerOp::Subscribe { profile, .. } | LedgerOp::CompletePeriod { profile, .. },
                Ok(Outcome::Subscribed { subscription, .. }),
            ) => {
                let is_new = self.seen.paid_periods.insert((*profile, subscription.period));
                assert!(is_new, "period {} of profile {profile} was paid twice", subscription.period);
                self.seen.payments += 1;
            }
            (
                LedgerOp::LeaseNumber { number, .. } | LedgerOp::CompleteTerm { number, .. },
                Ok(Outcome::Leased(lease)),
            ) if lease.renewal == Renewal::Automatic => {
                let is_new = self.seen.paid_terms.insert((*number, lease.term, lease.paid_until.0));
                assert!(is_new, "term {} of number {number} was paid twice", lease.term);
                self.seen.payments += 1;
            }
            _ => {}
        }
    }

    fn open_profile(&mut self, at: Timestamp, company: CompanyId) {
        self.profiles += 1;
        let profile = ProfileId(self.profiles);
        self.done(at, LedgerOp::OpenProfile { profile, company }).unwrap();
    }

    fn subscription(&self, profile: ProfileId) -> Option<Subscription> {
        self.books.books().subscriber(profile).ok()?.subscription
    }

    /// What the scheduler does, with the pure functions that it does it by.
    pub(crate) fn do_due(&mut self, now: Timestamp) -> Vec<Due> {
        let mut done = Vec::new();
        loop {
            let due = due_now(self.books.books().agenda(self.terms), now);
            if due.is_empty() {
                break;
            }
            for due in due {
                let before = match due.duty {
                    Duty::CompletePeriod { profile, .. } => self.subscription(profile),
                    _ => None,
                };
                let op = due.operation(&self.prices);
                let outcome = self.books.apply(now, op.clone());
                self.note(&op, &outcome);
                let outcome = outcome.expect("what is due is not refused");
                assert_ne!(outcome, Outcome::NotDue, "{due:?}");
                if let (Some(before), Outcome::Subscribed { subscription, .. }) = (before, outcome) {
                    assert_eq!(subscription.bought_at, before.paid_until, "no gap and no overlap");
                }
                done.push(due);
            }
        }
        assert!(
            self.books.books().agenda(self.terms).all(|due| due.at > now),
            "each period that is over is paid, has lapsed or has expired"
        );
        done
    }

    /// What there was of everything.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} profiles, {} calls, {} operations, {} payments",
            self.profiles, self.calls_made, self.seen.events, self.seen.payments
        )
    }

    /// The same of all accounts, moved or not, and of what live calls hold.
    pub(crate) fn check_all(&self) {
        let wrong = self.books.books().imbalances(&self.seen.sums);
        assert_eq!(wrong, [], "money is conserved, nothing is overdrawn");
    }

    /// What must hold every day.
    pub(crate) fn check(&mut self) {
        let seen = &mut self.seen;
        let mut touched = BTreeSet::new();
        for transfer in &self.books.transfers()[seen.transfers..] {
            *seen.sums.entry(transfer.from).or_default() -= transfer.amount;
            *seen.sums.entry(transfer.to).or_default() += transfer.amount;
            touched.extend([transfer.from, transfer.to]);
            match (transfer.kind, &transfer.call) {
                (TransferKind::CallCharge, Some(call)) => {
                    *seen.charged.entry(call.to_string()).or_default() += transfer.amount;
                }
                (TransferKind::Subscription | TransferKind::NumberFee, _) => seen.paid += 1,
                _ => {}
            }
        }
        for cdr in &self.books.cdrs()[seen.cdrs..] {
            if cdr.settlement.amount.0 > 0 {
                *seen.reported.entry(cdr.call.to_string()).or_default() += cdr.settlement.amount.0;
            }
        }
        (seen.transfers, seen.cdrs) = (self.books.transfers().len(), self.books.cdrs().len());
        for account in touched {
            let balance = self.books.books().balance(account);
            assert_eq!(balance.balance, seen.sums[&account], "{account} is the sum of its movements");
            assert!(!account.has_floor() || balance.available() >= 0, "{account} is overdrawn");
        }
        // A call is charged when it is recorded, so no day leaves anything over to the next.
        assert_eq!(seen.charged, seen.reported, "reports equal the ledger");
        seen.charged.clear();
        seen.reported.clear();
        for profile in (1..=self.profiles).map(ProfileId) {
            let Some(subscription) = self.subscription(profile) else { continue };
            assert!(subscription.bundles <= subscription.channels);
            let in_use = self.books.books().channels_in_use(profile);
            assert!(in_use <= 300, "{in_use} calls at once");
        }
        assert_eq!(self.seen.paid, self.seen.payments, "one payment for each period and term");
    }
}

/// The seeds to run, and the command that replays one.
pub(crate) fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[tokio::test]
async fn two_years_on_a_database_end_as_the_oracle_says() {
    let home = Home::new();
    let store = Store::open(StoreOptions { durability: Durability::Crash, ..home.options() }).await.unwrap();
    let mut world = World::new(seeds()[0], 6);
    for day in 0..DAYS {
        let now = world.live_a_day(day);
        let (entries, expected): (Vec<_>, Vec<_>) = std::mem::take(&mut world.today).into_iter().unzip();
        assert_eq!(store.apply(&entries).await.unwrap(), expected, "day {day}");
        if world.is_scheduler_awake() {
            let done = store.do_due(now, &world.prices, world.terms).await.unwrap();
            let done: Vec<Due> = done.into_iter().map(|(due, _)| due).collect();
            assert_eq!(done, world.do_due(now), "day {day}");
        }
        world.check();
        world.check_all();
        assert_eq!(store.verify().await.unwrap(), [], "day {day}");
        for (account, balance) in store.balances().await.unwrap() {
            assert_eq!(balance, world.books.books().balance(account), "day {day}: {account}");
        }
    }
    println!("{}", world.summary());
}
