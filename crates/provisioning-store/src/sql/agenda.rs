//! What falls due, found by its index.

use sqlx::FromRow;

use super::audit::record;
use super::leases::LeaseRow;
use super::ledger::{Author, apply_in};
use super::profiles::delete_history;
use super::query::{Stored, query, query_as, query_scalar};
use super::rows::word;
use super::{Connection, Database, failed, statements};
use crate::audit::Deed;
use crate::error::StoreError;
use crate::ledger::{LedgerEntry, LedgerOp, Outcome, Refusal};
use crate::lifecycle::agenda::{Due, due_now};
use crate::lifecycle::{Renewal, Terms};
use crate::model::{CompanyId, ProfileId, Timestamp};
use crate::money::Micros;

/// Most duties of a kind that are read at once.
const MOST_AT_ONCE: i64 = 512;
/// The row that says when it was looked for what is due.
const LAST_LOOK: &str = "last_look";

#[derive(FromRow)]
struct PeriodRow {
    profile_id: i64,
    company_id: i64,
    period: i64,
    paid_until: i64,
    renewal: String,
}

#[derive(FromRow)]
struct TermRow {
    #[sqlx(flatten)]
    lease: LeaseRow,
    credit_micros: i64,
}

impl TermRow {
    fn due(self, terms: Terms) -> Result<Due, StoreError> {
        let credit = Micros(self.credit_micros);
        let (number, lease) = self.lease.lease()?;
        Ok(Due::of_number(number, &lease, credit, terms))
    }
}

impl PeriodRow {
    fn due(&self, terms: Terms) -> Result<Due, StoreError> {
        let (profile, company) = (ProfileId(self.profile_id), CompanyId(self.company_id));
        let (period, end) = (self.period, Timestamp(self.paid_until));
        let renewal: Renewal = word(&self.renewal, "a renewal")?;
        Ok(Due::of_period((profile, company), (period, end), renewal, terms))
    }
}

impl Database {
    /// What is to be done now, oldest first, of each company the first duty only.
    pub(crate) async fn due(&self, now: Timestamp, terms: Terms) -> Result<Vec<Due>, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("reading what is due"))?;
        let disabled = now.plus_days(-i64::from(terms.disabled_days));
        let grace = now.plus_days(-i64::from(terms.number_grace_days));
        let mut due = Vec::new();
        // Beyond the end of a list that was cut, one of its duties may come before one of another list.
        let mut horizon = now;
        for (statement, ended) in [(statements::PERIODS_DUE, now), (statements::PROFILES_DUE, disabled)] {
            let rows: Vec<PeriodRow> = fetch(&mut reader, statement, ended).await?;
            let duties = rows.iter().map(|row| row.due(terms)).collect::<Result<Vec<_>, _>>()?;
            horizon = horizon.min(end_of(&duties));
            due.extend(duties);
        }
        for (statement, ended) in [(statements::TERMS_DUE, now), (statements::RELEASES_DUE, grace)] {
            let rows: Vec<TermRow> = fetch(&mut reader, statement, ended).await?;
            let duties = rows.into_iter().map(|row| row.due(terms)).collect::<Result<Vec<_>, _>>()?;
            horizon = horizon.min(end_of(&duties));
            due.extend(duties);
        }
        Ok(due_now(due, horizon))
    }

    pub(crate) async fn last_look(&self) -> Result<Option<Timestamp>, StoreError> {
        let stored: Option<String> = query_scalar(statements::META)
            .bind(LAST_LOOK)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading when it was looked for what is due"))?;
        Ok(stored.and_then(|micros| micros.parse().ok()).map(Timestamp))
    }

    pub(crate) async fn note_look(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin_beside().await?;
        if let Some(deed) = &self.deed {
            record(&mut transaction, deed).await?;
        }
        query(statements::SET_META)
            .bind(LAST_LOOK)
            .bind(now.0.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed("noting when it was looked for what is due"))?;
        transaction.commit().await.map_err(failed("noting when it was looked for what is due"))
    }

    /// Does a batch in one transaction; the call records of profiles that it closes go with them. `told` is what the
    /// audit trail shows of each entry and its outcome.
    pub(crate) async fn apply_and_forget(
        &self,
        author: Author<'_>,
        entries: &[LedgerEntry],
        told: impl Fn(usize, &Outcome) -> Option<Deed>,
    ) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        let mut transaction = self.begin().await?;
        let outcomes = apply_in(&mut transaction, author, entries).await?;
        let closed =
            entries.iter().zip(&outcomes).filter_map(|(entry, outcome)| match (&entry.op, outcome) {
                (LedgerOp::CloseProfile { profile, .. }, Ok(Outcome::Booked)) => Some(*profile),
                _ => None,
            });
        delete_history(&mut transaction, &closed.collect::<Vec<_>>()).await?;
        for (index, outcome) in outcomes.iter().enumerate() {
            if let Some(deed) = outcome.as_ref().ok().and_then(|outcome| told(index, outcome)) {
                record(&mut transaction, &deed).await?;
            }
        }
        transaction.commit().await.map_err(failed("committing what was due"))?;
        Ok(outcomes)
    }
}

async fn fetch<R>(
    connection: &mut Connection,
    statement: &'static str,
    ended: Timestamp,
) -> Result<Vec<R>, StoreError>
where
    R: Stored,
{
    query_as(statement)
        .bind(ended.0)
        .bind(MOST_AT_ONCE)
        .fetch_all(connection)
        .await
        .map_err(failed("reading what is due"))
}

/// Up to where a list is known to be whole.
fn end_of(duties: &[Due]) -> Timestamp {
    let last = duties.last().filter(|_| duties.len() as i64 == MOST_AT_ONCE);
    last.map_or(Timestamp(i64::MAX), |last| last.at)
}
