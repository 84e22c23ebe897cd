//! Fuzzes the property in `src/configuration.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::configuration::check(octets));
