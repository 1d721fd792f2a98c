//! Records that write themselves as bytes.
//!
//! Each kind of record that a general encoding reads and writes costs the module fifteen kilobytes; these have one kind in
//! common, and tell themselves apart by the first part of their key.
//! Must not know: what the bytes mean.

use super::{Key, Record};
use serde::{Deserialize, Serialize};

/// A record as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl Record for Bytes {
    const KIND: &'static str = "bytes";
    const VERSION: u8 = 1;
}

impl Key<Bytes> {
    /// The key of the secret that a gateway's workers make fingerprints with. The first worker draws it, all others take
    /// it over.
    #[must_use]
    pub fn of_secret() -> Self {
        Self::new(&["secret"])
    }

    /// The key of what the rest of a fleet knows this gateway by, as long as it lives.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(&["process"])
    }
}
