//! The bytes choose a generated history and what is changed in it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_replay_tests::fuzz::mutated(bytes));
