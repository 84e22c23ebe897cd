//! Who may use the store's owner's API, in whose name changes are made, and what was changed: the store's verbs for it.

use super::{Store, found, named};
use crate::answers::{Kept, Once};
use crate::audit::{AuditEntry, AuditFilter, Deed};
use crate::error::StoreError;
use crate::model::{CompanyId, Timestamp, TokenId};
use crate::pages::Slice;
use crate::quotas::Quotas;
use crate::secrets::{OsEntropy, Password, generate_token};
use crate::tokens::{NewToken, Token, hash};

/// The audit trail, and requests that are done once.
impl Store {
    /// This store, in somebody's name: whatever is changed through it leaves an entry in the audit trail, in the same
    /// transaction. A change that is refused leaves none.
    pub fn on_behalf(&self, deed: Deed) -> Self {
        Self { database: self.database.on_behalf(deed), ..self.clone() }
    }

    /// This store, for somebody who may create so many things and no more.
    pub fn within(&self, quotas: Quotas) -> Self {
        Self { database: self.database.within(quotas), ..self.clone() }
    }

    /// Writes the entry of a deed that is done elsewhere, such as ending a call.
    pub async fn record(&self) -> Result<(), StoreError> {
        self.database.record().await
    }

    /// Entries of the audit trail before the one with the number `before`, at most `most`, newest first.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.database.audit(filter, before, most).await
    }

    /// What is known of a request that was done within the last day.
    pub async fn kept_answer(
        &self,
        owner: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Kept>, StoreError> {
        self.database.kept_answer(owner, key, now).await
    }

    /// Keeps the answer to a request that was done under a [`Deed`] with this name.
    pub async fn keep_answer(&self, once: &Once, status: u16, body: &str) -> Result<(), StoreError> {
        self.database.keep_answer(once, status, body).await
    }
}

/// What is told once.
impl Store {
    /// Whether something is to be told now, such as what an upgrade has changed: true once in the database's life.
    pub async fn is_first_time(&self, now: Timestamp, notice: &str) -> Result<bool, StoreError> {
        self.database.is_first_time(now, notice).await
    }
}

/// Tokens.
impl Store {
    /// Makes a token. Its secret is given now and never again.
    pub async fn create_token(&self, now: Timestamp, new: NewToken) -> Result<(Token, Password), StoreError> {
        if let Some(company) = new.role.company() {
            self.company(company).await?;
        }
        let new = NewToken { name: named("token name", &new.name)?, ..new };
        let secret = generate_token(&mut OsEntropy)?;
        let id = self.database.create_token(now, &new, &hash(secret.reveal())).await?;
        Ok((self.token(id).await?, secret))
    }

    /// The token that this is the secret of, if it is in force.
    pub async fn token_of(&self, now: Timestamp, secret: &str) -> Result<Option<Token>, StoreError> {
        let token = self.database.token_with_hash(&hash(secret)).await?;
        Ok(token.filter(|token| token.is_valid(now)))
    }

    /// One token.
    pub async fn token(&self, token: TokenId) -> Result<Token, StoreError> {
        found("token", token, self.database.token(token).await?)
    }

    /// Tokens, or one company's, those that are no longer in force included.
    pub async fn tokens(&self, company: Option<CompanyId>, slice: Slice) -> Result<Vec<Token>, StoreError> {
        self.database.tokens(company, slice).await
    }

    /// How many tokens never end by themselves: they were made before that was the default, or by an operator.
    pub async fn endless_tokens(&self) -> Result<u64, StoreError> {
        self.database.endless_tokens().await
    }

    /// Ends a token at once. One that was ended before is an error.
    pub async fn revoke_token(&self, now: Timestamp, token: TokenId) -> Result<Token, StoreError> {
        self.database.revoke_token(now, token).await?;
        self.token(token).await
    }
}
