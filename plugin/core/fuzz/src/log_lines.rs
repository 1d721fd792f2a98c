//! Any line of a log holds an event, or none, or what begins like one.

use tollgate_core::logged;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    if let Ok(Some(event)) = logged::event(line) {
        assert!(event.starts_with('{'), "{event}");
    }
}
