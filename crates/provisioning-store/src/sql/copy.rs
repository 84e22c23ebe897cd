//! Copies all that a SQLite database holds into a PostgreSQL one: every table as it is, in one transaction.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Sqlite, SqliteConnection};

use super::connection::Place;
use super::ledger::balances;
use super::{Database, failed, postgres};
use crate::error::StoreError;
use crate::moving::Moved;

/// All tables, those that others refer to before these.
const TABLES: [&str; 29] = [
    "meta",
    "directory_revision",
    "companies",
    "profiles",
    "ip_rules",
    "business_accounts",
    "online_numbers",
    "landlines",
    "caller_ids",
    "carriers",
    "rate_editions",
    "rates",
    "registrations",
    "proofs",
    "accounts",
    "subscribers",
    "reservations",
    "transfers",
    "cdrs",
    "holds",
    "spending",
    "number_leases",
    "number_stock",
    "tokens",
    "audit",
    "answers",
    "administrators",
    "company_recharges",
    "payments",
];
/// Tables in which a new database has rows; they are replaced.
const SEEDED: [&str; 3] = ["meta", "directory_revision", "accounts"];
/// Rows that one statement carries.
const ROWS_AT_ONCE: usize = 1_000;

/// A column's name and its type in PostgreSQL.
type Column = (String, String);

/// Copies one database into another that holds nothing yet, all or nothing: the balances of all accounts are held against
/// one another before it is committed.
pub(crate) async fn copy(from: &Database, to: &Database) -> Result<Moved, StoreError> {
    let doing = "copying the database";
    let mut reader = from.reader().begin().await.map_err(failed(doing))?;
    let mut writer = to.begin().await?;
    let (Place::Sqlite(source), Place::Postgres(target)) = (reader.place(), writer.place()) else {
        let problem = "a copy goes from a file of SQLite to PostgreSQL".to_owned();
        return Err(StoreError::Invalid { field: "store.url", problem });
    };
    refuse_if_used(target).await?;
    for table in SEEDED {
        run(target, format!("DELETE FROM {table}")).await.map_err(failed(doing))?;
    }
    let mut rows = BTreeMap::new();
    for table in TABLES {
        let columns = columns(source, target, table).await?;
        let copied = copy_table(source, target, table, &columns).await.map_err(failed(doing))?;
        go_on_counting(target, table, &columns).await.map_err(failed(doing))?;
        rows.insert(table, copied);
    }
    let (before, after) = (balances(&mut reader).await?, balances(&mut writer).await?);
    if before != after {
        let differs =
            before.keys().chain(after.keys()).find(|account| before.get(account) != after.get(account));
        let found = differs.map_or_else(String::new, |account| format!("another balance of {account}"));
        return Err(StoreError::Damaged { found, expected: "the same books as before" });
    }
    writer.commit().await.map_err(failed(doing))?;
    Ok(Moved { rows, accounts: after.len() })
}

async fn run(target: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(target).await.map(|_| ())
}

async fn refuse_if_used(target: &mut PgConnection) -> Result<(), StoreError> {
    for table in TABLES.into_iter().filter(|table| !SEEDED.contains(table)) {
        let statement = AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {table})"));
        let has_rows: bool = sqlx::query_scalar(statement)
            .fetch_one(&mut *target)
            .await
            .map_err(failed("looking at the target"))?;
        if has_rows {
            let problem =
                format!("the database there is in use: its table {table} has rows; name an empty one");
            return Err(StoreError::Invalid { field: "store.url", problem });
        }
    }
    Ok(())
}

/// The columns of a table, which both databases must have alike.
async fn columns(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
) -> Result<Vec<Column>, StoreError> {
    let mut columns: Vec<Column> = sqlx::query_as(
        "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name",
    )
    .bind(table)
    .fetch_all(target)
    .await
    .map_err(failed("reading the tables of PostgreSQL"))?;
    let mut names: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY name")
        .bind(table)
        .fetch_all(source)
        .await
        .map_err(failed("reading the tables of SQLite"))?;
    names.sort_unstable();
    columns.sort_unstable();
    if columns.iter().map(|(name, _)| name).ne(&names) {
        let found = format!("{table} ({})", names.join(", "));
        return Err(StoreError::Damaged { found, expected: "the same table as in PostgreSQL" });
    }
    Ok(columns)
}

async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<u64, sqlx::Error> {
    let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let values =
        columns.iter().enumerate().map(|(index, (_, kind))| format!("CAST(value->>{index} AS {kind})"));
    let values = values.collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {table} ({names}) SELECT {values} FROM {}", postgres::ROWS);
    let select = AssertSqlSafe(format!("SELECT json_array({names}) FROM {table}"));
    let mut rows = sqlx::query_scalar::<Sqlite, String>(select).fetch(source);
    let (mut chunk, mut copied) = (Vec::with_capacity(ROWS_AT_ONCE), 0);
    loop {
        let row = rows.try_next().await?;
        let is_last = row.is_none();
        chunk.extend(row);
        if chunk.len() == ROWS_AT_ONCE || (is_last && !chunk.is_empty()) {
            let list = postgres::storable_json(format!("[{}]", chunk.join(",")));
            let done = sqlx::query(AssertSqlSafe(insert.clone())).bind(list).execute(&mut *target).await?;
            copied += done.rows_affected();
            chunk.clear();
        }
        if is_last {
            return Ok(copied);
        }
    }
}

/// New rows get identities behind those that were copied.
async fn go_on_counting(
    target: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<(), sqlx::Error> {
    if !columns.iter().any(|(name, _)| name == "id") {
        return Ok(());
    }
    // Where identities are not counted there is no sequence, and nothing happens.
    let statement = format!(
        "SELECT setval(sequence, latest) FROM (SELECT pg_get_serial_sequence('{table}', 'id') AS sequence, \
         MAX(id) AS latest FROM {table}) AS counted WHERE sequence IS NOT NULL AND latest IS NOT NULL"
    );
    run(target, statement).await
}

#[cfg(test)]
mod tests {
    use super::super::query::query_scalar;
    use super::*;
    use crate::store::{Durability, Location};

    #[tokio::test]
    async fn no_table_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("sipgw.db"));
        let database = Database::open(&file, Durability::default(), None).await.unwrap();
        let mut there = Vec::new();
        let mut reader = database.reader().acquire().await.unwrap();
        for table in TABLES {
            let name: Option<String> =
                query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name = $1")
                    .bind(table)
                    .fetch_optional(&mut reader)
                    .await
                    .unwrap();
            there.extend(name);
        }
        let all: i64 = query_scalar(
            "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .fetch_one(&mut reader)
        .await
        .unwrap();
        assert_eq!((there.len(), all), (TABLES.len(), TABLES.len() as i64));
    }
}
