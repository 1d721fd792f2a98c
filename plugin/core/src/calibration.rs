//! How many tokens a model makes of a text, where its tokenizer is not public: OpenAI's count times a ratio.
//!
//! Ratios are medians over recorded answers of each family, against `o200k_base`.
//! Must not know: the tokenizer's inside, prices.

use crate::tokens::Encoding;

/// A way to predict a model's token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// The encoding that is counted in.
    pub encoding: Encoding,
    /// The model's tokens per thousand tokens of that encoding.
    pub permille: u64,
}

/// Names that start or contain a word, and the ratio of their family. The first match counts.
const RATIOS: [(&str, u64); 12] = [
    // Claude's new tokenizer, from Opus 4.7 on.
    ("claude-opus-4-7", 1_460),
    ("claude-opus-4-8", 1_460),
    ("claude-opus-5", 1_460),
    ("claude", 1_150),
    ("gemini", 1_040),
    ("deepseek", 1_030),
    ("llama", 1_050),
    ("mistral", 1_070),
    ("mixtral", 1_070),
    ("command", 1_060),
    ("grok", 980),
    ("qwen", 1_040),
];

impl Tokenizer {
    /// The tokenizer of a model; `o200k_base` as it is where nothing is known.
    #[must_use]
    pub fn of(model: &str) -> Self {
        if let Some(encoding) = Encoding::for_model(model) {
            return Self { encoding, permille: 1_000 };
        }
        let model = model.to_ascii_lowercase();
        let ratio = RATIOS.iter().find(|(word, _)| model.contains(word));
        Self { encoding: Encoding::O200kBase, permille: ratio.map_or(1_000, |(_, permille)| *permille) }
    }

    /// Whether a model may think without showing it, so that what it delivers is less than what it consumed.
    #[must_use]
    pub fn hides_thinking(model: &str) -> bool {
        let name = model.rsplit('/').next().unwrap_or(model);
        ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|start| name.starts_with(start))
    }

    /// The model's tokens for a count in the encoding.
    #[must_use]
    pub fn scale(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.permille).saturating_add(500).checked_div(1_000).unwrap_or(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_by_its_name_and_an_unknown_one_is_taken_as_it_is() {
        for (model, permille) in
            [("gpt-4o-mini", 1_000), ("claude-sonnet-4-5", 1_150), ("claude-opus-4-7", 1_460), ("my-model", 1_000)]
        {
            assert_eq!(Tokenizer::of(model).permille, permille, "{model}");
        }
        assert_eq!(Tokenizer { encoding: Encoding::O200kBase, permille: 1_150 }.scale(100), 115);
    }
}
