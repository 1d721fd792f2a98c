//! From an event to what a gateway counts: names with labels, and amounts.
//!
//! Labels are part of the name, as `;key=value`, since that is all a proxy-wasm host takes.
//! Invariants: label values hold no byte that could end a label or a name; a name is at most 250 bytes; a label has
//! a bounded number of values, later ones are `other`; names that were spelled are kept, for a bounded number of label sets.
//! Must not know: how a gateway defines or stores metrics.

use crate::attribution::Dimension;
use crate::event::{Event, Outcome, UsageSource};
use crate::limit::{Finding, Standing};
use crate::money::Usd;
use crate::names::{label, metric};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Longest name; hosts prefix it and have limits of their own (Kong traps above 256).
const NAME_MAX: usize = 250;
/// Longest label value.
const VALUE_MAX: usize = 64;
/// Stands for values beyond the cap of a label.
const OTHER: &str = "other";
/// Most sets of labels whose names are kept: some 25 names of 100 bytes each.
const LABEL_SETS_MAX: usize = 512;

/// What kind of metric an amount goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Add to a counter.
    Counter,
    /// Set a gauge.
    Gauge,
    /// Record in a histogram.
    Histogram,
}

/// One amount for one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Name and labels.
    pub name: Rc<str>,
    /// How it is counted.
    pub kind: Kind,
    /// How much.
    pub amount: u64,
}

/// A metric's name with labels.
#[must_use]
pub fn named(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text = name.to_owned();
    for (key, value) in labels {
        let value: String = value.chars().take(VALUE_MAX).map(plain).collect();
        let value = if value.is_empty() { "none" } else { &value };
        if text.len().saturating_add(key.len()).saturating_add(value.len()).saturating_add(2) > NAME_MAX {
            break;
        }
        text.push(';');
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// Bytes that a label value may hold; others become `_`.
const fn plain(letter: char) -> char {
    match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '/' | '@' => letter,
        _ => '_',
    }
}

/// Turns events into measurements, holding each label to its cap.
#[derive(Debug)]
pub struct Measurer {
    labels: Vec<Dimension>,
    max_values: usize,
    seen: BTreeMap<&'static str, BTreeSet<String>>,
    /// Keys of each limit that are shown.
    budgets: BTreeMap<String, BTreeSet<String>>,
    names: Names,
}

impl Measurer {
    /// Labels every metric with the model and these dimensions, in an order that does not depend on theirs.
    #[must_use]
    pub fn new(mut labels: Vec<Dimension>, max_values: usize) -> Self {
        labels.sort_unstable();
        labels.dedup();
        Self {
            labels,
            max_values,
            seen: BTreeMap::new(),
            budgets: BTreeMap::new(),
            names: Names { by_labels: BTreeMap::new() },
        }
    }

    /// Everything an event of an ended call counts.
    pub fn measure(&mut self, event: &Event) -> Vec<Measurement> {
        let base = self.base_labels(event);
        let names = self.names.with(&base);
        let mut measured = Vec::with_capacity(names.len());
        let mut add = |metric, labels: &[(&'static str, &str)], kind, amount| {
            measured.push(Measurement { name: spelled(names, metric, labels, &base), kind, amount });
        };
        add(metric::REQUESTS, &[(label::OUTCOME, event.outcome.name())], Kind::Counter, 1);
        for (direction, tokens) in totals(event) {
            tokens
                .into_iter()
                .for_each(|tokens| add(metric::TOKENS, &[(label::TYPE, direction)], Kind::Counter, tokens));
        }
        for (bucket, tokens) in event.usage.tokens.iter().filter(|(_, tokens)| *tokens > 0) {
            add(metric::BUCKET_TOKENS, &[(label::TYPE, bucket.name())], Kind::Counter, tokens);
        }
        if let Some(cost) = event.cost_usd {
            add(metric::COST, &[], Kind::Counter, nano(cost));
        }
        for (component, share) in event.components.iter().filter(|(_, share)| share.tokens > 0) {
            let labels = [(label::COMPONENT, *component)];
            add(metric::COMPONENT_TOKENS, &labels, Kind::Counter, share.tokens);
            if let Some(cost) = share.cost_usd {
                add(metric::COMPONENT_COST, &labels, Kind::Counter, nano(cost));
            }
        }
        match event.cache.savings_usd {
            Some(saved) if saved > Usd::ZERO => add(metric::CACHE_SAVINGS, &[], Kind::Counter, nano(saved)),
            Some(saved) if saved < Usd::ZERO => {
                add(metric::CACHE_LOSSES, &[], Kind::Counter, nano(Usd::ZERO.minus(saved)));
            }
            _ => {}
        }
        if let Some(reason) = &event.unmetered_reason {
            add(metric::UNMETERED, &[(label::REASON, reason)], Kind::Counter, 1);
        }
        if event.unpriced_reason.is_some() && event.usage_source != UsageSource::None {
            add(metric::UNPRICED, &[], Kind::Counter, 1);
        }
        for found in event.limits.iter().filter(|found| found.standing != Standing::Within) {
            let action = if found.denies() { "deny" } else { "observe" };
            add(metric::LIMITED, &[(label::LIMIT, &found.id), (label::ACTION, action)], Kind::Counter, 1);
        }
        for found in &event.limits {
            for percent in &found.crossed {
                let labels = [(label::LIMIT, found.id.as_str()), (label::PERCENT, &*percent.to_string())];
                add(metric::THRESHOLDS, &labels, Kind::Counter, 1);
            }
        }
        if event.outcome != Outcome::Denied {
            add(metric::DURATION, &[], Kind::Histogram, event.timing.duration_ms);
            event.timing.ttft_ms.into_iter().for_each(|ttft| add(metric::TTFT, &[], Kind::Histogram, ttft));
        }
        event.limits.iter().for_each(|found| self.budget(found, &mut measured));
        measured
    }

    /// How a budget stands. Of keys beyond the cap nothing is shown: amounts of several would make no sense as one.
    fn budget(&mut self, found: &Finding, measured: &mut Vec<Measurement>) {
        let Some(gauges) = found.gauges else { return };
        let key: Vec<_> = found.key.values().map(String::as_str).collect();
        let key = key.join("/");
        let seen = self.budgets.entry(found.id.clone()).or_default();
        if !seen.contains(&key) {
            if seen.len() >= self.max_values {
                return;
            }
            seen.insert(key.clone());
        }
        let labels = [(label::LIMIT, found.id.as_str()), (label::KEY, key.as_str())];
        for (name, amount) in [
            (metric::BUDGET_USED, gauges.used),
            (metric::BUDGET_RESERVED, gauges.reserved),
            (metric::BUDGET_LIMIT, gauges.limit),
            (metric::BUDGET_REMAINING, gauges.remaining),
        ] {
            measured.push(Measurement { name: named(name, &labels).into(), kind: Kind::Gauge, amount });
        }
    }

    /// Model, provider and the configured dimensions. Only models that the price list knows name themselves: a
    /// client can ask for any.
    fn base_labels<'e>(&mut self, event: &'e Event) -> Vec<(&'static str, &'e str)> {
        let model = event.prices.first().map_or("unknown", |price| price.model.as_str());
        let mut labels = vec![(label::MODEL, model), (label::PROVIDER, event.provider.as_str())];
        for dimension in &self.labels {
            if let Some(value) = event.attribution.get(*dimension) {
                labels.push((dimension.name(), value));
            }
        }
        for (key, value) in &mut labels {
            let seen = self.seen.entry(key).or_default();
            if !seen.contains(*value) {
                if seen.len() >= self.max_values {
                    *value = OTHER;
                } else {
                    seen.insert((*value).to_owned());
                }
            }
        }
        labels
    }
}

/// Names that were spelled before, by the labels that all metrics of a call share. Spelling is most of the work of
/// measuring, and calls of one application repeat each other's names.
#[derive(Debug)]
struct Names {
    by_labels: BTreeMap<String, Vec<Name>>,
}

#[derive(Debug)]
struct Name {
    metric: &'static str,
    /// The labels that only this metric has.
    labels: Vec<(&'static str, String)>,
    text: Rc<str>,
}

impl Names {
    /// The names with these labels so far.
    fn with(&mut self, base: &[(&str, &str)]) -> &mut Vec<Name> {
        let labels = named("", base);
        if self.by_labels.len() >= LABEL_SETS_MAX && !self.by_labels.contains_key(&labels) {
            self.by_labels.clear();
        }
        self.by_labels.entry(labels).or_default()
    }
}

/// The name of a metric with labels of its own before those that all metrics of the call share.
fn spelled(
    names: &mut Vec<Name>,
    metric: &'static str,
    labels: &[(&'static str, &str)],
    base: &[(&str, &str)],
) -> Rc<str> {
    let is_same = |name: &&Name| {
        let own = name.labels.iter().map(|(key, value)| (*key, value.as_str()));
        name.metric == metric && own.eq(labels.iter().copied())
    };
    if let Some(name) = names.iter().find(is_same) {
        return Rc::clone(&name.text);
    }
    let all: Vec<_> = labels.iter().chain(base).copied().collect();
    let text: Rc<str> = named(metric, &all).into();
    let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    names.push(Name { metric, labels, text: Rc::clone(&text) });
    text
}

fn totals(event: &Event) -> [(&'static str, Option<u64>); 2] {
    [("input", event.input_tokens), ("output", event.output_tokens)]
}

fn nano(cost: Usd) -> u64 {
    u64::try_from(cost.nano_floor()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_label_or_forge_another() {
        assert_eq!(named("m", &[("app", "a;team=x\n"), ("team", "")]), "m;app=a_team_x_;team=none");
    }

    #[test]
    fn names_are_kept_for_a_bounded_number_of_label_sets_and_stay_the_same() {
        let mut names = Names { by_labels: BTreeMap::new() };
        let name = |names: &mut Names, app: &str| {
            let base = [("app", app)];
            [
                spelled(names.with(&base), "m", &[("type", "input")], &base),
                spelled(names.with(&base), "m", &[("type", "output")], &base),
                spelled(names.with(&base), "n", &[], &base),
            ]
        };
        let first = name(&mut names, "a");
        assert_eq!(first.each_ref().map(|name| &**name), ["m;type=input;app=a", "m;type=output;app=a", "n;app=a"]);
        for app in 0..2 * LABEL_SETS_MAX {
            name(&mut names, &format!("app-{app}"));
            assert!(names.by_labels.len() <= LABEL_SETS_MAX);
        }
        assert_eq!(name(&mut names, "a"), first);
    }

    #[test]
    fn a_name_never_exceeds_what_hosts_take() {
        let long = "x".repeat(300);
        let labels: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|key| (*key, long.as_str())).collect();
        assert!(named("m", &labels).len() <= NAME_MAX);
    }
}
