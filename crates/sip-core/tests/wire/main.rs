//! What comes from the wire and goes onto it, tested from outside: torture messages, properties, digest vectors.

mod allocations;
mod digest;
mod properties;
mod torture;
