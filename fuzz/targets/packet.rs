//! Fuzzes the property in `src/packet.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::packet::check(octets));
