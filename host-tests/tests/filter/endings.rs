//! However a call ends, it gives exactly one event, and the event says how.

use serde_json::Value;
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Headers, Outcome, Profile, Stream};
use tollgate_host::replay::event_of;
use tollgate_host::standin::Dialect;

use super::support::{Exchange, ask, events_logged, exchanges, gateway, has_metrics, last_event, metric, one, pass};

/// What each gateway lets the filter know of one ending: Envoy, Kong, APISIX.
type Known = [&'static str; 3];

/// Drives a call to its end on every gateway; one event, of the expected outcome, in log, access log and metrics.
fn check(expected: Known, drive: impl Fn(&Gateway) -> Outcome) -> Vec<Value> {
    let ended = Profile::ALL.into_iter().zip(expected).map(|(profile, expected)| {
        let gateway = gateway(profile, "{}");
        let outcome = drive(&gateway);
        assert_eq!(outcome.trap, None, "{profile:?}");
        assert_eq!(events_logged(&gateway), 1, "{profile:?}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::REQUESTS, &[]), Some(1), "{profile:?}");
            assert_eq!(metric(&gateway, metric::REQUESTS, &[("outcome", expected)]), Some(1), "{profile:?}");
            assert_eq!(metric(&gateway, metric::HOST_ERRORS, &[]), None, "{profile:?}");
        }
        // Kong and APISIX tell that a call broke off when their access logs are written, so only the log has its end.
        let ended = event_of(profile, &outcome).filter(|event| event["outcome"] != "in_flight");
        let event = ended.unwrap_or_else(|| last_event(&gateway));
        assert_eq!(event["outcome"], expected, "{profile:?} {event:#}");
        event
    });
    ended.collect()
}

/// A streamed call of which half the answer has arrived.
fn halfway(gateway: &Gateway, exchange: &Exchange) -> Stream {
    let stream = ask(gateway, exchange);
    stream.respond(exchange.response_head()).response_body(&exchange.response[..exchange.response.len() / 2], false);
    stream
}

fn streamed() -> &'static Exchange {
    one(Dialect::OpenAiChat, true)
}

fn mishap(name: &str) -> &'static Exchange {
    exchanges().iter().find(|exchange| exchange.stream && exchange.mishap == Some(name)).unwrap()
}

#[test]
fn a_whole_answer_is_complete() {
    for event in check(["complete"; 3], |gateway| pass(gateway, streamed(), 61)) {
        assert_eq!(event["usage_source"], "reported");
    }
}

#[test]
fn an_answer_that_ends_early_is_truncated_and_its_output_is_counted() {
    for event in check(["truncated"; 3], |gateway| pass(gateway, mishap("truncated"), 61)) {
        assert_ne!(event["usage_source"], "reported");
        assert!(event["output_tokens"].as_u64() > Some(0), "{event:#}");
    }
}

#[test]
fn an_error_status_and_an_error_inside_a_stream_are_errors_of_the_upstream() {
    for event in check(["upstream_error"; 3], |gateway| pass(gateway, mishap("status-429"), 61)) {
        assert_eq!((&event["status"], &event["cost_usd"]), (&Value::from(429), &Value::from("0")));
    }
    for event in check(["upstream_error"; 3], |gateway| pass(gateway, mishap("error-event"), 61)) {
        assert_eq!(event["status"], 200);
        assert!(event["output_tokens"].as_u64() > Some(0), "what was delivered before: {event:#}");
    }
}

#[test]
fn an_upstream_that_resets_in_the_middle_is_charged_for_what_it_delivered() {
    let reset = |gateway: &Gateway| {
        let stream = halfway(gateway, streamed());
        stream.upstream_reset();
        stream.finish()
    };
    for event in check(["upstream_reset", "truncated", "client_gone"], reset) {
        assert!(event["input_tokens"].as_u64() > Some(0) && event["output_tokens"].as_u64() > Some(0), "{event:#}");
    }
}

#[test]
fn an_upstream_that_resets_before_it_answers_leaves_usage_unknown_where_the_gateway_tells() {
    let reset = |gateway: &Gateway| {
        let stream = ask(gateway, streamed());
        stream.upstream_reset();
        stream.finish()
    };
    // Kong and APISIX answer with 502 like an upstream would.
    let events = check(["upstream_reset", "upstream_error", "upstream_error"], reset);
    assert_eq!(
        (&events[0]["status"], &events[0]["unmetered_reason"]),
        (&Value::from(503), &Value::from("no_response"))
    );
    assert_eq!(events[0]["cost_usd"], Value::Null, "the provider may have worked: {:#}", events[0]);
}

#[test]
fn a_client_that_leaves_before_the_answer_is_charged_for_its_input() {
    let leave = |gateway: &Gateway| {
        let stream = ask(gateway, streamed());
        stream.client_gone();
        stream.finish()
    };
    for event in check(["client_gone"; 3], leave) {
        assert_eq!((&event["status"], &event["output_tokens"]), (&Value::Null, &Value::from(0)), "{event:#}");
        assert!(event["input_tokens"].as_u64() > Some(0));
    }
}

#[test]
fn a_client_that_leaves_before_its_body_is_complete_has_an_event_too() {
    let leave = |gateway: &Gateway| {
        let stream = gateway.worker(0).open(streamed().request_head());
        stream.request_body(&streamed().request[..20], false).client_gone();
        stream.finish()
    };
    check(["client_gone"; 3], leave);
}

#[test]
fn a_client_that_leaves_after_the_headers_or_in_the_middle_is_charged_for_what_it_got() {
    let after_headers = |gateway: &Gateway| {
        let stream = ask(gateway, streamed());
        stream.respond(streamed().response_head()).client_gone();
        stream.finish()
    };
    check(["client_gone", "complete", "client_gone"], after_headers);
    let in_the_middle = |gateway: &Gateway| {
        let stream = halfway(gateway, streamed());
        stream.client_gone();
        stream.finish()
    };
    for event in check(["client_gone", "truncated", "client_gone"], in_the_middle) {
        assert!(event["output_tokens"].as_u64() > Some(0), "{event:#}");
    }
}

#[test]
fn a_client_that_leaves_after_the_last_byte_had_a_complete_call() {
    let leave = |gateway: &Gateway| {
        let exchange = one(Dialect::OpenAiChat, true);
        let stream = ask(gateway, exchange);
        stream.respond(exchange.response_head()).response_body(&exchange.response, false).client_gone();
        stream.finish()
    };
    check(["complete"; 3], leave);
}

#[test]
fn an_answer_of_the_gateway_itself_costs_nothing() {
    let gateway = gateway(Profile::Envoy, "{}");
    let stream = gateway.worker(0).open(streamed().request_head());
    let too_large = vec![b' '; 17 << 20];
    stream.request_body(&too_large, false);
    let outcome = stream.finish();
    assert_eq!((outcome.status(), outcome.trap.as_ref(), events_logged(&gateway)), (413, None, 1));
    let event = event_of(Profile::Envoy, &outcome).unwrap();
    assert_eq!((&event["outcome"], &event["cost_usd"]), (&Value::from("local_reply"), &Value::from("0")));
}

#[test]
fn trailers_end_requests_and_responses_as_well_as_bodies_do() {
    let trailing = |gateway: &Gateway| {
        let exchange = streamed();
        let stream = gateway.worker(0).open(exchange.request_head());
        stream.request_body(&exchange.request, false).request_trailers(Headers::from([("x-end", "of request")]));
        stream.respond(exchange.response_head()).response_body(&exchange.response, false);
        stream.response_trailers(Headers::from([("x-end", "of response")]));
        let outcome = stream.finish();
        assert!(outcome.upstream.as_ref().is_some_and(|upstream| upstream.complete));
        let downstream = outcome.downstream.as_ref().unwrap();
        assert!(downstream.complete && downstream.trailers.is_some());
        outcome
    };
    for event in check(["complete"; 3], trailing) {
        assert_eq!(event["usage_source"], "reported", "{event:#}");
    }
}

#[test]
fn an_answer_without_a_body_is_an_event_with_a_reason() {
    let empty = |gateway: &Gateway| {
        let stream = ask(gateway, streamed());
        stream.respond(tollgate_host::gateway::ResponseHead::new(200).without_body());
        stream.finish()
    };
    for event in check(["complete", "complete", "client_gone"], empty) {
        if event["outcome"] == "complete" {
            assert_eq!(event["unmetered_reason"], "response_unknown");
            assert_eq!((&event["input_tokens"], &event["cost_usd"]), (&Value::Null, &Value::Null));
        }
    }
}

#[test]
fn a_call_that_apisix_moves_to_another_place_of_nginx_is_metered_to_its_end() {
    let gateway = gateway(Profile::Apisix, "{}");
    let exchanges = [streamed(), one(Dialect::Anthropic, true)];
    let streams = exchanges.map(|exchange| ask(&gateway, exchange));
    streams.iter().for_each(|stream| _ = stream.moved());
    for (exchange, stream) in exchanges.into_iter().zip(streams).rev() {
        stream.respond(exchange.response_head()).response_chunks(&exchange.response, 61);
        let outcome = stream.finish();
        let event = event_of(Profile::Apisix, &outcome).unwrap();
        let unmoved = event_of(Profile::Apisix, &pass(&gateway, exchange, 61)).unwrap();
        for field in ["outcome", "input_tokens", "output_tokens", "cost_usd", "usage_source"] {
            assert_eq!(event[field], unmoved[field], "{field} of {:?}", exchange.dialect);
        }
    }
    assert_eq!(events_logged(&gateway), 4);

    let stream = ask(&gateway, streamed());
    let half = &streamed().response[..streamed().response.len() / 2];
    stream.moved().respond(streamed().response_head()).response_body(half, false).client_gone();
    assert_eq!((&last_event(&gateway)["outcome"], events_logged(&gateway)), (&"client_gone".into(), 5));
}
