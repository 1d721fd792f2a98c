//! What OpenAI's APIs share: inclusive counts turned into disjoint buckets, and the content of messages.
//!
//! Cached, cache-written and audio tokens are parts of the input count; reasoning and audio tokens are parts of
//! the output count. A part that exceeds what it is said to be part of (Azure-hosted Grok reports 314 cached of
//! 208) is clamped, in the order in which the parts are taken off.
//! Must not know: field names, which differ between the APIs.
#![deny(clippy::arithmetic_side_effects)]

use super::object::{items, member, string};
use crate::prompt::Piece;
use crate::usage::{Bucket, Usage};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A usage object as OpenAI counts; `None` where a field is absent or null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InclusiveUsage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) audio_input: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) audio_output: Option<u64>,
}

/// The usage objects of one response: the last complete one that holds counts stands, as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stated {
    /// The object being read.
    pub(super) reading: InclusiveUsage,
    usage: Option<Usage>,
    statements: u64,
}

impl Stated {
    pub(super) fn opens(&mut self) {
        self.reading = InclusiveUsage::default();
    }

    pub(super) fn closes(&mut self) {
        if let Some(usage) = self.reading.buckets() {
            self.usage = Some(usage);
            self.statements = self.statements.saturating_add(1);
        }
    }

    pub(super) const fn statements(&self) -> u64 {
        self.statements
    }

    pub(super) const fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

impl InclusiveUsage {
    /// The disjoint buckets; `None` when neither input nor output was stated.
    pub(super) fn buckets(&self) -> Option<Usage> {
        self.input.or(self.output)?;
        let mut usage = Usage::default();
        let mut take = |whole: &mut u64, bucket: Bucket, part: Option<u64>| {
            let part = part.unwrap_or(0).min(*whole);
            *whole = whole.saturating_sub(part);
            usage.set(bucket, part);
        };
        let mut input = self.input.unwrap_or(0);
        take(&mut input, Bucket::CacheRead, self.cached);
        take(&mut input, Bucket::CacheWrite5m, self.cache_write);
        take(&mut input, Bucket::InputAudio, self.audio_input);
        let mut output = self.output.unwrap_or(0);
        take(&mut output, Bucket::Reasoning, self.reasoning);
        take(&mut output, Bucket::OutputAudio, self.audio_output);
        usage.set(Bucket::InputUncached, input);
        usage.set(Bucket::Output, output);
        Some(usage)
    }
}

/// Tokens around each message: its delimiters and its role (measured; exact for gpt-3.5 to gpt-4.1).
pub(super) const MESSAGE_FRAMING: Piece<'static> = Piece::Framing(4);

/// Tokens behind the last message that make the model answer (measured on prompts of text alone).
pub(super) fn priming(model: &str) -> u64 {
    let is_newer = ["gpt-5", "gpt-6", "o3-mini", "o4-mini"].iter().any(|start| model.starts_with(start));
    if is_newer { 2 } else { 3 }
}

/// Content is a string, or parts: text where they hold any, else media.
pub(super) fn read_content<'a>(content: &'a RawValue, piece: &mut dyn FnMut(Piece<'a>)) {
    if let Some(text) = string(content) {
        return piece(Piece::Text(text));
    }
    items(content.get(), |part| {
        let text = ["text", "refusal", "thinking"].iter().find_map(|key| member(part.get(), key).and_then(string));
        // Cohere's documents are rendered as the JSON they are.
        let document = || member(part.get(), "document").map(|document| Cow::Borrowed(document.get()));
        piece(text.or_else(document).map_or(Piece::Media, Piece::Text));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_beyond_the_input_are_clamped() {
        let wire = InclusiveUsage { input: Some(208), output: Some(5), cached: Some(314), ..Default::default() };
        let usage = wire.buckets().expect("a usage");
        assert_eq!(
            (usage.input_total(), usage.get(Bucket::CacheRead), usage.get(Bucket::InputUncached)),
            (208, 208, 0)
        );
    }

    #[test]
    fn parts_are_taken_off_the_whole_they_belong_to() {
        let wire = InclusiveUsage {
            input: Some(100),
            output: Some(50),
            cached: Some(40),
            cache_write: Some(30),
            audio_input: Some(20),
            reasoning: Some(25),
            audio_output: Some(5),
        };
        let usage = wire.buckets().expect("a usage");
        assert_eq!(usage.get(Bucket::InputUncached), 10);
        assert_eq!(usage.get(Bucket::Output), 20);
        assert_eq!((usage.input_total(), usage.output_total()), (100, 50));
    }

    #[test]
    fn a_usage_object_without_counts_is_no_usage() {
        assert_eq!(InclusiveUsage { cached: Some(1), ..Default::default() }.buckets(), None);
    }
}
