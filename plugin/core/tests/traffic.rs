//! The meter against recorded provider traffic: token buckets to the last token. `costs.rs` looks at what they cost.
//!
//! The traffic is third-party and not part of this repository: `TOLLGATE_TRAFFIC` says where it is, by default
//! `../shared/traffic` beside the workspace; without it these tests say so and pass. What is right is computed a second
//! time in `truth`, from the usage objects that the recording lists, with the providers' rules and none of our readers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;
mod truth;

use support::{Exchange, answered, check_chunkings, traffic};
use tollgate_core::event::{Event, Outcome, UsageSource};
use tollgate_core::usage::Bucket;

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

/// Whether an event without stated usage says so, and counts both directions.
fn is_counted(event: &Event) -> bool {
    matches!(event.usage_source, UsageSource::Counted | UsageSource::Estimated)
        && event.input_tokens == event.predicted_input_tokens
        && event.output_tokens > Some(0)
}

#[test]
fn token_buckets_are_those_that_the_providers_rules_give() {
    let Some(traffic) = traffic() else { return };
    let mut wrong = Vec::new();
    println!("{:<24} {:>3} {:>10} {:>5}", "dialect", "n", "with usage", "right");
    for dialect in DIALECTS {
        let (mut n, mut with_usage, mut right) = (0, 0, 0);
        for exchange in answered(&traffic, dialect) {
            let event = exchange.event([exchange.answer()]);
            let truth = truth::buckets(dialect, &exchange.file, exchange.answer());
            let is_right = event.outcome == Outcome::Complete
                && match &truth {
                    Some(truth) => event.usage == *truth && event.usage_source == UsageSource::Reported,
                    None => is_counted(&event),
                };
            n += 1;
            with_usage += u32::from(truth.is_some());
            right += u32::from(is_right);
            if !is_right {
                wrong.push(format!("{}: expected {truth:?}, got {event:?}", exchange.name));
            }
        }
        println!("{dialect:<24} {n:>3} {with_usage:>10} {right:>5}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
fn refused_calls_are_told_apart_and_cost_nothing() {
    let Some(traffic) = traffic() else { return };
    let mut refused = 0;
    for exchange in DIALECTS.iter().flat_map(|dialect| Exchange::all_in(&traffic.join(dialect))) {
        if exchange.status() < 400 {
            continue;
        }
        let event = exchange.event([exchange.answer()]);
        let said = (event.outcome, event.input_tokens, event.output_tokens);
        assert_eq!(said, (Outcome::UpstreamError, Some(0), Some(0)), "{}", exchange.name);
        refused += 1;
    }
    println!("{refused} refused calls");
}

#[test]
fn any_chunking_of_recorded_traffic_gives_the_same_event() {
    let Some(traffic) = traffic() else { return };
    DIALECTS.iter().flat_map(|dialect| Exchange::all_in(&traffic.join(dialect))).for_each(|it| check_chunkings(&it));
}
