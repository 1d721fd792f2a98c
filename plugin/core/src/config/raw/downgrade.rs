//! Downgrades as written: which model may answer in the place of another, and what it can do.
//!
//! Must not know: what the values mean.

use crate::config::decode::{choice, object};
use serde::Serialize;

/// A model that may answer in the place of another, where a limit says `downgrade`: at the same provider, in the same wire
/// format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawDowngrade {
    /// The model that is asked for; `*` at the end matches any rest.
    pub model: String,
    /// Only at this provider; everywhere when absent.
    pub provider: Option<String>,
    /// The model that answers instead.
    pub to: String,
    /// The most output tokens that it can put out. A call that allows more is given so many.
    pub max_output_tokens: u64,
    /// The most input tokens that it can read; a call with more is not downgraded. No bound when absent.
    pub max_input_tokens: Option<u64>,
    /// What it can do. A call that needs anything else is not downgraded.
    pub capabilities: Vec<Capability>,
}

object!(RawDowngrade { model, provider, to, max_output_tokens, max_input_tokens, capabilities });

/// Something that a call may need and not every model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Answers that are streamed.
    Streaming,
    /// Tools.
    Tools,
    /// Answers that follow a schema, or are JSON.
    JsonSchema,
    /// Thinking before it answers, as far as a call asks for it.
    Reasoning,
    /// Images.
    Vision,
    /// Sounds, to hear or to make.
    Audio,
    /// Videos.
    Video,
    /// Documents, given as files.
    Documents,
    /// Searches of the web that the provider runs.
    WebSearch,
}

choice!(Capability: Streaming, Tools, JsonSchema, Reasoning, Vision, Audio, Video, Documents, WebSearch);

impl Capability {
    /// What is said of a call that needs it, where no model may answer instead that has it.
    #[must_use]
    pub const fn lacking(self) -> &'static str {
        match self {
            Self::Streaming => "lacks_streaming",
            Self::Tools => "lacks_tools",
            Self::JsonSchema => "lacks_json_schema",
            Self::Reasoning => "lacks_reasoning",
            Self::Vision => "lacks_vision",
            Self::Audio => "lacks_audio",
            Self::Video => "lacks_video",
            Self::Documents => "lacks_documents",
            Self::WebSearch => "lacks_web_search",
        }
    }
}
