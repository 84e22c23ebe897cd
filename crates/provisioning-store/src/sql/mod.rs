//! The only module that names the database library.
//!
//! Statements are written in the dialect that SQLite and PostgreSQL share: numbered parameters, `ON CONFLICT`,
//! `RETURNING`, integers and text. What differs - opening, who may write, how a batch is handed over - is in one file per
//! database, [`sqlite`] and [`postgres`]; [`query`] and [`connection`] hide from the others which of them it is.

mod addresses;
mod administrators;
mod agenda;
mod amendments;
mod answers;
mod audit;
mod balances;
mod carriers;
mod cdrs;
mod companies;
mod connection;
mod copy;
mod database;
mod directory;
mod editions;
mod leases;
mod ledger;
mod limits;
mod listed;
mod notices;
mod numbers;
mod pages;
mod payments;
mod postgres;
mod profiles;
mod query;
mod quotas;
mod rates;
mod registrations;
mod reports;
mod revision;
mod rows;
mod sqlite;
mod statements;
mod stock;
mod tables;
mod things;
mod tokens;

pub(crate) use addresses::Claimant;
pub(crate) use amendments::Purchase;
use connection::Connection;
pub(crate) use copy::copy;
pub(crate) use database::Database;
pub(crate) use ledger::Author;
pub(crate) use profiles::ProfileOrder;
use query::{List, QueryBuilder, Value};

use std::sync::Arc;

use crate::error::StoreError;

/// Rows that one statement carries. A batch is cut into these sizes, so that the statements are few enough to stay
/// prepared, and a usual batch needs one of each: handing a statement to the database's thread and back costs more
/// than most statements.
const CHUNKS: [usize; 18] = [256, 64, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];

/// Cuts rows into pieces of the sizes in [`CHUNKS`], largest first.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|&size| size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

/// A statement that ends in `VALUES (..), (..)`.
fn with_values<T>(start: &str, rows: &[T], push: impl Fn(List<'_>, &T), end: &str) -> QueryBuilder {
    let mut statement = QueryBuilder::new(start);
    statement.push_values(rows, push);
    statement.push(end);
    statement
}

/// A statement that ends in `IN (..)`.
fn with_list<T: Clone + Into<Value>>(start: &str, keys: &[T], end: &str) -> QueryBuilder {
    let mut statement = QueryBuilder::new(start);
    push_list(&mut statement, keys);
    statement.push(end);
    statement
}

/// A statement that goes on after its `start` with an owner and a list of profiles.
fn with_owners_list(start: &str, owner: &str, profiles: &[i64]) -> QueryBuilder {
    let mut statement = QueryBuilder::new(start);
    statement.push_bind(owner).push(" AND profile_id IN");
    push_list(&mut statement, profiles);
    statement
}

fn push_list<T: Clone + Into<Value>>(statement: &mut QueryBuilder, keys: &[T]) {
    statement.push(" (");
    let mut list = statement.list();
    for key in keys {
        list.push_bind(key.clone());
    }
    statement.push(")");
}

/// Turns the library's errors into ours, saying what was being done.
fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Database { doing, cause: Arc::new(error) }
}

/// The same for inserts and updates, where a broken uniqueness means that a name is taken.
fn failed_unless_taken<'a>(
    doing: &'static str,
    what: &'static str,
    name: &'a str,
) -> impl Fn(sqlx::Error) -> StoreError + 'a {
    move |error| {
        let is_taken = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if is_taken { StoreError::Taken { what, name: name.to_owned() } } else { failed(doing)(error) }
    }
}
