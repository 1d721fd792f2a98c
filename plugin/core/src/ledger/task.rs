//! Running totals of a task.
//!
//! Invariants: totals only grow; a call whose cost is unknown is counted as such, never as free.
//! Must not know: where totals are kept.
#![deny(clippy::arithmetic_side_effects)]

use super::Record;
use crate::money::Usd;
use crate::task_outcome::{News, TaskResult};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A task that is not charged for this long is over.
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a call adds to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars; `None` where unknown.
    pub cost: Option<Usd>,
    /// The call is made for the sake of the task's other calls.
    pub is_overhead: bool,
}

/// The running totals of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAccount {
    /// Calls charged so far.
    pub steps: u64,
    /// Input tokens so far.
    pub input_tokens: u64,
    /// Output tokens so far.
    pub output_tokens: u64,
    cost_femto: i128,
    /// Calls whose cost is unknown and therefore not in the total.
    pub steps_without_cost: u64,
    overhead_femto: i128,
    /// What was reported of it last, and what it had cost by then.
    result: Option<TaskResult>,
    reported_femto: i128,
}

impl Record for TaskAccount {
    const KIND: &'static str = "task";
    const VERSION: u8 = 2;
}

impl TaskAccount {
    /// Dollars so far, without the calls whose cost is unknown.
    #[must_use]
    pub const fn cost(&self) -> Usd {
        Usd::from_femto(self.cost_femto)
    }

    /// Dollars of the calls that are overhead; part of the whole.
    #[must_use]
    pub const fn overhead(&self) -> Usd {
        Usd::from_femto(self.overhead_femto)
    }

    /// The result that was reported last.
    #[must_use]
    pub const fn result(&self) -> Option<TaskResult> {
        self.result
    }

    /// Takes up a report, and says what is new in it.
    pub fn report(&mut self, result: TaskResult) -> News {
        let news = News::of(result, self.result, Usd::from_femto(self.cost_femto.saturating_sub(self.reported_femto)));
        self.result = Some(result);
        self.reported_femto = self.cost_femto;
        news
    }

    /// The account after a charge.
    #[must_use]
    pub fn charged(mut self, charge: &Charge) -> Self {
        self.steps = self.steps.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(charge.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(charge.output_tokens);
        match charge.cost {
            Some(cost) => {
                self.cost_femto = self.cost_femto.saturating_add(cost.femto());
                if charge.is_overhead {
                    self.overhead_femto = self.overhead_femto.saturating_add(cost.femto());
                }
            }
            None => self.steps_without_cost = self.steps_without_cost.saturating_add(1),
        }
        self
    }

    /// When an account that was charged now is over, unless it is charged again.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        now.plus_millis(LIFETIME_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_adds_up_what_it_is_charged_and_counts_what_has_no_price() {
        let charge = |cost: Option<i128>, is_overhead| Charge {
            input_tokens: 10,
            output_tokens: 2,
            cost: cost.map(Usd::from_femto),
            is_overhead,
        };
        let account = TaskAccount::default().charged(&charge(Some(5), false)).charged(&charge(None, false));
        let account = account.charged(&charge(Some(2), true));
        assert_eq!((account.steps, account.input_tokens, account.output_tokens), (3, 30, 6));
        assert_eq!((account.cost(), account.steps_without_cost), (Usd::from_femto(7), 1));
        assert_eq!(account.overhead(), Usd::from_femto(2));
    }
}
