//! What a prompt consists of, in event and metrics, under every gateway.

use serde_json::{Value, json};
use tollgate_core::money::Usd;
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

/// A call of Claude with everything that a prompt can hold: two tools, what one returned, a picture.
fn rich_request() -> Value {
    let tool = |name: &str, count: usize| json!({"name": name, "description": words(count), "input_schema": {"type": "object"}});
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoAAAANSUhEUgAAAMgAAADI"}});
    json!({
        "model": "claude-sonnet-4-5", "max_tokens": 90, "system": words(300),
        "tools": [tool("find", 200), tool("pay", 400)],
        "messages": [
            {"role": "user", "content": words(50)}, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "find", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": words(250)}]},
            {"role": "assistant", "content": words(20)},
            {"role": "user", "content": [picture, {"type": "text", "text": words(100)}]},
        ],
    })
}

/// The answer to it: 2,000 tokens read, of which 1,000 were cached, and a call of one of the tools.
fn rich_answer() -> Value {
    json!({
        "type": "message", "model": "claude-sonnet-4-5", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "u", "name": "find", "input": {"order": 7}}],
        "usage": {"input_tokens": 1_000, "cache_read_input_tokens": 1_000, "output_tokens": 40}
    })
}

/// Its event and gateway, on every profile.
fn rich() -> impl Iterator<Item = (Profile, Gateway, Value)> {
    Profile::ALL.into_iter().map(|profile| {
        let gateway = gateway(profile, "{}");
        let head = RequestHead::post_json("api.anthropic.com", "/v1/messages");
        let event = call((profile, &gateway), head, &rich_request(), &rich_answer());
        (profile, gateway, event)
    })
}

fn femto(value: &Value) -> i128 {
    Usd::parse(value.as_str().expect("dollars")).expect("dollars").femto()
}

#[test]
fn each_component_has_its_tokens_share_and_cost_in_event_and_metrics() {
    for (profile, gateway, event) in rich() {
        let (mut tokens, mut cost) = (0, femto(&event["cost"]["output"]));
        for (component, share) in event["components"].as_object().expect("components") {
            let own = share["tokens"].as_u64().expect("tokens");
            assert_eq!(share["share"], json!(own as f64 / 2_000.0), "{profile:?} {component}");
            assert_eq!(own > 0, component != "few_shot", "{profile:?} {component}");
            (tokens, cost) = (tokens + own, cost + femto(&share["cost_usd"]));
            if has_metrics(profile) && own > 0 {
                let counted = |name| metric(&gateway, name, &[("component", component)]);
                assert_eq!(counted(metric::COMPONENT_TOKENS), Some(own), "{profile:?} {component}");
                let nano = counted(metric::COMPONENT_COST).map(i128::from);
                assert_eq!(nano, Some(femto(&share["cost_usd"]) / 1_000_000), "{profile:?} {component}");
            }
        }
        assert_eq!((tokens, cost), (2_000, femto(&event["cost_usd"])), "{profile:?}");
    }
}

#[test]
fn what_tools_returned_and_pictures_have_figures_of_their_own() {
    for (profile, _, event) in rich() {
        let (results, history) = (&event["tool_results"], &event["components"]["history"]);
        let tokens = |share: &Value| share["tokens"].as_u64().expect("tokens");
        // 250 of some 320 words of history.
        assert!(
            tokens(results) * 100 > tokens(history) * 65 && tokens(results) < tokens(history),
            "{profile:?} {results}"
        );
        assert!(femto(&results["cost_usd"]) < femto(&history["cost_usd"]), "{profile:?} {results}");
        let picture = &event["media"]["image"];
        // Anthropic: width times height over 750, of a picture of 200 by 200.
        assert_eq!(picture["count"], 1, "{profile:?} {event:#}");
        assert!((53..=70).contains(&tokens(picture)), "{profile:?} {picture}");
        let plain = call(
            (profile, &gateway(profile, "{}")),
            openai(),
            &json!({"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}),
            &chat_answer(8, 0),
        );
        assert_eq!((&plain["tool_results"], &plain["media"]), (&Value::Null, &json!({})), "{profile:?}");
    }
}

#[test]
fn every_tool_definition_is_weighed_called_or_not() {
    for (profile, gateway, event) in rich() {
        let tools = &event["tools"];
        let [heavy, light] = [0, 1].map(|at| &tools["heaviest"][at]);
        assert_eq!((&heavy["name"], &heavy["called"]), (&json!("pay"), &json!(false)), "{profile:?} {tools}");
        assert_eq!((&light["name"], &light["called"]), (&json!("find"), &json!(true)), "{profile:?} {tools}");
        assert_eq!((&tools["unused_tokens"], &tools["unused_cost_usd"]), (&heavy["tokens"], &heavy["cost_usd"]));
        let all = ["tokens"]
            .map(|field| [heavy, light].map(|tool| tool[field].as_u64().expect("tokens")).iter().sum::<u64>());
        let overhead = tools["overhead_tokens"].as_u64().expect("tokens");
        assert_eq!(Some(all[0] + overhead), event["components"]["tools"]["tokens"].as_u64(), "{profile:?} {tools}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::UNUSED_TOOL_TOKENS, &[]), heavy["tokens"].as_u64(), "{profile:?}");
            let nano = metric(&gateway, metric::UNUSED_TOOL_COST, &[]).map(i128::from);
            assert_eq!(nano, Some(femto(&heavy["cost_usd"]) / 1_000_000), "{profile:?}");
        }
    }
}

#[test]
fn how_much_was_asked_and_answered_of_all_tokens_and_a_neutral_unit_stand_beside_them() {
    for (profile, _, event) in rich() {
        let asked = event["components"]["user"]["tokens"].as_u64().expect("tokens");
        let efficiency = event["token_efficiency_ratio"].as_f64().expect("a ratio");
        assert!((efficiency - (asked + 40) as f64 / 2_040.0).abs() < 1e-6, "{profile:?} {efficiency}");
        // Characters over four: some 1,320 words of five.
        let standard = event["standard_tokens"].as_u64().expect("tokens");
        assert!((1_650..1_750).contains(&standard), "{profile:?} {standard}");
    }
}

#[test]
fn a_cache_has_its_hit_rate_and_what_it_saves_and_leaves_of_the_price() {
    for (profile, gateway, event) in rich() {
        let cache = &event["cache"];
        // Half of 2,000 tokens at $0.30 instead of $3 per million: $1.65 on average, and 40 of output at $15.
        assert_eq!((&cache["hit_rate"], &cache["savings_usd"]), (&json!(0.5), &json!("0.0027")), "{profile:?}");
        assert_eq!(cache["effective_input_per_million_usd"], "1.65", "{profile:?}");
        assert_eq!((&event["cost_usd"], &cache["savings_ratio"]), (&json!("0.0039"), &json!(0.409_09)), "{profile:?}");
        if has_metrics(profile) {
            let read = metric(&gateway, metric::BUCKET_TOKENS, &[("type", "cache_read")]);
            assert_eq!((read, metric(&gateway, metric::TOKENS, &[("type", "input")])), (Some(1_000), Some(2_000)));
            assert_eq!(metric(&gateway, metric::CACHE_SAVINGS, &[]), Some(2_700_000), "{profile:?}");
        }
        // A write that nothing has read yet is a loss.
        let gateway = super::support::gateway(profile, "{}");
        let head = RequestHead::post_json("api.anthropic.com", "/v1/messages");
        let mut answer = rich_answer();
        answer["usage"] = json!({"input_tokens": 1_000, "cache_creation_input_tokens": 1_000, "output_tokens": 40});
        let lost = call((profile, &gateway), head, &rich_request(), &answer)["cache"].take();
        assert_eq!(
            (&lost["savings_usd"], &lost["savings_ratio"]),
            (&json!("-0.00075"), &json!(-0.113_636)),
            "{profile:?}"
        );
        assert_eq!(lost["effective_input_per_million_usd"], "3.375", "{profile:?}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::CACHE_LOSSES, &[]), Some(750_000), "{profile:?}");
        }
    }
}
