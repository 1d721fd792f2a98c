//! Exact token counts for OpenAI's encodings at memory speed.
//!
//! ```text
//! text -> split (pieces) -> words (cache of short pieces) -> merge (byte pair encoding) -> count
//!                       \-> estimate (beyond the budget, or one giant piece), flagged as not exact
//! ```
//! Counts equal `tiktoken`'s `encode_ordinary`: text that spells a special token is text. `split` cuts as the
//! published patterns do, `merge` proves why a table of pairs is enough, `words` and the span filter only avoid work
//! whose result is known. `layout` is shared with the build script, which writes the tables in `tables`.
//!
//! Invariants: `exact: true` is never said of an estimate; work is bounded by the [`Budget`] up to one piece's worth,
//! whatever the text; nothing is initialised before the first count.
//! Must not know: messages, JSON, models' prices, providers' framing.
mod estimate;
mod layout;
mod merge;
mod split;
mod tables;
mod words;

use split::Splitter;
use tables::Vocabulary;
use words::Words;

/// A public tokenizer of OpenAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// gpt-4o and everything after it, the o-series, and gpt-oss.
    O200kBase,
    /// gpt-4, gpt-3.5 and the embedding models.
    Cl100kBase,
}

impl Encoding {
    /// TEMPORARY.
    #[must_use]
    pub fn for_model(model: &str) -> Option<Self> {
        if model.starts_with("gpt-4o")
            || model.starts_with("gpt-4.")
            || model.starts_with("gpt-5")
            || model.starts_with("o")
            || model.starts_with("gpt-6")
        {
            return Some(Self::O200kBase);
        }
        if model.starts_with("gpt-") || model.starts_with("text-embedding") {
            return Some(Self::Cl100kBase);
        }
        None
    }
}

/// A number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub tokens: u64,
    /// Whether this is what the tokenizer itself would say, and not an estimate.
    pub exact: bool,
}

/// How much work counting may still take, in bytes of text that the word cache knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    work: u64,
}

impl Budget {
    /// For one request.
    #[must_use]
    pub const fn per_request() -> Self {
        Self { work: 1 << 20 }
    }

    /// For tests and tools.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { work: u64::MAX }
    }
}

const MISS: u64 = 6;
const LONGEST_PIECE: usize = 16 << 10;

/// Counts tokens.
#[derive(Default)]
pub struct Counter {
    #[cfg(feature = "o200k_base")]
    o200k_base: Option<Words>,
    #[cfg(feature = "cl100k_base")]
    cl100k_base: Option<Words>,
}

impl Counter {
    /// New.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "o200k_base")]
            o200k_base: None,
            #[cfg(feature = "cl100k_base")]
            cl100k_base: None,
        }
    }

    /// Counts.
    pub fn count(&mut self, encoding: Encoding, text: &str, budget: &mut Budget) -> Count {
        match encoding {
            #[cfg(feature = "o200k_base")]
            Encoding::O200kBase => count::<tables::O200kBase>(&mut self.o200k_base, text.as_bytes(), budget),
            #[cfg(feature = "cl100k_base")]
            Encoding::Cl100kBase => count::<tables::Cl100kBase>(&mut self.cl100k_base, text.as_bytes(), budget),
            #[allow(unreachable_patterns)]
            _ => Count { tokens: estimate::tokens(text.as_bytes()), exact: false },
        }
    }
}

fn count<V: Vocabulary>(words: &mut Option<Words>, text: &[u8], budget: &mut Budget) -> Count {
    let words = words.get_or_insert_with(|| Words::filled(V::WORDS));
    let affordable = usize::try_from(budget.work).unwrap_or(usize::MAX);
    let view = text.get(..affordable).unwrap_or(text);
    let cut = view.len() < text.len();
    let mut splitter = Splitter::new(view);
    let mut tally = Tally::<V> { words, tokens: 0, work: 0, vocabulary: std::marker::PhantomData };
    let mut exact = true;
    let mut at = 0;
    while at < view.len() {
        let end = splitter.end_of_piece(V::PATTERN, at);
        if end <= at || (cut && splitter.open) {
            break;
        }
        if tally.work >= budget.work {
            break;
        }
        if end - at > LONGEST_PIECE {
            exact = false;
            tally.work += (end - at) as u64;
            tally.tokens += estimate::tokens(view.get(at..end).unwrap_or_default());
        } else if splitter.wide {
            tally.wide(view, at, end);
        } else {
            tally.part(view, at, end);
        }
        at = end;
    }
    if at < text.len() {
        exact = false;
        tally.tokens += estimate::tokens(text.get(at..).unwrap_or_default());
    }
    budget.work = budget.work.saturating_sub(tally.work);
    Count { tokens: tally.tokens, exact }
}

struct Tally<'a, V> {
    words: &'a mut Words,
    tokens: u64,
    work: u64,
    vocabulary: std::marker::PhantomData<V>,
}

impl<V: Vocabulary> Tally<'_, V> {
    #[inline(always)]
    fn part(&mut self, text: &[u8], at: usize, end: usize) {
        let len = end - at;
        self.work += len as u64;
        let Some(key) = words::key(text, at, len) else { return self.long(text, at, end) };
        match self.words.get(key) {
            Some(count) => self.tokens += count,
            None => self.miss(text, at, end, key),
        }
    }

    #[inline(never)]
    fn miss(&mut self, text: &[u8], at: usize, end: usize, key: words::Key) {
        let count = merge::count::<V>(text.get(at..end).unwrap_or_default());
        self.words.put(key, count);
        self.tokens += count;
        self.work += MISS * (end - at) as u64;
    }

    #[inline(never)]
    fn long(&mut self, text: &[u8], at: usize, end: usize) {
        self.tokens += merge::count::<V>(text.get(at..end).unwrap_or_default());
        self.work += MISS * (end - at) as u64;
    }

    #[inline(never)]
    fn wide(&mut self, text: &[u8], mut at: usize, end: usize) {
        let piece = text.get(..end).unwrap_or_default();
        // The last two bytes of the character of three bytes that ends at `next`.
        let mut left = None;
        let mut next = at;
        while let Some(&first) = piece.get(next) {
            let len = match first {
                ..0x80 => 1,
                ..0xE0 => 2,
                ..0xF0 => 3,
                _ => 4,
            };
            let right = if len == 3 { piece.get(next..).and_then(|rest| rest.first_chunk::<3>()) } else { None };
            if let (Some(left), Some(&right)) = (left, right) {
                if !tables::may_span::<V>(left, right) {
                    self.part(piece, at, next);
                    at = next;
                }
            }
            left = right.map(|&[_, second, third]| [second, third]);
            next += len;
        }
        self.part(piece, at, end);
    }
}
