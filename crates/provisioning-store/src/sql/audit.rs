//! The audit trail in the database.

use std::sync::Arc;

use sqlx::FromRow;

use super::connection::Transaction;
use super::query::{QueryBuilder, query};
use super::{Connection, Database, answers, failed, statements, things};
use crate::audit::{AuditEntry, AuditFilter, Deed};
use crate::error::StoreError;
use crate::model::{CompanyId, Timestamp};

#[derive(FromRow)]
struct EntryRow {
    id: i64,
    at: i64,
    actor: String,
    origin: String,
    company_id: Option<i64>,
    action: String,
    detail: String,
}

impl From<EntryRow> for AuditEntry {
    fn from(row: EntryRow) -> Self {
        Self {
            id: row.id,
            at: Timestamp(row.at),
            actor: row.actor,
            origin: row.origin,
            company: row.company_id.map(CompanyId),
            action: row.action,
            detail: row.detail,
        }
    }
}

impl Database {
    /// This database, in somebody's name.
    pub(crate) fn on_behalf(&self, deed: Deed) -> Self {
        let mut database = self.clone();
        database.deed = Some(Arc::new(deed));
        database
    }

    /// Begins a transaction that may write, if what it is conditional on holds. Its first statement tells on whose behalf it is, if it is on anybody's: the
    /// entry is committed with the change, or undone with it.
    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        let mut transaction = self.begin_writing().await?;
        if let Some(condition) = &self.condition {
            things::expect(&mut transaction, condition).await?;
        }
        if let Some(deed) = &self.deed {
            record(&mut transaction, deed).await?;
        }
        Ok(transaction)
    }

    /// A transaction that does nothing but tell on whose behalf it is.
    pub(crate) async fn record(&self) -> Result<(), StoreError> {
        self.begin().await?.commit().await.map_err(failed("writing the audit trail"))
    }

    /// The newest entries before one, newest first.
    pub(crate) async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut statement = QueryBuilder::new(statements::AUDIT_THAT);
        if let Some(company) = filter.company {
            statement.push(" AND company_id = ").push_bind(company.0);
        }
        if let Some(actor) = &filter.actor {
            statement.push(" AND actor = ").push_bind(actor.clone());
        }
        if let Some(since) = filter.since {
            statement.push(" AND at >= ").push_bind(since.0);
        }
        if let Some(until) = filter.before {
            statement.push(" AND at < ").push_bind(until.0);
        }
        if let Some(before) = before {
            statement.push(" AND id < ").push_bind(before);
        }
        statement.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(most));
        let rows: Vec<EntryRow> = statement
            .build_query_as()
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading the audit trail"))?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}

pub(super) async fn record(connection: &mut Connection, deed: &Deed) -> Result<(), StoreError> {
    if let Some(once) = &deed.once {
        answers::begin(connection, once, deed.at).await?;
    }
    query(statements::INSERT_AUDIT)
        .bind(deed.at.0)
        .bind(&deed.actor)
        .bind(&deed.origin)
        .bind(deed.company.map(|company| company.0))
        .bind(&deed.action)
        .bind(&deed.detail)
        .execute(connection)
        .await
        .map_err(failed("writing the audit trail"))?;
    Ok(())
}
