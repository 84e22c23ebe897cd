//! A changed configuration is put into use while calls go on: whole, or not at all.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::StartError;
use crate::config::{Config, ConfigError, LogConfig, SipConfig};
use crate::directory::Shape;
use crate::engine::EngineHandle;
use crate::http::Access;
use crate::logging;
use crate::metrics::Metrics;
use crate::net::{Tls, TlsFiles};
use crate::watch::Rules;

/// How often the files are looked at. Asking for their times works on every file system, and through the renames
/// and symbolic links by which certificates and mounted configurations are replaced.
const PERIOD: Duration = Duration::from_secs(1);

/// The parts that take a changed configuration, and the configuration itself.
pub(super) struct Reload {
    /// What the daemon was started with: whatever cannot change is still so.
    started: Config,
    /// The files as they were then.
    files: Vec<Fingerprint>,
    in_force: Arc<ArcSwap<Config>>,
    tls: Arc<Tls>,
    rules: Arc<ArcSwap<Rules>>,
    access: Arc<ArcSwap<Access>>,
    engine: EngineHandle,
    metrics: Metrics,
}

/// The parts of [`Reload`] that others look at.
pub(super) struct Parts {
    pub(super) tls: Arc<Tls>,
    pub(super) rules: Arc<ArcSwap<Rules>>,
    pub(super) access: Arc<ArcSwap<Access>>,
    pub(super) config: Arc<ArcSwap<Config>>,
}

impl Reload {
    /// Begins with the configuration that the daemon starts with.
    pub(super) fn new(config: Config, engine: EngineHandle, metrics: Metrics) -> Result<Self, StartError> {
        // Before they are read: what changes meanwhile must be noticed.
        let files = look(&config);
        let tls = Arc::new(Tls::load(&config)?);
        let rules = Arc::new(ArcSwap::from_pointee(rules(&config)?));
        let access = Arc::new(ArcSwap::from_pointee(Access::of(&config.http)));
        let in_force = Arc::new(ArcSwap::from_pointee(config.clone()));
        let reload = Self { started: config, files, in_force, tls, rules, access, engine, metrics };
        reload.note_success();
        Ok(reload)
    }

    pub(super) fn parts(&self) -> Parts {
        let (tls, rules, access) = (Arc::clone(&self.tls), Arc::clone(&self.rules), Arc::clone(&self.access));
        Parts { tls, rules, access, config: Arc::clone(&self.in_force) }
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.in_force.load_full()
    }

    /// Reads everything anew. What is wrong is refused as a whole, and named; the old stays in force.
    pub(super) async fn read_anew(&self) {
        match self.try_read_anew().await {
            Ok(waiting) if waiting.is_empty() => tracing::info!("The configuration was read anew."),
            Ok(waiting) => tracing::warn!(
                keys = waiting.join(", "),
                "The configuration was read anew; these keys have changed and hold from the next start."
            ),
            Err(error) => {
                self.metrics.reload_failures.inc();
                tracing::error!(%error, "The changed configuration is refused; the old one stays in force.");
            }
        }
    }

    /// Everything is read and checked before anything is put into use. Gives the keys that wait for a restart.
    async fn try_read_anew(&self) -> Result<Vec<&'static str>, StartError> {
        let config = match &self.started.file {
            Some(file) => Config::load(file)?,
            None => self.started.clone(),
        };
        let level = logging::level(&config.log).map_err(|error| ConfigError::of(error.to_string()))?;
        let files = TlsFiles::read(&config)?;
        let rules = rules(&config)?;
        let tuning = config.tuning()?;
        let waiting = self.waiting(&config);
        self.tls.use_from_now_on(files);
        self.rules.store(Arc::new(rules));
        self.access.store(Arc::new(Access::of(&config.http)));
        self.engine.set_tuning(tuning).await;
        logging::set_level(level);
        self.in_force.store(Arc::new(config));
        self.note_success();
        Ok(waiting)
    }

    /// What differs from what the daemon was started with, and cannot change while it runs.
    pub(super) fn waiting(&self, new: &Config) -> Vec<&'static str> {
        let old = &self.started;
        let changed = [
            ("node", new.node != old.node),
            ("sip.listen", new.sip.listen != old.sip.listen),
            (
                "sip",
                SipConfig { listen: old.sip.listen.clone(), bans: old.sip.bans.clone(), ..new.sip.clone() }
                    != old.sip,
            ),
            ("media", new.media != old.media),
            ("store", new.store != old.store),
            ("http.listen", new.http.listen != old.http.listen),
            ("http.connections", connections(new) != connections(old)),
            ("log.format", LogConfig { level: old.log.level.clone(), ..new.log.clone() } != old.log),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
    }

    fn note_success(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.reload_success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.metrics.certificate_expiry.reset();
        if let Some((file, at)) = self.tls.expiry() {
            self.metrics.certificate_expiry.with_label_values(&[&*file.to_string_lossy()]).set(at);
        }
    }

    /// Watches the files for ever, and reads everything anew when one has changed and then stayed as it is for a
    /// period: whoever replaces a certificate writes the key a moment later.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut read = self.files.clone();
        let mut last = read.clone();
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = look(&self.config());
            if now != read && now == last {
                self.read_anew().await;
                read.clone_from(&now);
            }
            last = now;
        }
    }
}

fn connections(config: &Config) -> (usize, usize) {
    (config.http.connections, config.http.connections_per_source)
}

fn look(config: &Config) -> Vec<Fingerprint> {
    config.files().into_iter().map(Fingerprint::of).collect()
}

fn rules(config: &Config) -> Result<Rules, StartError> {
    let us_bundle = config.us_bundle().map_err(StartError::Prefixes)?;
    Ok(Rules {
        shape: Shape::of(config),
        us_bundle,
        premium: Arc::new(config.premium_ranges()?),
        on_net: config.on_net_tariff(),
        policy: config.reserve_policy(),
        prices: config.price_list(),
        currency: config.prices.currency.clone(),
        terms: config.terms(),
        longest_absence_days: config.prices.longest_absence_days,
    })
}

/// What changes whenever a file does; nothing for a file that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    file: PathBuf,
    state: Option<(u64, u64, SystemTime)>,
}

impl Fingerprint {
    fn of(file: PathBuf) -> Self {
        let state = std::fs::metadata(&file)
            .and_then(|found| Ok((found.ino(), found.size(), found.modified()?)))
            .ok();
        Self { file, state }
    }
}
