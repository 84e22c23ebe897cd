//! Which limits the profiles and companies have.

use super::query::{query_as, query_scalar};
use super::rows::guard;
use super::{Database, failed, statements};
use crate::error::StoreError;
use crate::model::GuardOverrides;

impl Database {
    /// The spend guards of the profiles that are there, each with the number of profiles that have it.
    pub(crate) async fn guards(&self) -> Result<Vec<(GuardOverrides, u64)>, StoreError> {
        let found: Vec<(String, i64)> = query_as(statements::GUARDS)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading the limits of profiles"))?;
        found.iter().map(|(text, profiles)| Ok((guard(text)?, profiles.unsigned_abs()))).collect()
    }

    /// How many companies may begin any number of calls a second.
    pub(crate) async fn companies_without_call_rate(&self) -> Result<u64, StoreError> {
        let found: i64 = query_scalar(statements::COMPANIES_WITHOUT_CALL_RATE)
            .fetch_one(self.reader())
            .await
            .map_err(failed("counting the companies without a limit"))?;
        Ok(found.unsigned_abs())
    }
}
