//! A trace collector for tests: takes OTLP over HTTP (protobuf) on loopback and keeps the spans.
//!
//! Spans are decoded with `opentelemetry-proto`, which shares no code with the sender, so what a test sees is what any
//! collector would see. Must not know: Envoy, attribute names.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message as _;

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
    /// Attributes by key.
    pub attributes: BTreeMap<String, String>,
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
    undecodable: usize,
}

impl Collector {
    /// Starts a collector on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start() -> io::Result<Self> {
        let received = Arc::<Mutex<Received>>::default();
        let keep = Arc::clone(&received);
        let server = Server::start(move |request| take(&request, &keep))?;
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
    if request.path != "/v1/traces" {
        return Reply::whole(404, "text/plain", "this collector only takes /v1/traces");
    }
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    match ExportTraceServiceRequest::decode(request.body.as_ref()) {
        Ok(export) => received.spans.extend(spans(export)),
        Err(_) => received.undecodable += 1,
    }
    // An empty ExportTraceServiceResponse is zero bytes.
    Reply::whole(200, "application/x-protobuf", Vec::new())
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
                trace_id: span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(),
                attributes: texts(span.attributes),
            });
        }
    }
    spans
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key.clone(), text(&attribute))).collect()
}
