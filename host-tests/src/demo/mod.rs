//! The demo: a provider stand-in, a real Envoy with the filter, the agent's task and a mixed day, and the events that come out.
//!
//! [`run`] starts everything and returns when all traffic is accounted for; what it returns keeps the servers running until it
//! is dropped. [`bill`] turns events into the printed bill. Must not know: how the filter computes.

pub mod bill;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::client::ClientError;
use crate::agent::{self, day, task::Task};
use crate::artifact::{self, ArtifactError};
use crate::envoy::{self, Envoy, EnvoyError, Options};
use crate::standin::Standin;

/// Log lines are written within a second; a loaded machine gets more.
const LOG_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The filter does not build.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Envoy does not run.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// A call got no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The stand-in does not start.
    #[error("cannot start the provider stand-in: {0}")]
    Standin(#[from] std::io::Error),
    /// Some requests never showed up in the access log.
    #[error("Envoy's access log has {logged} lines for {sent} requests")]
    Lost {
        /// Requests sent.
        sent: usize,
        /// Lines found.
        logged: usize,
    },
}

/// What to demonstrate.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The filter; built if not given.
    pub wasm: Option<PathBuf>,
    /// The filter's configuration.
    pub configuration: Value,
    /// The agent's task.
    pub task: Task,
    /// Whether the mixed day follows.
    pub day: bool,
    /// The port of an OTLP/HTTP collector on loopback, for spans.
    pub collector: Option<u16>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { wasm: None, configuration: configuration(), task: Task::demo(), day: true, collector: None }
    }
}

/// The demo's configuration of the filter: how its applications mark examples, one limit that only observes long prompts, and
/// one that refuses a notebook that sends whole tables.
fn configuration() -> Value {
    serde_json::json!({"few_shot_markers": ["Example: "], "limits": [
        {"id": "long-prompt", "measure": "input_tokens", "limit": 30_000, "action": "observe"},
        {"id": "notebook-tables", "match": {"attribution": {"app": "notebooks"}}, "measure": "input_tokens", "limit": 2_000}
    ]})
}

/// What came out, and the servers that made it. Dropping it stops them.
#[derive(Debug)]
pub struct Demo {
    /// One event per LLM call, in the order of the access log.
    pub events: Vec<Value>,
    /// How many requests were sent, LLM calls or not.
    pub requests: usize,
    /// How long the traffic took.
    pub took: Duration,
    /// The gateway.
    pub envoy: Envoy,
    /// The provider.
    pub standin: Standin,
}

impl Demo {
    /// Where to look, as `what: where`.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, String)> {
        vec![
            ("gateway", self.envoy.url().to_owned()),
            ("metrics", format!("{}/stats/prometheus?filter=tollgate", self.envoy.admin_url())),
            ("access log", self.envoy.access_log_path().display().to_string()),
            ("provider stand-in", self.standin.url()),
        ]
    }
}

/// Starts the servers, sends the traffic, and collects the events from the access log.
///
/// # Errors
/// When something does not start, a call gets no answer at all, or a request is missing from the log.
pub fn run(options: &DemoOptions) -> Result<Demo, DemoError> {
    let wasm = match &options.wasm {
        Some(wasm) => wasm.clone(),
        None => artifact::wasm()?,
    };
    let standin = Standin::with_script(Box::new(agent::script))?;
    let mut gateway = Options::new(wasm, standin.address());
    gateway.configuration = options.configuration.clone();
    gateway.collector = options.collector;
    gateway.concurrency = 2;
    let envoy = Envoy::start(&gateway)?;

    let start = Instant::now();
    let mut requests = options.task.run(envoy.url())?.len();
    if options.day {
        for errand in day::errands() {
            errand.send(envoy.url())?;
            requests += 1;
        }
    }
    let took = start.elapsed();

    let log = envoy.wait_for_access_log(requests, LOG_LIMIT);
    if log.len() < requests {
        return Err(DemoError::Lost { sent: requests, logged: log.len() });
    }
    let events = log.iter().filter_map(envoy::event).collect();
    Ok(Demo { events, requests, took, envoy, standin })
}
