//! Four weeks of calls through the filter in the wasmtime host, and their events.
//!
//! Nine users of two apps call every day, a little more from day to day; one of them spends fifty times as much on one day.
//! Three tasks are reported on, with a router's call, a rejected result that is accepted later, and one that stays rejected.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::time::Timestamp;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Gateway, Profile, RequestHead, ResponseHead};
use tollgate_host::replay;

/// Who spends too much, and when.
pub const SPENDER: &str = "user-4";
/// The day.
pub const SPENDERS_DAY: &str = "2026-10-29";

const FIRST: &str = "2026-10-09T09:00:00Z";
const DAYS: u64 = 28;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PAUSE: Duration = Duration::from_secs(60);

/// The events of all calls, in order.
pub fn events() -> &'static [Value] {
    static EVENTS: OnceLock<Vec<Value>> = OnceLock::new();
    EVENTS.get_or_init(made)
}

fn made() -> Vec<Value> {
    let filter = Filter::compile(&std::fs::read(artifact::wasm().expect("the filter builds")).expect("it is there"))
        .expect("it compiles");
    let mut settings = replay::settings(Profile::Envoy, "{}");
    settings.start_time_ns = Timestamp::parse(FIRST).expect("a time").millis() * 1_000_000;
    let gateway = Gateway::start(&filter, settings).expect("it starts");
    let mut events = Vec::new();
    for day in 0..DAYS {
        for user in 1..=9_u64 {
            let name = format!("user-{user}");
            let app = if user % 2 == 0 { "desk" } else { "shop" };
            let usual = 2_000 + 20 * day + 37 * ((day + user) % 7);
            let spends = name == SPENDER && day == 20;
            let headers = [("app", app), ("team", "retail"), ("user", &name), ("session", &format!("{name}-{day}"))];
            events.push(call(&gateway, &headers, if spends { 50 * usual } else { usual }));
        }
        if day == 10 {
            events.extend(refunds(&gateway));
        }
        gateway.advance(DAY.saturating_sub(PAUSE * 32));
        // As many minutes as calls can take on a day, so that each day begins at its hour.
        let calls = if day == 10 { 9 + 8 } else { 9 };
        gateway.advance(PAUSE * (32 - calls));
    }
    events
}

fn refunds(gateway: &Gateway) -> Vec<Value> {
    let step = |task, more: (&str, &str)| {
        let task = format!("refund-{task}");
        let headers = [("app", "desk"), ("team", "retail"), ("task", &task), ("task-type", "refund"), more];
        call(gateway, &headers, 3_000)
    };
    vec![
        step(1, ("overhead", "router")),
        step(1, ("outcome", "accepted")),
        step(2, ("feature", "letters")),
        step(2, ("outcome", "rejected")),
        step(2, ("outcome", "accepted")),
        step(3, ("feature", "letters")),
        step(3, ("feature", "letters")),
        step(3, ("outcome", "rejected")),
    ]
}

/// A call with so many input tokens, and its event. The next one is a minute later.
fn call(gateway: &Gateway, headers: &[(&str, &str)], input: u64) -> Value {
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
    let head = headers.iter().fold(head, |head, (name, value)| head.header(&format!("x-tollgate-{name}"), value));
    // Of calls that only these headers tell apart, one is no retry of another.
    let request =
        json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": format!("{headers:?} {input}")}]});
    let answer = json!({
        "model": "gpt-4.1-mini-2025-04-14", "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": 120, "prompt_tokens_details": {"cached_tokens": input / 4}}
    })
    .to_string();
    let stream = gateway.worker(0).open(head);
    stream.request_body(request.to_string().as_bytes(), true);
    stream.respond(ResponseHead::json(200, answer.len())).response_body(answer, true);
    let event = replay::event_of(Profile::Envoy, &stream.finish()).expect("an event");
    gateway.advance(PAUSE);
    event
}
