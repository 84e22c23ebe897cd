//! The API over a database that no gateway runs on: commands are obeyed by the same handlers, in their own process.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use provisioning_store::store::Store;
use sip_core::directory::Directory;
use tower::ServiceExt;

use super::operator::Operator;
use super::{Access, Brake, Readiness, Site, api};
use crate::admission::OnHand;
use crate::carrier_hosts::CarrierHosts;
use crate::config::Config;
use crate::directory::{self, Shape};
use crate::metrics::Metrics;
use crate::storage::{self, Ownership, Purpose};
use crate::tariffs::{PremiumRule, Tariffs};
use crate::{StartError, daemon, engine};

/// A database that this process has for itself for a moment.
pub struct AtRest {
    router: Router,
    site: Site,
    operator: Operator,
    /// Keeps a gateway from starting meanwhile.
    ownership: Ownership,
}

impl AtRest {
    /// Takes the database, makes it if it is not there, and brings its tables up to date.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let us_bundle = config.us_bundle().map_err(StartError::Prefixes)?;
        let tariffs = Tariffs::new(us_bundle, config.on_net_tariff());
        let (store, ownership) = storage::open_owned(config, Purpose::Command).await?;
        drop(daemon::settle_the_past(config, &store).await?);
        // Its other end is gone: an engine that has stopped.
        let (engine, _) = engine::handle();
        let readiness = Readiness::default();
        readiness.set_store(true);
        let site = Site {
            engine,
            store,
            config: Arc::new(ArcSwap::from_pointee(config.clone())),
            tariffs: Arc::new(ArcSwap::from_pointee(tariffs)),
            directory: Arc::new(ArcSwap::from_pointee(Directory::new())),
            hosts: CarrierHosts::default(),
            on_hand: OnHand::default(),
            changed: Arc::default(),
            readiness,
            access: Arc::new(ArcSwap::from_pointee(Access::of(&config.http))),
            brake: Brake::new(Metrics::new()),
        };
        Ok(Self { router: api(site.clone()), site, operator: Operator::of_this_process(), ownership })
    }

    /// Loads what calls are routed and rated by, for requests that ask about calls; a running gateway has it at hand.
    pub async fn learn(&self) -> Result<(), StartError> {
        let Site { store, config, .. } = &self.site;
        let config = config.load();
        let rows = store.load_directory().await?;
        let rates = store.rate_book(storage::now()).await?;
        let us_bundle = self.site.tariffs.load().us_bundle.clone();
        let premium = PremiumRule {
            ranges: Arc::new(config.premium_ranges()?),
            by_default: config.reserve_policy().guard.premium,
        };
        let tariffs = Tariffs::new(us_bundle, config.on_net_tariff()).with_premium(premium);
        let tariffs = tariffs.with_rates(rates).with(&rows);
        self.site.tariffs.store(Arc::new(tariffs));
        let directory = directory::build(&Directory::new(), &rows, &Shape::of(&config));
        self.site.directory.store(Arc::new(directory));
        Ok(())
    }

    /// Answers a request as a running gateway would.
    pub async fn answer(&self, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(ConnectInfo(self.operator.clone()));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Lets go of the database.
    pub async fn close(self) {
        let Self { router, site, ownership, .. } = self;
        drop(router);
        let store: Store = site.store;
        store.close().await;
        drop(ownership);
    }
}
