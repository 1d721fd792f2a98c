//! Streams that a real Envoy ends at a ceiling: the client gets no more, and the provider can write no more.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Room, event};
use tollgate_host::agent::client;
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER};
use tollgate_host::{artifact, wait};

#[test]
fn an_endless_stream_is_ended_at_its_ceiling_and_charged_as_far_as_it_came() {
    let room = Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        options.configuration = json!({
            "limits": [
                {"id": "long", "measure": "output_tokens", "limit": 60, "action": "cut"},
                {"id": "day", "measure": "output_tokens", "per": "day", "limit": 100_000},
            ],
        });
    });
    let mut calls = 0;
    for dialect in Dialect::ALL {
        calls += 1;
        let headers = [(FAILURE_HEADER.to_owned(), "endless".to_owned()), (PACE_HEADER.to_owned(), "5".to_owned())];
        client::post(&room.url(dialect.path()), &headers, &support::small_call(dialect, true)).expect("an answer");
        let line = room.log(calls).pop().expect("a line");
        let event = event(&line);
        assert_eq!(event["outcome"], "cut", "{dialect:?} {event:#}");
        let found =
            |id: &str| event["limits"].as_array().and_then(|all| all.iter().find(|found| found["id"] == id)).cloned();
        assert_eq!(found("long").map(|long| long["standing"].clone()), Some(json!("exceeded")));
        let tokens = event["output_tokens"].as_u64().unwrap_or(0);
        assert!((60..=120).contains(&tokens), "{dialect:?}: {tokens} of 60");
        let charged = found("day").map(|day| day["charged"].clone());
        assert_eq!(charged, Some(json!(tokens.to_string())), "{dialect:?}");
        let broke = || room.standin.served().pop().filter(|served| served.broke()).map(|_| ());
        wait::until(Duration::from_secs(20), broke).expect("the provider's next write fails");
    }
    let metrics = room.envoy.metrics().expect("metrics");
    let used = metrics.sum("tollgate_budget_used", &[("limit", "day")]);
    let charged = event(&room.log(calls).pop().expect("a line"))["limits"][1]["spent"].clone();
    assert_eq!(used.map(|used| json!(used.to_string())), Some(charged), "a gauge says how the budget stands");
}
