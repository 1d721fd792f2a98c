//! The generated tables, embedded in the filter, one type per encoding.
//!
//! A table is read where it lies in the module's static data: nothing is parsed, copied or allocated at start, and a
//! host that maps the module once shares them between its VMs.
//! Invariants: the bytes are those the build script wrote; `tests::the_tables_are_the_recorded_ones` pins them.
//! Must not know: how texts are split, cached or budgeted.
use super::layout;

/// What the counter needs to know of one encoding. A type and not a value, so that every length is a constant of the
/// compiled code.
pub(super) trait Vocabulary {
    /// The pattern that splits texts into pieces, by its parser.
    const PATTERN: super::split::Pattern;
    /// The token of each byte.
    const BYTES: &'static [u8; 256];
    /// Pairs and their merged ids under the perfect hash, see [`merged`].
    const SLOTS: &'static [[u8; 8]];
    /// The pilot of each bucket of the perfect hash.
    const PILOTS: &'static [[u8; 2]];
    /// The hashed set of boundaries between characters that a token may span, see [`may_span`].
    const SPANS: &'static [u8];
    /// The same for tokens that hold only one byte on either side, by first byte of the right character.
    const LEADS: &'static [[u8; 8]];
    /// Frequent short tokens, each as its length and its bytes.
    const WORDS: &'static [u8];
}

/// Aligns a table, so that no entry straddles two cache lines.
#[repr(align(64))]
struct Aligned<T>(T);

macro_rules! table {
    ($($name:literal),+) => {{
        const BYTES: &[u8; include_bytes!(concat!(env!("OUT_DIR"), "/tokens.", $($name,)+ ".bin")).len()] =
            include_bytes!(concat!(env!("OUT_DIR"), "/tokens.", $($name,)+ ".bin"));
        static TABLE: Aligned<[u8; BYTES.len()]> = Aligned(*BYTES);
        &TABLE.0
    }};
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $type:ident, $name:literal, $pattern:ident) => {
        $(#[$doc])*
        pub(super) struct $type;

        impl Vocabulary for $type {
            const PATTERN: super::split::Pattern = super::split::Pattern::$pattern;
            const BYTES: &'static [u8; 256] = table!($name, ".bytes");
            const SLOTS: &'static [[u8; 8]] = table!($name, ".slots").as_chunks().0;
            const PILOTS: &'static [[u8; 2]] = table!($name, ".pilots").as_chunks().0;
            const SPANS: &'static [u8] = table!($name, ".spans");
            const LEADS: &'static [[u8; 8]] = table!($name, ".leads").as_chunks().0;
            const WORDS: &'static [u8] = table!($name, ".words");
        }
    };
}

#[cfg(feature = "o200k_base")]
vocabulary!(
    /// o200k_base: 199,998 ordinary tokens.
    O200kBase, "o200k_base", O200k
);
#[cfg(feature = "cl100k_base")]
vocabulary!(
    /// cl100k_base: 100,256 ordinary tokens.
    Cl100kBase, "cl100k_base", Cl100k
);

/// No rank: greater than every token id.
pub(super) const NO_ID: u32 = u32::MAX;

/// The token that two adjacent tokens merge into, [`NO_ID`] when there is none.
///
/// The hash is perfect on the pairs that merge; any other pair lands on some slot too, and is told apart by the full
/// key that the slot holds. The answer is exact for every input.
#[inline(always)]
pub(super) fn merged<V: Vocabulary>(left: u32, right: u32) -> u32 {
    let key = layout::pair_key(left, right);
    let hash = layout::pair_hash(key);
    let bucket = layout::pair_bucket(hash, V::PILOTS.len());
    let pilot = V::PILOTS.get(bucket).map_or(0, |pilot| u16::from_le_bytes(*pilot));
    let place = layout::pair_slot(hash, pilot, V::SLOTS.len());
    let slot = V::SLOTS.get(place).map_or(layout::NO_PAIR, |slot| u64::from_le_bytes(*slot));
    #[expect(clippy::cast_possible_truncation, reason = "the mask leaves 18 bits")]
    let id = (slot & layout::ID_MASK) as u32;
    if slot >> layout::ID_BITS == key { id } else { NO_ID }
}

/// Whether some token may hold bytes of both characters around a boundary; `left` is the last two bytes of a
/// character of three bytes, `right` all three of one.
///
/// Errs on one side only: `false` is certain, and then byte pair encoding, which only ever joins bytes into tokens,
/// cannot join across the boundary. The two sides encode as if each were alone.
#[inline]
pub(super) fn may_span<V: Vocabulary>(left: [u8; 2], right: [u8; 3]) -> bool {
    let bit = layout::span_bit(left, right, V::SPANS.len() * 8);
    let hashed = V::SPANS.get(bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 == 1);
    let by_lead = V::LEADS.get(usize::from(right[0] & 15)).is_none_or(|mask| {
        let mask = u64::from_le_bytes(*mask);
        mask >> (left[1] & 63) & 1 == 1
    });
    hashed || by_lead
}

/// The class of a character outside ASCII.
#[inline]
pub(super) fn class_of(character: u32) -> u8 {
    const BLOCKS: &[u8] = table!("classes1");
    const CLASSES: &[[u8; layout::CLASS_BLOCK]] = table!("classes2").as_chunks().0;
    let Ok(character) = usize::try_from(character) else { return 0 };
    let block = BLOCKS.get(character / layout::CLASS_BLOCK).and_then(|&block| CLASSES.get(usize::from(block)));
    block.and_then(|classes| classes.get(character % layout::CLASS_BLOCK)).copied().unwrap_or(0)
}

/// The class of every byte: of the character it is, or [`layout::class::WIDE`].
#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated when compiled; below 256")]
pub(super) static CLASS_OF_BYTE: [u8; 256] = {
    use layout::class;
    let mut classes = [class::WIDE; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => class::LOWER,
            b'A'..=b'Z' => class::UPPER,
            b'0'..=b'9' => class::NUMBER,
            b'\r' | b'\n' => class::NEWLINE,
            b'\t' | 0x0B | 0x0C | b' ' => class::BLANK,
            _ => 0,
        };
        byte += 1;
    }
    classes
};
