//! The books in the database: a batch of operations is one transaction.
//!
//! The rows that a batch touches are read, unless they are known from the batch before; the pure rules of
//! [`Books`](crate::ledger::Books) decide; and what they changed is written back as conditional differences (`balance =
//! balance + x` where nothing falls below its floor), so that the write itself is the check: if another writer came
//! between, no row matches, the transaction is undone and nothing has happened. However large the batch, it is written
//! by one script and one sync of the disk.

mod changes;
mod express;
mod known;
mod lean;
mod script;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;

use self::known::{Care, Known};
use super::query::{Stored, query_as};
use super::rows::{HoldRow, ReservationRow, word};
use super::{Connection, Database, failed, statements};
use crate::cdr::CallId;
use crate::error::StoreError;
use crate::ledger::{
    Account, Balance, Held, Imbalance, LedgerEntry, Outcome, Refusal, Reservation, ReservePolicy, Unit,
};
use crate::model::ProfileId;

pub(super) use self::known::Shelf;
pub(super) use self::script::Done;

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
        // What is done in somebody's name is rare, and has to tell of it first.
        if self.deed.is_none() {
            if let Some(outcomes) = self.apply_express(author, entries).await? {
                return Ok(outcomes);
            }
            match self.apply_as_known(author, entries).await {
                Err(StoreError::Conflict) => {}
                done => return done,
            }
        }
        // Another process has written since the rows were read, or a call that is over is asked about again.
        let mut transaction = self.begin().await?;
        let outcomes = apply_in(&mut transaction, author, entries).await?;
        // Where nothing was done, no deed is told of: the transaction is undone when it is dropped.
        if self.deed.is_some() && outcomes.iter().all(Result::is_err) {
            return Ok(outcomes);
        }
        transaction.commit().await.map_err(failed("committing to the ledger"))?;
        Ok(outcomes)
    }

    /// The same with what is known from the batches before; a conflict if that is not what the database has.
    async fn apply_as_known(
        &self,
        author: Author<'_>,
        entries: &[LedgerEntry],
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        let mut transaction = self.begin_as_known().await?;
        // Not put back if anything fails: what the rules have changed here is then not what the database has.
        let (known, ticket) = self.shelf().take(author.owner);
        let mut known = match known {
            Some(known) => known,
            None => Known::new(&mut transaction, author.owner).await?,
        };
        let outcomes = known.apply(&mut transaction, author, entries, Care::Trusting).await?;
        known.will_be_committed(&transaction);
        transaction.commit().await.map_err(failed("committing to the ledger"))?;
        self.shelf().put(known, ticket);
        Ok(outcomes)
    }

    /// What an operation would be answered now; nothing is written.
    pub(crate) async fn rehearse(
        &self,
        author: Author<'_>,
        entry: LedgerEntry,
    ) -> Result<Result<Outcome, Refusal>, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("rehearsing an operation"))?;
        let mut known = Known::new(&mut reader, author.owner).await?;
        known.rehearse(&mut reader, author, &entry).await
    }

    /// Live calls of one owner.
    pub(crate) async fn live_calls(&self, owner: &str) -> Result<Vec<Reservation>, StoreError> {
        let rows: Vec<ReservationRow> = query_as(statements::LIVE_CALLS_OF_OWNER)
            .bind(owner)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading live calls"))?;
        rows.into_iter().map(Reservation::try_from).collect()
    }

    /// What one owner keeps on hand.
    pub(crate) async fn on_hand(&self, owner: &str) -> Result<BTreeMap<ProfileId, Held>, StoreError> {
        let rows: Vec<HoldRow> = query_as(statements::HOLDS_OF_OWNER)
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
        let mut wrong = crate::ledger::imbalances(&accounts, &sums, &held);
        wrong.extend(not_recorded(&mut reader).await?);
        Ok(wrong)
    }
}

/// A call without its record, or with another than was charged.
#[derive(FromRow)]
struct NotRecorded {
    call_id: Option<String>,
    recorded: i64,
    charged: i64,
    recorded_s: i64,
    charged_s: i64,
    account: String,
}

/// Calls whose charges are not what their records say. The records of deleted profiles went with them.
async fn not_recorded(connection: &mut Connection) -> Result<Vec<Imbalance>, StoreError> {
    let closed: Vec<(i64,)> = fetch(connection, statements::CLOSED_PROFILES).await?;
    let closed: BTreeSet<ProfileId> = closed.into_iter().map(|(profile,)| ProfileId(profile)).collect();
    let mut wrong = Vec::new();
    let rows: Vec<NotRecorded> = fetch(connection, statements::CHARGES_NOT_RECORDED).await?;
    for row in rows {
        let has_no_record = row.recorded == 0 && row.recorded_s == 0;
        if has_no_record && payer(&row.account)?.is_some_and(|profile| closed.contains(&profile)) {
            continue;
        }
        let call = CallId::new(row.call_id.unwrap_or_default());
        for (unit, recorded, charged) in
            [(Unit::Micros, row.recorded, row.charged), (Unit::Seconds, row.recorded_s, row.charged_s)]
        {
            if recorded != charged {
                wrong.push(Imbalance::NotItsRecord { call: call.clone(), unit, recorded, charged });
            }
        }
    }
    Ok(wrong)
}

/// The profile that an account is of; nobody's is the one without a name.
fn payer(account: &str) -> Result<Option<ProfileId>, StoreError> {
    if account.is_empty() {
        return Ok(None);
    }
    match word(account, "an account")? {
        Account::Profile(profile) | Account::Bundle { profile, .. } => Ok(Some(profile)),
        _ => Ok(None),
    }
}

/// Every account.
pub(super) async fn balances(connection: &mut Connection) -> Result<BTreeMap<Account, Balance>, StoreError> {
    let rows: Vec<(String, i64, i64)> = fetch(connection, statements::ALL_ACCOUNTS).await?;
    let account = |(name, balance, reserved): (String, i64, i64)| {
        Ok((word(&name, "an account")?, Balance { balance, reserved }))
    };
    rows.into_iter().map(account).collect()
}

async fn fetch<R>(connection: &mut Connection, statement: &'static str) -> Result<Vec<R>, StoreError>
where
    R: Stored,
{
    query_as(statement).fetch_all(connection).await.map_err(failed("reading the ledger"))
}

/// Does a batch inside a transaction that the caller commits.
pub(super) async fn apply_in(
    connection: &mut Connection,
    author: Author<'_>,
    entries: &[LedgerEntry],
) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
    let mut known = Known::new(connection, author.owner).await?;
    known.apply(connection, author, entries, Care::Looking).await
}
