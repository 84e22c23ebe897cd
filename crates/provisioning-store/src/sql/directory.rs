//! The directory of one moment, whole or what has changed of it, and the key's check value.

use super::query::{QueryBuilder, query, query_scalar};
use super::revision::{changed_since, revision};
use super::{
    Connection, Database, addresses, administrators, carriers, chunks, companies, failed, numbers, profiles,
    statements, with_list,
};
use crate::directory::DirectoryRows;
use crate::error::StoreError;
use crate::model::CompanyId;
use crate::secrets::{OsEntropy, Password, SecretError, Vault};

/// What the key's check value is sealed for, its row, and what it says.
const KEY_CHECK: &str = "key_check";

/// Whose rows are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Whole,
    /// Those of these companies.
    Of(&'a [i64]),
}

impl Part<'_> {
    /// A statement that ends in conditions, with one more that asks for the companies' rows, and what comes `after` them.
    pub(super) fn of(self, start: &str, company: &str, after: &str) -> QueryBuilder {
        match self {
            Self::Whole => QueryBuilder::new(&format!("{start}{after}")),
            Self::Of(companies) => with_list(&format!("{start} AND {company} IN"), companies, after),
        }
    }

    /// The same for rows that belong to profiles.
    pub(super) fn of_profiles(self, start: &str, after: &str) -> QueryBuilder {
        let whose = "profile_id IN (SELECT id FROM profiles WHERE company_id";
        match self {
            Self::Whole => self.of(start, whose, after),
            Self::Of(_) => self.of(start, whose, &format!("){after}")),
        }
    }
}

impl Database {
    /// The whole directory, or what has changed of it since a revision.
    pub(crate) async fn directory(
        &self,
        vault: &Vault,
        since: Option<i64>,
    ) -> Result<DirectoryRows, StoreError> {
        // One read transaction sees one moment, whatever is written meanwhile.
        let mut reader = self.reader().begin().await.map_err(failed("reading the directory"))?;
        let revision = revision(&mut reader).await?;
        let mut rows = DirectoryRows {
            revision: revision.value,
            revision_of_rates: revision.of_rates,
            carriers: carriers::carriers(&mut reader, vault).await?,
            ..DirectoryRows::default()
        };
        // A database that was put back to an earlier state has no memory of what it had then.
        let Some(since) = since.filter(|since| *since <= revision.value) else {
            read(&mut reader, vault, Part::Whole, &mut rows).await?;
            return Ok(rows);
        };
        let changed = changed_since(&mut reader, since).await?;
        for chunk in chunks(&changed) {
            read(&mut reader, vault, Part::Of(chunk), &mut rows).await?;
        }
        rows.changed = Some(changed.into_iter().map(CompanyId).collect());
        Ok(rows)
    }

    pub(crate) async fn revision(&self) -> Result<i64, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading the directory's revision"))?;
        Ok(revision(&mut reader).await?.value)
    }

    /// Holds the key against the value that the first opening has stored.
    pub(crate) async fn check_key(&self, vault: &Vault) -> Result<(), StoreError> {
        let sealed = vault.seal(KEY_CHECK, &Password::new(KEY_CHECK), &mut OsEntropy)?;
        let mut transaction = self.begin().await?;
        query(statements::INSERT_META)
            .bind(KEY_CHECK)
            .bind(sealed)
            .execute(&mut *transaction)
            .await
            .map_err(failed("checking the secret key"))?;
        let stored: String = query_scalar(statements::META)
            .bind(KEY_CHECK)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("checking the secret key"))?;
        transaction.commit().await.map_err(failed("checking the secret key"))?;
        vault.open(KEY_CHECK, &stored).map(|_| ()).map_err(|_| SecretError::WrongKey.into())
    }
}

/// Adds what belongs to some companies.
async fn read(
    reader: &mut Connection,
    vault: &Vault,
    part: Part<'_>,
    rows: &mut DirectoryRows,
) -> Result<(), StoreError> {
    rows.companies.extend(companies::companies(reader, part).await?);
    rows.profiles.extend(profiles::profiles(reader, part).await?);
    rows.credentials.extend(profiles::credentials(reader, vault, part).await?);
    rows.ip_rules.extend(addresses::ip_rules(reader, part).await?);
    rows.numbers.extend(numbers::numbers(reader, part).await?);
    rows.business_accounts.extend(numbers::accounts(reader, part).await?);
    rows.phones.extend(administrators::phones(reader, vault, part).await?);
    rows.landlines.extend(companies::landlines(reader, part).await?);
    rows.caller_ids.extend(numbers::caller_ids(reader, part).await?);
    Ok(())
}
