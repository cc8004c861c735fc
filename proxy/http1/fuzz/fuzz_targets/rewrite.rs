//! What we write of a request reads as that request.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::what_is_written_reads_the_same(input));
