//! What every profile has left. Few columns of many rows: what is rare is read by itself.

use std::collections::HashMap;

use sqlx::FromRow;

use super::query::query_as;
use super::rows::{SpendingRow, narrow};
use super::{Connection, Database, failed, statements};
use crate::balances::ProfileBalance;
use crate::error::StoreError;
use crate::ledger::{Spending, Window};
use crate::model::{ProfileId, Timestamp};
use crate::money::Micros;

/// What a profile has spent.
#[derive(FromRow)]
struct SpenderRow {
    profile_id: i64,
    #[sqlx(flatten)]
    spending: SpendingRow,
}

impl Database {
    pub(crate) async fn profile_balances(&self, now: Timestamp) -> Result<Vec<ProfileBalance>, StoreError> {
        // One read transaction sees one moment.
        let mut reader = self.reader().begin().await.map_err(failed("reading balances"))?;
        let calls = by_profile(&mut reader, statements::CALLS_OF_PROFILES).await?;
        let holds = by_profile(&mut reader, statements::HOLDS_OF_PROFILES).await?;
        let spending = spending_of_today(&mut reader, now).await?;
        let rows: Vec<(i64, i64, i64, i64)> = query_as(statements::PROFILE_ACCOUNTS)
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("reading balances"))?;
        let balance = |(profile, credit, reserved, bundle_s): (i64, i64, i64, i64)| {
            let of = |all: &HashMap<i64, i64>| all.get(&profile).copied().unwrap_or_default();
            Ok(ProfileBalance {
                profile: ProfileId(profile),
                credit: Micros(credit),
                held_by_calls: Micros(reserved - of(&holds)),
                bundle_left_s: narrow(bundle_s, "a number of seconds")?,
                channels_in_use: narrow(of(&calls), "a number of calls")?,
                spending: spending.get(&profile).copied().unwrap_or_default(),
            })
        };
        rows.into_iter().map(balance).collect()
    }
}

async fn by_profile(
    reader: &mut Connection,
    statement: &'static str,
) -> Result<HashMap<i64, i64>, StoreError> {
    let rows: Vec<(i64, i64)> =
        query_as(statement).fetch_all(reader).await.map_err(failed("reading balances"))?;
    Ok(rows.into_iter().collect())
}

/// What was spent before says nothing about the caps of today.
async fn spending_of_today(
    reader: &mut Connection,
    now: Timestamp,
) -> Result<HashMap<i64, Spending>, StoreError> {
    let rows: Vec<SpenderRow> = query_as(statements::SPENDING_SINCE)
        .bind(Window::Day.number(now))
        .fetch_all(reader)
        .await
        .map_err(failed("reading balances"))?;
    Ok(rows.into_iter().map(|row| (row.profile_id, row.spending.spending())).collect())
}
