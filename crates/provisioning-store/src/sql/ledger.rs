//! The books in the database: a batch of operations is one transaction.
//!
//! The rows that a batch touches are loaded, the pure rules of [`Books`] decide, and what they changed is written back
//! as conditional differences (`balance = balance + x` where nothing falls below its floor), so that the write itself
//! is the check: if another writer came between, no row matches, the transaction is undone and nothing has happened.
//! However large the batch, it costs about a dozen statements and one sync of the disk.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::query_builder::Separated;

use super::rows::{HoldRow, ReservationRow, SettlementRow, SubscriberRow, guard_text, narrow, word};
use super::touched::Touched;
use super::{Connection, Database, Db, chunks, failed, statements, with_list, with_owners_list, with_values};
use crate::cdr::{Attempt, CallId, Cdr};
use crate::error::StoreError;
use crate::ledger::{
    Account, Balance, Books, Changes, Difference, Held, Imbalance, LedgerEntry, Outcome, Refusal,
    Reservation, ReservePolicy, Spending, Subscriber, Transfer,
};
use crate::model::ProfileId;
use crate::rating::{BundleCover, Tariff};

/// Accounts that belong to nobody; every batch may touch them.
const COMMON: [Account; 4] = [Account::External, Account::Revenue, Account::Minutes, Account::MinutesUsed];

/// Who writes, and how far ahead its calls reserve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    pub(crate) owner: &'a str,
    pub(crate) policy: ReservePolicy,
}

impl Database {
    /// Does a batch in one transaction. A refused operation leaves the others alone; a failing database undoes all.
    pub(crate) async fn apply(
        &self,
        author: Author<'_>,
        entries: &[LedgerEntry],
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        let mut transaction = self.begin().await?;
        let outcomes = apply_in(&mut transaction, author, entries).await?;
        transaction.commit().await.map_err(failed("committing to the ledger"))?;
        Ok(outcomes)
    }

    /// What an operation would be answered now; nothing is written.
    pub(crate) async fn rehearse(
        &self,
        author: Author<'_>,
        entry: LedgerEntry,
    ) -> Result<Result<Outcome, Refusal>, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("rehearsing an operation"))?;
        let mut books = load(&mut reader, author, std::slice::from_ref(&entry)).await?;
        Ok(books.apply(author.policy, &entry))
    }

    /// Live calls of one owner.
    pub(crate) async fn live_calls(&self, owner: &str) -> Result<Vec<Reservation>, StoreError> {
        let rows: Vec<ReservationRow> = sqlx::query_as(statements::LIVE_CALLS_OF_OWNER)
            .bind(owner)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading live calls"))?;
        rows.into_iter().map(Reservation::try_from).collect()
    }

    /// What one owner keeps on hand.
    pub(crate) async fn on_hand(&self, owner: &str) -> Result<BTreeMap<ProfileId, Held>, StoreError> {
        let rows: Vec<HoldRow> = sqlx::query_as(statements::HOLDS_OF_OWNER)
            .bind(owner)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading what is on hand"))?;
        rows.iter().map(HoldRow::held).collect()
    }

    /// Every account.
    pub(crate) async fn balances(&self) -> Result<BTreeMap<Account, Balance>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading accounts"))?;
        balances(&mut reader).await
    }

    /// Everything that is wrong with the books.
    pub(crate) async fn imbalances(&self) -> Result<Vec<Imbalance>, StoreError> {
        // One read transaction, so that all three tables are of the same moment.
        let mut reader = self.reader().begin().await.map_err(failed("verifying the ledger"))?;
        let accounts = balances(&mut reader).await?;
        let mut sums = BTreeMap::new();
        let rows: Vec<(String, i64)> = fetch(&mut reader, statements::TRANSFER_SUMS).await?;
        for (name, sum) in rows {
            sums.insert(word(&name, "an account")?, sum);
        }
        let mut held = BTreeMap::new();
        let rows: Vec<(i64, i64, i64, i64)> = fetch(&mut reader, statements::HELD).await?;
        for (profile, period, credit, seconds) in rows {
            let profile = ProfileId(profile);
            *held.entry(Account::Profile(profile)).or_default() += credit;
            *held.entry(Account::Bundle { profile, period }).or_default() += seconds;
        }
        Ok(crate::ledger::imbalances(&accounts, &sums, &held))
    }
}

async fn balances(connection: &mut Connection) -> Result<BTreeMap<Account, Balance>, StoreError> {
    let rows: Vec<(String, i64, i64)> = fetch(connection, statements::ALL_ACCOUNTS).await?;
    let account = |(name, balance, reserved): (String, i64, i64)| {
        Ok((word(&name, "an account")?, Balance { balance, reserved }))
    };
    rows.into_iter().map(account).collect()
}

async fn fetch<R>(connection: &mut Connection, statement: &'static str) -> Result<Vec<R>, StoreError>
where
    R: for<'r> sqlx::FromRow<'r, <Db as sqlx::Database>::Row> + Send + Unpin,
{
    sqlx::query_as(statement).fetch_all(connection).await.map_err(failed("reading the ledger"))
}

/// Does a batch inside a transaction that the caller commits.
pub(super) async fn apply_in(
    connection: &mut Connection,
    author: Author<'_>,
    entries: &[LedgerEntry],
) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
    let mut books = load(connection, author, entries).await?;
    let outcomes = entries.iter().map(|entry| books.apply(author.policy, entry)).collect();
    let changes = books.take_changes();
    write(connection, author.owner, &books, &changes).await?;
    Ok(outcomes)
}

/// Loads the part of the books that a batch may touch.
async fn load(
    connection: &mut Connection,
    author: Author<'_>,
    entries: &[LedgerEntry],
) -> Result<Books, StoreError> {
    let mut touched = Touched::by(entries);
    let mut books = Books::default();
    let mut accounts = BTreeSet::from(COMMON);
    load_calls(connection, &mut touched, &mut books, &mut accounts).await?;
    let profiles: Vec<i64> = touched.profiles.iter().copied().collect();
    for chunk in chunks(&profiles) {
        let mut statement = with_list(statements::SUBSCRIBERS_IN, chunk, "");
        let rows: Vec<SubscriberRow> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading subscribers"))?;
        for row in rows {
            books.spending.insert(ProfileId(row.profile_id), row.spending());
            books.subscribers.insert(ProfileId(row.profile_id), row.subscriber()?);
        }
    }
    for (&profile, subscriber) in &books.subscribers {
        touched.companies.insert(subscriber.company);
        let bundle = subscriber.subscription.map(|it| Account::Bundle { profile, period: it.period });
        accounts.extend(bundle);
    }
    super::leases::load(connection, &touched.numbers, &mut books).await?;
    touched.companies.extend(books.leases_of_numbers.values().map(|lease| lease.company));
    load_holds(connection, author.owner, &profiles, &mut books, &mut accounts).await?;
    accounts.extend(touched.profiles.iter().map(|&profile| Account::Profile(ProfileId(profile))));
    accounts.extend(touched.companies.iter().map(|&company| Account::Company(company)));
    load_accounts(connection, &mut books, &accounts).await?;
    load_leases(connection, &mut books, &touched.leases).await?;
    load_countries(connection, &mut books, author.policy, &touched.leases).await?;
    Ok(books)
}

async fn load_calls(
    connection: &mut Connection,
    touched: &mut Touched,
    books: &mut Books,
    accounts: &mut BTreeSet<Account>,
) -> Result<(), StoreError> {
    let calls: Vec<String> = touched.calls.iter().cloned().collect();
    for chunk in chunks(&calls) {
        let mut statement = with_list(statements::LIVE_CALLS_IN, chunk, "");
        let rows: Vec<ReservationRow> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading live calls"))?;
        for row in rows {
            let reservation = Reservation::try_from(row)?;
            touched.profiles.insert(reservation.profile.0);
            accounts
                .insert(Account::Bundle { profile: reservation.profile, period: reservation.bundle_period });
            books.load_live(reservation);
        }
    }
    let others: Vec<String> =
        calls.into_iter().filter(|call| books.live_call(&CallId::new(call.as_str())).is_none()).collect();
    for chunk in chunks(&others) {
        let mut statement = with_list(statements::SETTLEMENTS_IN, chunk, "");
        let rows: Vec<SettlementRow> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading call records"))?;
        for row in rows {
            let settlement = row.settlement()?;
            books.load_finished(CallId::new(row.call_id), settlement);
        }
    }
    Ok(())
}

async fn load_holds(
    connection: &mut Connection,
    owner: &str,
    profiles: &[i64],
    books: &mut Books,
    accounts: &mut BTreeSet<Account>,
) -> Result<(), StoreError> {
    for chunk in chunks(profiles) {
        let mut statement = with_owners_list(statements::HOLDS_IN, owner, chunk);
        let rows: Vec<HoldRow> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading what is on hand"))?;
        for row in rows {
            let (profile, held) = row.held()?;
            accounts.insert(Account::Bundle { profile, period: held.bundle_period });
            books.holds.insert(profile, held);
        }
    }
    Ok(())
}

async fn load_accounts(
    connection: &mut Connection,
    books: &mut Books,
    accounts: &BTreeSet<Account>,
) -> Result<(), StoreError> {
    let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
    for chunk in chunks(&names) {
        let mut statement = with_list(statements::ACCOUNTS_IN, chunk, "");
        let rows: Vec<(String, i64, i64)> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading accounts"))?;
        for (name, balance, reserved) in rows {
            books.accounts.insert(word(&name, "an account")?, Balance { balance, reserved });
        }
    }
    Ok(())
}

async fn load_leases(
    connection: &mut Connection,
    books: &mut Books,
    profiles: &BTreeSet<i64>,
) -> Result<(), StoreError> {
    let profiles: Vec<i64> = profiles.iter().copied().collect();
    for chunk in chunks(&profiles) {
        let mut statement = with_list(statements::LEASES_IN, chunk, " GROUP BY profile_id");
        let rows: Vec<(i64, i64)> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("counting live calls"))?;
        for (profile, count) in rows {
            books.load_lease_count(ProfileId(profile), narrow(count, "a number of calls")?);
        }
    }
    Ok(())
}

/// Counts live calls by country where a spend guard limits them: the others are spared the work.
async fn load_countries(
    connection: &mut Connection,
    books: &mut Books,
    policy: ReservePolicy,
    profiles: &BTreeSet<i64>,
) -> Result<(), StoreError> {
    let is_limited = |profile: &i64| {
        let subscriber = books.subscribers.get(&ProfileId(*profile));
        subscriber.is_some_and(|it| it.guard.over(&policy.guard).calls_to_one_country.is_some())
    };
    let limited: Vec<i64> = profiles.iter().copied().filter(is_limited).collect();
    for chunk in chunks(&limited) {
        let mut statement = with_list(statements::DIALLED_IN, chunk, " GROUP BY profile_id, country");
        let rows: Vec<(i64, String, i64)> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("counting live calls by country"))?;
        for (profile, country, count) in rows {
            books.load_calls_to(ProfileId(profile), country, narrow(count, "a number of calls")?);
        }
    }
    Ok(())
}

/// Writes what a batch changed.
async fn write(
    connection: &mut Connection,
    owner: &str,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    write_accounts(connection, changes).await?;
    write_subscribers(connection, books, changes).await?;
    write_spending(connection, books, changes).await?;
    write_calls(connection, owner, books, changes).await?;
    write_holds(connection, owner, books, changes).await?;
    super::leases::write(connection, books, changes).await?;
    super::profiles::delete_closed(connection, books, changes).await?;
    for chunk in chunks(&changes.transfers) {
        let mut statement = with_values(statements::INSERT_TRANSFERS, chunk, push_transfer, "");
        statement.build().execute(&mut *connection).await.map_err(failed("writing transfers"))?;
    }
    for chunk in chunks(&changes.cdrs) {
        let mut statement = with_values(statements::INSERT_CDRS, chunk, push_cdr, "");
        statement.build().execute(&mut *connection).await.map_err(failed("writing call records"))?;
    }
    Ok(())
}

async fn write_accounts(connection: &mut Connection, changes: &Changes) -> Result<(), StoreError> {
    let opened: Vec<Account> = changes.opened.iter().copied().collect();
    for chunk in chunks(&opened) {
        let push = |mut row: Separated<'_, Db, &'static str>, account: &Account| {
            row.push_bind(account.to_string()).push_bind(i64::from(account.has_floor())).push("0, 0");
        };
        let mut statement = with_values(statements::INSERT_ACCOUNTS, chunk, push, "");
        statement.build().execute(&mut *connection).await.map_err(failed("opening accounts"))?;
    }
    let differences: Vec<(Account, Difference)> = changes
        .differences
        .iter()
        .filter(|(_, by)| **by != Difference::default())
        .map(|(&account, &by)| (account, by))
        .collect();
    for chunk in chunks(&differences) {
        let push = |mut row: Separated<'_, Db, &'static str>, (account, by): &(Account, Difference)| {
            row.push_bind(account.to_string()).push_bind(by.balance).push_bind(by.reserved);
        };
        let mut statement =
            with_values(statements::CHANGE_ACCOUNTS, chunk, push, statements::CHANGE_ACCOUNTS_WHERE);
        let done = statement.build().execute(&mut *connection).await.map_err(failed("changing balances"))?;
        if done.rows_affected() != chunk.len() as u64 {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

async fn write_subscribers(
    connection: &mut Connection,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    let changed: Vec<(ProfileId, Subscriber)> = changes
        .profiles
        .iter()
        .filter_map(|&profile| Some((profile, *books.subscribers.get(&profile)?)))
        .collect();
    for chunk in chunks(&changed) {
        let mut statement = with_values(
            statements::INSERT_SUBSCRIBERS,
            chunk,
            push_subscriber,
            statements::UPDATE_SUBSCRIBERS,
        );
        statement.build().execute(&mut *connection).await.map_err(failed("writing subscribers"))?;
    }
    if !changed.is_empty() {
        sqlx::query(statements::RAISE_REVISION)
            .execute(&mut *connection)
            .await
            .map_err(failed("writing subscribers"))?;
    }
    Ok(())
}

async fn write_spending(
    connection: &mut Connection,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    let changed: Vec<(ProfileId, Spending)> = changes
        .spending
        .iter()
        .filter_map(|&profile| Some((profile, *books.spending.get(&profile)?)))
        .collect();
    for chunk in chunks(&changed) {
        let mut statement =
            with_values(statements::INSERT_SPENDING, chunk, push_spending, statements::UPDATE_SPENDING);
        statement.build().execute(&mut *connection).await.map_err(failed("writing what was spent"))?;
    }
    Ok(())
}

async fn write_calls(
    connection: &mut Connection,
    owner: &str,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    let live: Vec<&Reservation> = changes.calls.iter().filter_map(|call| books.live_call(call)).collect();
    for chunk in chunks(&live) {
        let push =
            |row: Separated<'_, Db, &'static str>, call: &&Reservation| push_reservation(row, owner, call);
        let mut statement = with_values(statements::INSERT_CALLS, chunk, push, statements::UPDATE_CALLS);
        statement.build().execute(&mut *connection).await.map_err(failed("writing live calls"))?;
    }
    let over: Vec<String> = changes
        .calls
        .iter()
        .filter(|call| books.live_call(call).is_none())
        .map(|call| call.as_str().to_owned())
        .collect();
    for chunk in chunks(&over) {
        let mut statement = with_list(statements::DELETE_CALLS_IN, chunk, "");
        statement.build().execute(&mut *connection).await.map_err(failed("removing live calls"))?;
    }
    Ok(())
}

async fn write_holds(
    connection: &mut Connection,
    owner: &str,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    let changed = changes.holds.iter().map(|&profile| (profile, books.on_hand(profile)));
    let (gone, kept): (Vec<_>, Vec<_>) = changed.partition(|(_, held)| held.is_nothing());
    for chunk in chunks(&kept) {
        let push = |mut row: Separated<'_, Db, &'static str>, (profile, held): &(ProfileId, Held)| {
            row.push_bind(owner.to_owned())
                .push_bind(profile.0)
                .push_bind(held.bundle_period)
                .push_bind(i64::from(held.bundle_s))
                .push_bind(held.credit.0);
        };
        let mut statement = with_values(statements::INSERT_HOLDS, chunk, push, statements::UPDATE_HOLDS);
        statement.build().execute(&mut *connection).await.map_err(failed("writing what is on hand"))?;
    }
    let gone: Vec<i64> = gone.into_iter().map(|(profile, _)| profile.0).collect();
    for chunk in chunks(&gone) {
        let mut statement = with_owners_list(statements::DELETE_HOLDS_IN, owner, chunk);
        statement.build().execute(&mut *connection).await.map_err(failed("writing what is on hand"))?;
    }
    Ok(())
}

fn push_transfer(mut row: Separated<'_, Db, &'static str>, transfer: &Transfer) {
    row.push_bind(transfer.at.0)
        .push_bind(transfer.kind.word())
        .push_bind(transfer.from.to_string())
        .push_bind(transfer.to.to_string())
        .push_bind(transfer.amount)
        .push_bind(transfer.call.as_ref().map(|call| call.as_str().to_owned()))
        .push_bind(transfer.profile.map(|profile| profile.0))
        .push_bind(transfer.note.clone());
}

fn push_attempt(row: &mut Separated<'_, Db, &'static str>, attempt: &Attempt) {
    let column = |of: fn(&Tariff) -> i64| attempt.tariff.as_ref().map(of);
    row.push_bind(attempt.direction.word())
        .push_bind(attempt.kind.word())
        .push_bind(attempt.from.clone())
        .push_bind(attempt.to.clone())
        .push_bind(attempt.destination.clone())
        .push_bind(attempt.country.clone())
        .push_bind(column(|tariff| tariff.rate_per_minute.0))
        .push_bind(column(|tariff| tariff.connection_fee.0))
        .push_bind(column(|tariff| i64::from(tariff.minimum_s)))
        .push_bind(column(|tariff| i64::from(tariff.increment_s)))
        .push_bind(column(|tariff| i64::from(tariff.bundle == BundleCover::Covered)))
        .push_bind(attempt.started_at.0);
}

fn push_reservation(mut row: Separated<'_, Db, &'static str>, owner: &str, call: &Reservation) {
    row.push_bind(call.call.as_str().to_owned()).push_bind(owner.to_owned()).push_bind(call.profile.0);
    push_attempt(&mut row, &call.attempt);
    row.push_bind(call.bundle_period)
        .push_bind(i64::from(call.bundle_s))
        .push_bind(call.credit.0)
        .push_bind(call.paid_s.map(i64::from))
        .push_bind(call.answered_at.map(|at| at.0))
        .push_bind(i64::from(call.proved_s));
}

fn push_cdr(mut row: Separated<'_, Db, &'static str>, cdr: &Cdr) {
    let ending = &cdr.record.ending;
    row.push_bind(cdr.call.as_str().to_owned()).push_bind(cdr.record.profile.map(|profile| profile.0));
    push_attempt(&mut row, &cdr.record.attempt);
    row.push_bind(ending.answered_at.map(|at| at.0))
        .push_bind(ending.ended_at.0)
        .push_bind(i64::try_from(ending.talk_ms).unwrap_or(i64::MAX))
        .push_bind(ending.reason_code.clone())
        .push_bind(ending.reason.clone())
        .push_bind(ending.sip_status.map(i64::from))
        .push_bind(ending.caller_call_id.clone())
        .push_bind(ending.callee_call_id.clone())
        .push_bind(ending.carrier.clone())
        .push_bind(ending.user_agent.clone())
        .push_bind(ending.media.clone())
        .push_bind(i64::from(cdr.settlement.duration_s))
        .push_bind(i64::from(cdr.settlement.billed_s))
        .push_bind(i64::from(cdr.settlement.bundle_s))
        .push_bind(cdr.settlement.amount.0);
}

fn push_subscriber(
    mut row: Separated<'_, Db, &'static str>,
    (profile, subscriber): &(ProfileId, Subscriber),
) {
    let bought = subscriber.subscription.as_ref();
    row.push_bind(profile.0)
        .push_bind(subscriber.company.0)
        .push_bind(bought.map(|it| i64::from(it.channels)))
        .push_bind(bought.map(|it| i64::from(it.bundles)))
        .push_bind(bought.map(|it| it.period))
        .push_bind(bought.map(|it| it.bought_at.0))
        .push_bind(bought.map(|it| it.paid_until.0))
        .push_bind(bought.map(|it| it.channels_price.0))
        .push_bind(bought.map(|it| it.bundles_price.0))
        .push_bind(bought.map(|it| it.bundle_s))
        .push_bind(bought.map(|it| it.renewal.word()))
        .push_bind(bought.and_then(|it| it.changed_at).map(|at| at.0))
        .push_bind(subscriber.closed_at.map(|at| at.0))
        .push_bind(subscriber.recharge.map(|it| it.threshold.0))
        .push_bind(subscriber.recharge.map(|it| it.amount.0))
        .push_bind(guard_text(&subscriber.guard));
}

fn push_spending(mut row: Separated<'_, Db, &'static str>, (profile, spending): &(ProfileId, Spending)) {
    row.push_bind(profile.0);
    for spent in [spending.hour, spending.day] {
        row.push_bind(spent.number)
            .push_bind(spent.spent.0)
            .push_bind(spent.forgiven.0)
            .push_bind(i64::from(spent.is_warned));
    }
}
