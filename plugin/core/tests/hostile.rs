//! What clients and providers may send that is no call: the meter neither panics nor grows, and the event says what
//! happened.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test may panic as tests do"
)]

mod support;

use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;
use support::{Exchange, published};
use tollgate_core::dialect::{Delivered, Dialect, RequestError};
use tollgate_core::event::{CostSource, Event, Outcome, UsageSource};
use tollgate_core::usage::Bucket;

/// The most bytes of an event, whatever was sent: names are cut at 256 characters, a response lists at most 128 tools
/// of 512 bytes and 256 iterations with a price each.
const EVENT_MAX: usize = 256 * 1024;

/// Our own exchanges, as seeds.
static SEEDS: LazyLock<Vec<Exchange>> = LazyLock::new(|| {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    Dialect::ALL.iter().flat_map(|dialect| Exchange::all_in(&testdata.join(dialect.name()))).collect()
});

/// Bytes that are nothing, and bytes that are almost an answer: cut, with a part doubled, with a byte changed.
fn damaged(bytes: fn(&Exchange) -> &[u8]) -> impl Strategy<Value = (usize, Vec<u8>)> {
    let cut = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
    (0..SEEDS.len(), 0_u8..5, cut, prop::collection::vec(any::<u8>(), 0..200)).prop_map(
        move |(seed, how, at, noise)| {
            let whole = bytes(&SEEDS[seed]);
            let index = |at: prop::sample::Index| at.index(whole.len() + 1);
            let (from, to) = (index(at.0).min(index(at.1)), index(at.0).max(index(at.1)));
            let bytes = match how {
                0 => noise,
                1 => whole[..to].to_vec(),
                2 => [&whole[..from], &noise, &whole[from..]].concat(),
                3 => [&whole[..to], &whole[from..]].concat(),
                _ => {
                    let mut bytes = whole.to_vec();
                    if let Some(byte) = bytes.get_mut(at.2.index(whole.len().max(1))) {
                        *byte = at.3;
                    }
                    bytes
                }
            };
            (seed, bytes)
        },
    )
}

/// What must be true of every event.
fn check(event: &Event) {
    let text = published(event);
    assert!(text.len() <= EVENT_MAX, "{} bytes", text.len());
    // Unknown is never zero, and always has a reason.
    let is_known = event.input_tokens.is_some();
    assert_eq!((event.output_tokens.is_some(), event.web_searches.is_some()), (is_known, is_known), "{text}");
    assert_eq!(event.components.is_empty(), !is_known, "{text}");
    if !is_known {
        assert!(event.unmetered_reason.is_some(), "{text}");
        assert_eq!((event.usage_source, event.cost_usd), (UsageSource::None, None), "{text}");
    }
    // Nothing was consumed only where nobody worked.
    if is_known && event.usage_source == UsageSource::None {
        let idle = [Outcome::UpstreamError, Outcome::Denied, Outcome::LocalReply];
        assert!(idle.contains(&event.outcome), "{text}");
    }
    if event.cost_source == CostSource::Unknown {
        assert!(event.unpriced_reason.is_some() || event.unmetered_reason.is_some(), "{text}");
    }
    // Totals are the sums of disjoint buckets.
    let (mut input, mut output) = (0_u64, 0_u64);
    for (bucket, tokens) in event.usage.tokens.iter() {
        match bucket.direction() {
            tollgate_core::usage::Direction::Input => input = input.saturating_add(tokens),
            tollgate_core::usage::Direction::Output => output = output.saturating_add(tokens),
        }
    }
    if is_known {
        assert_eq!((event.input_tokens, event.output_tokens), (Some(input), Some(output)), "{text}");
        assert_eq!(event.reasoning_tokens, Some(event.usage.get(Bucket::Reasoning)), "{text}");
    }
}

proptest! {
    #[test]
    fn any_response_gives_an_event_that_says_what_happened((seed, bytes) in damaged(Exchange::answer), size in 1_usize..400) {
        let exchange = &SEEDS[seed];
        let (event, whole) = (exchange.event_if_any(bytes.chunks(size)), exchange.event_if_any([bytes.as_slice()]));
        prop_assert_eq!(event.as_ref().map(published), whole.as_ref().map(published));
        // What comes back for something has an event where it is told something.
        prop_assert!(event.is_some() || !exchange.creates());
        event.iter().for_each(check);
        let is_error = exchange.status() >= 400;
        prop_assert!(!is_error || event.is_some_and(|event| event.outcome == Outcome::UpstreamError));
    }

    #[test]
    fn any_request_gives_an_event_that_says_what_happened((seed, bytes) in damaged(|it| it.file["request"]["body"].as_str().unwrap_or_default().as_bytes())) {
        let exchange = &SEEDS[seed];
        let event = exchange.event_of_request(&bytes);
        check(&event);
        let is_object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
        prop_assert!(!is_object || event.unmetered_reason.as_deref() != Some("request_malformed"));
    }

    #[test]
    fn a_reader_keeps_no_more_than_it_says((seed, bytes) in damaged(Exchange::answer)) {
        for dialect in Dialect::ALL {
            let mut reader = dialect.response_reader();
            (0..20).for_each(|_| reader.feed(&bytes));
            reader.end();
            prop_assert!(reader.answer().tools_called.len() <= 128, "{}", seed);
            prop_assert!(reader.usage().is_none_or(|parts| parts.len() <= 256));
        }
    }
}

#[test]
fn delivered_text_beyond_the_bound_is_measured_and_not_kept() {
    let mut reader = Dialect::OpenaiChat.response_reader();
    let text = "ä".repeat(Delivered::KEPT_MAX);
    reader.feed(format!("{{\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}]}}").as_bytes());
    let delivered = &reader.answer().delivered;
    assert!(delivered.text().len() <= Delivered::KEPT_MAX);
    assert_eq!(delivered.beyond(), u64::try_from(text.len() - Delivered::KEPT_MAX).unwrap());
    assert_eq!(delivered.characters(), u64::try_from(Delivered::KEPT_MAX).unwrap());
}

#[test]
fn more_iterations_and_tools_than_a_call_has_are_folded_and_not_kept() {
    let mut reader = Dialect::AnthropicMessages.response_reader();
    let iteration = r#"{"type":"message","input_tokens":1,"output_tokens":2}"#;
    let tools = (0..1_000).map(|tool| format!("{{\"name\":\"t{tool}\"}}")).collect::<Vec<_>>().join(",");
    let iterations = vec![iteration; 1_000].join(",");
    let answer = format!("{{\"content\":[{tools}],\"usage\":{{\"output_tokens\":2,\"iterations\":[{iterations}]}}}}");
    reader.feed(answer.as_bytes());
    let usage = reader.usage().unwrap();
    assert_eq!((usage.len(), reader.answer().tools_called.len()), (256, 128));
    assert_eq!(usage.iter().map(|part| part.usage.input_total()).sum::<u64>(), 1_000);
}

#[test]
fn a_request_of_more_parts_than_are_looked_at_is_refused_instead_of_multiplied() {
    // What asks for pictures, sound or a batch is not cut into parts.
    let has_parts =
        |dialect: &Dialect| !matches!(dialect, Dialect::OpenaiImages | Dialect::OpenaiAudio | Dialect::Batch(_));
    for dialect in Dialect::ALL.into_iter().filter(has_parts) {
        let parts = vec!["{}"; 100_000].join(",");
        let lists = ["messages", "input", "contents", "requests", "chat_history"];
        let lists = lists.map(|name| format!("\"{name}\":[{parts}]")).join(",");
        // A prompt that is a list of texts; anything else in it is not cut into parts.
        let texts = vec!["\"\""; 100_000].join(",");
        let body = format!("{{{lists},\"prompt\":[{texts}]}}");
        assert_eq!(dialect.read_request(body.as_bytes()).err(), Some(RequestError::TooManyParts), "{dialect:?}");
    }
}

#[test]
fn content_that_nests_without_end_is_not_followed() {
    let seed = SEEDS.iter().find(|seed| seed.file["request"]["url"].as_str().unwrap().ends_with("/messages")).unwrap();
    let depth = 300_000;
    let content = format!("{}\"x\"{}", "[{\"content\":".repeat(depth), "}]".repeat(depth));
    for body in [
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{content}}}]}}"),
        format!("{{\"system\":{content},\"tools\":{content}}}"),
    ] {
        check(&seed.event_of_request(body.as_bytes()));
    }
}

#[test]
fn names_without_end_are_cut_before_they_reach_the_event() {
    let long = "x".repeat(1_000_000);
    for seed in SEEDS.iter().filter(|seed| seed.name == "plain") {
        let body = format!(
            "{{\"model\":\"{long}\",\"user\":\"{long}\",\"service_tier\":\"{long}\",\"metadata\":{{\"user_id\":\"{long}\"}}}}"
        );
        check(&seed.event_of_request(body.as_bytes()));
        let answer = format!("{{\"id\":\"{long}\",\"model\":\"{long}\",\"error\":{{\"type\":\"{long}\"}}}}");
        check(&seed.event([answer.as_bytes()]));
    }
}
