//! The crate's tests from outside, in one binary: linking is dearer than running them.

mod engine;
mod srtp;
