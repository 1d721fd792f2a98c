//! How much calls of a model usually put out, learned from those that ended.
//!
//! Invariants: bounded; a worker's own, since an expectation need not be the same everywhere.
//! Must not know: what it is used for.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

/// Expected of a model that nothing is known of.
const UNKNOWN: u64 = 1_024;
/// Models that are remembered; others are expected to put out what an unknown one does.
const MODELS_MAX: usize = 256;
/// How slowly an expectation follows: by one part in so many.
const INERTIA: u64 = 8;

/// Expected output tokens, by model.
#[derive(Clone, Debug, Default)]
pub struct Outputs(BTreeMap<String, u64>);

impl Outputs {
    /// What a call of a model is expected to put out.
    #[must_use]
    pub fn expected(&self, model: &str) -> u64 {
        self.0.get(model).copied().unwrap_or(UNKNOWN)
    }

    /// A call of a model put out so many tokens.
    pub fn learn(&mut self, model: &str, tokens: u64) {
        let has_room = self.0.len() < MODELS_MAX;
        match self.0.get_mut(model) {
            Some(mean) => {
                let others = mean.saturating_mul(INERTIA.saturating_sub(1));
                // Rounded up, so that it does not stay below what comes again and again.
                *mean = others.saturating_add(tokens).div_ceil(INERTIA);
            }
            None if has_room => _ = self.0.insert(model.to_owned(), tokens),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_begins_with_the_first_call_and_follows_the_later_ones() {
        let mut outputs = Outputs::default();
        assert_eq!(outputs.expected("m"), UNKNOWN);
        outputs.learn("m", 80);
        outputs.learn("m", 160);
        assert_eq!(outputs.expected("m"), 90);
        (0..100).for_each(|_| outputs.learn("m", 160));
        assert_eq!(outputs.expected("m"), 160);
    }

    #[test]
    fn models_that_clients_make_up_are_not_remembered_beyond_the_bound() {
        let mut outputs = Outputs::default();
        (0..1_000).for_each(|number| outputs.learn(&format!("m{number}"), 5));
        assert_eq!((outputs.0.len(), outputs.expected("m999")), (MODELS_MAX, UNKNOWN));
    }
}
