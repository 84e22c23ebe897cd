//! Which profiles and companies have no limit of calls a second, and no say in it.

use super::query::query_scalar;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::store::Unlimited;

impl Database {
    pub(crate) async fn unlimited(&self) -> Result<Unlimited, StoreError> {
        Ok(Unlimited {
            profiles: self.count(statements::PROFILES_WITHOUT_CALL_RATE).await?,
            companies: self.count(statements::COMPANIES_WITHOUT_CALL_RATE).await?,
        })
    }

    async fn count(&self, statement: &'static str) -> Result<u64, StoreError> {
        let found: i64 = query_scalar(statement)
            .fetch_one(self.reader())
            .await
            .map_err(failed("counting what has no limit"))?;
        Ok(found.unsigned_abs())
    }
}
