//! Any lines are the head of a request: path, host, then `name: value` a line. Whoever it says it is from, its event can be
//! told.

use std::sync::LazyLock;
use tollgate_core::config::Config;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::time::Timestamp;
use tollgate_core::trace::SpanContext;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let config = r#"{"limits": [{"id": "a", "per": "day", "limit": 1, "key": ["team", "api_key"]}]}"#;
    Config::parse(config.as_bytes()).expect("a configuration")
});

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let (path, host) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let headers = Headers::new(&headers);
    let span = SpanContext::new(headers.get("traceparent"), [1, 2, 3]);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (32, 16));
    let now = Timestamp::from_seconds(1_790_000_040);
    let mut meter = Meter::new(CONFIG.clone(), [1, 2]);
    for method in ["POST", "GET"] {
        let head = RequestHead { method, path, host, headers, ..RequestHead::default() };
        let Some(mut call) = meter.open(&head, String::new(), now) else { continue };
        meter.admit(&mut call, Body::Whole(b"{}"));
        meter.respond(&mut call, &ResponseHead { status: 200, headers });
        let event = meter.end(call, Ending::Complete, now);
        meter.measure(&event);
        serde_json::to_string(&event).expect("an event is JSON");
    }
}
