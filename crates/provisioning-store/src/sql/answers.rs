//! Answers that are kept, so that a request sent twice is done once.

use super::query::{query, query_as};
use super::rows::narrow;
use super::{Connection, Database, failed, statements};
use crate::answers::{KEPT_DAYS, Kept, Once};
use crate::error::StoreError;
use crate::model::Timestamp;

/// Takes a request's name, in the transaction that does what it asks; only one transaction can.
pub(super) async fn begin(connection: &mut Connection, once: &Once, at: Timestamp) -> Result<(), StoreError> {
    query(statements::FORGET_ANSWERS)
        .bind(at.plus_days(-KEPT_DAYS).0)
        .execute(&mut *connection)
        .await
        .map_err(failed("forgetting old answers"))?;
    let taken = query(statements::BEGIN_ANSWER)
        .bind(&once.owner)
        .bind(&once.key)
        .bind(&once.fingerprint)
        .bind(at.0)
        .execute(connection)
        .await;
    match taken {
        Ok(_) => Ok(()),
        Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
            Err(StoreError::AskedTwice)
        }
        Err(error) => Err(failed("keeping a request's key")(error)),
    }
}

impl Database {
    pub(crate) async fn kept_answer(
        &self,
        owner: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Kept>, StoreError> {
        let row: Option<(String, Option<i64>, Option<String>)> = query_as(statements::KEPT_ANSWER)
            .bind(owner)
            .bind(key)
            .bind(now.plus_days(-KEPT_DAYS).0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading a kept answer"))?;
        let Some((fingerprint, status, body)) = row else { return Ok(None) };
        let status = status.map(|status| narrow(status, "an HTTP status")).transpose()?;
        Ok(Some(Kept { fingerprint, answer: status.zip(body) }))
    }

    pub(crate) async fn keep_answer(&self, once: &Once, status: u16, body: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        query(statements::KEEP_ANSWER)
            .bind(&once.owner)
            .bind(&once.key)
            .bind(i64::from(status))
            .bind(body)
            .execute(&mut *transaction)
            .await
            .map_err(failed("keeping an answer"))?;
        transaction.commit().await.map_err(failed("keeping an answer"))
    }
}
