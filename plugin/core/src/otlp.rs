//! Events for an OpenTelemetry collector: a span and a log record per call, in OTLP's JSON encoding.
//!
//! Sources: OTLP 1.x "JSON Protobuf Encoding"; OTel GenAI semantic conventions (`gen_ai.*`); OpenInference
//! (`llm.token_count.*`, `llm.cost.*`, `openinference.span.kind`). What these have no name for is called as in the
//! observability plan (`llm.application_id`, `llm.token_count.system`, ...).
//! Invariants: no prompt, answer or key is exported; what is unknown has no attribute.
//! Must not know: who sends it, and when.

use crate::attribution::Dimension;
use crate::event::{CostSource, Event, Outcome, Proportion};
use crate::health::ErrorClass;
use crate::json_text;
use crate::names::{GRANT_SCHEMA, otlp as name};
use crate::time::Timestamp;
use crate::trace::SpanContext;
use serde::{Serialize, Serializer};
use serde_json::json;

/// What is exported beside the conventions' stable names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that the conventions propose and may still change (`gen_ai.usage.cost.amount`).
    pub proposed: bool,
}

/// What a batch consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records, each with a whole event.
    Logs,
}

impl Signal {
    /// The collector's path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    /// The request that sends these items.
    #[must_use]
    pub fn request(self, service: &str, items: &[Box<str>]) -> String {
        let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
        let (resources, scopes, name) = match self {
            Self::Traces => ("resourceSpans", "scopeSpans", "spans"),
            Self::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        };
        let scope = json!({"name": "tollgate", "version": env!("CARGO_PKG_VERSION")});
        let items = items.join(",");
        format!(r#"{{"{resources}":[{{"resource":{resource},"{scopes}":[{{"scope":{scope},"{name}":[{items}]}}]}}]}}"#)
    }

    /// One call's item; `json` is its event.
    #[must_use]
    pub fn item(self, event: &Event, json: &str, span: &SpanContext, names: Names) -> String {
        match self {
            Self::Traces => span_of(event, span, names),
            Self::Logs => log_record(event, json, span),
        }
    }
}

/// OTLP's numbers: the span is a client's, the call went wrong, the log is information.
const KIND_CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;
const SEVERITY_INFO: u8 = 9;

/// A span in OTLP's words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<&'a str>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

/// A log record in OTLP's words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    time_unix_nano: &'a str,
    observed_time_unix_nano: &'a str,
    severity_number: u8,
    severity_text: &'static str,
    event_name: &'a str,
    body: Attribute<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'static str,
    value: Attribute<'a>,
}

/// An attribute's value. A whole 64-bit number is a text in OTLP's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::enum_variant_names, reason = "OTLP's words")]
enum Attribute<'a> {
    StringValue(&'a str),
    #[serde(serialize_with = "as_text")]
    IntValue(u64),
    DoubleValue(f64),
    BoolValue(bool),
    ArrayValue {
        values: Vec<Attribute<'a>>,
    },
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Texts and numbers, which always serialise.
fn written(item: &impl Serialize) -> String {
    json_text::of(item).unwrap_or_default()
}

#[inline(never)]
fn span_of(event: &Event, span: &SpanContext, names: Names) -> String {
    let model = event.request_model.as_deref().or(event.response_model.as_deref()).unwrap_or_default();
    written(&Span {
        trace_id: &span.trace_id,
        span_id: &span.span_id,
        parent_span_id: span.parent_span_id.as_deref(),
        name: format!("{} {model}", event.operation).trim_end(),
        kind: KIND_CLIENT,
        start_time_unix_nano: nanos(event.opened.millis()),
        end_time_unix_nano: nanos(event.opened.millis().saturating_add(event.timing.duration_ms)),
        attributes: attributes(event, names),
        status: is_error(event.outcome).then(|| Status { code: STATUS_ERROR, message: error_type(event) }),
    })
}

#[inline(never)]
fn log_record(event: &Event, json: &str, span: &SpanContext) -> String {
    let time = nanos(event.opened.millis().saturating_add(event.timing.duration_ms));
    written(&LogRecord {
        time_unix_nano: &time,
        observed_time_unix_nano: &time,
        severity_number: SEVERITY_INFO,
        severity_text: "INFO",
        event_name: event.schema,
        body: Attribute::StringValue(json),
        trace_id: Some(&span.trace_id),
        span_id: Some(&span.span_id),
        attributes: vec![KeyValue { key: name::OUTCOME, value: Attribute::StringValue(event.outcome.name()) }],
    })
}

/// The log record of a grant, whose event it holds.
#[must_use]
pub fn record_of_grant(event: &str, now: Timestamp) -> String {
    let time = nanos(now.millis());
    written(&LogRecord {
        time_unix_nano: &time,
        observed_time_unix_nano: &time,
        severity_number: SEVERITY_INFO,
        severity_text: "INFO",
        event_name: GRANT_SCHEMA,
        body: Attribute::StringValue(event),
        trace_id: None,
        span_id: None,
        attributes: Vec::new(),
    })
}

/// A whole 64-bit number, which OTLP's JSON writes as a string.
fn nanos(millis: u64) -> String {
    millis.saturating_mul(1_000_000).to_string()
}

const fn is_error(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Complete | Outcome::InFlight)
}

/// OTel's `error.type`: the provider's name for it, else how the call ended.
fn error_type(event: &Event) -> &str {
    event.error_type.as_deref().unwrap_or(event.outcome.name())
}

#[inline(never)]
fn attributes(event: &Event, names: Names) -> Vec<KeyValue<'_>> {
    let whole = |value: Option<u64>| value.map(Attribute::IntValue);
    let of = |dimension| text(event.attribution.get(dimension));
    let component = |component| whole(event.components.get(component).map(|share| share.tokens));
    let dollars =
        |cost: Option<crate::money::Usd>| cost.map(|cost| Attribute::DoubleValue(fraction(&cost.to_string())));
    let total = event.input_tokens.zip(event.output_tokens).map(|(input, output)| input.saturating_add(output));
    let writes =
        event.cache_write_5m_tokens.zip(event.cache_write_1h_tokens).map(|(short, long)| short.saturating_add(long));
    let model = text(event.response_model.as_deref().or(event.request_model.as_deref()));
    let fraction_of = |ratio: Option<Proportion>| ratio.map(|ratio| Attribute::DoubleValue(ratio.as_f64()));
    let routing = event.routing.as_ref();
    let candidates = routing.map(|routing| &routing.candidates).filter(|candidates| !candidates.is_empty());
    let candidates = candidates.map(|candidates| array(candidates.iter().map(String::as_str)));
    let mut known = vec![
        (name::SPAN_KIND, text(Some("LLM"))),
        (name::OUTCOME, text(Some(event.outcome.name()))),
        (name::OPERATION, text(Some(event.operation))),
        (name::PROVIDER, text(Some(&event.provider))),
        (name::REQUEST_MODEL, text(event.request_model.as_deref())),
        (name::RESPONSE_MODEL, text(event.response_model.as_deref())),
        (name::RESPONSE_ID, text(event.response_id.as_deref())),
        (name::FINISH_REASONS, event.finish_reason.as_deref().map(|reason| array([reason]))),
        (name::STREAM, Some(Attribute::BoolValue(event.stream))),
        (name::CONVERSATION, of(Dimension::Session)),
        (name::AGENT, of(Dimension::Agent)),
        (name::INPUT_TOKENS, whole(event.input_tokens)),
        (name::OUTPUT_TOKENS, whole(event.output_tokens)),
        (name::CACHE_READ, whole(event.cache_read_tokens)),
        (name::CACHE_CREATION, whole(writes)),
        (name::REASONING, whole(event.reasoning_tokens)),
        (name::HTTP_STATUS, whole(event.status.map(u64::from))),
        (name::ERROR_TYPE, text(is_error(event.outcome).then(|| error_type(event)))),
        (name::OI_MODEL, text(event.response_model.as_deref().or(event.request_model.as_deref()))),
        (name::OI_PROVIDER, text(Some(&event.provider))),
        (name::OI_PROMPT, whole(event.input_tokens)),
        (name::OI_COMPLETION, whole(event.output_tokens)),
        (name::OI_TOTAL, whole(total)),
        (name::OI_CACHE_READ, whole(event.cache_read_tokens)),
        (name::OI_CACHE_WRITE, whole(writes)),
        (name::OI_AUDIO_INPUT, whole(event.audio_input_tokens)),
        (name::OI_REASONING, whole(event.reasoning_tokens)),
        (name::OI_AUDIO_OUTPUT, whole(event.audio_output_tokens)),
        (name::OI_COST, dollars(event.cost_usd)),
        (name::OI_SESSION, of(Dimension::Session)),
        (name::OI_USER, of(Dimension::User)),
        (name::APPLICATION, of(Dimension::App)),
        (name::END_USER, of(Dimension::User)),
        (name::TASK, of(Dimension::Task)),
        (name::TASK_TYPE, of(Dimension::TaskType)),
        (name::MODEL, model),
        (name::COST, dollars(event.cost_usd)),
        (name::CACHED_TOKENS, whole(event.cache_read_tokens)),
        (name::LATENCY, Some(Attribute::IntValue(event.timing.duration_ms))),
        (name::STATUS, whole(event.status.map(u64::from))),
        (name::TOKENS_SYSTEM, component("system")),
        (name::TOKENS_TOOLS, component("tools")),
        (name::TOKENS_FEW_SHOT, component("few_shot")),
        (name::TOKENS_HISTORY, component("history")),
        (name::TOKENS_USER, component("user")),
        (name::TOKENS_INPUT, whole(event.input_tokens)),
        (name::TOKENS_OUTPUT, whole(event.output_tokens)),
        (name::HIT_RATE, fraction_of(event.cache.hit_rate)),
        (name::TTFT, whole(event.timing.ttft_ms)),
        (name::EFFICIENCY, fraction_of(event.token_efficiency_ratio)),
        (name::ROUTING_CONFIDENCE, fraction_of(routing.and_then(|routing| routing.confidence))),
        (name::ROUTING_ALTERNATIVES, candidates),
        (name::RETRIES, whole(event.retry.as_ref().map(|retry| retry.number))),
        (name::TASK_OUTCOME, text(event.task_outcome.as_ref().map(|outcome| outcome.result.name()))),
        (name::ERROR_CLASS, text(event.error_class.map(ErrorClass::name))),
    ];
    if names.proposed && event.cost_usd.is_some() {
        let source = if event.cost_source == CostSource::Provider { "provider" } else { "local" };
        known.push((name::PROPOSED_COST, dollars(event.cost_usd)));
        known.push((name::PROPOSED_CURRENCY, text(Some("USD"))));
        known.push((name::PROPOSED_SOURCE, text(Some(source))));
    }
    known.into_iter().filter_map(|(key, value)| Some(KeyValue { key, value: value? })).collect()
}

fn text(value: Option<&str>) -> Option<Attribute<'_>> {
    value.map(Attribute::StringValue)
}

fn array<'a>(texts: impl IntoIterator<Item = &'a str>) -> Attribute<'a> {
    Attribute::ArrayValue { values: texts.into_iter().map(Attribute::StringValue).collect() }
}

/// A decimal as the number that backends can sum; the exact amount is in the log record.
fn fraction(decimal: &str) -> f64 {
    decimal.parse().unwrap_or_default()
}
