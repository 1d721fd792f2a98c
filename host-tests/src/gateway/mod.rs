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
pub use run::{Filter, Gateway, Worker};
pub use settings::{Eviction, Settings, ShmZone};
pub use shared_data::SharedData;
pub use stream::Stream;
pub use vm::Health;
