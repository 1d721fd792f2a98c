//! The stand-in's tokenizer: `o200k` from `tiktoken-rs`, for every model.
//!
//! For OpenAI's models these are the true counts. Anthropic publishes no tokenizer; there the stand-in *defines* the
//! truth, which is all a test needs, since the gateway can only learn it from the response.
//! Must not know: messages, dialects.

/// The tokens of a text.
#[must_use]
pub fn encode(text: &str) -> Vec<u32> {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text)
}

/// How many tokens a text has.
#[must_use]
pub fn count(text: &str) -> u64 {
    encode(text).len() as u64
}

/// The text of the first `most` tokens, cut back to whole characters.
#[must_use]
pub fn first(text: &str, most: u64) -> String {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut kept = encode(text);
    kept.truncate(most);
    loop {
        if let Ok(text) = tiktoken_rs::o200k_base_singleton().decode(&kept) {
            return text;
        }
        kept.pop();
    }
}
