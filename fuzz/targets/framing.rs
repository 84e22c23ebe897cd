//! Fuzzes the property in `src/framing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::framing::check(octets));
