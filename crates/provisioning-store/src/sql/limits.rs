//! Which profiles and companies lack a limit that new ones begin with, and have no say in it.

use super::query::query_scalar;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::store::Unlimited;

impl Database {
    pub(crate) async fn unlimited(&self) -> Result<Unlimited, StoreError> {
        Ok(Unlimited {
            call_rate: self.count(statements::PROFILES_WITHOUT_CALL_RATE).await?,
            company_call_rate: self.count(statements::COMPANIES_WITHOUT_CALL_RATE).await?,
            premium: self.count(statements::PROFILES_WITHOUT_PREMIUM).await?,
            caps: self.count(statements::PROFILES_WITHOUT_CAPS).await?,
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
