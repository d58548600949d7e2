//! The bytes are events, one a line.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_replay_tests::fuzz::lines(bytes));
