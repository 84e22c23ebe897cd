//! PostgreSQL: one connection that writes, a few that read, a row that writers take turns at.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use super::connection::Transaction;
use super::failed;
use super::ledger::Done;
use super::listed::NO_ROWS;
use super::tables;
use crate::error::StoreError;
use crate::store::{Durability, PostgresUrl};

/// How long a writer waits for another process (the command line beside the daemon).
const LOCK_TIMEOUT: &str = "5s";
/// After this long a process that has stopped in the middle of a transaction holds nobody up any more.
const IDLE_TIMEOUT: &str = "60s";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that only read.
const READERS: u32 = 3;
/// Statements kept prepared on each connection: more than this module has in all chunk sizes.
const STATEMENTS_KEPT: usize = 512;

/// A parameter's JSON list, row by row.
pub(super) const ROWS: &str = "jsonb_array_elements(CAST($1 AS JSONB)) AS given (value)";
/// Begins a reading transaction that sees one moment.
pub(super) const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Waits for the writer before, and tells its turn.
const TAKE_TURN: &str = "UPDATE write_turns SET value = value + 1 WHERE only_row = 1 RETURNING value - 1";
/// Waits for the writer before, and leaves the turn to the next one.
const PASS_TURN: &str = "SELECT value FROM write_turns WHERE only_row = 1 FOR UPDATE";

/// The right to an owner's live calls, in one schema.
const TAKE_LOCK: &str =
    "SELECT pg_try_advisory_lock(hashtext('sipgw'), hashtext(current_schema() || ' ' || $1))";

/// Whether a writer changes what others may know of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Taken,
    Passed,
}

/// The connection that writes.
#[derive(Clone, Debug)]
pub(super) struct Writer(PgPool);

/// Opens the database. With an owner, the connection that writes has the owner's lock, and the tables are brought up to
/// date.
pub(super) async fn open(
    url: &PostgresUrl,
    durability: Durability,
    owner: Option<&str>,
) -> Result<(Writer, PgPool), StoreError> {
    prepare(url, owner).await?;
    let options = options(url, durability)?;
    let (lock, needed) = (owner.unwrap_or_default().to_owned(), owner.is_some());
    let writer = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A transaction that cannot begin is begun once more on a new connection, so nobody asks first.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let lock = lock.clone();
            Box::pin(async move {
                let has_it = !needed || take_lock(connection, &lock).await?;
                // Asked again until the lock is free or the time is up; calls are decided by what is on hand meanwhile.
                let taken = || sqlx::Error::Protocol("another gateway has the lock of this one".to_owned());
                if has_it { Ok(()) } else { Err(taken()) }
            })
        })
        .connect_with(options.clone())
        .await
        .map_err(failed("connecting to PostgreSQL"))?;
    let reader = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options.options([("default_transaction_read_only", "on")]))
        .await
        .map_err(failed("connecting to PostgreSQL for reading"))?;
    Ok((Writer(writer), reader))
}

fn options(url: &PostgresUrl, durability: Durability) -> Result<PgConnectOptions, StoreError> {
    let options =
        PgConnectOptions::from_str(url.expose()).map_err(failed("reading the database's address"))?;
    let synchronous = match durability {
        Durability::PowerFailure => "on",
        Durability::Crash => "off",
    };
    let name = options.get_application_name().unwrap_or("sipgw").to_owned();
    Ok(options.application_name(&name).statement_cache_capacity(STATEMENTS_KEPT).options([
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
        ("synchronous_commit", synchronous),
        // A machine that is gone gives its locks back within half a minute, not within hours.
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "4"),
    ]))
}

/// Says at once if another gateway has the lock, which the connection that writes takes for good, and brings the tables up
/// to date. Whoever does so meanwhile is waited for, however long it takes.
async fn prepare(url: &PostgresUrl, owner: Option<&str>) -> Result<(), StoreError> {
    let connecting = failed("connecting to PostgreSQL");
    let options = PgConnectOptions::from_str(url.expose()).map_err(&connecting)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(&connecting)?;
    if let Some(owner) = owner
        && !take_lock(&mut connection, owner).await.map_err(&connecting)?
    {
        return Err(StoreError::Owned { owner: owner.to_owned() });
    }
    let program = sqlx::migrate!("migrations/postgres");
    tables::judge(version(&mut connection).await?, &program, owner)?;
    let migrated = program.run(&mut connection).await;
    migrated.map_err(|error| failed("bringing its tables up to date")(error.into()))?;
    connection.close().await.map_err(connecting)
}

/// Of which version the tables are; `None` if there are none yet.
async fn version(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    let reading = failed("reading the version of its tables");
    let has_list: bool =
        sqlx::query_scalar(tables::POSTGRES_HAS_LIST).fetch_one(&mut *connection).await.map_err(&reading)?;
    if !has_list {
        return Ok(None);
    }
    sqlx::query_scalar(tables::VERSION).fetch_one(connection).await.map_err(reading)
}

/// A lock of the session, which the server gives back when the connection ends, however it ends.
async fn take_lock(connection: &mut PgConnection, owner: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(TAKE_LOCK).bind(owner).fetch_one(connection).await
}

impl Writer {
    /// Begins a transaction when the writer before has ended.
    pub(super) async fn begin(&self, turn: Turn) -> Result<Transaction, StoreError> {
        match self.try_begin(turn).await {
            Ok(transaction) => Ok(transaction),
            // The server's word stands. Without one the connection is lost, and a new one may be had.
            Err(error) if error.as_database_error().is_some() && !is_shut_down(&error) => {
                Err(failed("beginning a transaction")(error))
            }
            Err(_) => self.try_begin(turn).await.map_err(failed("beginning a transaction")),
        }
    }

    async fn try_begin(&self, turn: Turn) -> Result<Transaction, sqlx::Error> {
        let mut transaction = self.0.begin().await?;
        let statement = match turn {
            Turn::Taken => TAKE_TURN,
            Turn::Passed => PASS_TURN,
        };
        let before: i64 = sqlx::query_scalar(statement).fetch_one(&mut *transaction).await?;
        Ok(Transaction::on_postgres(transaction, before))
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

/// Class 57P: the server ends the connection, because it stops or was told to.
fn is_shut_down(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("57P"))
}

/// PostgreSQL has no text with the character NUL in it.
pub(super) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same in JSON, where it is written as an escape, unless the escape's backslash is itself escaped.
pub(super) fn storable_json(text: String) -> String {
    const NUL: &str = "\\u0000";
    if !text.contains(NUL) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        // An escape is two characters at least, and ASCII.
        let escape = if rest[at..].starts_with(NUL) { NUL.len() } else { 2 };
        clean.push_str(&rest[..at]);
        clean.push_str(if escape == 2 { &rest[at..at + 2] } else { "\u{fffd}" });
        rest = &rest[at + escape..];
    }
    clean + rest
}

/// Runs a script's statements after the first, which asks for the version: those that have rows, each by itself, because
/// PostgreSQL prepares one statement at a time.
pub(super) async fn run<const N: usize>(
    connection: &mut PgConnection,
    before: i64,
    statements: &'static [String],
    parameters: [String; N],
) -> Result<Done, sqlx::Error> {
    let mut done = Done { read: vec![before], written: vec![0] };
    for (statement, rows) in statements.iter().skip(1).zip(parameters) {
        let is_reading = statement.starts_with("SELECT");
        if rows == NO_ROWS {
            done.written.push(0);
            if is_reading {
                done.read.push(0);
            }
            continue;
        }
        let rows = storable_json(rows);
        if is_reading {
            done.read
                .push(sqlx::query_scalar(statement.as_str()).bind(rows).fetch_one(&mut *connection).await?);
            done.written.push(0);
        } else {
            let query = sqlx::query(statement.as_str()).bind(rows);
            done.written.push(query.execute(&mut *connection).await?.rows_affected());
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_not() {
        assert_eq!(storable("a\0b".into()), "a\u{fffd}b");
        for text in ["a\0b", "\\u0000", "\\\0", "\"\\\\u0000\0", "plain"] {
            let json = serde_json::to_string(text).unwrap();
            let clean: String = serde_json::from_str(&storable_json(json)).unwrap();
            assert_eq!(clean, text.replace('\0', "\u{fffd}"), "{text:?}");
        }
    }
}
