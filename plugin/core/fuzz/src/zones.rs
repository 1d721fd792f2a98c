//! Any text is a zone, or none; the windows of a zone follow each other without gap or overlap. The first five bytes are a
//! point in time, in seconds.

use tollgate_core::limit::{Span, Window, Zone};
use tollgate_core::time::Timestamp;

pub(crate) fn run(bytes: &[u8]) {
    let Some(([a, b, c, d, e], name)) = bytes.split_first_chunk() else { return };
    let at = Timestamp::from_seconds(u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]));
    let Ok(name) = std::str::from_utf8(name) else { return };
    let Some(zone) = Zone::parse(name) else {
        let meant = Zone::meant(name);
        assert!(meant.is_none_or(|meant| Zone::parse(meant).is_some()));
        return;
    };
    // Before the first window of 1970 there is nothing.
    let at = at.plus_millis(40 * 24 * 60 * 60 * 1_000);
    for span in [Span::Second, Span::Minute, Span::Hour, Span::Day, Span::Week, Span::Month] {
        let window = Window::Fixed(span, zone);
        let (start, end) = (window.start(at), window.end(at).expect("an end"));
        assert!(start <= at && at < end);
        assert_eq!((window.start(start), window.start(end), window.end(start)), (start, end, Some(end)));
    }
}
