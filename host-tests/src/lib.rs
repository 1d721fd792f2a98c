//! The proxy-wasm host, and everything Tollgate is tested and shown with: a real Envoy, a provider stand-in, agent
//! traffic, a trace collector.
#![warn(missing_docs)]

pub mod agent;
pub mod artifact;
pub mod demo;
pub mod envoy;
pub mod loopback;
pub mod otlp;
pub mod standin;
pub mod wait;
