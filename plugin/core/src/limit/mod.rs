//! Limits: which apply to a call, and what they decide.
//!
//! Here are ceilings on a single call, judged from its estimate before it is forwarded.
//! Invariants: pure; what cannot be estimated (no price, no output cap) never passes a `deny` limit unnoticed: the
//! limit is reported as unknown.
//! Must not know: wire formats, gateways, where amounts come from.
#![deny(clippy::arithmetic_side_effects)]

use crate::attribution::{Attribution, Dimension};
use crate::config::raw::Action;
use crate::money::Usd;
use serde::Serialize;
use std::fmt;

/// A value to compare with: exact, or with `*` at one end, matching any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    kind: PatternKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternKind {
    Exact,
    Prefix,
    Suffix,
}

impl Pattern {
    /// A pattern as written: `gpt-4o`, `gpt-4o*` or `*.example.com`. Case does not matter.
    #[must_use]
    pub fn new(written: &str) -> Self {
        let (text, kind) = match (written.strip_suffix('*'), written.strip_prefix('*')) {
            (Some(start), _) => (start, PatternKind::Prefix),
            (None, Some(end)) => (end, PatternKind::Suffix),
            (None, None) => (written, PatternKind::Exact),
        };
        Self { text: text.to_ascii_lowercase(), kind }
    }

    /// Whether a value matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        match self.kind {
            PatternKind::Exact => value == self.text,
            PatternKind::Prefix => value.starts_with(&self.text),
            PatternKind::Suffix => value.ends_with(&self.text),
        }
    }
}

/// Which calls a limit applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// The requested model.
    pub model: Option<Pattern>,
    /// The provider.
    pub provider: Option<Pattern>,
    /// Values of dimensions.
    pub attribution: Vec<(Dimension, Pattern)>,
}

/// The most a call may consume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// Counted input tokens.
    InputTokens(u64),
    /// The most output tokens the request allows.
    OutputTokens(u64),
    /// The counted input and the most output, at list price.
    Cost(Usd),
}

/// A limit on single calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub id: String,
    /// The calls it applies to.
    pub matching: Matching,
    /// The most it allows.
    pub ceiling: Ceiling,
    /// What happens beyond it.
    pub action: Action,
}

/// What is known of a call before it is forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Estimate<'a> {
    /// The model asked for.
    pub model: Option<&'a str>,
    /// The provider.
    pub provider: Option<&'a str>,
    /// Who it belongs to.
    pub attribution: &'a Attribution,
    /// Counted input tokens.
    pub input_tokens: u64,
    /// The most output tokens it may produce, all choices together; `None` where it sets no bound.
    pub output_tokens: Option<u64>,
    /// The most it may cost; `None` without a price or a bound.
    pub cost: Option<Usd>,
}

/// How a limit stands to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Within the limit.
    Within,
    /// Beyond it.
    Exceeded,
    /// The call sets no bound that could be compared.
    Unbounded,
}

/// What one limit says of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The limit.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// What it does about it.
    pub action: Action,
    /// The measured amount, where known.
    pub amount: Option<String>,
    /// The limit's amount.
    pub limit: String,
}

impl Finding {
    /// What a refused caller is told.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.amount {
            Some(amount) => format!("this call needs {amount}, limit `{}` allows {}", self.id, self.limit),
            None => format!(
                "limit `{}` allows {}, but this call sets no bound to compare with; set a maximum of output tokens \
                 and use a model with a known price",
                self.id, self.limit
            ),
        }
    }

    /// The call is to be refused.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.standing != Standing::Within && self.action == Action::Deny
    }
}

impl Matching {
    fn matches(&self, call: &Estimate<'_>) -> bool {
        let is = |pattern: &Pattern, value: Option<&str>| value.is_some_and(|value| pattern.matches(value));
        self.model.as_ref().is_none_or(|pattern| is(pattern, call.model))
            && self.provider.as_ref().is_none_or(|pattern| is(pattern, call.provider))
            && self.attribution.iter().all(|(dimension, pattern)| is(pattern, call.attribution.get(*dimension)))
    }
}

impl Limit {
    /// What this limit says of a call; `None` where it does not apply.
    #[must_use]
    pub fn judge(&self, call: &Estimate<'_>) -> Option<Finding> {
        if !self.matching.matches(call) {
            return None;
        }
        let (standing, amount, limit) = match self.ceiling {
            Ceiling::InputTokens(limit) => compare(Some(call.input_tokens), limit),
            Ceiling::OutputTokens(limit) => compare(call.output_tokens, limit),
            Ceiling::Cost(limit) => compare(call.cost, limit),
        };
        Some(Finding { id: self.id.clone(), standing, action: self.action, amount, limit })
    }
}

fn compare<T: PartialOrd + fmt::Display>(amount: Option<T>, limit: T) -> (Standing, Option<String>, String) {
    let standing = match &amount {
        None => Standing::Unbounded,
        Some(amount) if *amount > limit => Standing::Exceeded,
        Some(_) => Standing::Within,
    };
    (standing, amount.map(|amount| amount.to_string()), limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(ceiling: Ceiling, matching: Matching) -> Option<Standing> {
        let attribution = Attribution::default();
        let call = Estimate {
            model: Some("gpt-4o"),
            provider: None,
            attribution: &attribution,
            input_tokens: 100,
            output_tokens: None,
            cost: Some(Usd::from_femto(5)),
        };
        Limit { id: "l".to_owned(), matching, ceiling, action: Action::Deny }.judge(&call).map(|found| found.standing)
    }

    #[test]
    fn a_limit_allows_its_own_amount_and_nothing_beyond() {
        assert_eq!(standing(Ceiling::InputTokens(100), Matching::default()), Some(Standing::Within));
        assert_eq!(standing(Ceiling::InputTokens(99), Matching::default()), Some(Standing::Exceeded));
        assert_eq!(standing(Ceiling::Cost(Usd::from_femto(4)), Matching::default()), Some(Standing::Exceeded));
    }

    #[test]
    fn what_sets_no_bound_is_unbounded_rather_than_within() {
        assert_eq!(standing(Ceiling::OutputTokens(10), Matching::default()), Some(Standing::Unbounded));
    }

    #[test]
    fn a_limit_applies_only_where_it_matches() {
        let matching = |pattern| Matching { model: Some(Pattern::new(pattern)), ..Matching::default() };
        assert_eq!(standing(Ceiling::InputTokens(1), matching("GPT-4*")), Some(Standing::Exceeded));
        assert_eq!(standing(Ceiling::InputTokens(1), matching("gpt-4")), None);
        let provider = Matching { provider: Some(Pattern::new("openai")), ..Matching::default() };
        assert_eq!(standing(Ceiling::InputTokens(1), provider), None);
    }
}
