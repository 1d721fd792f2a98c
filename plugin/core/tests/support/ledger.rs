//! The ledger of one gateway as a map.
#![allow(clippy::expect_used, reason = "a helper of a test may panic as tests do")]

use std::collections::BTreeMap;
use tollgate_core::ledger::{Bucket, BucketId, Buckets};
use tollgate_core::meter::{Change, Done};
use tollgate_core::time::Timestamp;

/// Makes a change as a store does whose value nobody else changes in between.
pub(crate) fn apply(ledger: &mut BTreeMap<BucketId, Vec<u8>>, change: &Change<'_>, now: Timestamp) -> Done {
    let id = Buckets::SHARED.of(change.account());
    let value = ledger.get(&id).cloned();
    let mut bucket = Bucket::decode(value.as_deref(), now).expect("a bucket");
    let done = change.apply(&mut bucket, now).expect("there is room");
    if bucket.is_changed() {
        ledger.insert(id, bucket.encode());
    }
    done
}
