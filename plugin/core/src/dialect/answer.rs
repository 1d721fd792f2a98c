//! What a response says: its usage, in parts, and everything beside it.
//!
//! Invariants: bounded text, whatever is delivered.
//! Must not know: single wire formats.

use crate::frame::json::Value;
use crate::usage::Usage;
use std::borrow::Cow;

/// A share of a call's usage that one model consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePart {
    /// The model of this part, where it is not the call's.
    pub model: Option<String>,
    /// What it consumed.
    pub usage: Usage,
}

/// What the provider said went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// The provider's name for the error (`rate_limit_error`, `invalid_request_error`): its type, else its code.
    pub kind: Option<String>,
    /// The name is a type, which a code does not replace.
    is_type: bool,
}

/// What a response said besides its usage.
#[derive(Debug, Default)]
pub struct Answer {
    /// The provider's id of the response.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The tier the call was processed in.
    pub service_tier: Option<String>,
    /// The processing speed (Anthropic `speed`).
    pub speed: Option<String>,
    /// The region the inference was bound to (Anthropic `inference_geo`).
    pub inference_geo: Option<String>,
    /// How much of the web was searched (Perplexity `search_context_size`).
    pub search_context_size: Option<String>,
    /// Why generation stopped.
    pub finish_reason: Option<String>,
    /// The response said by itself that it is over.
    pub terminal: bool,
    /// Pictures that were made.
    pub images: u64,
    /// How long a recording was that was listened to, in seconds, rounded up.
    pub audio_seconds: Option<u64>,
    /// The response is made without a client that waits for it, so its usage may be told to a later request.
    pub is_background: bool,
    /// The file that a batch's results are in.
    pub output_file: Option<String>,
    /// An error, in the body of any status.
    pub error: Option<ProviderError>,
    /// Names of the tools the model called, each once.
    pub tools_called: Vec<String>,
    /// The output as text, for counting where the provider reports no usage.
    pub delivered: Delivered,
}

impl Answer {
    /// Notes that the provider reports an error.
    pub(super) fn fails(&mut self) {
        self.error.get_or_insert_default();
    }

    /// Notes that the provider reports an error of this type.
    pub(super) fn fails_with(&mut self, kind: &str) {
        self.fails();
        self.error_type(Value::Text(kind));
    }

    /// Notes an error's type.
    pub(super) fn error_type(&mut self, value: Value<'_>) {
        if let Some(error) = &mut self.error {
            note(&mut error.kind, value);
            error.is_type |= value.text().is_some();
        }
    }

    /// Notes an error's code, a text or a number, which names the error only where no type does.
    pub(super) fn error_code(&mut self, value: Value<'_>) {
        if let Some(error) = self.error.as_mut().filter(|error| !error.is_type) {
            let value = if let Value::Number(code) = value { Value::Text(code) } else { value };
            note(&mut error.kind, value);
        }
    }

    /// Notes a tool call.
    pub(super) fn called(&mut self, tool: &str) {
        if self.tools_called.len() < TOOLS_CALLED_MAX && !self.tools_called.iter().any(|known| known == tool) {
            self.tools_called.push(tool.to_owned());
        }
    }
}

/// More tools than any model calls in one response.
const TOOLS_CALLED_MAX: usize = 128;

/// Sets a text field of an [`Answer`]; values that are no text, or empty (Azure's first chunk), leave it.
pub(super) fn note(field: &mut Option<String>, value: Value<'_>) {
    if let Some(text) = value.text().filter(|text| !text.is_empty())
        && field.as_deref() != Some(text)
    {
        *field = Some(text.to_owned());
    }
}

/// Output text as it was delivered, kept up to a bound.
#[derive(Debug, Default)]
pub struct Delivered {
    text: Vec<u8>,
    beyond: u64,
    characters: u64,
}

impl Delivered {
    /// How much text is kept; what lies beyond is only measured.
    pub const KEPT_MAX: usize = 256 * 1024;

    pub(super) fn push(&mut self, fragment: &[u8]) {
        let room = Self::KEPT_MAX.saturating_sub(self.text.len());
        let (kept, beyond) = fragment.split_at_checked(room).unwrap_or((fragment, &[]));
        self.text.extend_from_slice(kept);
        self.beyond = self.beyond.saturating_add(u64::try_from(beyond.len()).unwrap_or(u64::MAX));
        // Every character has one byte that is no continuation, so fragments may cut characters.
        let characters = fragment.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        self.characters = self.characters.saturating_add(u64::try_from(characters).unwrap_or(u64::MAX));
    }

    /// Characters delivered, kept or not.
    #[must_use]
    pub const fn characters(&self) -> u64 {
        self.characters
    }

    /// The text that is kept.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Bytes delivered beyond the text that is kept.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Nothing was delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}
