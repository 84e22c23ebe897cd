//! The page of metrics, with what is read only when it is asked for.

use std::collections::HashSet;

use sip_core::bans::{Ban, Banned};
use tokio::sync::Mutex;

use media_relay::engine::{Engine as Relay, Gauges};
use media_relay::session::DropReason;
use provisioning_store::model::Profile;
use provisioning_store::store::Store;
use sip_core::gateway::Counts;

use crate::engine::EngineHandle;
use crate::metrics::Metrics;
use crate::storage;

/// Makes the page.
pub struct Scrape {
    metrics: Metrics,
    store: Store,
    relay: Relay,
    /// What the relay had counted at the last page; held while a page is made, so that two at once see whole ones.
    counted: Mutex<Gauges>,
}

impl Scrape {
    /// A page of these metrics, this store's profiles and this relay's counts.
    pub fn new(metrics: Metrics, store: Store, relay: Relay) -> Self {
        Self { metrics, store, relay, counted: Mutex::default() }
    }

    /// The page as of now. Profiles are left out while the store does not answer.
    pub(super) async fn page(&self, engine: &EngineHandle) -> String {
        let mut counted = self.counted.lock().await;
        let registered: HashSet<i64> =
            engine.bindings().await.iter().map(|binding| binding.profile.0).collect();
        if let Some(counts) = engine.counts().await {
            self.metrics.calls_live.set(counts.live_calls() as i64);
            self.tables(&counts);
        }
        self.bans(&engine.bans().await);
        match self.store.profiles(None).await {
            Ok(profiles) => self.profiles(&profiles, &registered),
            Err(error) => {
                self.metrics.store_failures.with_label_values(&["profiles"]).inc();
                tracing::warn!(%error, "The profiles could not be read for the metrics.");
            }
        }
        self.relay(&mut counted);
        self.metrics.page()
    }

    fn bans(&self, bans: &[Ban]) {
        let users = bans.iter().filter(|ban| matches!(ban.whom, Banned::User(_))).count();
        self.metrics.bans.with_label_values(&["user"]).set(users as i64);
        self.metrics.bans.with_label_values(&["source"]).set((bans.len() - users) as i64);
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

    fn profiles(&self, profiles: &[Profile], registered: &HashSet<i64>) {
        let metrics = &self.metrics;
        // A profile that was deleted must not stay on the page.
        metrics.channels_in_use.reset();
        metrics.channels_limit.reset();
        metrics.credit.reset();
        metrics.bundle_seconds_left.reset();
        metrics.registered.reset();
        metrics.spend_guard_used.reset();
        for profile in profiles {
            let label = [profile.sip_user.as_str()];
            let channels = profile.subscription.as_ref().map_or(0, |subscription| subscription.channels);
            metrics.channels_in_use.with_label_values(&label).set(profile.channels_in_use.into());
            metrics.channels_limit.with_label_values(&label).set(channels.into());
            metrics.credit.with_label_values(&label).set(profile.credit.0 as f64 / 1e6);
            metrics.bundle_seconds_left.with_label_values(&label).set(profile.bundle_left_s.into());
            metrics.registered.with_label_values(&label).set(registered.contains(&profile.id.0).into());
            for standing in self.store.cap_standings(profile, storage::now()) {
                let label = [profile.sip_user.as_str(), standing.window.word()];
                // A cap of nothing is used up from the beginning.
                let share = standing.committed.0 as f64 / standing.cap.0.max(1) as f64;
                let share = if standing.cap.0 == 0 { 1.0 } else { share };
                metrics.spend_guard_used.with_label_values(&label).set(share);
            }
        }
    }
}
