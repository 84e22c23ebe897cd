//! What comes from the wire and goes onto it, tested from outside: torture messages, properties, digest vectors.

#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

mod allocations;
mod bench;
mod digest;
mod limits;
mod properties;
mod registers;
mod strangers;
mod torture;
