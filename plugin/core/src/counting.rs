//! From a request's elements to the counted prompt.
//!
//! ```text
//! element -> memo -> [known | read -> text, framing, media -> count -> memo] -> ratio of the family -> lesson of the model
//! ```
//! Invariants: an element is counted as if it were alone, so that what is remembered of it is true in every prompt; what
//! a spent budget made an estimate is not remembered.
//! Must not know: prices, limits, responses.

use crate::attribution::bounded;
use crate::calibration::{Subject, Tokenizer};
use crate::dialect::{Dialect, Request, ToolText};
use crate::frame::reduce::{Cut, Cuts};
use crate::media::{MediaTokens, Modality, Rates};
use crate::meter::Meter;
use crate::prefix::fingerprint::Fingerprint;
use crate::prompt::{Component, Element, Kind, Part, Piece, Print, Prompt};
use crate::tokens::{Budget, Counter};

/// What decides how an element is read and counted, beside its bytes.
#[derive(Clone, Copy, Hash)]
struct Reading {
    dialect: Dialect,
    tokenizer: Tokenizer,
    tools: ToolText,
    rates: Rates,
    /// What is to be cached is marked in the request.
    marks_cache: bool,
}

impl Meter {
    #[inline(never)]
    pub(crate) fn count(&mut self, dialect: Dialect, request: &Request<'_>, cuts: Cuts<'_>) -> Prompt {
        let model = request.model.as_deref().unwrap_or_default();
        let reading = Reading::of(dialect, model);
        let hasher = self.memo.hasher(&reading);
        // The same text is the same to all models, so that a template keeps its fingerprint.
        let prints = self.memo.hasher(&());
        let mut budget = Budget::per_request();
        let mut prompt = reading.template(request, &mut self.counter, &mut budget);
        for element in &request.elements {
            let omitted = cuts.within(element.raw.get());
            // The bytes are hashed once, for the fingerprint and for the memo.
            let bytes = prints.key(&omitted, element.raw.get().as_bytes());
            let key = hasher.key(&element.kind, &bytes.bits().to_le_bytes());
            let counted = match self.memo.get(key) {
                Some(known) => known.into(),
                None => {
                    let mut counted = reading.count(element, omitted, &mut self.counter, &mut budget);
                    counted.print = match reading.marks_cache && omitted.is_empty() {
                        true => Fingerprint::of(&prints, element.raw.get()),
                        false => Fingerprint::plain(bytes.bits()),
                    };
                    if let Some(remembered) = Remembered::of(&counted).filter(|_| !budget.is_spent()) {
                        self.memo.insert(key, remembered);
                    }
                    counted
                }
            };
            prompt.add(element, &counted, &reading.tokenizer);
        }
        prompt.correct(self.learned.lesson(&Subject::new(model, prompt.has_tools())));
        prompt
    }
}

impl Reading {
    fn of(dialect: Dialect, model: &str) -> Self {
        let tokenizer = Tokenizer::of(model);
        let tools = if tokenizer.is_public { ToolText::Namespace } else { ToolText::Json };
        let marks_cache = dialect.marks_cache() || model.contains("claude");
        Self { dialect, tokenizer, tools, rates: Rates::of(model), marks_cache }
    }

    /// A prompt of nothing but what the provider's chat template adds.
    fn template(&self, request: &Request<'_>, counter: &mut Counter, budget: &mut Budget) -> Prompt {
        /// What Anthropic's instructions to think take, measured.
        const THINKING: u64 = 28;
        let Self { tokenizer, .. } = self;
        let mut prompt = Prompt {
            parts: Vec::with_capacity(request.elements.len().saturating_add(1)),
            is_whole: !request.has_unseen,
            exact: tokenizer.is_public && !request.has_unseen,
            marks_cache: self.marks_cache,
            asks_for_cache: request.asks_for_cache,
            ..Prompt::default()
        };
        if request.elements.is_empty() || !self.dialect.has_chat_template() {
            return prompt;
        }
        prompt.priming = tokenizer.priming.saturating_add(if request.asks_to_think { THINKING } else { 0 });
        let has = |component| request.elements.iter().any(|element| element.component == component);
        if has(Component::Tools) {
            let around = counter.count(tokenizer.encoding, self.tools.around(), budget).tokens;
            let added = match self.dialect {
                _ if request.must_call_tool => tokenizer.forced_tools,
                // Newer models have instructions for tools in Chat Completions alone.
                Dialect::OpenaiResponses => tokenizer.tools.min(20),
                _ => tokenizer.tools,
            };
            // OpenAI writes tools into the instructions, whose frame is then not needed twice.
            let shared = if tokenizer.is_public && has(Component::System) { tokenizer.message } else { 0 };
            let tokens = added.saturating_add(around).saturating_sub(shared);
            prompt.parts.push(Part {
                component: Component::Tools,
                kind: Kind::Tool,
                name: None,
                tokens,
                print: Print::default(),
            });
        }
        prompt
    }

    /// Reads and counts an element, of which `cuts` were left out.
    fn count(&self, element: &Element<'_>, cuts: &[Cut], counter: &mut Counter, budget: &mut Budget) -> Counted {
        let is_seen = cuts.is_empty();
        let mut counted =
            Counted { is_exact: is_seen && element.kind != Kind::Tool, is_whole_text: is_seen, ..Counted::default() };
        let mut cuts = cuts.iter().peekable();
        // A string that was cut is known by what is left of it.
        let mut omitted = |carried: usize| cuts.next_if(|cut| cut.kept == carried).map_or(0, |cut| cut.omitted);
        self.dialect.read_element(element, self.tools, &mut |piece| match piece {
            Piece::Text(text) => {
                let count = counter.count(self.tokenizer.encoding, &text, budget);
                let characters = crate::settlement::characters(&text);
                let more = omitted(text.len());
                counted.add_text(count.tokens, characters, text.len(), more);
                counted.is_exact &= count.exact;
            }
            Piece::Message => counted.framing = counted.framing.saturating_add(self.tokenizer.message),
            Piece::Framing(tokens) => counted.framing = counted.framing.saturating_add(tokens),
            Piece::Media(medium) => {
                omitted(medium.carried);
                counted.media.add(medium.modality, 1, medium.tokens(self.rates));
                (counted.is_exact, counted.is_whole_text) = (false, false);
            }
            Piece::Unseen => (counted.is_exact, counted.is_whole_text) = (false, false),
        });
        // What was left out of no text and no medium is taken for text, four bytes a token: it must not come for free.
        for cut in cuts {
            counted.text = counted.text.saturating_add(cut.omitted.div_ceil(4));
        }
        counted
    }
}

/// An element, counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// Tokens of its text in the encoding, before any ratio.
    text: u64,
    framing: u64,
    characters: u64,
    media: MediaTokens,
    is_exact: bool,
    is_whole_text: bool,
    print: Fingerprint,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            text: 0,
            framing: 0,
            characters: 0,
            media: MediaTokens::default(),
            is_exact: true,
            is_whole_text: true,
            print: Fingerprint { hash: None, blocks: 1, has_marker: false },
        }
    }
}

impl Counted {
    /// Adds a text, and as much again in proportion as was left out of it.
    fn add_text(&mut self, tokens: u64, characters: u64, bytes: usize, omitted: u64) {
        let bytes = u128::try_from(bytes).unwrap_or(u128::MAX);
        let whole = |part: u64| {
            let more = u128::from(part).saturating_mul(u128::from(omitted)).checked_div(bytes).unwrap_or(0);
            part.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
        };
        self.text = self.text.saturating_add(whole(tokens));
        self.characters = self.characters.saturating_add(whole(characters));
    }
}

/// What is remembered of an element: a [`Counted`] in 24 bytes. Elements with media of several kinds are too rare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    text: u32,
    characters: u32,
    media_tokens: u32,
    /// The fingerprint's hash; 0 stands for none.
    hash: u32,
    framing: u16,
    media: Option<(Modality, u8)>,
    blocks: u8,
    is_exact: bool,
    is_whole_text: bool,
    has_marker: bool,
}

impl Remembered {
    fn of(counted: &Counted) -> Option<Self> {
        let mut media = counted.media.iter();
        let (only, more) = (media.next(), media.next());
        if more.is_some() {
            return None;
        }
        let (media, media_tokens) = match only {
            Some((modality, count, tokens)) => (Some((modality, u8::try_from(count).ok()?)), tokens),
            None => (None, 0),
        };
        Some(Self {
            text: u32::try_from(counted.text).ok()?,
            hash: counted.print.hash.unwrap_or(0),
            blocks: counted.print.blocks,
            has_marker: counted.print.has_marker,
            framing: u16::try_from(counted.framing).ok()?,
            characters: u32::try_from(counted.characters).ok()?,
            media,
            media_tokens: u32::try_from(media_tokens).ok()?,
            is_exact: counted.is_exact,
            is_whole_text: counted.is_whole_text,
        })
    }
}

impl From<Remembered> for Counted {
    fn from(known: Remembered) -> Self {
        let mut media = MediaTokens::default();
        if let Some((modality, count)) = known.media {
            media.add(modality, count.into(), known.media_tokens.into());
        }
        Self {
            text: known.text.into(),
            framing: known.framing.into(),
            characters: known.characters.into(),
            media,
            is_exact: known.is_exact,
            is_whole_text: known.is_whole_text,
            print: Fingerprint {
                hash: Some(known.hash).filter(|hash| *hash != 0),
                blocks: known.blocks,
                has_marker: known.has_marker,
            },
        }
    }
}

impl Prompt {
    fn add(&mut self, element: &Element<'_>, counted: &Counted, tokenizer: &Tokenizer) {
        let tokens =
            tokenizer.scale(counted.text).saturating_add(counted.framing).saturating_add(counted.media.tokens());
        self.characters = self.characters.saturating_add(counted.characters);
        self.exact &= counted.is_exact;
        self.is_whole &= counted.is_whole_text;
        counted.media.iter().for_each(|(modality, count, tokens)| self.media.add(modality, count, tokens));
        self.asks_for_cache |= counted.print.has_marker;
        let name = element.name.as_deref().map(bounded);
        let print = Print { hash: counted.print.hash, blocks: counted.print.blocks };
        self.parts.push(Part { component: element.component, kind: element.kind, name, tokens, print });
    }
}
