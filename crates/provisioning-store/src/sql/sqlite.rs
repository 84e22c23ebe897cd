//! SQLite: one writer connection, a few readers, a write-ahead log that is synced at every commit.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Either, Executor, Row, Sqlite, SqliteConnection, SqlitePool};

use super::connection::Transaction;
use super::failed;
use super::ledger::{Done, Shelf};
use super::tables;
use crate::error::StoreError;
use crate::store::Durability;

/// How long a writer waits for another process (the command line beside the daemon).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that only read.
const READERS: u32 = 3;
/// Statements kept prepared on each connection: more than are in use, in all their chunk sizes, at one time.
const STATEMENTS_KEPT: usize = 512;
/// Rows that the database's thread may be ahead of whoever reads them: with few, large readings are a change of threads for
/// every few rows.
const ROWS_AHEAD: usize = 1_024;

/// Takes the write lock at once.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// A parameter's JSON list, row by row.
pub(super) const ROWS: &str = "json_each($1)";
/// Changes when another connection has written.
pub(super) const DATA_VERSION: &str = "SELECT data_version FROM pragma_data_version";
/// SQLite's code for a lock that another connection has, in its lowest octet.
const BUSY: u32 = 5;

/// True if another connection has the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == BUSY)
}

/// The connection that writes.
#[derive(Clone, Debug)]
pub(super) struct Writer(SqlitePool);

/// Opens or creates the file; with an owner its tables are brought up to date. A new connection clears the shelf.
pub(super) async fn open(
    path: &Path,
    durability: Durability,
    owner: Option<&str>,
    shelf: &Arc<Shelf>,
) -> Result<(Writer, SqlitePool), StoreError> {
    let synchronous = match durability {
        Durability::PowerFailure => SqliteSynchronous::Full,
        Durability::Crash => SqliteSynchronous::Normal,
    };
    let doing = "opening the database file";
    crate::private::prepare_database(path).map_err(|error| failed(doing)(error.into()))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AHEAD)
        // Not analysed when it is closed: statistics of a young database mislead the planner of a grown one.
        .statement_cache_capacity(STATEMENTS_KEPT);
    let on_the_shelf = Arc::clone(shelf);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // It is a file and a thread of ours; to ask whether it is still there costs a hand-over each time.
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            // A version of one connection means nothing to another.
            on_the_shelf.clear();
            Box::pin(async { Ok(()) })
        })
        .connect_with(options.clone())
        .await
        .map_err(failed(doing))?;
    let program = sqlx::migrate!("migrations/sqlite");
    tables::judge(version(&writer).await?, &program, owner)?;
    let migrated = program.run(&writer).await;
    migrated.map_err(|error| failed("bringing its tables up to date")(error.into()))?;
    // Should the file go, a new connection must not make an empty one in its place.
    writer.set_connect_options(options.clone().create_if_missing(false));
    let reader = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options.create_if_missing(false).read_only(true))
        .await
        .map_err(failed("opening the database file for reading"))?;
    Ok((Writer(writer), reader))
}

/// Of which version the tables are; `None` if there are none yet.
async fn version(writer: &SqlitePool) -> Result<Option<i64>, StoreError> {
    let reading = failed("reading the version of its tables");
    let has_list: bool =
        sqlx::query_scalar(tables::SQLITE_HAS_LIST).fetch_one(writer).await.map_err(&reading)?;
    if !has_list {
        return Ok(None);
    }
    sqlx::query_scalar(tables::VERSION).fetch_one(writer).await.map_err(reading)
}

impl Writer {
    /// Begins a transaction. It takes the write lock at once: one that reads first and then asks for the lock fails
    /// without waiting when another process has written meanwhile.
    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        let error = match self.0.begin_with(BEGIN).await {
            Ok(transaction) => return Ok(Transaction::on_sqlite(transaction)),
            Err(error) => error,
        };
        if is_busy(&error) {
            return Err(failed("beginning a transaction")(error));
        }
        // A connection whose last commit failed, because the disk was full, counts a transaction that is none any more;
        // one whose file has gone has only its ghost. A new one knows neither.
        let broken = self.0.acquire().await.map_err(failed("opening the database file anew"))?;
        if let Err(error) = broken.close().await {
            return Err(failed("closing the database file")(error));
        }
        let begun = self.0.begin_with(BEGIN).await.map_err(failed("beginning a transaction"));
        begun.map(Transaction::on_sqlite)
    }

    /// Takes the connection for a transaction that is handed over in at most two pieces.
    pub(super) async fn express(&self) -> Result<Express, StoreError> {
        let connection = self.0.acquire().await.map_err(failed("opening the database file"))?;
        Ok(Express { connection: Some(connection), is_open: false })
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

/// A transaction whose beginning and commit are part of its scripts: each hand-over to the database's thread costs more
/// than most statements. One that does not come to its commit is undone by closing the connection; the next writer
/// opens another.
#[derive(Debug)]
pub(super) struct Express {
    connection: Option<PoolConnection<Sqlite>>,
    is_open: bool,
}

impl Express {
    fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("the connection is there until this is dropped")
    }

    /// Whether a transaction has begun.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Runs a script that begins the transaction and reads; gives its rows.
    pub(super) async fn begin(
        &mut self,
        script: &'static str,
        parameters: Vec<String>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        self.run(script, parameters).await
    }

    /// Runs a script that ends with the commit. Unless something was read, it begins the transaction too.
    pub(super) async fn commit(
        mut self,
        script: &'static str,
        parameters: Vec<String>,
    ) -> Result<(), sqlx::Error> {
        self.run(script, parameters).await?;
        self.is_open = false;
        Ok(())
    }

    async fn run(
        &mut self,
        script: &'static str,
        parameters: Vec<String>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        let query =
            parameters.into_iter().fold(sqlx::query(script), |query, parameter| query.bind(parameter));
        let mut steps = self.connection().fetch_many(query);
        let mut rows = Vec::new();
        loop {
            match steps.try_next().await {
                Ok(Some(Either::Right(row))) => rows.push(row),
                Ok(Some(Either::Left(_))) => {}
                Ok(None) => return Ok(rows),
                Err(error) => {
                    drop(steps);
                    // The lock was not to be had, so nothing has begun.
                    self.is_open = was_open || !is_busy(&error);
                    return Err(error);
                }
            }
        }
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        if self.is_open {
            drop(self.connection.take().map(PoolConnection::detach));
        }
    }
}

/// The version of what a connection has before it.
pub(super) async fn data_version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let version = sqlx::query_scalar(DATA_VERSION).fetch_one(connection).await;
    version.map_err(failed("reading the database's version"))
}

/// Statements that are handed over together. Each has at most one parameter, written `$1`; numbers count through a
/// whole script, so they must go.
pub(super) fn together(statements: &[String]) -> String {
    statements.join(";\n").replace("$1", "?")
}

/// Runs a script with its parameters in order.
pub(super) async fn run<const N: usize>(
    connection: &mut SqliteConnection,
    script: &'static str,
    parameters: [String; N],
) -> Result<Done, sqlx::Error> {
    let query = parameters.into_iter().fold(sqlx::query(script), |query, parameter| query.bind(parameter));
    let mut steps = connection.fetch_many(query);
    let mut done = Done::default();
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(result) => done.written.push(result.rows_affected()),
            Either::Right(row) => done.read.push(row.try_get(0)?),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::query::{query, query_scalar};
    use super::super::{Database, statements};
    use super::*;
    use crate::store::Location;

    async fn open(folder: &tempfile::TempDir) -> Database {
        let file = Location::File(folder.path().join("sipgw.db"));
        Database::open(&file, Durability::default(), None).await.unwrap()
    }

    #[tokio::test]
    async fn the_database_itself_holds_the_ledgers_rules() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        let mut writer = database.begin().await.unwrap();
        for statement in [
            "INSERT INTO transfers VALUES (1, 0, 'top_up', 'external', 'company:1', 5, NULL, '', NULL)",
            "INSERT INTO accounts VALUES ('company:1', 1, 5, 5)",
            "INSERT INTO audit VALUES (1, 0, 'token 1', '192.0.2.1', 1, 'POST /', '')",
        ] {
            query(statement).execute(&mut *writer).await.unwrap();
        }
        for (statement, refusal) in [
            ("UPDATE transfers SET amount = 6", "never changed"),
            ("DELETE FROM transfers", "never deleted"),
            ("UPDATE audit SET actor = 'nobody'", "never changed"),
            ("DELETE FROM audit", "never deleted"),
            (
                "INSERT INTO transfers VALUES (2, 0, 'top_up', 'external', 'company:1', 0, NULL, '', NULL)",
                "CHECK",
            ),
            ("UPDATE accounts SET balance = -1 WHERE name = 'company:1'", "CHECK"),
            ("UPDATE accounts SET balance = 4 WHERE name = 'company:1'", "CHECK"),
            ("UPDATE accounts SET balance = 'much' WHERE name = 'company:1'", "TEXT value"),
        ] {
            let error = query(statement).execute(&mut *writer).await.unwrap_err().to_string();
            assert!(error.contains(refusal), "{statement}: {error}");
        }
    }

    #[tokio::test]
    async fn commits_are_synced_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        let mut writer = database.begin().await.unwrap();
        let journal: String = query_scalar("PRAGMA journal_mode").fetch_one(&mut *writer).await.unwrap();
        let synchronous: i64 = query_scalar("PRAGMA synchronous").fetch_one(&mut *writer).await.unwrap();
        assert_eq!((journal.as_str(), synchronous), ("wal", 2), "2 is FULL");
        let written = query(statements::RAISE_REVISION).execute(database.reader()).await;
        assert!(written.unwrap_err().to_string().contains("readonly"));
    }

    #[tokio::test]
    async fn a_failed_commit_leaves_no_broken_connection_behind() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        let mut transaction = database.begin().await.unwrap();
        // As SQLite does it by itself when the disk is full.
        query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap_err();
        for _ in 0..2 {
            let mut transaction = database.begin().await.expect("a transaction after the failure");
            query(statements::RAISE_REVISION).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_has_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Arc::new(Shelf::default());
        let (writer, _) =
            super::open(&folder.path().join("sipgw.db"), Durability::default(), None, &shelf).await.unwrap();
        let (here, away) = (folder.path().join("sipgw.db"), folder.path().join("away.db"));
        std::fs::rename(&here, &away).unwrap();
        writer.0.acquire().await.unwrap().close().await.unwrap();
        writer.begin().await.unwrap_err();
        assert!(!here.exists());
        std::fs::rename(&away, &here).unwrap();
        writer.begin().await.expect("the file is back");
    }

    #[tokio::test]
    async fn numbers_are_written_as_before_under_their_new_words() {
        const WORDS: &str = include_str!("../../migrations/sqlite/0004_words.sql");
        let folder = tempfile::tempdir().unwrap();
        let shelf = Arc::new(Shelf::default());
        let (writer, _) =
            super::open(&folder.path().join("sipgw.db"), Durability::default(), None, &shelf).await.unwrap();
        let mut writer = writer.0.acquire().await.unwrap();
        let before = "ALTER TABLE carriers DROP COLUMN country; \
            INSERT INTO carriers (name, host, transport, priority, weight, sources, number_format, strip, prefix, srtp, \
            active) VALUES ('a', 'h', 'udp', 1, 1, '', 'e164', 0, '', 'off', 'on'), \
            ('b', 'h', 'udp', 1, 1, '', 'plus_e164', 0, '', 'off', 'on'), \
            ('c', 'h', 'udp', 1, 1, '', 'national', 0, '', 'off', 'on');";
        sqlx::raw_sql(before).execute(&mut *writer).await.unwrap();
        sqlx::raw_sql(WORDS).execute(&mut *writer).await.unwrap();
        let words: Vec<String> = sqlx::query_scalar("SELECT number_format FROM carriers ORDER BY name")
            .fetch_all(&mut *writer)
            .await
            .unwrap();
        assert_eq!(words, ["digits", "e164", "national"]);
    }

    #[tokio::test]
    async fn subscriptions_and_transfers_go_on_with_what_they_were() {
        const BEFORE: [&str; 4] = [
            include_str!("../../migrations/sqlite/0001_initial.sql"),
            include_str!("../../migrations/sqlite/0002_holds.sql"),
            include_str!("../../migrations/sqlite/0003_spend_guard.sql"),
            include_str!("../../migrations/sqlite/0004_words.sql"),
        ];
        const DATA: &str = "INSERT INTO subscribers (profile_id, company_id, channels, bundles, is_cancelled) \
            VALUES (7, 1, 4, 0, 0), (8, 1, 4, 0, 1), (9, 1, NULL, NULL, NULL); \
            INSERT INTO transfers (at, kind, from_account, to_account, amount, note) VALUES \
            (1, 'subscription', 'company:1', 'revenue', 5, 'profile 7'), \
            (2, 'allocation', 'company:1', 'profile:8', 5, ''), (3, 'take_back', 'profile:8', 'company:1', 5, ''), \
            (4, 'top_up', 'external', 'company:1', 5, 'profile 12 asked for it');";
        let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        for text in
            BEFORE.into_iter().chain([DATA, include_str!("../../migrations/sqlite/0005_lifecycle.sql")])
        {
            sqlx::raw_sql(text).execute(&mut *connection).await.unwrap();
        }
        let renewals: Vec<Option<String>> =
            sqlx::query_scalar("SELECT renewal FROM subscribers ORDER BY profile_id")
                .fetch_all(&mut *connection)
                .await
                .unwrap();
        assert_eq!(renewals, [Some("automatic".to_owned()), Some("cancelled".to_owned()), None]);
        let profiles: Vec<Option<i64>> = sqlx::query_scalar("SELECT profile_id FROM transfers ORDER BY at")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        assert_eq!(profiles, [Some(7), Some(8), Some(8), None]);
        let changed = sqlx::query("UPDATE transfers SET amount = 6").execute(&mut *connection).await;
        assert!(changed.unwrap_err().to_string().contains("never changed"));
    }

    #[tokio::test]
    async fn rates_that_there_were_hold_from_the_beginning() {
        const BEFORE: &str = include_str!("../../migrations/sqlite/0001_initial.sql");
        const DATA: &str = "INSERT INTO rates VALUES ('standard', '372', 'Estonia', 'EE', 20000, 0, 30, 6); \
            INSERT INTO companies (name, country, currency) VALUES ('A', 'US', 'USD');";
        const LISTS: &str = include_str!("../../migrations/sqlite/0009_price_lists.sql");
        let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        for text in [BEFORE, DATA, LISTS] {
            sqlx::raw_sql(text).execute(&mut *connection).await.unwrap();
        }
        let kept: (String, i64, String, i64) =
            sqlx::query_as("SELECT price_list, valid_from, prefix, rate_per_minute_micros FROM rates")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        assert_eq!(kept, ("standard".into(), 0, "372".into(), 20_000));
        let list: String =
            sqlx::query_scalar("SELECT price_list FROM companies").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(list, "standard");
    }
}
