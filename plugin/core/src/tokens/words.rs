//! The word cache: token counts of short pieces, by their bytes.
//!
//! Direct-mapped: a piece has one slot, and the last one counted keeps it. It starts filled with the most frequent
//! short tokens and then holds the words of the traffic it sees.
//! Invariants: exact, because a slot holds the bytes and the length of its piece and both are compared; 256 KiB,
//! whatever comes.
//! Must not know: how a count was found.
use super::layout::{WORD_BYTES, WORD_SLOTS, word_slot};

/// Where the length of a piece lies in its key; the bits above it hold the count.
const LENGTH: u32 = 56;
const COUNT: u32 = 60;

/// The bytes of a piece of at most [`WORD_BYTES`], filled up with zeros, and its length.
pub(super) type Key = [u64; 2];

pub(super) struct Words(Vec<[u64; 2]>);

impl Words {
    /// A cache that knows that each of `tokens` (length, bytes, length, bytes, ...) is one token.
    pub(super) fn filled(mut tokens: &[u8]) -> Self {
        let mut words = Self(vec![[0; 2]; WORD_SLOTS]);
        while let Some((&len, rest)) = tokens.split_first() {
            let Some((token, rest)) = rest.split_at_checked(usize::from(len)) else { break };
            if let Some(key) = key(token, 0, token.len()) {
                words.put(key, 1);
            }
            tokens = rest;
        }
        words
    }

    /// The count of a piece, if its slot holds it.
    #[inline(always)]
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let [low, high] = *self.slot(key);
        let same = low == key[0] && high & !(u64::MAX << COUNT) == key[1];
        same.then_some(high >> COUNT)
    }

    /// Keeps the count of a piece: at most its length in bytes, which is below 16.
    #[expect(clippy::indexing_slicing, reason = "a slot number is below WORD_SLOTS")]
    pub(super) fn put(&mut self, key: Key, count: u64) {
        self.0[word_slot(key) % WORD_SLOTS] = [key[0], key[1] | count << COUNT];
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a slot number is below WORD_SLOTS")]
    fn slot(&self, key: Key) -> &[u64; 2] {
        &self.0[word_slot(key) % WORD_SLOTS]
    }
}

/// The key of `text[at..at + len]`, if it is not longer than a slot. Reads sixteen bytes at once where the text has
/// them, and blanks out those behind the piece.
#[inline(always)]
pub(super) fn key(text: &[u8], at: usize, len: usize) -> Option<Key> {
    let &mask = KEEP.get(len)?;
    let bytes = text.get(at..)?;
    let sixteen: [u8; 16] = match bytes.first_chunk() {
        Some(sixteen) => *sixteen,
        None => {
            let mut sixteen = [0; 16];
            for (to, from) in sixteen.iter_mut().zip(bytes) {
                *to = *from;
            }
            sixteen
        }
    };
    let all = u128::from_le_bytes(sixteen);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let [low, high] = [all as u64, (all >> 64) as u64];
    Some([low & mask[0], high & mask[1] | (len as u64) << LENGTH])
}

/// Masks that keep the first so many of sixteen bytes.
#[expect(clippy::indexing_slicing, reason = "evaluated when compiled")]
static KEEP: [[u64; 2]; WORD_BYTES + 1] = {
    let mut keep = [[0; 2]; WORD_BYTES + 1];
    let mut len = 1;
    while len <= WORD_BYTES {
        keep[len] =
            if len <= 8 { [u64::MAX >> (64 - 8 * len), 0] } else { [u64::MAX, u64::MAX >> (64 - 8 * (len - 8))] };
        len += 1;
    }
    keep
};
