//! From an event to what a gateway counts: names with labels, and amounts.
//!
//! Labels are part of the name, as `;key=value`, since that is all a proxy-wasm host takes.
//! Invariants: label values hold no byte that could end a label or a name; a name is at most 250 bytes; there are no more
//! series than the cap, whatever clients send ([`crate::series`]), and what has no series of its own is counted as `other`;
//! no nanodollar is lost to rounding.
//! Must not know: how a gateway defines or stores metrics.

use crate::attribution::Dimension;
use crate::config::Config;
use crate::config::raw::Action;
use crate::event::{Event, Outcome, Proportion, UsageSource};
use crate::health::{self, ErrorClass};
use crate::limit::{Finding, Limit, Pattern, Standing};
use crate::money::Usd;
use crate::names::{label, metric};
use crate::prompt::Component;
use crate::series::{Admitted, Caps, OTHER, Set, Standing as Admission};
use crate::task_outcome::TaskOutcome;
use crate::usage::Bucket;
use siphasher::sip::SipHasher13;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// Longest name; hosts prefix it and have limits of their own (Kong traps above 256).
const NAME_MAX: usize = 250;
/// Longest label value.
const VALUE_MAX: usize = 64;
/// Series that no call has: failures of the gateway, the ledger and the collector, and labels that were folded.
const SERIES_OF_THE_FILTER: u64 = 64;

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

/// A metric that was measured: its name, and the number by which the gateway knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name and labels.
    pub name: String,
    /// For whoever counts to note: to find the number by the name each time costs more than to count.
    pub id: Cell<Option<u32>>,
}

impl Metric {
    /// A metric that the gateway does not know yet.
    #[must_use]
    pub fn new(name: String) -> Rc<Self> {
        Rc::new(Self { name, id: Cell::new(None) })
    }
}

/// One amount for one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What is measured.
    pub metric: Rc<Metric>,
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

/// Turns events into measurements, with no more series than were admitted.
#[derive(Debug)]
pub struct Measurer {
    labels: Vec<Dimension>,
    /// Models that name themselves without being in the price list.
    models: Vec<Pattern>,
    caps: Caps,
    /// Series that the labels of a call can have.
    weight: u64,
    admitted: Admitted,
    names: Names,
}

impl Measurer {
    /// Labels every metric with the model and the configured dimensions, in an order that does not depend on theirs.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let labels = Dimension::ALL.into_iter().filter(|dimension| config.labels.contains(dimension)).collect();
        let weight = series_of_a_call(&config.limits, config.alternatives.len());
        // Calls that are not admitted need their place too.
        let series = config.max_series.saturating_sub(weight).saturating_sub(SERIES_OF_THE_FILTER);
        let caps = Caps { values: config.max_label_values, series };
        let names = Names { by_labels: BTreeMap::new() };
        Self { labels, models: config.metric_models.clone(), caps, weight, admitted: Admitted::default(), names }
    }

    /// Whether the other workers have a say in how this is counted.
    #[must_use]
    pub fn must_admit(&self, counted: Counted<'_>) -> bool {
        let is_open = |mut set: Set<'_>| self.admitted.fold(&mut set, self.caps) == Admission::Open;
        self.with_sets(counted, is_open).contains(&true)
    }

    /// Admits to what all workers admitted what this needs; `true` when that changes it.
    #[must_use]
    pub fn admit(&self, counted: Counted<'_>, admitted: &mut Admitted) -> bool {
        self.with_sets(counted, |set| admitted.admit(set, self.caps)).contains(&true)
    }

    /// Takes over what all workers admitted.
    pub fn take(&mut self, admitted: Admitted) {
        self.admitted = admitted;
    }

    /// Everything an event of an ended call counts.
    pub fn measure(&mut self, event: &Event) -> Vec<Measurement> {
        let mut set = self.set_of_call(event);
        let asked = set.labels.clone();
        if self.admitted.fold(&mut set, self.caps) != Admission::Admitted {
            set.labels.iter_mut().for_each(|(_, value)| *value = OTHER);
        }
        let base = set.labels;
        let names = self.names.with(&base);
        let mut measured = Vec::with_capacity(names.len());
        let mut add = |metric, labels: &[(&'static str, &str)], kind, amount: Amount| {
            let Some(name) = spelled(names, metric, labels, &base) else { return };
            let amount = name.counted(amount);
            measured.push(Measurement { metric: Rc::clone(&name.metric), kind, amount });
        };
        add(metric::REQUESTS, &[(label::OUTCOME, event.outcome.name())], Kind::Counter, Amount::Whole(1));
        for (direction, tokens) in totals(event) {
            let labels = [(label::TYPE, direction)];
            tokens.into_iter().for_each(|tokens| add(metric::TOKENS, &labels, Kind::Counter, Amount::Whole(tokens)));
        }
        for (bucket, tokens) in event.usage.tokens.iter().filter(|(_, tokens)| *tokens > 0) {
            add(metric::BUCKET_TOKENS, &[(label::TYPE, bucket.name())], Kind::Counter, Amount::Whole(tokens));
        }
        if let Some(cost) = event.cost_usd {
            add(metric::COST, &[], Kind::Counter, Amount::Money(cost));
        }
        for (component, share) in event.components.iter().filter(|(_, share)| share.tokens > 0) {
            let labels = [(label::COMPONENT, *component)];
            add(metric::COMPONENT_TOKENS, &labels, Kind::Counter, Amount::Whole(share.tokens));
            if let Some(cost) = share.cost_usd {
                add(metric::COMPONENT_COST, &labels, Kind::Counter, Amount::Money(cost));
            }
        }
        match event.cache.savings_usd {
            Some(saved) if saved > Usd::ZERO => add(metric::CACHE_SAVINGS, &[], Kind::Counter, Amount::Money(saved)),
            Some(saved) if saved < Usd::ZERO => {
                add(metric::CACHE_LOSSES, &[], Kind::Counter, Amount::Money(Usd::ZERO.minus(saved)));
            }
            _ => {}
        }
        count_caches(event, &mut add);
        if let Some(reason) = &event.unmetered_reason {
            add(metric::UNMETERED, &[(label::REASON, reason)], Kind::Counter, Amount::Whole(1));
        }
        if event.unpriced_reason.is_some() && event.usage_source != UsageSource::None {
            add(metric::UNPRICED, &[], Kind::Counter, Amount::Whole(1));
        }
        for found in event.limits.iter().filter(|found| found.standing != Standing::Within) {
            let action = match found.action {
                Action::Deny => "deny",
                Action::Cut if event.outcome == Outcome::Cut => "cut",
                _ => "observe",
            };
            let labels = [(label::LIMIT, found.id.as_str()), (label::ACTION, action)];
            add(metric::LIMITED, &labels, Kind::Counter, Amount::Whole(1));
        }
        for found in &event.limits {
            for percent in &found.crossed {
                let labels = [(label::LIMIT, found.id.as_str()), (label::PERCENT, &*percent.to_string())];
                add(metric::THRESHOLDS, &labels, Kind::Counter, Amount::Whole(1));
            }
        }
        for (cause, count, cost) in made_again(event) {
            add(metric::RETRIES, &[(label::CAUSE, cause)], Kind::Counter, Amount::Whole(count));
            if let Some(cost) = cost {
                add(metric::RETRY_COST, &[(label::CAUSE, cause)], Kind::Counter, Amount::Money(cost));
            }
        }
        if let Some(routing) = &event.routing {
            if routing.fallback == Some(true) {
                add(metric::FALLBACKS, &[], Kind::Counter, Amount::Whole(1));
            }
            if let (Some(_), Some(cost)) = (&routing.overhead, event.cost_usd) {
                add(metric::OVERHEAD_COST, &[], Kind::Counter, Amount::Money(cost));
            }
            for other in &routing.alternatives {
                let labels = [(label::ALTERNATIVE, other.model.as_str())];
                let cost = other.cost_usd.into_iter();
                cost.for_each(|cost| add(metric::ALTERNATIVE_COST, &labels, Kind::Counter, Amount::Money(cost)));
            }
        }
        if let Some(class) = event.error_class {
            add(metric::ERRORS, &[(label::CLASS, class.name())], Kind::Counter, Amount::Whole(1));
            if let Some(cost) = event.cost_usd.filter(|cost| *cost > Usd::ZERO) {
                add(metric::FAILED_COST, &[], Kind::Counter, Amount::Money(cost));
            }
        }
        for (counted, limit) in event.rate_limits.iter().flatten() {
            let used = limit.utilization.map(Proportion::permille).into_iter();
            let labels = [(label::TYPE, *counted)];
            used.for_each(|used| add(metric::RATE_LIMIT_USED, &labels, Kind::Gauge, Amount::Whole(used)));
        }
        if let Some(time) = event.time_per_output_token_us {
            add(metric::TIME_PER_TOKEN, &[], Kind::Histogram, Amount::Whole(time));
        }
        if event.outcome != Outcome::Denied {
            add(metric::DURATION, &[], Kind::Histogram, Amount::Whole(event.timing.duration_ms));
            let ttft = event.timing.ttft_ms.into_iter();
            ttft.for_each(|ttft| add(metric::TTFT, &[], Kind::Histogram, Amount::Whole(ttft)));
        }
        for ((label, _), _) in asked.iter().zip(&base).filter(|(asked, counted)| asked != counted) {
            let metric = Metric::new(named(metric::FOLDED, &[(label::LABEL, label)]));
            measured.push(Measurement { metric, kind: Kind::Counter, amount: 1 });
        }
        event.limits.iter().for_each(|found| self.budget(found, &mut measured));
        event.task_outcome.iter().for_each(|outcome| measured.extend(self.measure_outcome(outcome)));
        measured
    }

    /// What a report on a task counts: under the labels of whose task it is, since a task has many models.
    pub fn measure_outcome(&mut self, outcome: &TaskOutcome) -> Vec<Measurement> {
        let mut set = self.set_of_outcome(outcome);
        if self.admitted.fold(&mut set, self.caps) != Admission::Admitted {
            set.labels.iter_mut().for_each(|(_, value)| *value = OTHER);
        }
        let base = set.labels;
        let names = self.names.with(&base);
        let labels = [(label::RESULT, outcome.result.name())];
        let news = &outcome.news;
        let count = (metric::TASK_OUTCOMES, Amount::Whole(u64::from(news.is_new)));
        [count, (metric::TASK_OUTCOME_COST, Amount::Money(news.cost))]
            .into_iter()
            .filter_map(|(metric, amount)| {
                let name = spelled(names, metric, &labels, &base)?;
                let amount = name.counted(amount);
                Some(Measurement { metric: Rc::clone(&name.metric), kind: Kind::Counter, amount })
            })
            .collect()
    }

    /// How a budget stands. Of keys beyond the cap nothing is shown: amounts of several would make no sense as one.
    #[inline(never)]
    fn budget(&self, found: &Finding, measured: &mut Vec<Measurement>) {
        let (Some(gauges), shown) = (found.gauges, BudgetLabels::of(found)) else { return };
        let mut set = shown.set();
        if self.admitted.fold(&mut set, self.caps) != Admission::Admitted || set != shown.set() {
            return;
        }
        let labels = [(label::LIMIT, found.id.as_str()), (label::KEY, shown.key.as_str())];
        let leased = gauges.leased.map(|leased| (metric::BUDGET_LEASED, leased));
        let always = [
            (metric::BUDGET_USED, gauges.used),
            (metric::BUDGET_RESERVED, gauges.reserved),
            (metric::BUDGET_LIMIT, gauges.limit),
            (metric::BUDGET_REMAINING, gauges.remaining),
        ];
        for (name, amount) in always.into_iter().chain(leased) {
            measured.push(Measurement { metric: Metric::new(named(name, &labels)), kind: Kind::Gauge, amount });
        }
    }

    /// Model, provider and the configured dimensions.
    fn set_of_call<'a>(&self, event: &'a Event) -> Set<'a> {
        let mut labels = vec![(label::MODEL, self.model(event)), (label::PROVIDER, event.provider.as_str())];
        let dimensions = self.labels.iter();
        labels.extend(dimensions.filter_map(|label| Some((label.name(), event.attribution.get(*label)?))));
        Set { labels, weight: self.weight }
    }

    /// The model as it is counted: by the name that the price list or the operator has for it, since a client can ask
    /// for any.
    fn model<'a>(&self, event: &'a Event) -> &'a str {
        let named = [event.response_model.as_deref(), event.request_model.as_deref()];
        let is_listed = |model: &&str| self.models.iter().any(|pattern| pattern.matches(model));
        let listed = named.into_iter().flatten().find(is_listed);
        listed.or_else(|| event.prices.first().map(|price| price.model.as_str())).unwrap_or("unknown")
    }

    /// The configured dimensions, of whoever a task belongs to.
    fn set_of_outcome<'a>(&self, outcome: &'a TaskOutcome) -> Set<'a> {
        let labels = self.labels.iter().filter_map(|label| Some((label.name(), outcome.owner.get(*label)?)));
        const RESULTS: u64 = 4;
        Set { labels: labels.collect(), weight: RESULTS }
    }

    /// Every set of labels that this is counted under.
    fn with_sets<T>(&self, counted: Counted<'_>, mut each: impl FnMut(Set<'_>) -> T) -> Vec<T> {
        let (event, outcome) = match counted {
            Counted::Event(event) => (Some(event), event.task_outcome.as_ref()),
            Counted::Outcome(outcome) => (None, Some(outcome)),
        };
        let budgets = event.into_iter().flat_map(|event| &event.limits).filter(|found| found.gauges.is_some());
        let budgets: Vec<_> = budgets.map(BudgetLabels::of).collect();
        let sets = event.map(|event| self.set_of_call(event)).into_iter().chain(budgets.iter().map(BudgetLabels::set));
        sets.chain(outcome.map(|outcome| self.set_of_outcome(outcome))).map(&mut each).collect()
    }
}

/// Something that is counted.
#[derive(Clone, Copy, Debug)]
pub enum Counted<'a> {
    /// A call that is over.
    Event(&'a Event),
    /// An operator's report on a task.
    Outcome(&'a TaskOutcome),
}

/// What the gauges of a budget are labelled with.
struct BudgetLabels {
    /// Keys of each limit have a cap of their own.
    label: String,
    key: String,
}

impl BudgetLabels {
    fn of(found: &Finding) -> Self {
        let key: Vec<_> = found.key.values().map(String::as_str).collect();
        Self { label: format!("{}/{}", label::KEY, found.id), key: key.join("/") }
    }

    fn set(&self) -> Set<'_> {
        const GAUGES: u64 = 5;
        Set { labels: vec![(&self.label, &self.key)], weight: GAUGES }
    }
}

/// Calls that were made again, by the cause: how many, and what those before cost.
fn made_again(event: &Event) -> impl Iterator<Item = (&'static str, u64, Option<Usd>)> {
    let client = event.retry.as_ref().map(|retry| ("client", 1, retry.earlier_cost_usd));
    let gateway = event.attempts.as_ref();
    let gateway = gateway.map(|tries| ("gateway", tries.count.saturating_sub(1), tries.estimated_cost_usd));
    let misrouted = event.routing.as_ref().and_then(|routing| routing.misrouted.as_ref());
    let misrouted = misrouted.map(|misrouted| ("misrouting", 1, misrouted.cost_usd));
    [client, gateway, misrouted].into_iter().flatten()
}

/// The most series that calls with the same labels can have.
fn series_of_a_call(limits: &[Limit], alternatives: usize) -> u64 {
    const OUTCOMES: usize = 8;
    const DIRECTIONS: usize = 2;
    /// With some to spare, for reasons to come.
    const REASONS: usize = 16;
    /// Each with a count and a cost.
    const CAUSES: usize = 3 * 2;
    const RATE_LIMITS: usize = health::COUNTED.len();
    /// Cost, savings, losses, unpriced; unused tools, hits and repeats with what they cost; fallbacks, overhead,
    /// failures; the three histograms.
    const SINGLE: usize = 16;
    const MISSES: usize = 8;
    /// Instructions and tools.
    const DRIFTS: usize = 2;
    // Refused or observed, and each threshold.
    let of_limit = |limit: &Limit| limit.thresholds.len().saturating_add(2);
    let components = Component::ALL.len().saturating_mul(2);
    let (classes, buckets) = (ErrorClass::ALL.len(), Bucket::ALL.len());
    let told = [OUTCOMES, DIRECTIONS, buckets, components, REASONS, CAUSES, classes, RATE_LIMITS, SINGLE, alternatives];
    let parts = told.into_iter().chain([MISSES, DRIFTS]);
    let series = parts.chain(limits.iter().map(of_limit)).fold(0, usize::saturating_add);
    u64::try_from(series).unwrap_or(u64::MAX)
}

/// The least `max_series` that lets the calls of one application be told apart.
pub(crate) fn least_series(limits: &[Limit], alternatives: usize) -> u64 {
    series_of_a_call(limits, alternatives).saturating_mul(2).saturating_add(SERIES_OF_THE_FILTER)
}

/// Names that were spelled before, by the labels that all metrics of a call share. Spelling is most of the work of
/// measuring, and calls of one application repeat each other's names. There are as many as were admitted.
#[derive(Debug)]
struct Names {
    by_labels: BTreeMap<String, Vec<Name>>,
}

#[derive(Debug)]
struct Name {
    /// Tells the metric, and the labels that only it has, from others with the same labels of the call.
    hash: u64,
    metric: Rc<Metric>,
    /// What is not counted yet of an amount of money, in femtodollars: less than a nanodollar.
    carried: i128,
}

/// How much is counted.
#[derive(Clone, Copy, Debug)]
enum Amount {
    Whole(u64),
    /// Counted in whole nanodollars; the rest is carried to the next time.
    Money(Usd),
}

impl Names {
    /// The names with these labels so far.
    fn with(&mut self, base: &[(&str, &str)]) -> &mut Vec<Name> {
        self.by_labels.entry(named("", base)).or_default()
    }
}

impl Name {
    fn counted(&mut self, amount: Amount) -> u64 {
        match amount {
            Amount::Whole(amount) => amount,
            // Counters only grow: what a provider states below zero counts for nothing.
            Amount::Money(cost) => {
                let owed = Usd::from_femto(self.carried).plus(cost.max(Usd::ZERO));
                let nano = owed.nano_floor();
                self.carried = owed.femto().rem_euclid(1_000_000);
                u64::try_from(nano).unwrap_or(u64::MAX)
            }
        }
    }
}

/// The name of a metric with labels of its own before those that all metrics of the call share.
#[inline(never)]
fn spelled<'n>(
    names: &'n mut Vec<Name>,
    metric: &'static str,
    labels: &[(&'static str, &str)],
    base: &[(&str, &str)],
) -> Option<&'n mut Name> {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    (metric, labels).hash(&mut hasher);
    let hash = hasher.finish();
    let at = names.iter().position(|name| name.hash == hash).unwrap_or(names.len());
    if at == names.len() {
        let all: Vec<_> = labels.iter().chain(base).copied().collect();
        names.push(Name { hash, metric: Metric::new(named(metric, &all)), carried: 0 });
    }
    names.get_mut(at)
}

/// What caches and templates did, and what tools cost that were not called.
#[inline(never)]
fn count_caches(event: &Event, add: &mut impl FnMut(&'static str, &[(&'static str, &str)], Kind, Amount)) {
    let mut count = |metric, labels: &[(&'static str, &str)], amount| add(metric, labels, Kind::Counter, amount);
    if let Some(reason) = event.cache.miss_reason {
        count(metric::CACHE_MISSES, &[(label::REASON, reason.name())], Amount::Whole(1));
    }
    if let Some(drift) = event.template.as_ref().and_then(|template| template.drift.as_ref()) {
        count(metric::TEMPLATE_DRIFTS, &[(label::COMPONENT, drift.component)], Amount::Whole(1));
    }
    if let Some(tools) = event.tools.as_ref().filter(|tools| tools.unused_tokens > 0) {
        count(metric::UNUSED_TOOL_TOKENS, &[], Amount::Whole(tools.unused_tokens));
        let cost = tools.unused_cost_usd;
        cost.into_iter().for_each(|cost| count(metric::UNUSED_TOOL_COST, &[], Amount::Money(cost)));
    }
    if let Some(cache) = &event.response_cache {
        let (calls, money, cost) = match cache.served_by {
            Some(_) => (metric::RESPONSE_CACHE_HITS, metric::RESPONSE_CACHE_AVOIDED, cache.avoided_usd),
            None => (metric::REPEATED, metric::REPEATED_COST, cache.avoidable_usd),
        };
        count(calls, &[], Amount::Whole(1));
        cost.into_iter().for_each(|cost| count(money, &[], Amount::Money(cost)));
    }
}

fn totals(event: &Event) -> [(&'static str, Option<u64>); 2] {
    [("input", event.input_tokens), ("output", event.output_tokens)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_label_or_forge_another() {
        assert_eq!(named("m", &[("app", "a;team=x\n"), ("team", "")]), "m;app=a_team_x_;team=none");
    }

    #[test]
    fn a_name_is_spelled_once_and_money_below_a_nanodollar_is_carried_to_the_next_call() {
        let mut names = Names { by_labels: BTreeMap::new() };
        let base = [("app", "a")];
        let mut count = |metric, labels: &[(&'static str, &str)], femto| {
            let name = spelled(names.with(&base), metric, labels, &base).expect("a name");
            (name.metric.name.clone(), name.counted(Amount::Money(Usd::from_femto(femto))))
        };
        assert_eq!(count("m", &[("type", "input")], 1_600_000), ("m;type=input;app=a".to_owned(), 1));
        assert_eq!(count("n", &[], 600_000), ("n;app=a".to_owned(), 0));
        assert_eq!(count("m", &[("type", "input")], 1_600_000), ("m;type=input;app=a".to_owned(), 2));
        assert_eq!(count("m", &[("type", "input")], -5_000_000).1, 0);
        assert_eq!(count("m", &[("type", "input")], 800_000).1, 1);
        assert_eq!(names.by_labels.values().map(Vec::len).sum::<usize>(), 2);
    }

    #[test]
    fn a_name_never_exceeds_what_hosts_take() {
        let long = "x".repeat(300);
        let labels: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|key| (*key, long.as_str())).collect();
        assert!(named("m", &labels).len() <= NAME_MAX);
    }
}
