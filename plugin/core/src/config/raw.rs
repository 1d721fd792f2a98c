//! The configuration as written: the JSON that operators give the gateway.
//!
//! The doc comments are the reference: the JSON Schema (`tollgate schema`) is generated from these types. serde writes them;
//! `object!` and `choice!` behind a type read it, and do not compile while a field or a variant is not named to them.
//! Invariants: unknown fields are errors everywhere; every field has a default, so `{}` is valid and useful.
//! Must not know: what the values mean; [`Config`](super::Config) decides.

mod downgrade;
mod limit;
mod store;

pub use downgrade::{Capability, RawDowngrade};
pub use limit::{
    Action, Debt, KeyPart, Measure, OnMissing, Per, RawLimit, RawMatch, RawThreshold, Refill, Reserve, Unbounded,
};
pub use store::{RawFleet, RawStore, StoreKind};

use super::decode::{Decode, Mistake, choice, mistyped, object};
use crate::attribution::Dimension;
use crate::response_cache::default_headers;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Configuration of the Tollgate filter. `{}` meters every known provider and blocks nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawConfig {
    /// The gateway that runs the filter. `auto` finds out by itself.
    pub host: HostChoice,
    /// Hold request headers until the body has been judged, so that a denied call never reaches upstream. Only on
    /// Envoy, and only where the filter's `allow_on_headers_stop_iteration` is set: without it calls would hang.
    pub hold_headers: bool,
    /// What happens to a call that Tollgate cannot judge (an unreadable or unknown body): `open` forwards it and
    /// says so in event and metric, `closed` refuses it.
    pub failure_mode: FailureMode,
    /// Request bodies above this many bytes are not read; such a call is metered from its response alone.
    pub max_request_bytes: u64,
    /// Whether the workers of a gateway share budgets and running totals of tasks: `auto` where that is sure to work (Envoy),
    /// `on` also on Kong (only with `nginx_wasm_shm_kv` set, else requests fail), `off` nowhere.
    pub shared_data: SharedData,
    /// Ask OpenAI, Azure and xAI for the usage of Chat Completions and Completions streams where the client does not
    /// (`stream_options.include_usage`), and take the answer out of the client's stream. Envoy only; where it is off
    /// or impossible, the usage of such streams is counted instead.
    pub include_usage: bool,
    /// What providers are asked for in the place of a client's `accept-encoding`: `narrow` keeps the codings that
    /// Tollgate can read, `identity` asks for uncompressed answers, `keep` changes nothing.
    pub accept_encoding: AcceptEncoding,
    /// Which calls are LLM calls, beyond those recognised by their path. The first match counts.
    pub routes: Vec<RawRoute>,
    /// Where the values of each dimension come from, replacing its default headers.
    pub attribution: BTreeMap<Dimension, RawSource>,
    /// The secret that API keys are hashed with. Give every gateway of a fleet the same one.
    pub secret: String,
    /// Prices that replace the built-in list for the models they name. The first match counts.
    pub prices: Vec<RawPrice>,
    /// Discounts on the built-in list, for the models they name. The first match counts.
    pub discounts: Vec<RawDiscount>,
    /// What happens to calls of models without a price.
    pub unknown_price: UnknownPriceChoice,
    /// What models without a price cost, where `unknown_price` is `fallback`.
    pub fallback_price: Option<RawFallbackPrice>,
    /// Headers of a response that say that a cache in the gateway served it, each with what its value then ends
    /// with, in letters of any size. Such a call
    /// costs nothing. They take the place of the built-in ones, which are those of Kong, APISIX, Higress, Portkey, LiteLLM,
    /// Helicone and Cloudflare.
    pub response_cache_headers: BTreeMap<String, String>,
    /// What messages begin with that are worked examples (`few_shot`), together with the model's messages behind them.
    pub few_shot_markers: Vec<String>,
    /// Limits on calls. All that match a call apply.
    pub limits: Vec<RawLimit>,
    /// Models that may answer in the place of others, where a limit says `downgrade`. The first counts that can do what a
    /// call asks for.
    pub downgrades: Vec<RawDowngrade>,
    /// How calls are recognised that were made before.
    pub retries: RawRetries,
    /// What routers say of their decisions, and models to compare costs with.
    pub routing: RawRouting,
    /// What is paid each month whatever is called, as part of what a scenario costs.
    pub monthly_costs: Vec<RawMonthlyCost>,
    /// Where operators see budgets, raise them for a time, and report on tasks. Off when absent.
    pub operator: Option<RawOperator>,
    /// Metrics.
    pub metrics: RawMetrics,
    /// Write every event to the gateway's log, as one line `tollgate event {...}`.
    pub log_events: bool,
    /// Send a span and a log record of every call to an OpenTelemetry collector. Not on APISIX, where a request would
    /// have to wait for it.
    pub otlp: Option<RawOtlp>,
    /// Where all gateways of a fleet add up what they spend, for limits with `fleet`.
    pub store: Option<RawStore>,
}

object!(RawConfig {
    host,
    hold_headers,
    failure_mode,
    max_request_bytes,
    shared_data,
    include_usage,
    accept_encoding,
    routes,
    attribution,
    secret,
    prices,
    discounts,
    unknown_price,
    fallback_price,
    response_cache_headers,
    few_shot_markers,
    limits,
    downgrades,
    retries,
    routing,
    monthly_costs,
    operator,
    metrics,
    log_events,
    otlp,
    store,
});

/// An OpenTelemetry collector that takes OTLP over HTTP, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawOtlp {
    /// Where it is: on Envoy the name of a cluster, on Kong `host:port`.
    pub target: String,
    /// The `:authority` of the requests; `target` when absent.
    pub authority: Option<String>,
    /// Header fields of the requests, for a token.
    pub headers: BTreeMap<String, String>,
    /// `service.name` of what is sent.
    pub service: String,
    /// Send spans.
    pub traces: bool,
    /// Send log records, each with a whole event.
    pub logs: bool,
    /// How often a batch leaves, in milliseconds.
    pub interval_ms: u32,
    /// Add names that the conventions propose and may still change (`gen_ai.usage.cost.amount`).
    pub proposed_names: bool,
}

object!(RawOtlp { target, authority, headers, service, traces, logs, interval_ms, proposed_names });

impl Default for RawOtlp {
    fn default() -> Self {
        Self {
            target: String::new(),
            authority: None,
            headers: BTreeMap::new(),
            service: "llm-gateway".to_owned(),
            traces: true,
            logs: true,
            interval_ms: 1_000,
            proposed_names: false,
        }
    }
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            host: HostChoice::Auto,
            hold_headers: false,
            failure_mode: FailureMode::Open,
            max_request_bytes: 32 * 1024 * 1024,
            shared_data: SharedData::Auto,
            include_usage: true,
            accept_encoding: AcceptEncoding::Narrow,
            routes: Vec::new(),
            attribution: BTreeMap::new(),
            secret: String::new(),
            prices: Vec::new(),
            discounts: Vec::new(),
            unknown_price: UnknownPriceChoice::Track,
            fallback_price: None,
            response_cache_headers: default_headers(),
            few_shot_markers: Vec::new(),
            limits: Vec::new(),
            downgrades: Vec::new(),
            retries: RawRetries::default(),
            routing: RawRouting::default(),
            monthly_costs: Vec::new(),
            metrics: RawMetrics::default(),
            log_events: true,
            operator: None,
            otlp: None,
            store: None,
        }
    }
}

/// How calls are recognised that were made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawRetries {
    /// For how long after a call the same step of the same caller is taken for another try, in seconds; 0 for not at all.
    pub window_seconds: u32,
    /// The filter stands behind Envoy's router, so that each of the gateway's tries is a call of its own.
    pub at_upstream: bool,
}

object!(RawRetries { window_seconds, at_upstream });

impl Default for RawRetries {
    fn default() -> Self {
        Self { window_seconds: 120, at_upstream: false }
    }
}

/// What routers say of their decisions: names of headers, of requests and answers, strongest first. Those of known
/// routers when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawRouting {
    /// The model that was chosen.
    pub selected_headers: Option<Vec<String>>,
    /// The models that it was chosen from, separated by commas.
    pub candidates_headers: Option<Vec<String>>,
    /// How sure the router is, 0 to 1.
    pub confidence_headers: Option<Vec<String>>,
    /// Why.
    pub reason_headers: Option<Vec<String>>,
    /// The call is made for the sake of its task's other calls; the value says by what (`router`, `guard`).
    pub overhead_headers: Option<Vec<String>>,
    /// Models on which the cost of each call is worked out too, 8 at most.
    pub alternatives: Vec<String>,
}

object!(RawRouting {
    selected_headers,
    candidates_headers,
    confidence_headers,
    reason_headers,
    overhead_headers,
    alternatives,
});

/// What is paid each month whatever is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct RawMonthlyCost {
    /// What for: evaluations, engineering, a vector database.
    pub item: String,
    /// Dollars per month.
    pub usd: Decimal,
    /// The scenario that it belongs to; all of them share it when absent.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub scenario: Option<String>,
}

object!(RawMonthlyCost requires { item, usd } { scenario });

/// Machines of the operator's own, from which the price of a token is worked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct RawGpu {
    /// Dollars per hour of one GPU.
    pub usd_per_hour: Decimal,
    /// How many there are.
    pub count: u32,
    /// Input tokens that all of them read in a second, at their usual load.
    pub input_tokens_per_second: u64,
    /// Output tokens that all of them write in a second, at their usual load.
    pub output_tokens_per_second: u64,
    /// Percent on top for machines that are held in reserve.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub reserve_percent: u32,
    /// Percent on top for staging and tests.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub non_production_percent: u32,
}

object!(RawGpu
    requires { usd_per_hour, count, input_tokens_per_second, output_tokens_per_second }
    { reserve_percent, non_production_percent }
);

/// Where operators see budgets and raise them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawOperator {
    /// The path of its requests, without query.
    pub path: String,
    /// The SHA-256 of the token that its requests carry (`authorization: Bearer TOKEN`), in hexadecimal.
    pub token_sha256: String,
}

object!(RawOperator { path, token_sha256 });

/// A gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HostChoice {
    /// Found out at the first request.
    #[default]
    Auto,
    /// Envoy, and what is built on it.
    Envoy,
    /// Kong.
    Kong,
    /// Apache APISIX.
    Apisix,
}

choice!(HostChoice: Auto, Envoy, Kong, Apisix);

/// Whether workers share state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SharedData {
    /// Where it is sure to work.
    #[default]
    Auto,
    /// Wherever the gateway can.
    On,
    /// Nowhere.
    Off,
}

choice!(SharedData: Auto, On, Off);

/// What becomes of a client's `accept-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcceptEncoding {
    /// Only codings that can be read are asked for, and none where a chunk may be taken out of the answer.
    #[default]
    Narrow,
    /// Uncompressed answers are asked for.
    Identity,
    /// It stays as it is.
    Keep,
}

choice!(AcceptEncoding: Narrow, Identity, Keep);

/// What happens when Tollgate itself fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    /// The call goes on unmetered, and the event says so.
    #[default]
    Open,
    /// The call is refused.
    Closed,
}

choice!(FailureMode: Open, Closed);

/// A rule that makes requests LLM calls, or keeps them from being taken for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawRoute {
    /// The host without port; `*.example.com` matches every subdomain. Any host when absent.
    pub host: Option<String>,
    /// The start of the path. Any path when absent.
    pub path_prefix: Option<String>,
    /// The wire format; by the path, else by the body, when absent.
    pub dialect: Option<String>,
    /// The provider whose prices apply, by its OpenTelemetry name (`openai`, `aws.bedrock`) or the price list's.
    pub provider: Option<String>,
    /// Whether the usage of their streams is asked for, whoever serves them; absent: where the provider is known to
    /// understand the question, and `include_usage` of the whole configuration allows it.
    pub include_usage: Option<bool>,
    /// Leave these requests alone.
    pub ignore: bool,
}

object!(RawRoute { host, path_prefix, dialect, provider, include_usage, ignore });

/// Where the value of one dimension comes from; the strongest source that has a value counts. Its default headers and
/// claims count as long as it names none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawSource {
    /// A fixed value; no header is read then.
    pub value: Option<String>,
    /// Headers that only the gateway sets (after authentication), strongest first. They outrank the client's.
    pub gateway_headers: Vec<String>,
    /// Headers of the client, strongest first.
    pub headers: Vec<String>,
    /// Take what the client says elsewhere: metadata in headers and body, W3C `baggage`. On when nothing above is given.
    pub claims: Option<bool>,
    /// What of a value is kept.
    pub policy: Policy,
}

object!(RawSource { value, gateway_headers, headers, claims, policy });

/// What of a value is kept, in events, metrics and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// All of it.
    #[default]
    Keep,
    /// A keyed hash (see `secret`): values can be told apart, and not read.
    Hmac,
    /// Nothing.
    Drop,
}

choice!(Policy: Keep, Hmac, Drop);

/// Prices for the models it names. Amounts are dollars, as decimal strings (`"2.50"`) or numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawPrice {
    /// A model's name, or the start of names followed by `*`: `gpt-4o*`.
    pub model: String,
    /// Only at this provider; everywhere when absent.
    pub provider: Option<String>,
    /// Dollars per million uncached input tokens.
    pub input_per_million: Option<Decimal>,
    /// Dollars per million input tokens read from a prompt cache; the input price when absent.
    pub cache_read_per_million: Option<Decimal>,
    /// Dollars per million input tokens written to a prompt cache for five minutes; the input price when absent.
    pub cache_write_per_million: Option<Decimal>,
    /// Dollars per million input tokens written to a prompt cache for one hour; the five-minute price when absent.
    pub cache_write_1h_per_million: Option<Decimal>,
    /// Dollars per million output tokens.
    pub output_per_million: Option<Decimal>,
    /// Dollars per million reasoning tokens; the output price when absent.
    pub reasoning_per_million: Option<Decimal>,
    /// Dollars per thousand searches that the provider runs; without it, a call with searches has no price.
    pub web_searches_per_thousand: Option<Decimal>,
    /// Dollars per thousand requests.
    pub requests_per_thousand: Option<Decimal>,
    /// Machines of your own, in place of prices per token.
    pub gpu: Option<RawGpu>,
}

object!(RawPrice {
    model,
    provider,
    input_per_million,
    cache_read_per_million,
    cache_write_per_million,
    cache_write_1h_per_million,
    output_per_million,
    reasoning_per_million,
    web_searches_per_thousand,
    requests_per_thousand,
    gpu,
});

/// A discount on the built-in list, fees included. Prices of your own are taken as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct RawDiscount {
    /// Percent off the list: above 0 and up to 100, with at most four decimals.
    pub percent: Decimal,
    /// A model's name, or the start of names followed by `*`; every model when absent.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub model: Option<String>,
    /// Only at this provider; everywhere when absent.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub provider: Option<String>,
}

object!(RawDiscount requires { percent } { model, provider });

/// What happens to calls of models without a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnknownPriceChoice {
    /// Their tokens are metered; their cost is unknown, and the event says why.
    #[default]
    Track,
    /// They cost `fallback_price`.
    Fallback,
    /// They are refused.
    Deny,
}

choice!(UnknownPriceChoice: Track, Fallback, Deny);

/// What models without a price cost. Amounts are dollars, as decimal strings or numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct RawFallbackPrice {
    /// Dollars per million input tokens, whatever the cache did.
    pub input_per_million: Decimal,
    /// Dollars per million output tokens, reasoning included.
    pub output_per_million: Decimal,
}

object!(RawFallbackPrice requires { input_per_million, output_per_million } {});

/// What metrics are labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawMetrics {
    /// Dimensions that become labels, beside the model.
    pub labels: Vec<Dimension>,
    /// How many values a label may have; later ones are counted as `other`.
    pub max_values: u32,
    /// How many series all metrics together may have, in all workers that share data. Calls whose labels are new beyond
    /// that are counted as `other`.
    pub max_series: u64,
    /// Models that are counted under their own name although the price list does not know it; `*` at the end matches any
    /// rest.
    pub models: Vec<String>,
}

object!(RawMetrics { labels, max_values, max_series, models });

impl Default for RawMetrics {
    fn default() -> Self {
        Self { labels: vec![Dimension::App, Dimension::Team], max_values: 100, max_series: 20_000, models: Vec::new() }
    }
}

/// A decimal number, kept as text so that no digit is lost. Written as a string or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decimal(pub String);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A decimal number, as a string or a number.",
            "type": ["string", "number"],
            "pattern": r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$",
            "minimum": 0,
        })
    }
}

impl Decode for Decimal {
    fn blank() -> Self {
        Self(String::new())
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        self.0 = match value {
            Value::String(text) => text.clone(),
            // The shortest decimal that reads back as the same number is what was written.
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number.to_string(),
                (_, Some(number)) => number.to_string(),
                (None, None) => number.as_f64().unwrap_or_default().to_string(),
            },
            _ => return Err(mistyped(value, "a decimal, as a string like \"2.50\" or a number")),
        };
        Ok(())
    }
}
