//! What recorded calls cost, by our own computation: within half a percent of every cost that somebody else states, or
//! a reason is given.
//!
//! Three kinds of statements: the provider's own, in its answer; the one that the recording's own test asserts; the
//! one in the price list's own dataset. The computed cost is the list's: what the provider states is never copied into
//! it. Every directory of the traffic (see `support`) is looked at: a call that is not metered, has no price, or costs
//! something else needs an entry here, and an entry that nothing needs fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::{Exchange, answered, traffic};
use tollgate_core::event::{CostSource, UsageSource};
use tollgate_core::money::Usd;

const PROVIDER: &str = "provider_stated_cost_usd";
const ASSERTED: &str = "test_asserted_usage";
const DATASET: &str = "genai_prices_dataset";

/// Costs that differ from a stated one: the exchange, who states it, whether the price data could know better, and why.
const EXPLAINED: &[(&str, &str, Coverage, &str)] = &[
    (
        "pai-openrouter-advisor-tool-0",
        PROVIDER,
        Coverage::Outside,
        "the advisor, another model, is in the stated cost alone",
    ),
    (
        "pai-openai-responses-raw-cot-stream-openrouter-0",
        PROVIDER,
        Coverage::Outside,
        "OpenRouter chose a dearer host of the open model",
    ),
    (
        "pai-anthropic-advisor-tool-0",
        DATASET,
        Coverage::Listed,
        "the dataset prices the totals, which leave out what the advisor, a dearer model, consumed",
    ),
    (
        "pai-openai-responses-model-web-search-tool-without-external-access-0",
        DATASET,
        Coverage::Listed,
        "the dataset prices tokens alone; the provider states one web search, which it bills too",
    ),
    (
        "pai-multimodal-tool-return-matrix-tool-return-content-url-image-mistral-1",
        DATASET,
        Coverage::Listed,
        "the dataset prices cached tokens like others: Mistral counts them apart and takes a tenth for them",
    ),
    (
        "pai-openai-responses-streaming-usage-0",
        ASSERTED,
        Coverage::Listed,
        "the call ran in the flex tier, at half price; the test's price list did not know that tier yet",
    ),
];

/// Calls whose usage is known, but that the list has no price for: the exchange, and why.
const UNPRICED: &[(&str, &str)] = &[
    ("ddpy-anthropic-invoke-0", "a model that Amazon no longer offers"),
    ("rllm-chat-citations-with-cohere-command-a-plus-05-2026-cites-tool-results-r-1", "not in the list"),
    (
        "rllm-chat-web-search-with-deepseek-deepseek-v4-flash-searches-server-side-a-0",
        "DeepSeek states no price for searches",
    ),
    (
        "pai-groq-model-web-search-tool-stream-0",
        "costs what several models inside cost, of which Groq repeats one count",
    ),
    ("fant-openaicompatiblecommon-huggingface-kimi-k2-tool-streaming-0", "not in the list with that host"),
    ("fant-openaicompatiblethinking-zai-glm-4-7-flash-thinking-streaming-1", "not in the list"),
    ("oinf-chat-with-callable-tool-0", "self-hosted"),
    ("ollm-ollama-streaming-time-to-generate-metrics-0", "self-hosted"),
    ("rllm-chat-function-calling-ollama-cloud-gpt-oss-120b-can-use-tools-with-mul-2", "billed by subscription"),
    ("ollm-chat-async-context-propagation-0", "self-hosted"),
    ("ollm-trace-propagation-stream-chatopenai-0", "self-hosted"),
    ("ollm-trace-propagation-stream-async-with-events-with-no-content-vllmopenai-0", "self-hosted"),
];

/// Whether the price data covers a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coverage {
    /// It has the price; the two are about something else.
    Listed,
    /// It does not have what was paid for.
    Outside,
}

/// A cost that somebody states of an exchange.
struct Stated {
    by: &'static str,
    cost: Usd,
}

fn stated_costs(exchange: &Exchange) -> Vec<Stated> {
    let expected = &exchange.file["expected"];
    let usd = |value: &Value| Usd::parse_computed(value.as_str()?).ok();
    let entries = expected[DATASET]["entries"].as_array().into_iter().flatten();
    // An entry for a model that the dataset had no price for states none.
    let entries = entries.map(|entry| {
        let (input, output) = (usd(&entry["input_price"]), usd(&entry["output_price"]));
        let cost = input.or(output).map(|_| input.unwrap_or(Usd::ZERO).plus(output.unwrap_or(Usd::ZERO)));
        (DATASET, cost)
    });
    let provider = usd(&expected[PROVIDER]["value"]);
    let asserted = usd(&expected[ASSERTED]["usage"]["cost"]);
    let single = [(PROVIDER, provider), (ASSERTED, asserted)];
    single.into_iter().chain(entries).filter_map(|(by, cost)| Some(Stated { by, cost: cost? })).collect()
}

/// Whether two amounts differ by at most half a percent of the second.
fn agrees(ours: Usd, stated: Usd) -> bool {
    ours.minus(stated).femto().abs() * 200 <= stated.femto()
}

/// The directories of the traffic, by name.
fn directories(traffic: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(traffic).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The exchanges that were answered, with what was asked; of Anthropic's, answers alone tell enough.
fn known(traffic: &Path, directory: &str) -> Vec<Exchange> {
    let mut exchanges = answered(traffic, directory);
    exchanges.retain(|exchange| exchange.url().is_some() || directory == "anthropic");
    exchanges
}

#[test]
fn our_own_cost_is_within_half_a_percent_of_every_stated_one_or_a_reason_is_given() {
    let Some(traffic) = traffic() else { return };
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let mut table: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    println!("{:<26} {:>7} {:>7} {:>9}   stated by", "directory", "stated", "within", "explained");
    for directory in directories(&traffic) {
        let mut rows: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
        for exchange in known(&traffic, &directory) {
            let Some(event) = exchange.event_if_any([exchange.answer()]) else { continue };
            for Stated { by, cost } in stated_costs(&exchange) {
                let row = rows.entry(by).or_default();
                row.0 += 1;
                let key = (exchange.name.as_str(), by);
                match EXPLAINED.iter().find(|(name, of, _, _)| (*name, *of) == key) {
                    _ if event.list_cost_usd.is_some_and(|ours| agrees(ours, cost)) => row.1 += 1,
                    Some(explained) => {
                        row.2 += u32::from(explained.2 == Coverage::Outside);
                        used.insert((explained.0, explained.1));
                    }
                    None => wrong.push(format!(
                        "{directory}/{}: {by} states {cost}, ours is {:?} {:?}",
                        exchange.name, event.list_cost_usd, event.unpriced_reason
                    )),
                }
            }
        }
        for (by, (stated, within, outside)) in rows {
            println!("{directory:<26} {stated:>7} {within:>7} {:>9}   {by}", stated - within);
            let sum = table.entry(by).or_default();
            *sum = (sum.0 + stated, sum.1 + within, sum.2 + outside);
        }
    }
    for (by, (stated, within, outside)) in &table {
        println!("{:<26} {stated:>7} {within:>7} {:>9}   {by}", "all", stated - within);
        let is_enough = within * 100 >= (stated - outside) * 95;
        // The others' statements are few, and each that differs is explained by itself.
        assert!(is_enough || *by != PROVIDER, "{by}: fewer than 95 % of what the price data covers");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = EXPLAINED.iter().filter(|it| !used.contains(&(it.0, it.1))).map(|it| it.0).collect();
    assert!(unused.is_empty(), "explanations that nothing needs: {unused:?}");
}

#[test]
fn every_call_whose_usage_is_known_has_a_price_or_a_reason_is_given() {
    let Some(traffic) = traffic() else { return };
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    println!("{:<26} {:>3} {:>7} {:>6}", "directory", "n", "metered", "priced");
    for directory in directories(&traffic) {
        let (mut n, mut metered_calls, mut priced) = (0, 0, 0);
        for exchange in known(&traffic, &directory) {
            n += 1;
            let event = exchange.event_if_any([exchange.answer()]);
            metered_calls += u32::from(event.is_some());
            if let Some(event) = &event
                && (event.usage_source == UsageSource::None || event.list_cost_usd.is_some())
            {
                priced += u32::from(event.list_cost_usd.is_some());
                continue;
            }
            match UNPRICED.iter().find(|(name, _)| event.is_some() && *name == exchange.name) {
                Some((name, _)) => _ = used.insert(*name),
                None => wrong.push(format!(
                    "{directory}/{}: {:?}",
                    exchange.name,
                    event.map(|event| event.unpriced_reason.unwrap_or_default())
                )),
            }
        }
        println!("{directory:<26} {n:>3} {metered_calls:>7} {priced:>6}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = UNPRICED.iter().filter(|(name, _)| !used.contains(name)).collect();
    assert!(unused.is_empty(), "explanations that nothing needs: {unused:?}");
}

#[test]
fn a_cost_that_the_provider_states_is_the_cost_and_its_parts_sum_to_it() {
    let Some(traffic) = traffic() else { return };
    let mut stated_costs = 0;
    for directory in directories(&traffic) {
        for exchange in known(&traffic, &directory) {
            let value = &exchange.file["expected"][PROVIDER]["value"];
            let Some(stated) = value.as_str().and_then(|text| Usd::parse_computed(text).ok()) else { continue };
            let Some(event) = exchange.event_if_any([exchange.answer()]) else { continue };
            stated_costs += 1;
            assert_eq!((event.cost_usd, event.cost_source), (Some(stated), CostSource::Provider), "{}", exchange.name);
            let divided: Usd = event.cost.values().copied().sum();
            assert_eq!(divided, stated, "{}: the parts of the cost", exchange.name);
        }
    }
    println!("{stated_costs} stated costs");
}
