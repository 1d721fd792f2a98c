//! `kong/tollgate.meta.json`: what Kong must know of the filter beside its code.
//!
//! Kong reads it from beside `tollgate.wasm`. With `config_schema` the configuration may be an object, which Kong
//! checks when it is loaded; with `metrics.label_patterns` Kong's Prometheus plugin makes labels of what our metric
//! names carry. Kong's validator speaks JSON Schema draft 4 only.
//! Must not know: what the configuration means.

use serde_json::{Map, Value, json};
use tollgate_core::attribution::Dimension;
use tollgate_core::names::label;
use tollgate_core::schema;

/// The only JSON Schema that Kong takes.
const DRAFT_4: &str = "http://json-schema.org/draft-04/schema#";

/// The file's content.
#[must_use]
pub fn meta() -> Value {
    // Kong looks for each label behind the one it found before, so the order is that of the names.
    let labels = label::ALL.into_iter().chain(Dimension::ALL.map(Dimension::name));
    let pattern = |label| json!({"label": label, "pattern": format!("(;{label}=([^;]*))")});
    json!({
        "config_schema": draft_4(schema::config_schema()),
        "metrics": {"label_patterns": labels.map(pattern).collect::<Vec<_>>()},
    })
}

/// The same schema in draft 4's words.
fn draft_4(schema: Value) -> Value {
    let mut schema = translated(schema);
    schema["$schema"] = DRAFT_4.into();
    schema
}

fn translated(schema: Value) -> Value {
    match schema {
        Value::Object(members) => members.into_iter().map(member).collect::<Map<_, _>>().into(),
        Value::Array(items) => items.into_iter().map(translated).collect(),
        Value::String(text) => text.replace("#/$defs/", "#/definitions/").into(),
        other => other,
    }
}

fn member((name, value): (String, Value)) -> (String, Value) {
    match name.as_str() {
        "$defs" => ("definitions".to_owned(), translated(value)),
        "const" => ("enum".to_owned(), json!([value])),
        // What a default holds is no schema.
        "default" => (name, value),
        _ => (name, translated(value)),
    }
}
