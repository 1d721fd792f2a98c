//! The event in a line of a log, wherever a gateway wrote it, or why there is none.
//!
//! Known are the event itself, a JSON line that carries it as `tollgate_event` (Envoy's access log, the loggers of Kong and
//! APISIX), and a line with `tollgate event {...}`, whatever stands around it.
//! Must not know: which gateway wrote it, what an event says.

use crate::names::{EVENT_LOG_PREFIX, EVENT_SCHEMA};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Why a line that should hold an event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoggedError {
    /// It was cut, or is no JSON; with the column.
    #[error("broken JSON: {0}")]
    Broken(String),
    /// Its fields may mean something else.
    #[error("an event of another schema, `{0}`; known is `{EVENT_SCHEMA}`")]
    OtherSchema(String),
}

/// What tells an event, or what carries it, from other JSON.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, default)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tollgate_event: Option<&'a RawValue>,
}

/// The JSON of the event in a line; `None` where the line is about something else.
///
/// # Errors
/// [`LoggedError`] where the line begins like an event and is none.
pub fn event(line: &str) -> Result<Option<Cow<'_, str>>, LoggedError> {
    let (text, is_logged) = match line.split_once(EVENT_LOG_PREFIX) {
        // A JSON line may hold these words anywhere.
        Some((before, logged)) if !before.trim_start().starts_with('{') => (logged, true),
        _ => (line.trim(), false),
    };
    if !text.starts_with('{') {
        return Ok(None);
    }
    // Behind an event, a gateway's log line may go on.
    let json = if is_logged { first_value(text)? } else { text };
    let outline: Outline<'_> = serde_json::from_str(json).map_err(|why| broken(&why))?;
    match (outline.schema, outline.tollgate_event) {
        (Some(schema), _) if schema == EVENT_SCHEMA => Ok(Some(Cow::Borrowed(json))),
        (Some(schema), None) if schema.starts_with("tollgate.event/") => {
            Err(LoggedError::OtherSchema(schema.into_owned()))
        }
        (_, Some(carried)) => carried_event(carried.get()),
        _ => Ok(None),
    }
}

/// The event that another line carries, as an object or as text that holds one.
fn carried_event(carried: &str) -> Result<Option<Cow<'_, str>>, LoggedError> {
    if carried.starts_with('{') {
        return event(carried);
    }
    let Ok(text) = serde_json::from_str::<String>(carried) else { return Ok(None) };
    Ok(event(&text)?.map(|json| Cow::Owned(json.into_owned())))
}

fn first_value(text: &str) -> Result<&str, LoggedError> {
    let first = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().next();
    match first {
        Some(Ok(value)) => Ok(value.get()),
        Some(Err(why)) => Err(broken(&why)),
        None => Err(LoggedError::Broken("nothing follows".to_owned())),
    }
}

fn broken(why: &serde_json::Error) -> LoggedError {
    LoggedError::Broken(in_column(why))
}

/// What is wrong with the JSON of one line, and in which column: every line is a line 1 to its parser.
#[must_use]
pub fn in_column(why: &serde_json::Error) -> String {
    why.to_string().replace(" at line 1 column ", ", in column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(line: &str) -> Option<String> {
        let json = event(line).unwrap()?;
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        value["id"].as_str().map(str::to_owned)
    }

    #[test]
    fn an_event_is_found_wherever_gateways_write_it() {
        for (line, expected) in [
            (r#"{"schema":"tollgate.event/1","id":"itself"}"#, Some("itself")),
            (
                r#"{"status":200,"tollgate_event":"{\"schema\":\"tollgate.event/1\",\"id\":\"in text\"}"}"#,
                Some("in text"),
            ),
            (r#"{"tollgate_event":{"schema":"tollgate.event/1","id":"in an object"}}"#, Some("in an object")),
            (r#"[info] wasm log: tollgate event {"schema":"tollgate.event/1","id":"envoy"}"#, Some("envoy")),
            (
                r#"7#7: *3 tollgate event {"schema":"tollgate.event/1","id":"kong"}, client: 127.0.0.1, request: "{""#,
                Some("kong"),
            ),
            (r#"{"status":404,"tollgate_event":null}"#, None),
            (r#"{"status":404,"path":"/tollgate event {"}"#, None),
            (r#"{"schema":"other/1"}"#, None),
            ("a line of text", None),
            ("", None),
        ] {
            assert_eq!(id(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_cut_or_of_another_schema_says_so() {
        let error = |line| event(line).unwrap_err().to_string();
        let cut = error(r#"{"schema":"tollgate.event/1","id":"cu"#);
        assert_eq!(cut, "broken JSON: EOF while parsing a string, in column 37");
        assert!(error("tollgate event {\"schema\":").starts_with("broken JSON"));
        assert!(error(r#"{"tollgate_event":"{\"schema\":1"}"#).starts_with("broken JSON"));
        assert!(error(r#"{"schema":"tollgate.event/2"}"#).contains("`tollgate.event/2`"));
    }
}
