//! Waiting for something that another process or thread does: [`until`] polls, and gives up after a stated time.
//!
//! Must not know: what it waits for.

use std::time::{Duration, Instant};

/// Asks `look` until it has an answer; `None` when `limit` has passed without one.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
