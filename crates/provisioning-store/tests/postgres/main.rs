//! The store's tests once more, on PostgreSQL: what the rules say is the same there, word by word.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../store/suite.rs"]
mod suite;

mod databases;
mod moving;

pub(crate) use suite::{both, follower, server, world};
