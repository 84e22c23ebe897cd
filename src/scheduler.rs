//! Does what falls due: renewals, lapses, expiries, deletions, the fees of Online Numbers, the recharge of
//! companies.
//!
//! It keeps nothing: what is due is read from the store each time, and each period and term is done once, by its number.
//! So it survives restarts, clocks that are set and weeks without it.
//!
//! A clock that has jumped years ahead would bill them all and delete whoever cannot pay them, and setting it back would
//! bring nothing back. So the store remembers when it was looked last, and after too long an absence an operator has to say
//! that the clock is right.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use provisioning_store::error::StoreError;
use provisioning_store::model::Timestamp;
use provisioning_store::store::Store;

use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::storage;
use crate::watch::Rules;

/// How often it is looked for what is due. A subscription still works for an hour beyond its end, so nobody notices.
const PERIOD: Duration = Duration::from_secs(5);

/// How far the clock may be past the last look that the store remembers before it is told again. Its writing is not worth
/// doing each time.
const REMEMBERED_S: i64 = 3_600;
const DAY_S: i64 = 86_400;

/// Does what falls due.
pub struct Scheduler {
    store: Store,
    rules: Arc<ArcSwap<Rules>>,
    metrics: Metrics,
    readiness: Readiness,
}

impl Scheduler {
    /// Prices and terms are taken from `rules` each time, so that a changed configuration holds from the next renewal.
    pub fn new(store: Store, rules: Arc<ArcSwap<Rules>>, metrics: Metrics, readiness: Readiness) -> Self {
        Self { store, rules, metrics, readiness }
    }

    /// Does everything that has fallen due by `now`, if that can be believed.
    pub async fn do_due(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.rules.load_full();
        if !self.believes(now, &rules).await? {
            return Ok(());
        }
        for (due, outcome) in self.store.do_due(now, &rules.prices, rules.terms).await? {
            if let Some(sentence) = due.ending(&outcome) {
                tracing::info!(company = due.company.0, "{sentence}");
            }
        }
        for payment in self.store.request_recharges(now).await? {
            let (company, amount) = (payment.company.0, payment.amount);
            tracing::info!(company, payment = payment.id.0, %amount, "A payment is asked for: the credit is low.");
        }
        self.store.clear_editions(now).await?;
        Ok(())
    }

    /// Whether the clock can be right: it is not too far past the last look. A clock that was set back is; what it says then
    /// is not kept, or the right time would be too far past it.
    async fn believes(&self, now: Timestamp, rules: &Rules) -> Result<bool, StoreError> {
        let away_s = self.store.last_look().await?.map(|last| now.unix_s() - last.unix_s());
        let is_doubtful = away_s.is_some_and(|away_s| away_s > i64::from(rules.longest_absence_days) * DAY_S);
        if is_doubtful && !self.readiness.is_clock_in_doubt() {
            tracing::error!(
                days = away_s.map(|away_s| away_s / DAY_S),
                "It was looked so long ago for what is due that the clock may be wrong: nothing is renewed or deleted, and \
                 profiles whose paid period is over by this clock cannot call, until it is set, or confirmed by sipgw \
                 schedule confirm."
            );
        }
        self.readiness.set_clock_in_doubt(is_doubtful);
        self.metrics.clock_in_doubt.set(is_doubtful.into());
        if !is_doubtful && away_s.is_none_or(|away_s| away_s > REMEMBERED_S) {
            self.store.note_look(now).await?;
        }
        Ok(!is_doubtful)
    }

    /// Goes on for ever.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // In an outage the database does not know yet what calls have cost.
            if self.readiness.is_degraded() {
                continue;
            }
            if let Err(error) = self.do_due(storage::now()).await {
                self.metrics.store_failures.with_label_values(&["scheduler"]).inc();
                tracing::warn!(%error, "The store does not answer; what is due is done when it does.");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use provisioning_store::ledger::ReservePolicy;
    use provisioning_store::lifecycle::{Order, PriceList, Terms};
    use provisioning_store::model::{CompanyId, NewCompany, ProfileSettings};
    use provisioning_store::money::Micros;
    use provisioning_store::rating::UsBundle;
    use provisioning_store::secrets::SecretKey;
    use provisioning_store::store::{NewProfile, StoreOptions};

    use super::*;
    use crate::directory::Shape;

    const START: Timestamp = Timestamp(1_767_225_600_000_000);

    fn rules() -> Rules {
        Rules {
            shape: Shape {
                realm: String::new(),
                caller_id_countries: HashSet::new(),
                calls_per_second: None,
            },
            us_bundle: UsBundle::standard(),
            premium: Arc::default(),
            on_net: None,
            policy: ReservePolicy::default(),
            prices: PriceList::default(),
            currency: "USD".to_owned(),
            terms: Terms::default(),
            longest_absence_days: 40,
        }
    }

    async fn company(store: &Store) -> CompanyId {
        let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(START, &new).await.unwrap().id;
        store.top_up(START, company, Micros::from_cents(3 * 695), "card").await.unwrap();
        let order = Some((Order { channels: 1, bundles: 0 }, PriceList::default()));
        let new = NewProfile { company, name: "Sales".into(), settings: ProfileSettings::default(), order };
        store.create_profile(START, new).await.unwrap();
        company
    }

    #[tokio::test]
    async fn a_clock_that_has_jumped_years_ahead_is_not_believed_until_an_operator_confirms_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(folder.path().join("sipgw.db"), SecretKey::new([7; 32]));
        let store = Store::open(options).await.unwrap();
        let company = company(&store).await;
        let (metrics, readiness) = (Metrics::new(), Readiness::default());
        let rules = Arc::new(ArcSwap::from_pointee(rules()));
        let scheduler = Scheduler::new(store.clone(), rules, metrics.clone(), readiness.clone());
        let credit = async || store.company(company).await.unwrap().credit;

        scheduler.do_due(START).await.unwrap();
        scheduler.do_due(START.plus_days(10 * 365)).await.unwrap();
        assert!(readiness.is_clock_in_doubt() && metrics.clock_in_doubt.get() == 1);
        assert_eq!(credit().await, Micros::from_cents(2 * 695), "nothing is billed");
        assert_eq!(store.profiles(None).await.unwrap().len(), 1, "nothing is deleted");

        // A boot with the clock of 1970 is no reason to doubt the right time afterwards.
        scheduler.do_due(Timestamp::from_unix_s(1_000)).await.unwrap();
        scheduler.do_due(START.plus_days(1)).await.unwrap();
        assert!(!readiness.is_clock_in_doubt());

        // The clock was set back; five weeks later a period has been billed, as ever.
        scheduler.do_due(START.plus_days(35)).await.unwrap();
        assert!(!readiness.is_clock_in_doubt());
        assert_eq!(credit().await, Micros::from_cents(695));

        // It was right this time.
        let much_later = START.plus_days(35 + 200);
        scheduler.do_due(much_later).await.unwrap();
        assert!(readiness.is_clock_in_doubt());
        store.note_look(much_later).await.unwrap();
        scheduler.do_due(much_later).await.unwrap();
        assert!(!readiness.is_clock_in_doubt());
        assert_eq!(store.profiles(None).await.unwrap(), []);
        let told = store.audit(&Default::default(), None, 10).await.unwrap();
        let told: Vec<_> = told.iter().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
        assert_eq!(
            told,
            [
                ("scheduler", "Profile 1 was deleted after its days of being disabled."),
                (
                    "scheduler",
                    "The channel subscription of profile 1 has ended: the company's credit does not pay it."
                ),
            ]
        );
    }
}
