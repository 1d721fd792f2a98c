//! State that all workers of a gateway share: the buckets of the ledger, in the host's shared data.
//!
//! Where a gateway shares nothing, the buckets are this worker's own, for all of its configurations. Hosts offer get and compare-and-swap; a change
//! is computed by the ledger from what was read, and made again when another worker was faster.
//! Invariants: a write only replaces the value it was computed from; a value is never created twice.
//! Must not know: what records mean.

use crate::abi::{self, Status};
use crate::host::Host;
use crate::vm::Vm;
use std::rc::Rc;
use tollgate_core::ledger::{Bucket, BucketId, Buckets, Key, LedgerError, Record};
use tollgate_core::time::Timestamp;

/// How often a write that another worker overtook is tried again. Each round one worker succeeds.
const ROUNDS_MAX: usize = 64;
/// The status of a write whose value changed in between.
const CAS_MISMATCH: Status = Status(8);

/// Where the buckets are.
pub(crate) struct Store {
    /// How the gateway's workers share values; `None` where they do not.
    shared: Option<Host>,
    /// Has the buckets, where the worker shares nothing.
    vm: Rc<Vm>,
}

/// Why a record was not read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// The ledger has no place for it, or cannot read it.
    Ledger(LedgerError),
    /// The host failed, or other workers kept the value busy for all rounds.
    Host(Status),
}

impl Store {
    /// The buckets of this worker, until [`Store::share`] is called.
    pub(crate) const fn new(vm: Rc<Vm>) -> Self {
        Self { shared: None, vm }
    }

    /// The workers of this gateway share values.
    pub(crate) fn share(&mut self, host: Host) {
        self.shared = Some(host);
    }

    /// Whether all workers see the same records.
    pub(crate) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Changes the bucket of a key, atomically among all workers. `change` may run several times, each time on what is
    /// there then; a change that puts nothing writes nothing.
    pub(crate) fn update<R: Record, T>(
        &mut self,
        key: &Key<R>,
        now: Timestamp,
        mut change: impl FnMut(&mut Bucket<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, StoreError> {
        let mut done = None;
        self.change(self.buckets().of(key), now, &mut |bucket| {
            done = Some(change(bucket)?);
            Ok(())
        })?;
        done.ok_or(StoreError::Host(CAS_MISMATCH))
    }

    /// The same for any kind of record: what is in the module once.
    fn change(
        &mut self,
        id: BucketId,
        now: Timestamp,
        change: &mut dyn FnMut(&mut Bucket<'_>) -> Result<(), LedgerError>,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_MAX {
            let (value, cas) = self.get(id)?;
            let mut bucket = Bucket::decode(value.as_deref(), now)?;
            change(&mut bucket)?;
            if !bucket.is_changed() {
                return Ok(());
            }
            match self.set(id, bucket.encode(), cas) {
                Err(CAS_MISMATCH) => {}
                Err(status) => return Err(StoreError::Host(status)),
                Ok(()) => return Ok(()),
            }
        }
        Err(StoreError::Host(CAS_MISMATCH))
    }

    /// Shows every bucket that holds something, each as it is at that moment.
    pub(crate) fn read_all(&mut self, now: Timestamp, mut read: impl FnMut(&Bucket<'_>)) -> Result<(), StoreError> {
        for id in self.buckets().all() {
            if let (Some(value), _) = self.get(id)? {
                // Values of others are none of ours.
                Bucket::decode(Some(&value), now).iter().for_each(&mut read);
            }
        }
        Ok(())
    }

    const fn buckets(&self) -> Buckets {
        if self.is_shared() { Buckets::SHARED } else { Buckets::LOCAL }
    }

    #[inline(never)]
    fn get(&self, id: BucketId) -> Result<(Option<Vec<u8>>, u32), StoreError> {
        let Some(host) = self.shared else { return Ok((self.vm.bucket(id), 0)) };
        match abi::shared_data(&id.shared_key()).map_err(StoreError::Host)? {
            Some((value, cas)) => Ok((Some(value), cas)),
            None => Ok((None, host.cas_of_absent())),
        }
    }

    #[inline(never)]
    fn set(&mut self, id: BucketId, value: Vec<u8>, cas: u32) -> Result<(), Status> {
        if self.is_shared() {
            return abi::set_shared_data(&id.shared_key(), &value, cas);
        }
        self.vm.keep(id, value);
        Ok(())
    }
}

impl From<LedgerError> for StoreError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}
