//! The directory's revision, and whose part of the directory was changed at which.
//!
//! Every transaction that changes what calls are decided by raises it and says whose part that is, so that a gateway which
//! knows an older revision reads only what is new to it.

use super::query::{Query, query, query_as, query_scalar};
use super::{Connection, chunks, failed, statements, with_list};
use crate::error::StoreError;
use crate::model::{BusinessAccountId, CompanyId, IpRuleId, ProfileId};

/// Whose part of the directory a transaction changes, or which part that is nobody's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Changed<'a> {
    Company(CompanyId),
    /// Before it is deleted.
    Account(BusinessAccountId),
    /// Before they are deleted.
    Numbers(&'a [i64]),
    Profile(ProfileId),
    /// Before it is deleted.
    IpRule(IpRuleId),
    /// They are few, and always read.
    Carriers,
    Rates,
}

/// The revision, and the one since which the rates are as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revision {
    pub(super) value: i64,
    pub(super) of_rates: i64,
}

/// Tells the daemon what has changed; part of every transaction that changes it. What is not there is not found.
pub(super) async fn raise_revision(
    connection: &mut Connection,
    changed: Changed<'_>,
) -> Result<(), StoreError> {
    let raised = query(statements::RAISE_REVISION).execute(&mut *connection).await;
    raised.map_err(failed("raising the directory's revision"))?;
    match changed {
        Changed::Company(id) => mark(connection, statements::MARK_COMPANY, id.0, "company").await,
        Changed::Profile(id) => mark(connection, statements::MARK_COMPANY_OF_PROFILE, id.0, "profile").await,
        Changed::Account(id) => {
            mark(connection, statements::MARK_COMPANY_OF_ACCOUNT, id.0, "business account").await
        }
        Changed::IpRule(id) => {
            mark(connection, statements::MARK_COMPANY_OF_IP_RULE, id.0, "address rule").await
        }
        Changed::Numbers(numbers) => mark_companies_of_numbers(connection, numbers).await,
        Changed::Rates => run(connection, query(statements::MARK_RATES)).await.map(|_| ()),
        Changed::Carriers => Ok(()),
    }
}

/// The companies that have stored a landline number; in a transaction that has raised the revision.
pub(super) async fn mark_companies_of_landline(
    connection: &mut Connection,
    number: &str,
) -> Result<(), StoreError> {
    run(connection, query(statements::MARK_COMPANIES_OF_LANDLINE).bind(number)).await.map(|_| ())
}

async fn mark_companies_of_numbers(connection: &mut Connection, numbers: &[i64]) -> Result<(), StoreError> {
    for chunk in chunks(numbers) {
        run(connection, with_list(statements::MARK_COMPANIES_OF_NUMBERS_IN, chunk, ")").build()).await?;
    }
    Ok(())
}

async fn mark(
    connection: &mut Connection,
    statement: &'static str,
    id: i64,
    what: &'static str,
) -> Result<(), StoreError> {
    match run(connection, query(statement).bind(id)).await? {
        0 => Err(StoreError::NotFound { what, name: id.to_string() }),
        _ => Ok(()),
    }
}

/// Gives how many companies were marked.
async fn run(connection: &mut Connection, statement: Query) -> Result<u64, StoreError> {
    let done = statement.execute(connection).await.map_err(failed("marking what has changed"))?;
    Ok(done.rows_affected())
}

pub(super) async fn revision(connection: &mut Connection) -> Result<Revision, StoreError> {
    let (value, of_rates) = query_as(statements::REVISION)
        .fetch_one(connection)
        .await
        .map_err(failed("reading the directory's revision"))?;
    Ok(Revision { value, of_rates })
}

/// The companies whose part has changed since a revision.
pub(super) async fn changed_since(
    connection: &mut Connection,
    revision: i64,
) -> Result<Vec<i64>, StoreError> {
    query_scalar(statements::COMPANIES_CHANGED_SINCE)
        .bind(revision)
        .fetch_all(connection)
        .await
        .map_err(failed("reading what has changed"))
}
