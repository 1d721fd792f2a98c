//! The demo's traffic through a real Envoy: every call accounted for, and a bill that says what a user wants to know.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_core::money::Usd;
use tollgate_host::agent::task::TASK_ID;
use tollgate_host::agent::{plan, support};
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
    the_day_is_mostly_structure(&demo.events);
    the_bill_names_the_tools_that_joined(&demo.events, &bill);
    let places = demo.places();
    assert!(places.iter().any(|(what, place)| *what == "metrics" && place.starts_with("http://127.0.0.1:")));
}

/// How near the demo's traffic is to what it stands for, in permille of the input.
const NEAR: u64 = 20;

/// The tokens of each component, in permille of all.
fn shares<const N: usize>(events: &[Value], components: [&str; N]) -> [u64; N] {
    let input = sum(events, "/input_tokens");
    components.map(|component| 1_000 * sum(events, &format!("/components/{component}/tokens")) / input)
}

/// Of a mixed day's input 42 % are instructions, 28 % tools, 15 % examples, 10 % history, and 5 % what users ask.
fn the_day_is_mostly_structure(events: &[Value]) {
    let of_task = |event: &&Value| event["attribution"]["task"] == TASK_ID;
    let day: Vec<Value> = events.iter().filter(|event| !of_task(event)).cloned().collect();
    let found = shares(&day, ["system", "tools", "few_shot", "history", "user"]);
    let near = found.iter().zip([420, 280, 150, 100, 50]).all(|(found, wanted)| found.abs_diff(wanted) <= NEAR);
    assert!(near, "{found:?}");
}

/// Three tools of an MCP server join the support bot halfway: the bill has the name of each, what it weighs and costs.
fn the_bill_names_the_tools_that_joined(events: &[Value], bill: &str) {
    let weight = |event: &Value, name: &str| {
        let tools = event["tools"]["heaviest"].as_array().into_iter().flatten();
        tools.filter(|tool| tool["name"] == name).find_map(|tool| tool["tokens"].as_u64())
    };
    for name in ["search_issues", "create_issue", "add_comment"].map(|tool| format!("mcp__tickets__{tool}")) {
        let weights: Vec<u64> = events.iter().filter_map(|event| weight(event, &name)).collect();
        let line = bill.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("no {name} in\n{bill}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let tokens: u64 = weights.iter().sum();
        let expected = [support::APP, "7", "6", &(tokens / 6).to_string(), &tokens.to_string()];
        assert_eq!((weights.len(), &words[1..6]), (6, &expected[..]), "{line}");
        assert!(words[6].starts_with("$0.000") && words[7] == "0" && tokens / 6 > 50, "{line}");
    }
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
    // Near 12 % prompt and tools, 85 % history, 0.75 % the user; what remains are the examples.
    let [system, tools, history, user] = shares(&demo.events, ["system", "tools", "history", "user"]);
    let near = (system + tools).abs_diff(120) <= NEAR && history.abs_diff(850) <= NEAR && (6..9).contains(&user);
    assert!(near, "{system} + {tools}, {history}, {user}");
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
