//! Limits as written: what is measured, over what, for whom, and what happens.
//!
//! Must not know: what the values mean.

use super::{Decimal, FailureMode, RawFleet};
use crate::attribution::Dimension;
use crate::config::decode::{Decode, Mistake, choice, index_of, mistyped, object};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A limit on what calls may consume, each by itself or together over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawLimit {
    /// The name that events, metrics and refusals give. What is spent belongs to it: a limit of another name begins
    /// anew.
    pub id: String,
    /// Raise it to begin anew under the same name.
    pub version: u32,
    /// Only calls whose values match; `*` at the end matches any rest. All calls when empty.
    #[serde(rename = "match")]
    pub matching: RawMatch,
    /// Calls with the same values here share one amount: dimensions, `model`, `provider`. All calls share one when
    /// empty.
    pub key: Vec<KeyPart>,
    /// What becomes of a call that lacks a value of the key.
    pub on_missing: OnMissing,
    /// What is measured.
    pub measure: Measure,
    /// Over what it is measured.
    pub per: Per,
    /// How the amount comes back, over a second, minute, hour, day, week or month.
    pub refill: Refill,
    /// With `steadily`: the most that can be spent at once; the limit itself when absent.
    pub burst: Option<Decimal>,
    /// Whose clocks say when hours, days, weeks and months begin: a name of the IANA Time Zone Database like `Europe/Berlin`,
    /// which knows when clocks change; `UTC`; or a fixed offset like `+02:00`.
    pub time_zone: String,
    /// When a session or task without calls is over, in hours.
    pub idle_hours: u32,
    /// The most that is allowed: a whole number, or dollars as a decimal string.
    pub limit: Option<Decimal>,
    /// With `weighted_tokens`: what a token of each bucket counts, with at most three decimals; 1 for others.
    pub weights: BTreeMap<String, Decimal>,
    /// What happens beyond the limit.
    pub action: Action,
    /// What happens before it.
    pub thresholds: Vec<RawThreshold>,
    /// What is set aside for a call before it is forwarded.
    pub reserve: Reserve,
    /// What happens to a call whose amount has no bound, or no price.
    pub unbounded: Unbounded,
    /// What happens when what is spent cannot be read or written; the configuration's `failure_mode` when absent.
    pub failure_mode: Option<FailureMode>,
    /// Whether all gateways of a fleet share the amount, through the `store`, and how strictly.
    pub fleet: RawFleet,
    /// What was spent beyond the limit, when the next window begins.
    pub debt: Debt,
    /// For how long calls are refused once the limit is spent, in seconds. Then one call is let through, and the others
    /// follow if it leaves the limit unspent.
    pub cool_down_seconds: u32,
    /// With `cap_output`: the most output tokens that a request without a maximum of its own is given. Models refuse more
    /// than they can put out.
    pub max_output_tokens: u64,
    /// The status of a refusal: 429, or 402.
    pub status: u16,
}

object!(RawLimit {
    id, version, matching as "match", key, on_missing, measure, per, refill, burst, time_zone, idle_hours,
    limit, weights, action, thresholds, reserve, unbounded, failure_mode, fleet, debt, cool_down_seconds,
    max_output_tokens, status,
});

impl RawLimit {
    /// Whether it downgrades calls anywhere.
    #[must_use]
    pub fn downgrades(&self) -> bool {
        let actions = self.thresholds.iter().map(|threshold| threshold.action).chain([self.action]);
        actions.into_iter().any(|action| action == Action::Downgrade)
    }
}

impl Default for RawLimit {
    fn default() -> Self {
        Self {
            id: String::new(),
            version: 1,
            matching: RawMatch::default(),
            key: Vec::new(),
            on_missing: OnMissing::default(),
            measure: Measure::default(),
            per: Per::default(),
            refill: Refill::default(),
            burst: None,
            time_zone: "UTC".to_owned(),
            idle_hours: 24,
            limit: None,
            weights: BTreeMap::new(),
            action: Action::default(),
            thresholds: [50, 80, 95].map(|at_percent| RawThreshold { at_percent, ..RawThreshold::default() }).into(),
            reserve: Reserve::default(),
            unbounded: Unbounded::default(),
            failure_mode: None,
            fleet: RawFleet::default(),
            debt: Debt::default(),
            cool_down_seconds: 0,
            max_output_tokens: 4_096,
            status: 429,
        }
    }
}

/// Which calls a limit applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawMatch {
    /// The requested model.
    pub model: Option<String>,
    /// The provider, by its OpenTelemetry name.
    pub provider: Option<String>,
    /// The wire format.
    pub dialect: Option<String>,
    /// The gateway's name of the route. APISIX tells none.
    pub route: Option<String>,
    /// Values of dimensions.
    pub attribution: BTreeMap<Dimension, String>,
}

object!(RawMatch { model, provider, dialect, route, attribution });

/// A part of the limit, and what happens once it is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawThreshold {
    /// Per cent of the limit.
    pub at_percent: u32,
    /// What happens to calls beyond it.
    pub action: Action,
}

object!(RawThreshold { at_percent, action });

impl Default for RawThreshold {
    fn default() -> Self {
        Self { at_percent: 0, action: Action::Observe }
    }
}

/// Something that calls of one amount have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum KeyPart {
    /// The requested model.
    Model,
    /// The provider.
    Provider,
    /// The value of a dimension.
    Of(Dimension),
}

impl KeyPart {
    /// Its name in the configuration, in events and in refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Of(dimension) => dimension.name(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        [Self::Model, Self::Provider].into_iter().chain(Dimension::ALL.map(Self::Of))
    }
}

impl From<KeyPart> for String {
    fn from(part: KeyPart) -> Self {
        part.name().to_owned()
    }
}

impl Decode for KeyPart {
    fn blank() -> Self {
        Self::Model
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        let name = value.as_str().ok_or_else(|| mistyped(value, "a string"))?;
        let all: Vec<_> = Self::all().collect();
        let index = index_of(name, &all.iter().map(|part| part.name()).collect::<Vec<_>>())?;
        *self = *all.get(index).unwrap_or(self);
        Ok(())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for KeyPart {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyPart".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<_> = Self::all().map(Self::name).collect();
        schemars::json_schema!({"description": "`model`, `provider` or a dimension.", "enum": names})
    }
}

/// What a limit measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Input tokens, cached or not.
    #[default]
    InputTokens,
    /// Output tokens, reasoning included.
    OutputTokens,
    /// Both.
    Tokens,
    /// Input tokens that no cache served.
    UncachedTokens,
    /// Tokens times the weight of their bucket.
    WeightedTokens,
    /// Dollars.
    CostUsd,
    /// Calls that were forwarded.
    Requests,
    /// Calls that were answered: a failed call is no step.
    Steps,
    /// How often the same step was made of late: the same tool call, or the same request once more.
    Repeats,
    /// Steps in a row whose history grew while the user said nothing new.
    UnattendedSteps,
    /// Calls in flight.
    Concurrency,
}

choice!(Measure: InputTokens, OutputTokens, Tokens, UncachedTokens, WeightedTokens, CostUsd, Requests,
    Steps, Repeats, UnattendedSteps, Concurrency);

/// Over what a limit measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each call on its own.
    #[default]
    Call,
    /// A second of the clock.
    Second,
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day from midnight.
    Day,
    /// A week from Monday.
    Week,
    /// A month from its first day.
    Month,
    /// A session, which is part of the key.
    Session,
    /// A task, which is part of the key.
    Task,
}

choice!(Per: Call, Second, Minute, Hour, Day, Week, Month, Session, Task);

/// How an amount comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refill {
    /// All of it, when the next window begins.
    #[default]
    AtOnce,
    /// Little by little (token bucket).
    Steadily,
}

choice!(Refill: AtOnce, Steadily);

/// What happens to a call beyond a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing; event and metric say what would have been refused.
    Observe,
    /// The answer carries a header `x-tollgate-warning`.
    Warn,
    /// A cheaper model answers, where `downgrades` names one that can do what the call asks for.
    Downgrade,
    /// The request's maximum of output tokens is lowered to what is left of the limit. Where too little is left, or the
    /// request cannot be changed, the call is refused at the limit.
    CapOutput,
    /// Streams that run are ended: at a limit on each call when one has put out so much, at a budget when it is spent. Calls
    /// that come once a budget is spent are refused.
    Cut,
    /// The call is refused.
    #[default]
    Deny,
}

choice!(Action: Observe, Warn, Downgrade, CapOutput, Cut, Deny);

/// What is set aside for a call before it is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reserve {
    /// What it is expected to consume.
    #[default]
    Expected,
    /// The most it can consume.
    UpperBound,
}

choice!(Reserve: Expected, UpperBound);

/// What happens to a call whose amount has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unbounded {
    /// The limit's action, as if it were beyond it.
    #[default]
    Deny,
    /// It goes on with what it is expected to consume set aside, and the event says `unbounded`.
    Allow,
}

choice!(Unbounded: Deny, Allow);

/// What becomes of a call that lacks a value of a limit's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// All of them share one amount.
    #[default]
    Shared,
    /// It is refused.
    Deny,
}

choice!(OnMissing: Shared, Deny);

/// What becomes of what was spent beyond a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Debt {
    /// The next window begins with it.
    #[default]
    Carry,
    /// The next window begins with nothing spent.
    Forgive,
}

choice!(Debt: Carry, Forgive);
