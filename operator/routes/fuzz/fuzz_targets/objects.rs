//! No object blocks another, and none makes the compiler panic.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::no_object_blocks_another(input));
