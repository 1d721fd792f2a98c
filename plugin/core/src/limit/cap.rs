//! Capping: how much output a call is left, so that it stays within a limit.
//!
//! Invariants: what is left is never more than the call asks for; a call that cannot make do with it is refused, not cut
//! down to nothing.
//! Must not know: how a request is changed.
#![deny(clippy::arithmetic_side_effects)]

use super::{Estimate, Limit};
use crate::config::raw::{Action, Reserve};

/// The least output tokens that an answer is capped to: OpenAI's Responses take no smaller maximum, and less is no answer.
pub const OUTPUT_LEAST: u64 = 16;

/// How the output of a call can be limited. Tokens are those of all its answers together.
pub struct Capping<'a> {
    /// The most that the request allows; `None` where it sets no maximum.
    pub asked: Option<u64>,
    /// The least that the call makes do with.
    pub least: u64,
    /// How many answers it asks for.
    pub choices: u64,
    /// What it may consume with at most so much output.
    pub estimate: &'a dyn Fn(u64) -> Estimate,
}

impl Limit {
    /// Whether it lowers what calls may put out.
    #[must_use]
    pub fn caps(&self) -> bool {
        self.has(Action::CapOutput)
    }

    /// Whether it changes requests.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.caps() || self.has(Action::Downgrade)
    }

    /// The amount of what a request states, by which single calls are judged.
    pub(super) fn stated(&self, estimate: &Estimate) -> Option<i128> {
        match self.reserve {
            Reserve::Expected => self.gauge.stated(estimate),
            Reserve::UpperBound => self.gauge.estimated(estimate, Reserve::UpperBound),
        }
    }

    /// The most that a request without a maximum is given.
    pub(super) const fn given(&self, capping: &Capping<'_>) -> u64 {
        self.max_output_tokens.saturating_mul(capping.choices)
    }

    /// The amount of a call that puts out the least it makes do with; `None` where that is not known.
    pub(super) fn least(&self, capping: Option<&Capping<'_>>) -> Option<i128> {
        let capping = capping.filter(|_| self.caps())?;
        self.stated(&(capping.estimate)(capping.least))
    }

    /// The most output tokens with which a call stays within an amount: no more than it asks for, or is given. `None` where
    /// that is less than it makes do with.
    pub(super) fn output_within(&self, room: i128, capping: &Capping<'_>) -> Option<u64> {
        let fits = |output| self.stated(&(capping.estimate)(output)).is_some_and(|amount| amount <= room);
        let (mut fitting, mut beyond) = (capping.least, capping.asked.unwrap_or_else(|| self.given(capping)));
        if fitting > beyond || fits(beyond) {
            return fits(beyond).then_some(beyond);
        }
        if !fits(fitting) {
            return None;
        }
        while beyond.saturating_sub(fitting) > 1 {
            let middle = fitting.saturating_add(beyond.saturating_sub(fitting) / 2);
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        Some(fitting)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::limit::{Capping, Consumption, Estimate};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_call_is_left_as_much_output_as_fits_and_not_one_token_more(
            allowed in 0_i128..5_000, asked in prop::option::of(0_u64..5_000), least in 0_u64..500
        ) {
            let config = r#"{"limits": [{"id": "a", "measure": "tokens", "limit": 1, "action": "cap_output"}]}"#;
            let config = Config::parse(config.as_bytes()).expect("a configuration");
            let estimate = |output| Estimate {
                stated: Consumption { input: Some(100), output: Some(output), cost: None },
                ..Estimate::default()
            };
            let capping = Capping { asked, least, choices: 1, estimate: &estimate };
            let most = asked.unwrap_or(4_096);
            let fits = |output: u64| i128::from(output).saturating_add(100) <= allowed;
            let expected = (0..=most).rev().find(|output| fits(*output)).filter(|output| *output >= least.min(most));
            prop_assert_eq!(config.limits[0].output_within(allowed, &capping), expected);
        }
    }
}
