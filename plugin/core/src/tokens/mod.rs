//! Exact token counts for OpenAI's encodings at memory speed.
//!
//! ```text
//! text -> split (pieces) -> dictionary and word cache -> merge (byte pair encoding) -> count
//!                       \-> estimate (beyond the budget, or one giant piece), flagged as not exact
//! ```
//! Counts equal those of `tiktoken`'s `encode_ordinary`: text that spells a special token is text. `split` cuts as the
//! published patterns do, `merge` shows why a table of pairs is enough, and `tables::may_span` why long pieces may be
//! cut further; dictionary (`tables::is_short_word`) and cache (`words`) compare whole pieces and only save work whose
//! result is known. `layout` is shared with the build script, which writes the tables.
//!
//! Invariants: an estimate never says `exact: true`; work is bounded by the [`Budget`], whatever the text; a new
//! [`Counter`] allocates nothing, a used one 256 KiB per encoding.
//! Must not know: messages, JSON, prices, providers' framing.
#![cfg_attr(
    not(any(feature = "o200k_base", feature = "cl100k_base")),
    allow(dead_code, unused_macros, unused_imports, reason = "without an encoding, all is estimated")
)]

mod estimate;
mod layout;
pub(crate) mod memo;
mod merge;
mod split;
mod tables;
mod words;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use layout::{LONG_WORD, SHORT_WORD};
use split::Splitter;
use tables::Vocabulary;
use words::Words;

/// A public tokenizer of OpenAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// gpt-4o and what came after it, the o-series, gpt-oss (whose `o200k_harmony` differs in special tokens only).
    O200kBase,
    /// gpt-4, gpt-3.5 and the embedding models.
    Cl100kBase,
}

impl Encoding {
    /// The encoding of an OpenAI model, by name, with or without a vendor in front (`openai/gpt-4o`) or a fine-tuning
    /// prefix (`ft:gpt-4o:org::id`). `None` for all others, and for OpenAI's models older than gpt-3.5-turbo, which
    /// are retired.
    ///
    /// gpt-6 is published without a tokenizer and taken for o200k_base, as every model since gpt-4o.
    #[must_use]
    pub fn for_model(model: &str) -> Option<Self> {
        // First match wins: a longer name stands before its prefix.
        const FAMILIES: [(&str, Encoding); 21] = [
            ("gpt-4o", Encoding::O200kBase),
            ("chatgpt-4o", Encoding::O200kBase),
            ("gpt-4.1", Encoding::O200kBase),
            ("gpt-4.5", Encoding::O200kBase),
            ("gpt-5", Encoding::O200kBase),
            ("gpt-6", Encoding::O200kBase),
            ("gpt-oss", Encoding::O200kBase),
            ("gpt-audio", Encoding::O200kBase),
            ("gpt-realtime", Encoding::O200kBase),
            ("o1", Encoding::O200kBase),
            ("o3", Encoding::O200kBase),
            ("o4", Encoding::O200kBase),
            ("codex-mini", Encoding::O200kBase),
            ("gpt-4", Encoding::Cl100kBase),
            ("gpt-3.5", Encoding::Cl100kBase),
            ("gpt-35", Encoding::Cl100kBase), // Azure's spelling
            ("davinci-002", Encoding::Cl100kBase),
            ("babbage-002", Encoding::Cl100kBase),
            ("text-embedding-ada-002", Encoding::Cl100kBase),
            ("text-embedding-3-small", Encoding::Cl100kBase),
            ("text-embedding-3-large", Encoding::Cl100kBase),
        ];
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        // Bedrock writes `openai.gpt-oss-120b-1:0`.
        let name = name.strip_prefix("openai.").unwrap_or(name);
        let belongs = |family: &str| {
            name.strip_prefix(family).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
        };
        FAMILIES.into_iter().find(|(family, _)| belongs(family)).map(|(_, encoding)| encoding)
    }
}

/// A number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub tokens: u64,
    /// Whether this is what the tokenizer itself would say, and not, or not entirely, an estimate.
    pub exact: bool,
}

/// How much work counting may still take. One budget spans all texts of a request.
///
/// The unit is one byte of a text that dictionary or cache know, measured at 7 to 11 ns in wasmtime on a loaded
/// two-core machine. A byte that has to be merged costs eight, sixteen or thirty-two, by the length of its piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    work: u64,
    reading: estimate::Allowance,
}

impl Budget {
    /// About 10 ms: 2^20 units. Measured per byte of text that was never seen before, prose takes 1.4 units, code
    /// and JSON 1.2 to 1.4, Chinese 2, so this is 500 to 850 KiB of it. What is beyond is estimated, by reading up to 1 MiB
    /// (1 ns a byte), and samples of the rest.
    #[must_use]
    pub const fn per_request() -> Self {
        Self { work: 1 << 20, reading: 1 << 20 }
    }

    /// No limit but that of one piece. For tests and tools, where nobody waits.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { work: u64::MAX, reading: u64::MAX }
    }

    /// Whether what is counted from here on is estimated for want of it.
    #[must_use]
    pub(crate) const fn is_spent(&self) -> bool {
        self.work == 0 || self.reading == 0
    }

    /// The units of work left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.work
    }
}

/// What merging a byte costs beyond looking its piece up, by the length of the piece: joining takes longer the more
/// there is to choose from.
const fn merging(len: usize) -> u64 {
    if len <= LONG_WORD {
        7
    } else if len <= merge::SHORT {
        15
    } else {
        31
    }
}

/// The longest piece that is counted; longer ones (a run of one letter, of spaces, of Thai without a space) are
/// estimated. At most 512 Ki units and 600 KiB of memory for one piece.
const LONGEST_PIECE: usize = 16 << 10;

/// Counts tokens, and remembers words: 256 KiB for each encoding. Clones remember together, so that a VM has one memory
/// however many configurations it has.
#[derive(Clone, Default)]
pub struct Counter {
    #[cfg(feature = "o200k_base")]
    o200k_base: Rc<RefCell<Option<Words>>>,
    #[cfg(feature = "cl100k_base")]
    cl100k_base: Rc<RefCell<Option<Words>>>,
}

impl Counter {
    /// A counter that has seen nothing. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the tokens of a text as the encoding's tokenizer would, as far as the budget reaches; estimates the
    /// rest, and says so. An encoding whose feature is off is always estimated.
    pub fn count(&mut self, encoding: Encoding, text: &str, budget: &mut Budget) -> Count {
        let text = text.as_bytes();
        match encoding {
            #[cfg(feature = "o200k_base")]
            Encoding::O200kBase => {
                count::<tables::O200kBase>(&mut self.o200k_base.borrow_mut(), encoding, text, budget)
            }
            #[cfg(feature = "cl100k_base")]
            Encoding::Cl100kBase => {
                count::<tables::Cl100kBase>(&mut self.cl100k_base.borrow_mut(), encoding, text, budget)
            }
            #[cfg(not(all(feature = "o200k_base", feature = "cl100k_base")))]
            _ => Count { tokens: estimate::tokens(encoding, text, &mut budget.reading), exact: false },
        }
    }
}

fn count<V: Vocabulary>(words: &mut Option<Words>, encoding: Encoding, text: &[u8], budget: &mut Budget) -> Count {
    // Every byte counted costs one unit or more, so that what lies beyond the budget need not even be split. If
    // something does, a piece that the splitter could only find by looking there is not known to be one.
    let affordable = usize::try_from(budget.work).unwrap_or(usize::MAX);
    let view = text.get(..affordable).unwrap_or(text);
    let cut = view.len() < text.len();
    let mut splitter = Splitter::new(view);
    let words = words.get_or_insert_with(Words::new);
    let mut tally = Tally::<V> { words, tokens: 0, work: 0, vocabulary: PhantomData };
    let mut exact = true;
    let mut at = 0;
    while at < view.len() && tally.work < budget.work {
        let end = splitter.end_of_piece(V::PATTERN, at);
        if end <= at || (cut && splitter.open) {
            break;
        }
        if end - at > LONGEST_PIECE {
            exact = false;
            let piece = view.get(at..end).unwrap_or_default();
            tally.work += piece.len() as u64;
            tally.tokens += estimate::tokens(encoding, piece, &mut budget.reading);
        } else if splitter.wide {
            tally.wide(view, at, end);
        } else {
            tally.part(view, at, end);
        }
        at = end;
    }
    if let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        exact = false;
        tally.tokens += estimate::tokens(encoding, rest, &mut budget.reading);
    }
    budget.work = budget.work.saturating_sub(tally.work);
    Count { tokens: tally.tokens, exact }
}

/// The sum so far, and the work done for it.
struct Tally<'a, V> {
    words: &'a mut Words,
    tokens: u64,
    work: u64,
    vocabulary: PhantomData<V>,
}

impl<V: Vocabulary> Tally<'_, V> {
    /// A piece, or a part of one that encodes as if it were alone.
    #[inline(always)]
    fn part(&mut self, text: &[u8], at: usize, end: usize) {
        let Self { words, work, .. } = self;
        let len = end - at;
        *work += len as u64;
        self.tokens += match len {
            0 => 0,
            1..=SHORT_WORD => {
                let key = words::short_key(text, at, len);
                let hash = layout::short_hash(key);
                if tables::is_short_word::<V>(key, hash) {
                    1
                } else {
                    words.short(key, hash, || merge::<V>(text, at, end, work))
                }
            }
            _ if len <= LONG_WORD => {
                let key = words::long_key(text, at, len);
                let hash = layout::long_hash(key);
                if tables::is_long_word::<V>(key, hash) {
                    1
                } else {
                    words.long(key, hash, || merge::<V>(text, at, end, work))
                }
            }
            _ if len <= words::LONGEST => {
                let piece = text.get(at..end).unwrap_or_default();
                words.line(piece, || merge::<V>(text, at, end, work))
            }
            _ => merge::<V>(text, at, end, work),
        };
    }

    /// A piece with characters of three bytes, cut where no token spans the boundary between two of them: Chinese
    /// sentences become words, which the dictionary and the cache know.
    #[inline(never)]
    fn wide(&mut self, text: &[u8], mut at: usize, end: usize) {
        let piece = text.get(..end).unwrap_or_default();
        // The last two bytes of the character of three bytes that ends at `next`.
        let mut left = None;
        let mut next = at;
        while let Some(&first) = piece.get(next) {
            let len = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                0xF0.. => 4,
            };
            let right = if len == 3 { piece.get(next..).and_then(|rest| rest.first_chunk::<3>()) } else { None };
            if let (Some(left), Some(&right)) = (left, right)
                && !tables::may_span::<V>(left, right)
            {
                self.part(piece, at, next);
                at = next;
            }
            left = right.map(|&[_, second, third]| [second, third]);
            next += len;
        }
        self.part(piece, at, end);
    }
}

/// Byte pair encoding, and what it costs.
#[inline(never)]
fn merge<V: Vocabulary>(text: &[u8], at: usize, end: usize, work: &mut u64) -> u64 {
    let piece = text.get(at..end).unwrap_or_default();
    *work += piece.len() as u64 * merging(piece.len());
    merge::count::<V>(piece)
}

#[cfg(all(test, feature = "o200k_base", feature = "cl100k_base"))]
mod tests {
    use super::*;

    #[test]
    fn models_have_the_encoding_that_openai_publishes() {
        for (model, encoding) in [
            ("gpt-4o", Some(Encoding::O200kBase)),
            ("gpt-4o-mini-2024-07-18", Some(Encoding::O200kBase)),
            ("gpt-4.1-nano", Some(Encoding::O200kBase)),
            ("gpt-5.1-codex", Some(Encoding::O200kBase)),
            ("openai/gpt-5", Some(Encoding::O200kBase)),
            ("ft:gpt-4o:acme::x1", Some(Encoding::O200kBase)),
            ("o3-mini", Some(Encoding::O200kBase)),
            ("openai.gpt-oss-120b-1:0", Some(Encoding::O200kBase)),
            ("gpt-4", Some(Encoding::Cl100kBase)),
            ("gpt-4-turbo", Some(Encoding::Cl100kBase)),
            ("gpt-3.5-turbo-0125", Some(Encoding::Cl100kBase)),
            ("gpt-35-turbo", Some(Encoding::Cl100kBase)),
            ("text-embedding-3-small", Some(Encoding::Cl100kBase)),
            ("claude-fable-5-2", None),
            ("gemini-2.5-pro", None),
            ("o1x", None),
            ("", None),
        ] {
            assert_eq!(Encoding::for_model(model), encoding, "{model}");
        }
    }

    #[test]
    fn a_spent_budget_leads_to_an_estimate_and_says_so() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(40_000);
        let mut counter = Counter::new();
        let whole = counter.count(Encoding::O200kBase, &text, &mut Budget::unlimited());
        let mut budget = Budget::per_request();
        let part = counter.count(Encoding::O200kBase, &text, &mut budget);
        assert!(whole.exact && !part.exact);
        assert!(part.tokens.abs_diff(whole.tokens) < whole.tokens / 5, "{part:?} for {whole:?}");
        assert!(!counter.count(Encoding::O200kBase, &text, &mut budget).exact);
        assert!(counter.count(Encoding::O200kBase, "", &mut Budget::per_request()).exact);
    }

    #[test]
    fn what_is_counted_is_paid_for() {
        let (mut counter, mut budget) = (Counter::new(), Budget::per_request());
        let before = budget.left();
        assert_eq!(counter.count(Encoding::Cl100kBase, " the", &mut budget), Count { tokens: 1, exact: true });
        assert_eq!(before - budget.left(), 4);
    }
}
