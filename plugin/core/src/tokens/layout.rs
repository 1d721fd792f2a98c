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

/// A slot that holds no pair. No key has its bits above `2 * ID_BITS` set, so it equals none.
pub(crate) const NO_PAIR: u64 = u64::MAX;

/// Entries of the word cache, a power of two.
pub(crate) const WORD_SLOTS: usize = 1 << 14;

/// The longest piece the word cache holds, in bytes: a key is these bytes and one length byte.
pub(crate) const WORD_BYTES: usize = 15;

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

/// The key of two adjacent tokens.
pub(crate) const fn pair_key(left: u32, right: u32) -> u64 {
    ((left as u64) << ID_BITS) | right as u64
}

/// Spreads a pair key over 64 bits.
pub(crate) const fn pair_hash(key: u64) -> u64 {
    let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 32)
}

/// The pilot that decides where a pair of this hash lies: a number below `buckets`.
pub(crate) const fn pair_bucket(hash: u64, buckets: usize) -> usize {
    below(hash >> 32, buckets)
}

/// Where a pair of this hash lies under its bucket's pilot: a number below `slots`.
pub(crate) const fn pair_slot(hash: u64, pilot: u16, slots: usize) -> usize {
    below(hash.wrapping_mul(0xD6E8_FEB8_6659_FD93_u64.wrapping_add((pilot as u64) << 1)) >> 32, slots)
}

/// The bit of the span filter for the boundary between two characters of three bytes each, given as the last two
/// bytes of the left one and the three bytes of the right one; `bits` is a power of two.
pub(crate) const fn span_bit(left: [u8; 2], right: [u8; 3], bits: usize) -> usize {
    let key = u64::from_le_bytes([left[0], left[1], right[0], right[1], right[2], 0, 0, 0]);
    below(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32, bits)
}

/// The slot of the word cache for a piece's key.
pub(crate) const fn word_slot(key: [u64; 2]) -> usize {
    let hash = key[0].wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ key[1].wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    below((hash ^ (hash >> 29)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32, WORD_SLOTS)
}

/// Maps 32 random bits to a number below `limit` by a multiplication.
#[expect(clippy::cast_possible_truncation, reason = "the product of two numbers below 2^32, shifted, is below `limit`")]
const fn below(bits: u64, limit: usize) -> usize {
    ((bits * limit as u64) >> 32) as usize
}
