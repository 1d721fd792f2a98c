//! Tollgate's events against what providers say: usage and costs by day and model, what differs, and why.
//!
//! [`calls`] reads event logs, [`export`] what providers export; [`Books::compare`] puts both side by side, and [`report`] shows it.
//! Invariants: money is exact; the parts of a difference sum to it; what is unknown has no number; calls of days that an export
//! does not cover are left out and counted. Must not know: arguments, files.

pub mod calls;
pub mod export;
pub mod report;

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::money::Usd;
use tollgate_core::price::{Lookup, PriceBook, Terms};
use tollgate_core::time::Timestamp;
use tollgate_core::usage::{Bucket, Direction, Usage};

use calls::Call;
use export::Export;

/// What is compared: a provider's day, and one of its models, by the price list's name where it has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The provider.
    pub provider: String,
    /// `2026-11-26`, in UTC.
    pub day: String,
    /// The model; where the provider states the day's cost as a whole, [`ALL_MODELS`].
    pub model: String,
}

/// All models of a day, where the costs of an export do not tell them apart.
pub const ALL_MODELS: &str = "(all models)";

/// One side's count of a day and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Calls; `None` where the export does not count them.
    pub calls: Option<u64>,
    /// Tokens, reasoning as output; `None` where nothing was said of them.
    pub usage: Option<Usage>,
    /// Dollars; `None` where nothing was said of them.
    pub cost: Option<Usd>,
}

/// What is only known of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Calls whose tokens Tollgate counted or estimated, at least in part.
    pub counted: u64,
    /// Calls without tokens.
    pub unmetered: u64,
    /// Calls with tokens and without a cost.
    pub unpriced: u64,
}

/// What another price list or contract makes of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repriced {
    /// Dollars of the calls that could be priced; `None` where none could.
    pub cost: Option<Usd>,
    /// Calls that could not: no price there, or tokens whose kind the event does not tell.
    pub left_out: u64,
}

/// Two parts that sum to the difference of two costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Tokens that only one side has, at list prices.
    pub usage: Usd,
    /// The rest: the same tokens at another price, and fees.
    pub price: Usd,
}

/// A day of a model, from both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The events.
    pub events: Side,
    /// What is uncertain about them.
    pub doubts: Doubts,
    /// What the provider says; `None` where it says nothing of this day and model.
    pub provider: Option<Side>,
    /// Tokens that only one side has, at list prices; `None` where a price or a usage is not known.
    pub usage_part: Option<Usd>,
    /// The events under other prices, where those were given.
    pub repriced: Option<Repriced>,
}

/// Both sides of all days, and what has no place in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// By provider, day and model.
    pub rows: BTreeMap<Key, Row>,
    /// Calls of providers and days that no export covers, and what they cost.
    pub not_covered: (u64, Usd),
}

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub struct Books<'a> {
    /// The calls.
    pub calls: &'a [Call],
    /// What providers export; without any, all calls have a row.
    pub export: &'a Export,
    /// Other prices for the same calls.
    pub other_prices: Option<&'a PriceBook>,
}

impl Books<'_> {
    /// Puts both sides side by side.
    #[must_use]
    pub fn compare(&self) -> Comparison {
        let mut comparison = Comparison::default();
        for call in self.calls {
            let covered = &self.export.days;
            if !covered.is_empty() && !covered.contains(&(call.provider.clone(), call.day())) {
                let (calls, cost) = comparison.not_covered;
                comparison.not_covered = (calls.saturating_add(1), cost.plus(call.cost.unwrap_or_default()));
                continue;
            }
            let row = comparison.rows.entry(key(&call.provider, &call.day(), &call.model, call.time)).or_default();
            row.add_call(call);
            if let Some(book) = self.other_prices {
                row.repriced.get_or_insert_default().add(call, book);
            }
        }
        for line in &self.export.lines {
            let at = Timestamp::parse(&line.day).unwrap_or(Timestamp::from_millis(0));
            let model = line.model.as_deref().unwrap_or(ALL_MODELS);
            let row = comparison.rows.entry(key(&line.provider, &line.day, model, at)).or_default();
            row.provider.get_or_insert_default().add(&Side { calls: line.calls, usage: line.usage, cost: line.cost });
        }
        for (key, row) in &mut comparison.rows {
            row.usage_part = usage_part(key, row);
        }
        comparison.merge_days_without_models();
        comparison
    }
}

impl Comparison {
    /// A cost of a whole day can only be held against the whole day.
    fn merge_days_without_models(&mut self) {
        let is_whole = |(key, row): &(&Key, &Row)| {
            key.model == ALL_MODELS && row.provider.as_ref().is_some_and(|side| side.cost.is_some())
        };
        let days: BTreeSet<(String, String)> =
            self.rows.iter().filter(is_whole).map(|(key, _)| (key.provider.clone(), key.day.clone())).collect();
        for (provider, day) in days {
            let is_of_day = |key: &Key| key.provider == provider && key.day == day;
            let whole =
                self.rows.iter().filter(|(key, _)| is_of_day(key)).fold(None, |sum: Option<Row>, (_, row)| {
                    Some(sum.map_or_else(|| row.clone(), |sum| sum.plus(row)))
                });
            self.rows.retain(|key, _| !is_of_day(key));
            self.rows.insert(Key { provider, day, model: ALL_MODELS.to_owned() }, whole.unwrap_or_default());
        }
    }

    /// The sum of all rows.
    #[must_use]
    pub fn total(&self) -> Row {
        self.rows
            .values()
            .fold(None, |sum: Option<Row>, row| Some(sum.map_or_else(|| row.clone(), |sum| sum.plus(row))))
            .unwrap_or_default()
    }
}

/// The key under which both sides meet: a model may be an alias on one side and dated on the other.
fn key(provider: &str, day: &str, model: &str, at: Timestamp) -> Key {
    let lookup = Lookup { provider: Some(provider), model, alias: None, at, terms: Terms::default() };
    let book = PriceBook::builtin();
    let listed = book.quote(&lookup).map(|quote| quote.model().to_owned());
    Key { provider: provider.to_owned(), day: day.to_owned(), model: listed.unwrap_or_else(|_| model.to_owned()) }
}

/// Tokens that only one side has, at the list's prices of that day for calls of usual size.
fn usage_part(key: &Key, row: &Row) -> Option<Usd> {
    let (events, provider) = (row.events.usage.unwrap_or_default(), row.provider.as_ref()?.usage?);
    let at = Timestamp::parse(&key.day)?;
    let lookup = Lookup { provider: Some(&key.provider), model: &key.model, alias: None, at, terms: Terms::default() };
    let book = PriceBook::builtin();
    let quote = book.quote(&lookup).ok()?;
    Bucket::ALL.into_iter().try_fold(Usd::ZERO, |sum, bucket| {
        let more = i128::from(provider.get(bucket)) - i128::from(events.get(bucket));
        if more == 0 {
            return Some(sum);
        }
        let rate = quote.per_million(bucket, 1)?.femto();
        Some(sum.plus(Usd::from_femto(rate.checked_mul(more)?.checked_div(1_000_000)?)))
    })
}

impl Side {
    /// Adds what another line says; what neither says stays unknown.
    fn add(&mut self, more: &Self) {
        self.calls = either(self.calls, more.calls, u64::saturating_add);
        self.cost = either(self.cost, more.cost, Usd::plus);
        self.usage = either(self.usage, more.usage, |mut sum, more| {
            sum.add(&more);
            sum
        });
    }

    fn tokens(&self, direction: Direction) -> Option<u64> {
        self.usage.map(|usage| match direction {
            Direction::Input => usage.input_total(),
            Direction::Output => usage.output_total(),
        })
    }
}

/// Usage as exports tell it, which count reasoning as output.
fn as_billed(mut usage: Usage) -> Usage {
    let output = usage.get(Bucket::Output).saturating_add(usage.get(Bucket::Reasoning));
    usage.set(Bucket::Output, output);
    usage.set(Bucket::Reasoning, 0);
    usage
}

/// The sum of what is known.
fn either<T>(one: Option<T>, other: Option<T>, add: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (known, None) | (None, known) => known,
    }
}

impl Row {
    fn add_call(&mut self, call: &Call) {
        // What is told later has an event of its own, and the provider counts one call.
        let calls = u64::from(!call.is_later);
        self.events.add(&Side { calls: Some(calls), usage: call.usage.map(as_billed), cost: call.cost });
        let doubts = &mut self.doubts;
        doubts.counted = doubts.counted.saturating_add(u64::from(call.usage.is_some() && !call.is_reported));
        doubts.unmetered = doubts.unmetered.saturating_add(u64::from(call.usage.is_none()));
        doubts.unpriced = doubts.unpriced.saturating_add(u64::from(call.usage.is_some() && call.cost.is_none()));
    }

    fn plus(mut self, more: &Self) -> Self {
        self.events.add(&more.events);
        self.doubts = Doubts {
            counted: self.doubts.counted.saturating_add(more.doubts.counted),
            unmetered: self.doubts.unmetered.saturating_add(more.doubts.unmetered),
            unpriced: self.doubts.unpriced.saturating_add(more.doubts.unpriced),
        };
        // A row of costs alone has no tokens to differ in; any other whose part is unknown makes the sum unknown.
        let has_tokens =
            |row: &Self| row.events.usage.is_some() || row.provider.as_ref().is_some_and(|side| side.usage.is_some());
        self.usage_part = match (self.usage_part, more.usage_part) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (Some(one), None) if !has_tokens(more) => Some(one),
            (None, Some(other)) if !has_tokens(&self) => Some(other),
            _ => None,
        };
        if let Some(side) = &more.provider {
            self.provider.get_or_insert_default().add(side);
        }
        self.repriced = either(self.repriced, more.repriced, |one, other| Repriced {
            cost: either(one.cost, other.cost, Usd::plus),
            left_out: one.left_out.saturating_add(other.left_out),
        });
        self
    }

    /// What the provider's cost is above the events'; `None` where it states none.
    #[must_use]
    pub fn difference(&self) -> Option<Usd> {
        let stated = self.provider.as_ref()?.cost?;
        Some(stated.minus(self.events.cost.unwrap_or_default()))
    }

    /// The difference in two parts; `None` where usage or list prices are not known on both sides.
    #[must_use]
    pub fn parts(&self) -> Option<Parts> {
        let usage = self.usage_part?;
        Some(Parts { usage, price: self.difference()?.minus(usage) })
    }

    /// Why both sides differ, as far as the numbers tell.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let Some(provider) = &self.provider else { return vec![Reason::NothingFromProvider] };
        let mut reasons = Vec::new();
        match (&provider.usage, &self.events.usage) {
            (None, None) => reasons.push(Reason::Fee),
            (None, Some(_)) if self.difference().is_some_and(|difference| difference != Usd::ZERO) => {
                reasons.push(Reason::NoUsage);
            }
            _ => {}
        }
        if let (Some(theirs), Some(ours)) = (provider.calls, self.events.calls.or(Some(0))) {
            if theirs > ours {
                reasons.push(Reason::CallsWithoutEvent(theirs - ours));
            }
            if ours > theirs {
                reasons.push(Reason::EventsWithoutCall(ours - theirs));
            }
        }
        let differs = |direction| {
            provider.tokens(direction).is_some_and(|theirs| self.events.tokens(direction).unwrap_or(0) != theirs)
        };
        if differs(Direction::Input) || differs(Direction::Output) {
            reasons.push(Reason::Tokens);
        } else if provider.usage.is_some() && self.usage_part.is_some_and(|part| part != Usd::ZERO) {
            reasons.push(Reason::Caching);
        }
        if self.doubts.counted > 0 {
            reasons.push(Reason::Counted(self.doubts.counted));
        }
        if self.doubts.unmetered > 0 {
            reasons.push(Reason::Unmetered(self.doubts.unmetered));
        }
        if self.doubts.unpriced > 0 {
            reasons.push(Reason::Unpriced(self.doubts.unpriced));
        }
        if self.parts().is_some_and(|parts| parts.price != Usd::ZERO) {
            reasons.push(Reason::Price);
        }
        reasons
    }
}

/// A cause of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The provider says nothing of this day and model.
    NothingFromProvider,
    /// The provider counts so many calls more: they did not pass this gateway, or their events are in another log.
    CallsWithoutEvent(u64),
    /// There are so many events more: the provider counts them on another day, or the export leaves them out.
    EventsWithoutCall(u64),
    /// Both sides count different tokens.
    Tokens,
    /// Both count the same tokens, and differ in how many of them a cache read or wrote.
    Caching,
    /// Tollgate counted or estimated the tokens of so many calls, since the provider did not report them.
    Counted(u64),
    /// So many calls have no tokens.
    Unmetered(u64),
    /// So many calls have no price.
    Unpriced(u64),
    /// The provider states costs alone, and without tokens their difference has no parts.
    NoUsage,
    /// A charge that belongs to no call of a model.
    Fee,
    /// The same tokens have another price there: a discount, a tier, a fee, or a list that is out of date.
    Price,
}

impl Repriced {
    fn add(&mut self, call: &Call, book: &PriceBook) {
        let lookup = Lookup {
            provider: Some(&call.provider),
            model: &call.model,
            alias: call.alias.as_deref(),
            at: call.time,
            terms: Terms { service_tier: call.service_tier.as_deref(), ..Terms::default() },
        };
        let usage = call.usage.filter(|_| call.is_exact);
        let cost = usage.and_then(|usage| book.quote(&lookup).ok()?.cost(&usage).whole());
        match cost {
            Some(cost) => self.cost = either(self.cost, Some(cost), Usd::plus),
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }
}
