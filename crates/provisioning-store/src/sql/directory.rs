//! The directory of one moment, its revision, and the key's check value.

use super::query::{query, query_scalar};
use super::{
    Connection, Database, administrators, carriers, companies, failed, numbers, profiles, statements,
};
use crate::directory::DirectoryRows;
use crate::error::StoreError;
use crate::secrets::{OsEntropy, Password, SecretError, Vault};

/// What the key's check value is sealed for, its row, and what it says.
const KEY_CHECK: &str = "key_check";

impl Database {
    pub(crate) async fn directory(&self, vault: &Vault) -> Result<DirectoryRows, StoreError> {
        // One read transaction sees one moment, whatever is written meanwhile.
        let mut reader = self.reader().begin().await.map_err(failed("reading the directory"))?;
        Ok(DirectoryRows {
            revision: revision(&mut reader).await?,
            companies: companies::companies(&mut reader).await?,
            profiles: profiles::profiles(&mut reader, None).await?,
            credentials: profiles::all_credentials(&mut reader, vault).await?,
            ip_rules: profiles::ip_rules(&mut reader).await?,
            numbers: numbers::numbers(&mut reader).await?,
            business_accounts: numbers::accounts(&mut reader).await?,
            phones: administrators::phones(&mut reader, vault).await?,
            landlines: companies::landlines(&mut reader).await?,
            caller_ids: numbers::caller_ids(&mut reader).await?,
            carriers: carriers::carriers(&mut reader, vault).await?,
        })
    }

    pub(crate) async fn revision(&self) -> Result<i64, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading the directory's revision"))?;
        revision(&mut reader).await
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

async fn revision(connection: &mut Connection) -> Result<i64, StoreError> {
    query_scalar(statements::REVISION)
        .fetch_one(connection)
        .await
        .map_err(failed("reading the directory's revision"))
}
