//! Any bytes are a configuration, or refused with mistakes that each have a path and a hint.

use tollgate_core::config::Config;

pub(crate) fn run(bytes: &[u8]) {
    if let Err(mistakes) = Config::parse(bytes) {
        assert!(!mistakes.is_empty());
        assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
    }
}
