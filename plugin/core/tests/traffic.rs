//! The meter against recorded provider traffic: token buckets to the last token, costs to half a percent.
//!
//! The traffic is third-party and not part of this repository: `TOLLGATE_TRAFFIC` says where it is, by default
//! `../shared/traffic` beside the workspace; without it these tests say so and pass. What is right is computed here a
//! second time, from the usage objects that the recording lists, with the providers' rules and none of our readers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use support::{Exchange, answered, check_chunkings, traffic};
use tollgate_core::event::{Event, Outcome, UsageSource};
use tollgate_core::money::Usd;
use tollgate_core::usage::{Bucket, Usage};

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

/// Costs that differ from a stated one on purpose: the exchange, what states it, and why.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "pai-anthropic-advisor-tool-0",
        "genai_prices_dataset",
        "the dataset prices the totals, which leave out what the advisor, a dearer model, consumed",
    ),
    (
        "pai-openai-responses-model-web-search-tool-without-external-access-0",
        "genai_prices_dataset",
        "the dataset prices tokens alone; the provider states one web search, which it bills too",
    ),
    (
        "pai-openai-responses-streaming-usage-0",
        "test_asserted_usage",
        "the call ran in the flex tier, at half price; the test's price list did not know that tier yet",
    ),
];

/// Counts by the rules of `dialect`; `None` where the provider stated none.
fn truth(dialect: &str, exchange: &Exchange) -> Option<Usage> {
    let stated: Vec<&Value> =
        exchange.file["wire_usage"].as_array().into_iter().flatten().map(|seen| &seen["usage"]).collect();
    match dialect {
        "anthropic" | "vertex-anthropic" => anthropic(&stated),
        "bedrock-converse" => Some(bedrock(stated.last()?, "InputTokens", ["inputTokens", "outputTokens"])),
        "bedrock-invoke" => anthropic(&messages(&stated)).or_else(|| invoked(exchange)),
        "openai-chat" => openai(stated.last()?, "prompt", "completion"),
        "gemini" | "vertex-gemini" => Some(gemini(stated.last()?)),
        "gemini-interactions" => interaction(exchange),
        "cohere-v2" => Some(cohere(stated.last()?)),
        "ollama" => Some(ollama(stated.last()?)),
        _ => openai(stated.last()?, "input", "output").map(|usage| Usage { web_searches: searches(exchange), ..usage }),
    }
}

/// Google's four counts add up to its total; a breakdown names the modalities that have buckets of their own.
fn gemini(usage: &Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let of = |breakdown: &str, modality: &str| {
        let items = usage[breakdown].as_array().into_iter().flatten();
        items.filter(|item| item["modality"] == modality).map(|item| item["tokenCount"].as_u64().unwrap()).sum::<u64>()
    };
    let [prompt, cached, tools] = ["promptTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"].map(count);
    let [answer, thoughts] = ["candidatesTokenCount", "thoughtsTokenCount"].map(count);
    assert_eq!(prompt + tools + answer + thoughts, count("totalTokenCount"), "a usage that does not add up");
    let (cached_audio, cached_image) = (of("cacheTokensDetails", "AUDIO"), of("cacheTokensDetails", "IMAGE"));
    let audio = of("promptTokensDetails", "AUDIO").saturating_sub(cached_audio);
    let image = of("promptTokensDetails", "IMAGE").saturating_sub(cached_image);
    let (spoken, drawn) = (of("candidatesTokensDetails", "AUDIO"), of("candidatesTokensDetails", "IMAGE"));
    let mut buckets = Usage::default();
    for (bucket, tokens) in [
        (Bucket::InputUncached, prompt - cached - audio - image + tools),
        (Bucket::InputAudio, audio),
        (Bucket::InputImage, image),
        (Bucket::CacheRead, cached - cached_audio - cached_image),
        (Bucket::CacheReadAudio, cached_audio),
        (Bucket::CacheReadImage, cached_image),
        (Bucket::Output, answer - spoken - drawn),
        (Bucket::OutputAudio, spoken),
        (Bucket::OutputImage, drawn),
        (Bucket::Reasoning, thoughts),
    ] {
        buckets.set(bucket, tokens);
    }
    buckets
}

/// The recordings list no usage of interactions, so it is looked for in the last event that has one.
fn interaction(exchange: &Exchange) -> Option<Usage> {
    let body = std::str::from_utf8(exchange.answer()).unwrap();
    let events = body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let usage = events.map(|event| event["interaction"]["usage"].clone()).rfind(Value::is_object)?;
    let count = |name: &str| usage[format!("total_{name}_tokens")].as_u64().unwrap();
    let modalities = usage["input_tokens_by_modality"].as_array()?.iter();
    let image: u64 =
        modalities.filter(|item| item["modality"] == "image").map(|item| item["tokens"].as_u64().unwrap()).sum();
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input") - count("cached") - image + count("tool_use"));
    buckets.set(Bucket::InputImage, image);
    buckets.set(Bucket::CacheRead, count("cached"));
    buckets.set(Bucket::Output, count("output"));
    buckets.set(Bucket::Reasoning, count("thought"));
    Some(buckets)
}

/// What is billed counts; what was cached or thought is at most that.
fn cohere(usage: &Value) -> Usage {
    let billed = |name: &str| usage["billed_units"][name].as_u64().unwrap();
    let (input, output) = (billed("input_tokens"), billed("output_tokens"));
    let cached = usage["cached_tokens"].as_u64().unwrap_or(0).min(input);
    let thought = usage["tokens"]["reasoning_tokens"].as_u64().unwrap_or(0).min(output);
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, input - cached);
    buckets.set(Bucket::CacheRead, cached);
    buckets.set(Bucket::Output, output - thought);
    buckets.set(Bucket::Reasoning, thought);
    buckets
}

fn ollama(usage: &Value) -> Usage {
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, usage["prompt_eval_count"].as_u64().unwrap());
    buckets.set(Bucket::Output, usage["eval_count"].as_u64().unwrap());
    buckets
}

/// Input includes what was cached, written and heard; output includes what was thought and spoken. A part is at
/// most what is left of the whole.
fn openai(usage: &Value, input: &str, output: &str) -> Option<Usage> {
    let mut buckets = Usage::default();
    let mut divide = |whole: &str, rest: Bucket, parts: &[(&str, Bucket)]| {
        let mut left = usage[format!("{whole}_tokens")].as_u64()?;
        for (part, bucket) in parts {
            let tokens =
                usage[format!("{whole}_tokens_details")][format!("{part}_tokens")].as_u64().unwrap_or(0).min(left);
            left -= tokens;
            buckets.set(*bucket, tokens);
        }
        buckets.set(rest, left);
        Some(())
    };
    let parts = [("cached", Bucket::CacheRead), ("cache_write", Bucket::CacheWrite5m), ("audio", Bucket::InputAudio)];
    divide(input, Bucket::InputUncached, &parts)?;
    divide(output, Bucket::Output, &[("reasoning", Bucket::Reasoning), ("audio", Bucket::OutputAudio)])?;
    Some(buckets)
}

/// Searches as a response states them, else its finished search calls.
fn searches(exchange: &Exchange) -> u64 {
    let body = std::str::from_utf8(exchange.answer()).unwrap();
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut events = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let last = events.rfind(|event| !event["response"].is_null()).map(|event| event["response"].clone());
    let response = last.or_else(|| serde_json::from_str(body).ok()).unwrap();
    response["tool_usage"]["web_search"]["num_requests"].as_u64().unwrap_or_else(|| {
        let is_search = |item: &&Value| {
            item["type"] == "web_search_call" && item["status"] == "completed" && item["action"]["type"] == "search"
        };
        response["output"].as_array().into_iter().flatten().filter(is_search).count().try_into().unwrap()
    })
}

/// A later field replaces an earlier one, an absent one keeps it; iterations replace the totals.
fn anthropic(stated: &[&Value]) -> Option<Usage> {
    stated.first()?;
    let mut merged = Map::new();
    for usage in stated {
        let fields = usage.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        merged.extend(fields.map(|(key, value)| (key.clone(), value.clone())));
    }
    let merged = Value::Object(merged);
    let mut buckets = Usage::default();
    let passes = merged["iterations"].as_array().filter(|passes| !passes.is_empty());
    let whole = std::slice::from_ref(&merged);
    passes.map_or(whole, Vec::as_slice).iter().for_each(|pass| buckets.add(&anthropic_pass(pass)));
    let thought = merged["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0);
    let output = buckets.output_total();
    buckets.set(Bucket::Reasoning, thought.min(output));
    buckets.set(Bucket::Output, output - thought.min(output));
    buckets.web_searches = merged["server_tool_use"]["web_search_requests"].as_u64().unwrap_or(0);
    Some(buckets)
}

/// Input, output, cache reads and writes, none of them part of another; what is not said to be for an hour is not.
fn bedrock(usage: &Value, cache: &str, [input, output]: [&str; 2]) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let details = usage["cacheDetails"].as_array().into_iter().flatten();
    let long =
        details.filter(|detail| detail["ttl"] == "1h").map(|detail| detail["inputTokens"].as_u64().unwrap()).sum();
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count(input));
    buckets.set(Bucket::Output, count(output));
    buckets.set(Bucket::CacheRead, count(&format!("cacheRead{cache}")));
    buckets.set(Bucket::CacheWrite1h, long);
    buckets.set(Bucket::CacheWrite5m, count(&format!("cacheWrite{cache}")) - long);
    assert!(usage["totalTokens"].as_u64().is_none_or(|total| total == buckets.input_total() + buckets.output_total()));
    buckets
}

/// The usage objects of Anthropic's own format, without the metrics that Bedrock adds.
fn messages<'a>(stated: &[&'a Value]) -> Vec<&'a Value> {
    stated.iter().copied().filter(|usage| usage["output_tokens"].is_number()).collect()
}

/// What the headers of a response state whose body states nothing.
fn invoked(exchange: &Exchange) -> Option<Usage> {
    let count = |direction: &str| {
        let header = &exchange.file["response"]["headers"][format!("x-amzn-bedrock-{direction}-token-count")];
        header.as_str()?.parse::<u64>().ok()
    };
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input")?);
    buckets.set(Bucket::Output, count("output")?);
    Some(buckets)
}

/// What the split does not cover was written for five minutes, unless all that it covers was written for an hour.
fn anthropic_pass(pass: &Value) -> Usage {
    let count = |name: &str| pass[name].as_u64().unwrap_or(0);
    let split =
        |lifetime: &str| pass["cache_creation"][format!("ephemeral_{lifetime}_input_tokens")].as_u64().unwrap_or(0);
    let written = count("cache_creation_input_tokens");
    let long = if split("5m") == 0 && split("1h") > 0 { written } else { split("1h") };
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input_tokens"));
    buckets.set(Bucket::CacheRead, count("cache_read_input_tokens"));
    buckets.set(Bucket::CacheWrite1h, long);
    buckets.set(Bucket::CacheWrite5m, written - long);
    buckets.set(Bucket::Output, count("output_tokens"));
    buckets
}

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
            let truth = truth(dialect, &exchange);
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

/// The costs that a recording states, with what states them.
fn stated_costs(exchange: &Exchange) -> Vec<(&'static str, Usd)> {
    let expected = &exchange.file["expected"];
    let usd = |value: &Value| Usd::parse(value.as_str()?).ok();
    let entries = expected["genai_prices_dataset"]["entries"].as_array().into_iter().flatten();
    // An entry for a model that the dataset had no price for states none.
    let entries = entries.map(|entry| {
        let (input, output) = (usd(&entry["input_price"]), usd(&entry["output_price"]));
        let cost = input.or(output).map(|_| input.unwrap_or(Usd::ZERO).plus(output.unwrap_or(Usd::ZERO)));
        ("genai_prices_dataset", cost)
    });
    let provider = usd(&expected["provider_stated_cost_usd"]["value"]);
    let asserted = usd(&expected["test_asserted_usage"]["usage"]["cost"]);
    let single = [("provider_stated_cost_usd", provider), ("test_asserted_usage", asserted)];
    single.into_iter().chain(entries).filter_map(|(by, cost)| Some((by, cost?))).collect()
}

/// Whether two amounts differ by at most half a percent of the second.
fn agrees(ours: Usd, stated: Usd) -> bool {
    let difference = ours.minus(stated).femto().abs();
    difference * 200 <= stated.femto()
}

#[test]
fn costs_agree_with_every_stated_one_or_a_reason_is_given() {
    let Some(traffic) = traffic() else { return };
    let (mut compared, mut used, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for exchange in DIALECTS.iter().flat_map(|dialect| answered(&traffic, dialect)) {
        let cost = exchange.event([exchange.answer()]).cost_usd;
        for (by, stated) in stated_costs(&exchange) {
            compared += 1;
            let explanation = EXPLAINED.iter().find(|(name, of, _)| (*name, *of) == (exchange.name.as_str(), by));
            match (cost.is_some_and(|cost| agrees(cost, stated)), explanation) {
                (false, None) => wrong.push(format!("{}: {by} states {stated}, ours is {cost:?}", exchange.name)),
                (false, Some(explanation)) => _ = used.insert(explanation),
                (true, _) => {}
            }
        }
    }
    println!("{compared} stated costs compared, {} explained", used.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(used.len(), EXPLAINED.len(), "explanations that nothing needs");
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
