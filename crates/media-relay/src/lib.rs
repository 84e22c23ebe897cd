//! Relays RTP and SRTP between two sides of a call.
#![forbid(unsafe_code)]

pub mod engine;
pub mod packet;
pub mod ports;
pub mod sdes;
pub mod session;
pub mod srtp;
