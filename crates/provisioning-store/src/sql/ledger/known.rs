//! What a gateway's writer knows of the books, and keeps from one batch to the next: while nobody else writes, a batch
//! need not read.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::query::query_as;
use super::super::rows::{HoldRow, ReservationRow, SettlementRow, SubscriberRow, narrow, word};
use super::super::{Connection, chunks, failed, leases, profiles, statements, with_list, with_owners_list};
use super::Author;
use super::changes::{Premise, Written};
use super::sheet::Sheet;
use crate::cdr::CallId;
use crate::error::StoreError;
use crate::ledger::{
    Account, Balance, Books, Changes, LedgerEntry, LedgerOp, Outcome, Refusal, Reservation, ReservePolicy,
};
use crate::model::{CompanyId, NumberId, ProfileId};

/// Accounts that belong to nobody; every batch may touch them.
const COMMON: [Account; 4] = [Account::External, Account::Revenue, Account::Minutes, Account::MinutesUsed];
/// Accounts that are kept in mind; with more, everything is read anew.
const MOST_ACCOUNTS: usize = 500_000;

/// How a call that is not live is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// What is reserved or recorded is new: if it is not, writing it is a conflict.
    Trusting,
    /// It is looked up whether it is over.
    Looking,
}

/// Where what is known lies between batches. A lock, because a database handle is shared; it is never held for longer
/// than it takes to move a value.
#[derive(Debug, Default)]
pub(in crate::sql) struct Shelf {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Box<Known>>,
    /// Counts the transactions that have begun: whoever puts something back must be the latest.
    begun: u64,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else is about to write by the same connection, or it is a new one: forgets.
    pub(in crate::sql) fn clear(&self) {
        let mut state = self.lock();
        state.known = None;
        state.begun += 1;
    }

    /// Takes what the owner knows, if anything, and a ticket to put it back. Called inside the transaction.
    pub(super) fn take(&self, owner: &str) -> (Option<Box<Known>>, Ticket) {
        let mut state = self.lock();
        state.begun += 1;
        (state.known.take().filter(|known| known.owner == owner), Ticket(state.begun))
    }

    /// Keeps what is known after the transaction is committed.
    pub(super) fn put(&self, mut known: Box<Known>, ticket: Ticket) {
        known.books.forget_finished();
        let mut state = self.lock();
        if state.begun == ticket.0 && known.books.accounts.len() <= MOST_ACCOUNTS {
            state.known = Some(known);
        }
    }
}

/// The right to put back what was taken from the shelf.
pub(super) struct Ticket(u64);

/// What the rules said of a batch.
pub(super) struct Decided<'e> {
    pub(super) outcomes: Vec<Result<Outcome, Refusal>>,
    pub(super) premise: Premise<'e>,
    changes: Changes,
}

/// What is missing before a batch can be decided.
pub(super) enum Gap {
    Nothing,
    /// All there is of these profiles, and nothing else.
    Profiles(Vec<i64>),
    Other,
}

/// A part of the books as the database has it, and which part that is.
#[derive(Debug)]
pub(super) struct Known {
    books: Books,
    owner: String,
    /// The database's version that was read.
    version: i64,
    /// Whether the owner's live calls are known, all of them.
    has_calls: bool,
    // What was looked for, found or not.
    accounts: BTreeSet<Account>,
    profiles: BTreeSet<i64>,
    leases: BTreeSet<i64>,
    countries: BTreeSet<i64>,
    numbers: BTreeSet<i64>,
}

impl Known {
    /// Knows nothing yet.
    pub(super) async fn new(connection: &mut Connection, owner: &str) -> Result<Box<Self>, StoreError> {
        Ok(Box::new(Self {
            books: Books::default(),
            owner: owner.to_owned(),
            version: connection.version().await?,
            has_calls: false,
            accounts: BTreeSet::new(),
            profiles: BTreeSet::new(),
            leases: BTreeSet::new(),
            countries: BTreeSet::new(),
            numbers: BTreeSet::new(),
        }))
    }

    /// Does a batch inside a transaction that the caller commits.
    pub(super) async fn apply(
        &mut self,
        connection: &mut Connection,
        author: Author<'_>,
        entries: &[LedgerEntry],
        care: Care,
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        self.read(connection, author.policy, entries, care).await?;
        let decided = self.decide(author.policy, entries, care);
        self.written(&decided).write(connection, &decided.premise).await?;
        // Both are rare, so they are no part of the script.
        leases::write(connection, &self.books, &decided.changes).await?;
        profiles::delete_closed(connection, &self.books, &decided.changes).await?;
        Ok(decided.outcomes)
    }

    /// What the rules say of a batch that touches nothing but what is known.
    pub(super) fn decide<'e>(
        &mut self,
        policy: ReservePolicy,
        entries: &'e [LedgerEntry],
        care: Care,
    ) -> Decided<'e> {
        let outcomes: Vec<_> = entries.iter().map(|entry| self.books.apply(policy, entry)).collect();
        let refused = entries.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_err());
        let unused = match care {
            Care::Trusting => refused.filter_map(|(entry, _)| entry.op.reserved()).collect(),
            Care::Looking => Vec::new(),
        };
        let premise = Premise { version: self.version, unused };
        Decided { outcomes, premise, changes: self.books.take_changes() }
    }

    /// What a batch changed, as it is written by the script.
    pub(super) fn written(&self, decided: &Decided<'_>) -> Written {
        Written::new(&self.owner, &decided.premise, &self.books, &decided.changes)
    }

    /// Whether a batch changes nothing but what the script writes.
    pub(super) fn is_all_in_the_script(&self, decided: &Decided<'_>) -> bool {
        let changes = &decided.changes;
        changes.numbers.is_empty() && !changes.profiles.iter().any(|it| self.books.closed(*it).is_some())
    }

    /// What is missing before a batch that consists of new calls, and of what happens to live ones, can be decided.
    pub(super) fn gap(&self, policy: ReservePolicy, entries: &[LedgerEntry]) -> Gap {
        let mut touched = Touched::by(entries);
        let is_known = |call: &CallId| self.books.live_call(call).is_some() || touched.written.contains(call);
        let is_of_calls = touched.companies.is_empty() && touched.numbers.is_empty();
        if !is_of_calls || !self.has_calls || !touched.calls.iter().all(is_known) {
            return Gap::Other;
        }
        let mut accounts = self.accounts_of_calls(&mut touched);
        let (known, unknown): (Vec<i64>, Vec<i64>) = touched.profiles.iter().partition(|&profile| {
            let has_lease = !touched.leases.contains(profile) || self.leases.contains(profile);
            has_lease && self.profiles.contains(profile)
        });
        accounts.extend(known.iter().flat_map(|&profile| self.accounts_of(ProfileId(profile))));
        let is_counted =
            |profile: &i64| self.countries.contains(profile) || !self.is_limited(policy, *profile);
        if !accounts.is_subset(&self.accounts) || !known.iter().all(is_counted) {
            Gap::Other
        } else if unknown.is_empty() {
            Gap::Nothing
        } else if policy.guard.calls_to_one_country.is_some() {
            Gap::Other
        } else {
            Gap::Profiles(unknown)
        }
    }

    /// The accounts of live calls that a batch touches, whose profiles it touches too.
    fn accounts_of_calls(&self, touched: &mut Touched) -> BTreeSet<Account> {
        let mut accounts = BTreeSet::from(COMMON);
        for call in touched.calls.iter().filter_map(|call| self.books.live_call(call)) {
            touched.profiles.insert(call.profile.0);
            accounts.insert(Account::Bundle { profile: call.profile, period: call.bundle_period });
        }
        accounts
    }

    /// The accounts of a profile that is known, and its company's.
    fn accounts_of(&self, profile: ProfileId) -> impl Iterator<Item = Account> + use<> {
        let subscriber = self.books.subscribers.get(&profile);
        let company = subscriber.map(|it| Account::Company(it.company));
        let bought = subscriber.and_then(|it| it.subscription).map(|it| it.period);
        let held = self.books.holds.get(&profile).map(|it| it.bundle_period);
        let bundles = [bought, held].into_iter().flatten();
        let bundles = bundles.map(move |period| Account::Bundle { profile, period });
        [Account::Profile(profile)].into_iter().chain(company).chain(bundles)
    }

    /// Takes in all there is of profiles of which nothing was known.
    pub(super) fn load_sheet(&mut self, profiles: Vec<i64>, sheet: Sheet) -> Result<(), StoreError> {
        self.add_subscribers(sheet.subscribers)?;
        self.add_holds(&sheet.holds)?;
        self.add_accounts(sheet.accounts.into_iter().map(|it| (it.name, it.balance, it.reserved)))?;
        self.add_leases(sheet.leases.into_iter().map(|it| (it.profile_id, it.calls)))?;
        for &profile in &profiles {
            let accounts: Vec<Account> = self.accounts_of(ProfileId(profile)).collect();
            self.accounts.extend(accounts);
        }
        self.profiles.extend(&profiles);
        self.leases.extend(profiles);
        Ok(())
    }

    fn add_subscribers(&mut self, rows: Vec<SubscriberRow>) -> Result<(), StoreError> {
        for row in rows {
            self.books.spending.insert(ProfileId(row.profile_id), row.spending());
            self.books.subscribers.insert(ProfileId(row.profile_id), row.subscriber()?);
        }
        Ok(())
    }

    fn add_holds(&mut self, rows: &[HoldRow]) -> Result<(), StoreError> {
        for row in rows {
            let (profile, held) = row.held()?;
            self.books.holds.insert(profile, held);
        }
        Ok(())
    }

    fn add_accounts(&mut self, rows: impl IntoIterator<Item = (String, i64, i64)>) -> Result<(), StoreError> {
        for (name, balance, reserved) in rows {
            self.books.accounts.insert(word(&name, "an account")?, Balance { balance, reserved });
        }
        Ok(())
    }

    fn add_leases(&mut self, rows: impl IntoIterator<Item = (i64, i64)>) -> Result<(), StoreError> {
        for (profile, count) in rows {
            self.books.load_lease_count(ProfileId(profile), narrow(count, "a number of calls")?);
        }
        Ok(())
    }

    /// Whether a spend guard limits the calls of a profile to one country.
    fn is_limited(&self, policy: ReservePolicy, profile: i64) -> bool {
        let subscriber = self.books.subscribers.get(&ProfileId(profile));
        subscriber.is_some_and(|it| it.guard.over(&policy.guard).calls_to_one_country.is_some())
    }

    /// What is known is what the database will have when this transaction is committed.
    pub(super) fn will_be_committed(&mut self, connection: &Connection) {
        self.version = connection.version_after(self.version);
    }

    /// What an operation would be answered, without writing what it changes.
    pub(super) async fn rehearse(
        &mut self,
        connection: &mut Connection,
        author: Author<'_>,
        entry: &LedgerEntry,
    ) -> Result<Result<Outcome, Refusal>, StoreError> {
        self.read(connection, author.policy, std::slice::from_ref(entry), Care::Looking).await?;
        Ok(self.books.apply(author.policy, entry))
    }

    /// Reads what a batch may touch and is not known.
    async fn read(
        &mut self,
        connection: &mut Connection,
        policy: ReservePolicy,
        entries: &[LedgerEntry],
        care: Care,
    ) -> Result<(), StoreError> {
        let mut touched = Touched::by(entries);
        self.read_calls(connection, &touched, care).await?;
        let mut accounts = self.accounts_of_calls(&mut touched);
        self.read_profiles(connection, &touched.profiles).await?;
        accounts.extend(touched.profiles.iter().flat_map(|&profile| self.accounts_of(ProfileId(profile))));
        self.read_numbers(connection, &touched.numbers).await?;
        for number in &touched.numbers {
            let lease = self.books.leases_of_numbers.get(&NumberId(*number));
            touched.companies.extend(lease.map(|it| it.company));
        }
        accounts.extend(touched.companies.iter().map(|&company| Account::Company(company)));
        self.read_accounts(connection, accounts).await?;
        self.read_leases(connection, &touched.leases).await?;
        self.read_countries(connection, policy, &touched.leases).await
    }

    async fn read_calls(
        &mut self,
        connection: &mut Connection,
        touched: &Touched,
        care: Care,
    ) -> Result<(), StoreError> {
        if touched.calls.is_empty() {
            return Ok(());
        }
        if !self.has_calls {
            let rows: Vec<ReservationRow> = query_as(statements::LIVE_CALLS_OF_OWNER)
                .bind(&self.owner)
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("reading live calls"))?;
            self.add_calls(rows)?;
            self.has_calls = true;
        }
        let is_presumed_new = |call: &&CallId| care == Care::Trusting && touched.written.contains(*call);
        let unknown = |books: &Books| -> Vec<String> {
            let unknown = touched.calls.iter().filter(|call| books.live_call(call).is_none());
            unknown.filter(|call| !is_presumed_new(call)).map(|call| call.as_str().to_owned()).collect()
        };
        for chunk in chunks(&unknown(&self.books)) {
            let statement = with_list(statements::LIVE_CALLS_IN, chunk, "");
            let rows = statement.build_query_as().fetch_all(&mut *connection).await;
            self.add_calls(rows.map_err(failed("reading live calls"))?)?;
        }
        for chunk in chunks(&unknown(&self.books)) {
            let statement = with_list(statements::SETTLEMENTS_IN, chunk, "");
            let rows: Vec<SettlementRow> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("reading call records"))?;
            for row in rows {
                let settlement = row.settlement()?;
                self.books.load_finished(CallId::new(row.call_id), settlement);
            }
        }
        Ok(())
    }

    fn add_calls(&mut self, rows: Vec<ReservationRow>) -> Result<(), StoreError> {
        for row in rows {
            self.books.load_live(Reservation::try_from(row)?);
        }
        Ok(())
    }

    /// What the ledger knows of profiles, and what is on hand for them.
    async fn read_profiles(
        &mut self,
        connection: &mut Connection,
        profiles: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let unknown: Vec<i64> = profiles.difference(&self.profiles).copied().collect();
        for chunk in chunks(&unknown) {
            let statement = with_list(statements::SUBSCRIBERS_IN, chunk, "");
            let rows: Vec<SubscriberRow> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("reading subscribers"))?;
            self.add_subscribers(rows)?;
            let statement = with_owners_list(statements::HOLDS_IN, &self.owner, chunk);
            let rows: Vec<HoldRow> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("reading what is on hand"))?;
            self.add_holds(&rows)?;
        }
        self.profiles.extend(unknown);
        Ok(())
    }

    /// The terms on which companies have numbers.
    async fn read_numbers(
        &mut self,
        connection: &mut Connection,
        numbers: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let unknown: Vec<i64> = numbers.difference(&self.numbers).copied().collect();
        leases::load(connection, &unknown, &mut self.books).await?;
        self.numbers.extend(unknown);
        Ok(())
    }

    async fn read_accounts(
        &mut self,
        connection: &mut Connection,
        accounts: BTreeSet<Account>,
    ) -> Result<(), StoreError> {
        let unknown: Vec<Account> = accounts.difference(&self.accounts).copied().collect();
        let names: Vec<String> = unknown.iter().map(Account::to_string).collect();
        for chunk in chunks(&names) {
            let statement = with_list(statements::ACCOUNTS_IN, chunk, "");
            let rows: Vec<(String, i64, i64)> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("reading accounts"))?;
            self.add_accounts(rows)?;
        }
        self.accounts.extend(unknown);
        Ok(())
    }

    async fn read_leases(
        &mut self,
        connection: &mut Connection,
        profiles: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let unknown: Vec<i64> = profiles.difference(&self.leases).copied().collect();
        for chunk in chunks(&unknown) {
            let statement = with_list(statements::LEASES_IN, chunk, " GROUP BY profile_id");
            let rows: Vec<(i64, i64)> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("counting live calls"))?;
            self.add_leases(rows)?;
        }
        self.leases.extend(unknown);
        Ok(())
    }

    /// Counts live calls by country where a spend guard limits them: the others are spared the work.
    async fn read_countries(
        &mut self,
        connection: &mut Connection,
        policy: ReservePolicy,
        profiles: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let uncounted = profiles.difference(&self.countries).copied();
        let unknown: Vec<i64> = uncounted.filter(|profile| self.is_limited(policy, *profile)).collect();
        for chunk in chunks(&unknown) {
            let statement = with_list(statements::DIALLED_IN, chunk, " GROUP BY profile_id, country");
            let rows: Vec<(i64, String, i64)> = statement
                .build_query_as()
                .fetch_all(&mut *connection)
                .await
                .map_err(failed("counting live calls by country"))?;
            for (profile, country, count) in rows {
                self.books.load_calls_to(ProfileId(profile), country, narrow(count, "a number of calls")?);
            }
        }
        self.countries.extend(unknown);
        Ok(())
    }
}

/// What a batch may touch.
#[derive(Default)]
struct Touched {
    calls: BTreeSet<CallId>,
    /// Those of them that are reserved or recorded.
    written: BTreeSet<CallId>,
    profiles: BTreeSet<i64>,
    /// Profiles whose channels in use matter.
    leases: BTreeSet<i64>,
    companies: BTreeSet<CompanyId>,
    numbers: BTreeSet<i64>,
}

impl Touched {
    fn by(entries: &[LedgerEntry]) -> Self {
        let mut touched = Self::default();
        for entry in entries {
            touched.add(&entry.op);
        }
        touched
    }

    fn add(&mut self, op: &LedgerOp) {
        match op {
            LedgerOp::OpenCompany { company }
            | LedgerOp::TopUp { company, .. }
            | LedgerOp::Correct { company, .. }
            | LedgerOp::GiveBack { company, .. } => {
                self.companies.insert(*company);
            }
            LedgerOp::OpenProfile { profile, company } => {
                self.companies.insert(*company);
                self.profiles.insert(profile.0);
            }
            LedgerOp::Allocate { profile, .. }
            | LedgerOp::TakeBack { profile, .. }
            | LedgerOp::SetRecharge { profile, .. }
            | LedgerOp::SetGuard { profile, .. }
            | LedgerOp::ReleaseGuard { profile }
            | LedgerOp::Subscribe { profile, .. }
            | LedgerOp::CancelSubscription { profile }
            | LedgerOp::ExtendSubscription { profile }
            | LedgerOp::CompletePeriod { profile, .. }
            | LedgerOp::CloseProfile { profile, .. }
            | LedgerOp::Hold { profile, .. } => {
                self.profiles.insert(profile.0);
            }
            LedgerOp::LeaseNumber { number, company, .. } => {
                self.companies.insert(*company);
                self.numbers.insert(number.0);
            }
            LedgerOp::CancelNumber { number }
            | LedgerOp::KeepNumber { number }
            | LedgerOp::CompleteTerm { number, .. }
            | LedgerOp::ReleaseNumber { number, .. } => {
                self.numbers.insert(number.0);
            }
            LedgerOp::Reserve { call, profile, .. } => {
                self.calls.insert(call.clone());
                self.written.insert(call.clone());
                self.profiles.insert(profile.0);
                self.leases.insert(profile.0);
            }
            LedgerOp::Adopt { granted } => {
                self.calls.insert(granted.call.clone());
                self.profiles.insert(granted.profile.0);
            }
            LedgerOp::Settle { call, .. } | LedgerOp::Void { call, .. } => {
                self.calls.insert(call.clone());
                self.written.insert(call.clone());
            }
            LedgerOp::Answer { call, .. } | LedgerOp::Extend { call, .. } | LedgerOp::Expire { call } => {
                self.calls.insert(call.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Database;
    use super::super::super::query::query;
    use super::*;
    use crate::store::{Durability, Location};

    /// Everything that a profile may have, no two figures alike, and one that has nothing.
    const PROFILES: [&str; 6] = [
        "INSERT INTO subscribers (profile_id, company_id, channels, bundles, period, bought_at, paid_until, \
         channels_price_micros, bundles_price_micros, bundle_s, renewal, changed_at, closed_at, \
         recharge_threshold_micros, recharge_amount_micros, spend_guard) \
         VALUES (7, 3, 20, 11, 5, 1001, 1002, 1003, 1004, 1005, 'cancelled', 1006, 1007, 1008, 9223372036854775807, \
         '{\"denied\": \"none\", \"warn_percent\": {\"set\": 61}}')",
        "INSERT INTO spending VALUES (7, 2001, 2002, 2003, 1, 2004, 2005, 2006, 0)",
        "INSERT INTO holds VALUES ('me', 7, 4, 3001, 3002), ('other', 7, 5, 3003, 3004)",
        "INSERT INTO accounts VALUES ('company:3', 1, 4001, 1), ('profile:7', 1, 4002, 2), ('bundle:7:5', 1, 4003, 3), \
         ('bundle:7:4', 1, 4004, 4), ('profile:8', 1, 4005, 5)",
        "INSERT INTO reservations (call_id, owner, profile_id, direction, kind, from_number, to_number, destination, \
         country, started_at, bundle_period, bundle_held_s, credit_held_micros, proved_s) VALUES \
         ('1', 'me', 7, 'incoming', 'telephone', '', '', '', '', 1, 0, 0, 0, 0), \
         ('2', 'other', 7, 'incoming', 'telephone', '', '', '', '', 1, 0, 0, 0, 0)",
        "INSERT INTO subscribers (profile_id, company_id) VALUES (8, 3)",
    ];

    #[tokio::test]
    async fn a_sheet_says_of_profiles_what_reading_them_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("sipgw.db"));
        let database = Database::open(&file, Durability::default(), None).await.unwrap();
        let mut writer = database.begin().await.unwrap();
        for statement in PROFILES {
            query(statement).execute(&mut *writer).await.unwrap();
        }
        writer.commit().await.unwrap();

        let profiles = BTreeSet::from([7, 8]);
        let mut reader = database.begin().await.unwrap();
        let mut read = Known::new(&mut reader, "me").await.unwrap();
        let mut by_sheet = Known::new(&mut reader, "me").await.unwrap();
        read.read_profiles(&mut reader, &profiles).await.unwrap();
        let accounts = profiles.iter().flat_map(|&profile| read.accounts_of(ProfileId(profile))).collect();
        read.read_accounts(&mut reader, accounts).await.unwrap();
        read.read_leases(&mut reader, &profiles).await.unwrap();
        drop(reader);

        let mut express = database.express().await.unwrap().unwrap();
        let sheet = Sheet::read(&mut express, "me", &[7, 8]).await.unwrap();
        by_sheet.load_sheet(vec![7, 8], sheet).unwrap();
        assert_eq!(format!("{by_sheet:?}"), format!("{read:?}"));
        let said = format!("{by_sheet:?}");
        for figure in ["1007", "9223372036854775807", "Set(61)", "2005", "3002", "4004"] {
            assert!(said.contains(figure), "{figure} is missing: {said}");
        }
    }
}
