//! Buckets: the shared values of the ledger, each with the records of the keys that fall to it.
//!
//! Invariants: a bucket has at most `ENTRIES_MAX` entries and `BYTES_MAX` bytes; expired entries are gone when it is
//! read; a value that is not a bucket is never replaced.
//! Must not know: what records mean; how a change is written.
#![deny(clippy::arithmetic_side_effects)]

use super::{Key, Record};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Most entries of a bucket. A hundred thousand keys spread over 8,192 buckets leave this far away.
const ENTRIES_MAX: usize = 64;
/// Most entries of a bucket that may be dropped: what clients can make up grows no further.
const EVICTABLE_MAX: usize = 16;
/// Largest value of a bucket, in bytes.
const BYTES_MAX: usize = 32 * 1024;
/// Tells buckets from values of anything else, and their encoding from earlier ones.
const MAGIC: &str = "tollgate/3";

/// How many buckets there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets(u32);

impl Buckets {
    /// In a gateway's shared data.
    pub const SHARED: Self = Self(8_192);
    /// In the memory of one worker.
    pub const LOCAL: Self = Self(256);

    /// The bucket that a key falls to.
    #[must_use]
    pub fn of<R>(self, key: &Key<R>) -> BucketId {
        let hash = fnv1a(key.as_str().as_bytes());
        BucketId(u32::try_from(hash.checked_rem(u64::from(self.0)).unwrap_or(0)).unwrap_or(0))
    }

    /// Every bucket, for what must look at all of them.
    pub fn all(self) -> impl Iterator<Item = BucketId> {
        (0..self.0).map(BucketId)
    }
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId(u32);

impl BucketId {
    /// The key of its shared value. Keys of one length that differ in their last four bytes alone have different
    /// CRC32s, which is all that Kong compares.
    #[must_use]
    pub fn shared_key(self) -> String {
        format!("tollgate/bucket/{:04x}", self.0)
    }
}

/// Whether a record may make room for others before it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// An observation: losing the one that expires first loses no money.
    Evictable,
    /// Money and what guards it: never dropped alive.
    Live,
}

/// Why a record cannot be read or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Everything in the bucket is live, or the record is too large for what is left.
    #[error("ledger_full")]
    Full,
    /// The value is none of the ledger's: another filter has the same key, or one that Kong takes for the same.
    #[error("ledger_foreign")]
    Foreign,
    /// The record cannot be decoded.
    #[error("ledger_unreadable")]
    Unreadable,
}

/// The records of the keys that fall to one bucket, borrowed from its value.
#[derive(Clone, Debug, Default)]
pub struct Bucket<'a> {
    entries: Vec<Entry<'a>>,
    is_changed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry<'a> {
    /// Of a text; it is compared with texts, so nobody need check that it is one.
    #[serde(borrow, with = "serde_bytes")]
    key: Cow<'a, [u8]>,
    expires_ms: u64,
    is_live: bool,
    #[serde(borrow, with = "serde_bytes")]
    record: Cow<'a, [u8]>,
}

#[derive(Serialize, Deserialize)]
struct Value<'a, E> {
    #[serde(borrow)]
    magic: Cow<'a, str>,
    entries: E,
}

impl<'a> Bucket<'a> {
    /// Reads a bucket's value; `None` where there is none yet. What has expired is left out.
    ///
    /// # Errors
    /// [`LedgerError::Foreign`] for a value that is no bucket.
    pub fn decode(value: Option<&'a [u8]>, now: Timestamp) -> Result<Self, LedgerError> {
        let Some(value) = value else { return Ok(Self::default()) };
        let value: Value<'a, Vec<Entry<'a>>> = postcard::from_bytes(value).map_err(|_| LedgerError::Foreign)?;
        if value.magic != MAGIC {
            return Err(LedgerError::Foreign);
        }
        let mut entries = value.entries;
        entries.retain(|entry| entry.expires_ms > now.millis());
        Ok(Self { entries, is_changed: false })
    }

    /// The value as it is stored.
    #[must_use]
    #[inline(never)]
    pub fn encode(&self) -> Vec<u8> {
        // Numbers, texts and bytes always encode.
        let value = Value { magic: Cow::Borrowed(MAGIC), entries: &self.entries };
        let size = self.entries.iter().fold(MAGIC.len(), |sum, entry| sum.saturating_add(entry.size()));
        postcard::to_extend(&value, Vec::with_capacity(size)).unwrap_or_default()
    }

    /// Something was put or removed since it was read.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The record of a key; `None` where there is none, or an expired one.
    ///
    /// # Errors
    /// [`LedgerError::Unreadable`] for a record that cannot be decoded.
    #[inline(never)]
    pub fn get<R: Record>(&self, key: &Key<R>) -> Result<Option<R>, LedgerError> {
        let found = self.entries.iter().find(|entry| *entry.key == *key.as_str().as_bytes());
        found.map(|entry| postcard::from_bytes(&entry.record).map_err(|_| LedgerError::Unreadable)).transpose()
    }

    /// The key of every record of a kind.
    pub fn keys<R: Record>(&self) -> impl Iterator<Item = Key<R>> {
        self.entries.iter().filter_map(|entry| Key::of_text(std::str::from_utf8(&entry.key).ok()?))
    }

    /// Every record of a kind that can be decoded, with its key.
    pub fn records<R: Record>(&self) -> impl Iterator<Item = (&str, R)> {
        let kind = format!("{}/{}", R::KIND, R::VERSION);
        let is_of_kind =
            move |key: &str| key.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with(['/', '#']));
        let keys = self.entries.iter().filter_map(|entry| Some((std::str::from_utf8(&entry.key).ok()?, &entry.record)));
        keys.filter(move |(key, _)| is_of_kind(key))
            .filter_map(|(key, record)| Some((key, postcard::from_bytes(record).ok()?)))
    }

    /// Puts a record in the place of the one before, until `expires`. Where room is needed, the evictable record that
    /// expires first makes it.
    ///
    /// # Errors
    /// [`LedgerError::Full`] when there is no room; then nothing has changed.
    #[inline(never)]
    pub fn put<R: Record>(
        &mut self,
        key: &Key<R>,
        record: &R,
        expires: Timestamp,
        keep: Keep,
    ) -> Result<(), LedgerError> {
        let record = postcard::to_allocvec(record).map_err(|_| LedgerError::Unreadable)?;
        self.insert(Entry {
            key: Cow::Owned(key.as_str().as_bytes().to_owned()),
            expires_ms: expires.millis(),
            is_live: keep == Keep::Live,
            record: Cow::Owned(record),
        })
    }

    fn insert(&mut self, entry: Entry<'a>) -> Result<(), LedgerError> {
        let mut entries: Vec<_> = self.entries.iter().filter(|other| other.key != entry.key).cloned().collect();
        while !has_room(&entries, &entry) {
            let evictable = entries.iter().enumerate().filter(|(_, entry)| !entry.is_live);
            let (first, _) = evictable.min_by_key(|(_, entry)| entry.expires_ms).ok_or(LedgerError::Full)?;
            entries.swap_remove(first);
        }
        entries.push(entry);
        *self = Self { entries, is_changed: true };
        Ok(())
    }

    /// Drops a record.
    pub fn remove<R: Record>(&mut self, key: &Key<R>) {
        let before = self.entries.len();
        self.entries.retain(|entry| *entry.key != *key.as_str().as_bytes());
        self.is_changed |= self.entries.len() != before;
    }
}

impl Entry<'_> {
    /// Its size as it is stored, rounded up.
    fn size(&self) -> usize {
        const FRAME: usize = 32;
        self.key.len().saturating_add(self.record.len()).saturating_add(FRAME)
    }
}

fn has_room(entries: &[Entry<'_>], entry: &Entry<'_>) -> bool {
    let bytes = entries.iter().fold(entry.size(), |sum, entry| sum.saturating_add(entry.size()));
    let evictable = entries.iter().filter(|entry| !entry.is_live).count();
    bytes <= BYTES_MAX && entries.len() < ENTRIES_MAX && (entry.is_live || evictable < EVICTABLE_MAX)
}

/// FNV-1a, 64 bits: the same in every worker, and good enough to spread keys over buckets.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Charge, TaskAccount};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn key(name: &str) -> Key<TaskAccount> {
        Key::new(&[name])
    }

    fn account(tokens: u64) -> TaskAccount {
        TaskAccount::default().charged(&Charge {
            input_tokens: tokens,
            output_tokens: 0,
            cost: None,
            is_overhead: false,
        })
    }

    fn put(bucket: &mut Bucket<'_>, name: &str, tokens: u64, seconds: u64, keep: Keep) -> Result<(), LedgerError> {
        bucket.put(&key(name), &account(tokens), NOW.plus_millis(seconds.saturating_mul(1_000)), keep)
    }

    fn tokens(bucket: &Bucket<'_>, name: &str) -> Option<u64> {
        bucket.get(&key(name)).unwrap().map(|account| account.input_tokens)
    }

    #[test]
    fn a_bucket_reads_back_what_was_put_and_forgets_what_has_expired() {
        let mut bucket = Bucket::default();
        put(&mut bucket, "a", 1, 10, Keep::Live).unwrap();
        put(&mut bucket, "b", 2, 20, Keep::Evictable).unwrap();
        put(&mut bucket, "a", 3, 10, Keep::Live).unwrap();
        let value = bucket.encode();
        let read = |after| Bucket::decode(Some(&value), NOW.plus_millis(after)).unwrap();
        assert_eq!((tokens(&read(0), "a"), tokens(&read(0), "b"), tokens(&read(0), "c")), (Some(3), Some(2), None));
        assert_eq!((tokens(&read(10_000), "a"), tokens(&read(10_000), "b")), (None, Some(2)));
        assert!(!read(0).is_changed());
        assert_eq!(read(0).records::<TaskAccount>().count(), 2);
    }

    #[test]
    fn a_value_that_is_no_bucket_is_foreign_and_none_is_an_empty_one() {
        for value in [&b""[..], b"garbage", b"\x01x\x00", b"\x0Atollgate/2\x00", b"\x0Atollgate/3\xFF"] {
            assert_eq!(Bucket::decode(Some(value), NOW).err(), Some(LedgerError::Foreign));
        }
        assert_eq!(tokens(&Bucket::decode(None, NOW).unwrap(), "a"), None);
    }

    #[test]
    fn observations_make_room_for_one_another_the_first_to_expire_first() {
        let mut bucket = Bucket::default();
        for at in 0..EVICTABLE_MAX as u64 {
            put(&mut bucket, &at.to_string(), at, 100 + at, Keep::Evictable).unwrap();
        }
        put(&mut bucket, "one more", 7, 50, Keep::Evictable).unwrap();
        assert_eq!((tokens(&bucket, "0"), tokens(&bucket, "1"), tokens(&bucket, "one more")), (None, Some(1), Some(7)));
    }

    #[test]
    fn what_is_live_never_makes_room() {
        let mut bucket = Bucket::default();
        put(&mut bucket, "seen", 1, 100, Keep::Evictable).unwrap();
        let fitting =
            (0..ENTRIES_MAX).take_while(|at| put(&mut bucket, &at.to_string(), 1, 100, Keep::Live).is_ok()).count();
        assert_eq!((fitting, tokens(&bucket, "seen")), (ENTRIES_MAX, None));
        let before = bucket.encode();
        assert_eq!(put(&mut bucket, "late", 1, 100, Keep::Live), Err(LedgerError::Full));
        assert_eq!(put(&mut bucket, "late", 1, 100, Keep::Evictable), Err(LedgerError::Full));
        assert_eq!(bucket.encode(), before);
        put(&mut bucket, "5", 2, 100, Keep::Live).unwrap();
        assert_eq!(tokens(&bucket, "5"), Some(2));
    }

    #[test]
    fn no_two_buckets_have_keys_that_kong_takes_for_the_same() {
        let sums: BTreeSet<_> =
            Buckets::SHARED.all().map(|bucket| crc32fast::hash(bucket.shared_key().as_bytes())).collect();
        assert_eq!(sums.len(), Buckets::SHARED.all().count());
    }

    #[test]
    fn a_hundred_thousand_keys_leave_room_in_every_bucket() {
        let mut sizes = BTreeMap::new();
        for user in 0..100_000 {
            *sizes.entry(Buckets::SHARED.of(&key(&format!("user-{user}")))).or_insert(0) += 1;
        }
        assert!(sizes.values().all(|size| *size < ENTRIES_MAX / 2), "{:?}", sizes.values().max());
    }

    proptest! {
        #[test]
        fn a_bucket_is_bounded_and_holds_the_last_of_every_live_record(
            changes in prop::collection::vec((0_u8..90, 1_u64..1_000, any::<bool>()), 0..200),
        ) {
            let (mut value, mut live) = (Vec::new(), BTreeMap::new());
            for (name, amount, is_live) in changes {
                let keep = if is_live { Keep::Live } else { Keep::Evictable };
                let read = (!value.is_empty()).then_some(value.as_slice());
                let mut bucket = Bucket::decode(read, NOW).unwrap();
                if put(&mut bucket, &name.to_string(), amount, amount, keep).is_ok() {
                    if is_live { live.insert(name, amount); } else { live.remove(&name); }
                }
                value = bucket.encode();
                prop_assert!(value.len() <= BYTES_MAX);
            }
            let bucket = Bucket::decode(Some(&value).filter(|value| !value.is_empty()).map(Vec::as_slice), NOW).unwrap();
            prop_assert!(bucket.entries.len() <= ENTRIES_MAX);
            for (name, amount) in live {
                prop_assert_eq!(tokens(&bucket, &name.to_string()), Some(amount));
            }
        }
    }
}
