//! What a request needs of its model beside what its prompt shows, and whether its model can be replaced by name.
//!
//! Dialects differ in how they say it, and their fields do not collide. So all are read in one way, and what is written for
//! another dialect counts as well: too much is needed rather than too little.
//! Must not know: which models can do what.

use super::object::{member, members, string};
use super::{Dialect, splice};
use crate::config::raw::Capability;
use crate::frame::raw::Raw;
use std::collections::BTreeSet;

/// Members by which a request names several models, of which any may answer.
const SEVERAL: [&str; 3] = ["models", "fallbacks", "route"];
/// What says that a model is not to think.
const OFF: [&str; 4] = ["null", "false", "\"none\"", "0"];

impl Dialect {
    /// What a request asks of its model: thinking, JSON, sound, searches.
    #[must_use]
    pub fn needs(self, body: &[u8]) -> BTreeSet<Capability> {
        let mut needs = BTreeSet::new();
        members(splice::json_of(body).unwrap_or_default(), |key, value| {
            needs.extend(need(&key, value).filter(|_| !OFF.contains(&value.get())));
        });
        needs
    }

    /// Whether a request names one model, in its body.
    #[must_use]
    pub fn names_model(self, body: &[u8]) -> bool {
        let Some(json) = splice::json_of(body) else { return false };
        let has = |name| !splice::get(json, &[name]).is_empty();
        let named = splice::get(json, &["model"]);
        !named.is_empty() && named.into_iter().all(|model| string(model).is_some()) && !SEVERAL.into_iter().any(has)
    }

    /// A request that names another model, otherwise the same byte for byte.
    #[must_use]
    pub fn naming_model(self, body: &[u8], model: &str) -> Option<Vec<u8>> {
        splice::set(body, &["model"], &serde_json::Value::from(model).to_string())
    }
}

fn need(key: &str, value: Raw<'_>) -> Option<Capability> {
    let is_text = |format: Raw<'_>| member(format.get(), "type").and_then(string).as_deref() == Some("text");
    let is_on = || member(value.get(), "type").and_then(string).as_deref() != Some("disabled");
    match key {
        "response_format" if !is_text(value) => Some(Capability::JsonSchema),
        "format" | "output_format" | "structured_outputs" => Some(Capability::JsonSchema),
        "text" if member(value.get(), "format").is_some_and(|format| !is_text(format)) => Some(Capability::JsonSchema),
        "output_config" if member(value.get(), "format").is_some() => Some(Capability::JsonSchema),
        key if key.starts_with("guided_") => Some(Capability::JsonSchema),
        "think" | "thinking" | "enable_thinking" if is_on() => Some(Capability::Reasoning),
        key if key.starts_with("reasoning") => Some(Capability::Reasoning),
        "audio" => Some(Capability::Audio),
        "web_search_options" | "search_parameters" | "plugins" => Some(Capability::WebSearch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_needs_is_read_however_its_dialect_says_it() {
        for (body, needs) in [
            (
                r#"{"model":"m","text":{"format":{"type":"text"}},"reasoning_effort":"none","thinking":{"type":"disabled"}}"#,
                vec![],
            ),
            (r#"{"response_format":{"type":"json_object"}}"#, vec![Capability::JsonSchema]),
            (r#"{"text":{"format":{"type":"json_schema","schema":{}}}}"#, vec![Capability::JsonSchema]),
            (r#"{"output_config":{"format":{"type":"json_schema"}}}"#, vec![Capability::JsonSchema]),
            (r#"{"format":"json"}"#, vec![Capability::JsonSchema]),
            (r#"{"reasoning":{"effort":"high"}}"#, vec![Capability::Reasoning]),
            (r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#, vec![Capability::Reasoning]),
            (
                r#"{"think":true,"audio":{"voice":"a"},"web_search_options":{}}"#,
                vec![Capability::Reasoning, Capability::Audio, Capability::WebSearch],
            ),
        ] {
            assert_eq!(Dialect::OpenaiChat.needs(body.as_bytes()), needs.into_iter().collect(), "{body}");
        }
    }

    #[test]
    fn a_model_is_replaced_only_where_the_body_names_it_alone() {
        let names = |body: &str| Dialect::OpenaiChat.names_model(body.as_bytes());
        assert!(names(r#"{"model":"m","n":1}"#));
        for body in [r#"{"n":1}"#, r#"{"model":null}"#, r#"{"model":"m","models":["a","b"]}"#, "[]"] {
            assert!(!names(body), "{body}");
        }
        let renamed = Dialect::OpenaiChat.naming_model(br#"{"n":1.0,"model":"m"}"#, "a\"b").expect("an object");
        assert_eq!(String::from_utf8_lossy(&renamed), r#"{"n":1.0,"model":"a\"b"}"#);
    }
}
