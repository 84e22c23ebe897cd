//! The sipgw daemon: joins signalling, media and accounting.

pub mod config;
pub mod engine;
pub mod logging;
pub mod metrics;
pub mod net;
pub mod observe;
pub mod resolve;
