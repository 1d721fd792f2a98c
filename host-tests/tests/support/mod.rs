//! One room for every Envoy test: stand-in, trace collector and Envoy with a filter, and calls to send through it.
//!
//! Must not know: which filter it is.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "each test file uses a part of it")]

mod calls;
pub mod native;
pub mod same;

use std::path::PathBuf;
use std::time::Duration;

pub use calls::small_call;
use serde_json::Value;
use tollgate_host::agent::Labels;
use tollgate_host::agent::client::{self, Sent};
use tollgate_host::envoy::{self, Envoy, Options};
use tollgate_host::otlp::{Collector, Span};
use tollgate_host::standin::{Dialect, Standin};

/// Long enough for a machine with two busy cores.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Room {
    pub standin: Standin,
    pub collector: Collector,
    pub envoy: Envoy,
}

impl Room {
    pub fn with(filter: PathBuf) -> Self {
        Self::tuned(filter, |_| {})
    }

    pub fn tuned(filter: PathBuf, tune: impl FnOnce(&mut Options)) -> Self {
        let standin = Standin::start().unwrap();
        let collector = Collector::start().unwrap();
        let mut options = Options::new(filter, standin.address());
        options.collector = Some(collector.port());
        tune(&mut options);
        let envoy = Envoy::start(&options).unwrap_or_else(|error| panic!("{error}"));
        Self { standin, collector, envoy }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.envoy.url())
    }

    /// A small call of `dialect` through the gateway, for application `app`.
    pub fn call(&self, dialect: Dialect, app: &str, stream: bool) -> Sent {
        self.call_with(dialect, &Labels::app(app, "qa"), stream)
    }

    pub fn call_with(&self, dialect: Dialect, labels: &Labels, stream: bool) -> Sent {
        client::post(&self.url(dialect.path()), labels.headers(), &small_call(dialect, stream)).unwrap()
    }

    /// The access log once it has `count` lines.
    pub fn log(&self, count: usize) -> Vec<Value> {
        let log = self.envoy.wait_for_access_log(count, SOON);
        assert_eq!(log.len(), count, "{log:#?}");
        log
    }

    /// The gateway's spans once there are `count`.
    pub fn spans(&self, count: usize) -> Vec<Span> {
        let spans = self.collector.wait_for(count, SOON);
        assert_eq!((spans.len(), self.collector.undecodable()), (count, 0), "{spans:#?}");
        spans
    }
}

/// The span of the request that a log line is about.
pub fn span_of<'a>(spans: &'a [Span], line: &Value) -> &'a Span {
    let found = spans.iter().find(|span| Some(span.trace_id.as_str()) == line["trace_id"].as_str());
    found.unwrap_or_else(|| panic!("no span for {line:#}"))
}

/// The log line of an application's only call.
pub fn line_of<'a>(log: &'a [Value], app: &str) -> &'a Value {
    log.iter().find(|line| line["application"] == app).unwrap_or_else(|| panic!("no line for {app} in {log:#?}"))
}

/// The event in a line of the access log.
pub fn event(line: &Value) -> Value {
    envoy::event(line).unwrap_or_else(|| panic!("no event in {line:#}"))
}
