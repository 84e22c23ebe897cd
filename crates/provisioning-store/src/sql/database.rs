//! The open database: SQLite or PostgreSQL, which differ in how they are opened and how writers keep out of each other's
//! way, and in nothing else.

use std::sync::Arc;

use super::connection::{Reader, Transaction};
use super::ledger::Shelf;
use super::rates::Tables;
use super::{postgres, sqlite};
use crate::audit::Deed;
use crate::error::StoreError;
use crate::quotas::Quotas;
use crate::store::{Durability, Location};
use crate::things::Condition;

/// An open database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    writer: Writer,
    reader: Reader,
    shelf: Arc<Shelf>,
    tables: Arc<Tables>,
    /// On whose behalf its transactions are.
    pub(super) deed: Option<Arc<Deed>>,
    /// What has to hold for its transactions that somebody asks for.
    pub(super) condition: Option<Arc<Condition>>,
    /// How many things may be created through it; `None` is as many as one likes.
    pub(super) quotas: Option<Arc<Quotas>>,
}

#[derive(Clone, Debug)]
enum Writer {
    Sqlite(sqlite::Writer),
    Postgres(postgres::Writer),
}

impl Database {
    /// Opens the database, makes the file if that is what it is. With an owner it is his alone, where the database can see
    /// to that, and its tables are brought up to date; without one they have to be of this program's version.
    pub(crate) async fn open(
        location: &Location,
        durability: Durability,
        owner: Option<&str>,
    ) -> Result<Self, StoreError> {
        let shelf = Arc::new(Shelf::default());
        let (writer, reader) = match location {
            Location::File(path) => {
                let (writer, reader) = sqlite::open(path, durability, owner, &shelf).await?;
                (Writer::Sqlite(writer), Reader::Sqlite(reader))
            }
            Location::Postgres(url) => {
                let (writer, reader) = postgres::open(url, durability, owner).await?;
                (Writer::Postgres(writer), Reader::Postgres(reader))
            }
        };
        let tables = Arc::default();
        Ok(Self { writer, reader, shelf, tables, deed: None, condition: None, quotas: None })
    }

    /// Begins a transaction that may write anything, for [`Self::begin`] alone; what is known of the books is read again
    /// after it.
    pub(super) async fn begin_writing(&self) -> Result<Transaction, StoreError> {
        let transaction = self.begin_as_known().await?;
        self.shelf.clear();
        Ok(transaction)
    }

    /// Begins a transaction that writes to the books only what is known to their writer, without an audit entry. No other
    /// writer is let in until it ends.
    pub(super) async fn begin_as_known(&self) -> Result<Transaction, StoreError> {
        match &self.writer {
            Writer::Sqlite(writer) => writer.begin().await,
            Writer::Postgres(writer) => writer.begin(postgres::Turn::Taken).await,
        }
    }

    /// Begins a transaction that writes nothing of the books, without an audit entry.
    pub(super) async fn begin_beside(&self) -> Result<Transaction, StoreError> {
        match &self.writer {
            Writer::Sqlite(writer) => writer.begin().await,
            Writer::Postgres(writer) => writer.begin(postgres::Turn::Passed).await,
        }
    }

    /// The quick way to write what is known of the books, where the database has one.
    pub(super) async fn express(&self) -> Result<Option<sqlite::Express>, StoreError> {
        match &self.writer {
            Writer::Sqlite(writer) => writer.express().await.map(Some),
            Writer::Postgres(_) => Ok(None),
        }
    }

    /// What is known of the books.
    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Rate tables that were read.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Connections for reading what is committed.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Closes every connection, waiting for those in use.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        match &self.writer {
            Writer::Sqlite(writer) => writer.close().await,
            Writer::Postgres(writer) => writer.close().await,
        }
    }
}
