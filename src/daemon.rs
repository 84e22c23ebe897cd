//! A running gateway: its parts, started in order and stopped in order.

mod desks;
mod reload;
mod turns;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use media_relay::engine::{Engine as Relay, Events};
use provisioning_store::error::StoreError;
use provisioning_store::journal::Journal;
use provisioning_store::store::Store;
use provisioning_store::writer::{Writer, WriterLimits};
use sip_core::directory::Directory;
use sip_core::gateway::{Counts, Gateway};
use sip_core::refusal::Refusal;
use sip_core::settings::Listener;
use sip_core::types::Reply;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::desks::{Desks, Names};
use self::reload::{Parts, Reload};
use crate::admission::{self, Admission, Office, OnHand};
use crate::bindings;
use crate::config::{Config, ConfigError};
use crate::engine::{self, Engine, EngineHandle};
use crate::http::{self, Access, Brake, Readiness, Scrape, Site};
use crate::media::{self, Media};
use crate::metrics::Metrics;
use crate::net::{self, Net, NetError, TlsError};
use crate::notices;
use crate::observe::Observer;
use crate::resolve::{Resolver, SystemDns};
use crate::scheduler::Scheduler;
use crate::storage::{self, Ownership, Purpose};
use crate::watch::Watch;

/// After their BYE, calls are given this long to be acknowledged.
const GOODBYE: Duration = Duration::from_secs(3);
/// Settlements and last messages are given this long to be written.
const FLUSH: Duration = Duration::from_secs(20);
/// How often it is looked whether the last call has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file of excluded prefixes.
    #[error("prices.bundle_excluded_file: {0}")]
    Prefixes(String),
    /// The database or its key, or another gateway that has the database.
    #[error("the store cannot be opened: {0}")]
    Open(#[from] storage::OpenError),
    /// What was decided while the database did not answer, and it does not know yet.
    #[error("the last run's decisions cannot be put into the database: {0}")]
    Recover(#[from] admission::RecoverError),
    /// The database, when it was read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A SIP listener.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The relay.
    #[error("the media relay cannot start: {0}")]
    Media(#[from] media_relay::engine::StartError),
    /// The HTTP listener.
    #[error("http.listen: {address}: {error}")]
    Http {
        /// Where it was to listen.
        address: SocketAddr,
        /// The system's word.
        error: std::io::Error,
    },
    /// The socket for commands.
    #[error("{}: commands cannot be taken: {error}", path.display())]
    Commands {
        /// Where it was to be.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// The DNS configuration of the system.
    #[error("the system's DNS configuration cannot be used: {0}")]
    Dns(String),
    /// No randomness from the system.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A running gateway.
pub struct Daemon {
    /// The configuration, and what takes a changed one.
    reload: Arc<Reload>,
    engine: EngineHandle,
    store: Store,
    /// Keeps another gateway from taking the calls in the store for calls that nobody has.
    ownership: Ownership,
    metrics: Metrics,
    readiness: Readiness,
    directory: Arc<ArcSwap<Directory>>,
    net: Arc<Net>,
    listeners: Vec<Listener>,
    http: SocketAddr,
    /// Dropped to stop the sockets; so is a daemon that failed to start half-way.
    stop_net: DropGuard,
    /// The same for HTTP.
    stop_http: DropGuard,
    /// Tasks that go on for ever; they are cut off at the end.
    watching: Vec<JoinHandle<()>>,
    /// Tasks that end by themselves once the engine has ended and their work is done, in the order to wait for.
    closing: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts every part. Calls are taken as soon as this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let readiness = Readiness::default();
        let (engine, commands) = engine::handle();
        let reload = Arc::new(Reload::new(config.clone(), engine.clone(), metrics.clone())?);
        let Parts { tls, rules, access, config: in_force } = reload.parts();
        let (store, ownership) = storage::open_owned(&config, Purpose::Gateway).await?;
        let (watch, directory) =
            Watch::load(store.clone(), Arc::clone(&rules), metrics.clone(), readiness.clone()).await?;
        let (relay, media_events) = Relay::start(media::relay_config(&config.media))?;
        let resolver = resolver(&metrics)?;
        // Before the first call that comes from one of them.
        watch.hosts().begin(&resolver, &directory).await;

        let (stop_net, stop_http) = (CancellationToken::new(), CancellationToken::new());
        let (guard_net, guard_http) = (stop_net.clone().drop_guard(), stop_http.clone().drop_guard());
        let (inbound_sender, inbound) = mpsc::channel(config.sip.queue);
        let (net, listeners) =
            Net::bind(&config, Arc::clone(&tls), inbound_sender, metrics.clone(), stop_net).await?;
        let net = Arc::new(net);

        // HTTP comes before the engine's task: what can still fail must leave nothing running.
        let scrape = Scrape::new(metrics.clone(), store.clone(), relay.clone(), &watch);
        let site = site(&watch, &store, &engine, (&readiness, &metrics), (in_force, access));
        let doors = Doors::open(&config).await?;
        // Only now: whoever cannot listen must not have touched the books.
        let journal = settle_the_past(&config, &store).await?;
        let scheduler = Scheduler::new(store.clone(), rules, metrics.clone(), readiness.clone());
        notices::tell(&store).await?;
        // Before any call: what fell due while nothing ran decides who may call.
        scheduler.do_due(storage::now()).await?;
        // Nobody is answered before the books are what the last run has left: it would change them in the wrong order.
        let (http, commands_task, http_task) =
            doors.serve(&config, metrics.clone(), &site, scrape, stop_http)?;
        let gateway = gateway(&config, &listeners, directory, &store).await?;

        let names = Names { resolver: Arc::clone(&resolver), carriers: watch.hosts(), tls };
        let staff = Staff::hire(&site, &metrics, journal, (relay, media_events), names);
        let Staff { desk, replies, admission_task, writer_task, silence_task } = staff;
        let (binding_sender, binding_changes) = mpsc::channel(bindings::WAITING);
        let bindings_task =
            tokio::spawn(bindings::keep(store.clone(), binding_changes, metrics.clone(), watch.changed()));
        let observer = Observer::new(metrics.clone(), binding_sender);
        let running = Engine::new(gateway, Arc::clone(&net), inbound, (desk, replies), observer);
        let engine_task = tokio::spawn(running.run(commands));
        let directory = watch.directory();
        let hosts_task = tokio::spawn(watch.hosts().follow(resolver, watch.directory()));
        let watch_task = tokio::spawn(watch.run(engine.clone()));
        let reload_task = tokio::spawn(Arc::clone(&reload).watch());
        let scheduler_task = tokio::spawn(scheduler.run());

        Ok(Self {
            reload,
            engine,
            store,
            ownership,
            metrics,
            readiness,
            directory,
            net,
            listeners,
            http,
            stop_net: guard_net,
            stop_http: guard_http,
            watching: vec![watch_task, hosts_task, reload_task, silence_task, scheduler_task],
            // HTTP is last: a client that does not let go must not keep the others from being waited for.
            closing: vec![engine_task, admission_task, bindings_task, writer_task, commands_task, http_task],
        })
    }

    /// Where it listens, in the order of the configuration, with the ports it got.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Where its HTTP listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Speaks to its engine.
    pub fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What its calls are routed by.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reads the configuration and every file that it names anew, and provisioning and rates with it. What is wrong is
    /// refused as a whole, and what cannot change while calls go on is named in the log.
    pub async fn reload(&self) {
        self.reload.read_anew().await;
    }

    /// Stops: no new calls; those that run may end by themselves for `calls.drain_s`; the rest is ended; all is
    /// settled and written.
    pub async fn stop(self) {
        self.stop_sooner_if(std::future::pending()).await;
    }

    /// Stops; calls that still run when `hurry` completes are ended at once.
    pub async fn stop_sooner_if(self, hurry: impl Future<Output = ()>) {
        tracing::info!("The gateway stops: new calls are refused.");
        self.readiness.set_draining();
        self.metrics.draining.set(1);
        self.engine.refuse_new_calls().await;
        let drain = Duration::from_secs(self.reload.config().calls.drain_s);
        let has_drained = tokio::select! {
            has_drained = self.has_fallen_to_zero(Counts::live_calls, drain) => has_drained,
            () = hurry => false,
        };
        if !has_drained {
            tracing::info!("The calls that still run are ended.");
            self.engine.end_all_calls(Refusal::ShuttingDown).await;
        }
        self.has_fallen_to_zero(|counts| counts.calls, GOODBYE).await;
        drop(self.stop_http);
        self.watching.iter().for_each(JoinHandle::abort);
        self.engine.stop().await;
        let closed = tokio::time::timeout(FLUSH, async {
            for task in self.closing {
                if let Err(error) = task.await {
                    tracing::error!(%error, "A part of the gateway ended badly.");
                }
            }
        });
        if closed.await.is_err() {
            tracing::error!("Not everything was written in time; the next start settles what is missing.");
        }
        drop(self.stop_net);
        self.net.finish(GOODBYE).await;
        // The next start does it otherwise.
        if let Err(error) = self.store.release_on_hand(storage::now()).await {
            tracing::warn!(%error, "What was on hand could not be freed.");
        }
        self.store.close().await;
        // The last of all: what the next gateway finds in the store is final.
        drop(self.ownership);
        tracing::info!("The gateway has stopped.");
    }

    /// Waits until nothing of what `count` counts is left, but no longer than `patience`.
    async fn has_fallen_to_zero(&self, count: impl Fn(&Counts) -> usize, patience: Duration) -> bool {
        let emptied = tokio::time::timeout(patience, async {
            while self.engine.counts().await.is_some_and(|counts| count(&counts) > 0) {
                tokio::time::sleep(LOOK).await;
            }
        });
        emptied.await.is_ok()
    }
}

fn resolver(metrics: &Metrics) -> Result<Arc<Resolver<SystemDns>>, StartError> {
    let dns = SystemDns::new().map_err(|error| StartError::Dns(error.to_string()))?;
    Ok(Resolver::new(dns, metrics.clone()))
}

/// What HTTP and commands see of the gateway.
fn site(
    watch: &Watch,
    store: &Store,
    engine: &EngineHandle,
    (readiness, metrics): (&Readiness, &Metrics),
    (config, access): (Arc<ArcSwap<Config>>, Arc<ArcSwap<Access>>),
) -> Site {
    Site {
        engine: engine.clone(),
        store: store.clone(),
        config,
        tariffs: watch.tariffs(),
        directory: watch.directory(),
        hosts: watch.hosts(),
        on_hand: OnHand::default(),
        changed: watch.changed(),
        readiness: readiness.clone(),
        access,
        brake: Brake::new(metrics.clone()),
    }
}

/// Those who answer the core's questions.
struct Staff {
    desk: Desks,
    replies: mpsc::Receiver<Reply>,
    admission_task: JoinHandle<()>,
    writer_task: JoinHandle<()>,
    silence_task: JoinHandle<()>,
}

impl Staff {
    fn hire(
        site: &Site,
        metrics: &Metrics,
        journal: Journal,
        (relay, media_events): (Relay, Events),
        names: Names,
    ) -> Self {
        let config = site.config.load();
        let (reply_sender, replies) = mpsc::channel(engine::REPLIES);
        let (writer, writer_task) = Writer::start(site.store.clone(), WriterLimits::default());
        let office = Office {
            store: site.store.clone(),
            writer,
            patience: Duration::from_millis(config.store.patience_ms),
            on_hand: config.calls.on_hand.clone(),
            tariffs: Arc::clone(&site.tariffs),
            replies: reply_sender.clone(),
            metrics: metrics.clone(),
            readiness: site.readiness.clone(),
        };
        let (admission, admission_task) = Admission::start(office, journal);
        site.on_hand.ask(&admission);
        let media = Media::new(relay, reply_sender.clone());
        let silence_task = tokio::spawn(media.silence(media_events, site.engine.clone()));
        let desk = Desks::new(admission, media, names, reply_sender);
        Self { desk, replies, admission_task, writer_task, silence_task }
    }
}

/// The sockets of HTTP and of commands: open, so that it is known that they can be, and not yet served.
struct Doors {
    path: PathBuf,
    commands: UnixListener,
    address: SocketAddr,
    listener: TcpListener,
}

impl Doors {
    async fn open(config: &Config) -> Result<Self, StartError> {
        let (path, address) = (storage::socket(config), config.http.listen);
        let commands =
            http::local::bind(&path).map_err(|error| StartError::Commands { path: path.clone(), error })?;
        let listener = http::bind(&config.http).await.map_err(|error| StartError::Http { address, error })?;
        Ok(Self { path, commands, address, listener })
    }

    /// Gives the address at which HTTP listens, and the tasks that serve commands and HTTP.
    fn serve(
        self,
        config: &Config,
        metrics: Metrics,
        site: &Site,
        scrape: Scrape,
        stop: CancellationToken,
    ) -> Result<(SocketAddr, JoinHandle<()>, JoinHandle<()>), StartError> {
        let Self { path, commands, address, listener } = self;
        let pages = http::pages(site.clone(), scrape);
        let commands = http::local::serve(commands, path, pages.clone(), stop.clone());
        let (local, pages) = http::serve(listener, (&config.http, metrics), &site.access, pages, stop)
            .map_err(|error| StartError::Http { address, error })?;
        Ok((local, commands, pages))
    }
}

/// Puts into the database what the last run has decided without it, and then settles the calls that it left behind. Whoever
/// takes the database begins with this. Gives the journal, which is empty.
pub(crate) async fn settle_the_past(config: &Config, store: &Store) -> Result<Journal, StartError> {
    let journal = recover(config, store).await?;
    settle_orphans(store).await?;
    Ok(journal)
}

async fn recover(config: &Config, store: &Store) -> Result<Journal, StartError> {
    let mut journal = storage::journal(config)?;
    let entries = admission::recover(store, &mut journal).await?;
    if entries > 0 {
        tracing::warn!(
            entries,
            "Decisions of the last run, taken while the store did not answer, are in it now."
        );
    }
    Ok(journal)
}

async fn settle_orphans(store: &Store) -> Result<(), StoreError> {
    let orphans = store.settle_orphans(storage::now()).await?;
    if orphans > 0 {
        tracing::warn!(orphans, "Calls of the last run were settled to their last proved second.");
    }
    Ok(())
}

/// The core, with the PBXs that were registered when the last run ended.
async fn gateway(
    config: &Config,
    listeners: &[Listener],
    directory: Arc<Directory>,
    store: &Store,
) -> Result<Gateway, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    let mut settings = config.settings(listeners.to_vec())?;
    let advertised = listeners.iter().map(|listener| listener.advertised_host);
    settings.foreign = advertised.filter(|address| !net::is_ours(*address)).collect();
    let mut gateway = Gateway::new(settings, directory, seed);
    let known = store.load_registrations(storage::now()).await?;
    for binding in bindings::last_known(&known, config.registration.nat_s) {
        gateway.recall_media(&binding);
    }
    for binding in bindings::restored(&known, listeners, config.registration.nat_s) {
        gateway.restore_binding(engine::now(), binding);
    }
    let now = storage::now();
    for proof in store.load_proofs(now).await? {
        let age = Duration::from_secs(u64::try_from(now.unix_s() - proof.at.unix_s()).unwrap_or(0));
        let profile = sip_core::types::ProfileId(proof.profile.0);
        gateway.restore_proof(engine::now(), profile, proof.address, age);
    }
    Ok(gateway)
}

#[cfg(test)]
mod tests;
