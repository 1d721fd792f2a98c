//! The real filter in the wasmtime gateway, under all three profiles.
//!
//! Exchanges come from the provider stand-in ([`support::exchanges`]), so a test holds the filter's event against the
//! native core's for the same bytes, and looks at what reached the client, the upstream, the log and the metrics.

mod around;
mod attribution;
mod bodies;
mod breakers;
mod budgets;
mod bypass;
mod cache_misses;
mod changes;
mod compatibility;
mod composition;
mod compressed;
mod configuration;
mod counting;
mod denial;
mod endings;
mod event;
mod export;
mod faults;
mod fleet;
mod hostile;
mod memory;
mod operator;
mod outputs;
mod races;
mod series;
mod spans;
mod spoofing;
#[path = "../../../plugin/core/tests/support/store.rs"]
mod store;
mod strangers;
mod support;
mod told_later;
mod untouched;
mod usage_request;
