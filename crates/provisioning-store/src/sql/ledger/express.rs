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
    use crate::model::{CompanyId, NewCompany, ProfileId, ProfileSettings, Timestamp};
    use crate::money::Micros;
    use crate::secrets::SecretKey;
    use crate::sql::query::query;
    use crate::store::{Location, NewProfile, Store, StoreOptions};

    const AT: Timestamp = Timestamp(1_600_000_000_000_000);

    fn reserve(call: &str, profile: ProfileId) -> LedgerEntry {
        let attempt = Attempt {
            direction: Direction::Incoming,
            kind: CallKind::Telephone,
            from: String::new(),
            is_withheld: false,
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

    /// A company with profiles of two channels each, and the database beside the store that made them.
    struct House {
        store: Store,
        database: Database,
        company: CompanyId,
        profiles: Vec<ProfileId>,
        _folder: tempfile::TempDir,
    }

    fn author() -> Author<'static> {
        Author { owner: "sipgw", policy: ReservePolicy::default() }
    }

    impl House {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sipgw.db");
            let store = Store::open(StoreOptions::new(&path, SecretKey::new([7; 32]))).await.unwrap();
            let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
            let company = store.create_company(AT, &new).await.unwrap().id;
            store.top_up(AT, company, "1000".parse().unwrap(), "").await.unwrap();
            let mut profiles = Vec::new();
            for name in ["P", "Q", "R"] {
                let order = Some((Order { channels: 2, bundles: 1 }, PriceList::default()));
                let new =
                    NewProfile { company, name: name.into(), settings: ProfileSettings::default(), order };
                profiles.push(store.create_profile(AT, new).await.unwrap().0.id);
            }
            let database = Database::open(&Location::File(path), Default::default(), None).await.unwrap();
            Self { store, database, company, profiles, _folder: folder }
        }

        /// What a batch is answered, if it can go by express.
        async fn express(&self, entries: &[LedgerEntry]) -> Option<Vec<Result<Outcome, Refusal>>> {
            self.database.apply_express(author(), entries).await.unwrap()
        }

        async fn is_granted(&self, entries: &[LedgerEntry]) -> bool {
            self.express(entries).await.is_some_and(|outcomes| outcomes.iter().all(Result::is_ok))
        }

        /// Changes something by the connection that writes, which its version does not tell.
        async fn tamper(&self, statement: &'static str) {
            let mut beside = self.database.begin_beside().await.unwrap();
            query(statement).execute(&mut *beside).await.unwrap();
            beside.commit().await.unwrap();
        }
    }

    fn of(op: LedgerOp) -> LedgerEntry {
        LedgerEntry { at: AT, op }
    }

    #[tokio::test]
    async fn calls_of_profiles_known_and_unknown_go_by_express_and_what_others_wrote_is_noticed() {
        let house = House::new().await;
        let profiles = &house.profiles;
        let first = reserve("1", profiles[0]);
        assert_eq!(house.express(std::slice::from_ref(&first)).await, None);
        house.database.apply(author(), &[first]).await.unwrap();

        assert!(house.is_granted(&[reserve("2", profiles[0])]).await, "all is known");
        let hold = LedgerOp::Hold { profile: profiles[1], credit: Micros(1), bundle_s: 60 };
        assert!(house.is_granted(&[reserve("3", profiles[1]), of(hold)]).await, "one profile is not known");
        assert!(house.is_granted(&[reserve("4", profiles[1])]).await, "now it is");

        // Another process changes something: what is known is of no use, and nothing has happened.
        house.store.top_up(AT, house.company, "1".parse().unwrap(), "").await.unwrap();
        assert_eq!(house.express(&[reserve("5", profiles[2])]).await, None);
        let batch = [reserve("5", profiles[2]), reserve("6", profiles[0])];
        let outcomes = house.database.apply(author(), &batch).await.unwrap();
        assert!(outcomes[0].is_ok() && outcomes[1].is_err(), "two channels, and both in use: {outcomes:?}");
        assert_eq!(house.store.verify().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_is_not_as_it_was_known_is_noticed_by_each_condition() {
        let house = House::new().await;
        let [first, second, _] = house.profiles[..] else { panic!("three profiles") };
        let call = |name: &str| CallId::new(name.to_owned());
        let hold = |profile| of(LedgerOp::Hold { profile, credit: Micros(0), bundle_s: 60 });
        let begin = [reserve("over", first), reserve("full", second), reserve("too", second)];
        house.database.apply(author(), &begin).await.unwrap();
        let over = of(LedgerOp::Expire { call: call("over") });
        let running = of(LedgerOp::Answer { call: call("full"), at: AT, known: None });
        assert!(house.is_granted(&[over, running, hold(second)]).await, "as it is known");

        let is_over = [reserve("over", first)];
        let is_over_and_refused = [reserve("over", second)];
        let again = of(LedgerOp::Answer { call: call("too"), at: AT, known: None });
        let cases: [(&str, Option<&str>, &[LedgerEntry]); 4] = [
            ("a new call whose name is used up", None, &is_over),
            ("a refused call whose name is used up", None, &is_over_and_refused),
            ("a balance", Some("DELETE FROM accounts WHERE name LIKE 'bundle:%'"), &[hold(first)]),
            ("a running call", Some("DELETE FROM reservations WHERE call_id = 'too'"), &[again]),
        ];
        for (place, (case, tampering, entries)) in cases.into_iter().enumerate() {
            // All is known again.
            let fresh = format!("fresh {place}");
            house.database.apply(author(), &[reserve(&fresh, first)]).await.unwrap();
            let end = of(LedgerOp::Expire { call: call(&fresh) });
            assert!(house.is_granted(&[end]).await, "{case}: all is known");
            if let Some(statement) = tampering {
                house.tamper(statement).await;
            }
            let before = house.database.balances().await.unwrap();
            assert_eq!(house.express(entries).await, None, "{case} is not as it was known");
            assert_eq!(house.database.balances().await.unwrap(), before, "{case}");
        }
    }
}
