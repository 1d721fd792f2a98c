//! The meter against recorded traffic of those who speak OpenAI's formats without being OpenAI, and of OpenAI's older ones: tokens by each
//! provider's rules, costs as they state them, and the list price beside.
//!
//! The traffic is third-party and not part of this repository: `TOLLGATE_TRAFFIC` says where it is, by default
//! `../shared/traffic` beside the workspace; without it these tests say so and pass. What is right is computed here by
//! the rule of the directory's provider; the meter is not told whose traffic it reads beyond the host.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;
mod truth;

use std::path::Path;
use support::{Exchange, traffic};
use tollgate_core::event::{CostSource, UsageSource};
use tollgate_core::money::Usd;

/// List prices that differ from the stated cost by more than half a percent, or that the list lacks, and why.
const EXPLAINED: &[(&str, &str)] = &[
    ("fant-openroutercommon-grok-tool-0", "the list has no such model at OpenRouter"),
    ("pai-openrouter-advisor-tool-0", "the advisor, another model, is in the stated cost alone"),
    ("pai-openrouter-stream-error-0", "the call failed and is free; the list has no such model"),
    ("pai-openrouter-web-search-tool-usage-stream-0", "the search fee is in the stated cost alone"),
    ("pai-openai-responses-raw-cot-stream-openrouter-0", "OpenRouter chose a dearer host of the open model"),
    ("pai-openrouter-responses-prompt-cache-e2e-0", "the price of the model has changed since"),
    (
        "rllm-chat-streaming-responses-perplexity-sonar-supports-streaming-responses-0",
        "the list has the highest of the request fees, which depend on the size of the search context",
    ),
    (
        "rllm-chat-web-search-with-xai-grok-4-3-replays-search-turns-so-the-conversa-0",
        "the list has no price for the provider's searches",
    ),
    (
        "rllm-chat-web-search-with-xai-grok-4-3-searches-cites-and-counts-the-source-0",
        "the list has no price for the provider's searches",
    ),
];

/// Exchanges that were answered and whose request was recorded too.
fn asked(traffic: &Path, directory: &str) -> Vec<Exchange> {
    let mut exchanges = support::answered(traffic, directory);
    exchanges.retain(|exchange| exchange.file["request"]["url"].is_string());
    exchanges
}

#[test]
fn tokens_are_those_that_each_providers_rule_gives() {
    let Some(traffic) = traffic() else { return };
    let mut wrong = Vec::new();
    println!("{:<26} {:>3} {:>10} {:>5}", "provider", "n", "with usage", "right");
    for (directory, _) in truth::IMITATORS {
        let (mut n, mut with_usage, mut right) = (0, 0, 0);
        for exchange in asked(&traffic, directory) {
            let event = exchange.event([exchange.answer()]);
            let truth = truth::totals(directory, &exchange.file, exchange.answer());
            let read = truth::Totals::of(&event.usage);
            let is_right = match truth {
                Some(truth) => read == truth && event.usage_source == UsageSource::Reported,
                None => event.usage_source != UsageSource::Reported,
            };
            n += 1;
            with_usage += u32::from(truth.is_some());
            right += u32::from(is_right);
            if !is_right {
                wrong.push(format!("{directory}/{}: expected {truth:?}, got {read:?} {event:?}", exchange.name));
            }
        }
        println!("{directory:<26} {n:>3} {with_usage:>10} {right:>5}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cost_that_the_provider_states_is_the_cost_and_the_list_price_is_near_or_explained() {
    let Some(traffic) = traffic() else { return };
    let (mut stated_costs, mut near, mut wrong, mut used) = (0, 0, Vec::new(), 0);
    for exchange in truth::IMITATORS.iter().flat_map(|(directory, _)| asked(&traffic, directory)) {
        let value = &exchange.file["expected"]["provider_stated_cost_usd"]["value"];
        let Some(stated) = value.as_str().and_then(|text| Usd::parse_computed(text).ok()) else { continue };
        let event = exchange.event([exchange.answer()]);
        stated_costs += 1;
        assert_eq!((event.cost_usd, event.cost_source), (Some(stated), CostSource::Provider), "{}", exchange.name);
        let divided: Usd = event.cost.values().copied().sum();
        assert_eq!(divided, stated, "{}: the parts of the cost", exchange.name);
        let is_near = event.list_cost_usd.is_some_and(|list| list.minus(stated).femto().abs() * 200 <= stated.femto());
        let explanation = EXPLAINED.iter().find(|(name, _)| *name == exchange.name);
        near += u32::from(is_near);
        used += usize::from(!is_near && explanation.is_some());
        if !is_near && explanation.is_none() {
            wrong.push(format!(
                "{}: stated {stated}, list {:?} {:?}",
                exchange.name, event.list_cost_usd, event.unpriced_reason
            ));
        }
    }
    println!("{stated_costs} stated costs, {near} within 0.5 % of the list, {used} explained");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(used, EXPLAINED.len(), "explanations that nothing needs");
}
