//! Two years in the life of many companies: random actions, calls, weeks without a scheduler, clocks that are set.
//!
//! `SEEDS=200 cargo test -p provisioning-store --test store years` runs more of them; `SEED=17` replays one.

mod actions;
mod dice;

use std::collections::{BTreeMap, BTreeSet};

use provisioning_store::cdr::CdrFilter;
use provisioning_store::ledger::{
    Account, LedgerEntry, LedgerOp, Outcome, Payer, Refusal, ReservePolicy, TransferKind,
};
use provisioning_store::lifecycle::agenda::{Due, Duty, due_now};
use provisioning_store::lifecycle::{PriceList, Renewal, Subscription, Terms};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{CompanyId, NewCompany, NumberId, ProfileId, ProfileSettings, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::reports::Month;
use provisioning_store::store::{Durability, NewProfile, Store, StoreOptions};

use self::dice::Dice;
use crate::follower::Follower;
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
    /// Movements for calls whose bundle was used up, at the company's expense.
    overflows: u64,
    paid_terms: BTreeSet<(NumberId, i64, i64)>,
    events: u64,
}

impl World {
    pub(crate) fn new(seed: u64, companies: i64) -> Self {
        let mut world = Self {
            dice: Dice::new(seed),
            books: LedgerState::default(),
            // So few minutes that they are used up.
            prices: PriceList { bundle_minutes: 1, ..PriceList::default() },
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
        assert!(self.seen.overflows > 0, "no bundle was ever used up");
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
                (TransferKind::BundleOverflow, _) => seen.overflows += 1,
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
        }
        assert_eq!(self.seen.paid, self.seen.payments, "one payment for each period and term");
    }
}

/// In the first year profiles pay what their bundles do not, in the second their companies.
fn policy(day: i64) -> ReservePolicy {
    let bundle_overflow = if day < DAYS / 2 { Payer::Profile } else { Payer::Company };
    ReservePolicy { bundle_overflow, ..ReservePolicy::default() }
}

/// The seeds to run, and the command that replays one.
pub(crate) fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

/// Whether this opens an account of something that has rows of its own besides the ledger's.
fn opens(entry: &LedgerEntry) -> bool {
    matches!(entry.op, LedgerOp::OpenCompany { .. } | LedgerOp::OpenProfile { .. })
}

/// Makes the company or the profile that the books have opened; false if the entry does neither.
async fn open(store: &Store, entry: &LedgerEntry) -> bool {
    match entry.op {
        LedgerOp::OpenCompany { company } => {
            let name = format!("Company {company}");
            let new = NewCompany { name, country: "US".into(), currency: "USD".into() };
            assert_eq!(store.create_company(entry.at, &new).await.unwrap().id, company);
            true
        }
        LedgerOp::OpenProfile { profile, company } => {
            let (name, settings) = (format!("Profile {profile}"), ProfileSettings::default());
            let new = NewProfile { company, name, settings, order: None };
            assert_eq!(store.create_profile(entry.at, new).await.unwrap().0.id, profile);
            true
        }
        _ => false,
    }
}

/// At the end of a month its statements go on from the last ones' end to the credit there is, and the calls of each profile
/// come to what the ledger has charged.
async fn reports_equal_the_ledger(
    store: &Store,
    month: Month,
    prices: &PriceList,
    closing: &mut BTreeMap<CompanyId, Micros>,
) {
    for company in store.companies().await.unwrap() {
        let statement = store.statement(company.id, month, prices).await.unwrap();
        let before = closing.insert(company.id, statement.closing).unwrap_or_default();
        assert_eq!((statement.opening, statement.closing), (before, company.credit), "{month}: {company:?}");
        let moved: i64 = statement.rows.iter().map(|row| row.amount.0).sum();
        assert_eq!(statement.closing.0 - statement.opening.0, moved, "{month}: {company:?}");
    }
    for profile in store.profiles(None).await.unwrap() {
        let usage = store.usage(profile.id, month).await.unwrap().total;
        let ledger = store.usage_by_ledger(profile.id, month).await.unwrap();
        assert_eq!((usage.amount, usage.bundle_s), (ledger.amount, ledger.bundle_s), "{month}: {profile:?}");
        let files = store.latest_cdrs(&CdrFilter::of_usage(profile.id, month), u32::MAX).await.unwrap();
        let summed: i64 = files.iter().map(|cdr| cdr.settlement.amount.0).sum();
        assert_eq!((files.len() as u64, summed), (usage.calls, usage.amount.0), "{month}: {profile:?}");
    }
}

#[tokio::test]
async fn two_years_on_a_database_end_as_the_oracle_says() {
    let home = Home::new();
    let store = Store::open(StoreOptions { durability: Durability::Crash, ..home.options() }).await.unwrap();
    let mut world = World::new(seeds()[0], 6);
    let mut closing = BTreeMap::new();
    let mut follower = Follower::new(&store).await;
    for day in 0..DAYS {
        store.use_policy(policy(day));
        let now = world.live_a_day(day);
        for done in std::mem::take(&mut world.today).chunk_by(|one, next| !opens(&one.0) && !opens(&next.0)) {
            let (entries, expected): (Vec<_>, Vec<_>) = done.iter().cloned().unzip();
            if !open(&store, &entries[0]).await {
                assert_eq!(store.apply(&entries).await.unwrap(), expected, "day {day}");
            }
        }
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
        follower.follow(&store).await;
        follower.knows_all(&store, &format!("day {day}")).await;
        if Month::of(now.plus_days(1)) != Month::of(now) {
            reports_equal_the_ledger(&store, Month::of(now), &world.prices, &mut closing).await;
        }
    }
    println!("{}", world.summary());
}
