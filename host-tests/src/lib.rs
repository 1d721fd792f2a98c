//! `tollgate-host`: the gateways around the filter, as a library for tests and for the `tollgate` program.
//!
//! [`gateway`] runs a proxy-wasm filter the way Envoy, Kong and APISIX run it, oddities included; it knows the wasm
//! ABI and nothing about LLM calls or money. Beside it: a real Envoy, a provider stand-in, agent traffic, a trace
//! collector, the demo made of them, and the X-ray page.
#![warn(missing_docs)]

pub mod agent;
pub mod artifact;
pub mod demo;
pub mod envoy;
pub mod events;
#[cfg(feature = "simulation")]
pub mod gateway;
pub mod kong;
pub mod loopback;
#[cfg(feature = "simulation")]
pub mod otlp;
pub mod page;
pub mod reconcile;
pub mod recording;
pub mod redis;
#[cfg(feature = "simulation")]
pub mod replay;
pub mod standin;
pub mod upstash;
pub mod wait;
