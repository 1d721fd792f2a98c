//! A budget in a real Envoy with two workers, spent by two hundred clients at once: what it promises, it keeps.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{Room, event};
use tollgate_core::money::Usd;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::standin::{Dialect, PACE_HEADER};

const CLIENTS: usize = 200;
/// Several times what the budget pays for.
const CALLS: usize = CLIENTS * 2;
const BUDGET: &str = "1.00";

/// Prices at which a call of the test costs about a cent.
fn room(reserve: &str) -> Room {
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        options.concurrency = 2;
        options.configuration = json!({
            "prices": [{"model": "gpt-4.1-mini*", "input_per_million": "100", "output_per_million": "200"}],
            "limits": [{
                "id": "a-dollar", "measure": "cost_usd", "per": "month", "limit": BUDGET,
                "reserve": reserve, "failure_mode": "closed",
            }],
        });
    })
}

/// Lets every client make its calls, all at once; what each was answered.
fn spend(room: &Room) -> Vec<u16> {
    let mut body = support::small_call(Dialect::OpenAiChat, true);
    body["max_completion_tokens"] = json!(60);
    let (url, body) = (room.url(Dialect::OpenAiChat.path()), &body);
    let pace = [(PACE_HEADER.to_owned(), "5".to_owned())];
    let ask = || (0..CALLS / CLIENTS).map(|_| client::post(&url, &pace, body).expect("an answer").status);
    thread::scope(|clients| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| clients.spawn(|| ask().collect::<Vec<_>>())).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

fn dollars(value: &Value) -> Usd {
    value.as_str().and_then(|text| Usd::parse(text).ok()).unwrap_or_else(|| panic!("{value} is no amount"))
}

/// The events of all calls, those that were forwarded and those that were refused.
fn events(room: &Room) -> (Vec<Value>, Vec<Value>) {
    room.log(CALLS).iter().map(event).partition(|event| event["outcome"] != "denied")
}

fn finding(event: &Value) -> &Value {
    &event["limits"][0]
}

/// Nobody was refused while what was asked for was there.
fn check_refusals(refused: &[Value]) {
    assert!(!refused.is_empty(), "the budget does not pay for every call");
    for event in refused {
        let found = finding(event);
        let wanted = dollars(&found["spent"]).plus(dollars(&found["held"])).plus(dollars(&found["amount"]));
        assert!(wanted > dollars(&json!(BUDGET)), "refused without need: {found:#}");
        assert_eq!(event["status"], 429);
    }
}

#[test]
fn with_an_upper_bound_no_cent_is_spent_beyond_the_budget() {
    let room = room("upper_bound");
    let answers = spend(&room);
    let (forwarded, refused) = events(&room);
    let spent: Usd = forwarded.iter().map(|event| dollars(&event["cost_usd"])).sum();
    assert!(spent <= dollars(&json!(BUDGET)), "{spent}");
    assert!(spent > dollars(&json!("0.50")), "calls that fit were made: {spent}");
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), forwarded.len());
    check_refusals(&refused);
    // What the ledger says at the end is what the events add up to.
    let last = forwarded.iter().map(|event| dollars(&finding(event)["spent"])).max();
    assert_eq!(last, Some(spent));
}

#[test]
fn with_what_is_expected_a_budget_is_exceeded_by_no_more_than_the_errors_of_the_calls_in_flight() {
    let room = room("expected");
    spend(&room);
    let (forwarded, refused) = events(&room);
    let spent: Usd = forwarded.iter().map(|event| dollars(&event["cost_usd"])).sum();
    let beyond = |event: &Value| {
        let (cost, expected) = (dollars(&event["cost_usd"]), dollars(&finding(event)["amount"]));
        if cost > expected { cost.minus(expected) } else { Usd::ZERO }
    };
    let errors: Usd = forwarded.iter().map(beyond).sum();
    assert!(spent <= dollars(&json!(BUDGET)).plus(errors), "{spent}, and estimates were {errors} too low");
    check_refusals(&refused);
}
