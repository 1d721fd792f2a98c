//! Why a prompt cache missed, through the filter: across workers where they share memory, in event and metrics.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Profile, RequestHead, ResponseHead};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{gateway, has_metrics, metric, one, start};

/// A conversation with Anthropic: its tools and messages, each a text, and what the provider says it read and wrote.
struct Turn<'a> {
    worker: usize,
    tools: &'a [&'a str],
    messages: &'a [&'a str],
    cache: (u64, u64),
}

/// The call's event, with everything in it.
fn event(profile: Profile, gateway: &Gateway, turn: &Turn<'_>) -> Value {
    let marker = json!({"type": "ephemeral"});
    let tool = |name: &&str| json!({"name": name, "description": name.repeat(300), "input_schema": {"type": "object"}});
    let last = turn.messages.len() - 1;
    let message = |(at, text): (usize, &&str)| match at == last {
        true => json!({"role": "user", "content": [{"type": "text", "text": text, "cache_control": marker}]}),
        false => json!({"role": if at % 2 == 0 { "user" } else { "assistant" }, "content": text}),
    };
    let request = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 100, "system": "Be brief.",
        "tools": turn.tools.iter().map(tool).collect::<Vec<_>>(),
        "messages": turn.messages.iter().enumerate().map(message).collect::<Vec<_>>(),
    });
    let (read, written) = turn.cache;
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Yes."}],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": 3}
    })
    .to_string();
    let head = RequestHead::post_json("api.anthropic.com", "/v1/messages")
        .header("x-tollgate-app", "shop")
        .header("x-tollgate-session", "s-1");
    let stream = gateway.worker(turn.worker).open(head);
    stream.request_body(request.to_string(), true);
    stream.respond(ResponseHead::json(200, answer.len())).response_body(answer, true);
    replay::event_of(profile, &stream.finish()).expect("an event")
}

#[test]
fn a_session_across_workers_is_told_why_it_was_not_served() {
    for profile in Profile::ALL {
        let is_shared = profile != Profile::Apisix;
        let workers = if is_shared { 2 } else { 1 };
        let settings = replay::settings(profile, r#"{"shared_data": "on"}"#).with_workers(workers);
        let gateway = start(settings);
        let call = |worker, tools: &[&str], messages: &[&str], cache| {
            let turn = Turn { worker: worker % workers, tools, messages, cache };
            event(profile, &gateway, &turn)
        };
        let reason = |event: &Value| event["cache"]["miss_reason"].as_str().map(str::to_owned);
        let first = call(0, &["search", "read"], &["one"], (0, 2_000));
        assert_eq!(reason(&first).as_deref(), Some("cold"), "{profile:?} {first:#}");
        gateway.advance(Duration::from_secs(10));
        // The other worker served the call before, and the marker has moved on.
        let second = call(1, &["search", "read"], &["one", "two", "three"], (2_000, 100));
        assert_eq!((reason(&second), &second["template"]["drift"]), (None, &Value::Null), "{profile:?} {second:#}");
        assert_eq!(second["template"]["fingerprint"], first["template"]["fingerprint"], "{profile:?}");
        gateway.advance(Duration::from_secs(301));
        let expired = call(0, &["search", "read"], &["one", "two", "three"], (0, 2_100));
        assert_eq!(reason(&expired).as_deref(), Some("expired"), "{profile:?} {expired:#}");
        assert_eq!(expired["cache"]["missed_tokens"], 2_100, "{profile:?}");
        gateway.advance(Duration::from_secs(10));
        let edited = call(1, &["search", "read"], &["one", "too", "three"], (0, 2_100));
        assert_eq!(reason(&edited).as_deref(), Some("prefix_mismatch"), "{profile:?} {edited:#}");
        assert_eq!(edited["cache"]["first_difference"], json!({"component": "history", "index": 1, "tool": null}));
        gateway.advance(Duration::from_secs(10));
        let changed = call(0, &["search", "read", "pay"], &["one", "too", "three"], (0, 3_000));
        assert_eq!(reason(&changed).as_deref(), Some("template_changed"), "{profile:?} {changed:#}");
        assert_eq!(changed["cache"]["first_difference"], json!({"component": "tools", "index": 2, "tool": "pay"}));
        let drift = &changed["template"]["drift"];
        assert_eq!((&drift["component"], &drift["tools_added"]), (&json!("tools"), &json!(["pay"])), "{profile:?}");
        assert!(drift["tools_tokens"].as_u64().is_some_and(|grown| grown > 100), "{profile:?} {drift}");
        if has_metrics(profile) {
            for why in ["cold", "expired", "prefix_mismatch", "template_changed"] {
                assert_eq!(metric(&gateway, metric::CACHE_MISSES, &[("reason", why)]), Some(1), "{profile:?} {why}");
            }
            assert_eq!(metric(&gateway, metric::TEMPLATE_DRIFTS, &[("component", "tools"), ("app", "shop")]), Some(1));
            assert!(metric(&gateway, metric::UNUSED_TOOL_TOKENS, &[]).is_some_and(|tokens| tokens > 4_000));
        }
    }
}

#[test]
fn a_prompt_that_was_answered_before_shows_what_a_response_cache_would_save_and_a_hit_what_it_saved() {
    for profile in Profile::ALL {
        let exchange = one(Dialect::OpenAiChat, false);
        let gateway = gateway(profile, "{}");
        let call = |status: &str| {
            let stream = gateway.worker(0).open(exchange.request_head());
            stream.request_body(&exchange.request, true);
            stream
                .respond(exchange.response_head().header("x-cache-status", status))
                .response_body(&exchange.response, true);
            let event = replay::event_of(profile, &stream.finish()).expect("an event");
            gateway.advance(Duration::from_secs(10));
            (event["response_cache"].clone(), event["cost_usd"].clone())
        };
        let (first, cost) = call("Miss");
        assert_eq!(first, Value::Null, "{profile:?}");
        let repeated = json!({"served_by": null, "avoided_usd": null, "avoidable_usd": cost});
        assert_eq!(call("Miss"), (repeated, cost.clone()), "{profile:?}");
        let served = json!({"served_by": "x-cache-status", "avoided_usd": cost, "avoidable_usd": null});
        assert_eq!(call("Hit"), (served, json!("0")), "{profile:?}");
        gateway.advance(Duration::from_secs(3_600));
        assert_eq!(call("Miss").0, Value::Null, "{profile:?}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::REPEATED, &[]), Some(1), "{profile:?}");
            assert_eq!(metric(&gateway, metric::RESPONSE_CACHE_HITS, &[]), Some(1), "{profile:?}");
        }
    }
}
