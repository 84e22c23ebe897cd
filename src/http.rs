//! HTTP: the API, metrics, health; and the socket through which the command line speaks to a running daemon.

pub mod api;
mod at_rest;
mod auth;
mod brake;
mod client;
mod connections;
mod doorway;
pub mod local;
mod operator;
mod pace;
mod readers;
mod room;
mod scrape;
mod turns;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use provisioning_store::store::Store;
use sip_core::directory::Directory;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::at_rest::AtRest;
pub use self::auth::Access;
pub use self::brake::Brake;
use self::connections::{Bounded, Source};
use self::doorway::Doorway;
use self::room::Room;
pub use self::scrape::Scrape;
use crate::admission::OnHand;
use crate::carrier_hosts::CarrierHosts;
use crate::config::{Config, HttpConfig};
use crate::engine::EngineHandle;
use crate::metrics::Metrics;
use crate::tariffs::Tariffs;

/// An engine that takes longer than this to answer is not healthy.
const PULSE: Duration = Duration::from_secs(2);
/// The media type of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the daemon says about itself; shared with whoever finds out.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    has_store: AtomicBool,
    is_draining: AtomicBool,
    is_degraded: AtomicBool,
    is_clock_in_doubt: AtomicBool,
}

impl Readiness {
    /// Whether the store answered when it was asked last.
    pub fn set_store(&self, answers: bool) {
        self.0.has_store.store(answers, Ordering::Relaxed);
    }

    /// Whether calls are granted by what is on hand, because the store does not take what is decided.
    pub fn set_degraded(&self, is_degraded: bool) {
        self.0.is_degraded.store(is_degraded, Ordering::Relaxed);
    }

    /// See [`Self::set_degraded`].
    pub fn is_degraded(&self) -> bool {
        self.0.is_degraded.load(Ordering::Relaxed)
    }

    /// Whether nothing that falls due is done, because the clock may be wrong.
    pub fn set_clock_in_doubt(&self, is_in_doubt: bool) {
        self.0.is_clock_in_doubt.store(is_in_doubt, Ordering::Relaxed);
    }

    /// See [`Self::set_clock_in_doubt`].
    pub fn is_clock_in_doubt(&self) -> bool {
        self.0.is_clock_in_doubt.load(Ordering::Relaxed)
    }

    /// The daemon is told to stop.
    pub fn set_draining(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Why new calls should go elsewhere; `None` if there is no reason.
    fn obstacle(&self) -> Option<&'static str> {
        if self.0.is_draining.load(Ordering::Relaxed) {
            return Some("the gateway is shutting down");
        }
        None
    }

    /// What is wrong, though calls are taken.
    fn trouble(&self) -> Option<&'static str> {
        if self.is_degraded() || !self.0.has_store.load(Ordering::Relaxed) {
            return Some("the store does not answer; calls go on, new ones within what is on hand");
        }
        let doubt = "the clock is far past the last time that something could fall due: nothing is renewed or deleted, and \
             profiles whose paid period is over by it cannot call, until an operator confirms it; see sipgw schedule";
        self.is_clock_in_doubt().then_some(doubt)
    }
}

/// What the pages need.
#[derive(Clone)]
pub struct Site {
    /// The engine.
    pub engine: EngineHandle,
    /// What is provisioned.
    pub store: Store,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// What calls are rated by.
    pub tariffs: Arc<ArcSwap<Tariffs>>,
    /// What calls are routed by.
    pub directory: Arc<ArcSwap<Directory>>,
    /// Where carriers are that are known by a name.
    pub hosts: CarrierHosts,
    /// Where credit that is on hand is asked back.
    pub on_hand: OnHand,
    /// Told when provisioning was changed here.
    pub changed: Arc<Notify>,
    /// What the daemon says about itself.
    pub readiness: Readiness,
    /// What is asked of whom; may change while the pages are served.
    pub access: Arc<ArcSwap<Access>>,
    /// Who has guessed too often.
    pub brake: Brake,
}

/// Listens; connections wait until the server runs.
pub async fn bind(config: &HttpConfig) -> std::io::Result<TcpListener> {
    TcpListener::bind(config.listen).await
}

/// Serves these pages until `stop` is cancelled. Gives the address that is listened at.
pub fn serve(
    listener: TcpListener,
    (config, metrics): (&HttpConfig, Metrics),
    access: &Arc<ArcSwap<Access>>,
    pages: Router,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let local = listener.local_addr()?;
    let room = Room::new(config, Arc::clone(access), metrics);
    let doorway = Doorway::new(config, Arc::clone(access));
    let pages = pages.layer(axum::middleware::from_fn_with_state(doorway, doorway::pass));
    let service = pages.into_make_service_with_connect_info::<Source>();
    let server =
        axum::serve(Bounded::new(listener, room), service).with_graceful_shutdown(stop.cancelled_owned());
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok((local, task))
}

/// The API, for whichever way it is asked.
pub(crate) fn api(site: Site) -> Router {
    Router::new().nest(api::BASE, api::router(&site)).with_state(site)
}

/// The API, metrics and health.
pub(crate) fn pages(site: Site, scrape: Scrape) -> Router {
    let api = api(site.clone());
    let metrics = get(metrics)
        .with_state((site.engine.clone(), Arc::new(scrape)))
        .layer(axum::middleware::from_fn_with_state(site.clone(), auth::require_metrics_token));
    Router::new()
        .route("/metrics", metrics)
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .with_state(site)
        .merge(api)
}

async fn metrics(State((engine, scrape)): State<(EngineHandle, Arc<Scrape>)>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], scrape.page(&engine).await).into_response()
}

async fn health(State(site): State<Site>) -> Response {
    match is_alive(&site.engine).await {
        true => (StatusCode::OK, "ok\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n").into_response(),
    }
}

async fn ready(State(site): State<Site>) -> Response {
    let obstacle = match site.readiness.obstacle() {
        None if !is_alive(&site.engine).await => Some("the engine does not answer"),
        obstacle => obstacle,
    };
    match obstacle {
        None => match site.readiness.trouble() {
            None => (StatusCode::OK, "ready\n".to_owned()).into_response(),
            // Elsewhere it would hardly be better: the store is everybody's.
            Some(trouble) => (StatusCode::OK, format!("degraded: {trouble}\n")).into_response(),
        },
        Some(obstacle) => (StatusCode::SERVICE_UNAVAILABLE, format!("{obstacle}\n")).into_response(),
    }
}

async fn is_alive(engine: &EngineHandle) -> bool {
    tokio::time::timeout(PULSE, engine.counts()).await.is_ok_and(|counts| counts.is_some())
}
