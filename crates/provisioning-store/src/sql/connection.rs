//! A connection to whichever database there is, and what it is for: reading, or a transaction.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool};

use super::{postgres, sqlite};
use crate::error::StoreError;

/// Where a statement is run.
#[derive(Debug)]
pub(super) enum Place<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
    /// On any connection that reads.
    Reader(&'a Reader),
}

impl<'a> From<&'a mut Connection> for Place<'a> {
    fn from(connection: &'a mut Connection) -> Self {
        connection.place()
    }
}

impl<'a> From<&'a Reader> for Place<'a> {
    fn from(reader: &'a Reader) -> Self {
        Self::Reader(reader)
    }
}

#[derive(Debug)]
enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(sqlx::Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(sqlx::Transaction<'static, Postgres>),
}

/// A connection that is held.
#[derive(Debug)]
pub(super) struct Connection {
    held: Held,
    /// Where writers take turns: the turn before this one.
    before: i64,
}

impl Connection {
    pub(super) fn place(&mut self) -> Place<'_> {
        match &mut self.held {
            Held::Sqlite(connection) => Place::Sqlite(connection),
            Held::SqliteTransaction(transaction) => Place::Sqlite(transaction),
            Held::Postgres(connection) => Place::Postgres(connection),
            Held::PostgresTransaction(transaction) => Place::Postgres(transaction),
        }
    }

    /// The version of what it has before it, which is another one when somebody else has written meanwhile.
    pub(super) async fn version(&mut self) -> Result<i64, StoreError> {
        let before = self.before;
        match self.place() {
            Place::Sqlite(connection) => sqlite::data_version(connection).await,
            _ => Ok(before),
        }
    }

    /// The version that it leaves behind when it is committed, if it had this one before it.
    pub(super) fn version_after(&self, version: i64) -> i64 {
        match self.held {
            // A connection does not count its own changes.
            Held::Sqlite(_) | Held::SqliteTransaction(_) => version,
            Held::Postgres(_) | Held::PostgresTransaction(_) => version + 1,
        }
    }

    /// The turn before this one, where writers take turns.
    pub(super) fn turn_before(&self) -> i64 {
        self.before
    }
}

/// A transaction; undone when it is dropped without having been committed.
#[derive(Debug)]
pub(super) struct Transaction(Connection);

impl Transaction {
    pub(super) fn on_sqlite(transaction: sqlx::Transaction<'static, Sqlite>) -> Self {
        Self(Connection { held: Held::SqliteTransaction(transaction), before: 0 })
    }

    /// One that has taken its turn after the one `before`.
    pub(super) fn on_postgres(transaction: sqlx::Transaction<'static, Postgres>, before: i64) -> Self {
        Self(Connection { held: Held::PostgresTransaction(transaction), before })
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.0.held {
            Held::SqliteTransaction(transaction) => transaction.commit().await,
            Held::PostgresTransaction(transaction) => transaction.commit().await,
            Held::Sqlite(_) | Held::Postgres(_) => unreachable!("a transaction is made of nothing else"),
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// Connections for reading what is committed.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Reader {
    pub(super) async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        let held = match self {
            Self::Sqlite(pool) => Held::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Held::Postgres(pool.acquire().await?),
        };
        Ok(Connection { held, before: 0 })
    }

    /// Begins a transaction that sees one moment, whatever is written meanwhile.
    pub(super) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::on_sqlite(pool.begin().await?)),
            Self::Postgres(pool) => {
                Ok(Transaction::on_postgres(pool.begin_with(postgres::ONE_MOMENT).await?, 0))
            }
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
