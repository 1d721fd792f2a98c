//! The ledger: what a gateway's workers remember together, as values that fit a host's shared data.
//!
//! ```text
//! key -> bucket -> [entry, entry, ...]      one get to look up, one compare-and-swap to change
//! ```
//! Hosts offer get and compare-and-swap; no delete, no expiry, no listing, and Kong tells keys apart by CRC32 alone.
//! So there is a fixed number of [`Bucket`]s; each is one shared value that holds a few [`Record`]s with their full keys
//! and when they expire, and changes as a whole. That makes every change of a record atomic: no key can be created
//! twice, and none can be lost between two slots.
//! Invariants: bounded size; a record of another key, kind or version is never taken for one's own; what is kept
//! [`Keep::Live`] is never dropped before it expires.
//! Must not know: how values are stored; what a call is.

mod bucket;
mod bytes;
mod created;
mod task;

pub use bucket::{Bucket, BucketId, Buckets, Keep, LedgerError};
pub use bytes::Bytes;
pub use created::{Created, Creator, Owner};
pub use task::{Charge, TaskAccount};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::marker::PhantomData;

/// Something that the ledger remembers under a key of its own kind.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is, in one word; keys of different kinds never meet.
    const KIND: &'static str;
    /// Changes when the encoding does; records of another version count as absent, and expire in their time.
    const VERSION: u8;
}

/// Longest key that is kept as it is; of a longer one, a hash takes the place of its parts.
const KEY_MAX: usize = 256;

/// The full key of a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Key<R> {
    text: String,
    record: PhantomData<R>,
}

impl<R> Clone for Key<R> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), record: PhantomData }
    }
}

impl<R: Record> Key<R> {
    /// The key of these parts. Different parts give different keys, whatever the parts hold.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        Self { text: text_of(R::KIND, R::VERSION, parts), record: PhantomData }
    }
}

fn text_of(kind: &str, version: u8, parts: &[&str]) -> String {
    let mut text = String::with_capacity(KEY_MAX);
    _ = write!(text, "{kind}/{version}");
    let start = text.len();
    for part in parts {
        // The length tells where a part ends; no separator could.
        match part.len() {
            0 => text.push_str("/0:"),
            length => _ = write!(text, "/{length}:"),
        }
        text.push_str(part);
    }
    if text.len() > KEY_MAX {
        let hash = Sha256::digest(text.get(start..).unwrap_or_default().as_bytes());
        text.truncate(start);
        text.push('#');
        hash.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
    }
    text
}

impl<R: Record> Key<R> {
    /// The key that is stored as this text; `None` where it is none of this kind.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(&format!("{}/{}", R::KIND, R::VERSION))?;
        let is_key = text.len() <= KEY_MAX && rest.starts_with(['/', '#']);
        is_key.then(|| Self { text: text.to_owned(), record: PhantomData })
    }
}

impl<R> Key<R> {
    /// The parts it was made of; empty where a hash stands for them.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let mut parts = Vec::new();
        // The kind and the version come before the first part.
        let mut rest = self.text.splitn(3, '/').nth(2);
        while let Some((length, text)) = rest.and_then(|rest| rest.split_once(':')) {
            let Some((part, after)) = length.parse().ok().and_then(|length| text.split_at_checked(length)) else {
                break;
            };
            parts.push(part);
            rest = after.strip_prefix('/');
        }
        parts
    }

    /// The key as it is stored, and ordered: changes of several records are made in this order.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> String {
        Key::<TaskAccount>::new(parts).as_str().to_owned()
    }

    #[test]
    fn a_key_tells_its_parts_and_is_found_again_by_its_text() {
        let parts = ["", "a/1:b", "ä", "="];
        let key = Key::<TaskAccount>::new(&parts);
        assert_eq!(key.parts(), parts);
        assert_eq!(Key::<TaskAccount>::of_text(key.as_str()).map(|key| key.text), Some(key.text));
        for text in ["", "task", "other/1/0:", &format!("task/1/{}", "x".repeat(300))] {
            assert!(Key::<TaskAccount>::of_text(text).is_none(), "{text}");
        }
        assert_eq!(Key::<TaskAccount>::new(&[&"x".repeat(300)]).parts(), [""; 0]);
    }

    #[test]
    fn different_parts_never_give_the_same_key() {
        let keys = [
            key(&[]),
            key(&[""]),
            key(&["a", "b"]),
            key(&["a/1:b"]),
            key(&["ab", ""]),
            key(&["", "ab"]),
            key(&[&"x".repeat(400)]),
            key(&[&"x".repeat(401)]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).all(|other| other != one), "{one}");
            assert!(one.len() <= KEY_MAX, "{one}");
        }
    }
}
