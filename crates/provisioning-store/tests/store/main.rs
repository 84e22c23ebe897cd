//! The store's tests in one binary: the rules on maps, then the same on a database.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

mod access;
mod both;
mod example;
mod guard;
mod lifecycle;
mod numbers;
mod oracle;
mod outage;
mod payments;
mod people;
mod provisioning;
mod recovery;
mod reports;
mod rules;
mod world;
mod years;
