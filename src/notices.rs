//! What an upgrade has changed for installations that were there before: told once, in the log. `sipgw check` tells what can
//! still be acted on.

use provisioning_store::error::StoreError;
use provisioning_store::store::{Store, Unlimited};

use crate::storage;

/// The words of a notice, where it concerns somebody.
type Notice = fn(Unlimited) -> Option<String>;

/// What is told of limits that new things begin with: each with the name of its notice.
const LIMITS: [(&str, Notice); 2] =
    [("calls a second are limited", of_call_rates), ("premium numbers and caps", of_premium_and_caps)];

/// Tells what has not been told yet and concerns this installation.
pub(crate) async fn tell(store: &Store) -> Result<(), StoreError> {
    if store.is_first_time(storage::now(), "tokens end").await? {
        tell_of_endless_tokens(store.endless_tokens().await?);
    }
    let unlimited = store.unlimited().await?;
    for (name, of) in LIMITS {
        if store.is_first_time(storage::now(), name).await?
            && let Some(notice) = of(unlimited)
        {
            tracing::warn!("{notice}");
        }
    }
    Ok(())
}

fn tell_of_endless_tokens(endless: u64) {
    if endless > 0 {
        tracing::warn!(
            endless,
            "New tokens end after http.token_days unless an operator says otherwise. These never end: `sipgw token list` \
             shows them, `sipgw token revoke` ends one."
        );
    }
}

/// What an installation's database holds that works otherwise than what is new, each as a sentence with its cure.
pub async fn standing(store: &Store) -> Result<Vec<String>, StoreError> {
    let unlimited = store.unlimited().await?;
    Ok(LIMITS.iter().filter_map(|(_, of)| of(unlimited)).collect())
}

/// The same for a database whose tables are still an older version's.
pub fn before_upgrade() -> String {
    "The database is of an older version; the gateway brings it up to date when it starts. The profiles and companies in it \
     keep what they have: new ones begin with caps, without premium numbers and with a limit of calls a second \
     (calls.new_profiles, calls.new_companies), these do not."
        .to_owned()
}

fn of_call_rates(found: Unlimited) -> Option<String> {
    let Unlimited { call_rate: profiles, company_call_rate: companies, .. } = found;
    (profiles > 0 || companies > 0).then(|| {
        format!(
            "New profiles and companies begin with a limit of calls a second. {profiles} profiles and {companies} companies \
             have none of their own: `sipgw profile guard set PROFILE --calls-per-second 5` and `sipgw company \
             calls-per-second COMPANY 20` set one, and `none` in the place of the number says that there is to be none."
        )
    })
}

fn of_premium_and_caps(Unlimited { premium, caps, .. }: Unlimited) -> Option<String> {
    (premium > 0 || caps > 0).then(|| {
        format!(
            "New profiles may not call premium numbers and begin with caps of what calls may cost. Of the profiles that have \
             no such limits of their own, {premium} may call premium numbers and {caps} have no cap: `sipgw profile guard set PROFILE \
             --premium deny --hour-cap 20.00 --day-cap 100.00` limits one, and `--premium allow --hour-cap none --day-cap \
             none` says that it is to stay so."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_limit_is_named_with_the_cure() {
        assert!(LIMITS.iter().all(|(_, of)| of(Unlimited::default()).is_none()));
        let told = of_call_rates(Unlimited { call_rate: 3, ..Unlimited::default() }).unwrap();
        assert!(told.contains("3 profiles") && told.contains("--calls-per-second"), "{told}");
        let told = of_premium_and_caps(Unlimited { premium: 2, ..Unlimited::default() }).unwrap();
        assert!(told.contains("2 may call") && told.contains("--premium deny"), "{told}");
    }
}
