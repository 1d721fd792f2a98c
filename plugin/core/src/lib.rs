//! `tollgate-core`: bytes of an LLM call in, an explained amount of money out.
//!
//! ```text
//! bytes in -> frame -> dialect -> prompt/usage -> tokens -> price -> cache -> attribution -> limit -> event -> host
//!             \_________________________ this crate: pure, no host, no clock, no I/O __________________________/
//! ```
//!
//! Values in, effects out: there is no clock, randomness, logging, static state or `Host` trait here; time is
//! an argument. [`meter`] alone wires the stages together, and is the place to start reading.
#![forbid(unsafe_code)]

mod admission;
pub mod attribution;
#[cfg(feature = "bill")]
pub mod bill;
pub mod cache;
pub mod calibration;
mod call;
pub mod change;
mod codings;
pub mod config;
mod counting;
mod cut;
pub mod dialect;
pub mod downgrade;
mod estimate;
pub mod event;
mod explain;
pub mod few_shot;
pub mod fleet;
pub mod frame;
pub mod head;
pub mod health;
pub mod json_text;
pub mod ledger;
pub mod limit;
pub mod log_line;
pub mod logged;
pub mod media;
pub mod meter;
pub mod metrics;
pub mod money;
pub mod names;
pub mod operator;
mod ordered;
pub mod otlp;
pub mod prefix;
pub mod price;
pub mod prompt;
mod refusal;
pub mod response_cache;
pub mod retrieval;
pub mod retry;
pub mod routing;
#[cfg(feature = "schema")]
pub mod schema;
pub mod series;
mod settlement;
pub mod step;
pub mod task_outcome;
pub mod time;
pub mod tokens;
pub mod trace;
pub mod usage;
mod usage_request;
