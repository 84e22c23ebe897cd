//! The store's tests in one binary: the rules on maps, then the same on a database.

mod rules;
mod world;
