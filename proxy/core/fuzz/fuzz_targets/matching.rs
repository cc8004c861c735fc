//! The indexes by host and path find what asking every rule finds.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    properties::matching::the_indexes_find_what_asking_all_finds(input);
});
