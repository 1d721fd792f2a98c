//! What the components and the output cost sums to what the call costs, to the last digit: of every recorded exchange, and of
//! any usage.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Exchange, traffic};
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;

/// Checks an event with components; tells whether its cost is divided among them.
#[track_caller]
fn check(event: &Event, name: &str) -> bool {
    let tokens: u64 = event.components.values().map(|share| share.tokens).sum();
    assert_eq!(Some(tokens), event.input_tokens, "{name}");
    let Some(components) = event.components.values().map(|share| share.cost_usd).sum::<Option<Usd>>() else {
        let is_divided = event.cost_usd.is_some() && !event.cost.contains_key("unattributed");
        assert!(!is_divided, "{name}: components without a cost of {:?}", event.cost);
        return false;
    };
    let part = |is_input: bool| {
        let is_of_input = |bucket: &str| bucket.starts_with("input") || bucket.starts_with("cache");
        let parts = event.cost.iter().filter(|(bucket, _)| is_of_input(bucket) == is_input);
        parts.map(|(_, cost)| *cost).sum::<Usd>()
    };
    assert_eq!(components, part(true), "{name}: components and buckets");
    assert_eq!(Some(components.plus(part(false))), event.cost_usd, "{name}: components, output and fees");
    true
}

#[test]
fn of_every_recorded_exchange_the_components_sum_to_the_cost() {
    let Some(traffic) = traffic() else { return };
    let (mut divided, mut undivided, mut others) = (0, 0, 0);
    for directory in std::fs::read_dir(&traffic).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        for exchange in Exchange::all_in(&directory.path()) {
            let event = exchange.event_if_any([exchange.answer()]);
            match event.filter(|event| !event.components.is_empty()) {
                Some(event) if check(&event, &exchange.name) => divided += 1,
                Some(_) => undivided += 1,
                None => others += 1,
            }
        }
    }
    println!("{divided} divided to the last digit, {undivided} without a price, {others} without input or an event");
    assert!(divided >= 100, "{divided}, {undivided}, {others}");
}

/// The event of a request and its answer.
fn event(url: (&str, &str), request: &Value, answer: &str) -> Event {
    let mut meter = Meter::new(Config::default(), [1, 2]);
    let json = [("content-type", "application/json")];
    let headers = || Headers::new(&json);
    let head = RequestHead { method: "POST", host: url.0, path: url.1, headers: headers(), ..RequestHead::default() };
    let now = Timestamp::parse("2026-11-20T09:30:00Z").unwrap();
    let mut call = meter.open(&head, String::new(), now).unwrap();
    meter.admit(&mut call, Body::Whole(request.to_string().as_bytes()));
    meter.respond(&mut call, &ResponseHead { status: 200, headers: headers() });
    meter.read(&mut call, answer.as_bytes(), now);
    meter.end(call, Ending::Complete, now)
}

/// A prompt with these many words in tools, instructions and turns.
fn messages(turns: &[usize]) -> Vec<Value> {
    let says = |(at, count): (usize, &usize)| json!({"role": if at % 2 == 0 { "user" } else { "assistant" }, "content": "word ".repeat(*count)});
    turns.iter().enumerate().map(says).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn of_any_usage_the_components_sum_to_the_list_price(
        counts in prop::array::uniform5(0_u64..300_000), prompt in prop::array::uniform2(0_usize..300),
        turns in prop::collection::vec(0_usize..200, 1..6), model in prop::sample::select(vec!["claude-sonnet-4-5", "claude-haiku-5-5"]),
    ) {
        let [uncached, read, short, long, output] = counts;
        let [tools, system] = prompt.map(|count| "rule ".repeat(count));
        let request = json!({
            "model": model, "max_tokens": 9, "system": system, "messages": messages(&turns),
            "tools": [{"name": "f", "description": tools, "input_schema": {}}, {"name": "g", "input_schema": {}}],
        });
        let split = json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
        let usage = json!({"input_tokens": uncached, "cache_read_input_tokens": read, "output_tokens": output,
            "cache_creation_input_tokens": short + long, "cache_creation": split});
        let answer = json!({"type": "message", "model": model, "content": [], "stop_reason": "end_turn", "usage": usage});
        prop_assert!(check(&event(("api.anthropic.com", "/v1/messages"), &request, &answer.to_string()), "made"));
    }

    #[test]
    fn of_any_stated_cost_the_components_sum_to_what_the_provider_states(
        input in 1_u64..300_000, cached_percent in 0_u64..=100, output in 0_u64..30_000, femto in 1_u64..u64::MAX / 2,
        turns in prop::collection::vec(0_usize..200, 1..6),
    ) {
        let stated = Usd::from_femto(femto.into()).to_string();
        let request = json!({"model": "openai/gpt-4.1", "messages": messages(&turns)});
        let mut answer = json!({"model": "openai/gpt-4.1", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output,
                "prompt_tokens_details": {"cached_tokens": input * cached_percent / 100}}});
        // Written as it is: a number of `serde_json` would be a float.
        answer["usage"]["cost"] = json!("stated");
        let answer = answer.to_string().replace("\"stated\"", &stated);
        let event = event(("openrouter.ai", "/api/v1/chat/completions"), &request, &answer);
        prop_assert_eq!(event.cost_usd.unwrap().to_string(), stated);
        prop_assert!(check(&event, "stated"));
    }
}
