//! Admission speed, native: `cargo bench -p tollgate-core --bench requests`.
//!
//! An agent's request of about 200 KB, forty messages and thirty tools, read, counted and judged: "new" by a meter that
//! never saw it, "known" by one that saw all but a tail that no request before it had, "step" with 4 KB of new messages.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tollgate_core::config::Config;
use tollgate_core::head::RequestHead;
use tollgate_core::meter::{Body, Meter};
use tollgate_core::time::Timestamp;

/// Text in which no line is like another.
fn text(seed: usize, bytes: usize) -> String {
    let line = |number: usize| {
        format!(
            "Ticket {seed}-{number}: parcel {} of {} kg was returned, \"refund\" pending.\n",
            number * 7,
            number % 13
        )
    };
    (1..).map(line).scan(0, |length, text| (*length < bytes).then(|| (*length += text.len(), text).1)).collect()
}

fn message(seed: usize, bytes: usize) -> Value {
    json!({"role": if seed.is_multiple_of(2) { "user" } else { "assistant" }, "content": text(seed, bytes)})
}

/// A conversation of `messages`, and one more message of `tail` bytes.
fn request(messages: &[Value], seed: usize, tail: usize) -> Vec<u8> {
    let tool = |number: usize| {
        json!({"type": "function", "function": {"name": format!("tool_{number}"), "description": text(number, 400),
            "parameters": {"type": "object", "properties": {"id": {"type": "string", "description": text(number, 100)}}}}})
    };
    let messages: Vec<Value> = messages.iter().cloned().chain([message(seed, tail)]).collect();
    json!({"model": "gpt-4.1", "tools": (0..30).map(tool).collect::<Vec<_>>(), "messages": messages})
        .to_string()
        .into_bytes()
}

fn admit(meter: &mut Meter, body: &[u8]) {
    let head = RequestHead { method: "POST", path: "/v1/chat/completions", host: "h", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), Timestamp::default()).unwrap();
    black_box(meter.admit(&mut call, Body::Whole(body)));
}

fn requests(criterion: &mut Criterion) {
    let messages: Vec<Value> = (0..40).map(|seed| message(seed, 4_200)).collect();
    let mut seed = 1_000;
    let mut next = |tail: usize| {
        seed += 1;
        request(&messages, seed, tail)
    };
    let mut group = criterion.benchmark_group("requests");
    group.sample_size(50).throughput(Throughput::Bytes(next(100).len() as u64));
    let new = || Meter::new(Config::default(), [1, 2]);
    group.bench_function("new", |bencher| {
        bencher.iter_batched(
            || (new(), next(100)),
            |(mut meter, body)| admit(&mut meter, &body),
            BatchSize::LargeInput,
        );
    });
    for (name, tail) in [("known", 100), ("step", 4_096)] {
        let mut meter = new();
        admit(&mut meter, &next(100));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| next(tail), |body| admit(&mut meter, &body), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
