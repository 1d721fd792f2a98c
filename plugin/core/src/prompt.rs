//! The prompt: its parts, in the order in which the provider renders and caches them, each booked to a component.
//!
//! A dialect cuts a request into [`Element`]s; counting turns each into a [`Part`]. Which component an element
//! belongs to is decided from its role and position alone:
//! - `system`: instructions, wherever the dialect puts them;
//! - `tools`: tool definitions;
//! - `few_shot`: messages that are marked as examples (a `name` starting with `example`, OpenAI's convention; or by what
//!   they begin with, where the operator says so: [`few_shot`](crate::few_shot));
//! - `user`: the last message that the user wrote, even where tool steps follow it;
//! - `history`: every other message.
//!
//! Invariants: parts keep the provider's order; scaling to a reported total is exact.
//! Must not know: wire formats, prices.
#![deny(clippy::arithmetic_side_effects)]

use crate::calibration::Lesson;
use crate::frame::raw::Raw;
use crate::media::{MediaTokens, Medium};
use std::borrow::Cow;

/// What a piece of input is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Instructions.
    System,
    /// Tool definitions.
    Tools,
    /// Worked examples.
    FewShot,
    /// The conversation so far, tool calls and results included.
    History,
    /// What the user asks now.
    User,
}

impl Component {
    /// Every component, in the order of the contract.
    pub const ALL: [Self; 5] = [Self::System, Self::Tools, Self::FewShot, Self::History, Self::User];

    /// The name used in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Tools => "tools",
            Self::FewShot => "few_shot",
            Self::History => "history",
            Self::User => "user",
        }
    }
}

/// What an element is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message or a block of instructions.
    Message,
    /// A tool definition, or the schema of the answer: JSON that the provider renders in its own way.
    Tool,
    /// What a tool returned.
    ToolResult,
}

/// A piece of a request that becomes part of the prompt, uncounted.
#[derive(Clone, Debug)]
pub struct Element<'a> {
    /// The component it belongs to.
    pub component: Component,
    /// What it is made of.
    pub kind: Kind,
    /// The name, of a tool definition.
    pub name: Option<Cow<'a, str>>,
    /// Its JSON as the caller wrote it.
    pub raw: Raw<'a>,
}

impl<'a> Element<'a> {
    /// The schema that the answer must follow, which the provider writes into the instructions.
    pub(crate) const fn of_schema(raw: Raw<'a>) -> Self {
        Self { component: Component::System, kind: Kind::Tool, name: None, raw }
    }

    /// Adds a message that the user's side sent, cut into blocks only where it mixes tool results with words of
    /// their own. Tool results are a tool's, not the user's.
    pub(crate) fn push_turn(message: Self, blocks: Vec<Self>, elements: &mut Vec<Self>) {
        match blocks.iter().filter(|block| block.kind == Kind::ToolResult).count() {
            0 => elements.push(message),
            all if all == blocks.len() => {
                elements.push(Self { component: Component::History, kind: Kind::ToolResult, ..message });
            }
            _ => elements.extend(blocks),
        }
    }

    /// Decides which of a conversation's user messages is the one being answered: the last, with those that
    /// directly precede it. Earlier ones are history.
    pub(crate) fn mark_user(conversation: &mut [Self]) {
        let mut turns = conversation.iter_mut().rev().skip_while(|element| element.component != Component::User);
        let answered = turns.by_ref().take_while(|element| element.component == Component::User).count();
        let mut seen: usize = 0;
        for element in conversation.iter_mut().rev().filter(|element| element.component == Component::User) {
            if seen >= answered {
                element.component = Component::History;
            }
            seen = seen.saturating_add(1);
        }
    }
}

/// Something in an element that consumes tokens.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// Text the model reads.
    Text(Cow<'a, str>),
    /// What the provider puts around a message: its role and its delimiters.
    Message,
    /// Tokens that are no text: already made by the caller, or added by the provider.
    Framing(u64),
    /// An image, sound, video or document; its tokens do not follow from its bytes.
    Media(Medium),
    /// Something that the request does not show, or that is not looked into.
    Unseen,
}

/// A counted element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The component it belongs to.
    pub component: Component,
    /// What it is made of.
    pub kind: Kind,
    /// The name, of a tool definition.
    pub name: Option<String>,
    /// Its tokens as predicted.
    pub tokens: u64,
    /// What it is told apart by.
    pub(crate) print: Print,
}

/// What a part is told apart by, as far as a provider's cache tells it apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Print {
    /// A keyed hash of what the model reads; `None` of what no element of the request stands for.
    pub(crate) hash: Option<u32>,
    /// Blocks of content.
    pub(crate) blocks: u8,
}

/// The counted prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The parts, in cache order.
    pub parts: Vec<Part>,
    /// Predicted tokens that belong to no part: what the provider adds to make the model answer.
    pub priming: u64,
    /// Characters of text in all parts, for the provider-neutral unit.
    pub characters: u64,
    /// Every part was seen, and counted rather than estimated.
    pub exact: bool,
    /// All of it was seen, and is text: what the provider reports of it can teach.
    pub is_whole: bool,
    /// Images, sounds, videos and documents; their tokens are in the parts that hold them.
    pub media: MediaTokens,
    /// The provider caches what the request marks, and nothing else.
    pub(crate) marks_cache: bool,
    /// The request marks something.
    pub(crate) asks_for_cache: bool,
    /// Predicted tokens before what earlier calls of the model taught; the same where they taught nothing.
    pub untaught: u64,
}

impl Prompt {
    /// Predicted input tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.part_tokens().saturating_add(self.priming)
    }

    /// Whether the model is given tools.
    #[must_use]
    pub fn has_tools(&self) -> bool {
        self.parts.iter().any(|part| part.component == Component::Tools)
    }

    fn part_tokens(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.tokens))
    }

    /// Corrects the prediction by what earlier calls of the model taught.
    pub(crate) fn correct(&mut self, lesson: Lesson) {
        self.untaught = self.tokens();
        if lesson == Lesson::NONE {
            return;
        }
        for part in &mut self.parts {
            part.tokens = lesson.scale(part.tokens);
        }
        self.priming = lesson.scale(self.priming).saturating_add(lesson.offset);
    }

    /// The tool definitions, in cache order.
    pub fn tools(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.component == Component::Tools)
    }

    /// The components and kinds of the parts in their order with their tokens, scaled so that they sum exactly to `total`;
    /// parts in a row that are alike in both are taken together, but for tools, each of which has a weight of its own.
    ///
    /// The running total is scaled, not each part, so rounding never accumulates. A prompt nothing is known of
    /// is booked to the user.
    #[must_use]
    pub fn scaled(&self, total: u64) -> Vec<(Component, Kind, u64)> {
        let predicted = self.part_tokens();
        if predicted == 0 {
            return vec![(Component::User, Kind::Message, total)];
        }
        let mut running: u64 = 0;
        let mut given: u64 = 0;
        let is_run = |part: &Part, next: &Part| {
            part.component == next.component && part.kind == next.kind && part.component != Component::Tools
        };
        let runs = self.parts.chunk_by(is_run);
        runs.filter_map(|run| {
            running = run.iter().fold(running, |sum, part| sum.saturating_add(part.tokens));
            let upto = share(total, running, predicted);
            let tokens = upto.saturating_sub(given);
            given = upto;
            run.first().map(|part| (part.component, part.kind, tokens))
        })
        .collect()
    }
}

/// `total * part / whole`, rounded down, without overflow.
fn share(total: u64, part: u64, whole: u64) -> u64 {
    u128::from(total)
        .checked_mul(u128::from(part))
        .and_then(|product| product.checked_div(u128::from(whole)))
        .and_then(|share| u64::try_from(share).ok())
        .unwrap_or(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prompt(tokens: &[u64]) -> Prompt {
        let parts = tokens
            .iter()
            .map(|&tokens| Part {
                component: Component::History,
                kind: Kind::Message,
                name: None,
                tokens,
                print: Print::default(),
            })
            .collect();
        Prompt { parts, priming: 3, exact: true, ..Prompt::default() }
    }

    #[test]
    fn a_prompt_nothing_is_known_of_is_booked_to_the_user() {
        assert_eq!(prompt(&[]).scaled(7), [(Component::User, Kind::Message, 7)]);
        assert_eq!(prompt(&[0, 0]).scaled(7), [(Component::User, Kind::Message, 7)]);
    }

    proptest! {
        #[test]
        fn scaled_parts_sum_exactly_to_the_reported_total(tokens in prop::collection::vec(0_u64..10_000, 1..20), total in 0_u64..1_000_000) {
            let scaled: u64 = prompt(&tokens).scaled(total).iter().map(|(_, _, tokens)| tokens).sum();
            prop_assert_eq!(scaled, total);
        }
    }
}
