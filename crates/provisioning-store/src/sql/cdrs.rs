//! Call records: pages, filters, the latest.

use super::query::{QueryBuilder, query_scalar};
use super::rows::CdrRow;
use super::{Connection, Database, failed, push_list, statements};
use crate::cdr::{Answer, CallId, Cdr, CdrFilter, CdrPage, CdrPlace, PAGE_ROWS};
use crate::error::StoreError;

impl Database {
    pub(crate) async fn cdrs(&self, filter: &CdrFilter, page: u32) -> Result<CdrPage, StoreError> {
        let page = page.max(1);
        let mut reader = self.reader().begin().await.map_err(failed("reading call records"))?;
        let profiles = profiles_of(&mut reader, filter).await?;
        let mut statement = QueryBuilder::new(statements::COUNT_CDRS);
        push_filter(&mut statement, filter, &profiles);
        let total: i64 = statement
            .build_query_scalar()
            .fetch_one(&mut *reader)
            .await
            .map_err(failed("counting call records"))?;
        let mut statement = QueryBuilder::new(statements::CDRS);
        push_filter(&mut statement, filter, &profiles);
        push_newest(&mut statement, PAGE_ROWS, i64::from(page - 1) * i64::from(PAGE_ROWS));
        let rows: Vec<CdrRow> = statement
            .build_query_as()
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("reading call records"))?;
        let rows = rows.into_iter().map(Cdr::try_from).collect::<Result<_, _>>()?;
        Ok(CdrPage { rows, page, total: total.unsigned_abs() })
    }

    pub(crate) async fn latest_cdrs(&self, filter: &CdrFilter, most: u32) -> Result<Vec<Cdr>, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("reading call records"))?;
        let profiles = profiles_of(&mut reader, filter).await?;
        let mut statement = QueryBuilder::new(statements::CDRS);
        push_filter(&mut statement, filter, &profiles);
        push_newest(&mut statement, most, 0);
        let rows: Vec<CdrRow> = statement
            .build_query_as()
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("reading call records"))?;
        rows.into_iter().map(Cdr::try_from).collect()
    }

    pub(crate) async fn cdrs_after(
        &self,
        filter: &CdrFilter,
        after: Option<&CdrPlace>,
        most: u32,
    ) -> Result<Vec<Cdr>, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("reading call records"))?;
        let profiles = profiles_of(&mut reader, filter).await?;
        let mut statement = QueryBuilder::new(statements::CDRS);
        push_filter(&mut statement, filter, &profiles);
        if let Some(CdrPlace { started_at, call }) = after {
            // The first condition is the index's; the second tells calls apart that began in the same moment.
            statement.push(" AND started_at <= ").push_bind(started_at.0);
            statement.push(" AND (started_at < ").push_bind(started_at.0);
            statement.push(" OR call_id < ").push_bind(call.as_str().to_owned()).push(")");
        }
        statement.push(" ORDER BY started_at DESC, call_id DESC LIMIT ").push_bind(i64::from(most));
        let rows: Vec<CdrRow> = statement
            .build_query_as()
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("reading call records"))?;
        rows.into_iter().map(Cdr::try_from).collect()
    }

    pub(crate) async fn cdr(&self, call: &CallId) -> Result<Option<Cdr>, StoreError> {
        let mut statement = QueryBuilder::new(statements::CDRS);
        statement.push(" WHERE call_id = ").push_bind(call.as_str().to_owned());
        let row: Option<CdrRow> = statement
            .build_query_as()
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a call record"))?;
        row.map(Cdr::try_from).transpose()
    }
}

/// The profiles of the company that is asked for.
async fn profiles_of(connection: &mut Connection, filter: &CdrFilter) -> Result<Vec<i64>, StoreError> {
    let Some(company) = filter.company else { return Ok(Vec::new()) };
    query_scalar(statements::PROFILE_IDS_OF_COMPANY)
        .bind(company.0)
        .fetch_all(connection)
        .await
        .map_err(failed("reading profiles"))
}

fn push_newest(statement: &mut QueryBuilder, most: u32, skip: i64) {
    statement.push(" ORDER BY started_at DESC, id DESC LIMIT ").push_bind(i64::from(most));
    statement.push(" OFFSET ").push_bind(skip);
}

/// `profiles` are those of the company that is asked for. They are told one by one, because PostgreSQL finds no index for a
/// query within an `OR`.
fn push_filter(statement: &mut QueryBuilder, filter: &CdrFilter, profiles: &[i64]) {
    statement.push(" WHERE 1 = 1");
    if let Some(profile) = filter.profile {
        statement.push(" AND profile_id = ").push_bind(profile.0);
    }
    if let Some(company) = filter.company {
        statement.push(" AND (phone_company_id = ").push_bind(company.0);
        if !profiles.is_empty() {
            statement.push(" OR profile_id IN");
            push_list(statement, profiles);
        }
        statement.push(")");
    }
    if let Some(direction) = filter.direction {
        statement.push(" AND direction = ").push_bind(direction.word());
    }
    if let Some(since) = filter.since {
        statement.push(" AND started_at >= ").push_bind(since.0);
    }
    if let Some(before) = filter.before {
        statement.push(" AND started_at < ").push_bind(before.0);
    }
    if let Some(number) = &filter.number {
        // Numbers are digits and a plus; taking out the wildcards keeps a filter from meaning something else.
        let pattern = format!("%{}%", number.replace(['%', '_'], ""));
        statement.push(" AND (to_number LIKE ").push_bind(pattern.clone());
        statement.push(" OR (from_number LIKE ").push_bind(pattern);
        if filter.hides_withheld {
            statement.push(" AND (is_withheld = 0 OR direction <> 'incoming')");
        }
        statement.push("))");
    }
    if let Some(reason_code) = &filter.reason_code {
        statement.push(" AND reason_code = ").push_bind(reason_code.clone());
    }
    match filter.answer {
        Some(Answer::Answered) => statement.push(" AND answered_at IS NOT NULL"),
        Some(Answer::Unanswered) => statement.push(" AND answered_at IS NULL"),
        None => statement,
    };
}
