//! The layout of the generated tables: keys, hashes and classes that the build script writes and the counter reads.
//!
//! The build script compiles this very file, so that writer and reader cannot drift apart.
//! Invariants: pure integer functions, the same on every target; token ids fit [`ID_BITS`]; a slot number is below
//! the number of slots for every hash and pilot.
//! Must not know: files, encodings, text.

/// Bits of a token id. o200k_base has 199,998 tokens, 2^18 is 262,144.
pub(crate) const ID_BITS: u32 = 18;

/// The low bits of a pair slot: the merged id.
pub(crate) const ID_MASK: u64 = (1 << ID_BITS) - 1;

/// Bytes of a pair slot: 18 bits of merged id, and 22 for what tells the pair from others in its place.
pub(crate) const SLOT_BYTES: usize = 5;

/// A slot that holds no pair: its bits above the id are all set, which no [`Place::tag`] has.
pub(crate) const NO_PAIR: u64 = (1 << (8 * SLOT_BYTES)) - 1;

/// In the table of ASCII pairs: they do not merge.
pub(crate) const ASCII_NONE: u16 = u16::MAX;

/// In the table of ASCII pairs: the merged id does not fit, ask the table of all pairs.
pub(crate) const ASCII_ELSEWHERE: u16 = u16::MAX - 1;

/// The longest piece whose bytes and length fit eight bytes.
pub(crate) const SHORT_WORD: usize = 7;

/// The longest piece whose bytes and length fit sixteen bytes.
pub(crate) const LONG_WORD: usize = 15;

/// Where the length of a word lies in the last eight bytes of its key.
pub(crate) const LENGTH: u32 = 56;

/// Bits of a general category class, see the build script for what is in each.
pub(crate) mod class {
    /// `\p{Ll}`.
    pub(crate) const LOWER: u8 = 1;
    /// `\p{Lu}` and `\p{Lt}`.
    pub(crate) const UPPER: u8 = 2;
    /// `\p{Lm}` and `\p{Lo}`: letters that the o200k pattern takes for upper and for lower case.
    pub(crate) const CASELESS: u8 = 4;
    /// `\p{M}`.
    pub(crate) const MARK: u8 = 8;
    /// `\p{N}`.
    pub(crate) const NUMBER: u8 = 16;
    /// Carriage return and line feed, which are also white space.
    pub(crate) const NEWLINE: u8 = 32;
    /// `\s` without carriage return and line feed.
    pub(crate) const BLANK: u8 = 64;
    /// A byte that starts a longer character, in the table of bytes only.
    pub(crate) const WIDE: u8 = 128;
}

/// Code points per block of the two-stage class table.
pub(crate) const CLASS_BLOCK: usize = 128;

/// Two adjacent tokens, as 36 bits, the upper half of them well mixed. One to one, since the multiplication by an odd
/// number can be undone: the bits stand for the pair.
pub(crate) const fn pair(left: u32, right: u32) -> u64 {
    const BITS: u64 = (1 << (2 * ID_BITS)) - 1;
    let pair = ((left as u64) << ID_BITS) | right as u64;
    pair.wrapping_mul(0x9_E377_9B97) & BITS
}

/// The bucket of a pair, which knows the pilot that says where the pair lies: a number below `buckets`.
pub(crate) const fn bucket(pair: u64, buckets: usize) -> usize {
    (((pair >> ID_BITS) * buckets as u64) >> ID_BITS) as usize
}

/// Where a pair lies in the table, and what its slot holds beside the merged id.
pub(crate) struct Place {
    /// A number below the number of slots.
    pub(crate) slot: usize,
    /// The bits of the pair that the slot's number does not tell.
    pub(crate) tag: u64,
}

/// The place of a pair under its bucket's pilot.
///
/// The upper half of the pair picks the bucket, and with it the pilot. The lower half, scrambled and moved by what
/// upper half and pilot say, is the slot's number plus `turns` times the number of slots. So slot, `turns` and upper
/// half give the pair back: the tag holds the latter two, and equal places with equal tags are equal pairs.
#[expect(clippy::cast_possible_truncation, reason = "18 bits each, and fewer than 2^18 slots")]
pub(crate) const fn place(pair: u64, pilot: u16, slots: usize) -> Place {
    // All of it in 32 bits: a division by a constant is then a multiplication, in WebAssembly too.
    let (upper, lower, pilot) = ((pair >> ID_BITS) as u32, (pair & ID_MASK) as u32, pilot as u32);
    let mask = ID_MASK as u32;
    let scrambled = lower ^ (upper.wrapping_mul(2 * pilot + 1) & mask);
    let moved = scrambled + (pilot.wrapping_mul(0x9E37_79B9) >> (32 - ID_BITS));
    let turns = moved / slots as u32;
    Place { slot: (moved % slots as u32) as usize, tag: (turns << ID_BITS | upper) as u64 }
}

/// The bit of the span filter for the boundary between two characters of three bytes each, given as the last two
/// bytes of the left one and the three bytes of the right one; `bits` is a power of two.
pub(crate) const fn span_bit(left: [u8; 2], right: [u8; 3], bits: usize) -> usize {
    let key = u64::from_le_bytes([left[0], left[1], right[0], right[1], right[2], 0, 0, 0]);
    below(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32, bits)
}

/// Spreads the key of a short word over 64 bits.
pub(crate) const fn short_hash(key: u64) -> u64 {
    let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 32)
}

/// Spreads the key of a long word over 64 bits.
pub(crate) const fn long_hash(key: [u64; 2]) -> u64 {
    short_hash(key[0] ^ key[1].wrapping_mul(0xC2B2_AE3D_27D4_EB4F))
}

/// The bucket of a word in the dictionary, which knows its pilot: a number below `buckets`.
pub(crate) const fn word_bucket(hash: u64, buckets: usize) -> usize {
    below(hash >> 32, buckets)
}

/// The slot of a word in the dictionary under its bucket's pilot: a number below `slots`.
pub(crate) const fn word_slot(hash: u64, pilot: u16, slots: usize) -> usize {
    below(hash.wrapping_mul(0xD6E8_FEB8_6659_FD93_u64.wrapping_add((pilot as u64) << 1)) >> 32, slots)
}

/// Maps 32 random bits to a number below `limit` by a multiplication.
#[allow(clippy::cast_possible_truncation, reason = "the product of two numbers below 2^32, shifted, is below `limit`")]
const fn below(bits: u64, limit: usize) -> usize {
    ((bits * limit as u64) >> 32) as usize
}
