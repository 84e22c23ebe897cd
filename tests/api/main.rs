//! The HTTP API of a running gateway, spoken to over its socket: stories of tokens, money and mistakes, and a fuzzer that
//! reads the API's own description.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

mod business;
mod description;
mod doors;
mod fuzz;
mod generator;
mod house;
mod registrations;
mod shapes;
mod stories;
mod tenancy;
mod tenant;
mod terms;
mod trust;
mod versions;
