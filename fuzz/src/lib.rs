//! The properties that hold for any octets: nothing panics, and the invariants that each module names are kept.
//!
//! Each module has one function, `check`. The binaries under `targets/` call it with what libFuzzer makes up;
//! `tests/replay.rs` calls it with the seeds and the corpus that earlier fuzzing left, so both need no fuzzer.

#[cfg(feature = "configuration")]
pub mod configuration;
pub mod digest;
pub mod framing;
pub mod message;
pub mod packet;
pub mod sdp;
