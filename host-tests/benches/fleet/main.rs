//! What a call waits longer where a fleet shares its budget, at a steady two hundred requests a second. `make bench` runs it;
//! `BENCHMARKS.md` explains it.
//!
//! Three Envoys run side by side, which differ in `fleet` alone; each round asks all of them in turn.
//! Must not know: how gateways share a budget.
#![allow(missing_docs, clippy::expect_used, clippy::float_arithmetic, reason = "a bench")]

use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tollgate_core::names::metric;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::envoy::{Envoy, Options};
use tollgate_host::redis::{AUTHORIZATION, Store};
use tollgate_host::standin::{Dialect, Standin};

const MODES: [&str; 3] = ["off", "eventual", "strict"];
/// Requests of a round and mode, five milliseconds apart.
const CALLS: u32 = 400;
const CLIENTS: u32 = 8;
const APART: Duration = Duration::from_millis(5);

fn main() {
    let is_quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let rounds = if is_quick { 4 } else { 20 };
    let (store, standin) = (Store::start().expect("a store"), Standin::start().expect("a provider"));
    let envoys = MODES.map(|mode| start(mode, &store, &standin));
    let mut took = MODES.map(|_| Vec::new());
    for round in 0..=rounds {
        for (envoy, took) in envoys.iter().zip(&mut took) {
            let times = ask(envoy);
            // The first round warms up.
            if round > 0 {
                took.extend(times);
            }
        }
    }
    println!("\n| fleet | p50 | of off | calls that waited |\n|---|---|---|---|");
    let medians = took.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    for ((mode, median), envoy) in MODES.into_iter().zip(medians).zip(&envoys) {
        let waited = envoy.metrics().expect("metrics").sum(metric::STORE_WAITS, &[]).unwrap_or(0.0);
        let calls = f64::from(CALLS * (rounds + 1));
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!("| {mode} | {} µs | ×{ratio:.3} | {:.2} % |", median.as_micros(), 100.0 * waited / calls);
    }
}

fn start(mode: &str, store: &Store, standin: &Standin) -> Envoy {
    let key_prefix = format!("{mode}:");
    store.settle(&key_prefix).expect("Redis answers");
    let mut options = Options::new(artifact::wasm().expect("the filter builds"), standin.address());
    options.store = Some(store.port());
    options.configuration = json!({
        "store": {"target": "webdis", "headers": {"authorization": AUTHORIZATION}, "key_prefix": key_prefix},
        "limits": [{
            "id": "budget", "measure": "cost_usd", "per": "month", "limit": "1000", "fleet": mode, "reserve": "upper_bound",
        }],
    });
    Envoy::start(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// How long each call of a round took; they leave at fixed times, whatever those before them take.
fn ask(envoy: &Envoy) -> Vec<Duration> {
    let url = format!("{}{}", envoy.url(), Dialect::OpenAiChat.path());
    let body = json!({
        "model": "gpt-4.1-mini", "max_completion_tokens": 20,
        "messages": [{"role": "user", "content": "How many legs do three spiders and a stool have?"}],
    });
    let (url, body, start) = (&url, &body, Instant::now());
    thread::scope(|clients| {
        let client = |first: u32| {
            let call = move |number: u32| {
                thread::sleep((start + APART * number).saturating_duration_since(Instant::now()));
                let sent = Instant::now();
                assert_eq!(client::post(url, &[], body).expect("an answer").status, 200);
                sent.elapsed()
            };
            (first..CALLS).step_by(8).map(call).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..CLIENTS).map(|first| clients.spawn(move || client(first))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}
