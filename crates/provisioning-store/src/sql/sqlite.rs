//! SQLite: one writer connection, a few readers, a write-ahead log that is synced at every commit.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::failed;
use crate::error::StoreError;

/// The database that the other files of this module are compiled against.
pub(super) type Db = Sqlite;
/// A connection to it.
pub(super) type Connection = sqlx::SqliteConnection;

/// How long a writer waits for another process (the command line beside the daemon).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that only read.
const READERS: u32 = 3;
/// Statements kept prepared on each connection: more than this module has in all chunk sizes.
const STATEMENTS_KEPT: usize = 256;

/// An open database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Database {
    /// Opens or creates the file and brings its tables up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL could lose the last commits at a power failure, and they are money.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_KEPT)
            .optimize_on_close(true, None);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(failed("opening the database file"))?;
        let migrated = sqlx::migrate!("migrations/sqlite").run(&writer).await;
        migrated.map_err(|error| failed("bringing its tables up to date")(error.into()))?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed("opening the database file for reading"))?;
        Ok(Self { writer, reader })
    }

    /// Begins a transaction that may write. It takes the write lock at once: one that reads first and then asks for
    /// the lock fails without waiting when another process has written meanwhile.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Db>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("beginning a transaction"))
    }

    /// Connections for reading what is committed.
    pub(super) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Closes every connection, waiting for those in use.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}
