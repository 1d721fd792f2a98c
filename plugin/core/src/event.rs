//! The event: everything Tollgate knows of one call, as one flat record.
//!
//! One call gives one event. While the call runs, earlier states of it are published too, with the outcome
//! `in_flight`. The schema only grows; [`crate::names::EVENT_SCHEMA`] changes when it does not.
//! Invariants: `input_tokens` includes cache reads and writes, `output_tokens` includes reasoning; what is unknown is
//! `null` with a reason, never 0; amounts of money are exact decimal strings.
//! Must not know: how it is transported.

use crate::attribution::{Attribution, Dimension};
use crate::calibration::Observation;
use crate::change::Changes;
use crate::health::{ErrorClass, RateLimits};
use crate::json_text;
use crate::ledger::{Charge, Key, TaskAccount};
use crate::limit::Finding;
use crate::money::Usd;
use crate::prefix::{Difference, Drift, Miss, MissReason, Sighting, TemplateUse};
use crate::price::Source;
use crate::prompt::Prompt;
use crate::response_cache::ResponseCacheEffect;
use crate::retry::{Attempts, Retry, Step};
use crate::routing::Routing;
use crate::task_outcome::{self, TaskOutcome, TaskResult};
use crate::time::Timestamp;
use crate::usage::Usage;
use serde::Serialize;
use std::collections::BTreeMap;

/// The id in an event of our own, as JSON. It stands at the beginning, before anything that others chose.
#[must_use]
pub fn id_of(json: &str) -> Option<&str> {
    let (_, id) = json.split_once(r#""id":""#)?;
    id.split_once('"').map(|(id, _)| id)
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not ended yet.
    InFlight,
    /// The answer arrived whole.
    Complete,
    /// The answer ended early.
    Truncated,
    /// The provider answered with an error, in the status or in the body.
    UpstreamError,
    /// The provider's side broke off.
    UpstreamReset,
    /// The client went away.
    ClientGone,
    /// Tollgate ended its stream at a limit.
    Cut,
    /// Tollgate refused it.
    Denied,
    /// The gateway answered by itself.
    LocalReply,
}

impl Outcome {
    /// Every outcome; records name one by its place.
    pub const ALL: [Self; 9] = [
        Self::InFlight,
        Self::Complete,
        Self::Truncated,
        Self::UpstreamError,
        Self::UpstreamReset,
        Self::ClientGone,
        Self::Cut,
        Self::Denied,
        Self::LocalReply,
    ];

    /// The name used in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamReset => "upstream_reset",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
            Self::Denied => "denied",
            Self::LocalReply => "local_reply",
        }
    }
}

/// Where token counts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider stated them.
    Reported,
    /// Tollgate counted them, at least in part.
    Counted,
    /// Tollgate estimated them, at least in part.
    Estimated,
    /// There are none: nothing was consumed, and they are 0; or they are `null`, and `unmetered_reason` says why.
    None,
}

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The built-in price list.
    List,
    /// The provider stated it.
    Provider,
    /// The operator's prices, or a discount on the list.
    Override,
    /// There is no price, or no usage; `unpriced_reason` or `unmetered_reason` says why.
    Unknown,
}

/// A proportion in parts per million, printed as a decimal number; negative of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion(i32);

impl Proportion {
    /// `part / whole`; `None` of nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let millionths = u128::from(part).checked_mul(1_000_000)?.checked_div(u128::from(whole))?;
        i32::try_from(millionths).ok().map(Self)
    }

    /// `part / whole`; `None` of nothing.
    #[must_use]
    pub fn of_money(part: Usd, whole: Usd) -> Option<Self> {
        let millionths = part.femto().checked_mul(1_000_000)?.checked_div(whole.femto())?;
        i32::try_from(millionths).ok().map(Self)
    }

    /// The proportion in parts per thousand, rounded down; 0 of a loss.
    #[must_use]
    pub fn permille(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(0)
    }

    /// The proportion as a number.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "JSON numbers are floats; a proportion is not money")]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Serialize for Proportion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

/// Input tokens and cost of one component of the prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentShare {
    /// Tokens.
    pub tokens: u64,
    /// Of which the provider's prompt cache served.
    pub cached_tokens: u64,
    /// Proportion of the input, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub share: Option<Proportion>,
    /// Dollars; `null` without a price.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_usd: Option<Usd>,
}

/// Media of one modality in the prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaShare {
    /// How many there are.
    pub count: u64,
    /// Tokens, by the provider's published rates.
    pub tokens: u64,
}

/// What the tool definitions of a call weigh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolWeights {
    /// How many tools with a name the model was given.
    pub count: u64,
    /// Input tokens that the provider adds because there are tools, and of tools without a name.
    pub overhead_tokens: u64,
    /// Input tokens of the tools that this answer does not call.
    pub unused_tokens: u64,
    /// Their cost; `null` without a price.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub unused_cost_usd: Option<Usd>,
    /// The tools, the heaviest first, 32 at most.
    pub heaviest: Vec<ToolWeight>,
}

/// What one tool definition weighs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolWeight {
    /// Its name.
    pub name: String,
    /// Input tokens.
    pub tokens: u64,
    /// Dollars; `null` without a price.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_usd: Option<Usd>,
    /// This answer calls it.
    pub called: bool,
}

/// What the provider's prompt cache did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CacheEffect {
    /// Cache-read tokens over all input tokens, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub hit_rate: Option<Proportion>,
    /// What the call would have cost without the cache, minus what it cost; negative where writing cost more than
    /// reading saved.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub savings_usd: Option<Usd>,
    /// The savings over what the call would have cost without the cache; negative where they are.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub savings_ratio: Option<Proportion>,
    /// What a million input tokens cost at the mix of reads, writes and uncached input that this call had, in dollars.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub effective_input_per_million_usd: Option<Usd>,
    /// Why it did not serve what it could have; `null` where it did, where the provider has no such cache, and where it
    /// does not say.
    pub miss_reason: Option<MissReason>,
    /// The first element that differs from what was sent before, where that is why.
    pub first_difference: Option<Difference>,
    /// Input tokens that an earlier call had cached and that were not read.
    pub missed_tokens: Option<u64>,
}

/// When things happened, in milliseconds since the request arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timing {
    /// The first byte of the answer's body.
    pub ttft_ms: Option<u64>,
    /// The end of the call; so far, while it runs.
    pub duration_ms: u64,
}

/// Running totals of a task, in the order in which its calls end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskTotals {
    /// Calls so far; of this one, its place in the task.
    pub step: u64,
    /// Input tokens so far.
    pub input_tokens: u64,
    /// Output tokens so far.
    pub output_tokens: u64,
    /// Dollars so far, without calls whose cost is unknown.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub cost_usd: Usd,
    /// Calls whose cost is unknown.
    pub steps_without_cost: u64,
    /// Dollars of the calls that are overhead: those of a router, a guard.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub overhead_cost_usd: Usd,
    /// The result that was reported last.
    pub result: Option<TaskResult>,
}

impl From<&TaskAccount> for TaskTotals {
    fn from(account: &TaskAccount) -> Self {
        Self {
            step: account.steps,
            input_tokens: account.input_tokens,
            output_tokens: account.output_tokens,
            cost_usd: account.cost(),
            steps_without_cost: account.steps_without_cost,
            overhead_cost_usd: account.overhead(),
            result: account.result(),
        }
    }
}

/// Whose prices a call was priced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// The built-in price list's, less the discount.
    List,
    /// The operator's own for the model.
    Override,
    /// The operator's own for models without a price.
    Fallback,
}

impl From<Source> for PriceSource {
    fn from(source: Source) -> Self {
        match source {
            Source::List => Self::List,
            Source::Override => Self::Override,
            Source::Fallback => Self::Fallback,
        }
    }
}

/// Which row of the price list a call was priced by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PriceRow {
    /// The provider, by the price list's name.
    pub provider: Option<String>,
    /// The model, by the price list's name.
    pub model: String,
    /// Whose prices were taken.
    pub source: PriceSource,
    /// The discount on them, in percent, as a decimal.
    pub discount_percent: Option<String>,
    /// The call had a tier, speed or batch without a price of its own; standard prices were taken.
    pub assumes_standard: bool,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The version of this schema.
    pub schema: &'static str,
    /// Identifies the event.
    pub id: String,
    /// The gateway's id of the request (`x-request-id`), which its logs have too; `null` where it gives none. Tries of the
    /// gateway share it.
    pub request_id: Option<String>,
    /// When the request arrived, RFC 3339 in UTC.
    pub time: String,
    /// The same as a number.
    #[serde(skip)]
    pub opened: Timestamp,
    /// The trace that the call belongs to, where its request names one (W3C `traceparent`).
    pub trace_id: Option<String>,
    /// The caller's span, as the request names it.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// The wire format.
    pub dialect: &'static str,
    /// The provider (OTel `gen_ai.provider.name`).
    pub provider: String,
    /// What the call does (OTel `gen_ai.operation.name`).
    pub operation: &'static str,
    /// The model asked for.
    pub request_model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// The provider's id of the response.
    pub response_id: Option<String>,
    /// The `id` of the event of the call that created what this one was told and is charged for: a response made in the
    /// background, or a batch. `null` for calls that create, and where that call was not seen.
    pub billed_for: Option<String>,
    /// The answer was streamed, or asked to be.
    pub stream: bool,
    /// The HTTP status; `null` when no response came.
    pub status: Option<u16>,
    /// How the call ended.
    pub outcome: Outcome,
    /// The provider's name for what went wrong, where it gave one.
    pub error_type: Option<String>,
    /// Why generation stopped.
    pub finish_reason: Option<String>,
    /// All input tokens, cache reads and writes included.
    pub input_tokens: Option<u64>,
    /// All output tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// Input text that no cache served and no cache took.
    pub input_uncached_tokens: Option<u64>,
    /// Input read from a prompt cache.
    pub cache_read_tokens: Option<u64>,
    /// Input written to a prompt cache for five minutes, or for the provider's only lifetime.
    pub cache_write_5m_tokens: Option<u64>,
    /// Input written to a prompt cache for one hour.
    pub cache_write_1h_tokens: Option<u64>,
    /// Output that was thought and not shown.
    pub reasoning_tokens: Option<u64>,
    /// Input audio, cached or not.
    pub audio_input_tokens: Option<u64>,
    /// Output audio.
    pub audio_output_tokens: Option<u64>,
    /// Searches that the provider ran and bills.
    pub web_searches: Option<u64>,
    /// Tokens of sources that the provider read for the answer and bills apart (Perplexity's deep research); part of
    /// neither input nor output.
    pub citation_tokens: Option<u64>,
    /// Pictures that were made; `null` for calls that make none.
    pub images: Option<u64>,
    /// How long a recording was that was listened to, in seconds, rounded up; `null` where nobody said.
    pub audio_seconds: Option<u64>,
    /// The token counts by bucket, which the fields above are sums of.
    #[serde(skip)]
    pub usage: Usage,
    /// Where the token counts come from.
    pub usage_source: UsageSource,
    /// What could not be read of the call; where `usage_source` is `none`, why there are no token counts.
    pub unmetered_reason: Option<String>,
    /// Input tokens as predicted before the call was forwarded.
    pub predicted_input_tokens: Option<u64>,
    /// By how much earlier calls of the model changed that prediction, as a factor; `null` where they taught nothing.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub learned_factor: Option<Proportion>,
    /// Images, sounds, videos and documents of the prompt, by modality: how many, and their tokens as predicted. The
    /// components hold these tokens.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, MediaShare>"))]
    pub media: BTreeMap<&'static str, MediaShare>,
    /// What the call teaches about the model's counts.
    #[serde(skip)]
    pub taught: Option<Observation>,
    /// A provider-neutral size of input and output: characters of text, divided by four.
    pub standard_tokens: u64,
    /// Dollars; `null` where unknown.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_usd: Option<Usd>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// What the call costs by the built-in price list, whatever the operator agreed on and the provider states (FOCUS
    /// `ListCost`); `null` for what the list has no price for.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub list_cost_usd: Option<Usd>,
    /// What the call costs by the list under the operator's prices and discounts, whatever the provider states (FOCUS
    /// `ContractedCost`).
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub contracted_cost_usd: Option<Usd>,
    /// Why there is no cost although tokens are known, or why the operator's fallback price was taken.
    pub unpriced_reason: Option<String>,
    /// Dollars by token bucket, `citation`, `web_search` and `request`, or `unattributed` where a stated cost has no
    /// list price to divide it by; only what is not zero. They sum to `cost_usd`.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>"))]
    pub cost: BTreeMap<&'static str, Usd>,
    /// The rows of the price list that were used: one, or several where several models worked on the call.
    pub prices: Vec<PriceRow>,
    /// The tier the call was processed in.
    pub service_tier: Option<String>,
    /// The input by component of the prompt: `system`, `tools`, `few_shot`, `history`, `user`; empty where the input
    /// is unknown. Their costs and the output's sum to `cost_usd`.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, ComponentShare>"))]
    pub components: BTreeMap<&'static str, ComponentShare>,
    /// Of the history, what tools returned; `null` where the prompt holds no such thing, or not the prompt itself is known.
    pub tool_results: Option<ComponentShare>,
    /// What the tool definitions weigh; `null` where the model was given none, or the input is unknown.
    pub tools: Option<ToolWeights>,
    /// What the user asks now and the output, over all input and output, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub token_efficiency_ratio: Option<Proportion>,
    /// What the provider's prompt cache did.
    pub cache: CacheEffect,
    /// The instructions and tool definitions that the prompt begins with; `null` of a prompt without, and while a call
    /// runs.
    pub template: Option<TemplateUse>,
    /// What a response cache did, or could have done; `null` where neither.
    pub response_cache: Option<ResponseCacheEffect>,
    /// Cached input has a price of its own.
    #[serde(skip)]
    pub discounts_cache: bool,
    /// What is to be held against what was sent before.
    #[serde(skip)]
    pub sighting: Option<Box<Sighting>>,
    /// Who the call belongs to.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>"))]
    pub attribution: Attribution,
    /// The task's running totals, this call included; `null` for a call without a task, while a call runs, and where
    /// the gateway's workers share nothing.
    pub task: Option<TaskTotals>,
    /// The tries before this call; `null` where it is the first, as far as that can be told.
    pub retry: Option<Retry>,
    /// The gateway's own tries; `null` where it made one, or does not say.
    pub attempts: Option<Attempts>,
    /// How the call was routed; `null` where nothing says.
    pub routing: Option<Routing>,
    /// What the request reports of a task that is done; `null` for most.
    pub task_outcome: Option<TaskOutcome>,
    /// Tells its step from others.
    #[serde(skip)]
    pub step: Option<Step>,
    /// How many tries came before, as the client says.
    #[serde(skip)]
    pub told_tries: Option<u64>,
    /// Tools that the model called.
    pub tools_called: Vec<String>,
    /// What the limits that apply said.
    pub limits: Vec<Finding>,
    /// What was changed in the request because of them; `null` where nothing was, nor to be.
    pub changes: Option<Changes>,
    /// What kind of failure it met; `null` where it did well.
    pub error_class: Option<ErrorClass>,
    /// The provider's rate limits as its answer tells them, by what they count.
    #[cfg_attr(feature = "schema", schemars(with = "Option<BTreeMap<String, crate::health::RateLimit>>"))]
    pub rate_limits: Option<RateLimits>,
    /// Microseconds from one output token to the next, of streams.
    pub time_per_output_token_us: Option<u64>,
    /// When things happened.
    pub timing: Timing,
}

/// What access logs and spans show of a call, ended or not: a part of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Event`")]
pub struct Progress<'a> {
    pub outcome: Outcome,
    pub operation: &'static str,
    pub provider: &'a str,
    pub request_model: Option<&'a str>,
    pub response_model: Option<&'a str>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cost_usd: Option<Usd>,
    pub app: Option<&'a str>,
}

impl<'a> From<&'a Event> for Progress<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            outcome: event.outcome,
            operation: event.operation,
            provider: &event.provider,
            request_model: event.request_model.as_deref(),
            response_model: event.response_model.as_deref(),
            input_tokens: event.input_tokens,
            output_tokens: event.output_tokens,
            cache_read_tokens: event.cache_read_tokens,
            cost_usd: event.cost_usd,
            app: event.attribution.get(Dimension::App),
        }
    }
}

impl Event {
    /// The event as JSON, in one line.
    #[must_use]
    #[inline(never)]
    pub fn json(&self) -> String {
        // An event is made of texts and numbers, so this cannot fail; if it did, the log would say so.
        json_text::of(self).unwrap_or_else(|why| format!("{{\"error\":\"{why}\"}}"))
    }

    /// Keeps of the prompt what later calls are held against, and says of the call what it tells by itself.
    pub(crate) fn sight(&mut self, prompt: Prompt) {
        self.sighting = Sighting::of(prompt, self);
        if let Some(sighting) = &self.sighting {
            self.template = sighting.template();
            self.cache.miss_reason = sighting.alone().flatten();
        }
    }

    /// Takes over what earlier calls say of the call.
    pub fn compare(&mut self, miss: Option<Miss>, drift: Option<Drift>) {
        if let Some(Miss { reason, difference, missed_tokens }) = miss {
            self.cache.miss_reason = Some(reason);
            self.cache.first_difference = difference;
            self.cache.missed_tokens = missed_tokens;
        }
        if let Some(template) = &mut self.template {
            template.drift = drift;
        }
    }

    /// The same prompt was answered shortly before.
    pub fn repeats(&mut self) {
        let avoidable_usd = self.cost_usd;
        self.response_cache = Some(ResponseCacheEffect { served_by: None, avoided_usd: None, avoidable_usd });
    }

    /// The account that a call over is charged to, and what it is charged; `None` for a call without a task, and for
    /// one that was never forwarded.
    #[must_use]
    pub fn task_charge(&self) -> Option<(Key<TaskAccount>, Charge)> {
        let task = self.attribution.get(Dimension::Task)?;
        if matches!(self.outcome, Outcome::Denied | Outcome::LocalReply) {
            return None;
        }
        let charge = Charge {
            input_tokens: self.input_tokens.unwrap_or(0),
            output_tokens: self.output_tokens.unwrap_or(0),
            cost: self.cost_usd,
            is_overhead: self.routing.as_ref().is_some_and(|routing| routing.overhead.is_some()),
        };
        Some((task_outcome::account_of(task, &self.attribution), charge))
    }
}
