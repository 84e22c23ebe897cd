//! What an upgrade has changed for installations that were there before: told once, in the log.

use provisioning_store::error::StoreError;
use provisioning_store::store::Store;

use crate::storage;

/// Tells what has not been told yet and concerns this installation.
pub(crate) async fn tell(store: &Store) -> Result<(), StoreError> {
    if store.is_first_time(storage::now(), "tokens of companies end").await? {
        tell_of_endless_tokens(store.endless_tokens().await?);
    }
    Ok(())
}

/// Tokens keep what they were made with.
fn tell_of_endless_tokens(endless: u64) {
    if endless > 0 {
        tracing::warn!(
            endless,
            "New tokens of companies end after http.token_days. These were made before and never end: `sipgw token list` \
             shows them, `sipgw token revoke` ends one."
        );
    }
}
