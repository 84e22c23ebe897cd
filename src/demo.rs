//! The demonstration.

mod agent;
