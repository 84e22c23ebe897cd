//! Administrators of companies, and the passwords of business accounts that sign in by themselves.

use super::directory::Part;
use super::query::{query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, raise_revision};
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::model::{Administrator, BusinessAccountId, CompanyId, PhoneCredentials};
use crate::secrets::{OsEntropy, Password, Vault, generate_password};

type AdministratorRow = (i64, String, String, Option<i64>);

/// What an account's password is sealed for.
fn identity(account: BusinessAccountId) -> String {
    format!("account:{account}")
}

impl Database {
    pub(crate) async fn set_administrator(&self, administrator: &Administrator) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let one_more = OneMore::Administrator(administrator.company, &administrator.email);
        self.refuse_beyond_quota(&mut transaction, one_more).await?;
        query(statements::SET_ADMINISTRATOR)
            .bind(administrator.company.0)
            .bind(&administrator.email)
            .bind(&administrator.name)
            .bind(administrator.account.map(|account| account.0))
            .execute(&mut *transaction)
            .await
            .map_err(failed("writing an administrator"))?;
        transaction.commit().await.map_err(failed("writing an administrator"))
    }

    pub(crate) async fn remove_administrator(
        &self,
        company: CompanyId,
        email: &str,
    ) -> Result<(), StoreError> {
        let statement = query(statements::DELETE_ADMINISTRATOR).bind(company.0).bind(email.to_owned());
        let what = ("administrator", email.to_owned());
        self.change("removing an administrator", what, None, statement).await
    }

    pub(crate) async fn administrators(&self, company: CompanyId) -> Result<Vec<Administrator>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading administrators"))?;
        administrators(&mut reader, statements::ADMINISTRATORS, company.0).await
    }

    pub(crate) async fn administrators_of_account(
        &self,
        account: BusinessAccountId,
    ) -> Result<Vec<Administrator>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading administrators"))?;
        administrators(&mut reader, statements::ADMINISTRATORS_OF_ACCOUNT, account.0).await
    }

    /// Generates an account's password, unless a profile has the account.
    pub(crate) async fn new_account_password(
        &self,
        vault: &Vault,
        account: BusinessAccountId,
    ) -> Result<(String, Password), StoreError> {
        let password = generate_password(&mut OsEntropy)?;
        let sealed = vault.seal(&identity(account), &password, &mut OsEntropy)?;
        let mut transaction = self.begin().await?;
        let name: Option<String> = query_scalar(statements::SEAL_ACCOUNT)
            .bind(account.0)
            .bind(sealed)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("changing a password"))?;
        let Some(name) = name else {
            // Attached, or not there: the reading of it says which.
            return self.account_credentials(vault, account).await;
        };
        raise_revision(&mut transaction, Changed::Account(account)).await?;
        transaction.commit().await.map_err(failed("changing a password"))?;
        Ok((name, password))
    }

    /// What a phone registers an account with. One that a profile has cannot sign in.
    pub(crate) async fn account_credentials(
        &self,
        vault: &Vault,
        account: BusinessAccountId,
    ) -> Result<(String, Password), StoreError> {
        let row: Option<(String, Option<String>, Option<String>)> = query_as(statements::SEALED_ACCOUNT)
            .bind(account.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading credentials"))?;
        let not_there = || StoreError::NotFound { what: "business account", name: account.to_string() };
        match row.ok_or_else(not_there)? {
            (account, _, Some(profile)) => Err(StoreError::AccountInUse { account, profile }),
            (name, Some(sealed), None) => Ok((name, vault.open(&identity(account), &sealed)?)),
            (name, None, None) => {
                Err(StoreError::NotFound { what: "password of the business account", name })
            }
        }
    }
}

/// What the phones of all business accounts sign in with.
pub(super) async fn phones(
    connection: &mut Connection,
    vault: &Vault,
    part: Part<'_>,
) -> Result<Vec<PhoneCredentials>, StoreError> {
    let statement = part.of(statements::SEALED_ACCOUNTS_THAT, "company_id", " ORDER BY id");
    let rows: Vec<(i64, String, String)> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading credentials"))?;
    let phone = |(id, user, sealed): (i64, String, String)| {
        let account = BusinessAccountId(id);
        Ok(PhoneCredentials { account, user, password: vault.open(&identity(account), &sealed)? })
    };
    rows.into_iter().map(phone).collect()
}

async fn administrators(
    connection: &mut Connection,
    statement: &'static str,
    key: i64,
) -> Result<Vec<Administrator>, StoreError> {
    let rows: Vec<AdministratorRow> = query_as(statement)
        .bind(key)
        .fetch_all(connection)
        .await
        .map_err(failed("reading administrators"))?;
    let administrator = |(company, email, name, account): AdministratorRow| Administrator {
        company: CompanyId(company),
        email,
        name,
        account: account.map(BusinessAccountId),
    };
    Ok(rows.into_iter().map(administrator).collect())
}
