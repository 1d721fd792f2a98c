//! The published schemas hold what they describe.
//!
//! The check below knows the keywords that our schemas use and fails on any other: small enough to be read, where a
//! general validator would bring fifty crates.

use crate::{exchanges, support::published};
use serde_json::{Value, json};
use tollgate_core::money::Usd;
use tollgate_core::schema::{config_schema, event_schema};

/// Where `value` breaks `schema`; `root` holds the definitions.
fn breaks(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == &json!(false) { vec![format!("{path}: not allowed")] } else { Vec::new() };
    };
    let mut broken = Vec::new();
    for (keyword, rule) in keywords {
        let say = |what: &str| vec![format!("{path}: {what} {rule}, is {value}")];
        broken.extend(match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => Vec::new(),
            "$ref" => {
                let definition = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                breaks(root, definition, value, path)
            }
            "type" => {
                let names = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                if names.iter().any(|name| is_a(value, name.as_str().unwrap())) { Vec::new() } else { say("type") }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => say("one of"),
            "const" if rule != value => say("exactly"),
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => say("at least"),
            "maximum" if value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()) => say("at most"),
            "enum" | "const" | "minimum" | "maximum" => Vec::new(),
            // The only pattern there is.
            "pattern" => match value.as_str() {
                Some(text) if Usd::parse(text).is_err() => say("pattern"),
                _ => Vec::new(),
            },
            "required" => {
                let missing = rule.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                missing.map(|key| format!("{path}: lacks {key}")).collect()
            }
            "properties" => {
                let members =
                    rule.as_object().unwrap().iter().filter_map(|(key, rule)| Some((key, rule, value.get(key)?)));
                members.flat_map(|(key, rule, value)| breaks(root, rule, value, &format!("{path}.{key}"))).collect()
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                let others =
                    value.as_object().into_iter().flatten().filter(|(key, _)| known.get(key.as_str()).is_none());
                others.flat_map(|(key, value)| breaks(root, rule, value, &format!("{path}.{key}"))).collect()
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.flat_map(|(index, item)| breaks(root, rule, item, &format!("{path}[{index}]"))).collect()
            }
            "anyOf" | "oneOf" => {
                let is_met = |rule: &Value| breaks(root, rule, value, path).is_empty();
                let met = rule.as_array().unwrap().iter().filter(|rule| is_met(rule)).count();
                if met == 1 || (met > 1 && keyword == "anyOf") { Vec::new() } else { say(keyword) }
            }
            unknown => panic!("{path}: the check does not know the keyword {unknown}"),
        });
    }
    broken
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("unknown type {unknown}"),
    }
}

#[track_caller]
fn check(schema: &Value, value: &Value, expected: &[&str]) {
    assert_eq!(breaks(schema, schema, value, "$"), expected, "{value}");
}

#[test]
fn every_event_is_valid() {
    let schema = event_schema();
    for exchange in exchanges() {
        let event = exchange.event([exchange.answer()]);
        check(&schema, &serde_json::from_str(&published(&event)).unwrap(), &[]);
    }
}

#[test]
fn an_event_that_lacks_a_field_or_has_one_of_another_type_is_invalid() {
    let schema = event_schema();
    let exchange = exchanges().next().unwrap();
    let mut event = serde_json::to_value(exchange.event([exchange.answer()])).unwrap();
    event["id"] = json!(7);
    event["timing"].as_object_mut().unwrap().remove("duration_ms");
    check(&schema, &event, &["$.id: type \"string\", is 7", "$.timing: lacks \"duration_ms\""]);
}

#[test]
fn an_empty_configuration_is_valid_and_a_mistyped_one_is_not() {
    let schema = config_schema();
    check(&schema, &json!({}), &[]);
    check(&schema, &json!({"prices": [{"model": "m", "input_per_million": "2.5", "output_per_million": 10}]}), &[]);
    check(&schema, &json!({"failure_mod": "open"}), &["$.failure_mod: not allowed"]);
    let limit = json!({"limits": [{"id": "l", "measure": "cost_usd", "limit": "free"}]});
    assert_eq!(breaks(&schema, &schema, &limit, "$").len(), 1);
}
