//! Envoy's own filter for LLM traffic, `ai_protocol_manager` (work in progress in 1.40), to compare with.
//!
//! It publishes what it read as a typed message, `envoy.data.ai.v3.TokenUsage`, which an access log shows by CEL, as
//! protobuf text. Must not know: what the figures should be.

use serde_json::{Value, json};

/// The field of the access log that holds the message.
const FIELD: &str = "native_usage";

/// What it read of an answer. Input includes what a cache served or took, output what was thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// All output tokens.
    pub output: u64,
    /// Of the input, read from a cache.
    pub cache_read: u64,
    /// Of the input, written to a cache.
    pub cache_write: u64,
}

/// The filter, reading requests and answers of all routes.
#[must_use]
pub fn filter() -> Value {
    json!({
        "name": "envoy.filters.http.ai_protocol_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ai_protocol_manager.v3.AiProtocolManager",
            "request_handling": {"parse_unconfigured_routes": true},
            "response_handling": {"token_usage": {"include_unconfigured_routes": true}}
        }
    })
}

/// The field that the access log needs for [`usage`], with its format.
#[must_use]
pub fn log_field() -> (String, String) {
    (FIELD.to_owned(), "%CEL(metadata.typed_filter_metadata['envoy.ai.token_usage'])%".to_owned())
}

/// What it read, from a line of the access log; `None` where it published no counts.
#[must_use]
pub fn usage(line: &Value) -> Option<Usage> {
    let message: Vec<&str> = line.get(FIELD)?.as_str()?.split_whitespace().collect();
    // A count is written `name { value: 5 }`, nought is `name { }`, and one that is not known is absent.
    let count = |name: &str| {
        let at = message.iter().position(|word| *word == name)?;
        Some(message.get(at.saturating_add(3)).and_then(|value| value.parse().ok()).unwrap_or(0))
    };
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    input.or(output)?;
    Some(Usage {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        cache_read: count("cached_tokens").unwrap_or(0),
        cache_write: count("cache_creation_tokens").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_an_absent_one_is_none() {
        let line = |message: &str| json!({ FIELD: message });
        let message = "llm_protocol: ANTHROPIC_MESSAGES  input_tokens { value: 19 } output_tokens { } \
                       input_token_details { cached_tokens { value: 5 } } extraction_status: COMPLETE";
        let expected = Usage { input: 19, output: 0, cache_read: 5, cache_write: 0 };
        assert_eq!(usage(&line(message)), Some(expected));
        assert_eq!(usage(&line("extraction_status: COMPLETE")), None);
        assert_eq!(usage(&json!({ FIELD: null })), None);
    }
}
