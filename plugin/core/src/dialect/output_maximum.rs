//! The most output tokens that a request allows: where each dialect states it, and a request that allows less.
//!
//! Invariants: a maximum is only ever lowered; one that is no number counts as none.
//! Must not know: why output is limited.

use super::object::count;
use super::{Dialect, splice};

/// Where a maximum may stand. A request may state several; each is lowered.
type Places = &'static [&'static [&'static str]];

const GEMINI: Places = &[
    &["generationConfig", "maxOutputTokens"],
    &["generationConfig", "max_output_tokens"],
    &["generation_config", "maxOutputTokens"],
    &["generation_config", "max_output_tokens"],
];
/// Those of all makers of models; which one a body is of, it does not say.
const INVOKE: Places = &[
    &["max_tokens"],
    &["max_tokens_to_sample"],
    &["max_gen_len"],
    &["maxTokens"],
    &["max_completion_tokens"],
    &["textGenerationConfig", "maxTokenCount"],
    &["inferenceConfig", "maxTokens"],
    &["inferenceConfig", "max_new_tokens"],
];

impl Dialect {
    const fn output_maximums(self) -> Places {
        match self {
            Self::OpenaiChat => &[&["max_completion_tokens"], &["max_tokens"]],
            Self::OpenaiResponses => &[&["max_output_tokens"]],
            Self::OpenaiCompletions | Self::AnthropicMessages | Self::CohereChat | Self::CohereChatV1 => {
                &[&["max_tokens"]]
            }
            Self::BedrockConverse => &[&["inferenceConfig", "maxTokens"]],
            Self::BedrockInvoke => INVOKE,
            Self::Gemini => GEMINI,
            Self::GeminiInteractions => &[&["generation_config", "max_output_tokens"]],
            Self::Ollama => &[&["options", "num_predict"]],
            Self::OpenaiEmbeddings
            | Self::OpenaiImages
            | Self::OpenaiAudio
            | Self::GeminiEmbeddings
            | Self::CohereRetrieval
            | Self::OllamaEmbed
            | Self::Batch(_) => &[],
        }
    }

    /// Whether the output of a request in this dialect can be limited, where it states a maximum or not: Completions without
    /// one put out sixteen tokens at most, and whose Invoke is cannot be told.
    #[must_use]
    pub const fn can_cap_output(self, states_maximum: bool) -> bool {
        match self {
            Self::OpenaiCompletions | Self::BedrockInvoke => states_maximum,
            _ => !self.output_maximums().is_empty(),
        }
    }

    /// A request that allows at most so many output tokens for each answer, otherwise the same byte for byte; `None` where
    /// it has no place for that. `is_openais` where OpenAI's newer name of the maximum is understood.
    #[must_use]
    pub fn capping_output(self, body: &[u8], most: u64, is_openais: bool) -> Option<Vec<u8>> {
        let json = splice::json_of(body)?;
        let most_text = most.to_string();
        let is_stated = |place: &[&str]| splice::get(json, place).iter().any(|value| value.get() != "null");
        if !self.output_maximums().iter().any(|place| is_stated(place)) {
            return splice::set(body, self.place_of_new(json, is_openais)?, &most_text);
        }
        let is_beyond = |place: &[&str]| {
            let stated = splice::get(json, place).into_iter().filter(|value| value.get() != "null");
            stated.map(count).any(|stated| stated.is_none_or(|stated| stated > most))
        };
        let mut beyond = self.output_maximums().iter().filter(|place| is_beyond(place));
        let first = splice::set(body, beyond.next()?, &most_text)?;
        beyond.try_fold(first, |body, place| splice::set(&body, place, &most_text))
    }

    /// Where a maximum is added that is not there.
    fn place_of_new(self, json: &str, is_openais: bool) -> Option<&'static [&'static str]> {
        if !self.can_cap_output(false) {
            return None;
        }
        let places = self.output_maximums();
        match self {
            // Others do not know the newer name; newer models of OpenAI's refuse the older one.
            Self::OpenaiChat if !is_openais => places.last().copied(),
            // Beside what is written in the same spelling.
            Self::Gemini if !splice::get(json, &["generation_config"]).is_empty() => places.last().copied(),
            _ => places.first().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Route;

    fn capped(dialect: Dialect, body: &str) -> Option<String> {
        let capped = dialect.capping_output(body.as_bytes(), 50, true)?;
        Some(String::from_utf8(capped).expect("text"))
    }

    #[test]
    fn a_maximum_is_lowered_wherever_the_dialect_states_it_and_nothing_else_changes() {
        for (dialect, body, expected) in [
            (
                Dialect::OpenaiChat,
                r#"{"max_tokens": 900, "max_completion_tokens":60,"x":1.0}"#,
                r#"{"max_tokens": 50, "max_completion_tokens":50,"x":1.0}"#,
            ),
            (Dialect::OpenaiResponses, r#"{"max_output_tokens":51}"#, r#"{"max_output_tokens":50}"#),
            (Dialect::OpenaiCompletions, r#"{"max_tokens":51}"#, r#"{"max_tokens":50}"#),
            (Dialect::AnthropicMessages, r#"{ "max_tokens" : 51 }"#, r#"{ "max_tokens" : 50 }"#),
            (
                Dialect::BedrockConverse,
                r#"{"inferenceConfig":{"maxTokens":512,"topP":1}}"#,
                r#"{"inferenceConfig":{"maxTokens":50,"topP":1}}"#,
            ),
            (
                Dialect::BedrockInvoke,
                r#"{"textGenerationConfig":{"maxTokenCount":512}}"#,
                r#"{"textGenerationConfig":{"maxTokenCount":50}}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"generation_config":{"maxOutputTokens":99}}"#,
                r#"{"generation_config":{"maxOutputTokens":50}}"#,
            ),
            (
                Dialect::GeminiInteractions,
                r#"{"generation_config":{"max_output_tokens":99}}"#,
                r#"{"generation_config":{"max_output_tokens":50}}"#,
            ),
            (Dialect::CohereChat, r#"{"max_tokens":51}"#, r#"{"max_tokens":50}"#),
            (Dialect::Ollama, r#"{"options":{"num_predict":-1}}"#, r#"{"options":{"num_predict":50}}"#),
        ] {
            assert_eq!(capped(dialect, body).as_deref(), Some(expected), "{dialect:?}");
        }
    }

    #[test]
    fn a_maximum_is_added_where_there_is_none_and_the_dialect_reads_it_back() {
        for dialect in Dialect::ALL {
            let body = r#"{"model":"m"}"#;
            let Some(capped) = capped(dialect, body) else {
                assert!(!dialect.can_cap_output(false), "{dialect:?}");
                continue;
            };
            assert!(dialect.can_cap_output(false), "{dialect:?}");
            let route = Route::of_dialect(dialect, "");
            let request = route.read_request(capped.as_bytes()).expect("a request");
            assert_eq!(request.max_output_tokens, Some(50), "{dialect:?} {capped}");
        }
        let added = |body: &str, is_openais| {
            let capped = Dialect::OpenaiChat.capping_output(body.as_bytes(), 50, is_openais);
            capped.map(|body| String::from_utf8_lossy(&body).into_owned())
        };
        assert_eq!(
            added(r#"{"max_tokens":null}"#, true).as_deref(),
            Some(r#"{"max_completion_tokens":50,"max_tokens":null}"#)
        );
        assert_eq!(added("{}", false).as_deref(), Some(r#"{"max_tokens":50}"#));
        let snake = capped(Dialect::Gemini, r#"{"generation_config":{"temperature":0}}"#);
        assert_eq!(snake.as_deref(), Some(r#"{"generation_config":{"max_output_tokens":50,"temperature":0}}"#));
    }

    #[test]
    fn a_maximum_is_never_raised() {
        for dialect in Dialect::ALL {
            for place in dialect.output_maximums() {
                let body = splice::set(b"{}", place, "20").expect("an object");
                assert_eq!(dialect.capping_output(&body, 50, true), None, "{dialect:?} {place:?}");
            }
        }
    }
}
