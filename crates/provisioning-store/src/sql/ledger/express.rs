//! A batch on SQLite in one hand-over to the database's thread, or in two if it begins with calls of profiles of which
//! nothing is known yet. Everything else takes the long way.

use super::Author;
use super::known::{Care, Gap};
use super::lean::Lean;
use super::sheet::Sheet;
use crate::error::StoreError;
use crate::ledger::{LedgerEntry, Outcome, Refusal};
use crate::sql::{Database, failed, sqlite};

impl Database {
    /// Does a batch, unless it has to take the long way; then nothing has happened.
    pub(super) async fn apply_express(
        &self,
        author: Author<'_>,
        entries: &[LedgerEntry],
    ) -> Result<Option<Vec<Result<Outcome, Refusal>>>, StoreError> {
        let Some(mut express) = self.express().await? else { return Ok(None) };
        // With the connection in hand: nobody else of this process is writing.
        let (Some(mut known), ticket) = self.shelf().take(author.owner) else { return Ok(None) };
        match known.gap(author.policy, entries) {
            Gap::Nothing => {}
            Gap::Profiles(profiles) => match Sheet::read(&mut express, author.owner, &profiles).await {
                Ok(sheet) => known.load_sheet(profiles, sheet)?,
                Err(error) => return long_way_unless_locked(error),
            },
            Gap::Other => {
                self.shelf().put(known, ticket);
                return Ok(None);
            }
        }
        // A profile may turn out to be one whose calls are counted by country.
        if !matches!(known.gap(author.policy, entries), Gap::Nothing) {
            return Ok(None);
        }
        let decided = known.decide(author.policy, entries, Care::Trusting);
        if !known.is_all_in_the_script(&decided) {
            return Ok(None);
        }
        let lean = Lean::new(express.is_open(), decided.premise.version, known.written(&decided));
        match express.commit(lean.text, lean.parameters).await {
            Ok(()) => {
                self.shelf().put(known, ticket);
                Ok(Some(decided.outcomes))
            }
            Err(error) => long_way_unless_locked(error),
        }
    }
}

/// A lock that somebody else has is waited for only once. Anything else - another writer was there, the connection has
/// only a ghost of its file - is found out again or mended on the long way.
fn long_way_unless_locked<T>(error: sqlx::Error) -> Result<Option<T>, StoreError> {
    if sqlite::is_busy(&error) { Err(failed("beginning a transaction")(error)) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::{Attempt, CallId, CallKind, Direction};
    use crate::ledger::{LedgerOp, ReservePolicy};
    use crate::lifecycle::{Order, PriceList};
    use crate::model::{NewCompany, ProfileId, ProfileSettings, Timestamp};
    use crate::money::Micros;
    use crate::secrets::SecretKey;
    use crate::store::{NewProfile, Store, StoreOptions};

    const AT: Timestamp = Timestamp(1_600_000_000_000_000);

    fn reserve(call: &str, profile: ProfileId) -> LedgerEntry {
        let attempt = Attempt {
            direction: Direction::Incoming,
            kind: CallKind::Telephone,
            from: String::new(),
            to: String::new(),
            destination: String::new(),
            country: String::new(),
            tariff: None,
            started_at: AT,
        };
        let op =
            LedgerOp::Reserve { call: CallId::new(call.to_owned()), profile, attempt: Box::new(attempt) };
        LedgerEntry { at: AT, op }
    }

    #[tokio::test]
    async fn calls_of_profiles_known_and_unknown_go_by_express_and_what_others_wrote_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sipgw.db");
        let store = Store::open(StoreOptions::new(&path, SecretKey::new([7; 32]))).await.unwrap();
        let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(AT, &new).await.unwrap();
        store.top_up(AT, company.id, "1000".parse().unwrap(), "").await.unwrap();
        let mut profiles = Vec::new();
        for name in ["P", "Q", "R"] {
            let order = Some((Order { channels: 2, bundles: 1 }, PriceList::default()));
            let settings = ProfileSettings::default();
            let new = NewProfile { company: company.id, name: name.into(), settings, order };
            profiles.push(store.create_profile(AT, new).await.unwrap().0.id);
        }
        let author = Author { owner: "sipgw", policy: ReservePolicy::default() };
        let database =
            Database::open(&crate::store::Location::File(path), Default::default(), None).await.unwrap();
        let first = reserve("1", profiles[0]);
        assert_eq!(database.apply_express(author, std::slice::from_ref(&first)).await.unwrap(), None);
        database.apply(author, &[first]).await.unwrap();

        let by_express = async |entries: &[LedgerEntry]| {
            let outcomes = database.apply_express(author, entries).await.unwrap();
            outcomes.is_some_and(|outcomes| outcomes.iter().all(Result::is_ok))
        };
        assert!(by_express(&[reserve("2", profiles[0])]).await, "all is known");
        let hold = LedgerOp::Hold { profile: profiles[1], credit: Micros(1), bundle_s: 60 };
        let batch = [reserve("3", profiles[1]), LedgerEntry { at: AT, op: hold }];
        assert!(by_express(&batch).await, "one profile is not known");
        assert!(by_express(&[reserve("4", profiles[1])]).await, "now it is");

        // Another process changes something: what is known is of no use, and nothing has happened.
        store.top_up(AT, company.id, "1".parse().unwrap(), "").await.unwrap();
        assert!(!by_express(&[reserve("5", profiles[2])]).await);
        let outcomes = database.apply(author, &[reserve("5", profiles[2]), reserve("6", profiles[0])]).await;
        let [fifth, sixth] = &outcomes.unwrap()[..] else { panic!("two were asked for") };
        assert!(fifth.is_ok() && sixth.is_err(), "two channels, and both in use");
        assert_eq!(store.verify().await.unwrap(), []);
    }
}
