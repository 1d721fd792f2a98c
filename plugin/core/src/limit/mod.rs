//! Limits: which apply to a call, what it claims of each, and what they decide.
//!
//! ```text
//! estimate -> claim per limit -> account in the ledger -> finding -> forward or refuse
//! event    -> charge per claim -> account in the ledger -> finding
//! ```
//! A limit on single calls is judged from the call's estimate alone. A budget is an [`Account`] per key: an amount is
//! held before the call is forwarded and charged when it is over.
//! Invariants: pure; what cannot be estimated (no price, no output cap) never passes a `deny` limit unnoticed: it is
//! `unbounded`.
//! Must not know: wire formats, gateways, where amounts come from.
#![deny(clippy::arithmetic_side_effects)]

mod account;
mod amount;
mod balance;
mod cap;
mod claim;
mod holds;
mod learned;
mod share;
mod steps;
mod window;
mod zone;

pub use account::{Account, THRESHOLDS_MAX, Terms, Wanted};
pub use amount::{Consumption, Estimate, Gauge, WEIGHT_ONE, thousandths};
pub use balance::{Balance, Reserved};
pub use cap::{Capping, OUTPUT_LEAST};
pub use claim::{Change, Claim, Claims, Done, Refusal};
pub use holds::HoldId;
pub use learned::Outputs;
pub use share::{Answer, Ask, Asked, Asking, Due, Fleet, Mode, Share};
pub use window::{Span, Window};
pub use zone::{Clocks, Zone};

use crate::attribution::{Attribution, Dimension, Trust};
use crate::config::raw::{Action, FailureMode, KeyPart, Measure, OnMissing, Reserve, Unbounded};
use crate::ledger::Key;
use crate::step::Turn;
use claim::State;
use serde::Serialize;
use std::collections::BTreeMap;

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
    /// The wire format.
    pub dialect: Option<Pattern>,
    /// The gateway's route.
    pub route: Option<Pattern>,
    /// Values of dimensions.
    pub attribution: Vec<(Dimension, Pattern)>,
}

/// What limits see of a call, beside amounts.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The model asked for.
    pub model: Option<&'a str>,
    /// The provider.
    pub provider: &'a str,
    /// The wire format.
    pub dialect: &'a str,
    /// The gateway's name of the route.
    pub route: Option<&'a str>,
    /// Whom it belongs to.
    pub attribution: &'a Attribution,
    /// Tells its step from others; `None` where it shows none.
    pub mark: Option<u64>,
    /// What the user said last; `None` where it shows none of it.
    pub turn: Option<Turn>,
}

/// What happens beyond a part of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold {
    /// Per cent of the limit.
    pub percent: u32,
    /// What happens.
    pub action: Action,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub id: String,
    /// The calls it applies to.
    pub matching: Matching,
    /// What it measures.
    pub gauge: Gauge,
    /// The most it allows.
    pub allowed: i128,
    /// What it does beyond it, and before: in ascending order, the limit itself as 100 per cent.
    pub thresholds: Vec<Threshold>,
    /// What happens to a call without a bound.
    pub unbounded: Unbounded,
    /// Which of a call's amounts counts before it is over.
    pub reserve: Reserve,
    /// The most output tokens that a request without a maximum is given, where its output is capped.
    pub max_output_tokens: u64,
    /// The status of a refusal.
    pub status: u16,
    /// What calls share; `None` for a limit on each call by itself.
    pub budget: Option<Budget>,
}

/// What makes a limit one on several calls together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Counting begins anew with another.
    pub version: u32,
    /// Calls with the same values share an account.
    pub key: Vec<KeyPart>,
    /// What becomes of a call without one of the values.
    pub on_missing: OnMissing,
    /// What the accounts go by.
    pub terms: Terms,
    /// What happens when an account cannot be read or written.
    pub failure_mode: FailureMode,
}

/// How a limit stands to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Within the limit.
    #[default]
    Within,
    /// Beyond it.
    Exceeded,
    /// The call sets no bound that could be compared.
    Unbounded,
    /// The call lacks a value of the limit's key.
    Unattributed,
    /// What was spent could not be read or written.
    Unknown,
}

/// What one limit says of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The limit.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// What it does about it.
    pub action: Action,
    /// The highest threshold that the call is beyond, in per cent of the limit.
    pub beyond_percent: Option<u32>,
    /// The measured amount, where known: what is set aside for the call, or would have to be.
    pub amount: Option<String>,
    /// The limit's amount, with what was granted for a time.
    pub limit: String,
    /// Of a limit on several calls: whose amount it is. A value that the call lacks is empty.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>"))]
    pub key: BTreeMap<&'static str, String>,
    /// What the call was charged when it was over.
    pub charged: Option<String>,
    /// What is spent, this call included once it is over.
    pub spent: Option<String>,
    /// What is set aside for calls that run.
    pub held: Option<String>,
    /// What is left.
    pub remaining: Option<String>,
    /// When the next window begins, or all has flowed back.
    pub resets_at: Option<String>,
    /// When all of it will be spent at the rate so far, where that is before it resets.
    pub exhausted_at: Option<String>,
    /// The thresholds that this call crossed, in per cent.
    pub crossed: Vec<u32>,
    /// It wants a cheaper model to answer.
    #[serde(skip)]
    pub downgrades: bool,
    /// The most output tokens, of all answers together, that it leaves the call; `None` where it leaves what was asked for.
    #[serde(skip)]
    pub max_output_tokens: Option<u64>,
    /// How the budget stands once the call is charged, for metrics.
    #[serde(skip)]
    pub gauges: Option<Gauges>,
}

/// A budget as metrics show it: tokens, calls, or nanodollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Charged.
    pub used: u64,
    /// Held for calls that run.
    pub reserved: u64,
    /// The most that is allowed.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// What the gateway has leased of it and not used; `None` where nothing is leased.
    pub leased: Option<u64>,
}

impl Finding {
    /// The call is to be refused.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.standing != Standing::Within && self.action == Action::Deny
    }

    /// What an operator is to be told, a line of JSON for each threshold that this call crossed.
    pub fn crossings(&self) -> impl Iterator<Item = String> {
        self.crossed.iter().map(|percent| {
            let Self { id, key, spent, limit, exhausted_at, .. } = self;
            serde_json::json!({
                "limit": id, "at_percent": percent, "key": key, "spent": spent, "of": limit, "exhausted_at": exhausted_at
            })
            .to_string()
        })
    }

    /// What the caller is to be told although the call goes on.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let percent = self.beyond_percent.filter(|_| self.action == Action::Warn)?;
        Some(format!("limit {} is beyond {percent} %", self.id))
    }
}

impl Matching {
    fn matches(&self, call: &Subject<'_>) -> bool {
        let is = |pattern: &Pattern, value: Option<&str>| value.is_some_and(|value| pattern.matches(value));
        self.model.as_ref().is_none_or(|pattern| is(pattern, call.model))
            && self.provider.as_ref().is_none_or(|pattern| pattern.matches(call.provider))
            && self.dialect.as_ref().is_none_or(|pattern| pattern.matches(call.dialect))
            && self.route.as_ref().is_none_or(|pattern| is(pattern, call.route))
            && self.attribution.iter().all(|(dimension, pattern)| is(pattern, call.attribution.get(*dimension)))
    }
}

impl Subject<'_> {
    fn value(&self, part: KeyPart) -> Option<&str> {
        match part {
            KeyPart::Model => self.model,
            KeyPart::Provider => Some(self.provider),
            KeyPart::Of(dimension) => self.attribution.get(dimension),
        }
    }
}

impl Limit {
    /// Whether it ends the streams of calls like this one.
    #[must_use]
    pub fn cuts(&self, call: &Subject<'_>) -> bool {
        self.action() == Action::Cut && self.matching.matches(call)
    }

    /// What a limit on single calls says of one; `None` where it does not apply. `capping` where its output can be limited.
    #[must_use]
    pub fn judge(&self, call: &Subject<'_>, estimate: &Estimate, capping: Option<&Capping<'_>>) -> Option<Finding> {
        if self.budget.is_some() || !self.matching.matches(call) {
            return None;
        }
        if self.action() == Action::Cut {
            // What it puts out decides, while it runs.
            let limit = self.gauge.show(self.allowed);
            return Some(Finding { id: self.id.clone(), action: Action::Cut, limit, ..Finding::default() });
        }
        let amount = self.stated(estimate);
        let beyond = amount.and_then(|amount| self.beyond(amount, self.allowed));
        let must_cap = amount.is_none_or(|amount| self.acts(Action::CapOutput, amount, self.allowed));
        let capped = capping.filter(|_| self.caps() && must_cap);
        let capped = capped.and_then(|capping| self.output_within(self.allowed, capping));
        let (standing, action) = match (amount, beyond) {
            _ if capped.is_some() => (Standing::Within, Action::CapOutput),
            (None, _) if self.unbounded == Unbounded::Allow => (Standing::Unbounded, Action::Observe),
            (None, _) => (Standing::Unbounded, self.refusing(self.action())),
            (_, Some(Threshold { percent, action })) if *percent >= 100 => (Standing::Exceeded, self.refusing(*action)),
            (_, Some(Threshold { action, .. })) => (Standing::Within, *action),
            (_, None) => (Standing::Within, self.action()),
        };
        Some(Finding {
            id: self.id.clone(),
            standing,
            action,
            beyond_percent: beyond.map(|threshold| threshold.percent),
            amount: amount.map(|amount| self.gauge.show(amount)),
            limit: self.gauge.show(self.allowed),
            downgrades: amount.is_some_and(|amount| self.acts(Action::Downgrade, amount, self.allowed)),
            max_output_tokens: capped,
            ..Finding::default()
        })
    }

    /// The highest threshold that is exceeded where so much is used of what is allowed.
    fn beyond(&self, used: i128, allowed: i128) -> Option<&Threshold> {
        self.thresholds.iter().rev().find(|threshold| used > balance::part(allowed, threshold.percent))
    }

    /// Whether it does this where so much is used of what is allowed.
    fn acts(&self, action: Action, used: i128, allowed: i128) -> bool {
        let is_beyond = |threshold: &Threshold| used > balance::part(allowed, threshold.percent);
        self.thresholds.iter().any(|threshold| threshold.action == action && is_beyond(threshold))
    }

    fn has(&self, action: Action) -> bool {
        self.thresholds.iter().any(|threshold| threshold.action == action)
    }

    /// What it does beyond all of it: who caps what cannot be capped refuses it.
    fn refusing(&self, action: Action) -> Action {
        if self.caps() { Action::Deny } else { action }
    }

    /// What it does once it is spent.
    #[must_use]
    pub fn action(&self) -> Action {
        self.thresholds.iter().find(|threshold| threshold.percent == 100).map_or(Action::Observe, |limit| limit.action)
    }

    /// The part of it beyond which calls are refused.
    #[must_use]
    pub fn deny_percent(&self) -> Option<u32> {
        let denying = self.thresholds.iter().find(|threshold| threshold.action == Action::Deny);
        // What cannot be capped is refused, and so is what comes once a budget is spent that ends streams.
        let is_hard = self.caps() || (self.budget.is_some() && self.action() == Action::Cut);
        denying.map(|threshold| threshold.percent).into_iter().chain(is_hard.then_some(100)).min()
    }

    /// How the gateways of a fleet share it; `None` where each has it for itself.
    #[must_use]
    pub fn fleet(&self) -> Option<&Fleet> {
        self.budget.as_ref()?.terms.fleet.as_ref()
    }

    /// What a call claims of a budget; `None` where it does not apply. `capping` where its output can be limited.
    #[must_use]
    pub fn claim(
        &self,
        index: usize,
        call: &Subject<'_>,
        estimate: &Estimate,
        capping: Option<&Capping<'_>>,
    ) -> Option<Claim> {
        let budget = self.budget.as_ref().filter(|_| self.matching.matches(call))?;
        let (mark, history) = match self.gauge.measure {
            Measure::Repeats => (Some(call.mark?), None),
            Measure::UnattendedSteps => call.turn.map(|turn| (Some(turn.mark), Some(turn.history)))?,
            _ => (None, None),
        };
        let mut parts = vec![self.id.clone(), budget.version.to_string()];
        let mut key = BTreeMap::new();
        let mut is_whole = true;
        // Whose it is, where somebody is named; everybody's is nobody's own.
        let mut is_own = !budget.key.is_empty();
        for part in &budget.key {
            let value = call.value(*part);
            is_whole &= value.is_some();
            if let KeyPart::Of(dimension) = part {
                if matches!(dimension, Dimension::Session | Dimension::Task) {
                    // Clients name them as they like: another caller's of the same name is another one.
                    let principal = call.attribution.principal();
                    is_own &= !principal.is_empty();
                    parts.push(principal);
                } else {
                    is_own &= call.attribution.trust(*dimension) == Some(Trust::Gateway);
                }
            }
            // A missing value is not an empty one.
            parts.push(value.map_or_else(String::new, |value| format!("={value}")));
            key.insert(part.name(), value.unwrap_or_default().to_owned());
        }
        let bounded = self.gauge.estimated(estimate, self.reserve);
        // Who is given a maximum has a bound.
        let given = capping.filter(|_| self.caps() && bounded.is_none());
        let given = given.and_then(|capping| self.stated(&(capping.estimate)(self.given(capping))));
        let amount = bounded.or(given);
        let least = self.least(capping);
        let held = amount.or_else(|| self.gauge.estimated(estimate, Reserve::Expected)).unwrap_or(0);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let account = Key::new(&parts);
        let lacks_value = !is_whole && budget.on_missing == OnMissing::Deny;
        let is_given = given.is_some();
        Some(Claim {
            index,
            account,
            key,
            is_own,
            lacks_value,
            amount,
            is_given,
            least,
            mark,
            history,
            held,
            put_out: 0,
            is_outgrown: false,
            is_reduced: false,
            asking: Asking::May,
            state: State::Planned,
        })
    }
}

impl Budget {
    /// Whether calls in flight are all that is measured.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.terms.window == Window::InFlight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;
    use crate::usage::PerBucket;

    fn ceiling(measure: Measure, allowed: i128, matching: Matching) -> Limit {
        Limit {
            id: "l".to_owned(),
            matching,
            gauge: Gauge { measure, weights: PerBucket::from_fn(|_| WEIGHT_ONE) },
            allowed,
            thresholds: vec![Threshold { percent: 100, action: Action::Deny }],
            unbounded: Unbounded::Deny,
            reserve: Reserve::Expected,
            max_output_tokens: 4_096,
            status: 429,
            budget: None,
        }
    }

    fn standing(measure: Measure, allowed: i128, matching: Matching) -> Option<Standing> {
        let attribution = Attribution::default();
        let call = Subject {
            model: Some("gpt-4o"),
            provider: "anthropic",
            dialect: "openai_chat",
            route: None,
            attribution: &attribution,
            mark: None,
            turn: None,
        };
        let stated = Consumption { input: Some(100), output: None, cost: Some(Usd::from_femto(5)) };
        let estimate = Estimate { stated, ..Estimate::default() };
        ceiling(measure, allowed, matching).judge(&call, &estimate, None).map(|found| found.standing)
    }

    #[test]
    fn a_limit_allows_its_own_amount_and_nothing_beyond() {
        assert_eq!(standing(Measure::InputTokens, 100, Matching::default()), Some(Standing::Within));
        assert_eq!(standing(Measure::InputTokens, 99, Matching::default()), Some(Standing::Exceeded));
        assert_eq!(standing(Measure::CostUsd, 4, Matching::default()), Some(Standing::Exceeded));
    }

    #[test]
    fn what_sets_no_bound_is_unbounded_rather_than_within() {
        assert_eq!(standing(Measure::OutputTokens, 10, Matching::default()), Some(Standing::Unbounded));
    }

    #[test]
    fn a_limit_applies_only_where_it_matches() {
        let matching = |pattern| Matching { model: Some(Pattern::new(pattern)), ..Matching::default() };
        assert_eq!(standing(Measure::InputTokens, 1, matching("GPT-4*")), Some(Standing::Exceeded));
        assert_eq!(standing(Measure::InputTokens, 1, matching("gpt-4")), None);
        let provider = Matching { provider: Some(Pattern::new("openai")), ..Matching::default() };
        assert_eq!(standing(Measure::InputTokens, 1, provider), None);
        let dialect = Matching { dialect: Some(Pattern::new("openai_chat")), ..Matching::default() };
        assert_eq!(standing(Measure::InputTokens, 1, dialect), Some(Standing::Exceeded));
    }
}
