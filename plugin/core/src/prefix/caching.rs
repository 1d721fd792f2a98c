//! How a provider caches prompts: by itself, or where the request asks for it.
//!
//! Sources: the providers' pages on prompt caching (Anthropic, Amazon, OpenAI, Google, DeepSeek).
//! Must not know: what was sent before.
#![deny(clippy::arithmetic_side_effects)]

use crate::event::Event;
use crate::prompt::Prompt;

/// The shortest time for which providers keep what they cached.
const SHORT_S: u32 = 5 * 60;
const LONG_S: u32 = 60 * 60;

/// How a call's provider caches prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caching {
    /// What the request marks. What is too short is silently left uncached.
    OnRequest {
        /// It marks something.
        is_asked: bool,
    },
    /// Whatever is long enough.
    Automatic {
        /// The fewest tokens; 0 where the provider names no number.
        least: u64,
    },
    /// Not, as far as the prices tell.
    None,
}

impl Caching {
    pub(super) fn of(prompt: &Prompt, event: &Event) -> Self {
        match (prompt.marks_cache, event.discounts_cache) {
            (true, true) => Self::OnRequest { is_asked: prompt.asks_for_cache },
            (true, false) if prompt.asks_for_cache => Self::OnRequest { is_asked: true },
            (false, true) => Self::Automatic {
                least: least(event.response_model.as_deref().or(event.request_model.as_deref()).unwrap_or_default()),
            },
            (_, false) => Self::None,
        }
    }

    /// For how many seconds the cache keeps what a call wrote, or what was written `before` and the call used again.
    pub(super) const fn lifetime_s(self, written_5m: u64, written_1h: u64, before: Option<u32>) -> u32 {
        match (self, before) {
            (Self::OnRequest { .. }, _) if written_5m > 0 => SHORT_S,
            (Self::OnRequest { .. }, _) if written_1h > 0 => LONG_S,
            (Self::OnRequest { .. }, Some(before)) => before,
            _ => SHORT_S,
        }
    }
}

/// The fewest tokens that are cached without being asked for.
fn least(model: &str) -> u64 {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    match () {
        () if begins(&["gpt-", "chatgpt-", "codex-", "o1", "o3", "o4"]) => 1_024,
        () if begins(&["gemini"]) => {
            if name.contains("pro") {
                4_096
            } else {
                1_024
            }
        }
        () if begins(&["deepseek"]) => 64,
        () => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_cached_depends_on_the_model() {
        for (model, tokens) in [
            ("gpt-5.2", 1_024),
            ("openai/gpt-4.1-mini", 1_024),
            ("gemini-2.5-pro", 4_096),
            ("gemini-3-flash", 1_024),
            ("deepseek-chat", 64),
            ("grok-4", 0),
        ] {
            assert_eq!(least(model), tokens, "{model}");
        }
    }
}
