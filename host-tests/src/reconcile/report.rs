//! A comparison as people and programs read it.
//!
//! Must not know: where its numbers come from.

use serde_json::{Map, Value, json};
use tollgate_core::money::Usd;
use tollgate_core::usage::Usage;

use super::{ALL_MODELS, Comparison, Key, Reason, Repriced, Row, Side};
use crate::demo::bill::{dollars, grouped, table};

/// The comparison as JSON: `rows`, `total` and what no export covers. Amounts are decimals, as texts; what is unknown is `null`.
#[must_use]
pub fn json(comparison: &Comparison) -> Value {
    let row = |(key, row): (&Key, &Row)| {
        let mut members = as_json(row);
        for (name, value) in [("provider", &key.provider), ("day", &key.day), ("model", &key.model)] {
            members.insert(name.to_owned(), value.as_str().into());
        }
        Value::Object(members)
    };
    let (calls, cost) = comparison.not_covered;
    json!({
        "rows": comparison.rows.iter().map(row).collect::<Vec<_>>(),
        "total": as_json(&comparison.total()),
        "not_covered": {"calls": calls, "cost_usd": cost.to_string()},
    })
}

fn as_json(row: &Row) -> Map<String, Value> {
    let amount = |amount: Option<Usd>| amount.map(|amount| amount.to_string());
    let mut members = Map::new();
    let parts = row.parts();
    for (name, value) in [
        ("events", side(&row.events)),
        ("stated", row.provider.as_ref().map_or(Value::Null, side)),
        ("difference_usd", json!(amount(row.difference()))),
        ("usage_part_usd", json!(amount(row.usage_part))),
        ("price_part_usd", json!(amount(parts.map(|parts| parts.price)))),
        ("reasons", row.reasons().iter().map(ToString::to_string).collect()),
        ("repriced", row.repriced.map_or(Value::Null, repriced)),
    ] {
        members.insert(name.to_owned(), value);
    }
    members
}

fn side(side: &Side) -> Value {
    let tokens = |count: fn(&Usage) -> u64| side.usage.as_ref().map(count);
    json!({
        "calls": side.calls,
        "input_tokens": tokens(Usage::input_total),
        "cache_read_tokens": tokens(Usage::cache_read_total),
        "output_tokens": tokens(Usage::output_total),
        "cost_usd": side.cost.map(|cost| cost.to_string()),
    })
}

fn repriced(repriced: Repriced) -> Value {
    json!({"cost_usd": repriced.cost.map(|cost| cost.to_string()), "calls_left_out": repriced.left_out})
}

/// The comparison as text: a line per day and model, then why they differ.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let is_repriced = comparison.rows.values().any(|row| row.repriced.is_some());
    let mut headings =
        vec!["day", "model", "calls", "stated", "input", "stated", "output", "stated", "cost", "stated", "difference"];
    headings.extend(is_repriced.then_some("repriced"));
    let total = comparison.total();
    let total_key = Key { provider: String::new(), day: "total".to_owned(), model: String::new() };
    let all = comparison.rows.iter().chain([(&total_key, &total)]);
    let lines: Vec<Vec<String>> = all.map(|(key, row)| cells(key, row, is_repriced)).collect();
    let mut text = table(&headings, &lines);
    for (key, row) in &comparison.rows {
        text.push_str(&explained(key, row));
    }
    let (calls, cost) = comparison.not_covered;
    if calls > 0 {
        text.push_str(&format!(
            "\nCalls of days or providers that no export covers: {} ({}).\n",
            grouped(calls),
            dollars(cost)
        ));
    }
    if let Some(repriced) = total.repriced.filter(|repriced| repriced.left_out > 0) {
        text.push_str(&format!(
            "\nCalls that have no price there, or do not tell the kinds of their tokens: {}.\n",
            grouped(repriced.left_out)
        ));
    }
    text
}

fn cells(key: &Key, row: &Row, is_repriced: bool) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let amount = |amount: Option<Usd>| amount.map_or_else(|| "-".to_owned(), dollars);
    let input = |side: &Side| number(side.usage.map(|usage| usage.input_total()));
    let output = |side: &Side| number(side.usage.map(|usage| usage.output_total()));
    let (ours, theirs) = (&row.events, row.provider.clone().unwrap_or_default());
    let mut cells = vec![
        key.day.clone(),
        key.model.clone(),
        number(ours.calls),
        number(theirs.calls),
        input(ours),
        input(&theirs),
        output(ours),
        output(&theirs),
        amount(ours.cost),
        amount(theirs.cost),
        amount(row.difference()),
    ];
    cells.extend(is_repriced.then(|| amount(row.repriced.and_then(|repriced| repriced.cost))));
    cells
}

/// Why a row differs; nothing where it does not.
fn explained(key: &Key, row: &Row) -> String {
    let reasons = row.reasons();
    if row.provider.is_none() && row.repriced.is_some() || reasons.is_empty() {
        return String::new();
    }
    let model = if key.model == ALL_MODELS { "all models" } else { &key.model };
    let mut text = format!("\n{} {} {model}\n", key.provider, key.day);
    if let Some(parts) = row.parts() {
        text.push_str(&format!(
            "  {} are tokens that only one side has, {} is price.\n",
            dollars(parts.usage),
            dollars(parts.price)
        ));
    }
    for reason in reasons {
        text.push_str(&format!("  - {reason}\n"));
    }
    text
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NothingFromProvider => write!(f, "the export has nothing of this model on this day"),
            Self::CallsWithoutEvent(calls) => {
                write!(f, "calls without an event: {calls} (they did not pass this gateway, or their log is not here)")
            }
            Self::EventsWithoutCall(calls) => {
                write!(
                    f,
                    "events without a call: {calls} (the export is filtered, or has calls at midnight on another day)"
                )
            }
            Self::Tokens => write!(f, "the tokens differ"),
            Self::Caching => {
                write!(f, "the tokens are the same, and how many of them a cache read or wrote is not")
            }
            Self::Counted(calls) => {
                write!(f, "calls whose tokens were counted here, since none were reported: {calls}")
            }
            Self::Unmetered(calls) => write!(f, "calls without tokens here: {calls} (`unmetered_reason` says why)"),
            Self::Unpriced(calls) => write!(f, "calls without a price here: {calls} (`unpriced_reason` says why)"),
            Self::NoUsage => {
                write!(f, "the export has costs and no tokens; with its usage beside it, the difference has parts")
            }
            Self::Fee => write!(f, "a charge that belongs to no call"),
            Self::Price => {
                write!(f, "the same tokens have another price there: a discount, a tier, a fee, or another list")
            }
        }
    }
}
