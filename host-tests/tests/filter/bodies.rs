//! Request bodies that the filter cannot have: on disk, or too large. What `failure_mode` says is done.

use serde_json::Value;
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Outcome, Profile, ResponseHead, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{event, events_logged, has_metrics, metric, one, start};

const OPEN: &str = "{}";
const CLOSED: &str = r#"{"failure_mode": "closed"}"#;

/// A call whose body has been made `length` bytes long.
fn padded(gateway: &Gateway, length: usize) -> Outcome {
    let exchange = one(Dialect::OpenAiChat, true);
    let mut request = exchange.request.clone();
    request.resize(length.max(request.len()), b' ');
    let stream = gateway.worker(0).open(exchange.request_head());
    stream.request_chunks(&request, 16 << 10);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    let outcome = stream.finish();
    if let Some(upstream) = outcome.upstream.as_ref().filter(|upstream| upstream.complete) {
        assert_eq!(upstream.body, request, "what is forwarded is forwarded whole");
    }
    outcome
}

fn check(profile: Profile, gateway: &Gateway, outcome: &Outcome, reason: &str, is_forwarded: bool) {
    assert_eq!((outcome.trap.as_ref(), events_logged(gateway)), (None, 1), "{profile:?}");
    let event = event(profile, outcome);
    assert_eq!(event["unmetered_reason"], reason, "{profile:?} {event:#}");
    if has_metrics(profile) {
        assert_eq!(metric(gateway, metric::UNMETERED, &[("reason", reason)]), Some(1), "{profile:?}");
    }
    if is_forwarded {
        assert_eq!((outcome.status(), &event["outcome"]), (200, &Value::from("complete")), "{profile:?}");
        assert_eq!(event["usage_source"], "reported", "the response still tells");
    } else {
        assert_eq!((outcome.status(), &event["outcome"]), (400, &Value::from("denied")), "{profile:?}");
        let upstream = outcome.upstream.as_ref();
        assert!(upstream.is_none_or(|upstream| upstream.body.is_empty() && !upstream.complete), "{profile:?}");
    }
}

#[test]
fn a_body_that_kong_spilled_to_disk_is_never_taken_for_an_empty_one() {
    for (config, is_forwarded) in [(OPEN, true), (CLOSED, false)] {
        let settings = replay::settings(Profile::Kong, config);
        let gateway = start(Settings { client_body_buffer_size: 8 << 10, ..settings });
        check(Profile::Kong, &gateway, &padded(&gateway, 12_000), "request_unreadable", is_forwarded);
    }
}

#[test]
fn a_body_above_the_configured_maximum_is_not_read() {
    for profile in Profile::ALL {
        for (config, is_forwarded) in [
            (r#"{"max_request_bytes": 5000}"#, true),
            (r#"{"max_request_bytes": 5000, "failure_mode": "closed"}"#, false),
        ] {
            let gateway = start(replay::settings(profile, config));
            check(profile, &gateway, &padded(&gateway, 200_000), "request_too_large", is_forwarded);
        }
    }
}

#[test]
fn a_body_of_the_maximum_is_read() {
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, r#"{"max_request_bytes": 200000}"#));
        let outcome = padded(&gateway, 200_000);
        assert_eq!(event(profile, &outcome)["unmetered_reason"], Value::Null, "{profile:?}");
    }
}

#[test]
fn a_body_that_is_no_request_is_forwarded_or_refused() {
    let exchange = one(Dialect::Anthropic, false);
    for profile in Profile::ALL {
        for (config, is_forwarded) in [(OPEN, true), (CLOSED, false)] {
            let gateway = start(replay::settings(profile, config));
            let stream = gateway.worker(0).open(exchange.request_head());
            stream.request_body("model=claude&max_tokens=10", true);
            stream.respond(exchange.response_head()).response_body(&exchange.response, true);
            check(profile, &gateway, &stream.finish(), "request_malformed", is_forwarded);
        }
    }
}

#[test]
fn a_call_without_any_body_is_an_event_too() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, OPEN));
        let stream = gateway.worker(0).open(exchange.request_head().without_body());
        stream.respond(ResponseHead::json(400, 2)).response_body("{}", true);
        let outcome = stream.finish();
        assert_eq!((outcome.status(), outcome.trap.as_ref(), events_logged(&gateway)), (400, None, 1), "{profile:?}");
        let event = event(profile, &outcome);
        assert_eq!(event["outcome"], "upstream_error", "{profile:?}");
        assert_eq!(event["unmetered_reason"], "request_malformed", "{profile:?}");
    }
}
