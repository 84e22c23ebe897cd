//! Statements with their parameters, for whichever database there is: the same text goes to both.
//!
//! Parameters are whole numbers and texts, or nothing; a statement numbers them `$1`, `$2`, which both databases read.

use std::marker::PhantomData;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite};

use super::connection::Place;
use super::postgres;

/// A parameter.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

/// What both databases' rows can be read as.
pub(super) trait Stored:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Stored for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement that gives nothing back.
pub(super) fn query(text: &'static str) -> Query {
    Query { text: text.into_sql_str(), values: Vec::new() }
}

/// A statement whose rows are read as `R`.
pub(super) fn query_as<R>(text: &'static str) -> QueryAs<R> {
    query(text).rows()
}

/// A statement whose rows have one column, of type `T`.
pub(super) fn query_scalar<T>(text: &'static str) -> QueryScalar<T> {
    QueryScalar(query_as(text))
}

/// A statement and its parameters.
#[derive(Debug)]
pub(super) struct Query {
    text: SqlStr,
    values: Vec<Value>,
}

/// What a statement has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executed {
    rows: u64,
}

impl Executed {
    pub(super) fn rows_affected(self) -> u64 {
        self.rows
    }
}

impl Query {
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    fn rows<R>(self) -> QueryAs<R> {
        QueryAs { query: self, row: PhantomData }
    }

    fn on_sqlite(self) -> sqlx::query::Query<'static, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
        self.values.into_iter().fold(sqlx::query::<Sqlite>(self.text), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        })
    }

    fn on_postgres(self) -> sqlx::query::Query<'static, Postgres, <Postgres as sqlx::Database>::Arguments> {
        self.values.into_iter().fold(sqlx::query::<Postgres>(self.text), |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.map(postgres::storable)),
        })
    }

    pub(super) async fn execute(self, on: impl Into<Place<'_>>) -> Result<Executed, sqlx::Error> {
        let mut acquired;
        let place = match on.into() {
            Place::Reader(reader) => {
                acquired = reader.acquire().await?;
                acquired.place()
            }
            place => place,
        };
        let rows = match place {
            Place::Sqlite(connection) => self.on_sqlite().execute(connection).await?.rows_affected(),
            Place::Postgres(connection) => self.on_postgres().execute(connection).await?.rows_affected(),
            Place::Reader(_) => unreachable!("a connection has been acquired from the reader"),
        };
        Ok(Executed { rows })
    }
}

/// A statement whose rows are read as `R`.
#[derive(Debug)]
pub(super) struct QueryAs<R> {
    query: Query,
    row: PhantomData<fn() -> R>,
}

impl<R: Stored> QueryAs<R> {
    pub(super) fn bind(self, value: impl Into<Value>) -> Self {
        self.query.bind(value).rows()
    }

    pub(super) async fn fetch_all(self, on: impl Into<Place<'_>>) -> Result<Vec<R>, sqlx::Error> {
        let mut acquired;
        let place = match on.into() {
            Place::Reader(reader) => {
                acquired = reader.acquire().await?;
                acquired.place()
            }
            place => place,
        };
        match place {
            Place::Sqlite(connection) => {
                self.query.on_sqlite().fetch_all(connection).await?.iter().map(R::from_row).collect()
            }
            Place::Postgres(connection) => {
                self.query.on_postgres().fetch_all(connection).await?.iter().map(R::from_row).collect()
            }
            Place::Reader(_) => unreachable!("a connection has been acquired from the reader"),
        }
    }

    /// The first row; the statements that this is asked of have at most one.
    pub(super) async fn fetch_optional(self, on: impl Into<Place<'_>>) -> Result<Option<R>, sqlx::Error> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    pub(super) async fn fetch_one(self, on: impl Into<Place<'_>>) -> Result<R, sqlx::Error> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

/// A statement whose rows have one column.
#[derive(Debug)]
pub(super) struct QueryScalar<T>(QueryAs<(T,)>);

impl<T> QueryScalar<T>
where
    (T,): Stored,
{
    pub(super) fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    pub(super) async fn fetch_optional(self, on: impl Into<Place<'_>>) -> Result<Option<T>, sqlx::Error> {
        Ok(self.0.fetch_optional(on).await?.map(|(value,)| value))
    }

    pub(super) async fn fetch_one(self, on: impl Into<Place<'_>>) -> Result<T, sqlx::Error> {
        Ok(self.0.fetch_one(on).await?.0)
    }

    pub(super) async fn fetch_all(self, on: impl Into<Place<'_>>) -> Result<Vec<T>, sqlx::Error> {
        Ok(self.0.fetch_all(on).await?.into_iter().map(|(value,)| value).collect())
    }
}

/// A statement that is put together from parts. No part is ever something that was read from outside: that goes in as a
/// parameter.
#[derive(Debug)]
pub(super) struct QueryBuilder {
    text: String,
    values: Vec<Value>,
}

impl QueryBuilder {
    pub(super) fn new(start: &str) -> Self {
        Self { text: start.to_owned(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, part: &str) -> &mut Self {
        self.text.push_str(part);
        self
    }

    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let place = self.values.len();
        self.push(&format!("${place}"))
    }

    /// A parameter that the text names itself, by its place among all.
    pub(super) fn bind_named(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self
    }

    /// Begins a list with commas.
    pub(super) fn list(&mut self) -> List<'_> {
        List { statement: self, is_empty: true }
    }

    /// `VALUES (..), (..)`, each row written by `push`.
    pub(super) fn push_values<T>(&mut self, rows: &[T], push: impl Fn(List<'_>, &T)) {
        self.push("VALUES ");
        for (index, row) in rows.iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            push(self.list(), row);
            self.push(")");
        }
    }

    pub(super) fn build(self) -> Query {
        Query { text: AssertSqlSafe(self.text).into_sql_str(), values: self.values }
    }

    pub(super) fn build_query_as<R>(self) -> QueryAs<R> {
        self.build().rows()
    }

    pub(super) fn build_query_scalar<T>(self) -> QueryScalar<T> {
        QueryScalar(self.build_query_as())
    }
}

/// Parameters with commas between them.
#[derive(Debug)]
pub(super) struct List<'a> {
    statement: &'a mut QueryBuilder,
    is_empty: bool,
}

impl List<'_> {
    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        if !std::mem::take(&mut self.is_empty) {
            self.statement.push(", ");
        }
        self.statement.push_bind(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through_the_whole_statement() {
        let mut statement = QueryBuilder::new("INSERT INTO t (a, b) ");
        statement.push_values(&[(1, "x"), (2, "y")], |mut row, (a, b)| {
            row.push_bind(i64::from(*a)).push_bind(*b);
        });
        statement.push(" RETURNING ").push_bind("z");
        assert_eq!(statement.text, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING $5");
        assert_eq!(statement.values.len(), 5);
    }
}
