//! SIP signalling as pure functions of state, input and time: registration, IP authentication, INVITE routing, Request-URI insertion.

pub mod message;
pub mod auth;
pub mod guard;
pub mod sdp;
pub mod types;
pub mod refusal;
