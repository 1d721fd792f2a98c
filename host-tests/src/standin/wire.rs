//! What the three dialects have in common on the wire: events of a stream, pieces of text, ids.
//!
//! Must not know: any one dialect's fields.

use serde_json::Value;

use super::{Answer, Dialect, Question, Truth};

/// Everything a dialect needs to write an answer.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// What is answered.
    pub answer: &'a Answer,
    /// What is billed.
    pub truth: &'a Truth,
    /// Whether the output cap ended the answer.
    pub stopped_by_cap: bool,
    /// A number that makes ids unique.
    pub id: &'a str,
}

/// One server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `event:` line, where the dialect has one.
    pub name: Option<String>,
    /// The `data:` line.
    pub data: String,
}

impl Event {
    /// An event with only data.
    #[must_use]
    pub fn unnamed(data: &Value) -> Self {
        Self { name: None, data: data.to_string() }
    }

    /// An event named like the `type` of its data.
    #[must_use]
    pub fn typed(data: &Value) -> Self {
        let name = data.get("type").and_then(Value::as_str).map(str::to_owned);
        Self { name, data: data.to_string() }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let name = self.name.as_ref().map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {}\n\n", self.data).into_bytes()
    }
}

/// A text in the pieces a stream sends it in: a few words each.
#[must_use]
pub fn pieces(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    words.chunks(3).map(<[&str]>::concat).collect()
}

/// The creation time every answer states; fixed, so that answers are the same on every run.
pub const CREATED: u64 = 1_790_000_000;

/// The response header that carries the request's id.
#[must_use]
pub fn request_id_header(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Anthropic) => "request-id",
        _ => "x-request-id",
    }
}

/// Whatever text a message's `content` holds: a string, or blocks with `text`.
#[must_use]
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(|block| text_of(&block["text"])).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}
