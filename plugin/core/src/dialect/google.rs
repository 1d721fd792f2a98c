//! What Google's APIs share: counts that partly include each other turned into disjoint buckets.
//!
//! What the cache served is a part of the prompt. What tools brought in is input on top of the prompt, thoughts are
//! output on top of the answer, and the total is the sum of all four. Every count may be broken down by modality,
//! not always completely: what the breakdown leaves out is text. A part is clamped to what it is a part of.
//! A stream states usage again and again. The last statement stands as a whole where it holds a total; without one,
//! what it leaves out stands as it was stated before. A count that is missing beside a total follows from it.
//! Must not know: field names, which differ between the APIs.
#![deny(clippy::arithmetic_side_effects)]

use crate::frame::json::Value;
use crate::usage::{Bucket, Usage};

/// A count that is stated on its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Prompt,
    Cached,
    ToolUse,
    Answer,
    Thoughts,
    Total,
}

/// A place in a usage object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The object.
    Usage,
    Count(Count),
    /// An item of a count's breakdown.
    Share(Count),
    /// Of an item: which modality.
    Modality,
    /// Of an item: how many tokens.
    Tokens,
}

/// A count with the modalities that are priced on their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    tokens: Option<u64>,
    audio: u64,
    image: u64,
}

/// A count, taken apart.
struct Split {
    text: u64,
    audio: u64,
    image: u64,
}

impl Counted {
    /// The modalities, as far as they fit into `whole`.
    fn split(self, whole: u64) -> Split {
        let audio = self.audio.min(whole);
        let rest = whole.saturating_sub(audio);
        let image = self.image.min(rest);
        Split { text: rest.saturating_sub(image), audio, image }
    }

    fn or(self, earlier: Self) -> Self {
        if self.tokens.is_some() { self } else { earlier }
    }

    fn known(self) -> u64 {
        self.tokens.unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    prompt: Counted,
    cached: Counted,
    tool_use: Counted,
    answer: Counted,
    thoughts: Counted,
    total: Counted,
}

impl Counts {
    fn place(&mut self, count: Count) -> &mut Counted {
        match count {
            Count::Prompt => &mut self.prompt,
            Count::Cached => &mut self.cached,
            Count::ToolUse => &mut self.tool_use,
            Count::Answer => &mut self.answer,
            Count::Thoughts => &mut self.thoughts,
            Count::Total => &mut self.total,
        }
    }

    /// Says anything that is billed.
    fn is_stated(&self) -> bool {
        [self.prompt, self.tool_use, self.answer, self.thoughts, self.total].iter().any(|count| count.tokens.is_some())
    }

    /// These counts over those stated before.
    fn over(mut self, earlier: &Self) -> Self {
        let Some(total) = self.total.tokens else {
            return Self {
                prompt: self.prompt.or(earlier.prompt),
                cached: self.cached.or(earlier.cached),
                tool_use: self.tool_use.or(earlier.tool_use),
                answer: self.answer.or(earlier.answer),
                thoughts: self.thoughts.or(earlier.thoughts),
                total: self.total,
            };
        };
        let beside = self.tool_use.known().saturating_add(self.thoughts.known());
        let rest = total.saturating_sub(beside);
        match (self.prompt.tokens, self.answer.tokens) {
            (Some(prompt), None) => {
                let answer = rest.saturating_sub(prompt);
                // Early chunks leave the answer out of the total too, which takes nothing back of the same turn.
                let is_behind = answer == 0 && earlier.prompt.tokens == self.prompt.tokens;
                self.answer = if is_behind { earlier.answer } else { Counted { tokens: Some(answer), ..self.answer } };
            }
            (None, answer) => self.prompt.tokens = Some(rest.saturating_sub(answer.unwrap_or(0))),
            (Some(_), Some(_)) => {}
        }
        self
    }

    fn buckets(&self) -> Usage {
        let mut usage = Usage::default();
        let prompt = self.prompt.known();
        let cached = self.cached.split(self.cached.known().min(prompt));
        usage.set(Bucket::CacheRead, cached.text);
        usage.set(Bucket::CacheReadAudio, cached.audio);
        usage.set(Bucket::CacheReadImage, cached.image);
        let fresh = Counted {
            tokens: None,
            audio: self.prompt.audio.saturating_sub(cached.audio),
            image: self.prompt.image.saturating_sub(cached.image),
        };
        let fresh = fresh.split(prompt.saturating_sub(self.cached.known()));
        let tools = self.tool_use.split(self.tool_use.known());
        usage.set(Bucket::InputUncached, fresh.text.saturating_add(tools.text));
        usage.set(Bucket::InputAudio, fresh.audio.saturating_add(tools.audio));
        usage.set(Bucket::InputImage, fresh.image.saturating_add(tools.image));
        let answer = self.answer.split(self.answer.known());
        usage.set(Bucket::Output, answer.text);
        usage.set(Bucket::OutputAudio, answer.audio);
        usage.set(Bucket::OutputImage, answer.image);
        usage.set(Bucket::Reasoning, self.thoughts.known());
        usage
    }
}

#[derive(Clone, Copy, Debug)]
enum Modality {
    Audio,
    Image,
}

/// The usage objects of one response.
#[derive(Debug, Default)]
pub(super) struct Stated {
    reading: Counts,
    /// The item of a breakdown being read.
    share: (Option<Modality>, u64),
    counts: Option<Counts>,
    statements: u64,
}

impl Stated {
    pub(super) fn opens(&mut self, place: Place) {
        match place {
            Place::Usage => self.reading = Counts::default(),
            Place::Share(_) => self.share = (None, 0),
            Place::Count(_) | Place::Modality | Place::Tokens => {}
        }
    }

    pub(super) fn closes(&mut self, place: Place) {
        match place {
            Place::Usage if self.reading.is_stated() => {
                let counts = self.reading.over(&self.counts.unwrap_or_default());
                self.counts = Some(counts);
                self.statements = self.statements.saturating_add(1);
            }
            Place::Share(count) => {
                let (modality, tokens) = self.share;
                let counted = self.reading.place(count);
                let place = match modality {
                    Some(Modality::Audio) => &mut counted.audio,
                    Some(Modality::Image) => &mut counted.image,
                    None => return,
                };
                *place = place.saturating_add(tokens);
            }
            _ => {}
        }
    }

    pub(super) fn value(&mut self, place: Place, value: Value<'_>) {
        match place {
            Place::Count(count) => self.reading.place(count).tokens = value.count(),
            // A modality is a name in either case, or its number.
            Place::Modality => {
                self.share.0 = match value {
                    Value::Text(name) if name.eq_ignore_ascii_case("audio") => Some(Modality::Audio),
                    Value::Text(name) if name.eq_ignore_ascii_case("image") => Some(Modality::Image),
                    Value::Number("4") => Some(Modality::Audio),
                    Value::Number("2") => Some(Modality::Image),
                    _ => None,
                };
            }
            Place::Tokens => self.share.1 = value.count().unwrap_or(0),
            Place::Usage | Place::Share(_) => {}
        }
    }

    /// Adds input that is stated item by item, outside a usage object.
    pub(super) fn adds_input(&mut self, value: Value<'_>) {
        let Some(tokens) = value.count() else { return };
        let counts = self.counts.get_or_insert_default();
        counts.prompt.tokens = Some(counts.prompt.known().saturating_add(tokens));
        self.statements = self.statements.saturating_add(1);
    }

    pub(super) const fn statements(&self) -> u64 {
        self.statements
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.counts.as_ref().map(Counts::buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(stated: &[(Count, u64)]) -> Counts {
        let mut counts = Counts::default();
        stated.iter().for_each(|(count, tokens)| counts.place(*count).tokens = Some(*tokens));
        counts
    }

    #[track_caller]
    fn check(counts: Counts, expected: &[(Bucket, u64)]) {
        let buckets: Vec<_> = counts.buckets().tokens.iter().filter(|(_, tokens)| *tokens > 0).collect();
        assert_eq!(buckets, expected);
    }

    #[test]
    fn tools_add_to_the_prompt_and_thoughts_to_the_answer() {
        use Count as C;
        let stated = [(C::Prompt, 100), (C::Cached, 60), (C::ToolUse, 7), (C::Answer, 20), (C::Thoughts, 5)];
        let expected =
            [(Bucket::InputUncached, 47), (Bucket::CacheRead, 60), (Bucket::Output, 20), (Bucket::Reasoning, 5)];
        check(counts(&stated), &expected);
    }

    #[test]
    fn a_missing_answer_follows_from_the_total_and_an_earlier_turns_does_not_stay() {
        let earlier = counts(&[(Count::Prompt, 50), (Count::Answer, 40), (Count::Total, 90)]);
        let last = counts(&[(Count::Prompt, 80), (Count::Thoughts, 9), (Count::ToolUse, 6), (Count::Total, 105)]);
        let expected = [(Bucket::InputUncached, 86), (Bucket::Output, 10), (Bucket::Reasoning, 9)];
        check(last.over(&earlier), &expected);
    }

    #[test]
    fn a_total_without_the_answer_takes_nothing_back_of_the_same_turn() {
        let earlier = counts(&[(Count::Prompt, 50), (Count::Answer, 40), (Count::Total, 90)]);
        let last = counts(&[(Count::Prompt, 50), (Count::Total, 50)]);
        check(last.over(&earlier), &[(Bucket::InputUncached, 50), (Bucket::Output, 40)]);
    }

    #[test]
    fn without_a_total_what_is_left_out_stands_as_stated_before() {
        let earlier = counts(&[(Count::Prompt, 50), (Count::Answer, 3), (Count::Total, 53)]);
        let last = counts(&[(Count::Prompt, 51)]);
        check(last.over(&earlier), &[(Bucket::InputUncached, 51), (Bucket::Output, 3)]);
    }

    #[test]
    fn a_breakdown_that_does_not_add_up_leaves_the_rest_to_text_and_never_exceeds_the_whole() {
        let mut image = counts(&[(Count::Prompt, 10), (Count::Answer, 1_283)]);
        image.answer.image = 1_120;
        image.prompt.audio = 99;
        check(image, &[(Bucket::InputAudio, 10), (Bucket::Output, 163), (Bucket::OutputImage, 1_120)]);
    }

    #[test]
    fn what_was_cached_is_taken_off_its_modality() {
        let mut counts = counts(&[(Count::Prompt, 1_344), (Count::Cached, 1_274)]);
        (counts.cached.image, counts.prompt.image) = (1_223, 1_230);
        let expected = [
            (Bucket::InputUncached, 63),
            (Bucket::InputImage, 7),
            (Bucket::CacheRead, 51),
            (Bucket::CacheReadImage, 1_223),
        ];
        check(counts, &expected);
    }
}
