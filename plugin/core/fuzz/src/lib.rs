//! What is fuzzed: a function for each parser, which takes any bytes and fails where they show a defect.
//!
//! libFuzzer makes the bytes up (`fuzz_targets/any.rs`); the core's tests run the same functions over the test data
//! (`tests/fuzz.rs`), so that none of them is left behind.
//! Must not know: who runs them.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is found shows as a panic"
)]

mod batches;
mod changes;
mod config;
mod content_codings;
mod dialect_request;
mod dialect_response;
mod eventstream_frame;
mod fleet_answers;
mod forms;
mod heads;
mod json_scanner;
mod ledger;
mod log_lines;
mod raw_json;
mod reduced_requests;
mod sse_frame;
mod tokens_equal_tiktoken;
mod withheld_usage;
mod zones;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every one of them, by name.
pub const TARGETS: [(&str, Target); 19] = [
    ("batches", batches::run),
    ("changes", changes::run),
    ("config", config::run),
    ("content_codings", content_codings::run),
    ("dialect_request", dialect_request::run),
    ("dialect_response", dialect_response::run),
    ("eventstream_frame", eventstream_frame::run),
    ("fleet_answers", fleet_answers::run),
    ("forms", forms::run),
    ("heads", heads::run),
    ("json_scanner", json_scanner::run),
    ("ledger", ledger::run),
    ("log_lines", log_lines::run),
    ("raw_json", raw_json::run),
    ("reduced_requests", reduced_requests::run),
    ("sse_frame", sse_frame::run),
    ("tokens_equal_tiktoken", tokens_equal_tiktoken::run),
    ("withheld_usage", withheld_usage::run),
    ("zones", zones::run),
];

/// Runs the one of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target that is there");
    target(bytes);
}
