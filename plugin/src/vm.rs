//! [`Vm`]: what all configurations of a VM have in common.
//!
//! APISIX makes a configuration of its own for each consumer of each route, and all of them anew when one object changes.
//! So what outlives a call belongs to the VM.
//! Invariant: no two calls have the same id, though a gateway may give a context the id of one that is gone.
//! Must not know: what is kept, what a call is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use tollgate_core::ledger::BucketId;
use tollgate_core::tokens::Counter;

/// One instance of the filter.
pub(crate) struct Vm {
    /// Chosen by the host's random numbers.
    number: u64,
    secret: [u64; 2],
    /// How many calls it named.
    calls: Cell<u64>,
    counter: Counter,
    /// The ledger, where the gateway's workers share nothing.
    buckets: RefCell<HashMap<BucketId, Vec<u8>>>,
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            number: RandomState::new().hash_one(0),
            secret: random(),
            calls: Cell::default(),
            counter: Counter::new(),
            buckets: RefCell::default(),
        }
    }
}

impl Vm {
    /// This VM among all others.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// A secret that nobody outside can guess, the same for all configurations.
    pub(crate) const fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// Counts tokens, and remembers words for all configurations.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// An id for a call, unique among all gateways.
    pub(crate) fn call_id(&self, millis: u64) -> String {
        let call = self.calls.get();
        self.calls.set(call.wrapping_add(1));
        format!("{millis:011x}-{:016x}-{call:x}", self.number)
    }

    /// Numbers for the ids of a span.
    pub(crate) fn random_ids(&self) -> [u64; 3] {
        let random = RandomState::new();
        [0, 1, 2].map(|id| random.hash_one((self.number, id)))
    }

    pub(crate) fn bucket(&self, id: BucketId) -> Option<Vec<u8>> {
        self.buckets.borrow().get(&id).cloned()
    }

    pub(crate) fn keep(&self, id: BucketId, bucket: Vec<u8>) {
        self.buckets.borrow_mut().insert(id, bucket);
    }
}

/// 128 bits that nobody outside can guess, from the host's random numbers.
pub(crate) fn random() -> [u64; 2] {
    [RandomState::new().hash_one(0), RandomState::new().hash_one(1)]
}
