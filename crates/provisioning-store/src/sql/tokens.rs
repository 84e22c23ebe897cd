//! Tokens of the HTTP API in the database.

use sqlx::FromRow;

use super::query::{QueryBuilder, query, query_scalar};
use super::quotas::OneMore;
use super::rows::word;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::model::{CompanyId, Timestamp, TokenId};
use crate::pages::Slice;
use crate::tokens::{NewToken, Role, Token};

#[derive(FromRow)]
struct TokenRow {
    id: i64,
    name: String,
    role: String,
    company_id: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<TokenRow> for Token {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let expected = "a role, with a company if it is one company's";
        let role = Role::new(word(&row.role, expected)?, row.company_id.map(CompanyId));
        Ok(Self {
            id: TokenId(row.id),
            name: row.name,
            role: role.ok_or(StoreError::Damaged { found: row.role, expected })?,
            created_at: Timestamp(row.created_at),
            expires_at: row.expires_at.map(Timestamp),
            revoked_at: row.revoked_at.map(Timestamp),
        })
    }
}

impl Database {
    pub(crate) async fn create_token(
        &self,
        now: Timestamp,
        new: &NewToken,
        hash: &str,
    ) -> Result<TokenId, StoreError> {
        let mut transaction = self.begin().await?;
        if let Some(company) = new.role.company() {
            self.refuse_beyond_quota(&mut transaction, OneMore::Token(company, now)).await?;
        }
        let id: i64 = query_scalar(statements::INSERT_TOKEN)
            .bind(&new.name)
            .bind(new.role.kind().word())
            .bind(new.role.company().map(|company| company.0))
            .bind(hash)
            .bind(now.0)
            .bind(new.expires_at.map(|end| end.0))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("creating a token"))?;
        transaction.commit().await.map_err(failed("creating a token"))?;
        Ok(TokenId(id))
    }

    pub(crate) async fn token_with_hash(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        let mut statement = QueryBuilder::new(statements::TOKENS_THAT);
        statement.push(" AND hash = ").push_bind(hash.to_owned());
        self.one_token(statement).await
    }

    pub(crate) async fn token(&self, token: TokenId) -> Result<Option<Token>, StoreError> {
        let mut statement = QueryBuilder::new(statements::TOKENS_THAT);
        statement.push(" AND id = ").push_bind(token.0);
        self.one_token(statement).await
    }

    async fn one_token(&self, statement: QueryBuilder) -> Result<Option<Token>, StoreError> {
        let row: Option<TokenRow> = statement
            .build_query_as()
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a token"))?;
        row.map(Token::try_from).transpose()
    }

    pub(crate) async fn tokens(
        &self,
        company: Option<CompanyId>,
        slice: Slice,
    ) -> Result<Vec<Token>, StoreError> {
        let mut statement = QueryBuilder::new(statements::TOKENS_THAT);
        if let Some(company) = company {
            statement.push(" AND company_id = ").push_bind(company.0);
        }
        super::pages::push_slice(&mut statement, "id", slice);
        let rows: Vec<TokenRow> =
            statement.build_query_as().fetch_all(self.reader()).await.map_err(failed("reading tokens"))?;
        rows.into_iter().map(Token::try_from).collect()
    }

    /// Tokens of companies that never end by themselves.
    pub(crate) async fn endless_tokens(&self) -> Result<u64, StoreError> {
        let count: i64 = query_scalar(statements::ENDLESS_TOKENS)
            .fetch_one(self.reader())
            .await
            .map_err(failed("counting tokens"))?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn revoke_token(&self, now: Timestamp, token: TokenId) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = query(statements::REVOKE_TOKEN)
            .bind(token.0)
            .bind(now.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("revoking a token"))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "token in force", name: token.to_string() });
        }
        transaction.commit().await.map_err(failed("revoking a token"))
    }
}
