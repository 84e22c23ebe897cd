//! The page of metrics, with what is read only when it is asked for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sip_core::bans::BanCounts;
use tokio::sync::Mutex;

use media_relay::engine::{Engine as Relay, Gauges};
use media_relay::session::DropReason;
use provisioning_store::balances::ProfileBalance;
use provisioning_store::ledger::CapStanding;
use provisioning_store::model::{GuardOverrides, Timestamp};
use provisioning_store::store::Store;
use sip_core::directory::Directory;
use sip_core::gateway::Counts;
use sip_core::types::{Availability, CarrierStanding, ProfileId};

use crate::engine::EngineHandle;
use crate::metrics::{Metrics, ProfileStanding};
use crate::storage;
use crate::tariffs::Tariffs;
use crate::watch::Watch;

/// Makes the page.
pub struct Scrape {
    metrics: Metrics,
    store: Store,
    relay: Relay,
    directory: Arc<ArcSwap<Directory>>,
    tariffs: Arc<ArcSwap<Tariffs>>,
    /// What the relay had counted at the last page; held while a page is made, so that two at once see whole ones.
    counted: Mutex<Gauges>,
}

impl Scrape {
    /// A page of these metrics, this store's profiles and this relay's counts.
    pub fn new(metrics: Metrics, store: Store, relay: Relay, watch: &Watch) -> Self {
        let (directory, tariffs) = (watch.directory(), watch.tariffs());
        Self { metrics, store, relay, directory, tariffs, counted: Mutex::default() }
    }

    /// The page as of now. Profiles are left out while the store does not answer.
    pub(super) async fn page(&self, engine: &EngineHandle) -> String {
        let mut counted = self.counted.lock().await;
        if let Some(counts) = engine.counts().await {
            self.metrics.calls_live.set(counts.live_calls() as i64);
            self.tables(&counts);
        }
        self.bans(engine.count_bans().await);
        self.carriers(&engine.carriers().await);
        self.relay(&mut counted);
        let profiles = self.profiles(engine).await;
        let metrics = self.metrics.clone();
        // Many profiles would keep a worker of the runtime busy.
        let page = tokio::task::spawn_blocking(move || metrics.page(&profiles)).await;
        page.expect("making a page does not panic and is not cancelled")
    }

    fn bans(&self, bans: BanCounts) {
        self.metrics.bans.with_label_values(&["user"]).set(bans.users as i64);
        self.metrics.bans.with_label_values(&["source"]).set(bans.sources as i64);
    }

    /// Anew each time, so that an address that is a carrier's no more is gone.
    fn carriers(&self, carriers: &[CarrierStanding]) {
        self.metrics.carrier_up.reset();
        for CarrierStanding { carrier, addresses } in carriers {
            for standing in addresses {
                let address = standing.address.map(|address| address.to_string()).unwrap_or_default();
                let is_up = standing.availability == Availability::Up;
                let labels = [carrier.name.as_str(), address.as_str()];
                self.metrics.carrier_up.with_label_values(&labels).set(is_up.into());
            }
        }
    }

    fn tables(&self, counts: &Counts) {
        for (table, entries) in [
            ("bindings", counts.bindings),
            ("calls", counts.calls),
            ("certified", counts.certified),
            ("dialogs", counts.dialogs),
            ("sources", counts.sources),
            ("timers", counts.timers),
            ("transactions", counts.transactions),
            ("ways", counts.ways),
        ] {
            self.metrics.table_entries.with_label_values(&[table]).set(entries as i64);
        }
    }

    fn relay(&self, before: &mut Gauges) {
        let now = self.relay.gauges();
        let metrics = &self.metrics;
        metrics.relay_packets.inc_by(now.forwarded_packets.saturating_sub(before.forwarded_packets));
        for reason in DropReason::ALL {
            let dropped = now.drops[reason.index()].saturating_sub(before.drops[reason.index()]);
            metrics.relay_dropped.with_label_values(&[reason.label()]).inc_by(dropped);
        }
        let lost = now.events_lost.saturating_sub(before.events_lost);
        metrics.queue_dropped.with_label_values(&["media_events"]).inc_by(lost);
        metrics.relay_sessions.set(now.calls as i64);
        metrics.relay_ports_in_use.set(now.ports_in_use as i64);
        metrics.relay_ports.set(now.ports_total as i64);
        metrics.relay_ports_hurried.inc_by(now.ports_hurried.saturating_sub(before.ports_hurried));
        *before = now;
    }

    async fn profiles(&self, engine: &EngineHandle) -> Vec<ProfileStanding> {
        let registered = engine.registered().await;
        let now = storage::now();
        match self.store.profile_balances(now).await {
            Ok(balances) => {
                let (directory, tariffs) = (self.directory.load_full(), self.tariffs.load_full());
                let standing = |balance: &ProfileBalance| {
                    let profile = directory.profile(ProfileId(balance.profile.0))?;
                    let subscriber = tariffs.subscribers.get(&balance.profile)?;
                    Some(ProfileStanding {
                        user: profile.user.clone(),
                        channels_in_use: balance.channels_in_use,
                        channels_limit: subscriber.subscription.map_or(0, |it| it.channels),
                        credit: balance.credit.0 as f64 / 1e6,
                        bundle_seconds_left: balance.bundle_left_s,
                        is_registered: registered.contains(&profile.id),
                        caps: self.caps(subscriber.guard, balance, now),
                    })
                };
                balances.iter().filter_map(standing).collect()
            }
            Err(error) => {
                self.metrics.store_failures.with_label_values(&["profiles"]).inc();
                tracing::warn!(%error, "The profiles could not be read for the metrics.");
                Vec::new()
            }
        }
    }

    fn caps(
        &self,
        guard: GuardOverrides,
        balance: &ProfileBalance,
        now: Timestamp,
    ) -> Vec<(&'static str, f64)> {
        let share = |standing: CapStanding| {
            // A cap of nothing is used up from the beginning.
            let share =
                if standing.cap.0 == 0 { 1.0 } else { standing.committed.0 as f64 / standing.cap.0 as f64 };
            (standing.window.word(), share)
        };
        self.store.cap_standings_by(guard, balance, now).into_iter().map(share).collect()
    }
}
