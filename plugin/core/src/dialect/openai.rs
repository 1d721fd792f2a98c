//! What OpenAI's APIs and their imitators share: inclusive counts turned into disjoint buckets, costs that a provider
//! states, and the content of messages.
//!
//! Cached, cache-written and audio tokens are parts of the input count; reasoning and audio tokens are parts of
//! the output count. A part that exceeds what it is said to be part of (Azure-hosted Grok reports 314 cached of
//! 208) is clamped, in the order in which the parts are taken off. Imitators that count otherwise give themselves
//! away, and [`Convention`] names how.
//! Must not know: field names, which differ between the APIs.
#![deny(clippy::arithmetic_side_effects)]

use super::medium;
use super::object::{items, member, string};
use crate::frame::json::Value;
use crate::frame::raw::Raw;
use crate::money::Usd;
use crate::prompt::Piece;
use crate::usage::{Bucket, Usage};
use std::borrow::Cow;

/// A usage object as OpenAI counts; `None` where a field is absent or null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InclusiveUsage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) audio_input: Option<u64>,
    pub(super) image_input: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) audio_output: Option<u64>,
    pub(super) image_output: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) web_searches: Option<u64>,
    /// Of sources that the provider read, beside input and output (Perplexity's deep research).
    pub(super) citations: Option<u64>,
    pub(super) cost: StatedCost,
}

/// A cost as the usage object states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StatedCost {
    /// Dollars for the call.
    amount: Option<Usd>,
    /// Dollars that the provider behind the gateway takes.
    upstream: Option<Usd>,
    /// The caller's own key was used (OpenRouter): the call costs nothing here, but upstream it does.
    is_byok: bool,
    /// A price outside the gateway is stated, as Vercel's does.
    has_market_cost: bool,
}

/// A field of a usage object that states a cost.
#[derive(Clone, Copy, Debug)]
pub(super) enum CostField {
    /// Dollars.
    Amount,
    /// Ten-billionths of a dollar (xAI).
    Ticks,
    /// Dollars upstream.
    Upstream,
    /// The caller's own key.
    Byok,
    /// Dollars outside the gateway.
    Market,
}

impl StatedCost {
    pub(super) fn set(&mut self, field: CostField, value: Value<'_>) {
        let amount = match value {
            Value::Number(text) => Usd::parse_computed(text).ok(),
            _ => None,
        };
        match field {
            CostField::Amount => self.amount = amount.or(self.amount),
            // Others who serve xAI's models leave the field at 0; that is no price.
            CostField::Ticks => {
                let ticks = value.count().filter(|ticks| *ticks > 0);
                self.amount = ticks.map(|ticks| TICK.times(ticks)).or(self.amount);
            }
            CostField::Upstream => self.upstream = amount.or(self.upstream),
            CostField::Byok => self.is_byok = value == Value::Bool(true),
            CostField::Market => self.has_market_cost = true,
        }
    }

    /// What the call costs its owner, wherever it is billed.
    fn dollars(&self) -> Option<Usd> {
        if self.is_byok { self.amount.map(|fee| fee.plus(self.upstream.unwrap_or(Usd::ZERO))) } else { self.amount }
    }
}

/// A ten-billionth of a dollar.
const TICK: Usd = Usd::from_femto(100_000);

/// How a server counts beside OpenAI's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Convention {
    /// Parts are included in their wholes.
    Inclusive,
    /// Reasoning comes on top of the output (xAI's chat; Vercel and Perplexity's deep research, whose totals leave it out
    /// too).
    ReasoningOnTop,
    /// Audio comes on top of the input (Mistral).
    AudioOnTop,
    /// The total holds tokens that no field names: thinking, billed as output (Gemini's OpenAI endpoint).
    Hidden(u64),
}

impl Convention {
    /// The convention that makes the counts add up to the total.
    fn of(stated: &InclusiveUsage) -> Self {
        let (reasoning, audio) = (stated.reasoning.unwrap_or(0), stated.audio_input.unwrap_or(0));
        let named = stated.input.unwrap_or(0).saturating_add(stated.output.unwrap_or(0));
        match stated.total.map_or(0, |total| total.saturating_sub(named)) {
            0 if reasoning > 0 && (stated.cost.has_market_cost || stated.citations.is_some()) => Self::ReasoningOnTop,
            0 => Self::Inclusive,
            gap if gap == reasoning => Self::ReasoningOnTop,
            gap if gap == audio => Self::AudioOnTop,
            gap => Self::Hidden(gap),
        }
    }
}

/// The usage objects of one response: the last complete one that holds counts stands, as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stated {
    /// The object being read.
    pub(super) reading: InclusiveUsage,
    usage: Option<Usage>,
    web_searches: Option<u64>,
    cost: Option<Usd>,
    statements: u64,
}

impl Stated {
    pub(super) fn opens(&mut self) {
        self.reading = InclusiveUsage::default();
    }

    pub(super) fn closes(&mut self) {
        if let Some(usage) = self.reading.buckets() {
            self.usage = Some(usage);
            self.web_searches = self.reading.web_searches;
            self.cost = self.reading.cost.dollars();
            self.statements = self.statements.saturating_add(1);
        }
    }

    pub(super) const fn statements(&self) -> u64 {
        self.statements
    }

    pub(super) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Searches, where the usage object counts them.
    pub(super) const fn web_searches(&self) -> Option<u64> {
        self.web_searches
    }

    pub(super) const fn cost(&self) -> Option<Usd> {
        self.cost
    }
}

impl InclusiveUsage {
    /// The disjoint buckets; `None` when neither input nor output was stated.
    pub(super) fn buckets(&self) -> Option<Usage> {
        self.input.or(self.output)?;
        let (web_searches, citation_tokens) = (self.web_searches.unwrap_or(0), self.citations.unwrap_or(0));
        let mut usage = Usage { web_searches, citation_tokens, ..Usage::default() };
        let mut take = |whole: &mut u64, bucket: Bucket, part: Option<u64>| {
            let part = part.unwrap_or(0).min(*whole);
            *whole = whole.saturating_sub(part);
            usage.set(bucket, part);
        };
        let convention = Convention::of(self);
        let mut input = self.input.unwrap_or(0);
        if convention == Convention::AudioOnTop {
            input = input.saturating_add(self.audio_input.unwrap_or(0));
        }
        take(&mut input, Bucket::CacheRead, self.cached);
        take(&mut input, Bucket::CacheWrite5m, self.cache_write);
        take(&mut input, Bucket::InputAudio, self.audio_input);
        take(&mut input, Bucket::InputImage, self.image_input);
        let mut output = self.output.unwrap_or(0);
        let mut reasoning = self.reasoning;
        match convention {
            Convention::ReasoningOnTop => output = output.saturating_add(reasoning.unwrap_or(0)),
            Convention::Hidden(hidden) => {
                output = output.saturating_add(hidden);
                reasoning = Some(reasoning.unwrap_or(0).saturating_add(hidden));
            }
            Convention::Inclusive | Convention::AudioOnTop => {}
        }
        take(&mut output, Bucket::Reasoning, reasoning);
        take(&mut output, Bucket::OutputAudio, self.audio_output);
        take(&mut output, Bucket::OutputImage, self.image_output);
        usage.set(Bucket::InputUncached, input);
        usage.set(Bucket::Output, output);
        Some(usage)
    }
}

/// Content is a string, or parts (one of them may stand alone): text where they hold any, else media.
pub(super) fn read_content<'a>(content: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if let Some(text) = string(content) {
        return piece(Piece::Text(text));
    }
    let mut read_part = |part: Raw<'a>| {
        let text = ["text", "refusal", "thinking"].iter().find_map(|key| member(part.get(), key).and_then(string));
        // Cohere's documents are rendered as the JSON they are.
        let document = || member(part.get(), "document").map(|document| Cow::Borrowed(document.get()));
        piece(text.or_else(document).map_or_else(|| Piece::Media(medium::read(part)), Piece::Text));
    };
    if !items(content.get(), &mut read_part) && content.get().starts_with('{') {
        read_part(content);
    }
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
            ..Default::default()
        };
        let usage = wire.buckets().expect("a usage");
        assert_eq!(usage.get(Bucket::InputUncached), 10);
        assert_eq!(usage.get(Bucket::Output), 20);
        assert_eq!((usage.input_total(), usage.output_total()), (100, 50));
    }

    fn counted(wire: InclusiveUsage) -> (u64, u64, u64) {
        let usage = wire.buckets().expect("a usage");
        (usage.input_total(), usage.output_total(), usage.get(Bucket::Reasoning))
    }

    #[test]
    fn what_comes_on_top_of_the_counts_is_told_by_the_total() {
        let wire = InclusiveUsage { input: Some(361), output: Some(26), ..Default::default() };
        let thought = InclusiveUsage { reasoning: Some(235), ..wire };
        assert_eq!(counted(InclusiveUsage { total: Some(622), ..thought }), (361, 261, 235));
        assert_eq!(counted(InclusiveUsage { total: Some(387), ..thought }), (361, 26, 26));
        assert_eq!(counted(InclusiveUsage { total: Some(400), ..wire }), (361, 39, 13));
        let heard = InclusiveUsage { audio_input: Some(375), ..wire };
        assert_eq!(counted(InclusiveUsage { total: Some(762), ..heard }), (736, 26, 0));
    }

    #[test]
    fn a_gateway_that_leaves_reasoning_out_of_its_total_is_told_by_its_market_cost() {
        let mut wire = InclusiveUsage { input: Some(28), output: Some(9), total: Some(37), ..Default::default() };
        wire.reasoning = Some(75);
        wire.cost.set(CostField::Market, Value::Number("0.001064"));
        assert_eq!(counted(wire), (28, 84, 75));
    }

    #[test]
    fn deep_research_thinks_and_reads_beside_what_its_total_names() {
        let wire = InclusiveUsage { input: Some(33), output: Some(7_163), total: Some(7_196), ..Default::default() };
        let wire = InclusiveUsage { reasoning: Some(5_000), citations: Some(19_028), web_searches: Some(21), ..wire };
        assert_eq!(counted(wire), (33, 12_163, 5_000));
        let usage = wire.buckets().expect("a usage");
        assert_eq!((usage.citation_tokens, usage.web_searches), (19_028, 21));
    }

    #[test]
    fn a_stated_cost_counts_what_the_callers_own_key_pays_upstream() {
        let mut cost = StatedCost::default();
        cost.set(CostField::Amount, Value::Number("0"));
        cost.set(CostField::Upstream, Value::Number("0.25"));
        assert_eq!(cost.dollars(), Some(Usd::ZERO));
        cost.set(CostField::Byok, Value::Bool(true));
        assert_eq!(cost.dollars(), Usd::parse("0.25").ok());
        let mut ticks = StatedCost::default();
        ticks.set(CostField::Ticks, Value::Number("1487000"));
        assert_eq!(ticks.dollars(), Usd::parse("0.0001487").ok());
    }

    #[test]
    fn ticks_that_nobody_filled_in_are_no_price() {
        let mut cost = StatedCost::default();
        cost.set(CostField::Ticks, Value::Number("0"));
        assert_eq!(cost.dollars(), None);
    }

    #[test]
    fn a_usage_object_without_counts_is_no_usage() {
        assert_eq!(InclusiveUsage { cached: Some(1), ..Default::default() }.buckets(), None);
    }
}
