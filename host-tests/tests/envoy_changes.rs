//! Requests that limits change in a real Envoy, and streams that a spent budget ends there.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Room, event, small_call};
use tollgate_core::names::header;
use tollgate_host::agent::client::{self, Sent};
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER};
use tollgate_host::{artifact, wait};

fn room(configuration: Value) -> Room {
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| options.configuration = configuration)
}

/// Sends a body as a provider's client library does, and gives what the provider got.
fn send(room: &Room, dialect: Dialect, body: &Value) -> (Sent, Value) {
    let headers = [("x-stainless-lang".to_owned(), "python".to_owned())];
    let sent = client::post(&room.url(dialect.path()), &headers, body).expect("an answer");
    let received = room.standin.served().pop().expect("a call").body;
    (sent, serde_json::from_slice(&received).expect("JSON"))
}

#[test]
fn a_provider_gets_the_output_that_a_limit_leaves_and_everything_else_as_it_was() {
    let room = room(json!({
        "limits": [{"id": "short", "measure": "output_tokens", "limit": 40, "action": "cap_output"}],
    }));
    let fields = [
        (Dialect::OpenAiChat, "max_completion_tokens"),
        (Dialect::OpenAiResponses, "max_output_tokens"),
        (Dialect::Anthropic, "max_tokens"),
    ];
    for (calls, (dialect, field)) in fields.into_iter().enumerate() {
        let mut body = small_call(dialect, false);
        body[field] = json!(900);
        let (sent, received) = send(&room, dialect, &body);
        body[field] = json!(40);
        assert_eq!((sent.status, received), (200, body), "{dialect:?}");
        assert_eq!(sent.header(header::CHANGED), Some("max_output_tokens=40"), "{dialect:?}");
        let event = event(&room.log(calls + 1).pop().expect("a line"));
        let change = json!({"from": 900, "to": 40, "limit": "short"});
        assert_eq!(event["changes"]["max_output_tokens"], change, "{event:#}");
    }
}

#[test]
fn a_cheaper_model_answers_and_is_charged() {
    let room = room(json!({
        "downgrades": [{"model": "gpt-4.1-mini", "to": "gpt-4.1-nano", "max_output_tokens": 500}],
        "limits": [{"id": "dear", "measure": "input_tokens", "limit": 1, "action": "downgrade"}],
    }));
    let mut body = small_call(Dialect::OpenAiChat, false);
    body["max_completion_tokens"] = json!(100);
    let (sent, received) = send(&room, Dialect::OpenAiChat, &body);
    body["model"] = json!("gpt-4.1-nano");
    assert_eq!((sent.status, received), (200, body));
    assert_eq!(sent.header(header::CHANGED), Some("model=gpt-4.1-nano"));
    let event = event(&room.log(1).pop().expect("a line"));
    assert_eq!(event["changes"]["model"]["to"], "gpt-4.1-nano", "{event:#}");
    assert_eq!(event["prices"][0]["model"], "gpt-4.1-nano", "{event:#}");
}

#[test]
fn an_endless_stream_is_ended_once_its_budget_is_spent() {
    let room = room(json!({
        "limits": [{"id": "day", "measure": "output_tokens", "per": "day", "limit": 1_500, "action": "cut"}],
    }));
    let headers = [(FAILURE_HEADER.to_owned(), "endless".to_owned()), (PACE_HEADER.to_owned(), "1".to_owned())];
    let body = small_call(Dialect::OpenAiChat, true);
    client::post(&room.url(Dialect::OpenAiChat.path()), &headers, &body).expect("an answer");
    let event = event(&room.log(1).pop().expect("a line"));
    assert_eq!((&event["outcome"], &event["limits"][0]["standing"]), (&json!("cut"), &json!("exceeded")), "{event:#}");
    let broke = || room.standin.served().pop().filter(|served| served.broke()).map(|_| ());
    wait::until(Duration::from_secs(20), broke).expect("the provider's next write fails");
    let next = client::post(&room.url(Dialect::OpenAiChat.path()), &[], &body).expect("an answer");
    assert_eq!(next.status, 429, "{}", next.text());
}
