//! Administrators of companies and the sign-in of business accounts: the store's verbs for them.

use super::{Store, invalid, named, seen};
use crate::error::StoreError;
use crate::model::{Administrator, BusinessAccountId, CompanyId};
use crate::secrets::Password;

/// Longest address of electronic mail (RFC 5321 section 4.5.3.1.3).
const LONGEST_ADDRESS: usize = 254;

impl Store {
    /// Adds somebody who looks after a company, or changes name and account of who has this address.
    pub async fn set_administrator(&self, new: Administrator) -> Result<Administrator, StoreError> {
        self.company(new.company).await?;
        let email = address(&new.email)?;
        if let Some(account) = new.account {
            let accounts = self.business_accounts().await?;
            if !accounts.iter().any(|found| found.id == account && found.company == new.company) {
                return Err(invalid("account", "is no business account of this company"));
            }
        }
        let administrator = Administrator { email, name: named("name", &new.name)?, ..new };
        self.database.set_administrator(&administrator).await?;
        Ok(administrator)
    }

    /// Takes an administrator from a company.
    pub async fn remove_administrator(&self, company: CompanyId, email: &str) -> Result<(), StoreError> {
        self.database.remove_administrator(company, &address(email)?).await
    }

    /// A company's administrators, by address.
    pub async fn administrators(&self, company: CompanyId) -> Result<Vec<Administrator>, StoreError> {
        self.database.administrators(company).await
    }

    /// The administrators who use this business account in person. Before it is attached to a profile they are to be
    /// warned: they could no longer sign in with it.
    pub async fn administrators_of_account(
        &self,
        account: BusinessAccountId,
    ) -> Result<Vec<Administrator>, StoreError> {
        self.database.administrators_of_account(account).await
    }

    /// Generates the password with which a phone registers a business account. An account that a profile has is
    /// refused, with that profile's name. Gives the user name too.
    pub async fn new_account_password(
        &self,
        account: BusinessAccountId,
    ) -> Result<(String, Password), StoreError> {
        self.database.new_account_password(&self.vault, account).await
    }

    /// User name and password with which a phone registers a business account, refused in the same way.
    pub async fn account_credentials(
        &self,
        account: BusinessAccountId,
    ) -> Result<(String, Password), StoreError> {
        self.database.account_credentials(&self.vault, account).await
    }
}

/// An address of electronic mail, in small letters: something on either side of one `@`, and no spaces.
fn address(email: &str) -> Result<String, StoreError> {
    let email = seen("email", email)?.to_lowercase();
    let is_plain = email.len() <= LONGEST_ADDRESS && !email.chars().any(char::is_whitespace);
    match email.split_once('@') {
        Some((user, host)) if is_plain && !user.is_empty() && host.contains('.') && !host.contains('@') => {
            Ok(email)
        }
        _ => Err(invalid("email", "write an address like claude@example.com")),
    }
}
