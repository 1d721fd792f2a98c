//! Breakers in the gateways: an agent that runs away is stopped, in whichever worker its calls arrive.

use serde_json::{Value, json};
use tollgate_core::names::header;
use tollgate_host::gateway::{Ending, Gateway, Outcome, Profile, RequestHead, ResponseHead, Settings};
use tollgate_host::replay;

use super::support::{answer_chat, event, start};

fn gateway(profile: Profile, limit: &str) -> Gateway {
    let sharing = if profile == Profile::Kong { r#""shared_data": "on","# } else { "" };
    let price = r#""prices": [{"model": "m", "input_per_million": "1", "output_per_million": "1"}],"#;
    let settings = replay::settings(profile, &format!(r#"{{{sharing} {price} "limits": [{limit}]}}"#));
    // APISIX's workers share nothing: there one has to see all of an agent.
    let workers = if profile == Profile::Apisix { 1 } else { 2 };
    start(Settings { workers, ..settings })
}

/// A call of a task's agent, in the worker whose turn it is, that puts out so many tokens.
fn call(gateway: &Gateway, number: usize, task: &str, body: &Value, (status, output): (u32, u64)) -> Outcome {
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions")
        .header("authorization", "Bearer sk-one")
        .header("x-tollgate-task", task);
    let workers = usize::from(gateway.find_worker(1).is_ok()) + 1;
    let stream = gateway.worker(number % workers).open(head);
    stream.request_body(body.to_string(), true);
    answer_chat(stream, status, output)
}

/// What an agent sends behind a tool call: its history, which grows with every step.
fn step(number: usize, city: &str) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "What is the weather?"})];
    for step in 0..=number {
        let (id, arguments) = (format!("call_{step}"), format!("{{\"city\":\"{city}\"}}"));
        messages.push(json!({"role": "assistant", "content": format!("Attempt {step}."), "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
        ]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": format!("error at {step}")}));
    }
    json!({"model": "m", "max_tokens": 50, "messages": messages})
}

const LOOP: &str = r#"{"id": "loop", "measure": "repeats", "per": "task", "limit": 5}"#;

#[test]
fn an_agent_that_makes_one_tool_call_over_and_over_is_stopped_at_the_configured_count() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, LOOP);
        let statuses: Vec<u32> =
            (0..8).map(|at| call(&gateway, at, "a", &step(at, "Paris"), (200, 9)).status()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429], "{profile:?}");
        let refused = call(&gateway, 0, "a", &step(8, "Paris"), (200, 9)).local_reply.unwrap();
        assert_eq!(refused.headers.text(header::SHOULD_RETRY).as_deref(), Some("false"), "{profile:?}");
        assert!(String::from_utf8_lossy(&refused.body).contains("over and over again"));
        let other = call(&gateway, 0, "a", &step(9, "Rome"), (200, 9));
        assert_eq!(other.status(), 200, "{profile:?}: another step may go on");
        assert_eq!(call(&gateway, 0, "b", &step(9, "Paris"), (200, 9)).status(), 200, "and so may another task");
    }
}

#[test]
fn a_step_that_failed_may_be_tried_again() {
    let gateway = gateway(Profile::Envoy, LOOP);
    let statuses: Vec<u32> = (0..9).map(|at| call(&gateway, at, "a", &step(0, "Paris"), (503, 0)).status()).collect();
    assert_eq!(statuses, [503; 9]);
}

#[test]
fn a_task_that_burns_too_fast_is_stopped_by_the_call_after_and_cools_down() {
    // Five dollars a minute; each call burns one and a half.
    let limit = r#"{"id": "burn", "measure": "cost_usd", "per": "minute", "key": ["task"], "limit": "5",
        "cool_down_seconds": 600}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limit);
        let burn = |at: usize| call(&gateway, at, "a", &step(at, "Paris"), (200, 1_500_000)).status();
        let idle = |at: usize| call(&gateway, at, "a", &step(at, "Paris"), (200, 9)).status();
        // Calls go on until what they spent is beyond the limit, and not one longer.
        let statuses: Vec<u32> = (0..6).map(burn).collect();
        assert!(statuses.starts_with(&[200, 200, 200]) && statuses.ends_with(&[429, 429]), "{profile:?} {statuses:?}");
        gateway.advance(std::time::Duration::from_secs(590));
        assert_eq!(idle(1), 429, "{profile:?}: it cools down beyond the window");
        gateway.advance(std::time::Duration::from_secs(11));
        assert_eq!([idle(0), idle(1), idle(0)], [200, 200, 200], "{profile:?}: one call shows that it is over");
        assert_eq!(call(&gateway, 0, "b", &step(0, "Paris"), (200, 9)).status(), 200, "another task was never stopped");
    }
}

#[test]
fn a_stream_that_does_not_end_is_ended_at_its_ceiling_on_envoy_and_charged_as_far_as_it_came() {
    let limits = r#"{"id": "long", "measure": "output_tokens", "limit": 500, "action": "cut"},
        {"id": "day", "measure": "output_tokens", "per": "day", "limit": 100000}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limits);
        let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
        let stream = gateway.worker(0).open(head);
        let body = r#"{"model":"m","stream":true,"max_tokens":5000,"messages":[{"role":"user","content":"count"}]}"#;
        stream.request_body(body, true);
        stream.respond(ResponseHead::sse());
        let mut words = 0;
        while words < 5_000 && stream.outcome().ending == Ending::Open {
            words += 1;
            stream.response_body(
                format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\" {words}\"}}}}]}}\n\n"),
                false,
            );
        }
        if profile != Profile::Envoy {
            assert_eq!(words, 5_000, "{profile:?} cannot");
            stream.response_body("data: [DONE]\n\n", true);
        }
        let event = event(profile, &stream.finish());
        let charged: u64 = event["limits"][1]["charged"].as_str().unwrap().parse().unwrap();
        assert_eq!(event["output_tokens"], charged);
        if profile == Profile::Envoy {
            assert_eq!((&event["outcome"], &event["limits"][0]["standing"]), (&json!("cut"), &json!("exceeded")));
            assert!((500..=560).contains(&charged), "{charged} tokens of 500");
        }
    }
}
