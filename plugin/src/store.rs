//! State that all workers of a gateway share: the slots of the ledger, in the host's shared data.
//!
//! Hosts offer get and compare-and-swap, no delete, expiry or listing; the ledger decides which slot holds what.
//! Invariants: a write only replaces the value it was computed from; a slot is never created twice.
//! Must not know: what the values mean.

use crate::abi::{self, Status};
use crate::host::Host;
use tollgate_core::ledger::{Account, Charge, SlotState, slot_key};

/// How often a write that another worker overtook is tried again. Each round one worker succeeds.
const ROUNDS_MAX: usize = 32;
/// The status of a write whose value changed in between.
const CAS_MISMATCH: Status = Status(8);
/// Stands for a store that other workers kept busy for all rounds.
const BUSY: Status = CAS_MISMATCH;

/// Charges an account, opening it where there is none, and returns it as it is now.
pub(crate) fn charge(host: Host, account: &str, charge: &Charge) -> Result<Account, Status> {
    for _ in 0..ROUNDS_MAX {
        match try_charge(host, account, charge) {
            Err(CAS_MISMATCH) => {}
            done => return done,
        }
    }
    Err(BUSY)
}

fn try_charge(host: Host, name: &str, charge: &Charge) -> Result<Account, Status> {
    let mut slots = Vec::new();
    for slot in Account::slots(name) {
        let key = slot_key(slot);
        let (value, cas) = match abi::shared_data(&key)? {
            Some((value, cas)) => (Some(value), cas),
            None => (None, host.cas_of_absent()),
        };
        slots.push((SlotState::of(value.as_deref(), name, charge.at), key, cas));
    }
    // The account's own slot, else a free one, else the one that expires first.
    slots.sort_by_key(|(state, _, _)| state.preference());
    let Some((state, key, cas)) = slots.into_iter().next() else { return Err(BUSY) };
    let account = state.into_account(name).charged(charge);
    abi::set_shared_data(&key, &account.encode(), cas)?;
    Ok(account)
}
