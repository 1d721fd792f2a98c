//! The meter against recorded traffic of those who speak OpenAI's formats without being OpenAI, and of OpenAI's older
//! ones: tokens by each provider's rules. `costs.rs` looks at what they cost.
//!
//! The traffic is third-party and not part of this repository: `TOLLGATE_TRAFFIC` says where it is, by default
//! `../shared/traffic` beside the workspace; without it these tests say so and pass. What is right is computed here by
//! the rule of the directory's provider; the meter is not told whose traffic it reads beyond the host.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;
mod truth;

use std::path::Path;
use support::{Exchange, traffic};
use tollgate_core::event::UsageSource;

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
