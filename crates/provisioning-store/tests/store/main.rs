//! The store's tests: the rules on maps, then the same on SQLite. On PostgreSQL they are in `tests/postgres`.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

mod files;
mod hundreds;
mod rules;
#[path = "suite.rs"]
mod suite;

pub(crate) use suite::{both, follower, server, world, years};
