//! What is told once in a database's life.

use super::query::query;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::model::Timestamp;

impl Database {
    /// Whether this is asked for the first time; from then on it is not.
    pub(crate) async fn is_first_time(&self, now: Timestamp, notice: &str) -> Result<bool, StoreError> {
        let mut transaction = self.begin_beside().await?;
        let done = query(statements::INSERT_META)
            .bind(format!("told: {notice}"))
            .bind(now.0.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed("noting what was told"))?;
        transaction.commit().await.map_err(failed("noting what was told"))?;
        Ok(done.rows_affected() > 0)
    }
}
