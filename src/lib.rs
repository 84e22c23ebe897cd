//! The sipgw daemon: joins signalling, media and accounting.
//!
//! The three crates below do not know each other; everything that carries something from one to another is here.
//! [`Daemon::start`] is the composition root, and what tests start a gateway with.

pub mod admission;
pub mod bindings;
pub mod carrier_hosts;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod directory;
pub mod engine;
pub mod http;
pub mod logging;
pub mod media;
pub mod metrics;
pub mod net;
pub mod notices;
mod objects;
pub mod observe;
pub mod rehearsal;
pub mod resolve;
pub mod scheduler;
pub mod storage;
pub mod tariffs;
pub mod text;
mod throttle;
pub mod watch;

pub use config::Config;
pub use daemon::{Daemon, StartError};
