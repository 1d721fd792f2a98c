//! One gateway process around a compiled filter: workers, streams, shared state, and a clock the test moves.
//!
//! ```text
//! Settings --+
//!            +--> Gateway --worker(i)--> Worker --open(head)--> Stream --finish()--> Outcome
//! Filter ----+       |                      |
//!                 Process (shared data, metrics, log, clock, callouts)   Vm (store + instance, fuel, memory)
//! ```
//!
//! Reading order: [`Profile`] (every difference between the gateways, in one place), [`Settings`], [`Stream`],
//! then `drive` (the life of a stream) and `hostcalls` (what the filter can call).
//!
//! One JSON call and one stream of events:
//!
//! ```no_run
//! use tollgate_host::gateway::{Filter, Gateway, Profile, RequestHead, ResponseHead, Settings};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let filter = Filter::compile(&std::fs::read("tollgate.wasm")?)?;
//! let gateway = Gateway::start(&filter, Settings::shipped(Profile::Envoy).with_config("{}"))?;
//!
//! let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
//! stream.request_body(r#"{"model":"gpt-4.1","messages":[]}"#, true);
//! let answer = r#"{"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
//! stream.respond(ResponseHead::json(200, answer.len())).response_body(answer, true);
//! let outcome = stream.finish();
//! assert_eq!(outcome.status(), 200);
//! println!("{:?} {} fuel", outcome.logged("wasm.tollgate.event"), outcome.fuel_total());
//!
//! let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
//! stream.request_chunks(r#"{"model":"gpt-4.1","stream":true,"messages":[]}"#, 16);
//! stream.respond(ResponseHead::sse()).response_chunks("data: {}\n\ndata: [DONE]\n\n", 7);
//! let outcome = stream.finish();
//! assert!(outcome.trap.is_none() && outcome.downstream.is_some_and(|downstream| downstream.complete));
//! println!("{:?}", gateway.metrics().value("tollgate_calls_total"));
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: nothing here reads the real clock or real randomness; a run is a function of its inputs.
//! A filter that loops is stopped by fuel, one that hoards memory by a limit; both are traps in the outcome.
//! Must not know: what the filter is for.

mod drive;
mod error;
mod exchange;
mod faults;
mod headers;
mod hostcalls;
mod imports;
mod metrics;
mod process;
mod profile;
mod properties;
mod run;
mod settings;
mod shared_data;
mod stream;
mod vm;

pub use error::{HostError, LoadError};
pub use exchange::{Downstream, Ending, LocalReply, Outcome, RequestHead, ResponseHead, Upstream};
pub use faults::{Effect, Faults, When};
pub use headers::Headers;
pub use imports::{ImportProblem, Signature, check_imports, linkable, linkable_wasi};
pub use metrics::{Metric, MetricKind, Metrics};
pub use process::{Callout, FuelReading, HttpReply, LogLine};
pub use profile::{Profile, Unsupported};
pub use properties::{Properties, PropertyValue};
pub use run::{Configuration, Filter, Gateway, Worker};
pub use settings::{Eviction, Settings, ShmZone};
pub use shared_data::SharedData;
pub use stream::Stream;
pub use vm::Health;
