//! Sums over rows.
//!
//! Invariants: exact integers; calls of unknown cost are counted, and in no amount.
//! Must not know: which rows, and why.

use crate::row::{PARTS, Row};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tollgate_core::money::Usd;

/// What some calls come to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sum {
    calls: u64,
    /// Calls whose cost is unknown.
    unpriced: u64,
    /// Calls without token counts.
    unmetered: u64,
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    pub(crate) cost_usd: Usd,
    /// What prompt caches saved; negative where writing cost more.
    saved_usd: Usd,
    parts: Parts,
}

/// Tokens and dollars by what they consist of.
#[derive(Clone, Debug, Default)]
struct Parts([(u64, Usd); PARTS.len()]);

#[derive(Serialize)]
struct Part {
    tokens: u64,
    cost_usd: Usd,
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(PARTS.len()))?;
        for (name, &(tokens, cost_usd)) in PARTS.iter().zip(&self.0) {
            map.serialize_entry(name, &Part { tokens, cost_usd })?;
        }
        map.end()
    }
}

impl Sum {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: &Row) {
        self.calls = self.calls.saturating_add(1);
        self.unpriced = self.unpriced.saturating_add(u64::from(row.cost.is_none()));
        self.unmetered = self.unmetered.saturating_add(u64::from(row.is_unmetered));
        self.input_tokens = self.input_tokens.saturating_add(row.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(row.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(row.cached_tokens);
        self.cost_usd = self.cost_usd.plus(row.cost.unwrap_or(Usd::ZERO));
        self.saved_usd = self.saved_usd.plus(row.saved);
        self.parts.add(&row.parts);
    }

    /// Adds the sum of other rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.unmetered = self.unmetered.saturating_add(other.unmetered);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.cost_usd = self.cost_usd.plus(other.cost_usd);
        self.saved_usd = self.saved_usd.plus(other.saved_usd);
        self.parts.add(&other.parts.0);
    }
}

impl Parts {
    fn add(&mut self, more: &[(u64, Usd); PARTS.len()]) {
        for ((tokens, cost), (more_tokens, more_cost)) in self.0.iter_mut().zip(more) {
            *tokens = tokens.saturating_add(*more_tokens);
            *cost = cost.plus(*more_cost);
        }
    }
}
