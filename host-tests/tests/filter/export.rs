//! Spans and log records for a collector: what is sent, when it is sent again, what is dropped.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tollgate_core::names::{metric, otlp};
use tollgate_host::artifact;
use tollgate_host::gateway::{Callout, Gateway, HttpReply, Profile};
use tollgate_host::otlp::{LogRecord, Span, logs_of_json, spans_of_json};
use tollgate_host::standin::Dialect;

use super::support::{Exchange, exchanges, gateway, metric, one};

const CONFIG: &str = r#"{"otlp": {"target": "otel_collector", "headers": {"authorization": "Bearer t"}}}"#;
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SECOND: Duration = Duration::from_secs(1);

fn call(gateway: &Gateway, exchange: &Exchange) {
    let head = exchange.request_head().header("traceparent", TRACEPARENT).header("x-tollgate-task", "t-1");
    let stream = gateway.worker(0).open(head);
    stream.request_body(&exchange.request, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    assert_eq!(stream.finish().status(), 200);
}

fn sent(gateway: &Gateway, path: &str) -> Option<Callout> {
    gateway.pending_callouts().into_iter().find(|callout| callout.headers.text(":path").as_deref() == Some(path))
}

fn spans(callout: &Callout) -> Vec<Span> {
    spans_of_json(&callout.body).expect("OTLP")
}

fn records(callout: &Callout) -> Vec<LogRecord> {
    logs_of_json(&callout.body).expect("OTLP")
}

fn answer(gateway: &Gateway, callout: &Callout, status: u32) {
    gateway.answer(callout.token, HttpReply::new(status, "")).expect("it was pending");
}

#[test]
fn a_call_leaves_a_span_under_the_callers_and_a_record_with_the_whole_event() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = gateway(profile, CONFIG);
        call(&gateway, one(Dialect::OpenAiChat, false));
        assert!(gateway.pending_callouts().is_empty(), "nothing is sent while a request runs");
        gateway.advance(SECOND);
        let (traces, logs) =
            (sent(&gateway, "/v1/traces").expect("spans"), sent(&gateway, "/v1/logs").expect("records"));
        assert_eq!(
            (traces.target.as_str(), traces.headers.text("authorization")),
            ("otel_collector", Some("Bearer t".to_owned()))
        );
        let [span] = spans(&traces).try_into().expect("one span");
        let [record] = records(&logs).try_into().expect("one record");
        let event: Value = serde_json::from_str(&record.body).expect("an event");
        assert_eq!((span.name.as_str(), span.service.as_str()), ("chat gpt-4.1-mini", "llm-gateway"));
        assert_eq!(span.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&span.trace_id, span.parent_span_id.as_str()), (&record.trace_id, "00f067aa0ba902b7"));
        assert_eq!(event["trace_id"], span.trace_id);
        for (attribute, expected) in [
            (otlp::INPUT_TOKENS, event["input_tokens"].to_string()),
            (otlp::OUTPUT_TOKENS, event["output_tokens"].to_string()),
            (otlp::TOKENS_USER, event["components"]["user"]["tokens"].to_string()),
            (otlp::COST, event["cost_usd"].as_str().expect("a cost").to_owned()),
            (otlp::TASK, "t-1".to_owned()),
            (otlp::SPAN_KIND, "LLM".to_owned()),
            (otlp::STATUS, "200".to_owned()),
        ] {
            assert_eq!(span.attributes.get(attribute), Some(&expected), "{profile:?} {attribute}");
        }
        assert!(!span.attributes.contains_key(otlp::PROPOSED_COST) && !span.attributes.contains_key(otlp::ERROR_TYPE));
    }
}

/// The attributes that `examples/observability.md` promises.
fn promised() -> Vec<String> {
    let page = std::fs::read_to_string(artifact::root().join("examples/observability.md")).expect("the page");
    let (_, attributes) = page.split_once("| attribute | event |").expect("a table");
    let cells = attributes.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

#[test]
fn a_span_carries_every_attribute_that_is_known_of_a_routed_call_that_was_made_again_and_reported_on() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = gateway(profile, CONFIG);
        let exchange = exchanges().iter().find(|exchange| exchange.mishap == Some("truncated")).expect("a mishap");
        let labels = [
            ("app", "shop"),
            ("user", "ada"),
            ("task", "t-1"),
            ("task-type", "refund"),
            ("route-candidates", "gpt-4.1, gpt-4.1-mini"),
            ("route-confidence", "0.75"),
            ("outcome", "accepted"),
        ];
        let head = exchange.request_head().header("x-stainless-retry-count", "2");
        let head = labels.iter().fold(head, |head, (name, value)| head.header(&format!("x-tollgate-{name}"), value));
        let stream = gateway.worker(0).open(head);
        stream.request_body(&exchange.request, true);
        stream.respond(exchange.response_head()).response_body(&exchange.response, true);
        stream.upstream_reset();
        assert_eq!(stream.finish().status(), 200);
        gateway.advance(SECOND);
        let [span] = spans(&sent(&gateway, "/v1/traces").expect("spans")).try_into().expect("one span");
        let missing: Vec<_> = promised().into_iter().filter(|name| !span.attributes.contains_key(name)).collect();
        assert!(missing.is_empty(), "{profile:?}: {missing:?} in {:#?}", span.attributes);
        for (attribute, expected) in [
            (otlp::ROUTING_CONFIDENCE, "0.75"),
            (otlp::ROUTING_ALTERNATIVES, "gpt-4.1,gpt-4.1-mini"),
            (otlp::RETRIES, "2"),
            (otlp::TASK_OUTCOME, "accepted"),
        ] {
            assert_eq!(span.attributes.get(attribute).map(String::as_str), Some(expected), "{profile:?} {attribute}");
        }
    }
}

#[test]
fn a_batch_that_fails_is_sent_again_later_and_a_refused_one_is_counted() {
    let gateway = gateway(Profile::Envoy, CONFIG);
    call(&gateway, one(Dialect::OpenAiChat, false));
    gateway.advance(SECOND);
    let first = sent(&gateway, "/v1/traces").expect("spans");
    gateway.fail(first.token).expect("it was pending");
    call(&gateway, one(Dialect::Anthropic, false));
    gateway.advance(SECOND);
    let second = sent(&gateway, "/v1/traces").expect("the pause is over");
    assert_eq!(spans(&second).len(), 2, "the failed one and the new one");
    answer(&gateway, &second, 503);
    gateway.advance(SECOND);
    assert!(sent(&gateway, "/v1/traces").is_none(), "the second pause is longer");
    gateway.advance(SECOND);
    let third = sent(&gateway, "/v1/traces").expect("the second pause is over");
    assert_eq!(spans(&third), spans(&second));
    answer(&gateway, &third, 400);
    assert_eq!(metric(&gateway, metric::EXPORT_DROPPED, &[("signal", "traces"), ("reason", "refused")]), Some(2));
    gateway.advance(SECOND);
    assert!(sent(&gateway, "/v1/traces").is_none(), "what was refused for good is not sent again");
}

#[test]
fn a_collector_that_is_away_costs_bounded_memory_and_what_is_lost_is_counted() {
    let gateway = gateway(Profile::Envoy, CONFIG);
    let exchange = one(Dialect::OpenAiChat, false);
    call(&gateway, exchange);
    let pages = gateway.worker(0).memory_pages();
    for _ in 0..2_400 {
        call(&gateway, exchange);
    }
    let grown = gateway.worker(0).memory_pages() - pages;
    assert!(grown < 224, "two queues of four megabytes, with gaps, and {grown} pages");
    assert!(metric(&gateway, metric::EXPORT_DROPPED, &[("reason", "queue_full")]) > Some(0));
    gateway.advance(SECOND);
    let batch = sent(&gateway, "/v1/traces").expect("spans");
    assert_eq!(spans(&batch).len(), 512, "a batch is bounded too");
    answer(&gateway, &batch, 200);
    assert!(sent(&gateway, "/v1/traces").is_some(), "the next leaves at once");
}

/// Takes every batch that is under way, until none is; gives the ids of the calls, one per record.
fn take_all(gateway: &Gateway) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let pending = gateway.pending_callouts();
        if pending.is_empty() {
            return ids;
        }
        for callout in pending {
            if callout.headers.text(":path").as_deref() == Some("/v1/logs") {
                let id = |record: LogRecord| {
                    serde_json::from_str::<Value>(&record.body).expect("an event")["id"].to_string()
                };
                ids.extend(records(&callout).into_iter().map(id));
            } else {
                assert!(!spans(&callout).is_empty());
            }
            answer(gateway, &callout, 200);
        }
    }
}

fn dropped(gateway: &Gateway, signal: &str) -> u64 {
    metric(gateway, metric::EXPORT_DROPPED, &[("signal", signal)]).unwrap_or(0)
}

#[test]
fn a_collector_that_is_down_for_thirty_seconds_costs_no_call_bounded_memory_and_only_what_is_counted() {
    const CALLS_A_SECOND: usize = 100;
    let gateway = gateway(Profile::Envoy, CONFIG);
    let exchange = one(Dialect::OpenAiChat, false);
    call(&gateway, exchange);
    gateway.advance(SECOND);
    let mut delivered = take_all(&gateway);
    let (pages, mut tries) = (gateway.worker(0).memory_pages(), 0);
    for _ in 0..30 {
        // Each is answered with 200, which `call` asserts.
        (0..CALLS_A_SECOND).for_each(|_| call(&gateway, exchange));
        gateway.advance(SECOND);
        for callout in gateway.pending_callouts() {
            gateway.fail(callout.token).expect("it was pending");
            tries += 1;
        }
    }
    let grown = gateway.worker(0).memory_pages() - pages;
    assert!(grown < 256, "two queues of four megabytes and two batches, and {grown} pages");
    // Both signals, after 1, 2, 4, 8 and 16 seconds.
    assert!((8..=12).contains(&tries), "{tries} tries");
    // It is back: within the longest pause everything that was kept arrives, once.
    for _ in 0..60 {
        gateway.advance(SECOND);
        delivered.extend(take_all(&gateway));
    }
    let lost = dropped(&gateway, "logs");
    assert!(lost > 0, "the queue held all of it, so nothing was tested");
    assert_eq!(delivered.len() as u64 + lost, 30 * CALLS_A_SECOND as u64 + 1);
    let once: BTreeSet<&String> = delivered.iter().collect();
    assert_eq!(once.len(), delivered.len(), "a record came twice");
    // The oldest made room: the last calls are all there.
    call(&gateway, exchange);
    gateway.advance(SECOND);
    assert_eq!((take_all(&gateway).len(), dropped(&gateway, "logs")), (1, lost));
}

#[test]
fn five_hundred_calls_a_second_of_an_agent_leave_one_worker_without_a_drop() {
    let gateway = gateway(Profile::Envoy, CONFIG);
    let exchange = one(Dialect::OpenAiChat, false);
    let tools: Vec<Value> = (0..24)
        .map(|number| json!({"type": "function", "function": {"name": format!("look_up_something_{number}"), "parameters": {}}}))
        .collect();
    let request = json!({"model": "gpt-4.1-mini", "tools": tools, "messages": [{"role": "user", "content": "Go on."}]});
    let request = request.to_string();
    let mut arrived = 0;
    for _ in 0..4 {
        for _ in 0..500 {
            let stream = gateway.worker(0).open(exchange.request_head());
            stream.request_body(&request, true);
            stream.respond(exchange.response_head()).response_body(&exchange.response, true);
            assert_eq!(stream.finish().status(), 200);
        }
        gateway.advance(SECOND);
        arrived += take_all(&gateway).len();
    }
    assert_eq!((arrived, dropped(&gateway, "logs"), dropped(&gateway, "traces")), (2_000, 0, 0));
}

#[test]
fn a_gateway_without_ticks_sends_nothing_and_goes_on() {
    let gateway = gateway(Profile::Apisix, &json!({"otlp": {"target": "127.0.0.1:4318"}}).to_string());
    call(&gateway, one(Dialect::OpenAiChat, false));
    gateway.advance(SECOND);
    assert!(gateway.pending_callouts().is_empty());
}
