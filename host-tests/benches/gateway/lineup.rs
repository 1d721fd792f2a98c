//! The gateways that are compared: one configuration, another filter in it.

use crate::process;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use tollgate_core::names::metric;
use tollgate_host::artifact;
use tollgate_host::envoy::{self, Envoy, Options, native};

/// What stands before the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lineup {
    /// Nothing.
    None,
    /// A wasm filter that has bodies copied, and nothing else.
    Floor,
    /// Envoy's `ai_protocol_manager`.
    Native,
    /// Tollgate with composition, price, attribution, running totals, a limit and metrics.
    Tollgate,
    /// The same, with the events in a log of their own.
    Apart,
    /// Like `Tollgate`, which also sends a span and a log record of each call to a collector.
    Exporting,
}

impl Lineup {
    pub const ALL: [Self; 6] = [Self::None, Self::Floor, Self::Native, Self::Tollgate, Self::Apart, Self::Exporting];

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Floor => "floor",
            Self::Native => "native",
            Self::Tollgate => "Tollgate",
            Self::Apart => "Tollgate, events apart",
            Self::Exporting => "Tollgate, exporting",
        }
    }

    /// How Envoy is started with it.
    pub fn options(self, upstream: SocketAddr) -> Options {
        let filter = match self {
            Self::None | Self::Native => None,
            Self::Floor => Some(artifact::floor().expect("the floor builds")),
            Self::Tollgate | Self::Apart | Self::Exporting => Some(artifact::wasm().expect("the filter builds")),
        };
        let mut options = Options::new(filter.clone().unwrap_or_default(), upstream);
        options.wasm = filter;
        options.configuration = json!({
            "log_events": false,
            "limits": [{"id": "no-call-above-2-dollars", "measure": "cost_usd", "limit": "2.00", "action": "deny"}]
        });
        options.events_apart = self == Self::Apart;
        if self == Self::Exporting {
            // The upstream of all clusters takes what a collector takes. One worker gets thousands of calls a second here.
            options.configuration["otlp"] = json!({"target": "openai", "interval_ms": 100});
        }
        if self == Self::Native {
            options.extra_filters = vec![native::filter()];
            options.extra_log_fields = vec![native::log_field()];
        }
        options
    }

    /// Starts it on CPU 0.
    pub fn start(self, upstream: SocketAddr) -> Envoy {
        let envoy = Envoy::start(&self.options(upstream)).unwrap_or_else(|why| panic!("{}: {why}", self.name()));
        process::pin(envoy.id(), process::GATEWAYS);
        envoy
    }

    /// Makes sure that a filter which was measured did its work.
    pub fn check(self, envoy: &Envoy) {
        let log = envoy.access_log();
        let last = log.last().expect("calls");
        let input = match self {
            Self::None | Self::Floor => return,
            Self::Native => native::usage(last).map(|usage| usage.input),
            Self::Apart => {
                let log = fs::read_to_string(envoy.event_log_path()).expect("events");
                serde_json::from_str::<Value>(log.lines().last().expect("calls")).expect("an event")["input_tokens"]
                    .as_u64()
            }
            Self::Tollgate | Self::Exporting => envoy::event(last).and_then(|event| event["input_tokens"].as_u64()),
        };
        assert!(input.is_some(), "{}: {last:#}", self.name());
        let dropped = envoy.metrics().expect("metrics").sum(metric::EXPORT_DROPPED, &[]);
        assert_eq!(dropped, None, "{}: the collector did not get everything", self.name());
    }
}
