//! Calls that a cache in the gateway served: nothing was consumed, and what was avoided is said.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

use tollgate_core::config::Config;
use tollgate_core::event::{Event, UsageSource};
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;

const ANSWER: &str = r#"{"id":"1","model":"gpt-4o-mini","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":1000,"completion_tokens":1000,"total_tokens":2000}}"#;

fn event(config: &str, header: (&str, &str), status: u16, answer: &str) -> Event {
    let now = Timestamp::parse("2026-11-21").unwrap();
    let mut meter = Meter::new(Config::parse(config.as_bytes()).unwrap(), [1, 2]);
    let head =
        RequestHead { method: "POST", path: "/v1/chat/completions", host: "api.openai.com", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), now).unwrap();
    meter.admit(&mut call, Body::Whole(br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}"#));
    let headers = [("content-type", "application/json"), header];
    meter.respond(&mut call, &ResponseHead { status, headers: Headers::new(&headers) });
    meter.read(&mut call, answer.as_bytes(), now);
    meter.end(call, Ending::Complete, now)
}

#[test]
fn a_call_that_a_response_cache_served_costs_nothing_and_says_what_was_avoided() {
    let hit = event("{}", ("x-cache-status", "Hit"), 200, ANSWER);
    assert_eq!((hit.cost_usd, hit.input_tokens, hit.output_tokens), (Some(Usd::ZERO), Some(0), Some(0)));
    assert_eq!((hit.usage_source, hit.sighting.is_none()), (UsageSource::None, true));
    let cache = hit.response_cache.unwrap();
    assert_eq!(cache.served_by.as_deref(), Some("x-cache-status"));
    assert_eq!(cache.avoided_usd, event("{}", ("x-cache-status", "Miss"), 200, ANSWER).cost_usd);
    assert!(cache.avoided_usd.unwrap() > Usd::ZERO);
}

#[test]
fn what_a_hit_is_called_is_the_operators_to_say() {
    let config = r#"{"response_cache_headers": {"x-answered-from": "memory"}}"#;
    assert!(event(config, ("x-answered-from", "memory"), 200, ANSWER).response_cache.is_some());
    for header in [("x-answered-from", "model"), ("x-cache-status", "hit")] {
        let event = event(config, header, 200, ANSWER);
        assert!(event.response_cache.is_none() && event.cost_usd.unwrap() > Usd::ZERO, "{header:?}");
    }
}

#[test]
fn an_error_avoids_nothing() {
    let error = event("{}", ("x-cache-status", "hit"), 500, r#"{"error":{"message":"no"}}"#);
    assert_eq!((error.response_cache, error.cost_usd), (None, Some(Usd::ZERO)));
}
