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
