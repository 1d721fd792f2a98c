//! The event for a log that cuts long lines: whole where it fits, else its most telling fields, marked `partial`.
//!
//! nginx cuts what a filter logs at 2,048 bytes, OpenResty at 4,096, its own prefix included. A cut line is no JSON.
//! Invariants: what is returned is JSON and never longer than asked; every field in it has the event's own value.
//! Must not know: which gateway cuts.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The fields that a partial event must not lose to others, most telling first. What is not named here comes
/// after these, as far as there is room.
const TELLING: [&str; 24] = [
    "schema",
    "id",
    "time",
    "outcome",
    "status",
    "dialect",
    "provider",
    "operation",
    "request_model",
    "response_model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "reasoning_tokens",
    "usage_source",
    "unmetered_reason",
    "cost_usd",
    "cost_source",
    "unpriced_reason",
    "error_type",
    "attribution",
    "stream",
    "timing",
    "task",
];

/// What a partial event ends with.
const MARK: &str = "\"partial\":true}";
/// What it begins with.
const OPENING: &str = "{";

/// An event's JSON in at most `most` bytes.
///
/// Fields that do not fit are left out whole, attribution value by value. In less room than an object with nothing
/// but the mark takes, nothing is left.
#[must_use]
pub fn fit(event: &str, most: usize) -> Cow<'_, str> {
    if event.len() <= most {
        return Cow::Borrowed(event);
    }
    let Some(room) = most.checked_sub(MARK.len()).filter(|room| *room >= OPENING.len()) else {
        return Cow::Borrowed("");
    };
    let mut fields: Members<'_> = serde_json::from_str(event).unwrap_or_default();
    let mut line = Object::new(room);
    for name in TELLING {
        let Some(value) = fields.remove(name) else { continue };
        if !line.add(name, value.get()) && name == "attribution" {
            let values: Members<'_> = serde_json::from_str(value.get()).unwrap_or_default();
            line.add_some_of(name, &values);
        }
    }
    for (name, value) in fields {
        line.add(name, value.get());
    }
    Cow::Owned(line.text + MARK)
}

type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The beginning of a JSON object that may take `room` bytes: a brace, and members each followed by a comma.
struct Object {
    text: String,
    room: usize,
}

impl Object {
    fn new(room: usize) -> Self {
        Self { text: OPENING.to_owned(), room }
    }

    /// Adds a member where there is room; `false` where there is none.
    fn add(&mut self, name: &str, value: &str) -> bool {
        let member = format!("\"{name}\":{value},");
        let fits = self.text.len().saturating_add(member.len()) <= self.room;
        if fits {
            self.text.push_str(&member);
        }
        fits
    }

    /// Adds an object with those of its members that there is room for.
    fn add_some_of(&mut self, name: &str, members: &Members<'_>) {
        let around = "\"\":,".len().saturating_add(name.len());
        let room = self.room.saturating_sub(self.text.len()).saturating_sub(around);
        let mut object = Self::new(room);
        for (name, value) in members {
            object.add(name, value.get());
        }
        let ended = object.text.trim_end_matches(',').to_owned() + "}";
        self.add(name, &ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn event(attribution: Map<String, Value>, limits: usize) -> Value {
        json!({
            "schema": "tollgate.event/1", "id": "1", "request_model": "m\u{7}\"", "cost_usd": "0.01",
            "components": {"user": {"tokens": 1}}, "attribution": attribution,
            "limits": vec!["x"; limits],
        })
    }

    #[test]
    fn what_fits_is_not_touched() {
        let whole = event(Map::new(), 3).to_string();
        assert_eq!(fit(&whole, whole.len()), whole);
    }

    #[test]
    fn a_list_too_long_leaves_everything_else() {
        let whole = event(Map::new(), 1000);
        let mut expected = whole.clone();
        expected["partial"] = json!(true);
        expected.as_object_mut().map(|fields| fields.remove("limits"));
        let line: Value = serde_json::from_str(&fit(&whole.to_string(), 300)).expect("JSON");
        assert_eq!(line, expected);
    }

    #[test]
    fn room_for_less_than_the_mark_takes_is_left_empty() {
        let whole = event(Map::new(), 1000).to_string();
        assert_eq!(fit(&whole, 16), r#"{"partial":true}"#);
        assert_eq!(fit(&whole, 15), "");
    }

    proptest! {
        #[test]
        fn a_line_is_json_within_its_bound_and_tells_nothing_but_the_event(
            values in prop::collection::btree_map("[a-z]{1,8}", ".{0,300}", 0..14),
            limits in 0_usize..600,
            most in 16_usize..2500,
        ) {
            let attribution = values.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
            let whole = event(attribution, limits);
            let text = whole.to_string();
            let line = fit(&text, most);
            prop_assert!(line.len() <= most);
            let line: Map<String, Value> = serde_json::from_str(&line).expect("JSON");
            for (name, value) in &line {
                match (name.as_str(), value) {
                    ("partial", value) => prop_assert!(text.len() > most && *value == true),
                    ("attribution", Value::Object(some)) => {
                        prop_assert!(some.iter().all(|(name, value)| whole["attribution"][name] == *value));
                    }
                    (name, value) => prop_assert_eq!(value, &whole[name]),
                }
            }
            prop_assert_eq!(line.contains_key("partial"), text.len() > most);
        }
    }
}
