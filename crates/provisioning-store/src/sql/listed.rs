//! Statements that take their rows as their only parameter, a JSON list of lists: their text, and with it the prepared
//! statement, is the same for every number of rows, and a row costs neither a parameter of its own nor a place in the text.

use serde::Serialize;

use super::connection::{Connection, Place};
use super::{postgres, sqlite};

/// A list without rows.
pub(super) const NO_ROWS: &str = "[]";

/// Rows for one statement: a JSON list of lists.
#[derive(Default)]
pub(super) struct Rows {
    text: Vec<u8>,
    pub(super) count: u64,
}

impl Rows {
    /// Begins a row.
    pub(super) fn add(&mut self) -> Row<'_> {
        self.text.extend_from_slice(if self.count == 0 { b"[[" } else { b"],[" });
        self.count += 1;
        Row { text: &mut self.text, is_empty: true }
    }

    pub(super) fn into_text(mut self) -> String {
        self.text.extend_from_slice(if self.count == 0 { NO_ROWS.as_bytes() } else { b"]]" });
        String::from_utf8(self.text).expect("JSON is UTF-8")
    }
}

/// A row that is put together, value by value in the order of the statement's columns.
pub(super) struct Row<'a> {
    text: &'a mut Vec<u8>,
    is_empty: bool,
}

impl Row<'_> {
    pub(super) fn put(&mut self, value: impl Serialize) -> &mut Self {
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(b',');
        }
        serde_json::to_writer(&mut *self.text, &value).expect("plain values have a JSON form");
        self
    }
}

/// One such statement for either database.
pub(super) struct Listed {
    sqlite: String,
    postgres: String,
}

impl Listed {
    /// `statement` makes its text of how the database reads the list.
    pub(super) fn new(statement: impl Fn(&str) -> String) -> Self {
        Self { sqlite: statement(sqlite::ROWS), postgres: statement(postgres::ROWS) }
    }

    pub(super) async fn execute(
        &'static self,
        connection: &mut Connection,
        rows: Rows,
    ) -> Result<(), sqlx::Error> {
        let rows = rows.into_text();
        match connection.place() {
            Place::Sqlite(connection) => {
                sqlx::query(self.sqlite.as_str()).bind(rows).execute(connection).await?;
            }
            Place::Postgres(connection) => {
                let rows = postgres::storable_json(rows);
                sqlx::query(self.postgres.as_str()).bind(rows).execute(connection).await?;
            }
            Place::Reader(_) => unreachable!("a connection is no reader"),
        }
        Ok(())
    }
}

/// The names of columns that are written with their types.
fn names(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(", ").filter_map(|column| column.split(' ').next())
}

/// The rows of the parameter, their columns under their names.
pub(super) fn rows_of(list: &str, columns: &str) -> String {
    let column = |(index, column): (usize, &str)| {
        let (name, kind) = column.split_once(' ').expect("a column has a name and a type");
        match kind {
            "TEXT" => format!("value->>{index} AS {name}"),
            kind => format!("CAST(value->>{index} AS {kind}) AS {name}"),
        }
    };
    let columns: Vec<String> = columns.split(", ").enumerate().map(column).collect();
    format!("(SELECT {} FROM {list}) AS v", columns.join(", "))
}

/// Adds rows; a condition may follow.
pub(super) fn insert(list: &str, table: &str, columns: &str, condition: &str) -> String {
    let names = names(columns).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({names}) SELECT {names} FROM {}{condition}", rows_of(list, columns))
}

/// Adds rows, or puts them in the place of those that are there.
pub(super) fn upsert(list: &str, table: &str, columns: &str, key: &str) -> String {
    // Without a condition SQLite would take ON for that of a join.
    let insert = insert(list, table, columns, " WHERE true");
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}", assignments(columns, key, "excluded"))
}

/// Changes rows that are there, found by their first column; ends where the assignments from `excluded` begin. An upsert,
/// because what is updated from a list may be found by reading the whole table for each of its rows, if the database
/// has once seen that table small; the order of a cross join is kept.
pub(super) fn change(list: &str, table: &str, columns: &str, proposed: &str, all: &str) -> String {
    let key = names(columns).next().expect("a table has a key");
    let names = names(all).collect::<Vec<_>>().join(", ");
    let rows = rows_of(list, columns);
    format!(
        "INSERT INTO {table} ({names}) SELECT {proposed} FROM {rows} CROSS JOIN {table} AS a WHERE a.{key} = v.{key} \
         ON CONFLICT ({key}) DO UPDATE SET "
    )
}

/// All columns as they are there, but the changed ones as they are given.
pub(super) fn merged(all: &str, changed: &str) -> String {
    let source = |name: &str| if names(changed).any(|changed| changed == name) { "v" } else { "a" };
    names(all).map(|name| format!("{}.{name}", source(name))).collect::<Vec<_>>().join(", ")
}

/// Every column but the key's takes its value from `source`.
pub(super) fn assignments(columns: &str, key: &str, source: &str) -> String {
    let is_key = |name: &&str| key.split(", ").any(|key| key == *name);
    let columns: Vec<String> =
        names(columns).filter(|name| !is_key(name)).map(|name| format!("{name} = {source}.{name}")).collect();
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_change_is_written_as_it_reads() {
        assert_eq!(
            insert(sqlite::ROWS, "t", "a TEXT, b BIGINT", ""),
            "INSERT INTO t (a, b) SELECT a, b FROM \
             (SELECT value->>0 AS a, CAST(value->>1 AS BIGINT) AS b FROM json_each($1)) AS v"
        );
        assert!(
            upsert(sqlite::ROWS, "t", "a TEXT, b BIGINT, c TEXT", "a")
                .ends_with("(a) DO UPDATE SET b = excluded.b, c = excluded.c")
        );
    }
}
