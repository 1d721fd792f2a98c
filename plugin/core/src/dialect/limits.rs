//! How each provider tells a caller of its rate limits: headers, and how they write a reset.
//!
//! Must not know: what a limit decides.

use super::{Dialect, amazon_error};
use crate::config::raw::Measure;
use crate::time::Timestamp;

const OPENAI_REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const OPENAI_TOKENS: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
const ANTHROPIC_REQUESTS: [&str; 3] = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
];
const ANTHROPIC_TOKENS: [&str; 3] =
    ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"];
const ANTHROPIC_INPUT: [&str; 3] = [
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];
const ANTHROPIC_OUTPUT: [&str; 3] = [
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];

impl Dialect {
    const fn is_openai(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiResponses | Self::OpenaiCompletions | Self::OpenaiEmbeddings)
    }

    /// The names of limit, rest and reset; `None` where the provider has none for what is measured.
    #[must_use]
    pub const fn rate_limit_headers(self, measure: Measure) -> Option<[&'static str; 3]> {
        match (self, measure) {
            (Self::AnthropicMessages, Measure::Requests) => Some(ANTHROPIC_REQUESTS),
            (Self::AnthropicMessages, Measure::Tokens) => Some(ANTHROPIC_TOKENS),
            (Self::AnthropicMessages, Measure::InputTokens | Measure::UncachedTokens) => Some(ANTHROPIC_INPUT),
            (Self::AnthropicMessages, Measure::OutputTokens) => Some(ANTHROPIC_OUTPUT),
            (_, Measure::Requests) if self.is_openai() => Some(OPENAI_REQUESTS),
            (_, Measure::Tokens) if self.is_openai() => Some(OPENAI_TOKENS),
            _ => None,
        }
    }

    /// A reset as the provider writes it: OpenAI how long it takes (`6m0s`), Anthropic when it is.
    #[must_use]
    pub fn reset_text(self, at: Timestamp, now: Timestamp) -> String {
        if !self.is_openai() {
            return at.to_string();
        }
        let millis = at.millis_since(now);
        let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
        let seconds = match (rest / 1_000, rest % 1_000) {
            (seconds, 0) => format!("{seconds}s"),
            (seconds, millis) => format!("{seconds}.{}s", format!("{millis:03}").trim_end_matches('0')),
        };
        match (hours, minutes) {
            (0, 0) => seconds,
            (0, minutes) => format!("{minutes}m{seconds}"),
            (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
        }
    }

    /// The header in which the provider repeats an error's type, with it.
    #[must_use]
    pub fn error_type_header(self, kind: &str) -> Option<(&'static str, &'static str)> {
        match self {
            Self::BedrockConverse | Self::BedrockInvoke => Some(("x-amzn-errortype", amazon_error(kind))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_as_openai_writes_it() {
        let now = Timestamp::from_seconds(1_790_000_000);
        for (millis, text) in [(0, "0s"), (1_020, "1.02s"), (360_000, "6m0s"), (7_384_000, "2h3m4s")] {
            assert_eq!(Dialect::OpenaiChat.reset_text(now.plus_millis(millis), now), text);
        }
    }
}
