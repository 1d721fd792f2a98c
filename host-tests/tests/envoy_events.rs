//! Events of a real Envoy: those of the native core for the same bytes, and what the provider itself would bill.

mod support;

use serde_json::{Value, json};
use support::{Room, event, native, same, small_call};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;
use tollgate_host::agent::Labels;
use tollgate_host::agent::client::{self, Sent};
use tollgate_host::artifact;
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER, Truth};

/// Dollars per million tokens of the models of [`small_call`], copied from the price list: input, cache read,
/// cache write, output.
fn prices(dialect: Dialect) -> [&'static str; 4] {
    match dialect {
        Dialect::OpenAiChat => ["0.4", "0.1", "0", "1.6"],
        Dialect::OpenAiResponses => ["0.25", "0.025", "0", "2"],
        Dialect::Anthropic => ["2", "0.1", "2.5", "10"],
    }
}

fn room() -> Room {
    Room::with(artifact::wasm().expect("the filter builds"))
}

/// Sends one call and holds Envoy's event against the native core's for the bytes that went through.
fn check(room: &Room, calls: usize, dialect: Dialect, labels: &Labels, body: &Value) -> (Value, Sent) {
    let sent = client::post(&room.url(dialect.path()), labels.headers(), body).expect("an answer");
    let line = room.log(calls).pop().expect("a line");
    let found = event(&line);
    let host = room.envoy.url().trim_start_matches("http://").to_owned();
    let request = body.to_string();
    let seen = native::Exchange {
        method: "POST",
        path: dialect.path(),
        host: &host,
        request_headers: labels.headers(),
        request: request.as_bytes(),
        status: sent.status,
        response_headers: &sent.headers,
        response: &sent.body,
    };
    let now = Timestamp::parse(found["time"].as_str().expect("a time")).expect("a time");
    let timeless = |event: Value| {
        let mut event = same::without_id(event);
        (event["time"], event["timing"]) = (Value::Null, Value::Null);
        event["time_per_output_token_us"] = Value::Null;
        event["request_id"] = Value::Null;
        event
    };
    assert_eq!(found["request_id"], line["request_id"], "the gateway's own id of the request");
    let expected = timeless(native::event(&seen, "{}", now));
    same::assert_same(&timeless(found.clone()), &expected, &format!("{dialect:?} {:?}", labels.headers()));
    (found, sent)
}

#[test]
fn events_are_those_of_the_native_core_whether_written_at_once_or_piece_by_piece() {
    let room = room();
    let mut calls = 0;
    for dialect in Dialect::ALL {
        for (stream, pace) in [(false, ""), (true, ""), (true, "1")] {
            for failure in ["", "status-500", "truncated", "error-event"] {
                calls += 1;
                let labels =
                    Labels::app("same", "qa").with_header(PACE_HEADER, pace).with_header(FAILURE_HEADER, failure);
                check(&room, calls, dialect, &labels, &small_call(dialect, stream));
            }
        }
    }
}

#[test]
fn tokens_and_cost_are_those_the_provider_would_bill_cached_or_not() {
    let room = room();
    let mut calls = 0;
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            // The second of two equal calls finds its prompt in the provider's cache.
            for _ in 0..2 {
                calls += 1;
                let (event, _) = check(&room, calls, dialect, &Labels::app("bill", "qa"), &long_call(dialect, stream));
                let truth = room.standin.served().pop().expect("a call").truth;
                check_bill(dialect, &event, &truth);
            }
        }
    }
    let read: u64 = room.standin.served().iter().map(|served| served.truth.cache_read).sum();
    assert!(read > 5_000, "the cache was at work: {read}");
}

/// A call whose prompt is long enough to be cached.
fn long_call(dialect: Dialect, stream: bool) -> Value {
    let text = "The freight of each parcel is charged by weight, zone and day of the week. ".repeat(120);
    let mut body = small_call(dialect, stream);
    match dialect {
        Dialect::OpenAiChat => body["messages"][0]["content"] = json!(text),
        Dialect::OpenAiResponses => body["input"] = json!(text),
        Dialect::Anthropic => {
            body["messages"][0]["content"] =
                json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
        }
    }
    body
}

fn check_bill(dialect: Dialect, event: &Value, truth: &Truth) {
    let stated = [
        ("input_tokens", truth.input_total()),
        ("output_tokens", truth.output_total()),
        ("input_uncached_tokens", truth.input_uncached),
        ("cache_read_tokens", truth.cache_read),
        ("cache_write_5m_tokens", truth.cache_write_5m),
        ("cache_write_1h_tokens", truth.cache_write_1h),
        ("reasoning_tokens", truth.reasoning),
    ];
    for (field, tokens) in stated {
        assert_eq!(event[field], tokens, "{dialect:?} {field}");
    }
    let [input, read, write, output] = prices(dialect).map(|price| Usd::parse(price).expect("a price").femto());
    let sum = [
        (truth.input_uncached, input),
        (truth.cache_read, read),
        (truth.cache_write_5m, write),
        (truth.output_total(), output),
    ];
    let expected: i128 = sum.iter().map(|(tokens, price)| i128::from(*tokens) * price).sum::<i128>() / 1_000_000;
    let cost = Usd::parse(event["cost_usd"].as_str().expect("a cost")).expect("a cost");
    assert_eq!(cost.femto(), expected, "{dialect:?} {event:#}");
}
