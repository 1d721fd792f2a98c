//! What the meter says of exchanges written for this purpose: one event beside every exchange under `testdata/`.
//!
//! The exchanges are ours, in the providers' exact wire shapes. To add one, write its `.json` and run the test with
//! `INSTA_UPDATE=always`; then read the `.snap` that appears, figure by figure, before committing it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic as tests do")]

#[cfg(feature = "schema")]
mod schema;
mod support;

use std::path::{Path, PathBuf};
use support::{Exchange, check_chunkings};
use tollgate_core::dialect::Dialect;
use tollgate_core::event::Event;

fn directory(dialect: Dialect) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(dialect.name())
}

fn exchanges() -> impl Iterator<Item = Exchange> {
    Dialect::ALL.into_iter().flat_map(|dialect| Exchange::all_in(&directory(dialect)))
}

#[test]
fn every_exchange_gives_its_event() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for dialect in Dialect::ALL {
        settings.set_snapshot_path(directory(dialect));
        for exchange in Exchange::all_in(&directory(dialect)) {
            let event = known(&exchange.event([exchange.answer()]));
            settings.bind(|| insta::assert_snapshot!(exchange.name.as_str(), event));
        }
    }
}

/// An event as JSON, without its fields that are `null`: a snapshot tells what is known, and a new field of the event
/// changes only those of the exchanges that it says something of. That every field is there, the schema's test checks.
fn known(event: &Event) -> String {
    let json = serde_json::to_string_pretty(event).unwrap();
    let is_null = |line: &&str| line.starts_with("  \"") && line.ends_with(": null,");
    json.lines().filter(|line| !is_null(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_event_lies_beside_an_exchange() {
    for snapshot in Dialect::ALL.into_iter().flat_map(|dialect| std::fs::read_dir(directory(dialect)).unwrap()) {
        let snapshot = snapshot.unwrap().path();
        assert!(snapshot.with_extension("json").exists(), "{}: left over", snapshot.display());
    }
}

#[test]
fn any_chunking_gives_the_same_event() {
    exchanges().for_each(|exchange| check_chunkings(&exchange));
}

#[test]
fn costs_by_bucket_and_by_component_sum_to_the_cost_of_the_call() {
    use tollgate_core::money::Usd;
    for exchange in exchanges() {
        let event = exchange.event([exchange.answer()]);
        let Some(cost) = event.cost_usd else { continue };
        assert_eq!(event.cost.values().copied().sum::<Usd>(), cost, "{}", exchange.name);
        let beside_input = ["output", "reasoning", "output_audio", "output_image", "web_search", "request"];
        let beside = beside_input.iter().filter_map(|name| event.cost.get(name)).copied().sum::<Usd>();
        let input = event.components.values().filter_map(|share| share.cost_usd).sum::<Usd>();
        assert_eq!(input.plus(beside), cost, "{}", exchange.name);
        let tokens: u64 = event.components.values().map(|share| share.tokens).sum();
        assert_eq!(Some(tokens), event.input_tokens, "{}", exchange.name);
    }
}
