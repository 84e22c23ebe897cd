//! The state that the rules work on, and the record of what they changed.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Balance, Transfer, TransferKind, Unit};
use super::guard::Spending;
use super::on_hand::Held;
use super::operation::{LedgerEntry, LedgerOp, Outcome, Refusal};
use super::reservation::{Reservation, ReservePolicy};
use crate::cdr::{CallId, Cdr, Settlement};
use crate::lifecycle::agenda::Due;
use crate::lifecycle::{NumberLease, Renewal, Subscription, Terms};
use crate::model::{CompanyId, GuardOverrides, NumberId, ProfileId, Recharge, Timestamp};
use crate::money::Micros;

/// What the books know of a profile beside its accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The company that pays.
    pub company: CompanyId,
    /// The latest subscription.
    pub subscription: Option<Subscription>,
    /// The profile's recharge.
    pub recharge: Option<Recharge>,
    /// The profile's own spend guard.
    pub guard: GuardOverrides,
    /// When the account was closed: the profile is deleted, and only its last calls still end.
    pub closed_at: Option<Timestamp>,
}

/// All accounts and live calls, or the part of them that a batch of operations touches.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub(crate) accounts: BTreeMap<Account, Balance>,
    pub(crate) subscribers: BTreeMap<ProfileId, Subscriber>,
    pub(crate) spending: BTreeMap<ProfileId, Spending>,
    /// Numbers that companies pay for.
    pub(crate) leases_of_numbers: BTreeMap<NumberId, NumberLease>,
    live: BTreeMap<CallId, Reservation>,
    leases: BTreeMap<ProfileId, BTreeSet<CallId>>,
    /// Live calls of a profile that a partial load has left in the database.
    elsewhere: BTreeMap<ProfileId, usize>,
    /// The same by country, where a spend guard wants to know.
    elsewhere_to: BTreeMap<(ProfileId, String), usize>,
    finished: BTreeMap<CallId, Settlement>,
    /// What is on hand for a profile, where it is anything.
    pub(crate) holds: BTreeMap<ProfileId, Held>,
    changes: Changes,
}

/// By how much an account changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Change of the balance.
    pub balance: i64,
    /// Change of the reserved part.
    pub reserved: i64,
}

/// Everything that operations changed since it was last taken: what a database has to write.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New movements, oldest first.
    pub transfers: Vec<Transfer>,
    /// New records, oldest first.
    pub cdrs: Vec<Cdr>,
    /// Accounts that are new.
    pub opened: BTreeSet<Account>,
    /// Accounts that changed, new ones too, and by how much.
    pub differences: BTreeMap<Account, Difference>,
    /// Calls whose reservation is new, changed or gone.
    pub calls: BTreeSet<CallId>,
    /// Those of them that were not live before.
    pub new_calls: BTreeSet<CallId>,
    /// Profiles whose subscription, recharge or spend guard changed.
    pub profiles: BTreeSet<ProfileId>,
    /// Profiles for which more or less is on hand than before.
    pub holds: BTreeSet<ProfileId>,
    /// Profiles whose spending changed.
    pub spending: BTreeSet<ProfileId>,
    /// Numbers whose lease is new, changed or gone.
    pub numbers: BTreeSet<NumberId>,
}

/// A way in which books are wrong. There are none in sound books.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// An account is not what its transfers say.
    #[error("{account} holds {balance}, but its transfers sum to {sum}")]
    NotItsSum {
        /// The account.
        account: Account,
        /// What it holds.
        balance: i64,
        /// What its transfers sum to.
        sum: i64,
    },
    /// An account's reserved part is not what its live calls and what is on hand hold.
    #[error("{account} has {reserved} reserved, but its live calls and what is on hand hold {held}")]
    NotHeld {
        /// The account.
        account: Account,
        /// What it says.
        reserved: i64,
        /// What they say.
        held: i64,
    },
    /// An account is overdrawn.
    #[error("{account} is overdrawn: {balance} with {reserved} reserved")]
    Overdrawn {
        /// The account.
        account: Account,
        /// What it holds.
        balance: i64,
        /// What of it is reserved.
        reserved: i64,
    },
    /// A call was charged otherwise than its record says, or has no record.
    #[error("call {call} has a record of {recorded} {unit:?}, but the ledger charged {charged}")]
    NotItsRecord {
        /// The call.
        call: CallId,
        /// Of what.
        unit: Unit,
        /// What its record says; 0 if there is none.
        recorded: i64,
        /// What its transfers come to.
        charged: i64,
    },
    /// All accounts of a unit together must hold nothing.
    #[error("{total} {unit:?} were made or lost")]
    MadeOrLost {
        /// What was made or lost.
        unit: Unit,
        /// How much.
        total: i64,
    },
}

impl Books {
    /// Books with nothing but the accounts that belong to nobody.
    pub fn new() -> Self {
        let common = [Account::External, Account::Revenue, Account::Minutes, Account::MinutesUsed];
        Self { accounts: common.map(|account| (account, Balance::default())).into(), ..Self::default() }
    }

    /// Does one operation, whole or not at all.
    pub fn apply(&mut self, policy: ReservePolicy, entry: &LedgerEntry) -> Result<Outcome, Refusal> {
        let now = entry.at;
        match &entry.op {
            LedgerOp::OpenCompany { company } => self.open_company(*company),
            LedgerOp::OpenProfile { profile, company } => self.open_profile(*profile, *company),
            LedgerOp::TopUp { company, amount, note } => self.top_up(now, *company, *amount, note),
            LedgerOp::Correct { company, amount, note } => self.correct(now, *company, *amount, note),
            LedgerOp::GiveBack { company, amount, note } => self.give_back(now, *company, *amount, note),
            LedgerOp::Allocate { profile, amount } => self.allocate(now, *profile, *amount),
            LedgerOp::TakeBack { profile, amount } => self.take_back(now, *profile, *amount),
            LedgerOp::SetRecharge { profile, recharge } => self.set_recharge(*profile, *recharge),
            LedgerOp::SetGuard { profile, guard } => self.set_guard(&policy, *profile, **guard),
            LedgerOp::ReleaseGuard { profile } => self.release_guard(now, *profile),
            LedgerOp::Subscribe { profile, order, prices } => self.subscribe(now, *profile, *order, prices),
            LedgerOp::CancelSubscription { profile } => self.cancel_subscription(now, *profile),
            LedgerOp::ExtendSubscription { profile } => self.extend_subscription(now, *profile),
            LedgerOp::CompletePeriod { profile, period, prices } => {
                self.complete_period(now, *profile, *period, prices)
            }
            LedgerOp::CloseProfile { profile, closing } => self.close_profile(now, *profile, *closing),
            LedgerOp::LeaseNumber { number, company, offer } => {
                self.lease_number(now, *number, *company, offer)
            }
            LedgerOp::CancelNumber { number } => self.cancel_number(*number),
            LedgerOp::KeepNumber { number } => self.keep_number(*number),
            LedgerOp::CompleteTerm { number, term } => self.complete_term(now, *number, *term),
            LedgerOp::ReleaseNumber { number, term } => Ok(self.release_number(*number, *term)),
            LedgerOp::Reserve { call, profile, attempt } => {
                self.reserve(now, policy, call, *profile, attempt)
            }
            LedgerOp::Answer { call, at, known } => self.answer(call, *at, known.as_deref()),
            LedgerOp::Extend { call, elapsed_s } => self.extend(now, policy, call, *elapsed_s),
            LedgerOp::Settle { call, record } => Ok(self.settle(now, call, record)),
            LedgerOp::Void { call, record } => Ok(self.void(now, call, record)),
            LedgerOp::Expire { call } => self.expire(now, call),
            LedgerOp::Hold { profile, credit, bundle_s } => {
                self.keep_on_hand(now, &policy, *profile, (*credit, *bundle_s))
            }
            LedgerOp::Adopt { granted } => self.adopt(now, granted),
        }
    }

    /// An account's state; an unknown account is empty.
    pub fn balance(&self, account: Account) -> Balance {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// What the books know of a profile; of a deleted one, nothing.
    pub fn subscriber(&self, profile: ProfileId) -> Result<&Subscriber, Refusal> {
        let open = self.subscribers.get(&profile).filter(|subscriber| subscriber.closed_at.is_none());
        open.ok_or(Refusal::UnknownProfile(profile))
    }

    /// The company of a profile whose account is closed.
    pub(crate) fn closed(&self, profile: ProfileId) -> Option<CompanyId> {
        let subscriber = self.subscribers.get(&profile)?;
        subscriber.closed_at.map(|_| subscriber.company)
    }

    /// True when the seconds of a period are worth nothing any more.
    pub(super) fn has_ended(&self, profile: ProfileId, period: i64) -> bool {
        let Some(subscriber) = self.subscribers.get(&profile) else { return false };
        let ended = |it: Subscription| {
            it.period != period || matches!(it.renewal, Renewal::Unpaid | Renewal::Expired)
        };
        subscriber.closed_at.is_some() || subscriber.subscription.is_some_and(ended)
    }

    /// The terms on which a company has a number.
    pub fn number_lease(&self, number: NumberId) -> Result<&NumberLease, Refusal> {
        self.leases_of_numbers.get(&number).ok_or(Refusal::NotLeased(number))
    }

    /// What falls due next of every profile and number, in no order; see [`crate::lifecycle::agenda`].
    pub fn agenda(&self, terms: Terms) -> impl Iterator<Item = Due> {
        let open = self.subscribers.iter().filter(|(_, subscriber)| subscriber.closed_at.is_none());
        let periods = open.filter_map(move |(&profile, subscriber)| {
            let subscription = subscriber.subscription.as_ref()?;
            Some(Due::of_subscription((profile, subscriber.company), subscription, terms))
        });
        let numbers = self.leases_of_numbers.iter().map(move |(&number, lease)| {
            let credit = Micros(self.balance(Account::Company(lease.company)).available());
            Due::of_number(number, lease, credit, terms)
        });
        periods.chain(numbers)
    }

    /// Live calls, in the order of their names.
    pub fn live_calls(&self) -> impl Iterator<Item = &Reservation> {
        self.live.values()
    }

    /// A live call.
    pub fn live_call(&self, call: &CallId) -> Option<&Reservation> {
        self.live.get(call)
    }

    /// Channels of a profile in use: the size of its set of live calls.
    pub fn channels_in_use(&self, profile: ProfileId) -> usize {
        self.leases.get(&profile).map_or(0, BTreeSet::len)
            + self.elsewhere.get(&profile).copied().unwrap_or(0)
    }

    /// What is on hand for a profile.
    pub fn on_hand(&self, profile: ProfileId) -> Held {
        self.holds.get(&profile).copied().unwrap_or_default()
    }

    /// Takes out what changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Puts in a live call that a database has loaded. If it was counted among those left there, it is no longer.
    pub(crate) fn load_live(&mut self, reservation: Reservation) {
        if !self.live.contains_key(&reservation.call) {
            self.no_longer_elsewhere(&reservation);
        }
        self.insert_live(reservation);
    }

    fn no_longer_elsewhere(&mut self, Reservation { profile, attempt, .. }: &Reservation) {
        if let Some(count) = self.elsewhere.get_mut(profile) {
            *count = count.saturating_sub(1);
        }
        if attempt.is_dialled()
            && let Some(count) = self.elsewhere_to.get_mut(&(*profile, attempt.country.clone()))
        {
            *count = count.saturating_sub(1);
        }
    }

    fn insert_live(&mut self, reservation: Reservation) {
        self.leases.entry(reservation.profile).or_default().insert(reservation.call.clone());
        self.live.insert(reservation.call.clone(), reservation);
    }

    /// Says how many live calls a profile has in the database, those loaded included.
    pub(crate) fn load_lease_count(&mut self, profile: ProfileId, count: usize) {
        let loaded = self.leases.get(&profile).map_or(0, BTreeSet::len);
        self.elsewhere.insert(profile, count.saturating_sub(loaded));
    }

    /// Says how many live calls a profile has to a country in the database, those loaded included.
    pub(crate) fn load_calls_to(&mut self, profile: ProfileId, country: String, count: usize) {
        let loaded = self.calls_to(profile, &country);
        self.elsewhere_to.insert((profile, country), count.saturating_sub(loaded));
    }

    /// Puts in a finished call that a database has loaded.
    pub(crate) fn load_finished(&mut self, call: CallId, settlement: Settlement) {
        self.finished.insert(call, settlement);
    }

    /// A profile's live calls that are loaded.
    pub(super) fn leased(&self, profile: ProfileId) -> impl Iterator<Item = &Reservation> {
        self.leases.get(&profile).into_iter().flatten().filter_map(|call| self.live.get(call))
    }

    /// Live calls of a profile to a country that a partial load has left in the database.
    pub(super) fn elsewhere_to(&self, profile: ProfileId, country: &str) -> usize {
        self.elsewhere_to.get(&(profile, country.to_owned())).copied().unwrap_or(0)
    }

    /// Lets go of what is known of calls that are over.
    pub(crate) fn forget_finished(&mut self) {
        self.finished.clear();
    }

    pub(super) fn finished(&self, call: &CallId) -> Option<Settlement> {
        self.finished.get(call).copied()
    }

    pub(super) fn open(&mut self, account: Account) {
        self.accounts.entry(account).or_default();
        self.changes.opened.insert(account);
    }

    /// Moves `amount` and writes it down. The caller has checked that it is there to be moved.
    pub(super) fn transfer(
        &mut self,
        at: Timestamp,
        kind: TransferKind,
        (from, to): (Account, Account),
        amount: i64,
        why: Why<'_>,
    ) {
        debug_assert!(from.unit() == to.unit() && amount >= 0);
        if amount == 0 {
            return;
        }
        self.change(from, Difference { balance: -amount, reserved: 0 });
        self.change(to, Difference { balance: amount, reserved: 0 });
        let (call, profile, note) = match why {
            Why::Call(call) => (Some(call.clone()), None, String::new()),
            Why::Profile(profile, note) => (None, Some(profile), note.to_owned()),
            Why::Note(note) => (None, None, note.to_owned()),
        };
        self.changes.transfers.push(Transfer { at, kind, from, to, amount, call, profile, note });
    }

    /// Reserves `amount` more of an account, or frees some below zero.
    pub(super) fn hold(&mut self, account: Account, amount: i64) {
        if amount != 0 {
            self.change(account, Difference { balance: 0, reserved: amount });
        }
    }

    fn change(&mut self, account: Account, by: Difference) {
        let state = self.accounts.entry(account).or_default();
        state.balance += by.balance;
        state.reserved += by.reserved;
        let sum = self.changes.differences.entry(account).or_default();
        sum.balance += by.balance;
        sum.reserved += by.reserved;
    }

    pub(super) fn set_on_hand(&mut self, profile: ProfileId, held: Held) {
        self.changes.holds.insert(profile);
        if held.is_nothing() {
            self.holds.remove(&profile);
        } else {
            self.holds.insert(profile, held);
        }
    }

    pub(super) fn subscriber_mut(&mut self, profile: ProfileId) -> Option<&mut Subscriber> {
        self.changes.profiles.insert(profile);
        self.subscribers.get_mut(&profile)
    }

    pub(super) fn keep_spending(&mut self, profile: ProfileId, spending: Spending) {
        self.changes.spending.insert(profile);
        self.spending.insert(profile, spending);
    }

    pub(super) fn add_subscriber(&mut self, profile: ProfileId, company: CompanyId) {
        self.changes.profiles.insert(profile);
        let guard = GuardOverrides::default();
        let new = Subscriber { company, subscription: None, recharge: None, guard, closed_at: None };
        self.subscribers.insert(profile, new);
    }

    pub(super) fn keep_lease(&mut self, number: NumberId, lease: NumberLease) {
        self.changes.numbers.insert(number);
        self.leases_of_numbers.insert(number, lease);
    }

    pub(super) fn drop_lease(&mut self, number: NumberId) {
        self.changes.numbers.insert(number);
        self.leases_of_numbers.remove(&number);
    }

    /// Puts in a new or changed live call.
    pub(super) fn keep(&mut self, reservation: Reservation) {
        if !self.live.contains_key(&reservation.call) {
            self.changes.new_calls.insert(reservation.call.clone());
        }
        self.changes.calls.insert(reservation.call.clone());
        self.insert_live(reservation);
    }

    /// Takes a live call out.
    pub(crate) fn release(&mut self, call: &CallId) -> Option<Reservation> {
        let reservation = self.live.remove(call)?;
        self.changes.calls.insert(call.clone());
        if let Some(calls) = self.leases.get_mut(&reservation.profile) {
            calls.remove(call);
        }
        Some(reservation)
    }

    /// Writes a call's record; its name is used up.
    pub(super) fn record(&mut self, cdr: Cdr) {
        self.finished.insert(cdr.call.clone(), cdr.settlement);
        self.changes.cdrs.push(cdr);
    }

    /// Everything that is wrong with these books, given what each account's transfers sum to.
    pub fn imbalances(&self, sums: &BTreeMap<Account, i64>) -> Vec<Imbalance> {
        imbalances(&self.accounts, sums, &held(self.live.values(), &self.holds))
    }
}

/// What a movement is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why<'a> {
    /// A call.
    Call(&'a CallId),
    /// A profile, with what it is in words.
    Profile(ProfileId, &'a str),
    /// An administrator's word.
    Note(&'a str),
}

/// What live calls hold and what is on hand, by account.
fn held<'a>(
    calls: impl Iterator<Item = &'a Reservation>,
    holds: &BTreeMap<ProfileId, Held>,
) -> BTreeMap<Account, i64> {
    let mut sums = BTreeMap::new();
    let holds = holds.iter().map(|(&profile, &held)| (profile, held));
    for (profile, held) in calls.map(|call| (call.profile, call.held())).chain(holds) {
        *sums.entry(Account::Profile(profile)).or_default() += held.credit.0;
        let bundle = Account::Bundle { profile, period: held.bundle_period };
        *sums.entry(bundle).or_default() += i64::from(held.bundle_s);
    }
    sums
}

/// Everything that is wrong with these accounts, given their transfers' sums and what is held of them.
pub(crate) fn imbalances(
    accounts: &BTreeMap<Account, Balance>,
    sums: &BTreeMap<Account, i64>,
    held: &BTreeMap<Account, i64>,
) -> Vec<Imbalance> {
    let mut wrong = Vec::new();
    let mut totals = BTreeMap::from([(Unit::Micros, 0), (Unit::Seconds, 0)]);
    let names: BTreeSet<_> = accounts.keys().chain(sums.keys()).chain(held.keys()).copied().collect();
    for account in names {
        let Balance { balance, reserved } = accounts.get(&account).copied().unwrap_or_default();
        let sum = sums.get(&account).copied().unwrap_or(0);
        let held = held.get(&account).copied().unwrap_or(0);
        *totals.entry(account.unit()).or_default() += balance;
        if balance != sum {
            wrong.push(Imbalance::NotItsSum { account, balance, sum });
        }
        if reserved != held {
            wrong.push(Imbalance::NotHeld { account, reserved, held });
        }
        if account.has_floor() && !(0..=balance).contains(&reserved) {
            wrong.push(Imbalance::Overdrawn { account, balance, reserved });
        }
    }
    let made = totals.into_iter().filter(|(_, total)| *total != 0);
    wrong.extend(made.map(|(unit, total)| Imbalance::MadeOrLost { unit, total }));
    wrong
}
