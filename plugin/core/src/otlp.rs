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
use crate::names::{GRANT_SCHEMA, otlp as name};
use crate::time::Timestamp;
use crate::trace::SpanContext;
use serde_json::{Value, json};

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
        let resource = json!({"attributes": [attribute("service.name", service.into())]});
        let (resources, scopes, name) = match self {
            Self::Traces => ("resourceSpans", "scopeSpans", "spans"),
            Self::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        };
        let scope = json!({"name": "tollgate", "version": env!("CARGO_PKG_VERSION")});
        let items = items.join(",");
        format!(r#"{{"{resources}":[{{"resource":{resource},"{scopes}":[{{"scope":{scope},"{name}":[{items}]}}]}}]}}"#)
    }

    /// One call's item.
    #[must_use]
    pub fn item(self, event: &Event, span: &SpanContext, names: Names) -> String {
        match self {
            Self::Traces => span_of(event, span, names),
            Self::Logs => log_record(event, span),
        }
        .to_string()
    }
}

/// OTLP's numbers: the span is a client's, the call went wrong, the log is information.
const KIND_CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;
const SEVERITY_INFO: u8 = 9;

#[inline(never)]
fn span_of(event: &Event, span: &SpanContext, names: Names) -> Value {
    let start = nanos(event.opened.millis());
    let end = nanos(event.opened.millis().saturating_add(event.timing.duration_ms));
    let model = event.request_model.as_deref().or(event.response_model.as_deref()).unwrap_or_default();
    let mut value = json!({
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": format!("{} {model}", event.operation).trim_end(),
        "kind": KIND_CLIENT,
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": attributes(event, names),
    });
    let more = [
        ("parentSpanId", span.parent_span_id.as_ref().map(|parent| json!(parent))),
        ("status", is_error(event.outcome).then(|| json!({"code": STATUS_ERROR, "message": error_type(event)}))),
    ];
    if let Some(members) = value.as_object_mut() {
        members.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    value
}

#[inline(never)]
fn log_record(event: &Event, span: &SpanContext) -> Value {
    let time = nanos(event.opened.millis().saturating_add(event.timing.duration_ms));
    // An event is made of texts and numbers, which always serialise.
    let body = serde_json::to_string(event).unwrap_or_default();
    json!({
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": SEVERITY_INFO,
        "severityText": "INFO",
        "eventName": event.schema,
        "body": {"stringValue": body},
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "attributes": [attribute(name::OUTCOME, event.outcome.name().into())],
    })
}

/// The log record of a grant, whose event it holds.
#[must_use]
pub fn record_of_grant(event: &str, now: Timestamp) -> String {
    let time = nanos(now.millis());
    json!({
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": SEVERITY_INFO,
        "severityText": "INFO",
        "eventName": GRANT_SCHEMA,
        "body": {"stringValue": event},
    })
    .to_string()
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

/// An attribute's value.
enum Attribute {
    Text(String),
    Whole(u64),
    Fraction(f64),
    Flag(bool),
    Texts(Vec<String>),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

fn attribute(key: &str, value: Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Whole(number) => json!({"intValue": number.to_string()}),
        Attribute::Fraction(number) => json!({"doubleValue": number}),
        Attribute::Flag(flag) => json!({"boolValue": flag}),
        Attribute::Texts(texts) => {
            let values: Vec<Value> = texts.iter().map(|text| json!({"stringValue": text})).collect();
            json!({"arrayValue": {"values": values}})
        }
    };
    json!({"key": key, "value": value})
}

#[inline(never)]
fn attributes(event: &Event, names: Names) -> Vec<Value> {
    let text = |value: Option<&str>| value.map(Attribute::from);
    let whole = |value: Option<u64>| value.map(Attribute::Whole);
    let of = |dimension| text(event.attribution.get(dimension));
    let component = |component| whole(event.components.get(component).map(|share| share.tokens));
    let dollars = |cost: Option<crate::money::Usd>| cost.map(|cost| Attribute::Fraction(fraction(&cost.to_string())));
    let total = event.input_tokens.zip(event.output_tokens).map(|(input, output)| input.saturating_add(output));
    let writes =
        event.cache_write_5m_tokens.zip(event.cache_write_1h_tokens).map(|(short, long)| short.saturating_add(long));
    let model = text(event.response_model.as_deref().or(event.request_model.as_deref()));
    let fraction_of = |ratio: Option<Proportion>| ratio.map(|ratio| Attribute::Fraction(ratio.as_f64()));
    let routing = event.routing.as_ref();
    let candidates = routing.map(|routing| &routing.candidates).filter(|candidates| !candidates.is_empty());
    let candidates = candidates.map(|candidates| Attribute::Texts(candidates.clone()));
    let mut known = vec![
        (name::SPAN_KIND, text(Some("LLM"))),
        (name::OUTCOME, text(Some(event.outcome.name()))),
        (name::OPERATION, text(Some(event.operation))),
        (name::PROVIDER, text(Some(&event.provider))),
        (name::REQUEST_MODEL, text(event.request_model.as_deref())),
        (name::RESPONSE_MODEL, text(event.response_model.as_deref())),
        (name::RESPONSE_ID, text(event.response_id.as_deref())),
        (name::FINISH_REASONS, event.finish_reason.clone().map(|reason| Attribute::Texts(vec![reason]))),
        (name::STREAM, Some(Attribute::Flag(event.stream))),
        (name::CONVERSATION, of(Dimension::Session)),
        (name::AGENT, of(Dimension::Agent)),
        (name::INPUT_TOKENS, whole(event.input_tokens)),
        (name::OUTPUT_TOKENS, whole(event.output_tokens)),
        (name::CACHE_READ, whole(event.cache_read_tokens)),
        (name::CACHE_CREATION, whole(writes)),
        (name::REASONING, whole(event.reasoning_tokens)),
        (name::HTTP_STATUS, whole(event.status.map(u64::from))),
        (name::ERROR_TYPE, is_error(event.outcome).then(|| error_type(event).into())),
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
        (name::LATENCY, Some(Attribute::Whole(event.timing.duration_ms))),
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
    known.into_iter().filter_map(|(key, value)| Some(attribute(key, value?))).collect()
}

/// A decimal as the number that backends can sum; the exact amount is in the log record.
fn fraction(decimal: &str) -> f64 {
    decimal.parse().unwrap_or_default()
}
