//! The store's tests in one binary: the rules on maps, then the same on a database.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

mod access;
mod example;
mod guard;
mod oracle;
mod outage;
mod provisioning;
mod recovery;
mod rules;
mod world;
