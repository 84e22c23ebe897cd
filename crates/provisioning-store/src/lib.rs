//! Channel limits, credit and minute bundles per profile, kept in a database.

pub mod lifecycle;
pub mod model;
pub mod money;
pub mod rating;
pub mod secrets;
