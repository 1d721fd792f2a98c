//! The meter against recorded provider traffic: token buckets to the last token. `costs.rs` looks at what they cost.
//!
//! The traffic is third-party and not part of this repository: `TOLLGATE_TRAFFIC` says where it is, by default
//! `../shared/traffic` beside the workspace; without it these tests say so and pass. What is right is computed a second
//! time in `truth`, from the usage objects that the recording lists, with the providers' rules and none of our readers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;
mod truth;

use std::path::Path;
use support::{Exchange, answered, check_chunkings, traffic};
use tollgate_core::event::{Event, Outcome, UsageSource};
use tollgate_core::money::Usd;
use tollgate_core::usage::{Bucket, Usage};

/// Those with formats of their own, whose recordings' tests assert what they consumed.
const DIALECTS: [&str; 15] = [
    "openai-chat",
    "openai-responses",
    "anthropic",
    "bedrock-converse",
    "bedrock-invoke",
    "bedrock-mantle-responses",
    "vertex-anthropic",
    "gemini",
    "vertex-gemini",
    "gemini-embeddings",
    "gemini-interactions",
    "cohere-v2",
    "cohere-other",
    "ollama",
    "voyage-embeddings",
];

/// Whether an event of an answer without stated usage says so, and counts both directions.
fn is_counted(event: &Event) -> bool {
    // An error inside a stream comes behind what was delivered.
    matches!(event.outcome, Outcome::Complete | Outcome::UpstreamError)
        && matches!(event.usage_source, UsageSource::Counted | UsageSource::Estimated)
        && event.input_tokens == event.predicted_input_tokens
        && event.output_tokens > Some(0)
}

/// Every directory of the traffic.
fn directories(traffic: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(traffic).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        entries.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    names.sort();
    names
}

/// Whether the event of an answer says what the provider's rule gives.
fn is_right(dialect: &str, exchange: &Exchange, truth: Option<&Usage>, event: Option<&Event>) -> bool {
    let Some(event) = event else { return dialect == "anthropic-count-tokens" };
    match truth {
        _ if exchange.status() >= 400 => {
            let said = (event.outcome, event.input_tokens, event.output_tokens, event.cost_usd);
            said == (Outcome::UpstreamError, Some(0), Some(0), Some(Usd::ZERO))
        }
        Some(truth) => event.usage == *truth && event.usage_source == UsageSource::Reported,
        None if dialect == "openai-audio" => (event.input_tokens, event.audio_seconds) == (None, Some(7)),
        None if dialect == "openai-images" => {
            (event.images, event.unmetered_reason.as_deref()) == (Some(1), Some("billed_by_image"))
        }
        None => is_counted(event),
    }
}

#[test]
fn token_buckets_of_every_recorded_exchange_are_those_that_the_providers_rules_give() {
    let Some(traffic) = traffic() else { return };
    let mut wrong = Vec::new();
    println!("{:<26} {:>3} {:>10} {:>5}", "dialect", "n", "with usage", "right");
    let (mut all, mut all_right) = (0, 0);
    for dialect in directories(&traffic) {
        let (mut n, mut with_usage, mut right) = (0, 0, 0);
        for exchange in Exchange::all_in(&traffic.join(&dialect)) {
            let event = exchange.event_if_any([exchange.answer()]);
            let truth = truth::buckets(&dialect, &exchange.file, exchange.answer()).filter(|_| exchange.status() < 400);
            n += 1;
            with_usage += u32::from(truth.is_some());
            if is_right(&dialect, &exchange, truth.as_ref(), event.as_ref()) {
                right += 1;
            } else {
                wrong.push(format!("{dialect}/{}: expected {truth:?}, got {event:?}", exchange.name));
            }
        }
        println!("{dialect:<26} {n:>3} {with_usage:>10} {right:>5}");
        (all, all_right) = (all + n, all_right + right);
    }
    println!("{:<26} {all:>3} {:>10} {all_right:>5}", "all", "");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(all, 171, "exchanges");
}

#[test]
fn tokens_are_those_that_the_recordings_own_tests_assert() {
    let Some(traffic) = traffic() else { return };
    for exchange in DIALECTS.iter().flat_map(|dialect| answered(&traffic, dialect)) {
        let asserted = &exchange.file["expected"]["test_asserted_usage"]["usage"];
        let usage = exchange.event([exchange.answer()]).usage;
        for (name, tokens) in [
            ("input_tokens", usage.input_total()),
            ("output_tokens", usage.output_total()),
            ("cache_read_tokens", usage.cache_read_total()),
            ("cache_write_tokens", usage.get(Bucket::CacheWrite5m) + usage.get(Bucket::CacheWrite1h)),
            ("output_reasoning_tokens", usage.get(Bucket::Reasoning)),
        ] {
            let expected = asserted[name].as_u64().unwrap_or(tokens);
            assert_eq!(tokens, expected, "{}: {name}", exchange.name);
        }
    }
}

#[test]
fn any_chunking_of_recorded_traffic_gives_the_same_event() {
    let Some(traffic) = traffic() else { return };
    for dialect in directories(&traffic).iter().filter(|dialect| *dialect != "anthropic-count-tokens") {
        Exchange::all_in(&traffic.join(dialect)).iter().for_each(check_chunkings);
    }
}
