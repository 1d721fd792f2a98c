//! The ledger: running totals of tasks, as values that fit a host's shared data.
//!
//! Hosts keep keys forever, so there is a fixed number of slots. An account lives in one of [`WAYS`] slots that follow
//! from its name; its value holds the full name (Kong tells keys apart by CRC32 alone) and when it expires. Where all
//! its slots hold live accounts, the one that expires first makes room: totals are observations, and losing the
//! oldest loses no money.
//! Invariants: bounded size; a value of another account, schema or age is never taken for one's own.
//! Must not know: how values are stored, what a call is.
#![deny(clippy::arithmetic_side_effects)]

use crate::money::Usd;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Slots in all. At about 200 bytes each, the ledger stays below one megabyte.
const SLOTS: u64 = 4_096;
/// Slots an account may live in.
pub const WAYS: u64 = 4;
/// An account that is not charged for this long is over.
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;
/// Changes when the encoding does; values of another version count as absent.
const VERSION: u8 = 1;

/// What a call adds to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// When.
    pub at: Timestamp,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars; `None` where unknown.
    pub cost: Option<Usd>,
}

/// The running totals of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    version: u8,
    name: String,
    expires_ms: u64,
    /// Calls charged so far.
    pub steps: u64,
    /// Input tokens so far.
    pub input_tokens: u64,
    /// Output tokens so far.
    pub output_tokens: u64,
    cost_femto: i128,
    /// Calls whose cost is unknown and therefore not in the total.
    pub steps_without_cost: u64,
}

impl Account {
    /// The slots that an account may live in, in order of preference.
    pub fn slots(name: &str) -> impl Iterator<Item = u64> {
        let hash = fnv1a(name.as_bytes());
        (0..WAYS).map(move |way| hash.wrapping_add(way).checked_rem(SLOTS).unwrap_or(0))
    }

    /// Dollars so far, without the calls whose cost is unknown.
    #[must_use]
    pub const fn cost(&self) -> Usd {
        Usd::from_femto(self.cost_femto)
    }

    /// The account after a charge.
    #[must_use]
    pub fn charged(mut self, charge: &Charge) -> Self {
        self.steps = self.steps.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(charge.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(charge.output_tokens);
        match charge.cost {
            Some(cost) => self.cost_femto = self.cost_femto.saturating_add(cost.femto()),
            None => self.steps_without_cost = self.steps_without_cost.saturating_add(1),
        }
        self.expires_ms = self.expires_ms.max(charge.at.millis().saturating_add(LIFETIME_MS));
        self
    }

    /// The value as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Numbers and a string always encode; an empty value would count as absent.
        rmp_serde::to_vec(self).unwrap_or_default()
    }

    fn open(name: &str) -> Self {
        Self { version: VERSION, name: name.to_owned(), ..Self::default() }
    }
}

/// The key of a slot.
#[must_use]
pub fn slot_key(slot: u64) -> String {
    format!("tollgate/slot/{slot}")
}

/// What a slot means to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// It holds the account.
    Own(Account),
    /// It holds nothing that is still of use.
    Free,
    /// It holds another account, until then (milliseconds since the epoch).
    Taken {
        /// When the other account expires.
        expires_ms: u64,
    },
}

impl SlotState {
    /// Reads a slot's value.
    #[must_use]
    pub fn of(value: Option<&[u8]>, name: &str, now: Timestamp) -> Self {
        let account = value.and_then(|value| rmp_serde::from_slice::<Account>(value).ok());
        match account.filter(|account| account.version == VERSION && account.expires_ms > now.millis()) {
            None => Self::Free,
            Some(account) if account.name == name => Self::Own(account),
            Some(other) => Self::Taken { expires_ms: other.expires_ms },
        }
    }

    /// Orders slots: the own one, then free ones, then by how soon they expire.
    #[must_use]
    pub const fn preference(&self) -> (u8, u64) {
        match self {
            Self::Own(_) => (0, 0),
            Self::Free => (1, 0),
            Self::Taken { expires_ms } => (2, *expires_ms),
        }
    }

    /// The account in the slot, opened anew where it is not there.
    #[must_use]
    pub fn into_account(self, name: &str) -> Account {
        match self {
            Self::Own(account) => account,
            Self::Free | Self::Taken { .. } => Account::open(name),
        }
    }
}

/// FNV-1a, 64 bits: the same in every worker, and good enough to spread names over slots.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn charge(cost: Option<i128>) -> Charge {
        Charge { at: NOW, input_tokens: 10, output_tokens: 2, cost: cost.map(Usd::from_femto) }
    }

    #[test]
    fn an_account_adds_up_what_it_is_charged_and_counts_what_has_no_price() {
        let account = Account::open("a").charged(&charge(Some(5))).charged(&charge(None));
        let read = SlotState::of(Some(&account.encode()), "a", NOW);
        assert_eq!(read, SlotState::Own(account.clone()));
        assert_eq!((account.steps, account.input_tokens, account.output_tokens), (2, 20, 4));
        assert_eq!((account.cost(), account.steps_without_cost), (Usd::from_femto(5), 1));
    }

    #[test]
    fn a_value_of_another_account_schema_or_age_is_not_ones_own() {
        let account = Account::open("a").charged(&charge(None));
        let value = account.encode();
        assert!(matches!(SlotState::of(Some(&value), "b", NOW), SlotState::Taken { .. }));
        assert_eq!(SlotState::of(Some(&value), "a", NOW.plus_millis(LIFETIME_MS)), SlotState::Free);
        let other = Account { version: VERSION + 1, ..account };
        assert_eq!(SlotState::of(Some(&other.encode()), "a", NOW), SlotState::Free);
        assert_eq!(SlotState::of(Some(b"garbage"), "a", NOW), SlotState::Free);
        assert_eq!(SlotState::of(None, "a", NOW), SlotState::Free);
    }

    #[test]
    fn the_own_slot_comes_before_a_free_one_and_a_free_one_before_the_first_to_expire() {
        let own = SlotState::Own(Account::open("a"));
        let mut states =
            [SlotState::Taken { expires_ms: 9 }, SlotState::Taken { expires_ms: 3 }, SlotState::Free, own.clone()];
        states.sort_by_key(SlotState::preference);
        assert_eq!(
            states,
            [own, SlotState::Free, SlotState::Taken { expires_ms: 3 }, SlotState::Taken { expires_ms: 9 }]
        );
    }

    #[test]
    fn slots_stay_within_the_ledger() {
        for name in ["", "a", "task-1", "\u{10FFFF}"] {
            let slots: Vec<_> = Account::slots(name).collect();
            assert_eq!(slots.len() as u64, WAYS);
            assert!(slots.iter().all(|slot| *slot < SLOTS));
        }
    }
}
