//! What a prompt consists of, in event and metrics, under every gateway.

use serde_json::{Value, json};
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Profile, RequestHead, ResponseHead};

use super::support::{event, gateway, has_metrics, metric};

/// A call with this answer, and its event.
fn call((profile, gateway): (Profile, &Gateway), head: RequestHead, request: &Value, answer: &Value) -> Value {
    let (request, answer) = (request.to_string(), answer.to_string());
    let stream = gateway.worker(0).open(head);
    stream.request_body(request, true);
    stream.respond(ResponseHead::json(200, answer.len())).response_body(answer, true);
    event(profile, &stream.finish())
}

/// An answer of Chat Completions to so many tokens, some of which its cache served.
fn chat_answer(input: u64, cached: u64) -> Value {
    json!({
        "model": "gpt-4.1-2025-04-14", "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": cached}}
    })
}

fn openai() -> RequestHead {
    RequestHead::post_json("api.openai.com", "/v1/chat/completions")
}

#[test]
fn messages_that_begin_with_a_marker_are_examples_with_their_answers() {
    let says = |role: &str, content: &str| json!({"role": role, "content": content});
    let request = json!({"model": "gpt-4.1", "messages": [
        says("user", "Example: is a tent an article of clothing?"), says("assistant", "No, it is shelter."),
        says("user", "Hello!"), says("assistant", "Good morning."), says("user", "Is a rope one?"),
    ]});
    for profile in Profile::ALL {
        let told = |config: &str| {
            let gateway = gateway(profile, config);
            let components = call((profile, &gateway), openai(), &request, &chat_answer(50, 0))["components"].take();
            let tokens = |component: &str| components[component]["tokens"].as_u64().unwrap();
            let counted = metric(&gateway, metric::COMPONENT_TOKENS, &[("component", "few_shot")]);
            assert!(!has_metrics(profile) || counted.unwrap_or(0) == tokens("few_shot"), "{profile:?}");
            ["few_shot", "history", "user"].map(tokens)
        };
        let [examples, history, user] = told(r#"{"few_shot_markers": ["Example: "]}"#);
        assert!(examples > history && history > 0, "{profile:?}: {examples}, {history}");
        assert_eq!(told("{}"), [0, examples + history, user], "{profile:?}: no wire format marks examples");
    }
}

/// Text of so many words, each of them a token of its own to OpenAI.
fn words(count: usize) -> String {
    "rule ".repeat(count)
}

/// A component with its tokens, those of them that the cache served, and its cost.
fn share(event: &Value, component: &str) -> (u64, u64, String) {
    let share = &event["components"][component];
    let tokens = |field: &str| share[field].as_u64().unwrap();
    (tokens("tokens"), tokens("cached_tokens"), share["cost_usd"].as_str().unwrap().to_owned())
}

/// Checks the components of a call, and what it cost and saved in all. On every gateway; each call is its first, so that
/// nothing is learned of the model.
fn check(
    head: &RequestHead,
    request: &Value,
    answer: &Value,
    expected: &[(&str, u64, u64, &str)],
    (cost, saved): (&str, &str),
) {
    for profile in Profile::ALL {
        let event = call((profile, &gateway(profile, "{}")), head.clone(), request, answer);
        for (component, tokens, cached, cost) in expected {
            assert_eq!(share(&event, component), (*tokens, *cached, (*cost).to_owned()), "{profile:?} {component}");
        }
        assert_eq!((&event["cost_usd"], &event["cache"]["savings_usd"]), (&json!(cost), &json!(saved)), "{profile:?}");
    }
}

/// A prompt of 1,600 tokens of tools, 1,500 of instructions and 200 of what is asked, to Claude at $3 per million, $0.30 read,
/// $3.75 and $6 written; and ten tokens of output at $15.
fn check_claude(usage: &Value, expected: &[(&str, u64, u64, &str)], cost_and_savings: (&str, &str)) {
    // Claude's tokens are estimated: so many words come to those numbers.
    let request = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 9, "system": words(1_266),
        "tools": [{"name": "find", "description": words(1_034), "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": words(164)}],
    });
    let mut answer = json!({"type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "content": []});
    answer["usage"] = usage.clone();
    answer["usage"]["output_tokens"] = json!(10);
    let head = RequestHead::post_json("api.anthropic.com", "/v1/messages");
    check(&head, &request, &answer, expected, cost_and_savings);
}

#[test]
fn a_hit_of_the_tools_alone_books_the_tools_at_the_read_price_and_nothing_else() {
    check_claude(
        &json!({"input_tokens": 1_700, "cache_read_input_tokens": 1_600}),
        &[("tools", 1_600, 1_600, "0.00048"), ("system", 1_500, 0, "0.0045"), ("user", 200, 0, "0.0006")],
        ("0.00573", "0.00432"),
    );
}

#[test]
fn a_write_is_paid_by_what_is_written_at_the_price_of_its_lifetime() {
    check_claude(
        &json!({"input_tokens": 200, "cache_creation_input_tokens": 3_100}),
        &[("tools", 1_600, 0, "0.006"), ("system", 1_500, 0, "0.005625"), ("user", 200, 0, "0.0006")],
        ("0.012375", "-0.002325"),
    );
    // What is kept for an hour lies before what is kept for five minutes.
    let split = json!({"ephemeral_1h_input_tokens": 1_600, "ephemeral_5m_input_tokens": 1_500});
    check_claude(
        &json!({"input_tokens": 200, "cache_creation_input_tokens": 3_100, "cache_creation": split}),
        &[("tools", 1_600, 0, "0.0096"), ("system", 1_500, 0, "0.005625"), ("user", 200, 0, "0.0006")],
        ("0.015975", "-0.005925"),
    );
}

#[test]
fn a_hit_that_ends_inside_the_instructions_divides_them_to_the_token() {
    check_claude(
        &json!({"input_tokens": 200, "cache_read_input_tokens": 2_000, "cache_creation_input_tokens": 1_100}),
        &[("tools", 1_600, 1_600, "0.00048"), ("system", 1_500, 400, "0.004245"), ("user", 200, 0, "0.0006")],
        ("0.005475", "0.004575"),
    );
}

#[test]
fn openais_steps_of_128_tokens_end_where_they_end_in_its_own_order() {
    let request = json!({
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": words(844)}, {"role": "user", "content": "hi"},
            {"role": "assistant", "content": words(415)}, {"role": "user", "content": words(100)},
        ],
        "tools": [{"type": "function", "function":
            {"name": "find", "description": words(721), "parameters": {"type": "object", "properties": {}}}}],
    });
    // At $2 per million, $0.50 cached, $8 for output: instructions come first, tools behind them.
    check(
        &openai(),
        &request,
        &chat_answer(2_000, 9 * 128),
        &[
            ("system", 800, 800, "0.0004"),
            ("tools", 700, 352, "0.000872"),
            ("history", 400, 0, "0.0008"),
            ("user", 100, 0, "0.0002"),
        ],
        ("0.002288", "0.001728"),
    );
    check(
        &openai(),
        &request,
        &chat_answer(2_000, 13 * 128),
        &[
            ("system", 800, 800, "0.0004"),
            ("tools", 700, 700, "0.00035"),
            ("history", 400, 164, "0.000554"),
            ("user", 100, 0, "0.0002"),
        ],
        ("0.00152", "0.002496"),
    );
}
