//! What an upgrade has changed for installations that were there before: told once, in the log. `sipgw check` tells what can
//! still be acted on.

use provisioning_store::error::StoreError;
use provisioning_store::store::{Store, Unlimited};

use crate::storage;

/// Tells what has not been told yet and concerns this installation.
pub(crate) async fn tell(store: &Store) -> Result<(), StoreError> {
    if store.is_first_time(storage::now(), "tokens of companies end").await? {
        tell_of_endless_tokens(store.endless_tokens().await?);
    }
    if store.is_first_time(storage::now(), "calls a second are limited").await?
        && let Some(notice) = of_unlimited(store.unlimited().await?)
    {
        tracing::warn!("{notice}");
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

/// What an installation's database holds that works otherwise than what is new, each as a sentence with its cure.
pub async fn standing(store: &Store) -> Result<Vec<String>, StoreError> {
    Ok(of_unlimited(store.unlimited().await?).into_iter().collect())
}

/// The same for a database whose tables are still an older version's.
pub fn before_upgrade() -> String {
    "The database is of an older version; the gateway brings it up to date when it starts. The profiles and companies in it \
     keep what they have: new ones begin with a limit of calls a second (calls.new_profiles, calls.new_companies), these have \
     none."
        .to_owned()
}

/// Profiles and companies keep what they were made with.
fn of_unlimited(Unlimited { profiles, companies }: Unlimited) -> Option<String> {
    (profiles > 0 || companies > 0).then(|| {
        format!(
            "New profiles and companies begin with a limit of calls a second. {profiles} profiles and {companies} companies \
             were made before and have none: `sipgw profile guard set PROFILE --calls-per-second 5` and `sipgw company \
             calls-per-second COMPANY 20` set one, and `none` in the place of the number says that there is to be none."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_limit_is_named_with_the_cure() {
        assert_eq!(of_unlimited(Unlimited { profiles: 0, companies: 0 }), None);
        let told = of_unlimited(Unlimited { profiles: 3, companies: 0 }).unwrap();
        assert!(told.contains("3 profiles") && told.contains("--calls-per-second"), "{told}");
    }
}
