//! The word cache: token counts of pieces that the dictionary lacks, by their bytes.
//!
//! Direct-mapped: a piece has one slot, and the last one counted keeps it. There is a table for each size of key, so
//! that the many short pieces take eight bytes each.
//! Invariants: exact, because a slot holds all bytes and the length of its piece and both are compared; 256 KiB,
//! whatever comes; empty at start, which costs a zeroed allocation and nothing else.
//! Must not know: how a count was found.
use super::layout::{LENGTH, LONG_WORD, SHORT_WORD};

const SHORT_SLOTS: usize = 1 << 14;
const LONG_SLOTS: usize = 1 << 12;
const LINE_SLOTS: usize = 1 << 9;

/// The longest piece that is kept: rulers of dashes, indentation, identifiers.
pub(super) const LONGEST: usize = 120;

/// In the eight bytes of a key that hold the length, the bits above it hold the count.
const COUNT: u32 = LENGTH + 4;
const KEY: u64 = !(u64::MAX << COUNT);

/// A piece of up to 120 bytes, filled up with zeros, and its length below its count.
type Line = [u64; 16];

pub(super) struct Words {
    short: Box<[u64]>,
    long: Box<[[u64; 2]]>,
    lines: Box<[Line]>,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            short: vec![0; SHORT_SLOTS].into(),
            long: vec![[0; 2]; LONG_SLOTS].into(),
            lines: vec![[0; 16]; LINE_SLOTS].into(),
        }
    }

    /// The count of a piece of up to seven bytes, by its key and hash, counted by `count` if it is not known.
    #[inline(always)]
    pub(super) fn short(&mut self, key: u64, hash: u64, count: impl FnOnce() -> u64) -> u64 {
        let Some(slot) = self.short.get_mut(slot(hash, SHORT_SLOTS)) else { return count() };
        if *slot & KEY != key {
            *slot = key | count() << COUNT;
        }
        *slot >> COUNT
    }

    /// The same for eight to fifteen bytes.
    #[inline(always)]
    pub(super) fn long(&mut self, key: [u64; 2], hash: u64, count: impl FnOnce() -> u64) -> u64 {
        let Some(slot) = self.long.get_mut(slot(hash, LONG_SLOTS)) else { return count() };
        if slot[0] != key[0] || slot[1] & KEY != key[1] {
            *slot = [key[0], key[1] | count() << COUNT];
        }
        slot[1] >> COUNT
    }

    /// The same for up to [`LONGEST`] bytes.
    pub(super) fn line(&mut self, piece: &[u8], count: impl FnOnce() -> u64) -> u64 {
        let mut line: Line = [0; 16];
        let mut hash = piece.len() as u64;
        for (word, bytes) in line.iter_mut().zip(piece.chunks(8)) {
            *word = padded(bytes);
            hash = (hash ^ *word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 32;
        }
        let [.., meta] = &mut line;
        *meta = piece.len() as u64;
        let Some(slot) = self.lines.get_mut(slot(hash, LINE_SLOTS)) else { return count() };
        let ([known @ .., known_meta], [asked @ .., _]) = (&*slot, &line);
        if known != asked || known_meta & 0xFF != piece.len() as u64 {
            let [.., meta] = &mut line;
            *meta |= count() << 8;
            *slot = line;
        }
        let [.., meta] = slot;
        *meta >> 8
    }
}

/// A slot for a hash, from its low bits: the dictionary, which is asked first, uses the high ones.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are all that is wanted")]
const fn slot(hash: u64, slots: usize) -> usize {
    hash as usize % slots
}

/// The key of `text[at..at + len]`, one to seven bytes, which are in the text. Reads eight bytes at once where the
/// text has them, and blanks out those behind the piece.
#[inline(always)]
pub(super) fn short_key(text: &[u8], at: usize, len: usize) -> u64 {
    debug_assert!((1..=SHORT_WORD).contains(&len));
    let bytes = text.get(at..).unwrap_or_default();
    let eight = bytes.first_chunk().map_or_else(|| padded(bytes), |eight| u64::from_le_bytes(*eight));
    eight & u64::MAX >> (64 - 8 * len) | (len as u64) << LENGTH
}

/// The same for eight to fifteen bytes.
#[inline(always)]
pub(super) fn long_key(text: &[u8], at: usize, len: usize) -> [u64; 2] {
    debug_assert!((SHORT_WORD + 1..=LONG_WORD).contains(&len));
    let low = text.get(at..at + 8).map_or(0, padded);
    // The last eight bytes of the piece, without those that are in `low` already.
    let high = text.get(at + len - 8..at + len).map_or(0, padded);
    let high = if len == 8 { 0 } else { high >> (8 * (16 - len)) };
    [low, high | (len as u64) << LENGTH]
}

/// Up to eight bytes as a number, filled up with zeros.
#[inline(always)]
fn padded(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)),
    }
}
