//! Breakers in the gateways: an agent that runs away is stopped, in whichever worker its calls arrive.

use serde_json::{Value, json};
use tollgate_core::names::header;
use tollgate_host::gateway::{Ending, Gateway, Outcome, Profile, RequestHead, ResponseHead, Settings, Stream};
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
fn an_agent_that_goes_on_without_a_new_input_of_its_user_is_stopped_until_there_is_one() {
    let limit = r#"{"id": "alone", "measure": "unattended_steps", "per": "task", "limit": 3}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limit);
        // Another city each time: no step repeats.
        let cities = ["Paris", "Rome", "Oslo", "Bern", "Lima"];
        let made = |at: usize, body: &Value| call(&gateway, at, "a", body, (200, 9)).status();
        let statuses: Vec<u32> = (0..5).map(|at| made(at, &step(at, cities[at]))).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429], "{profile:?}");
        let mut spoken = step(5, "Rome");
        spoken["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": "What is the weather?"}));
        assert_eq!(made(0, &spoken), 200, "{profile:?}: the same words again are a new input");
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

/// A stream of words in a worker, until it is ended or has put out so many; how many it has.
fn words(stream: &Stream, most: usize) -> usize {
    let mut words = 0;
    while words < most && stream.outcome().ending == Ending::Open {
        words += 1;
        let piece = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\" {words}\"}}}}]}}\n\n");
        stream.response_body(piece, false);
    }
    words
}

/// A streamed call of a task, up to where its answer begins.
fn begin(gateway: &Gateway, worker: usize) -> Stream {
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
    let stream = gateway.worker(worker).open(head);
    let body = r#"{"model":"m","stream":true,"max_tokens":5000,"messages":[{"role":"user","content":"count"}]}"#;
    stream.request_body(body, true);
    if stream.outcome().local_reply.is_none() {
        stream.respond(ResponseHead::sse());
    }
    stream
}

#[test]
fn streams_are_ended_once_the_budget_that_they_share_is_spent_and_the_next_call_is_refused() {
    let limit = r#"{"id": "day", "measure": "output_tokens", "per": "day", "limit": 3000, "action": "cut"}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limit);
        let workers = if profile == Profile::Apisix { [0, 0] } else { [0, 1] };
        let [one, other] = workers.map(|worker| begin(&gateway, worker));
        // Each holds the 1,024 tokens that are expected of a model that nothing is known of.
        assert_eq!((words(&one, 500), words(&other, 400)), (500, 400), "{profile:?}: nothing is spent yet");
        let put_out = words(&one, 4_000);
        if profile != Profile::Envoy {
            assert_eq!(put_out, 4_000, "{profile:?} cannot");
            one.response_body("data: [DONE]\n\n", true);
        }
        let charged = |event: &Value| event["limits"][0]["charged"].as_str().unwrap().parse::<u64>().unwrap();
        let first = event(profile, &one.finish());
        assert_eq!(first["output_tokens"], charged(&first));
        if profile == Profile::Envoy {
            assert_eq!((&first["outcome"], &first["limits"][0]["standing"]), (&json!("cut"), &json!("exceeded")));
            // The other one's part is held.
            assert!((1_970..=2_040).contains(&charged(&first)), "{first:#}");
            assert_eq!(words(&other, 50), 50, "what is held for a stream it may put out");
            words(&other, 2_000);
            let second = event(profile, &other.finish());
            assert_eq!(second["outcome"], "cut");
            assert!((3_000..=3_100).contains(&(charged(&first) + charged(&second))), "{second:#}");
        }
        assert_eq!(begin(&gateway, 0).finish().status(), 429, "{profile:?}");
    }
}

#[test]
fn a_breaker_that_opens_ends_the_streams_that_run() {
    let limit = r#"{"id": "burn", "measure": "cost_usd", "per": "minute", "limit": "5", "cool_down_seconds": 600,
        "action": "cut"}"#;
    let gateway = gateway(Profile::Envoy, limit);
    let stream = begin(&gateway, 0);
    assert_eq!(words(&stream, 20), 20);
    assert_eq!(call(&gateway, 1, "a", &step(0, "Paris"), (200, 6_000_000)).status(), 200);
    // A new window, but the breaker is open.
    gateway.advance(std::time::Duration::from_secs(120));
    assert_eq!(words(&stream, 20), 1, "the next piece is the last");
    let event = event(Profile::Envoy, &stream.finish());
    assert_eq!((&event["outcome"], &event["limits"][0]["charged"]), (&json!("cut"), &event["cost_usd"]), "{event:#}");
    gateway.advance(std::time::Duration::from_secs(500));
    let probe = begin(&gateway, 0);
    gateway.advance(std::time::Duration::from_secs(2));
    assert_eq!(words(&probe, 90), 90, "the one call that shows whether it is over is not ended by that");
}

#[test]
fn a_stream_that_does_not_end_is_ended_at_its_ceiling_on_envoy_and_charged_as_far_as_it_came() {
    let limits = r#"{"id": "long", "measure": "output_tokens", "limit": 500, "action": "cut"},
        {"id": "day", "measure": "output_tokens", "per": "day", "limit": 100000}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limits);
        let stream = begin(&gateway, 0);
        let words = words(&stream, 5_000);
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
