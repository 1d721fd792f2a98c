//! The gateways' oddities, one test each, seen through the probe filter (`tests/probe/probe.rs`).
//!
//! A test says what the probe does (`script`), drives a stream, and looks at what came out. If a fact about a real
//! gateway changes, the test that names it changes first.

mod apisix;
mod common;
mod envoy;
mod kong;
mod loading;
mod support;
