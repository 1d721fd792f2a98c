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
    const SLOTS: &'static [[u8; layout::SLOT_BYTES]];
    /// The pilot of each bucket of the perfect hash.
    const PILOTS: &'static [[u8; 2]];
    /// What two ASCII bytes merge into, see [`merged_bytes`].
    const ASCII: &'static [[u8; 2]];
    /// The hashed set of boundaries between characters that a token may span, see [`may_span`].
    const SPANS: &'static [u8];
    /// The same for tokens that hold only one byte on either side, by first byte of the right character.
    const LEADS: &'static [[u8; 8]];
    /// The dictionary: frequent tokens of up to seven bytes, see [`is_short_word`].
    const SHORT_WORDS: &'static [[u8; 8]];
    /// The pilot of each bucket of it.
    const SHORT_PILOTS: &'static [[u8; 2]];
    /// The dictionary: frequent tokens of eight to fifteen bytes, see [`is_long_word`].
    const LONG_WORDS: &'static [[u8; 16]];
    /// The pilot of each bucket of it.
    const LONG_PILOTS: &'static [[u8; 2]];
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
            const SLOTS: &'static [[u8; layout::SLOT_BYTES]] = table!($name, ".slots").as_chunks().0;
            const PILOTS: &'static [[u8; 2]] = table!($name, ".pilots").as_chunks().0;
            const ASCII: &'static [[u8; 2]] = table!($name, ".ascii").as_chunks().0;
            const SPANS: &'static [u8] = table!($name, ".spans");
            const LEADS: &'static [[u8; 8]] = table!($name, ".leads").as_chunks().0;
            const SHORT_WORDS: &'static [[u8; 8]] = table!($name, ".short_words").as_chunks().0;
            const SHORT_PILOTS: &'static [[u8; 2]] = table!($name, ".short_pilots").as_chunks().0;
            const LONG_WORDS: &'static [[u8; 16]] = table!($name, ".long_words").as_chunks().0;
            const LONG_PILOTS: &'static [[u8; 2]] = table!($name, ".long_pilots").as_chunks().0;
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
    let pair = layout::pair(left, right);
    let pilot = V::PILOTS.get(layout::bucket(pair, V::PILOTS.len()));
    let place = layout::place(pair, pilot.map_or(0, |pilot| u16::from_le_bytes(*pilot)), V::SLOTS.len());
    let slot = V::SLOTS.get(place.slot).map_or(layout::NO_PAIR, |&[low, a, b, c, high]| {
        u64::from(u32::from_le_bytes([low, a, b, c])) | u64::from(high) << 32
    });
    let id = (slot & layout::ID_MASK) as u32;
    if slot >> layout::ID_BITS == place.tag { id } else { NO_ID }
}

/// The token that two adjacent bytes merge into, [`NO_ID`] when there is none.
#[inline(always)]
pub(super) fn merged_bytes<V: Vocabulary>(left: u8, right: u8) -> u32 {
    let ascii = if left | right < 0x80 {
        V::ASCII.get(usize::from(left) * 128 + usize::from(right)).map(|id| u16::from_le_bytes(*id))
    } else {
        None
    };
    match ascii {
        Some(layout::ASCII_NONE) => NO_ID,
        None | Some(layout::ASCII_ELSEWHERE) => merged::<V>(token_of_byte::<V>(left), token_of_byte::<V>(right)),
        Some(id) => u32::from(id),
    }
}

/// The token that a byte is.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
pub(super) fn token_of_byte<V: Vocabulary>(byte: u8) -> u32 {
    u32::from(V::BYTES[usize::from(byte)])
}

/// Whether a piece of up to seven bytes, given as its key, is in the dictionary and hence one token.
///
/// Exact, because a slot holds all bytes and the length of its word. Which tokens are in it is a matter of speed only.
#[inline(always)]
pub(super) fn is_short_word<V: Vocabulary>(key: u64, hash: u64) -> bool {
    let pilot = V::SHORT_PILOTS.get(layout::word_bucket(hash, V::SHORT_PILOTS.len()));
    let pilot = pilot.map_or(0, |pilot| u16::from_le_bytes(*pilot));
    let word = V::SHORT_WORDS.get(layout::word_slot(hash, pilot, V::SHORT_WORDS.len()));
    word.is_some_and(|word| u64::from_le_bytes(*word) == key)
}

/// The same for eight to fifteen bytes.
#[inline(always)]
pub(super) fn is_long_word<V: Vocabulary>(key: [u64; 2], hash: u64) -> bool {
    let pilot = V::LONG_PILOTS.get(layout::word_bucket(hash, V::LONG_PILOTS.len()));
    let pilot = pilot.map_or(0, |pilot| u16::from_le_bytes(*pilot));
    let word = V::LONG_WORDS.get(layout::word_slot(hash, pilot, V::LONG_WORDS.len()));
    word.is_some_and(|word| {
        let both = u128::from_le_bytes(*word);
        both == u128::from(key[0]) | u128::from(key[1]) << 64
    })
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

#[cfg(all(test, feature = "o200k_base", feature = "cl100k_base"))]
mod tests {
    use super::*;

    /// FNV-1a of all tables of a vocabulary, one after another.
    fn checksum<V: Vocabulary>() -> u64 {
        let parts: [&[u8]; 11] = [
            V::BYTES,
            V::SLOTS.as_flattened(),
            V::PILOTS.as_flattened(),
            V::ASCII.as_flattened(),
            V::SPANS,
            V::LEADS.as_flattened(),
            V::SHORT_WORDS.as_flattened(),
            V::SHORT_PILOTS.as_flattened(),
            V::LONG_WORDS.as_flattened(),
            V::LONG_PILOTS.as_flattened(),
            &(0..0x11_0000).map(class_of).collect::<Vec<u8>>(),
        ];
        parts
            .into_iter()
            .flatten()
            .fold(0xCBF2_9CE4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    }

    /// Generation is deterministic, on every machine: a change here is a change of vocabulary, of Unicode version, or
    /// of layout, and belongs into the change log.
    #[test]
    fn the_tables_are_the_recorded_ones() {
        assert_eq!(
            [checksum::<O200kBase>(), checksum::<Cl100kBase>()],
            [7_156_536_400_480_492_183, 6_656_223_061_883_381_044]
        );
    }

    #[test]
    fn ascii_has_the_same_classes_as_bytes_and_as_characters() {
        for byte in 0..128_u8 {
            assert_eq!(CLASS_OF_BYTE[usize::from(byte)], class_of(u32::from(byte)), "{byte:#x}");
        }
    }
}
