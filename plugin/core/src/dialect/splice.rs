//! Changing one member of a request, with everything else left as it was written, byte for byte.
//!
//! Invariants: what comes out is JSON where what went in was; a member that is given several times is changed each
//! time, since readers differ in which one they take.
//! Must not know: what a member means.

use super::object::{is_object, members};
use crate::frame::raw::Raw;

/// A body with the member that a path leads to set to a value, which is JSON; objects on the way are made where there
/// are none. `None` where the body is no object.
pub(super) fn set(body: &[u8], path: &[&str], value: &str) -> Option<Vec<u8>> {
    let json = json_of(body)?;
    let changed = set_in(json, json, path, value)?;
    let before = body.get(..body.len().checked_sub(json.len())?)?;
    Some([before, changed.as_bytes()].concat())
}

/// The text of a body, without the mark that some put before it.
pub(super) fn json_of(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The members that a path leads to, as they are written.
pub(super) fn get<'a>(object: &'a str, path: &[&str]) -> Vec<Raw<'a>> {
    let Some((name, rest)) = path.split_first() else { return Vec::new() };
    let found = all(object, name).map(|(found, _)| found).unwrap_or_default();
    match rest {
        [] => found,
        rest => found.into_iter().flat_map(|inner| get(inner.get(), rest)).collect(),
    }
}

fn set_in(text: &str, object: &str, path: &[&str], value: &str) -> Option<String> {
    let (name, rest) = path.split_first()?;
    let (found, is_empty) = all(object, name)?;
    match (found.last(), rest) {
        (None, rest) => {
            let comma = if is_empty { "" } else { "," };
            insert(text, object, &format!("\"{name}\":{}{comma}", nested(rest, value)))
        }
        (Some(inner), rest @ [_, ..]) if is_object(inner.get()) => set_in(text, inner.get(), rest, value),
        (Some(_), rest) => {
            let value = nested(rest, value);
            // From the last to the first, so that what comes before stays where it is.
            let mut changed = text.to_owned();
            for part in found.iter().rev() {
                let start = offset(text, part.get())?;
                changed.replace_range(start..start.checked_add(part.get().len())?, &value);
            }
            Some(changed)
        }
    }
}

/// Every member of a name, and whether the object has no members at all; `None` where it is none.
fn all<'a>(object: &'a str, name: &str) -> Option<(Vec<Raw<'a>>, bool)> {
    let (mut found, mut is_empty) = (Vec::new(), true);
    let is_object = members(object, |key, value| {
        is_empty = false;
        if key == name {
            found.push(value);
        }
    });
    is_object.then_some((found, is_empty))
}

/// A value within as many objects as a path names.
fn nested(path: &[&str], value: &str) -> String {
    path.iter().rev().fold(value.to_owned(), |value, name| format!("{{\"{name}\":{value}}}"))
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)
}

/// Adds text behind the opening brace of an object that is a part of the text.
fn insert(text: &str, object: &str, added: &str) -> Option<String> {
    let inside = offset(text, object)?.checked_add(object.find('{')?)?.checked_add(1)?;
    let (before, after) = text.split_at_checked(inside)?;
    Some([before, added, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn check(body: &str, path: &[&str], changed: Option<&str>) {
        let set = set(body.as_bytes(), path, "7");
        assert_eq!(set.as_deref().map(String::from_utf8_lossy).as_deref(), changed, "{body} {path:?}");
    }

    #[test]
    fn a_member_is_set_wherever_it_is_and_nothing_else_changes() {
        let body = r#" { "a":1.50, "b" : {"x":null, "y":[1]}, "c":"\u00e9" }"#;
        check(body, &["a"], Some(r#" { "a":7, "b" : {"x":null, "y":[1]}, "c":"\u00e9" }"#));
        check(body, &["b", "x"], Some(r#" { "a":1.50, "b" : {"x":7, "y":[1]}, "c":"\u00e9" }"#));
        check(body, &["b", "z"], Some(r#" { "a":1.50, "b" : {"z":7,"x":null, "y":[1]}, "c":"\u00e9" }"#));
        check(body, &["d", "e"], Some(r#" {"d":{"e":7}, "a":1.50, "b" : {"x":null, "y":[1]}, "c":"\u00e9" }"#));
        check("{}", &["a"], Some(r#"{"a":7}"#));
        check(r#"{"a":{}}"#, &["a", "b"], Some(r#"{"a":{"b":7}}"#));
        check(r#"{"a":null}"#, &["a", "b"], Some(r#"{"a":{"b":7}}"#));
        check("\u{feff}{\"a\":1}", &["a"], Some("\u{feff}{\"a\":7}"));
    }

    #[test]
    fn a_member_that_is_given_twice_is_set_twice_however_it_is_spelled() {
        check(r#"{"max":1, "m\u0061x":99,"b":2}"#, &["max"], Some(r#"{"max":7, "m\u0061x":7,"b":2}"#));
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for body in ["[]", "{", "7", "", "{\"a\":}"] {
            check(body, &["a"], None);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<u32>().prop_map(Value::from), "\\PC{0,6}".prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]|\\PC{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_set_reads_back_and_all_else_is_as_before(
            mut before in prop::collection::btree_map("[abc]|\\PC{0,3}", value(), 0..4),
            path in prop::collection::vec("[abc]", 1..4),
        ) {
            before.entry("a".to_owned()).or_insert(json!({"b": 1}));
            let body = json!(before);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let changed = set(body.to_string().as_bytes(), &path, "7").expect("an object");
            let changed: Value = serde_json::from_slice(&changed).expect("JSON");
            let mut expected = body;
            let mut place = &mut expected;
            for name in &path {
                if !place.is_object() {
                    *place = json!({});
                }
                place = place.as_object_mut().unwrap().entry(*name).or_insert(json!(null));
            }
            *place = json!(7);
            prop_assert_eq!(changed, expected);
        }
    }
}
