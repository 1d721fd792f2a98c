//! Any bytes are a configuration, or refused with mistakes that each have a path and a hint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::config::Config;

fuzz_target!(|bytes: &[u8]| {
    if let Err(mistakes) = Config::parse(bytes) {
        assert!(!mistakes.is_empty());
        assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
    }
});
