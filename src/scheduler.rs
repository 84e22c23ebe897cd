//! Does what falls due: renewals, lapses, expiries, deletions, the fees of Online Numbers, the recharge of
//! companies.
//!
//! It keeps nothing: what is due is read from the store each time, and each period and term is done once, by its number.
//! So it survives restarts, clocks that are set and weeks without it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::Outcome;
use provisioning_store::lifecycle::Renewal;
use provisioning_store::lifecycle::agenda::{Due, Duty};
use provisioning_store::model::Timestamp;
use provisioning_store::store::Store;

use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::storage;
use crate::watch::Rules;

/// How often it is looked for what is due. A subscription still works for an hour beyond its end, so nobody notices.
const PERIOD: Duration = Duration::from_secs(5);

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

    /// Does everything that has fallen due by `now`.
    pub async fn do_due(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.rules.load_full();
        for (due, outcome) in self.store.do_due(now, &rules.prices, rules.terms).await? {
            tell(due, &outcome);
        }
        for payment in self.store.request_recharges(now).await? {
            let (company, amount) = (payment.company.0, payment.amount);
            tracing::info!(company, payment = payment.id.0, %amount, "A payment is asked for: the credit is low.");
        }
        Ok(())
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

/// What ends is told to the operator; a renewal is the way of things.
fn tell(due: Due, outcome: &Outcome) {
    let company = due.company.0;
    match (due.duty, outcome) {
        (Duty::CompletePeriod { profile, period }, Outcome::Continues(subscription)) => {
            let is_unpaid = subscription.renewal == Renewal::Unpaid;
            let why = if is_unpaid { "the company's credit does not pay it" } else { "it was cancelled" };
            tracing::info!(company, profile = profile.0, period, why, "A channel subscription has ended.");
        }
        (Duty::CloseProfile { profile, .. }, Outcome::Booked) => {
            tracing::info!(
                company,
                profile = profile.0,
                "A profile was deleted after its days of being disabled."
            );
        }
        (Duty::CompleteTerm { number, .. }, Outcome::Leased(lease)) if lease.renewal == Renewal::Unpaid => {
            let online = &lease.offer.number;
            tracing::info!(company, id = number.0, number = online, "A number's fee could not be paid.");
        }
        (Duty::CompleteTerm { number, .. } | Duty::ReleaseNumber { number, .. }, Outcome::Released) => {
            tracing::info!(company, id = number.0, "A number went back into the stock.");
        }
        _ => {}
    }
}
