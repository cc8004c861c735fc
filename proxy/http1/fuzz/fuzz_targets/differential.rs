//! Hyper reads what we let through as we read it, as it came and as we write it.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::differential::hyper_agrees(input));
