//! SIP signalling as pure functions of state, input and time: registration, IP authentication, INVITE routing,
//! Request-URI insertion.
//!
//! - [`gateway`]: the whole as one state machine; begin reading here
//! - [`types`], [`settings`], [`limits`], [`directory`]: the words it exchanges with its surroundings
//! - [`refusal`]: why something is refused, in one table
//! - [`number`]: telephone numbers, read and written
//! - [`auth`], [`guard`], [`bans`]: who may speak
//! - [`message`], [`sdp`]: octets read and written
//!
//! Inside, downwards only: `call` -> `dialog`, `registrar`, `route` -> `transaction` -> `message`.
//!
//! This crate opens no socket, reads no clock, starts no task and draws no randomness of its own: datagrams, the
//! present moment and a seed come in as arguments, so a run can be replayed to the letter. It knows no money and
//! touches no media; it asks others about them (see [`types::Question`]).

pub mod auth;
mod authenticator;
pub mod bans;
mod breaker;
mod call;
mod call_rates;
mod caller;
mod certified;
mod circle;
mod dialog;
pub mod directory;
pub mod gateway;
pub mod guard;
mod history;
pub mod limits;
pub mod load;
pub mod makes;
pub mod message;
pub mod number;
mod outbox;
mod owner;
mod privacy;
pub mod refusal;
mod register;
mod registrar;
pub mod rehearsal;
mod request;
mod respond;
mod rng;
mod route;
pub mod sdp;
pub mod settings;
mod stateless;
mod timers;
mod transaction;
pub mod types;
mod unopened;

pub use directory::Directory;
pub use gateway::{Counts, Gateway, LiveCall, Stage};
pub use registrar::RefusedRegistration;
pub use settings::Settings;
