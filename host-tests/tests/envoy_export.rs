//! Spans and log records from the filter in a real Envoy to a collector that decodes them independently.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Room, SOON, event};
use tollgate_core::names::{metric, otlp};
use tollgate_host::agent::{Labels, client};
use tollgate_host::artifact;
use tollgate_host::envoy::prometheus::Metrics;
use tollgate_host::otlp::Collector;
use tollgate_host::standin::Dialect;
use tollgate_host::wait;

/// The scope's spans beside those of Envoy's own tracer, which go to the same collector.
fn room() -> Room {
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        options.concurrency = 2;
        options.configuration =
            json!({"otlp": {"target": "otel_collector", "service": "tollgate", "interval_ms": 100}});
    })
}

#[test]
fn every_call_reaches_the_collector_as_span_and_record_under_the_trace_it_came_with() {
    const CALLS: usize = 30;
    let room = room();
    for call in 0..CALLS {
        let trace = format!("00-4bf92f3577b34da6a3ce929d{call:08x}-00f067aa0ba902b7-01");
        let mut labels = Labels::app("shop", "qa").headers().to_vec();
        labels.push(("traceparent".to_owned(), trace));
        let body = support::small_call(Dialect::OpenAiChat, call % 2 == 0);
        let sent = client::post(&room.url(Dialect::OpenAiChat.path()), &labels, &body).expect("an answer");
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    let ours = || room.collector.spans().into_iter().filter(|span| span.service == "tollgate").collect::<Vec<_>>();
    let spans = wait::until(SOON, || Some(ours()).filter(|spans| spans.len() >= CALLS)).expect("all spans");
    let records =
        wait::until(SOON, || Some(room.collector.logs()).filter(|logs| logs.len() >= CALLS)).expect("all records");
    assert_eq!((spans.len(), records.len(), room.collector.undecodable()), (CALLS, CALLS, 0));
    let events: Vec<Value> = room.log(CALLS).iter().map(event).collect();
    for record in &records {
        let exported: Value = serde_json::from_str(&record.body).expect("an event");
        let logged = events.iter().find(|event| event["id"] == exported["id"]).expect("the call is in the access log");
        assert_eq!(&exported, logged);
        let span = spans.iter().find(|span| span.trace_id == record.trace_id).expect("a span of the trace");
        assert_eq!(exported["trace_id"], span.trace_id);
        assert_eq!(span.attributes.get(otlp::INPUT_TOKENS), Some(&exported["input_tokens"].to_string()));
        assert_eq!(span.duration_ns, exported["timing"]["duration_ms"].as_u64().expect("a duration") * 1_000_000);
        // Envoy's tracer puts its own span between the caller's and the filter's.
        assert_eq!(span.parent_span_id.len(), 16);
    }
}

#[test]
fn a_collector_that_is_down_is_told_everything_once_when_it_is_back_and_no_call_notices() {
    const CALLS: usize = 40;
    let Room { standin: _standin, collector, envoy } = room();
    let port = collector.port();
    drop(collector);
    let url = format!("{}{}", envoy.url(), Dialect::OpenAiChat.path());
    let body = support::small_call(Dialect::OpenAiChat, false);
    for _ in 0..CALLS {
        let sent = client::post(&url, Labels::app("shop", "qa").headers(), &body).expect("an answer");
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    // By now it was tried, and in vain, as Envoy counts for the cluster.
    let failed = |metrics: &Metrics| {
        metrics.sum("envoy_cluster_upstream_cx_connect_fail", &[("envoy_cluster_name", "otel_collector")]) > Some(0.0)
    };
    let metrics = envoy.wait_for_metrics(SOON, failed).expect("metrics");
    assert!(failed(&metrics), "nothing was sent while the collector was down");
    let collector = Collector::start_on(port).expect("its port is free");
    let ids =
        || collector.logs().into_iter().map(|record| event_of(&record.body)["id"].to_string()).collect::<Vec<_>>();
    let arrived = wait::until(SOON, || Some(ids()).filter(|ids| ids.len() >= CALLS)).unwrap_or_else(ids);
    let once: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!((arrived.len(), once.len()), (CALLS, CALLS));
    let dropped = envoy.metrics().expect("metrics").sum(metric::EXPORT_DROPPED, &[]);
    assert_eq!(dropped, None);
}

fn event_of(record: &str) -> Value {
    serde_json::from_str(record).expect("an event")
}
