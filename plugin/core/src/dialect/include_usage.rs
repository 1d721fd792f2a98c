//! Asking for the usage of a stream: `stream_options.include_usage`, written into a Chat Completions request.
//!
//! OpenAI states the usage of a stream only when asked to. The text is patched in place, so that everything else of
//! the request stays as it was written, byte for byte.
//! Must not know: whether the call may be changed; what is done with the answer.

use super::object::{boolean, members};
use crate::frame::raw::Raw;

/// The request with the question added; `None` where it already asks, or is no object.
pub(super) fn ask(json: &str) -> Option<String> {
    let mut options: Option<Raw<'_>> = None;
    let mut is_empty = true;
    let is_object = members(json, |key, value| {
        is_empty = false;
        if key == "stream_options" {
            options = Some(value);
        }
    });
    if !is_object {
        return None;
    }
    let Some(options) = options else {
        return insert(json, json, "\"stream_options\":{\"include_usage\":true}", is_empty);
    };
    let mut asked: Option<Raw<'_>> = None;
    let mut is_empty = true;
    let is_object = members(options.get(), |key, value| {
        is_empty = false;
        if key == "include_usage" {
            asked = Some(value);
        }
    });
    match asked {
        Some(asked) if boolean(asked) == Some(true) => None,
        Some(asked) => replace(json, asked.get(), "true"),
        None if is_object => insert(json, options.get(), "\"include_usage\":true", is_empty),
        None => replace(json, options.get(), "{\"include_usage\":true}"),
    }
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)
}

/// Adds a first member to an object that is a part of the text.
fn insert(text: &str, object: &str, member: &str, is_empty: bool) -> Option<String> {
    let inside = offset(text, object)?.checked_add(object.find('{')?)?.checked_add(1)?;
    let (before, after) = text.split_at_checked(inside)?;
    let comma = if is_empty { "" } else { "," };
    Some(format!("{before}{member}{comma}{after}"))
}

/// Puts other text in the place of a part.
fn replace(text: &str, part: &str, other: &str) -> Option<String> {
    let (before, rest) = text.split_at_checked(offset(text, part)?)?;
    let after = rest.get(part.len()..)?;
    Some(format!("{before}{other}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, patched: Option<&str>) {
        assert_eq!(ask(request).as_deref(), patched, "{request}");
    }

    #[test]
    fn the_question_is_added_and_nothing_else_changes() {
        check(
            r#" { "a":1.50, "b":"\u00e9" }"#,
            Some(r#" {"stream_options":{"include_usage":true}, "a":1.50, "b":"\u00e9" }"#),
        );
        check("{}", Some(r#"{"stream_options":{"include_usage":true}}"#));
        check(r#"{"stream_options":{ "x":1}}"#, Some(r#"{"stream_options":{"include_usage":true, "x":1}}"#));
        check(r#"{"stream_options":{}}"#, Some(r#"{"stream_options":{"include_usage":true}}"#));
    }

    #[test]
    fn a_refusal_to_be_told_is_turned_around() {
        check(
            r#"{"stream_options":{"include_usage":false,"x":2},"n":1}"#,
            Some(r#"{"stream_options":{"include_usage":true,"x":2},"n":1}"#),
        );
        check(r#"{"stream_options":null}"#, Some(r#"{"stream_options":{"include_usage":true}}"#));
    }

    #[test]
    fn who_asks_already_or_speaks_no_object_is_left_alone() {
        check(r#"{"stream_options":{"include_usage":true}}"#, None);
        check("[]", None);
        check("{", None);
    }
}
