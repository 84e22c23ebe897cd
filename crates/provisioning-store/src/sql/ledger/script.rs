//! The statements that write a batch, put together once into one script.
//!
//! Each takes its rows as its only parameter, a JSON list of lists, so that its text, and with it the prepared
//! statement, is the same for every batch. The usual batch goes to SQLite without those that its [`Shape`] has no rows for
//! ([`lean`](super::lean)); PostgreSQL gets those that have some.

use std::sync::LazyLock;

use super::super::connection::{Connection, Place};
use super::super::listed::{assignments, change, insert, merged, upsert};
use super::super::sqlite::DATA_VERSION;
use super::super::statements::{MARK_COMPANIES, RAISE_REVISION};
use super::super::{postgres, sqlite};

/// The columns that a live call and its record share, in the order in which rows are put together.
macro_rules! attempt_columns {
    () => {
        "direction TEXT, kind TEXT, from_number TEXT, is_withheld BIGINT, to_number TEXT, destination TEXT, country TEXT, \
         rate_per_minute_micros BIGINT, connection_fee_micros BIGINT, minimum_s BIGINT, increment_s BIGINT, \
         is_bundle_covered BIGINT, started_at BIGINT"
    };
}

const ACCOUNT: &str = "name TEXT, has_floor BIGINT, balance BIGINT, reserved BIGINT";
const CHANGE: &str = "name TEXT, balance BIGINT, reserved BIGINT";
const SUBSCRIBER: &str = "profile_id BIGINT, company_id BIGINT, channels BIGINT, bundles BIGINT, period BIGINT, \
     bought_at BIGINT, paid_until BIGINT, channels_price_micros BIGINT, bundles_price_micros BIGINT, bundle_s BIGINT, \
     renewal TEXT, changed_at BIGINT, closed_at BIGINT, recharge_threshold_micros BIGINT, recharge_amount_micros BIGINT, spend_guard TEXT";
const SPENDING: &str = "profile_id BIGINT, hour BIGINT, hour_spent_micros BIGINT, hour_forgiven_micros BIGINT, \
     is_hour_warned BIGINT, day BIGINT, day_spent_micros BIGINT, day_forgiven_micros BIGINT, is_day_warned BIGINT";
const NEW_CALL: &str = concat!(
    "call_id TEXT, owner TEXT, profile_id BIGINT, ",
    attempt_columns!(),
    ", bundle_period BIGINT, bundle_held_s BIGINT, payer TEXT, credit_held_micros BIGINT, paid_s BIGINT, \
     answered_at BIGINT, proved_s BIGINT, known TEXT"
);
const CALL: &str = "call_id TEXT, bundle_held_s BIGINT, credit_held_micros BIGINT, paid_s BIGINT, answered_at BIGINT, \
     proved_s BIGINT, known TEXT";
const HOLD: &str =
    "owner TEXT, profile_id BIGINT, bundle_period BIGINT, bundle_held_s BIGINT, credit_held_micros BIGINT";
const TRANSFER: &str = "at BIGINT, kind TEXT, from_account TEXT, to_account TEXT, amount BIGINT, call_id TEXT, profile_id BIGINT, note TEXT";
const CDR: &str = concat!(
    "call_id TEXT, profile_id BIGINT, phone_company_id BIGINT, ",
    attempt_columns!(),
    ", answered_at BIGINT, ended_at BIGINT, talk_ms BIGINT, reason_code TEXT, reason TEXT, sip_status BIGINT, \
     caller_call_id TEXT, callee_call_id TEXT, carrier TEXT, attempts TEXT, cause BIGINT, user_agent TEXT, media TEXT, duration_s BIGINT, \
     billed_s BIGINT, bundle_s BIGINT, amount_micros BIGINT, payer TEXT"
);

/// Statements whose work is looked at, by their place: changed accounts, new calls, changed calls.
pub(super) const COUNTED: [usize; 3] = [3, 8, 9];

/// All statements together, for SQLite.
static TOGETHER: LazyLock<String> = LazyLock::new(|| sqlite::together(&texts(sqlite::ROWS)));
/// Each by itself, for PostgreSQL.
static APART: LazyLock<[String; 15]> = LazyLock::new(|| texts(postgres::ROWS));

/// What a batch is about: each shape has the statements of those before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// Calls begin, and nothing else.
    NewCalls,
    /// What calls do.
    Calls,
    /// Whatever there is.
    Whole,
}

/// What a script did.
#[derive(Debug, Default)]
pub(in crate::sql) struct Done {
    /// Whole numbers that it has read.
    pub(in crate::sql) read: Vec<i64>,
    /// Rows that each statement has written; of one that only reads it means nothing.
    pub(in crate::sql) written: Vec<u64>,
}

/// Runs the script with the rows of its statements, in order.
pub(super) async fn run(connection: &mut Connection, rows: [String; 14]) -> Result<Done, sqlx::Error> {
    let before = connection.turn_before();
    match connection.place() {
        Place::Sqlite(connection) => sqlite::run(connection, TOGETHER.as_str(), rows).await,
        Place::Postgres(connection) => postgres::run(connection, before, APART.as_slice(), rows).await,
        Place::Reader(_) => unreachable!("a connection is no reader"),
    }
}

/// The statements, in the order in which they are run. All but the first take their rows as their only parameter; `list` is
/// how the database reads them.
pub(super) fn statements(list: &str) -> [(Shape, String); 15] {
    let used_up = format!("SELECT COUNT(*) FROM cdrs WHERE call_id IN (SELECT value->>0 FROM {list})");
    // Without a floor, because what is proposed is a difference; the account's own decides.
    let balances = change(list, "accounts", CHANGE, "a.name, 0, v.balance, v.reserved", ACCOUNT)
        + "balance = accounts.balance + excluded.balance, reserved = accounts.reserved + excluded.reserved \
           WHERE accounts.has_floor = 0 OR (accounts.reserved + excluded.reserved >= 0 \
           AND accounts.balance + excluded.balance >= accounts.reserved + excluded.reserved)";
    let marks = format!("{MARK_COMPANIES}IN (SELECT CAST(value->>1 AS BIGINT) FROM {list})");
    // The name of a call that is over is used up.
    let unless_over = " WHERE NOT EXISTS (SELECT 1 FROM cdrs WHERE cdrs.call_id = v.call_id)";
    let running = change(list, "reservations", CALL, &merged(NEW_CALL, CALL), NEW_CALL)
        + &assignments(CALL, "call_id", "excluded");
    let ended = format!("DELETE FROM reservations WHERE call_id IN (SELECT value->>0 FROM {list})");
    let given_back = format!(
        "DELETE FROM holds WHERE (owner, profile_id) IN \
         (SELECT value->>0, CAST(value->>1 AS BIGINT) FROM {list})"
    );
    [
        (Shape::NewCalls, DATA_VERSION.to_owned()),
        (Shape::Whole, used_up),
        (Shape::Whole, insert(list, "accounts", ACCOUNT, "")),
        (Shape::NewCalls, balances),
        (Shape::Whole, upsert(list, "subscribers", SUBSCRIBER, "profile_id")),
        (Shape::Whole, format!("{RAISE_REVISION} AND EXISTS (SELECT 1 FROM {list})")),
        (Shape::Whole, marks),
        (Shape::Calls, upsert(list, "spending", SPENDING, "profile_id")),
        (Shape::NewCalls, insert(list, "reservations", NEW_CALL, unless_over)),
        (Shape::Calls, running),
        (Shape::Calls, ended),
        (Shape::Calls, upsert(list, "holds", HOLD, "owner, profile_id")),
        (Shape::Calls, given_back),
        (Shape::Calls, insert(list, "transfers", TRANSFER, "")),
        (Shape::Calls, insert(list, "cdrs", CDR, "")),
    ]
}

fn texts(list: &str) -> [String; 15] {
    statements(list).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::super::super::Database;
    use super::super::super::query::{QueryBuilder, query};
    use super::super::sheet::SHEET;
    use super::*;
    use crate::store::{Durability, Location};

    #[tokio::test]
    async fn rows_are_found_by_key_and_not_by_a_scan() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::open(&Location::File(folder.path().join("sipgw.db")), Durability::default(), None)
                .await
                .unwrap();
        let mut writer = database.begin().await.unwrap();
        // Statistics of tables that were small once.
        query("ANALYZE").execute(&mut *writer).await.unwrap();
        let sheet = SHEET.split_once(";\n").unwrap().1.to_owned();
        for statement in texts(sqlite::ROWS).into_iter().skip(1).chain([sheet]) {
            let explain = format!("EXPLAIN QUERY PLAN {statement}");
            let plan: Vec<(i64, i64, i64, String)> = QueryBuilder::new(&explain)
                .build_query_as()
                .bind("[]")
                .fetch_all(&mut *writer)
                .await
                .unwrap();
            let mut scans = plan.iter().map(|(.., step)| step).filter(|step| step.starts_with("SCAN"));
            let is_of_given = |step: &String| {
                ["json_each", "given", "CONSTANT ROW", "(subquery"].iter().any(|it| step.contains(it))
            };
            assert!(scans.all(is_of_given), "{statement}: {plan:?}");
        }
    }
}
