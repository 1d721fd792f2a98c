//! Holds: what is set aside in an account for calls that run.
//!
//! They are kept per worker, not per call: a worker's calls end with it, so what a dead one held expires as one, and an
//! account stays small whatever runs. A call remembers the hold it belongs to, so that what has expired is not let go
//! again.
//! Must not know: what an amount measures, what is allowed.
#![deny(clippy::arithmetic_side_effects)]

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A worker that neither reserves, settles nor renews for this long is taken for dead: what it held is free again.
/// Longer than providers take for any single piece of an answer.
pub(super) const HOLD_MS: u64 = 15 * 60 * 1_000;
/// What was held so recently may be let go at once, by a worker that has not asked all limits yet.
pub(super) const FRESH_MS: u64 = 20;
/// Most workers that hold something at the same time.
const HOLDS_MAX: usize = 256;

/// What all workers hold of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Holds(Vec<Hold>);

/// What one worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    worker: u64,
    /// When the worker began to hold something here; tells this hold from an expired one.
    since_ms: u64,
    touched_ms: u64,
    amount: i128,
}

/// Names a hold: the worker, and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldId {
    /// The worker.
    pub worker: u64,
    pub(super) since_ms: u64,
}

impl Hold {
    const fn id(&self) -> HoldId {
        HoldId { worker: self.worker, since_ms: self.since_ms }
    }
}

impl Holds {
    /// Adds an amount to what a worker holds; `None` where there is no room for one more worker.
    pub(super) fn add(&mut self, worker: u64, amount: i128, now: Timestamp) -> Option<HoldId> {
        if let Some(own) = self.0.iter_mut().find(|own| own.worker == worker) {
            own.amount = own.amount.saturating_add(amount);
            own.touched_ms = own.touched_ms.max(now.millis());
            return Some(own.id());
        }
        let hold = Hold { worker, since_ms: now.millis(), touched_ms: now.millis(), amount };
        if amount > 0 {
            if self.0.len() >= HOLDS_MAX {
                return None;
            }
            self.0.push(hold);
        }
        Some(hold.id())
    }

    /// Lets go of an amount, where it is still held.
    pub(super) fn release(&mut self, hold: HoldId, amount: i128) {
        if let Some(own) = self.0.iter_mut().find(|own| own.id() == hold) {
            own.amount = own.amount.saturating_sub(amount).max(0);
        }
        self.0.retain(|hold| hold.amount > 0);
    }

    /// Holds more for what is held already, or all of it where that has expired.
    pub(super) fn raise(&mut self, hold: HoldId, from: i128, to: i128, now: Timestamp) -> Option<HoldId> {
        let amount = if self.has(hold) { to.saturating_sub(from) } else { to };
        self.add(hold.worker, amount, now)
    }

    /// A worker gives a sign of life.
    pub(super) fn touch(&mut self, worker: u64, now: Timestamp) {
        if let Some(own) = self.0.iter_mut().find(|own| own.worker == worker) {
            own.touched_ms = own.touched_ms.max(now.millis());
        }
    }

    /// Whether a hold has not expired.
    pub(super) fn has(&self, hold: HoldId) -> bool {
        self.0.iter().any(|own| own.id() == hold)
    }

    /// Lets go of what workers held that are taken for dead.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|hold| hold.touched_ms.saturating_add(HOLD_MS) > now.millis());
    }

    /// When the last of them expires; 0 where there is none.
    pub(super) fn expires_ms(&self) -> u64 {
        self.0.iter().map(|hold| hold.touched_ms.saturating_add(HOLD_MS)).max().unwrap_or(0)
    }

    /// All that is held.
    pub(super) fn sum(&self) -> i128 {
        sum(self.0.iter())
    }

    /// What workers other than this one held a moment ago.
    pub(super) fn fresh(&self, worker: u64, now: Timestamp) -> i128 {
        let is_fresh = |hold: &&Hold| now.millis().saturating_sub(hold.touched_ms) < FRESH_MS;
        sum(self.0.iter().filter(|hold| hold.worker != worker).filter(is_fresh))
    }
}

fn sum<'a>(holds: impl Iterator<Item = &'a Hold>) -> i128 {
    holds.fold(0, |sum, hold| sum.saturating_add(hold.amount))
}
