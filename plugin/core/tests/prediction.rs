//! Input as predicted before a call was forwarded, against what the provider then reported, on recorded traffic.
//!
//! Only calls that show all of their prompt, as text, are compared. Without recordings these tests say so and pass.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;

use std::collections::BTreeMap;
use support::{Exchange, answered, traffic};
use tollgate_core::calibration::Lessons;
use tollgate_core::event::{Event, Outcome, UsageSource};

/// Formats that are metered, of OpenAI's own models at OpenAI and Azure.
const OPENAI: [&str; 6] =
    ["openai-chat", "openai-responses", "openai-completions", "openai-embeddings", "azure-chat", "azure-embeddings"];
/// And of all others.
const OTHERS: [&str; 16] = [
    "anthropic",
    "bedrock-converse",
    "bedrock-invoke",
    "cerebras-chat",
    "cohere-v2",
    "deepseek-chat",
    "gemini",
    "gemini-openai-chat",
    "groq-chat",
    "mistral-chat",
    "ollama",
    "openrouter-chat",
    "together-chat",
    "vertex-anthropic",
    "vertex-gemini",
    "vllm-chat",
];

/// Predicted and reported input of the calls that can be compared.
fn calls(folders: &[&str], is_comparable: fn(&Event) -> bool) -> Option<Vec<(Exchange, Event)>> {
    let traffic = traffic()?;
    let exchanges = folders.iter().flat_map(|folder| answered(&traffic, folder));
    let calls = exchanges.map(|exchange| {
        let event = exchange.event([exchange.answer()]);
        (exchange, event)
    });
    Some(calls.filter(|(_, event)| is_comparable(event)).collect())
}

/// The deviation of a prediction, in thousandths.
fn deviation(predicted: u64, reported: u64) -> u64 {
    predicted.abs_diff(reported) * 1_000 / reported
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn texts_at_openai_are_predicted_to_the_token() {
    let is_text = |event: &Event| {
        let is_plain = event.media.is_empty() && event.components.get("tools").is_none_or(|tools| tools.tokens == 0);
        is_plain && event.usage_source == UsageSource::Reported && event.predicted_input_tokens.is_some()
    };
    let Some(calls) = calls(&OPENAI, is_text) else { return };
    let deviations = calls.iter().map(|(exchange, event)| {
        let (predicted, reported) = (event.predicted_input_tokens.unwrap(), event.input_tokens.unwrap());
        println!("{}: predicted {predicted}, reported {reported}", exchange.name);
        deviation(predicted, reported)
    });
    let deviations: Vec<u64> = deviations.collect();
    assert!(deviations.len() >= 20, "{} calls", deviations.len());
    assert_eq!(median(deviations), 0);
}

#[test]
fn texts_of_other_families_are_predicted_within_eight_percent_before_anything_is_learned() {
    let Some(calls) = calls(&OTHERS, |event| event.taught.is_some() && event.outcome == Outcome::Complete) else {
        return;
    };
    let deviations = calls.iter().map(|(exchange, event)| {
        let (predicted, reported) = (event.predicted_input_tokens.unwrap(), event.input_tokens.unwrap());
        println!("{}: {:?} predicted {predicted}, reported {reported}", exchange.name, event.request_model);
        deviation(predicted, reported)
    });
    let deviations: Vec<u64> = deviations.collect();
    assert!(deviations.len() >= 20, "{} calls", deviations.len());
    let median = median(deviations);
    println!("median {median} of 1,000");
    assert!(median <= 80, "{median} of 1,000");
}

/// Every call is predicted from the other calls of its model, again and again up to twenty of them; never from itself.
#[test]
fn twenty_calls_of_a_model_teach_its_counts_to_three_percent() {
    let Some(calls) = calls(&OTHERS, |event| event.taught.is_some()) else { return };
    let mut models: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for (_, event) in calls {
        let taught = event.taught.unwrap();
        models.entry(taught.subject.name().to_owned()).or_default().push((taught.predicted, taught.reported));
    }
    let mut deviations = Vec::new();
    for (model, calls) in models.iter().filter(|(_, calls)| calls.len() >= 2) {
        for (at, (predicted, reported)) in calls.iter().enumerate() {
            let others = calls.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, call)| call);
            let mut lessons = Lessons::default();
            others.cycle().take(20).for_each(|(predicted, reported)| lessons.observe(*predicted, *reported));
            let lesson = lessons.lesson();
            let learned = lesson.scale(*predicted) + lesson.offset;
            println!("{model:?}: predicted {predicted}, learned {learned}, reported {reported}");
            deviations.push(deviation(learned, *reported));
        }
    }
    assert!(deviations.len() >= 10, "{} calls", deviations.len());
    let median = median(deviations);
    println!("median {median} of 1,000");
    assert!(median <= 30, "{median} of 1,000");
}
