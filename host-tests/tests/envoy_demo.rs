//! The demo's traffic through a real Envoy.

use tollgate_host::agent::plan;
use tollgate_host::agent::task::TASK_ID;
use tollgate_host::demo::{self, DemoOptions, bill};
use tollgate_host::{artifact, standin::Dialect};

#[test]
fn the_demo_accounts_for_every_call_and_prints_a_bill() {
    let options = DemoOptions { wasm: Some(artifact::wasm().expect("filter")), ..DemoOptions::default() };
    let demo = demo::run(&options).unwrap_or_else(|error| panic!("{error}"));
    let served = demo.standin.served();
    assert_eq!(served.len(), demo.requests);
    let calls = served.iter().filter(|served| served.dialect.is_some()).count();
    assert_eq!(demo.events.len(), calls, "one event per call, none for the list of models");
    let bill = bill::render(&demo.events, TASK_ID);
    assert!(bill.contains("Everything, by application") && bill.contains("ledgerline"), "{bill}");
    assert!(!bill.contains("$0.000000"), "{bill}");
}

#[test]
fn the_agents_history_dominates_and_caching_pays() {
    let options = DemoOptions { wasm: Some(artifact::wasm().expect("filter")), day: false, ..DemoOptions::default() };
    let demo = demo::run(&options).unwrap_or_else(|error| panic!("{error}"));
    let steps = demo.standin.served();
    assert_eq!(steps.len(), plan::length());
    assert!(steps.iter().all(|step| step.dialect == Some(Dialect::Anthropic) && step.status == 200));
    let inputs: Vec<u64> = steps.iter().map(|step| step.truth.input_total()).collect();
    assert!(inputs.is_sorted(), "{inputs:?}");
    let total: u64 = inputs.iter().sum();
    let read: u64 = steps.iter().map(|step| step.truth.cache_read).sum();
    assert!((250_000..500_000).contains(&total), "{total}: {inputs:?}");
    assert!(read * 10 > total * 8, "{read} of {total}");
}
