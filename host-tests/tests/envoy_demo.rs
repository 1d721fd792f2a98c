//! The demo's traffic through a real Envoy: every call accounted for, and a bill that says what a user wants to know.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_core::money::Usd;
use tollgate_host::agent::plan;
use tollgate_host::agent::task::TASK_ID;
use tollgate_host::artifact;
use tollgate_host::demo::{self, Demo, DemoOptions, bill};
use tollgate_host::standin::Dialect;

fn run(day: bool) -> Demo {
    let options = DemoOptions { wasm: Some(artifact::wasm().expect("filter")), day, ..DemoOptions::default() };
    demo::run(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// The sum of a count over all events.
fn sum(events: &[Value], pointer: &str) -> u64 {
    events.iter().filter_map(|event| event.pointer(pointer).and_then(Value::as_u64)).sum()
}

#[test]
fn the_demo_accounts_for_every_call_and_prints_a_bill() {
    let demo = run(true);
    let served = demo.standin.served();
    let calls = served.iter().filter(|served| served.dialect.is_some()).count();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &demo.events {
        *outcomes.entry(event["outcome"].as_str().expect("an outcome")).or_default() += 1;
    }
    assert_eq!(served.len(), demo.requests - 1, "one call is refused on the way");
    assert_eq!(demo.events.len(), calls + 1, "one event per call, none for the list of models");
    let expected = [("client_gone", 1), ("complete", calls - 3), ("denied", 1), ("upstream_error", 2)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    let bill = bill::render(&demo.events, TASK_ID);
    for said in [
        "Everything, by application",
        "Everything, by user",
        "ledgerline",
        "m.okafor",
        "The user wrote 0.8 % of this input",
        "saved by caching",
        "+ 1 unknown",
        "long-prompt",
        "notebook-tables",
    ] {
        assert!(bill.contains(said), "no `{said}` in\n{bill}");
    }
    assert!(!bill.contains("$0.000000"), "{bill}");
    let places = demo.places();
    assert!(places.iter().any(|(what, place)| *what == "metrics" && place.starts_with("http://127.0.0.1:")));
}

#[test]
fn the_agents_history_dominates_caching_pays_and_the_bill_is_the_providers() {
    let demo = run(false);
    let steps = demo.standin.served();
    assert_eq!((steps.len(), demo.events.len()), (plan::length(), plan::length()));
    assert!(steps.iter().all(|step| step.dialect == Some(Dialect::Anthropic) && step.status == 200));
    // The log is in the order in which calls ended, which here is that in which they were made.
    for (number, (event, step)) in demo.events.iter().zip(&steps).enumerate() {
        assert_eq!(event["task"]["step"], number + 1);
        let truth = &step.truth;
        let stated = [truth.input_total(), truth.cache_read, truth.cache_write_5m, truth.output_total()];
        let found = ["input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens"];
        assert_eq!(found.map(|field| event[field].as_u64()), stated.map(Some), "step {}", number + 1);
    }
    let input = sum(&demo.events, "/input_tokens");
    let share = |component: &str| 1000 * sum(&demo.events, &format!("/components/{component}/tokens")) / input;
    let shares = [share("system") + share("tools"), share("history"), share("user")];
    assert!(
        (100..140).contains(&shares[0]) && (840..880).contains(&shares[1]) && (6..9).contains(&shares[2]),
        "{shares:?}"
    );
    assert!((300_000..450_000).contains(&input), "{input}");
    assert!(sum(&demo.events, "/cache_read_tokens") * 10 > input * 8);
    let cost = |event: &Value, pointer: &str| {
        Usd::parse(event.pointer(pointer).and_then(Value::as_str).expect("a cost")).expect("a cost")
    };
    let paid = demo.events.iter().fold(Usd::ZERO, |paid, event| paid.plus(cost(event, "/cost_usd")));
    let last = demo.events.last().expect("an event");
    assert_eq!(cost(last, "/task/cost_usd"), paid, "the task's running total is the sum of its steps");
    let saved = demo.events.iter().fold(Usd::ZERO, |saved, event| saved.plus(cost(event, "/cache/savings_usd")));
    assert!(saved.femto() > 3 * paid.femto(), "{saved} saved, {paid} paid");
}
