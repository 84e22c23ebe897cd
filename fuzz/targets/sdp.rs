//! Fuzzes the property in `src/sdp.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::sdp::check(octets));
