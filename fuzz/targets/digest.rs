//! Fuzzes the property in `src/digest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::digest::check(octets));
