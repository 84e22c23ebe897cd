//! Channel limits, credit and minute bundles per profile, kept in a database.

pub mod cdr;
pub mod directory;
pub mod error;
pub mod ledger;
pub mod lifecycle;
pub mod memory;
pub mod model;
pub mod money;
pub mod rating;
pub mod registrations;
pub mod reports;
pub mod secrets;
mod sql;
pub mod store;
pub mod writer;
