//! Asking for the usage of a stream: `stream_options.include_usage`, written into a Chat Completions request.
//!
//! OpenAI states the usage of a stream only when asked to. The text is patched in place, so that everything else of
//! the request stays as it was written, byte for byte.
//! Must not know: whether the call may be changed; what is done with the answer.

use super::splice;

const ASKED: [&str; 2] = ["stream_options", "include_usage"];

/// The request with the question added; `None` where it already asks, or is no object.
pub(super) fn ask(body: &[u8]) -> Option<Vec<u8>> {
    let asked = splice::json_of(body).and_then(|json| splice::get(json, &ASKED).last().copied());
    match asked {
        Some(asked) if asked.get() == "true" => None,
        _ => splice::set(body, &ASKED, "true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, patched: Option<&str>) {
        let asking = ask(request.as_bytes());
        assert_eq!(asking.as_deref().map(String::from_utf8_lossy).as_deref(), patched, "{request}");
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
