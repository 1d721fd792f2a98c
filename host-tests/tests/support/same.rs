//! Holds one event against another, field by field.

use std::collections::BTreeSet;

use serde_json::Value;

/// What differs from call to call: the id, and what a gateway has learned from the calls before.
const DIFFERS: [&str; 5] = ["id", "learned_factor", "predicted_input_tokens", "template", "response_cache"];
/// The same of the cache.
const CACHE_DIFFERS: [&str; 3] = ["miss_reason", "first_difference", "missed_tokens"];

/// An event without what differs from call to call.
pub fn without_id(mut event: Value) -> Value {
    let fields = event.as_object_mut().expect("an event");
    DIFFERS.iter().for_each(|field| assert!(fields.remove(*field).is_some(), "{field}"));
    let cache = fields.get_mut("cache").and_then(Value::as_object_mut).expect("what the cache did");
    CACHE_DIFFERS.iter().for_each(|field| assert!(cache.remove(*field).is_some(), "{field}"));
    event
}

/// Fails with the fields that differ.
#[track_caller]
pub fn assert_same(found: &Value, expected: &Value, case: &str) {
    let fields = |event: &Value| event.as_object().expect("an event").clone();
    let (found, expected) = (fields(found), fields(expected));
    let differs = |field: &&String| found.get(*field) != expected.get(*field);
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).filter(differs).collect();
    let different: Vec<_> = names.into_iter().map(|field| (field, found.get(field), expected.get(field))).collect();
    assert!(different.is_empty(), "{case}: found and expected differ in {different:#?}");
}
