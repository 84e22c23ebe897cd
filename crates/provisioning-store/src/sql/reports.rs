//! Reports from transfers and call records.

use sqlx::FromRow;

use super::query::{query_as, query_scalar};
use super::rows::word;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::ledger::Account;
use crate::model::{CompanyId, ProfileId, Timestamp};
use crate::money::Micros;
use crate::reports::{AllocationRow, LedgerUsage, Month, StatementRow, UsageRow};

#[derive(FromRow)]
struct UsageSums {
    destination: String,
    calls: i64,
    duration_s: i64,
    billed_s: i64,
    bundle_s: i64,
    amount_micros: i64,
}

#[derive(FromRow)]
struct MovementRow {
    at: i64,
    kind: String,
    amount: i64,
    profile_id: Option<i64>,
    note: String,
}

impl Database {
    /// Answered calls by destination.
    pub(crate) async fn usage(&self, profile: ProfileId, month: Month) -> Result<Vec<UsageRow>, StoreError> {
        let rows: Vec<UsageSums> = query_as(statements::USAGE)
            .bind(profile.0)
            .bind(month.start().0)
            .bind(month.end().0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading usage"))?;
        let row = |sums: UsageSums| UsageRow {
            destination: sums.destination,
            calls: sums.calls.unsigned_abs(),
            duration_s: sums.duration_s,
            billed_s: sums.billed_s,
            bundle_s: sums.bundle_s,
            amount: Micros(sums.amount_micros),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The same from the transfers of the same calls.
    pub(crate) async fn ledger_usage(
        &self,
        profile: ProfileId,
        month: Month,
    ) -> Result<LedgerUsage, StoreError> {
        let (amount, bundle_s): (i64, i64) = query_as(statements::LEDGER_USAGE)
            .bind(profile.0)
            .bind(month.start().0)
            .bind(month.end().0)
            .fetch_one(self.reader())
            .await
            .map_err(failed("rebuilding usage from the ledger"))?;
        Ok(LedgerUsage { amount: Micros(amount), bundle_s })
    }

    pub(crate) async fn allocations(
        &self,
        profile: ProfileId,
        month: Month,
    ) -> Result<Vec<AllocationRow>, StoreError> {
        let rows: Vec<MovementRow> = query_as(statements::ALLOCATIONS)
            .bind(profile.0)
            .bind(month.start().0)
            .bind(month.end().0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading allocations"))?;
        let row = |row: MovementRow| {
            let kind = word(&row.kind, "a kind of transfer")?;
            Ok(AllocationRow { at: Timestamp(row.at), kind, amount: Micros(row.amount), note: row.note })
        };
        rows.into_iter().map(row).collect()
    }

    /// A company's credit at the beginning of a month, and what moved in it.
    pub(crate) async fn movements(
        &self,
        company: CompanyId,
        month: Month,
    ) -> Result<(Micros, Vec<StatementRow>), StoreError> {
        let account = Account::Company(company).to_string();
        let mut reader = self.reader().begin().await.map_err(failed("reading a statement"))?;
        let opening: i64 = query_scalar(statements::BALANCE_BEFORE)
            .bind(&account)
            .bind(month.start().0)
            .fetch_one(&mut *reader)
            .await
            .map_err(failed("reading a statement"))?;
        let rows: Vec<MovementRow> = query_as(statements::MOVEMENTS)
            .bind(&account)
            .bind(month.start().0)
            .bind(month.end().0)
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("reading a statement"))?;
        let mut balance = opening;
        let row = |row: MovementRow| {
            balance += row.amount;
            Ok(StatementRow {
                at: Timestamp(row.at),
                kind: word(&row.kind, "a kind of transfer")?,
                amount: Micros(row.amount),
                balance: Micros(balance),
                profile: row.profile_id.map(ProfileId),
                note: row.note,
            })
        };
        let rows = rows.into_iter().map(row).collect::<Result<_, StoreError>>()?;
        Ok((Micros(opening), rows))
    }
}
