//! A header of the PROXY protocol is the same whole and in pieces, and nothing panics.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::proxied::a_header_is_the_same_in_pieces(input));
