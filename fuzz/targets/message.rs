//! Fuzzes the property in `src/message.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipgw_fuzz::message::check(octets));
