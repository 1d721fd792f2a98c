//! What leaves a real Envoy for each call: metrics with labels, a log line, a span, from the shipped configuration.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Room, SOON, event, line_of, small_call, span_of};
use tollgate_core::names::state;
use tollgate_host::agent::{Labels, client};
use tollgate_host::artifact;
use tollgate_host::envoy::prometheus::Metrics;
use tollgate_host::otlp::Span;
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER};
use tollgate_host::wait;

/// Log fields and span attributes that say the same thing.
const SAME: [(&str, &str); 9] = [
    ("outcome", state::OUTCOME),
    ("application", state::APPLICATION),
    ("provider", state::PROVIDER),
    ("request_model", state::REQUEST_MODEL),
    ("response_model", state::RESPONSE_MODEL),
    ("input_tokens", state::INPUT_TOKENS),
    ("output_tokens", state::OUTPUT_TOKENS),
    ("cache_read_tokens", state::CACHE_READ_TOKENS),
    ("cost_usd", "llm.cost.total"),
];
/// What only the end tells: a span does not see it where there was no end of the response.
const FINAL: [&str; 5] = ["outcome", "response_model", "output_tokens", "cache_read_tokens", "cost_usd"];

fn room() -> Room {
    Room::with(artifact::wasm().expect("the filter builds"))
}

/// A room that holds headers or not, and refuses the calls of the application `denied`.
fn strict(hold_headers: bool) -> Room {
    let limit = json!({"id": "nothing", "match": {"attribution": {"app": "denied"}}, "limit": 1});
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        options.hold_headers = hold_headers;
        options.configuration = json!({"hold_headers": hold_headers, "limits": [limit]});
    })
}

/// Holds a log line, the event in it and the span of the same call against each other.
fn check(line: &Value, span: &Span, outcome: &str) {
    let event = event(line);
    let has_end = !["client_gone", "upstream_reset"].contains(&outcome);
    assert_eq!(line["outcome"], outcome, "{line:#}");
    for (field, attribute) in SAME.into_iter().filter(|(field, _)| has_end || !FINAL.contains(field)) {
        assert_eq!(line[field].as_str(), span.attributes.get(attribute).map(String::as_str), "{outcome}: {field}");
    }
    if !has_end {
        assert_eq!(span.attributes.get(state::OUTCOME).map(String::as_str), Some("in_flight"), "{outcome}");
        assert!(span.attributes.contains_key("llm.cost.total"), "what it cost so far: {span:?}");
    }
    for tokens in ["input_tokens", "output_tokens"] {
        assert_eq!(line[tokens].as_str().map(str::to_owned), event[tokens].as_u64().map(|n| n.to_string()), "{tokens}");
    }
    assert_eq!((&line["outcome"], &line["cost_usd"]), (&event["outcome"], &event["cost_usd"]));
    assert_eq!(span.service, "llm-gateway");
}

/// One call of this application was counted, with this outcome.
fn check_counted(room: &Room, app: &str, outcome: &str) {
    let metrics = room.envoy.metrics().expect("metrics");
    assert_eq!(metrics.sum("tollgate_requests_total", &[("app", app)]), Some(1.0), "{app}");
    assert_eq!(metrics.sum("tollgate_requests_total", &[("app", app), ("outcome", outcome)]), Some(1.0), "{app}");
}

#[test]
fn a_complete_call_of_each_dialect_has_one_log_line_one_span_and_labelled_metrics() {
    let room = room();
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
        check(line, span_of(&spans, line), "complete");
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
    let room = room();
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

/// Every way in which a call ends while Envoy and the provider still talk to it: application, what the stand-in does,
/// status, outcome.
const ENDINGS: [(&str, &str, u16, &str); 6] = [
    ("fine", "", 200, "complete"),
    ("refused", "status-429", 429, "upstream_error"),
    ("failed", "error-event", 200, "upstream_error"),
    ("cut", "truncated", 200, "truncated"),
    ("reset", "reset", 200, "upstream_reset"),
    ("denied", "", 429, "denied"),
];

#[test]
fn every_ending_yields_one_event_in_log_span_and_metrics_with_and_without_held_headers() {
    for hold_headers in [false, true] {
        for dialect in [Dialect::OpenAiChat, Dialect::Anthropic] {
            let room = strict(hold_headers);
            for (app, failure, status, _) in ENDINGS {
                let labels = Labels::app(app, "qa").with_header(FAILURE_HEADER, failure);
                let answer = room.call_with(dialect, &labels, true);
                assert_eq!((answer.status, answer.broken.is_some()), (status, app == "reset"), "{app} {answer:?}");
            }
            let leaving = Labels::app("gone", "qa").with_header(PACE_HEADER, "50");
            let url = room.url(dialect.path());
            client::post_and_leave(&url, leaving.headers(), &small_call(dialect, true), 700).expect("a beginning");
            let (log, spans) = (room.log(ENDINGS.len() + 1), room.spans(ENDINGS.len() + 1));
            let all = ENDINGS.iter().map(|(app, _, _, outcome)| (*app, *outcome)).chain([("gone", "client_gone")]);
            for (app, outcome) in all {
                let line = line_of(&log, app);
                check(line, span_of(&spans, line), outcome);
                check_counted(&room, app, outcome);
            }
            assert_eq!(line_of(&log, "gone")["flags"], "DC", "downstream disconnected");
            assert_eq!(room.envoy.log().matches("tollgate event {").count(), ENDINGS.len() + 1);
            let served = room.standin.served();
            assert!(served.iter().all(|served| served.headers["x-tollgate-app"] != "denied"), "it never arrived");
            let gone = served.last().expect("a call");
            wait::until(SOON, || (!gone.delivered()).then_some(())).expect("the provider noticed");
        }
    }
}

#[test]
fn a_refused_call_is_answered_in_the_providers_words() {
    for hold_headers in [false, true] {
        let room = strict(hold_headers);
        for dialect in Dialect::ALL {
            let answer = room.call(dialect, "denied", true);
            assert_eq!((answer.status, answer.header("x-tollgate-limit")), (429, Some("nothing")));
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(answer.json()["error"]["type"], "rate_limit_error", "{}", answer.text());
        }
        assert_eq!(line_of(&room.log(3), "denied")["details"], "tollgate_denied");
        let denied = [("limit", "nothing"), ("action", "deny")];
        let metrics = room.envoy.metrics().expect("metrics");
        assert_eq!(metrics.sum("tollgate_limited_total", &denied), Some(3.0));
    }
}

#[test]
fn a_provider_that_cannot_be_reached_costs_nothing_and_one_that_hangs_up_an_unknown_amount() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let hanging_up = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hanging_up.local_addr().expect("an address");
    // The connection is closed as soon as the request begins; the thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in hanging_up.incoming().flatten() {
            _ = stream.peek(&mut [0]);
        }
    });
    for (upstream, outcome, cost) in [(closed, "local_reply", json!("0")), (address, "upstream_reset", Value::Null)] {
        let room = Room::tuned(artifact::wasm().expect("filter"), |options| options.upstream = upstream);
        assert_eq!(room.call(Dialect::OpenAiChat, "lost", true).status, 503);
        let line = &room.log(1)[0];
        let event = event(line);
        assert_eq!((&event["outcome"], &event["cost_usd"]), (&json!(outcome), &cost), "{}", line["details"]);
        check_counted(&room, "lost", outcome);
    }
}

#[test]
fn events_in_a_log_of_their_own_are_lines_of_json_that_the_access_log_can_be_joined_to() {
    let room = Room::tuned(artifact::wasm().expect("filter"), |options| options.events_apart = true);
    assert_eq!(client::get(&room.url("/v1/models")).expect("models").status, 200);
    assert_eq!(room.call(Dialect::OpenAiChat, "quote \" and \u{e9}", false).status, 200);
    let log = room.log(2);
    let text = wait::until(SOON, || {
        let text = fs::read_to_string(room.envoy.event_log_path()).ok()?;
        text.ends_with("}\n").then_some(text)
    });
    let text = text.expect("a line");
    let events: Vec<&str> = text.lines().collect();
    assert_eq!((events.len(), events[0]), (2, ""), "{text}");
    let event: Value = serde_json::from_str(events[1]).expect("JSON");
    assert_eq!(event["attribution"]["app"], "quote \" and \u{e9}");
    assert_eq!(log[1].get("tollgate_event"), None);
    assert!(event["request_id"].is_string(), "{event:#}");
    assert_eq!(event["request_id"], log[1]["request_id"]);
}

#[test]
fn a_request_that_is_no_llm_call_passes_untouched_and_leaves_no_event() {
    let room = room();
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
fn a_body_of_twenty_megabytes_passes_and_one_above_the_limit_is_refused_by_envoy() {
    let room = room();
    let labels = Labels::app("large", "qa");
    let body = |megabytes: usize| {
        let mut body = small_call(Dialect::OpenAiChat, false);
        // A PNG of 600 by 300 pixels, as its head says: the size costs no tokens.
        let data = format!("iVBORw0KGgoAAAANSUhEUgAAAlgAAAEsCAYAAAA{}", "A".repeat(megabytes * 1024 * 1024));
        let image = serde_json::json!({"url": format!("data:image/png;base64,{data}")});
        body["messages"] =
            serde_json::json!([{"role": "user", "content": [{"type": "image_url", "image_url": image}]}]);
        body
    };
    let url = room.url(Dialect::OpenAiChat.path());
    assert_eq!(client::post(&url, labels.headers(), &body(20)).expect("an answer").status, 200);
    // Read in windows, so that the filter saw all of it and kept little.
    let event = event(&room.log(1)[0]);
    assert_eq!(event["media"]["image"]["count"], 1, "{event:#}");
    assert_eq!(event["unmetered_reason"], Value::Null, "{event:#}");
    // Envoy may answer before it has read everything; then the client sees the connection close while it still writes.
    match client::post(&url, labels.headers(), &body(40)) {
        Ok(answer) => assert_eq!(answer.status, 413),
        Err(error) => assert!(error.to_string().contains("POST"), "{error}"),
    }
    assert_eq!(room.standin.served().len(), 1, "the large body never left the gateway");
}

#[test]
fn counters_are_exact_across_workers() {
    let room = Room::tuned(artifact::wasm().expect("filter"), |options| options.concurrency = 3);
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
