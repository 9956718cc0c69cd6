//! cargo-fuzz on a file of lessons, one JSON object a line, through the entry that the tests in `tests/it/fuzz.rs` use.
//!
//! Nothing is asserted here: the entry panics where a reader did.

#![no_main]

#[allow(dead_code, reason = "each target uses one of the entries")]
#[path = "../../tests/it/fuzz/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    entries::lessons(bytes);
});
