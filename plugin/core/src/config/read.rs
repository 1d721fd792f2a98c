//! From text to the configuration as written, with every mistake found, not only the first.
//!
//! The value is decoded again and again: each mistake is noted with its path, taken out, and the rest decoded,
//! until nothing is left to complain about. So one set of types serves decoding, schema and error messages.
//! Must not know: what the values mean.

use super::decode::{Step, decode};
use super::raw::RawConfig;
use serde_json::Value;
use std::fmt;

/// A mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where: `limits[2].measure`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "configuration" } else { &self.path };
        write!(f, "{path}: {}; {}", self.problem, self.hint)
    }
}

/// More mistakes than anyone wants to read at once.
const ERRORS_MAX: usize = 100;

/// The configuration as written, without its mistaken parts.
pub(super) struct Written {
    pub(super) config: RawConfig,
    pub(super) errors: Vec<ConfigError>,
    removed: Vec<Place>,
}

impl Written {
    /// The path of an item of a list at the top, by its index among the items that are left.
    pub(super) fn item(&self, list: &str, index: usize) -> String {
        Place(vec![Step::Key(list.to_owned()), Step::Index(index)]).as_written(&self.removed)
    }
}

/// Decodes JSON, leaving out what is mistaken and noting it.
pub(super) fn read(json: &[u8]) -> Written {
    // A gateway passes no configuration at all as no bytes.
    let json = if json.trim_ascii().is_empty() { b"{}" } else { json };
    let mut value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(error) => {
            let hint = format!("correct the syntax at line {}, column {}", error.line(), error.column());
            let errors = vec![ConfigError { path: String::new(), problem: error.to_string(), hint }];
            return Written { config: RawConfig::default(), errors, removed: Vec::new() };
        }
    };
    let mut errors = Vec::new();
    let mut removed = Vec::new();
    while errors.len() < ERRORS_MAX {
        let mistake = match decode(&value) {
            Ok(config) => return Written { config, errors, removed },
            Err(mistake) => mistake,
        };
        let (error, place) = (mistake.to_string(), Place(mistake.place()));
        // Lua, in which Kong and APISIX write the configuration anew, does not tell an empty list from an empty object.
        if error.contains("invalid type: map, expected a sequence") && place.make_list(&mut value) {
            continue;
        }
        errors.push(ConfigError { path: place.as_written(&removed), problem: problem(&error), hint: hint(&error) });
        if !place.take_out(&mut value) {
            break;
        }
        removed.push(place);
    }
    Written { config: RawConfig::default(), errors, removed }
}

/// serde's message without the list of alternatives, which the hint gives.
fn problem(error: &str) -> String {
    error.split(", expected").next().unwrap_or(error).to_owned()
}

#[inline(never)]
fn hint(error: &str) -> String {
    let Some((problem, expected)) = error.split_once(", expected ") else {
        return "see `tollgate schema` for the fields and their types".to_owned();
    };
    let wrong = problem.split('`').nth(1).unwrap_or_default();
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.map(|name| (strsim::levenshtein(name, wrong), name)).min_by_key(|(distance, _)| *distance);
    match nearest.filter(|(distance, name)| *distance <= name.len().max(wrong.len()).div_ceil(3)) {
        Some((_, meant)) => format!("did you mean `{meant}`?"),
        None => format!("expected {expected}"),
    }
}

fn follow<'v>(way: &[Step], value: &'v mut Value) -> Option<&'v mut Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(*index),
    })
}

/// A place in the value as it is now, with earlier mistakes already taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place(Vec<Step>);

impl Place {
    /// Removes what is there from `value`; `false` when nothing is.
    #[inline(never)]
    fn take_out(&self, value: &mut Value) -> bool {
        let Some((last, way)) = self.0.split_last() else { return false };
        match (follow(way, value), last) {
            (Some(Value::Object(object)), Step::Key(key)) => object.remove(key).is_some(),
            (Some(Value::Array(array)), Step::Index(index)) if *index < array.len() => {
                array.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// Makes an empty list of an empty object; `false` when there is none.
    fn make_list(&self, value: &mut Value) -> bool {
        let found = follow(&self.0, value);
        let Some(found) = found.filter(|found| found.as_object().is_some_and(serde_json::Map::is_empty)) else {
            return false;
        };
        *found = Value::Array(Vec::new());
        true
    }

    /// The place in the text: indices behind removed items count those items again.
    fn as_written(&self, removed: &[Self]) -> String {
        let mut steps = self.0.clone();
        for earlier in removed.iter().rev() {
            let Some((Step::Index(gone), way)) = earlier.0.split_last() else { continue };
            if !steps.starts_with(way) {
                continue;
            }
            if let Some(Step::Index(index)) = steps.get_mut(way.len())
                && *index >= *gone
            {
                *index = index.saturating_add(1);
            }
        }
        let mut text = String::new();
        for step in &steps {
            match step {
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.push_str(&format!(".{key}")),
            }
        }
        text
    }
}
