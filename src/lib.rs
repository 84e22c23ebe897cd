//! The sipgw daemon: joins signalling, media and accounting.

pub mod config;
pub mod metrics;
pub mod net;
