//! The ways a provider fails, selectable per request with the header `x-standin-failure`.
//!
//! | value | what happens |
//! |---|---|
//! | `status-500`, `status-429`, `status-529`, ... | that status with the provider's error body (429 and 529 with `retry-after`) |
//! | `reset` | the connection is cut in the middle of the body |
//! | `error-event` | status 200, then an error event where the stream should end |
//! | `slow` | 200 ms between events |
//! | `truncated` | the body ends early but properly: half the JSON, or no final events |
//! | `endless` | the stream never ends, until the client goes away |
//!
//! Must not know: what a correct answer looks like inside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Dialect;
use super::wire::Event;
use crate::loopback::{Body, Ending, Reply};

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error status.
    Status(u16),
    /// The connection breaks.
    Reset,
    /// An error inside a stream that began well.
    ErrorEvent,
    /// Everything arrives, late.
    Slow,
    /// Properly ended, incomplete.
    Truncated,
    /// No end.
    Endless,
}

impl Failure {
    /// Reads the header's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "reset" => Some(Self::Reset),
            "error-event" => Some(Self::ErrorEvent),
            "slow" => Some(Self::Slow),
            "truncated" => Some(Self::Truncated),
            "endless" => Some(Self::Endless),
            other => other.strip_prefix("status-").and_then(|status| status.parse().ok()).map(Self::Status),
        }
    }
}

/// An error answer in the provider's shape.
#[must_use]
pub fn refusal(dialect: Dialect, status: u16, message: &str) -> Reply {
    let kind = kind(dialect, status);
    let body = match dialect {
        Dialect::Anthropic => {
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_standin"})
        }
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            let code = if status == 429 { json!("rate_limit_exceeded") } else { Value::Null };
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        }
    };
    let reply = Reply::whole(status, "application/json", body.to_string());
    if matches!(status, 429 | 529) { reply.with_header("retry-after", "2") } else { reply }
}

fn kind(dialect: Dialect, status: u16) -> &'static str {
    match (dialect, status) {
        (Dialect::Anthropic, 429) => "rate_limit_error",
        (Dialect::Anthropic, 529) => "overloaded_error",
        (Dialect::Anthropic, 500..) => "api_error",
        (_, 429) => "requests",
        (_, 500..) => "server_error",
        _ => "invalid_request_error",
    }
}

/// A streamed answer, failing as told.
#[must_use]
pub fn stream(dialect: Dialect, events: Vec<Event>, failure: Option<Failure>, pace: Option<Duration>) -> Reply {
    let slow = Duration::from_millis(200);
    let pace = pace.unwrap_or(if failure == Some(Failure::Slow) { slow } else { Duration::ZERO });
    let half = events.len() / 2;
    let mut pieces: Vec<Vec<u8>> = events.iter().map(Event::bytes).collect();
    let mut ending = Ending::Clean;
    match failure {
        Some(Failure::Reset) => {
            pieces.truncate(half);
            ending = Ending::Cut;
        }
        Some(Failure::Truncated) => pieces.truncate(half),
        Some(Failure::ErrorEvent) => {
            pieces.truncate(half);
            pieces.push(error_event(dialect).bytes());
        }
        Some(Failure::Endless) => {
            ending = Ending::Repeat(pieces.get(half).cloned().unwrap_or_default());
            pieces.truncate(half);
        }
        Some(Failure::Slow | Failure::Status(_)) | None => {}
    }
    Reply {
        status: 200,
        headers: vec![
            ("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()),
            ("cache-control".to_owned(), "no-cache".to_owned()),
        ],
        body: Body::Pieces { pieces, pace, ending },
        delivered: Arc::default(),
    }
}

/// A JSON answer, failing as told.
#[must_use]
pub fn whole(dialect: Dialect, body: &Value, failure: Option<Failure>) -> Reply {
    let bytes = body.to_string().into_bytes();
    let half = bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec();
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let in_pieces = |pieces, pace, ending| Reply {
        status: 200,
        headers: headers.clone(),
        body: Body::Pieces { pieces, pace, ending },
        delivered: Arc::default(),
    };
    match failure {
        Some(Failure::Reset) => in_pieces(vec![half], Duration::ZERO, Ending::Cut),
        Some(Failure::Truncated) => Reply::whole(200, "application/json", half),
        Some(Failure::Slow) => {
            let rest = bytes.get(half.len()..).unwrap_or_default().to_vec();
            in_pieces(vec![half, rest], Duration::from_millis(500), Ending::Clean)
        }
        Some(Failure::Endless) => in_pieces(vec![half], Duration::from_millis(20), Ending::Repeat(b" ".to_vec())),
        Some(Failure::ErrorEvent) => {
            let mut reply = refusal(dialect, 500, "The stand-in was told to fail.");
            reply.status = 200;
            reply
        }
        Some(Failure::Status(_)) | None => Reply::whole(200, "application/json", bytes),
    }
}

fn error_event(dialect: Dialect) -> Event {
    let message = "The stand-in was told to fail inside the stream.";
    match dialect {
        Dialect::OpenAiChat => {
            Event::unnamed(&json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}}))
        }
        Dialect::OpenAiResponses => Event::typed(
            &json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 99}),
        ),
        Dialect::Anthropic => {
            Event::typed(&json!({"type": "error", "error": {"type": "overloaded_error", "message": message}}))
        }
    }
}
