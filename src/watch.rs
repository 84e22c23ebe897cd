//! Looks at the store once a second: provisioning that changed is put into use, leases are held against calls.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use provisioning_store::directory::DirectoryRows;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::ReservePolicy;
use provisioning_store::lifecycle::{PriceList, Terms};
use provisioning_store::rating::{PremiumRanges, RateBook, Tariff, UsBundle};
use provisioning_store::store::Store;
use sip_core::directory::{Directory, Succession};
use sip_core::types::CallUid;
use tokio::sync::Notify;

use crate::carrier_hosts::{self, CarrierHosts, Hosts};
use crate::directory::{self, Shape};
use crate::engine::EngineHandle;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::tariffs::{PremiumRule, Tariffs};

/// How often the revision is looked at: a change made on the command line holds within a second.
const PERIOD: Duration = Duration::from_secs(1);
/// How often leases are held against calls, in periods.
const AUDIT_EVERY: u32 = 10;
/// Bindings that have expired are cleared away this often, in periods.
const CLEAR_EVERY: u32 = 600;

/// Lines about one fault that is everybody's.
const MOST_WARNINGS: usize = 5;

/// What of the configuration shapes provisioning; may change while it is watched.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What shapes the directory.
    pub shape: Shape,
    /// Which calls bundle minutes pay.
    pub us_bundle: UsBundle,
    /// What calls between profiles here are charged by; nothing where they are free.
    pub on_net: Option<Tariff>,
    /// Which numbers are premium.
    pub premium: Arc<PremiumRanges>,
    /// How calls reserve what they may cost, and within which limits.
    pub policy: ReservePolicy,
    /// At which prices subscriptions are renewed.
    pub prices: PriceList,
    /// Of these prices.
    pub currency: String,
    /// How long things are kept that nobody pays.
    pub terms: Terms,
    /// Days that the gateway may have been away without anybody having to confirm that its clock is right.
    pub longest_absence_days: u32,
}

/// Which provisioning is in use.
#[derive(Clone, Copy)]
struct Loaded {
    revision: i64,
    revision_of_rates: i64,
}

/// Loads provisioning and watches it.
pub struct Watch {
    store: Store,
    rules: Arc<ArcSwap<Rules>>,
    /// The rules that the directory in use was built by.
    built_by: Arc<Rules>,
    tariffs: Arc<ArcSwap<Tariffs>>,
    directory: Arc<ArcSwap<Directory>>,
    metrics: Metrics,
    readiness: Readiness,
    loaded: Option<Loaded>,
    /// Told when something was changed in this process.
    changed: Arc<Notify>,
    /// Where carriers are that are known by a name.
    hosts: CarrierHosts,
    /// The addresses that the directory in use knows them by.
    built_with: Arc<Hosts>,
    /// Leases without a live call at the last audit: only what stays so is wrong.
    suspects: HashSet<String>,
}

/// Prices are the same figures for every company, so one that counts in another currency pays the wrong ones.
fn warn_of_other_currencies(rows: &DirectoryRows, currency: &str) {
    let others = rows.companies.iter().filter(|company| company.currency != currency);
    for company in others.take(MOST_WARNINGS) {
        tracing::warn!(
            company = company.id.0,
            counts_in = company.currency,
            "A company counts in another currency than prices.currency ({currency}), and pays the same figures in it."
        );
    }
}

impl Watch {
    /// Loads provisioning for the first time.
    pub async fn load(
        store: Store,
        rules: Arc<ArcSwap<Rules>>,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<(Self, Arc<Directory>), StoreError> {
        let built_by = rules.load_full();
        let tariffs = Tariffs::new(built_by.us_bundle.clone(), built_by.on_net);
        let tariffs = Arc::new(ArcSwap::from_pointee(tariffs));
        let directory = Arc::new(ArcSwap::from_pointee(Directory::new()));
        let changed = Arc::<Notify>::default();
        let hosts = CarrierHosts::new(Arc::clone(&changed));
        let mut watch = Self {
            store,
            rules,
            built_by,
            tariffs,
            directory,
            metrics,
            readiness,
            loaded: None,
            changed,
            built_with: hosts.current(),
            hosts,
            suspects: HashSet::new(),
        };
        let succession = watch.reload().await?;
        watch.note_in_force();
        watch.readiness.set_store(true);
        Ok((watch, succession.directory))
    }

    /// What calls are rated by, always the latest.
    pub fn tariffs(&self) -> Arc<ArcSwap<Tariffs>> {
        Arc::clone(&self.tariffs)
    }

    /// What calls are routed by, always the latest.
    pub fn directory(&self) -> Arc<ArcSwap<Directory>> {
        Arc::clone(&self.directory)
    }

    /// Whoever changes provisioning in this process tells it here, and calls feel it at once.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Where carriers are that are known by a name.
    pub fn hosts(&self) -> CarrierHosts {
        self.hosts.clone()
    }

    /// Loads what has changed, or everything where it is to be built otherwise now.
    async fn reload(&mut self) -> Result<Succession, StoreError> {
        let begun = Instant::now();
        let rules = self.rules.load_full();
        self.store.use_policy(rules.policy);
        self.store.use_caller_id_countries(rules.shape.caller_id_countries.iter().cloned().collect());
        let is_as_before = rules.shape == self.built_by.shape && rules.currency == self.built_by.currency;
        let known = self.loaded.filter(|_| is_as_before);
        let rows = match known {
            Some(known) => self.store.load_changes(known.revision).await?,
            None => self.store.load_directory().await?,
        };
        let rates = match known {
            Some(known) if known.revision_of_rates == rows.revision_of_rates => None,
            _ => Some(self.store.rate_book(crate::storage::now()).await?),
        };
        warn_of_other_currencies(&rows, &rules.currency);
        let loaded = Loaded { revision: rows.revision, revision_of_rates: rows.revision_of_rates };
        let profiles_read = rows.profiles.len();
        let succession = self.build(&rules, rows, rates).await;
        self.loaded = Some(loaded);
        self.built_by = rules;
        self.metrics.store("directory").observe(begun.elapsed().as_secs_f64());
        tracing::info!(revision = loaded.revision, profiles_read, "The provisioning was loaded.");
        Ok(succession)
    }

    /// Says that calls are decided by what was loaded.
    fn note_in_force(&self) {
        self.metrics.directory_revision.set(self.loaded.map_or(0, |loaded| loaded.revision));
    }

    /// Builds what calls are rated and routed by, and puts it in use.
    async fn build(&mut self, rules: &Rules, rows: DirectoryRows, rates: Option<RateBook>) -> Succession {
        let (tariffs, directory) = (Arc::clone(&self.tariffs), Arc::clone(&self.directory));
        let (us_bundle, on_net, shape) = (rules.us_bundle.clone(), rules.on_net, rules.shape.clone());
        let premium =
            PremiumRule { ranges: Arc::clone(&rules.premium), by_default: rules.policy.guard.premium };
        self.built_with = self.hosts.current();
        let hosts = Arc::clone(&self.built_with);
        self.store.use_carrier_addresses(hosts.values().flatten().copied().collect());
        // Many profiles would keep a worker of the runtime busy, and so would freeing what was in use.
        let building = tokio::task::spawn_blocking(move || {
            let known = Tariffs { us_bundle, on_net, premium, ..Tariffs::clone(&tariffs.load()) }.with(&rows);
            tariffs.store(Arc::new(match rates {
                Some(rates) => known.with_rates(rates),
                None => known,
            }));
            let old = directory.load_full();
            let mut new = directory::build(&old, &rows, &shape);
            carrier_hosts::add(&mut new, &hosts);
            let succession = Succession::new(&old, Arc::new(new));
            directory.store(Arc::clone(&succession.directory));
            succession
        });
        building.await.expect("building a directory does not panic and is not cancelled")
    }

    /// Watches for ever.
    pub async fn run(mut self, engine: EngineHandle) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let changed = Arc::clone(&self.changed);
        let mut tick = 0_u32;
        loop {
            let outcome = tokio::select! {
                _ = ticks.tick() => {
                    let outcome = self.look(&engine, tick).await;
                    tick = tick.wrapping_add(1);
                    outcome
                }
                () = changed.notified() => self.look_at_provisioning(&engine).await,
            };
            self.readiness.set_store(outcome.is_ok());
            if let Err(error) = outcome {
                self.metrics.store_failures.with_label_values(&["watch"]).inc();
                tracing::warn!(%error, "The store does not answer; calls go on with what was loaded last.");
            }
        }
    }

    async fn look_at_provisioning(&mut self, engine: &EngineHandle) -> Result<(), StoreError> {
        let has_new_rules = !Arc::ptr_eq(&self.rules.load(), &self.built_by);
        let known = self.loaded.map(|loaded| loaded.revision);
        let have_moved = !Arc::ptr_eq(&self.hosts.current(), &self.built_with);
        if has_new_rules || have_moved || Some(self.store.revision().await?) != known {
            let succession = self.reload().await?;
            // An engine that has stopped decides nothing any more.
            if let Some(old) = engine.set_directory(succession).await {
                self.note_in_force();
                // Freeing a large one takes longer than a worker of the runtime should be kept busy.
                drop(tokio::task::spawn_blocking(move || drop(old)));
            }
        }
        Ok(())
    }

    async fn look(&mut self, engine: &EngineHandle, tick: u32) -> Result<(), StoreError> {
        self.look_at_provisioning(engine).await?;
        // In an outage the ledger knows nothing of the calls that began and ended meanwhile.
        if tick.is_multiple_of(AUDIT_EVERY) && !self.readiness.is_degraded() {
            self.audit(engine).await?;
        }
        if tick.is_multiple_of(CLEAR_EVERY) {
            self.store.delete_expired_registrations(crate::storage::now()).await?;
        }
        Ok(())
    }

    /// Channels in use are the set of live calls: a lease without a call would keep a channel for ever.
    async fn audit(&mut self, engine: &EngineHandle) -> Result<(), StoreError> {
        let booked = self.store.live_calls().await?;
        let live = engine.call_uids().await;
        let is_live = |call: &str| call.parse().is_ok_and(|uid: CallUid| live.contains(&uid));
        let leases = booked.iter().map(|reservation| reservation.call.as_str());
        let is_orphan = |lease: &&str| lease.split_once('-').is_none_or(|(call, _)| !is_live(call));
        let orphans: HashSet<String> = leases.filter(is_orphan).map(str::to_owned).collect();
        let confirmed = orphans.intersection(&self.suspects).count();
        if confirmed > 0 {
            tracing::error!(confirmed, ?orphans, "The ledger holds leases that no live call owns.");
        }
        self.metrics.lease_mismatch.set(confirmed as i64);
        self.suspects = orphans;
        Ok(())
    }
}
