//! What is asked of every database: the rules on it, and the oracle on maps beside it.

mod access;
mod addresses;
mod attempts;
pub(crate) mod both;
mod example;
pub(crate) mod follower;
mod guard;
mod lifecycle;
mod migrations;
mod numbers;
mod oracle;
mod outage;
mod payments;
mod people;
mod provisioning;
mod quotas;
mod recovery;
mod reports;
pub(crate) mod server;
pub(crate) mod world;
pub(crate) mod years;
