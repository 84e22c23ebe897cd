//! SIP signalling as pure functions of state, input and time: registration, IP authentication, INVITE routing, Request-URI insertion.

pub mod message;
