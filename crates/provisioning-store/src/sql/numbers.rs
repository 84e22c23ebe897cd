//! Online Numbers, business accounts and Caller ID in the database.

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::companies::forget_landlines;
use super::directory::Part;
use super::query::{Stored, query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, raise_revision};
use super::rows::{narrow, word};
use super::{Connection, Database, failed, failed_unless_taken, statements, with_list};
use crate::error::StoreError;
use crate::lifecycle::{NumberLease, NumberOffer};
use crate::model::{
    BusinessAccount, BusinessAccountId, CallerId, CallerIdRule, CompanyId, NumberId, NumberTarget,
    OnlineNumber, ProfileId, Timestamp,
};
use crate::money::Micros;

#[derive(FromRow)]
pub(super) struct NumberRow {
    id: i64,
    company_id: i64,
    number: String,
    country: String,
    profile_id: Option<i64>,
    business_account_id: Option<i64>,
    fee_micros: Option<i64>,
    term_days: Option<i64>,
    term: Option<i64>,
    paid_until: Option<i64>,
    renewal: Option<String>,
}

impl NumberRow {
    /// The columns of a lease are all there when there is one.
    fn lease(&self) -> Result<Option<NumberLease>, StoreError> {
        let (Some(fee), Some(term_days), Some(term), Some(paid_until), Some(renewal)) =
            (self.fee_micros, self.term_days, self.term, self.paid_until, &self.renewal)
        else {
            return Ok(None);
        };
        let term_days = narrow(term_days, "a number of days")?;
        let offer = NumberOffer { number: self.number.clone(), fee: Micros(fee), term_days };
        let (company, paid_until) = (CompanyId(self.company_id), Timestamp(paid_until));
        Ok(Some(NumberLease { company, offer, term, paid_until, renewal: word(renewal, "a renewal")? }))
    }
}

impl TryFrom<NumberRow> for OnlineNumber {
    type Error = StoreError;

    fn try_from(row: NumberRow) -> Result<Self, StoreError> {
        let lease = row.lease()?;
        let target = match (row.profile_id, row.business_account_id) {
            (Some(profile), _) => NumberTarget::Profile(ProfileId(profile)),
            (None, Some(account)) => NumberTarget::BusinessAccount(BusinessAccountId(account)),
            (None, None) => NumberTarget::Nobody,
        };
        Ok(Self {
            id: NumberId(row.id),
            company: CompanyId(row.company_id),
            number: row.number,
            country: row.country,
            target,
            lease,
        })
    }
}

#[derive(FromRow)]
pub(super) struct AccountRow {
    id: i64,
    company_id: i64,
    name: String,
    profile_id: Option<i64>,
    extension: Option<String>,
}

impl From<AccountRow> for BusinessAccount {
    fn from(row: AccountRow) -> Self {
        Self {
            id: BusinessAccountId(row.id),
            company: CompanyId(row.company_id),
            name: row.name,
            profile: row.profile_id.map(ProfileId),
            extension: row.extension,
        }
    }
}

impl Database {
    pub(crate) async fn add_number(
        &self,
        company: CompanyId,
        number: &str,
        country: &str,
    ) -> Result<NumberId, StoreError> {
        let mut transaction = self.begin().await?;
        let id: i64 = query_scalar(statements::INSERT_NUMBER)
            .bind(company.0)
            .bind(number)
            .bind(country)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed_unless_taken("adding a number", "number", number))?;
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        forget_landlines(&mut transaction, number).await?;
        transaction.commit().await.map_err(failed("adding a number"))?;
        Ok(NumberId(id))
    }

    /// Gives a number a target of the same company. A profile that loses its number loses it as Caller ID too.
    pub(crate) async fn assign_number(
        &self,
        number: NumberId,
        target: NumberTarget,
    ) -> Result<(), StoreError> {
        let (profile, account) = match target {
            NumberTarget::Nobody => (None, None),
            NumberTarget::Profile(profile) => (Some(profile.0), None),
            NumberTarget::BusinessAccount(account) => (None, Some(account.0)),
        };
        let mut transaction = self.begin().await?;
        let owner: Option<i64> = match target {
            NumberTarget::Nobody => None,
            NumberTarget::Profile(profile) => Some(company_of_profile(&mut transaction, profile).await?),
            NumberTarget::BusinessAccount(account) => {
                Some(company_of_account(&mut transaction, account).await?)
            }
        };
        let company: Option<i64> = query_scalar(statements::ASSIGN_NUMBER)
            .bind(number.0)
            .bind(profile)
            .bind(account)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("assigning a number"))?;
        let company =
            company.ok_or_else(|| StoreError::NotFound { what: "number", name: number.to_string() })?;
        same_company(owner.unwrap_or(company), company, "target")?;
        query(statements::FORGET_CALLER_IDS_OF_OTHERS)
            .bind(number.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("assigning a number"))?;
        raise_revision(&mut transaction, Changed::Numbers(&[number.0])).await?;
        transaction.commit().await.map_err(failed("assigning a number"))
    }

    /// Hosts a number no longer; a profile that showed it shows it no longer.
    pub(crate) async fn remove_number(&self, number: NumberId) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        raise_revision(&mut transaction, Changed::Numbers(&[number.0])).await?;
        forget_numbers(&mut transaction, &[number.0]).await?;
        let done = query(statements::DELETE_NUMBER)
            .bind(number.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("removing a number"))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "number", name: number.to_string() });
        }
        query(statements::DELETE_NUMBER_LEASE)
            .bind(number.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("removing a number"))?;
        transaction.commit().await.map_err(failed("removing a number"))
    }

    pub(crate) async fn numbers(&self) -> Result<Vec<OnlineNumber>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading numbers"))?;
        numbers(&mut reader, Part::Whole).await
    }

    pub(crate) async fn numbers_of_company(
        &self,
        company: CompanyId,
    ) -> Result<Vec<OnlineNumber>, StoreError> {
        let rows: Vec<NumberRow> = query_as(statements::NUMBERS_OF_COMPANY)
            .bind(company.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading numbers"))?;
        rows.into_iter().map(OnlineNumber::try_from).collect()
    }

    pub(crate) async fn number(&self, number: NumberId) -> Result<Option<OnlineNumber>, StoreError> {
        let row: Option<NumberRow> = query_as(statements::NUMBER)
            .bind(number.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a number"))?;
        row.map(OnlineNumber::try_from).transpose()
    }

    pub(crate) async fn create_account(
        &self,
        company: CompanyId,
        name: &str,
        extension: Option<&str>,
    ) -> Result<BusinessAccountId, StoreError> {
        let mut transaction = self.begin().await?;
        self.refuse_beyond_quota(&mut transaction, OneMore::BusinessAccount(company)).await?;
        let id: i64 = query_scalar(statements::INSERT_ACCOUNT)
            .bind(company.0)
            .bind(name)
            .bind(extension)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed_unless_taken("creating a business account", "business account", name))?;
        raise_revision(&mut transaction, Changed::Company(company)).await?;
        transaction.commit().await.map_err(failed("creating a business account"))?;
        Ok(BusinessAccountId(id))
    }

    pub(crate) async fn attach_account(
        &self,
        account: BusinessAccountId,
        profile: ProfileId,
        extension: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let owner = company_of_profile(&mut transaction, profile).await?;
        let company: Option<i64> = query_scalar(statements::ATTACH_ACCOUNT)
            .bind(account.0)
            .bind(profile.0)
            .bind(extension)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("attaching a business account"))?;
        match company {
            Some(company) => same_company(owner, company, "profile")?,
            None => return Err(holder(&mut transaction, account).await?),
        }
        raise_revision(&mut transaction, Changed::Account(account)).await?;
        transaction.commit().await.map_err(failed("attaching a business account"))
    }

    pub(crate) async fn detach_account(&self, account: BusinessAccountId) -> Result<(), StoreError> {
        let statement = query(statements::DETACH_ACCOUNT).bind(account.0);
        let what = ("business account", account.to_string());
        self.change("detaching a business account", what, Some(Changed::Account(account)), statement).await
    }

    pub(crate) async fn remove_account(&self, account: BusinessAccountId) -> Result<(), StoreError> {
        let statement = query(statements::DELETE_ACCOUNT).bind(account.0);
        let what = ("business account", account.to_string());
        self.change("removing a business account", what, Some(Changed::Account(account)), statement).await
    }

    pub(crate) async fn caller_ids(&self) -> Result<Vec<CallerIdRule>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading caller IDs"))?;
        caller_ids(&mut reader, Part::Whole).await
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<BusinessAccount>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading business accounts"))?;
        accounts(&mut reader, Part::Whole).await
    }

    /// Sets what a profile shows to one country, or to all others for the empty one; `None` shows nothing.
    pub(crate) async fn set_caller_id(
        &self,
        profile: ProfileId,
        country: &str,
        shown: Option<&CallerId>,
        countries: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        company_of_profile(&mut transaction, profile).await?;
        let statement = match shown {
            None => query(statements::CLEAR_CALLER_ID).bind(profile.0).bind(country),
            Some(shown) => {
                may_show(&mut transaction, profile, shown, countries).await?;
                let choice = match shown {
                    CallerId::OnlineNumber(_) => "online_number",
                    CallerId::Landline(_) => "landline",
                };
                query(statements::SET_CALLER_ID)
                    .bind(profile.0)
                    .bind(country)
                    .bind(choice)
                    .bind(shown.number())
            }
        };
        statement.execute(&mut *transaction).await.map_err(failed("setting the caller ID"))?;
        raise_revision(&mut transaction, Changed::Profile(profile)).await?;
        transaction.commit().await.map_err(failed("setting the caller ID"))
    }
}

impl Database {
    pub(crate) async fn caller_ids_of(&self, profile: ProfileId) -> Result<Vec<CallerIdRule>, StoreError> {
        let rows: Vec<(i64, String, String, String)> = query_as(statements::CALLER_IDS_OF_PROFILE)
            .bind(profile.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading caller IDs"))?;
        Ok(rows.into_iter().map(caller_id).collect())
    }
}

/// Nobody shows numbers any more that are about to go.
pub(super) async fn forget_numbers(connection: &mut Connection, numbers: &[i64]) -> Result<(), StoreError> {
    let statement = with_list(statements::FORGET_CALLER_IDS_OF_NUMBERS_IN, numbers, ")");
    statement.build().execute(connection).await.map_err(failed("forgetting caller IDs"))?;
    Ok(())
}

async fn company_of_profile(connection: &mut Connection, profile: ProfileId) -> Result<i64, StoreError> {
    let company: Option<i64> = query_scalar(statements::COMPANY_OF_PROFILE)
        .bind(profile.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a profile"))?;
    company.ok_or_else(|| StoreError::NotFound { what: "profile", name: profile.to_string() })
}

async fn company_of_account(
    connection: &mut Connection,
    account: BusinessAccountId,
) -> Result<i64, StoreError> {
    let company: Option<i64> = query_scalar(statements::COMPANY_OF_ACCOUNT)
        .bind(account.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a business account"))?;
    company.ok_or_else(|| StoreError::NotFound { what: "business account", name: account.to_string() })
}

fn same_company(one: i64, other: i64, field: &'static str) -> Result<(), StoreError> {
    if one == other {
        return Ok(());
    }
    Err(StoreError::Invalid {
        field,
        problem: "belongs to another company; choose one of the same company".into(),
    })
}

/// Why an account could not be attached: it is not there, or somebody has it.
async fn holder(connection: &mut Connection, account: BusinessAccountId) -> Result<StoreError, StoreError> {
    let row: Option<(String, String)> = query_as(statements::HOLDER_OF_ACCOUNT)
        .bind(account.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a business account"))?;
    Ok(match row {
        Some((account, profile)) => StoreError::AccountInUse { account, profile },
        None => StoreError::NotFound { what: "business account", name: account.to_string() },
    })
}

/// A profile shows its own Online Numbers of the countries that are allowed, and landlines of its company only when both
/// are verified.
async fn may_show(
    connection: &mut Connection,
    profile: ProfileId,
    shown: &CallerId,
    countries: &BTreeSet<String>,
) -> Result<(), StoreError> {
    let problem = match shown {
        CallerId::OnlineNumber(number) => {
            let country: Option<String> =
                find(connection, statements::NUMBER_OF_PROFILE, profile, number).await?;
            match country {
                Some(country) if countries.is_empty() || countries.contains(&country) => return Ok(()),
                Some(_) => {
                    let allowed = countries.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    format!("can be shown by nobody: only numbers of {allowed} can")
                }
                None => "is not an Online Number of this profile; assign it to the profile first".to_owned(),
            }
        }
        CallerId::Landline(number) => {
            let verified: Option<i64> =
                find(connection, statements::LANDLINE_OF_PROFILE, profile, number).await?;
            match verified {
                Some(3) => return Ok(()),
                Some(1) => "can be shown only when an operator has verified it; ask one to".to_owned(),
                Some(_) => {
                    "can be shown only when the company is verified; have it verified first".to_owned()
                }
                None => "is not stored as a landline number of the company; store it there first".to_owned(),
            }
        }
    };
    Err(StoreError::Invalid { field: "caller ID", problem: format!("{} {problem}", shown.number()) })
}

async fn find<T>(
    connection: &mut Connection,
    statement: &'static str,
    profile: ProfileId,
    number: &str,
) -> Result<Option<T>, StoreError>
where
    (T,): Stored,
{
    let found = query_scalar(statement).bind(profile.0).bind(number).fetch_optional(connection).await;
    found.map_err(failed("checking the caller ID"))
}

pub(super) async fn numbers(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<OnlineNumber>, StoreError> {
    let statement = part.of(statements::NUMBERS_THAT, "n.company_id", " ORDER BY n.number");
    let rows: Vec<NumberRow> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading numbers"))?;
    rows.into_iter().map(OnlineNumber::try_from).collect()
}

pub(super) async fn accounts(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<BusinessAccount>, StoreError> {
    let statement = part.of(statements::BUSINESS_ACCOUNTS_THAT, "company_id", " ORDER BY name");
    let rows: Vec<AccountRow> = statement
        .build_query_as()
        .fetch_all(connection)
        .await
        .map_err(failed("reading business accounts"))?;
    Ok(rows.into_iter().map(BusinessAccount::from).collect())
}

pub(super) async fn caller_ids(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<CallerIdRule>, StoreError> {
    let statement = part.of_profiles(statements::CALLER_IDS_THAT, " ORDER BY profile_id, country");
    let rows: Vec<(i64, String, String, String)> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading caller IDs"))?;
    Ok(rows.into_iter().map(caller_id).collect())
}

fn caller_id((profile, country, choice, number): (i64, String, String, String)) -> CallerIdRule {
    CallerIdRule {
        profile: ProfileId(profile),
        country: Some(country).filter(|country| !country.is_empty()),
        // The table admits these two words only.
        shown: if choice == "landline" { CallerId::Landline(number) } else { CallerId::OnlineNumber(number) },
    }
}
