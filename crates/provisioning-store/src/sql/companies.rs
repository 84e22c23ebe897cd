//! Companies in the database.

use std::num::NonZeroU32;

use sqlx::FromRow;

use super::directory::Part;
use super::ledger::{Author, apply_in};
use super::query::{Query, query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, mark_companies_of_landline, raise_revision};
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::ledger::{LedgerEntry, LedgerOp};
use crate::model::{Company, CompanyId, Landline, NewCompany, Suspension, Timestamp, Verification};
use crate::money::Micros;

#[derive(FromRow)]
pub(super) struct CompanyRow {
    id: i64,
    name: String,
    country: String,
    currency: String,
    is_verified: i64,
    verified_by: Option<String>,
    verified_at: Option<i64>,
    price_list: String,
    calls_per_second: Option<i64>,
    suspended_at: Option<i64>,
    suspended_for: Option<String>,
    credit_micros: i64,
}

impl From<CompanyRow> for Company {
    fn from(row: CompanyRow) -> Self {
        Self {
            id: CompanyId(row.id),
            name: row.name,
            country: row.country,
            currency: row.currency,
            is_verified: row.is_verified == 1,
            verification: verification(row.verified_by, row.verified_at),
            price_list: row.price_list,
            calls_per_second: row.calls_per_second.and_then(limit),
            suspension: Suspension::of(row.suspended_at, row.suspended_for),
            credit: Micros(row.credit_micros),
        }
    }
}

#[derive(FromRow)]
pub(super) struct LandlineRow {
    company_id: i64,
    number: String,
    verified_by: Option<String>,
    verified_at: Option<i64>,
}

impl From<LandlineRow> for Landline {
    fn from(row: LandlineRow) -> Self {
        Self {
            company: CompanyId(row.company_id),
            number: row.number,
            verification: verification(row.verified_by, row.verified_at),
        }
    }
}

/// A limit read from the table. Zero stands for no limit.
fn limit(most: i64) -> Option<NonZeroU32> {
    // One that is too large for us limits as good as nothing.
    NonZeroU32::new(u32::try_from(most).unwrap_or(u32::MAX))
}

/// A limit for the table. Zero records the choice of no limit; NULL means that no choice was made.
pub(super) fn chosen(limit: Option<NonZeroU32>) -> i64 {
    limit.map_or(0, |most| most.get().into())
}

fn verification(by: Option<String>, at: Option<i64>) -> Option<Verification> {
    by.zip(at).map(|(by, at)| Verification { by, at: Timestamp(at) })
}

impl Database {
    pub(crate) async fn create_company(
        &self,
        author: Author<'_>,
        now: Timestamp,
        new: &NewCompany,
        calls_per_second: Option<NonZeroU32>,
    ) -> Result<CompanyId, StoreError> {
        let mut transaction = self.begin().await?;
        refuse_if_named(&mut transaction, &new.name, None).await?;
        let id: i64 = query_scalar(statements::INSERT_COMPANY)
            .bind(&new.name)
            .bind(&new.country)
            .bind(&new.currency)
            .bind(chosen(calls_per_second))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("creating a company"))?;
        let company = CompanyId(id);
        let entry = LedgerEntry { at: now, op: LedgerOp::OpenCompany { company } };
        for outcome in apply_in(&mut transaction, author, &[entry]).await? {
            outcome?;
        }
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        transaction.commit().await.map_err(failed("creating a company"))?;
        Ok(company)
    }

    pub(crate) async fn company(&self, company: CompanyId) -> Result<Option<Company>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading a company"))?;
        self::company(&mut reader, company).await
    }

    pub(crate) async fn companies(&self) -> Result<Vec<Company>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading companies"))?;
        companies(&mut reader, Part::Whole).await
    }

    pub(crate) async fn verify_company(
        &self,
        company: CompanyId,
        verification: Option<&Verification>,
    ) -> Result<(), StoreError> {
        let statement = query(statements::VERIFY_COMPANY)
            .bind(company.0)
            .bind(i64::from(verification.is_some()))
            .bind(verification.map(|it| it.by.clone()))
            .bind(verification.map(|it| it.at.0));
        let what = ("company", company.to_string());
        self.change("verifying a company", what, Some(Changed::Company(company)), statement).await
    }

    /// Gives a company another name, which no other has.
    pub(crate) async fn rename_company(&self, company: CompanyId, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        refuse_if_named(&mut transaction, name, Some(company)).await?;
        let renamed = query(statements::RENAME_COMPANY).bind(company.0).bind(name);
        let renamed = renamed.execute(&mut *transaction).await.map_err(failed("renaming a company"))?;
        if renamed.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "company", name: company.to_string() });
        }
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        transaction.commit().await.map_err(failed("renaming a company"))
    }

    /// Stops a company's calls, or with `None` lets them be made again.
    pub(crate) async fn suspend_company(
        &self,
        company: CompanyId,
        suspension: Option<&Suspension>,
    ) -> Result<(), StoreError> {
        let statement = query(statements::SUSPEND_COMPANY)
            .bind(company.0)
            .bind(suspension.map(|it| it.at.0))
            .bind(suspension.map(|it| it.reason.clone()));
        let what = ("company", company.to_string());
        self.change("suspending a company", what, Some(Changed::Company(company)), statement).await
    }

    pub(crate) async fn set_calls_per_second(
        &self,
        company: CompanyId,
        most: Option<NonZeroU32>,
    ) -> Result<(), StoreError> {
        let statement = query(statements::SET_CALLS_PER_SECOND).bind(company.0).bind(chosen(most));
        let what = ("company", company.to_string());
        self.change("limiting a company", what, Some(Changed::Company(company)), statement).await
    }

    /// Rates a company's calls by another price list, which must be there.
    pub(crate) async fn set_price_list(
        &self,
        company: CompanyId,
        price_list: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let editions: i64 = query_scalar(statements::COUNT_EDITIONS)
            .bind(price_list)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("choosing a price list"))?;
        if editions == 0 {
            return Err(StoreError::NotFound { what: "price list", name: price_list.to_owned() });
        }
        let done = query(statements::SET_PRICE_LIST)
            .bind(company.0)
            .bind(price_list)
            .execute(&mut *transaction)
            .await
            .map_err(failed("choosing a price list"))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "company", name: company.to_string() });
        }
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        transaction.commit().await.map_err(failed("choosing a price list"))
    }

    /// Stores a landline number, or adds its verification. One that is hosted here, or that another company has proved to
    /// be its own, is refused.
    pub(crate) async fn add_landline(&self, landline: &Landline) -> Result<Landline, StoreError> {
        let mut transaction = self.begin().await?;
        let one_more = OneMore::Landline(landline.company, &landline.number);
        self.refuse_beyond_quota(&mut transaction, one_more).await?;
        let taken: i64 = query_scalar(statements::LANDLINE_IS_TAKEN)
            .bind(landline.company.0)
            .bind(&landline.number)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("storing a landline number"))?;
        if taken > 0 {
            return Err(StoreError::Taken { what: "number", name: landline.number.clone() });
        }
        let verification = landline.verification.as_ref();
        let row: LandlineRow = query_as(statements::INSERT_LANDLINE)
            .bind(landline.company.0)
            .bind(&landline.number)
            .bind(verification.map(|it| it.by.clone()))
            .bind(verification.map(|it| it.at.0))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("storing a landline number"))?;
        raise_revision(&mut transaction, Changed::Company(landline.company)).await?;
        transaction.commit().await.map_err(failed("storing a landline number"))?;
        Ok(row.into())
    }

    /// Forgets a landline number, also as Caller ID of the company's profiles.
    pub(crate) async fn remove_landline(&self, company: CompanyId, number: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = query(statements::DELETE_LANDLINE)
            .bind(company.0)
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed("removing a landline number"))?;
        if done.rows_affected() == 0 {
            let name = number.to_owned();
            return Err(StoreError::NotFound { what: "landline number of the company", name });
        }
        query(statements::FORGET_LOST_LANDLINES)
            .execute(&mut *transaction)
            .await
            .map_err(failed("removing a landline number"))?;
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        transaction.commit().await.map_err(failed("removing a landline number"))
    }

    pub(crate) async fn landlines(&self) -> Result<Vec<Landline>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading landline numbers"))?;
        landlines(&mut reader, Part::Whole).await
    }

    pub(crate) async fn landlines_of(&self, company: CompanyId) -> Result<Vec<Landline>, StoreError> {
        let rows: Vec<LandlineRow> = query_as(statements::LANDLINES_OF_COMPANY)
            .bind(company.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading landline numbers"))?;
        Ok(rows.into_iter().map(Landline::from).collect())
    }

    /// Runs one change of one row; none is an error that names what was looked for. `changed` says what calls are
    /// decided by otherwise from then on, if anything.
    pub(super) async fn change(
        &self,
        doing: &'static str,
        (what, name): (&'static str, String),
        changed: Option<Changed<'_>>,
        statement: Query,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        // First, because whose it was is not known any more of what is deleted.
        if let Some(changed) = changed {
            raise_revision(&mut transaction, changed).await?;
        }
        let done = statement.execute(&mut *transaction).await.map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what, name });
        }
        transaction.commit().await.map_err(failed(doing))
    }
}

/// Commands take a company by its name, so each has one of its own; capitals make no difference to them.
async fn refuse_if_named(
    connection: &mut Connection,
    name: &str,
    company: Option<CompanyId>,
) -> Result<(), StoreError> {
    let others: i64 = query_scalar(statements::COMPANIES_NAMED)
        .bind(name)
        .bind(company.map_or(0, |company| company.0))
        .fetch_one(connection)
        .await
        .map_err(failed("looking for companies of a name"))?;
    match others {
        0 => Ok(()),
        _ => Err(StoreError::Taken { what: "company", name: name.to_owned() }),
    }
}

/// A number that is hosted from now on is no landline, whoever had stored it; nobody shows it any more. The transaction
/// has raised the revision.
pub(super) async fn forget_landlines(connection: &mut Connection, number: &str) -> Result<(), StoreError> {
    mark_companies_of_landline(connection, number).await?;
    let gone = query(statements::DELETE_LANDLINES_LIKE)
        .bind(number)
        .execute(&mut *connection)
        .await
        .map_err(failed("forgetting landline numbers"))?;
    if gone.rows_affected() > 0 {
        query(statements::FORGET_LOST_LANDLINES)
            .execute(&mut *connection)
            .await
            .map_err(failed("forgetting landline numbers"))?;
    }
    Ok(())
}

pub(super) async fn company(
    connection: &mut Connection,
    company: CompanyId,
) -> Result<Option<Company>, StoreError> {
    let row: Option<CompanyRow> = query_as(statements::COMPANY)
        .bind(company.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a company"))?;
    Ok(row.map(Company::from))
}

pub(super) async fn companies(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<Company>, StoreError> {
    let statement = part.of(statements::COMPANIES_THAT, "c.id", " ORDER BY c.id");
    let rows: Vec<CompanyRow> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading companies"))?;
    Ok(rows.into_iter().map(Company::from).collect())
}

pub(super) async fn landlines(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<Landline>, StoreError> {
    let statement = part.of(statements::LANDLINES_THAT, "company_id", " ORDER BY company_id, number");
    let rows: Vec<LandlineRow> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading landline numbers"))?;
    Ok(rows.into_iter().map(Landline::from).collect())
}
