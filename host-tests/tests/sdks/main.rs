//! The official SDKs of OpenAI and Anthropic through a real Envoy with the filter: they notice nothing while calls pass,
//! and a refusal is the error that they know.

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Room, event};
use tollgate_host::artifact;

/// Calls that the script makes for each label.
const CALLS: usize = 7;

/// What applications see that make every call, once for each label.
fn calls(room: &Room, labels: &[&str]) -> Vec<Value> {
    let python = run(&mut Command::new(artifact::root().join("scripts/sdk-venv")));
    let script = artifact::root().join("host-tests/tests/sdks/calls.py");
    let printed = run(Command::new(python.trim()).arg(script).arg(room.envoy.url()).args(labels));
    printed.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn room(limits: &Value) -> Room {
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        options.configuration = json!({"limits": limits});
    })
}

#[test]
fn an_sdk_gets_what_it_would_get_without_the_filter_and_every_call_is_metered() {
    let room = room(&json!([]));
    let seen = calls(&room, &["shop"]);
    assert_eq!(seen.len(), CALLS, "{seen:#?}");
    for call in &seen {
        assert!(call["text"].as_str().is_some_and(|text| !text.is_empty()), "{call:#}");
        // The chunk of usage reaches whoever asked for it, and no one else.
        let asked = u64::from(call["call"] == "chat_stream_with_usage");
        assert_eq!(call["without_choice"].as_u64().unwrap_or(asked), asked, "{call:#}");
    }
    let log = room.log(CALLS);
    for (line, call) in log.iter().zip(&seen) {
        let event = event(line);
        assert_eq!((&event["outcome"], &event["usage_source"]), (&json!("complete"), &json!("reported")), "{event:#}");
        if call.get("output_tokens").is_some() {
            assert_eq!(event["output_tokens"], call["output_tokens"], "{event:#}");
        }
        assert!(event["cost_usd"].is_string(), "{event:#}");
    }
}

#[test]
fn a_refused_call_raises_the_sdks_rate_limit_error_once_and_says_which_limit() {
    let room = room(&json!([{"id": "no-words", "measure": "input_tokens", "limit": 1}]));
    let seen = calls(&room, &["shop"]);
    assert_eq!(seen.len(), CALLS, "{seen:#?}");
    for call in &seen {
        assert_eq!((&call["error"], &call["status"]), (&json!("RateLimitError"), &json!(429)), "{call:#}");
        assert!(call["message"].as_str().is_some_and(|message| message.contains("no-words")), "{call:#}");
    }
    // A retry would be one more line.
    let log = room.log(CALLS);
    assert!(log.iter().all(|line| line["outcome"] == "denied"), "{log:#?}");
    assert_eq!(room.standin.served().len(), 0);
}

#[test]
fn a_budget_that_is_spent_is_told_once_and_with_the_time_of_its_reset() {
    let room = room(&json!([{"id": "seven-a-month", "measure": "requests", "per": "month", "limit": CALLS}]));
    let seen = calls(&room, &["shop", "shop"]);
    let (made, refused) = seen.split_at(CALLS);
    assert!(made.iter().all(|call| call["error"].is_null()), "{made:#?}");
    assert_eq!(refused.len(), CALLS, "{refused:#?}");
    for call in refused {
        assert_eq!((&call["error"], &call["status"]), (&json!("RateLimitError"), &json!(429)), "{call:#}");
        assert!(call["message"].as_str().is_some_and(|message| message.contains("seven-a-month")), "{call:#}");
        assert!(call["retry_after"].as_str().and_then(|after| after.parse().ok()).is_some_and(|after: u64| after > 0));
    }
    room.log(2 * CALLS);
    assert_eq!(room.standin.served().len(), CALLS, "nobody tries again where waiting does not help");
}
