//! Whatever a config server sends, the proxy takes what it can serve and refuses the rest.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::stream::what_is_taken_can_be_served(input));
