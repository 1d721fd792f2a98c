//! Balances: how an account stands, and whether it had room.
//!
//! Must not know: how an account comes to stand so.
#![deny(clippy::arithmetic_side_effects)]

use super::holds::HoldId;
use crate::time::Timestamp;

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Charged in this window, in a fleet by all its gateways as far as that is known.
    pub spent: i128,
    /// Held for calls that run, and by leases of other gateways.
    pub held: i128,
    /// The most that is allowed now, grants included.
    pub allowed: i128,
    /// When what was spent comes back: the next window, or when a bucket is full again; `None` where it never does.
    pub resets: Option<Timestamp>,
    /// When all of it will be spent at the rate of this window so far, where that is before it ends.
    pub exhausted: Option<Timestamp>,
    /// Until when calls are refused because all was spent.
    pub cools_until: Option<Timestamp>,
    /// What was granted for a time, and until when.
    pub granted: Option<(i128, Timestamp)>,
    /// What this gateway has leased and not used; `None` where nothing is leased.
    pub leased: Option<i128>,
}

/// What became of a request to hold an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is held, or what was left of it: so much, as a part of this hold.
    Held(HoldId, Balance, i128),
    /// It does not fit.
    Refused {
        /// The account as it is.
        balance: Balance,
        /// Whether it would fit without what was held just now, and may be let go again.
        is_contended: bool,
        /// When it would fit, as far as time alone brings it.
        fits: Option<Timestamp>,
    },
    /// Whether it fits, the other gateways of the fleet must be asked.
    Unknown,
}

impl Balance {
    /// What is left.
    #[must_use]
    pub fn remaining(&self) -> i128 {
        self.allowed.saturating_sub(self.used()).max(0)
    }

    /// What is charged and held.
    #[must_use]
    pub fn used(&self) -> i128 {
        self.spent.saturating_add(self.held)
    }
}

/// So many per cent of an amount.
pub(super) fn part(amount: i128, percent: u32) -> i128 {
    let hundredths = amount.checked_mul(i128::from(percent)).and_then(|product| product.checked_div(100));
    hundredths.unwrap_or(amount)
}
