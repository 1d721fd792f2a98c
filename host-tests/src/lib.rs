//! `tollgate-host`: the gateways around the filter, as a library for tests and for the `tollgate` program.
//!
//! [`gateway`] runs a proxy-wasm filter the way Envoy, Kong and APISIX run it, oddities included.
//! It is a test tool: it knows the wasm ABI and the gateways, and nothing about LLM calls or money.
#![warn(missing_docs)]

pub mod gateway;
