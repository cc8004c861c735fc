//! However the bytes are cut into reads, the same is read; and nothing panics.
#![no_main]

#[path = "../../tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (cuts, input) = input;
    let cuts: Vec<_> = cuts.into_iter().map(usize::from).collect();
    properties::cuts_change_nothing(input, &cuts);
});
