//! What leaves a real Envoy for each call: metrics with labels, a log line, a span, from the shipped configuration.
//!
//! The assertions hold for any filter that keeps the contracts of `design.md`; [`filter`] says which one runs.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use support::{Room, SOON, event, small_call};
use tollgate_host::agent::Labels;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::envoy::prometheus::Metrics;
use tollgate_host::otlp::Span;
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER};
use tollgate_host::wait;

/// The filter under test.
fn filter() -> PathBuf {
    artifact::probe().expect("the filter builds")
}

/// Log fields and span attributes that say the same thing.
const SAME: [(&str, &str); 8] = [
    ("outcome", "tollgate.outcome"),
    ("application", "llm.application_id"),
    ("provider", "gen_ai.provider.name"),
    ("request_model", "gen_ai.request.model"),
    ("response_model", "gen_ai.response.model"),
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ("cost_usd", "llm.cost.total"),
];

/// Holds a log line, the event in it and the span of the same call against each other.
fn check_agreement(line: &Value, span: &Span) {
    let event = event(line);
    for (field, attribute) in SAME {
        assert_eq!(line[field].as_str(), span.attributes.get(attribute).map(String::as_str), "{field}");
    }
    assert_eq!(line["output_tokens"].as_str(), span.attributes.get("gen_ai.usage.output_tokens").map(String::as_str));
    assert_eq!(line["outcome"], event["outcome"]);
    for tokens in ["input_tokens", "output_tokens"] {
        assert_eq!(line[tokens].as_str().map(str::to_owned), event[tokens].as_u64().map(|n| n.to_string()), "{tokens}");
    }
    assert_eq!(line["cost_usd"], event["cost_usd"]);
    assert_eq!(line["trace_id"].as_str(), Some(span.trace_id.as_str()));
    assert_eq!(span.service, "llm-gateway");
}

#[test]
fn a_complete_call_of_each_dialect_has_one_log_line_one_span_and_labelled_metrics() {
    let room = Room::with(filter());
    let apps =
        [("chat", Dialect::OpenAiChat), ("responses", Dialect::OpenAiResponses), ("messages", Dialect::Anthropic)];
    let mut sent = 0;
    for (app, dialect) in apps {
        for stream in [false, true] {
            let answer = room.call(dialect, app, stream);
            assert_eq!((answer.status, &answer.broken), (200, &None), "{}", answer.text());
            sent += 1;
        }
    }
    let (log, spans) = (room.log(sent), room.spans(sent));
    for line in &log {
        let span = spans.iter().find(|span| span.trace_id == line["trace_id"].as_str().unwrap_or_default());
        check_agreement(line, span.expect("a span for every line"));
        assert_eq!(line["outcome"], "complete");
    }
    let timed = |metrics: &Metrics| metrics.sum("tollgate_duration_ms_count", &[]) >= Some(6.0);
    let metrics = room.envoy.wait_for_metrics(SOON, timed).expect("metrics");
    for (app, _) in apps {
        assert_eq!(
            metrics.sum("tollgate_requests_total", &[("app", app), ("outcome", "complete")]),
            Some(2.0),
            "{app}"
        );
        assert!(metrics.sum("tollgate_tokens_total", &[("app", app), ("type", "input")]) > Some(0.0), "{app}");
        assert!(metrics.sum("tollgate_duration_ms_count", &[("app", app)]) >= Some(2.0), "{app}");
    }
    assert_eq!(room.envoy.log().matches("tollgate event {").count(), sent);
}

#[test]
fn no_label_stays_behind_in_a_metric_name_and_our_buckets_are_used() {
    let room = Room::with(filter());
    room.call(Dialect::OpenAiChat, "shop", true);
    room.log(1);
    let metrics = room.envoy.metrics().expect("metrics");
    let names = room.envoy.stat_names().expect("names");
    let base = |name: &str| name.split_once(';').map_or(name, |(base, _)| base).to_owned();
    let defined: BTreeSet<String> =
        names.iter().filter_map(|name| name.strip_prefix("wasmcustom.tollgate_")).map(base).collect();
    assert!(defined.len() > 3, "{names:?}");
    for sample in metrics.samples.iter().filter(|sample| sample.name.starts_with("tollgate_")) {
        let name = sample.name.trim_start_matches("tollgate_");
        let parts = ["", "_bucket", "_sum", "_count"].map(|part| name.strip_suffix(part));
        let known = parts.into_iter().flatten().any(|name| defined.contains(name));
        assert!(known, "a label without a rule: {sample:?}");
        assert!(!sample.labels.contains_key("envoy_response_code"), "{sample:?}");
    }
    let buckets: BTreeSet<&str> = metrics
        .named("tollgate_ttft_ms_bucket")
        .filter_map(|sample| sample.labels.get("le").map(String::as_str))
        .collect();
    assert!(buckets.contains("64000") && buckets.len() == 14, "{buckets:?}");
}

#[test]
fn a_client_that_leaves_is_still_accounted_for_in_log_and_span() {
    let room = Room::with(filter());
    let labels = Labels::app("gone", "qa").with_header(PACE_HEADER, "50");
    let url = room.url(Dialect::Anthropic.path());
    client::post_and_leave(&url, labels.headers(), &small_call(Dialect::Anthropic, true), 700).expect("a beginning");
    let (log, spans) = (room.log(1), room.spans(1));
    check_agreement(&log[0], &spans[0]);
    assert_ne!(log[0]["outcome"], "complete");
    assert_eq!(log[0]["flags"], "DC", "downstream disconnected");
    let metrics = room.envoy.metrics().expect("metrics");
    assert_eq!(metrics.sum("tollgate_requests_total", &[("app", "gone")]), Some(1.0));
    assert_eq!(metrics.sum("tollgate_requests_total", &[("app", "gone"), ("outcome", "complete")]), None);
    wait::until(SOON, || (!room.standin.served()[0].delivered()).then_some(())).expect("the provider noticed");
}

#[test]
fn an_upstream_that_fails_or_breaks_off_yields_one_event_each() {
    let room = Room::with(filter());
    for (app, failure) in
        [("refused", "status-429"), ("failed", "status-500"), ("reset", "reset"), ("cut", "truncated")]
    {
        let labels = Labels::app(app, "qa").with_header(FAILURE_HEADER, failure);
        let answer = room.call_with(Dialect::OpenAiChat, &labels, true);
        match failure {
            "status-429" => assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2"))),
            "status-500" => assert_eq!(answer.status, 500),
            "reset" => assert!(answer.broken.is_some(), "{answer:?}"),
            _ => assert!(!answer.text().contains("[DONE]"), "{answer:?}"),
        }
    }
    let (log, spans) = (room.log(4), room.spans(4));
    for line in &log {
        let span = spans.iter().find(|span| span.trace_id == line["trace_id"].as_str().unwrap_or_default());
        check_agreement(line, span.expect("a span for every line"));
    }
    let reset = log.iter().find(|line| line["application"] == "reset").expect("the reset call");
    assert_ne!(reset["outcome"], "complete");
    assert_eq!(room.envoy.log().matches("tollgate event {").count(), 4);
}

#[test]
fn a_request_that_is_no_llm_call_passes_untouched_and_leaves_no_event() {
    let room = Room::with(filter());
    let models = client::get(&room.url("/v1/models")).expect("models");
    assert_eq!((models.status, models.json()["object"].as_str()), (200, Some("list")));
    let line = &room.log(1)[0];
    for field in ["outcome", "application", "input_tokens", "cost_usd", "tollgate_event"] {
        assert_eq!(line[field], Value::Null, "{field}");
    }
    let attributes = &room.spans(1)[0].attributes;
    assert!(!attributes.contains_key("gen_ai.request.model"), "{attributes:?}");
    assert_eq!(room.envoy.metrics().expect("metrics").sum("tollgate_requests_total", &[]), None);
}

#[test]
fn held_headers_give_the_same_outputs() {
    let room = Room::tuned(filter(), |options| {
        options.hold_headers = true;
        options.configuration = serde_json::json!({"hold_headers": true});
    });
    for stream in [false, true] {
        assert_eq!(room.call(Dialect::OpenAiChat, "held", stream).status, 200);
    }
    let (log, spans) = (room.log(2), room.spans(2));
    for line in &log {
        let span = spans.iter().find(|span| span.trace_id == line["trace_id"].as_str().unwrap_or_default());
        check_agreement(line, span.expect("a span for every line"));
        assert_eq!(line["outcome"], "complete");
    }
}

#[test]
fn a_body_of_twenty_megabytes_passes_and_one_above_the_limit_is_refused_by_envoy() {
    let room = Room::with(filter());
    let labels = Labels::app("large", "qa");
    let body = |megabytes: usize| {
        let mut body = small_call(Dialect::OpenAiChat, false);
        // An unknown field, so that the size costs no tokens.
        body["prediction"] = Value::from("x".repeat(megabytes * 1024 * 1024));
        body
    };
    let url = room.url(Dialect::OpenAiChat.path());
    assert_eq!(client::post(&url, labels.headers(), &body(20)).expect("an answer").status, 200);
    // Envoy may answer before it has read everything; then the client sees the connection close while it still writes.
    match client::post(&url, labels.headers(), &body(40)) {
        Ok(answer) => assert_eq!(answer.status, 413),
        Err(error) => assert!(error.to_string().contains("POST"), "{error}"),
    }
    assert_eq!(room.standin.served().len(), 1, "the large body never left the gateway");
}

#[test]
fn counters_are_exact_across_workers() {
    let room = Room::tuned(filter(), |options| options.concurrency = 3);
    let calls = 24;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..calls / 4 {
                    assert_eq!(room.call(Dialect::OpenAiChat, "many", false).status, 200);
                }
            });
        }
    });
    room.log(calls);
    let metrics = room.envoy.metrics().expect("metrics");
    assert_eq!(metrics.sum("tollgate_requests_total", &[("app", "many")]), Some(24.0));
}
