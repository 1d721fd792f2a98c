//! A call beyond a limit is answered in the provider's place, in the provider's words.

use serde_json::Value;
use tollgate_core::names::{header, metric};
use tollgate_host::gateway::{Gateway, Outcome, Profile, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{Exchange, event, events_logged, gateway, good, has_metrics, metric, one, start};

const LIMIT: &str = r#""limits": [{"id": "small-only", "measure": "input_tokens", "limit": 3}]"#;

fn limited(profile: Profile) -> Gateway {
    gateway(profile, &format!("{{{LIMIT}}}"))
}

fn holding() -> Gateway {
    let settings = replay::settings(Profile::Envoy, &format!(r#"{{"hold_headers": true, {LIMIT}}}"#));
    start(Settings { allow_on_headers_stop_iteration: true, ..settings })
}

/// Sends a call in small pieces, which must be refused, and looks at everything the refusal leaves behind.
fn check(profile: Profile, gateway: &Gateway, exchange: &Exchange) -> Outcome {
    let stream = gateway.worker(0).open(exchange.request_head());
    stream.request_chunks(&exchange.request, 61);
    let outcome = stream.finish();
    assert_eq!((outcome.status(), outcome.trap.as_ref()), (429, None), "{profile:?}");
    let reply = outcome.local_reply.clone().unwrap();
    assert_eq!(reply.headers.text("content-type").as_deref(), Some("application/json"));
    assert_eq!(reply.headers.text(header::SHOULD_RETRY).as_deref(), Some("false"));
    assert_eq!(reply.headers.text(header::LIMIT).as_deref(), Some("small-only"));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert!(body["error"]["message"].as_str().unwrap().contains("small-only"), "{body}");
    match exchange.dialect {
        Dialect::Anthropic => assert_eq!(body["type"], "error"),
        Dialect::OpenAiChat | Dialect::OpenAiResponses => assert_eq!(body["error"]["code"], "limit_exceeded"),
    }
    let event = event(profile, &outcome);
    assert_eq!((&event["outcome"], &event["status"]), (&Value::from("denied"), &Value::from(429)));
    assert_eq!((&event["limits"][0]["id"], &event["cost_usd"]), (&Value::from("small-only"), &Value::from("0")));
    assert_eq!(events_logged(gateway), 1, "{profile:?}");
    if has_metrics(profile) {
        let denied = [("limit", "small-only"), ("action", "deny")];
        assert_eq!(metric(gateway, metric::LIMITED, &denied), Some(1));
        assert_eq!(metric(gateway, metric::REQUESTS, &[("outcome", "denied")]), Some(1));
        assert_eq!(metric(gateway, metric::TOKENS, &[]), Some(0), "nothing was consumed");
    }
    outcome
}

#[test]
fn a_refused_call_reaches_the_upstream_without_its_body_on_envoy() {
    for exchange in good() {
        let upstream = check(Profile::Envoy, &limited(Profile::Envoy), exchange).upstream.unwrap();
        assert_eq!((upstream.body.len(), upstream.complete), (0, false), "an aborted request");
    }
}

#[test]
fn a_refused_call_never_reaches_the_upstream_where_headers_are_held_and_on_kong_and_apisix() {
    for exchange in good() {
        assert_eq!(check(Profile::Envoy, &holding(), exchange).upstream, None);
        for profile in [Profile::Kong, Profile::Apisix] {
            assert_eq!(check(profile, &limited(profile), exchange).upstream, None, "{profile:?}");
        }
    }
}

#[test]
fn held_headers_change_nothing_for_a_call_that_passes() {
    let settings = replay::settings(Profile::Envoy, r#"{"hold_headers": true}"#);
    let gateway = start(Settings { allow_on_headers_stop_iteration: true, ..settings });
    for exchange in good() {
        let outcome = super::support::pass(&gateway, exchange, 61);
        let downstream = outcome.downstream.as_ref().unwrap();
        assert_eq!((downstream.complete, &downstream.body), (true, &exchange.response));
        assert_eq!(event(Profile::Envoy, &outcome), super::support::native(exchange, "{}"));
    }
}

#[test]
fn a_limit_that_only_observes_refuses_nothing_and_says_so() {
    let config = r#"{"limits": [{"id": "watch", "limit": 3, "action": "observe"}]}"#;
    let exchange = one(Dialect::OpenAiResponses, false);
    for profile in Profile::ALL {
        let gateway = gateway(profile, config);
        let outcome = super::support::pass(&gateway, exchange, 61);
        assert_eq!(outcome.status(), 200);
        assert_eq!(event(profile, &outcome)["limits"][0]["standing"], "exceeded");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::LIMITED, &[("limit", "watch"), ("action", "observe")]), Some(1));
        }
    }
}

#[test]
fn what_arrives_after_a_refusal_is_not_metered_again() {
    for profile in Profile::ALL {
        let gateway = limited(profile);
        let exchange = one(Dialect::OpenAiChat, true);
        let stream = gateway.worker(0).open(exchange.request_head());
        stream.request_body(&exchange.request, true);
        stream.respond(exchange.response_head()).response_body(&exchange.response, true).client_gone();
        assert_eq!((stream.finish().status(), events_logged(&gateway)), (429, 1), "{profile:?}");
    }
}
