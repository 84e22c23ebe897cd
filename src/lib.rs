//! The sipgw daemon: joins signalling, media and accounting.

pub mod config;
