//! Runs one target under libFuzzer: the one that the program is named after.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_core_fuzz::run(env!("CARGO_BIN_NAME"), bytes));
