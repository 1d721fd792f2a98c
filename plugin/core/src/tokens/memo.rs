//! The memo: what counting an element of a prompt yields, by a keyed hash of its bytes.
//!
//! An agent sends its whole history again with every step. What was counted once then costs a hash of its bytes, not
//! reading and counting them.
//!
//! The key is SipHash-1-3 of all that decides how an element is read and of its bytes, under a secret of 128 bits that the
//! caller draws when the VM starts. Of a long element, SipHash takes up XXH3 of the bytes, ten times as fast, under
//! a secret that SipHash makes of the first one. Nobody outside sees a hash. By chance, one pair of elements in 2^64 collides;
//! XXH3 is no pseudorandom function, but pairs made so that its sums may cancel out do so under one secret in 2^32, and
//! only whoever knows the secret can tell which. A collision makes one count wrong and nothing else.
//!
//! Invariants: a set has four ways, the least recently used makes room; the memo is empty at first, doubles when a
//! quarter of its entries have been displaced, and never exceeds [`ENTRIES_MAX`] of 32 bytes, 512 KiB.
//! Must not know: messages, JSON, how counts are made.

use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3;

/// Entries in a set.
const WAYS: usize = 4;
/// Sets of a memo that is used for the first time.
const SETS_MIN: usize = 1 << 8;
/// The most sets.
const SETS_MAX: usize = ENTRIES_MAX / WAYS;
/// The most entries: conversations of four hundred messages, forty of them at once.
const ENTRIES_MAX: usize = 1 << 14;

/// The longest bytes that SipHash takes up itself.
const SHORT: usize = 128;
/// Bytes of XXH3's secret.
const DIGEST_SECRET: usize = 192;

/// Remembers a value for each of the last keys. One per VM.
pub(crate) struct Memo<T> {
    secret: [u64; 2],
    digest_secret: [u8; DIGEST_SECRET],
    /// The most recently used first; a key of 0 stands for no entry.
    sets: Vec<[(u64, T); WAYS]>,
    displaced: usize,
}

impl<T: Copy + Default> Memo<T> {
    /// An empty memo under a secret. Allocates nothing.
    pub(crate) fn new(secret: [u64; 2]) -> Self {
        let mut digest_secret = [0; DIGEST_SECRET];
        for (word, place) in (0_u64..).zip(digest_secret.chunks_mut(8)) {
            let mut hasher = SipHasher13::new_with_keys(secret[0], secret[1]);
            hasher.write_u64(word);
            place.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Self { secret, digest_secret, sets: Vec::new(), displaced: 0 }
    }

    /// A hasher that begins with what the keys of a request have in common.
    pub(crate) fn hasher(&self, common: &impl Hash) -> KeyHasher {
        let [first, second] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        common.hash(&mut hasher);
        KeyHasher { hasher, digest_secret: self.digest_secret }
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, key: Key) -> Option<T> {
        let set = self.set(key)?;
        let way = set.iter().position(|(known, _)| *known == key.0)?;
        // The first one is the most recently used.
        set.get_mut(..=way)?.rotate_right(1);
        Some(set.first()?.1)
    }

    /// Keeps a value, in the place of the one in its set that was used least recently.
    pub(crate) fn insert(&mut self, key: Key, value: T) {
        if self.displaced.saturating_mul(4) >= self.sets.len().saturating_mul(WAYS) {
            self.grow();
        }
        let Some(set) = self.set(key) else { return };
        set.rotate_right(1);
        let [first, ..] = set;
        let displaces = first.0 != 0;
        *first = (key.0, value);
        self.displaced = self.displaced.saturating_add(usize::from(displaces));
    }

    fn set(&mut self, key: Key) -> Option<&mut [(u64, T); WAYS]> {
        let set = usize::try_from(key.0 >> 32).ok()?.checked_rem(self.sets.len())?;
        self.sets.get_mut(set)
    }

    /// Doubles the sets, as long as that is allowed, and places what is known anew.
    fn grow(&mut self) {
        self.displaced = 0;
        let sets = self.sets.len().saturating_mul(2).clamp(SETS_MIN, SETS_MAX);
        if sets == self.sets.len() {
            return;
        }
        let known = std::mem::replace(&mut self.sets, vec![[(0, T::default()); WAYS]; sets]);
        // The least recently used first, so that they end behind the others.
        for (key, value) in known.into_iter().flat_map(|set| set.into_iter().rev()).filter(|(key, _)| *key != 0) {
            if let Some(set) = self.set(Key(key)) {
                set.rotate_right(1);
                let [first, ..] = set;
                *first = (key, value);
            }
        }
    }
}

/// What an element is remembered by; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// The hash itself.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// Hashes the elements of one request.
#[derive(Clone)]
pub(crate) struct KeyHasher {
    hasher: SipHasher13,
    digest_secret: [u8; DIGEST_SECRET],
}

impl KeyHasher {
    /// The key of an element's bytes.
    pub(crate) fn key(&self, kind: &impl Hash, bytes: &[u8]) -> Key {
        let mut hasher = self.hasher;
        kind.hash(&mut hasher);
        if bytes.len() <= SHORT {
            hasher.write(bytes);
        } else {
            hasher.write_usize(bytes.len());
            hasher.write_u128(xxh3::xxh3_128_with_secret(bytes, &self.digest_secret));
        }
        Key(hasher.finish().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(memo: &Memo<u32>, text: &str) -> Key {
        memo.hasher(&0_u8).key(&0_u8, text.as_bytes())
    }

    #[test]
    fn what_was_kept_is_found_until_four_others_of_its_set_came_after() {
        let mut memo = Memo::new([1, 2]);
        memo.insert(Key(1), 1_u32);
        assert_eq!(memo.get(Key(1)), Some(1));
        // All keys below 2^32 share a set.
        (2..=4).for_each(|key| memo.insert(Key(key), 0));
        assert_eq!(memo.get(Key(1)), Some(1));
        (5..=7).for_each(|key| memo.insert(Key(key), 0));
        assert_eq!((memo.get(Key(1)), memo.get(Key(2))), (Some(1), None));
        (8..=11).for_each(|key| memo.insert(Key(key), 0));
        assert_eq!(memo.get(Key(1)), None);
    }

    #[test]
    fn a_memo_grows_with_what_it_is_asked_to_keep_up_to_its_bound() {
        let mut memo = Memo::new([1, 2]);
        assert_eq!((memo.sets.len(), memo.get(Key(1))), (0, None));
        let keys: Vec<Key> = (0..400_u32).map(|text| key(&memo, &text.to_string())).collect();
        keys.iter().zip(0..).for_each(|(key, value)| memo.insert(*key, value));
        assert_eq!(memo.sets.len(), SETS_MIN);
        for text in 0..100_000_u32 {
            let key = key(&memo, &text.to_string());
            memo.insert(key, text);
            assert_eq!(memo.get(key), Some(text));
        }
        assert_eq!(memo.sets.len(), SETS_MAX);
        assert!(size_of_val(memo.sets.as_slice()) <= 512 << 10);
        let kept = (95_000..100_000_u32).filter(|text| memo.get(key(&memo, &text.to_string())) == Some(*text)).count();
        assert!(kept > 4_500, "{kept} of 5,000");
    }

    #[test]
    fn growing_loses_nothing_that_has_room() {
        let mut memo = Memo::new([3, 4]);
        let keys: Vec<Key> = (0..200_u32).map(|text| key(&memo, &text.to_string())).collect();
        keys.iter().zip(0..).for_each(|(key, value)| memo.insert(*key, value));
        memo.grow();
        assert_eq!(memo.sets.len(), SETS_MIN * 2);
        let kept = keys.iter().zip(0..).filter(|(key, value)| memo.get(**key) == Some(*value)).count();
        assert!(kept > 195, "{kept} of 200");
    }

    #[test]
    fn secret_and_reading_are_part_of_the_key() {
        let key = |secret, common: u8, kind: u8| Memo::<u32>::new(secret).hasher(&common).key(&kind, b"text");
        let keys = [key([1, 2], 0, 0), key([1, 3], 0, 0), key([1, 2], 1, 0), key([1, 2], 0, 1)];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).all(|other| other != one));
        }
    }
}
