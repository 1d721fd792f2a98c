//! A collector for tests: takes OTLP over HTTP, in protobuf or JSON, on loopback and keeps spans and log records.
//!
//! Spans are decoded with `opentelemetry-proto`, which shares no code with the sender, so what a test sees is what any
//! collector would see. Must not know: Envoy, attribute names.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use serde::de::DeserializeOwned;

use crate::loopback::{Reply, Request, Server};
use crate::wait;

/// One received span, its values as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The span's name.
    pub name: String,
    /// The `service.name` of its resource.
    pub service: String,
    /// Trace id in hexadecimal.
    pub trace_id: String,
    /// The parent's id in hexadecimal; empty where it has none.
    pub parent_span_id: String,
    /// Nanoseconds from its start to its end.
    pub duration_ns: u64,
    /// Attributes by key.
    pub attributes: BTreeMap<String, String>,
}

/// One received log record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its body, as text.
    pub body: String,
    /// Trace id in hexadecimal.
    pub trace_id: String,
}

/// A running collector. Dropping it stops it.
#[derive(Debug)]
pub struct Collector {
    server: Server,
    received: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    undecodable: usize,
}

impl Collector {
    /// Starts a collector on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts one on a given port, where one stopped before.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let received = Arc::<Mutex<Received>>::default();
        let keep = Arc::clone(&received);
        let server = Server::start_on(port, move |request| take(&request, &keep))?;
        Ok(Self { server, received })
    }

    /// `http://127.0.0.1:PORT`; spans go to `/v1/traces` below it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Every span so far, in order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// Every log record so far, in order of arrival.
    #[must_use]
    pub fn logs(&self) -> Vec<LogRecord> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).logs.clone()
    }

    /// How many exports were no OTLP.
    #[must_use]
    pub fn undecodable(&self) -> usize {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).undecodable
    }

    /// The spans once there are at least `count`, or whatever there is after `limit`.
    #[must_use]
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Span> {
        wait::until(limit, || Some(self.spans()).filter(|spans| spans.len() >= count)).unwrap_or_else(|| self.spans())
    }
}

fn take(request: &Request, received: &Mutex<Received>) -> Reply {
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = match request.path.as_str() {
        "/v1/traces" => decode(request).map(|export| received.spans.extend(spans(export))).is_some(),
        "/v1/logs" => decode(request).map(|export| received.logs.extend(logs(export))).is_some(),
        _ => return Reply::whole(404, "text/plain", "this collector takes /v1/traces and /v1/logs"),
    };
    if !is_taken {
        received.undecodable += 1;
        return Reply::whole(400, "text/plain", "not OTLP");
    }
    // An empty answer is zero bytes of protobuf, or an empty object.
    if is_json(request) {
        Reply::whole(200, "application/json", "{}")
    } else {
        Reply::whole(200, "application/x-protobuf", Vec::new())
    }
}

fn is_json(request: &Request) -> bool {
    request.header("content-type") == Some("application/json")
}

fn decode<T: prost::Message + Default + DeserializeOwned>(request: &Request) -> Option<T> {
    let body = request.body.as_ref();
    if is_json(request) { serde_json::from_slice(body).ok() } else { T::decode(body).ok() }
}

/// The log records of an OTLP/JSON body.
#[must_use]
pub fn logs_of_json(body: &[u8]) -> Option<Vec<LogRecord>> {
    serde_json::from_slice(body).ok().map(logs)
}

/// The spans of an OTLP/JSON body.
#[must_use]
pub fn spans_of_json(body: &[u8]) -> Option<Vec<Span>> {
    serde_json::from_slice(body).ok().map(spans)
}

fn logs(export: ExportLogsServiceRequest) -> Vec<LogRecord> {
    let scopes = export.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
    let records = scopes.flat_map(|scope| scope.log_records);
    records
        .map(|record| LogRecord {
            body: record.body.map(|body| value_of(&body)).unwrap_or_default(),
            trace_id: hex(&record.trace_id),
        })
        .collect()
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in export.resource_spans {
        let about = texts(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = about.get("service.name").cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                name: span.name,
                service: service.clone(),
                trace_id: hex(&span.trace_id),
                parent_span_id: hex(&span.parent_span_id),
                duration_ns: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
                attributes: texts(span.attributes),
            });
        }
    }
    spans
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| attribute.value.as_ref().map(value_of).unwrap_or_default();
    attributes.into_iter().map(|attribute| (attribute.key.clone(), text(&attribute))).collect()
}

fn value_of(any: &AnyValue) -> String {
    match &any.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().map(value_of).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
