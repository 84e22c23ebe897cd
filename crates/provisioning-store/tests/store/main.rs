//! The store's tests in one binary: the rules on maps, then the same on a database.

mod example;
mod oracle;
mod provisioning;
mod recovery;
mod rules;
mod world;
