//! What a request's body looks like: a look at the names on its first level.
//!
//! Where other traffic has the same paths, this tells an LLM call from it: a model is named, and there is something
//! for it to read. Names are taken without case, as servers written in Go do.
//! Invariants: one pass over the body, nothing of it kept.
//! Must not know: what the fields mean.

use super::Dialect;
use super::object::{members, string};
use crate::frame::raw::Raw;

/// Names that tell, each with its bit in [`Shape`].
const NAMES: [&str; 24] = [
    "model",
    "messages",
    "prompt",
    "input",
    "contents",
    "message",
    "texts",
    "inputs",
    "query",
    "documents",
    "images",
    "content",
    "requests",
    "instances",
    "inputText",
    "instructions",
    "previous_response_id",
    "conversation",
    "system",
    "max_tokens",
    "max_output_tokens",
    "tools",
    "stream",
    "stream_options",
];

/// The names that a body has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    names: u32,
    /// `model` is a text.
    names_model: bool,
    embeds: bool,
}

/// Whether a name is one of these but for its case, so that servers disagree on which field it is.
pub(super) fn is_ambiguous(key: &str) -> bool {
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(key) && *name != key)
}

impl Shape {
    /// The shape of a JSON object; `None` for any other text.
    pub(super) fn of(json: &str) -> Option<Self> {
        let mut shape = Self::default();
        members(json, |key, value| shape.note(&key, value)).then_some(shape)
    }

    fn note(&mut self, key: &str, value: Raw<'_>) {
        let Some(index) = NAMES.iter().position(|name| name.eq_ignore_ascii_case(key)) else { return };
        self.names |= 1 << index;
        if index == 0 {
            let model = string(value).filter(|model| !model.is_empty());
            self.names_model = model.is_some();
            self.embeds = model.is_some_and(|model| model.to_ascii_lowercase().contains("embed"));
        }
    }

    fn has(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_some_and(|index| self.names & (1 << index) != 0)
    }

    fn has_any(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// Whether a request in a dialect looks like this; the model may be `named` elsewhere.
    pub(super) fn fits(self, dialect: Dialect, is_model_named: bool) -> bool {
        (self.names_model || is_model_named) && self.has_any(dialect.prompt_names())
    }

    /// The dialect of a body whose path tells none.
    pub(super) fn dialect(self) -> Option<Dialect> {
        const OF_RESPONSES: [&str; 6] =
            ["instructions", "previous_response_id", "conversation", "max_output_tokens", "tools", "stream"];
        match self {
            _ if !self.names_model && !self.has("contents") => None,
            _ if self.has("messages") && self.has("system") && self.has("max_tokens") => {
                Some(Dialect::AnthropicMessages)
            }
            _ if self.has("messages") => Some(Dialect::OpenaiChat),
            _ if self.has("contents") => Some(Dialect::Gemini),
            _ if self.has("input") && self.embeds && !self.has_any(&OF_RESPONSES) => Some(Dialect::OpenaiEmbeddings),
            _ if self.has("input") => Some(Dialect::OpenaiResponses),
            _ if self.has("prompt") => Some(Dialect::OpenaiCompletions),
            _ => None,
        }
    }
}

impl Dialect {
    /// The fields that hold what the model reads.
    const fn prompt_names(self) -> &'static [&'static str] {
        match self {
            Self::OpenaiChat | Self::AnthropicMessages | Self::BedrockConverse | Self::CohereChat => &["messages"],
            Self::OpenaiResponses => &["input", "prompt", "previous_response_id", "conversation"],
            Self::OpenaiCompletions | Self::OpenaiImages => &["prompt"],
            Self::Gemini => &["contents"],
            Self::GeminiEmbeddings => &["content", "requests", "instances"],
            Self::GeminiInteractions | Self::OpenaiAudio => &["input"],
            // Known by its path alone.
            Self::Batch(_) => &[],
            Self::CohereChatV1 => &["message"],
            Self::Ollama => &["messages", "prompt"],
            Self::BedrockInvoke => &["messages", "prompt", "inputText", "message", "texts", "input"],
            Self::OpenaiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => {
                &["input", "inputs", "texts", "images", "prompt", "query"]
            }
        }
    }
}

/// Whether bytes that are no JSON may still be a call to a lenient server: in UTF-16, with comments, in single quotes.
/// They are where an object begins that has both names in it.
pub(super) fn may_be(dialect: Dialect, body: &[u8]) -> bool {
    let words = plain(body);
    let has = |word: &str| memchr::memmem::find(&words, word.to_ascii_lowercase().as_bytes()).is_some();
    has("{") && has("model") && dialect.prompt_names().iter().any(|name| has(name))
}

/// Whether bytes at the beginning of a body can be those of a call: an object, in some encoding or behind comments.
/// `None` while there is only white space.
pub(super) fn may_begin(body: &[u8]) -> Option<bool> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
    // Byte order marks and the zeros of wide characters; compressed bodies begin with anything.
    Some(matches!(first, b'{' | b'/' | b'#' | 0 | 0xEF | 0xFE | 0xFF))
}

/// The letters of a text in whatever encoding: in lower case, without the zeros of wide characters, unescaped.
fn plain(body: &[u8]) -> Vec<u8> {
    let mut letters = Vec::with_capacity(body.len());
    let mut rest = body.iter().copied().filter(|byte| *byte != 0);
    while let Some(byte) = rest.next() {
        letters.push(byte.to_ascii_lowercase());
        // `\u00XX`, as far as it is ASCII.
        if let [.., b'\\', b'u'] = letters.as_slice() {
            let mut code: u32 = 0;
            for digit in rest.by_ref().take(4) {
                code = (code << 4) | char::from(digit).to_digit(16).unwrap_or(0);
            }
            let kept = letters.len().saturating_sub(2);
            letters.truncate(kept);
            letters.push(u8::try_from(code).unwrap_or(b'?').to_ascii_lowercase());
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(dialect: Dialect, json: &str) -> bool {
        Shape::of(json).is_some_and(|shape| shape.fits(dialect, false))
    }

    #[test]
    fn a_call_names_a_model_and_has_something_to_read() {
        for (dialect, json, is_call) in [
            (Dialect::Ollama, r#"{"model":"llama3.2","messages":[]}"#, true),
            (Dialect::Ollama, r#"{"mod\u0065l":"llama3.2","prompt":"x"}"#, true),
            (Dialect::Ollama, r#"{"Model":"llama3.2","PROMPT":"x"}"#, true),
            (Dialect::Ollama, r#"{"text":"hello","room":7}"#, false),
            (Dialect::Ollama, r#"{"messages":["hello"]}"#, false),
            (Dialect::Ollama, r#"{"model":"llama3.2"}"#, false),
            (Dialect::Ollama, r#"{"model":7,"prompt":"x"}"#, false),
            (Dialect::AnthropicMessages, r#"{"to":"+1","messages":["hi"]}"#, false),
            (Dialect::OpenaiResponses, r#"{"survey":1,"input":"yes"}"#, false),
            (Dialect::OpenaiCompletions, r#"{"query":"shoes"}"#, false),
            (Dialect::Ollama, r#"[{"model":"m","prompt":"x"}]"#, false),
        ] {
            assert_eq!(fits(dialect, json), is_call, "{dialect:?} {json}");
        }
    }

    #[test]
    fn a_name_in_another_case_is_ambiguous() {
        assert!(is_ambiguous("Messages") && is_ambiguous("inputtext"));
        assert!(!is_ambiguous("messages") && !is_ambiguous("X") && !is_ambiguous("metadata"));
    }

    #[test]
    fn a_body_tells_its_dialect_where_the_path_does_not() {
        for (json, dialect) in [
            (r#"{"model":"m","messages":[]}"#, Some(Dialect::OpenaiChat)),
            (r#"{"model":"m","max_tokens":9,"system":"s","messages":[]}"#, Some(Dialect::AnthropicMessages)),
            (r#"{"contents":[]}"#, Some(Dialect::Gemini)),
            (r#"{"model":"text-embedding-3","input":"x"}"#, Some(Dialect::OpenaiEmbeddings)),
            (r#"{"model":"m","input":"x"}"#, Some(Dialect::OpenaiResponses)),
            (r#"{"model":"m","prompt":"x"}"#, Some(Dialect::OpenaiCompletions)),
            (r#"{"messages":[]}"#, None),
            (r#"{"model":"m"}"#, None),
        ] {
            assert_eq!(Shape::of(json).and_then(Shape::dialect), dialect, "{json}");
        }
    }

    #[test]
    fn what_a_lenient_server_may_read_may_be_a_call() {
        let wide: Vec<u8> = r#"{"model":"m","prompt":"x"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bodies: [(&[u8], bool); 6] = [
            (b"{'model':'m','prompt':'x'}", true),
            (b"// c\n{\"model\":\"m\",\"prompt\":\"x\",}", true),
            (b"{\"\\u006dodel\":\"m\",\"pr\\u006Fmpt\":\"x\",}", true),
            (&wide, true),
            (b"model=m&prompt=x", false),
            (b"{\"text\":\"hello\",}", false),
        ];
        for (body, is_call) in bodies {
            assert_eq!(may_be(Dialect::Ollama, body), is_call, "{}", String::from_utf8_lossy(body));
            assert!(!is_call || may_begin(body) == Some(true));
        }
        assert_eq!((may_begin(b" \n"), may_begin(b"--boundary"), may_begin(b"<x>")), (None, Some(false), Some(false)));
    }
}
