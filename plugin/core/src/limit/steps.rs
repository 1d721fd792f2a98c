//! Steps: which ones an agent made of late, and how often.
//!
//! Invariants: few steps are remembered, so that an account stays small.
//! Must not know: what makes two steps the same, what is allowed.
#![deny(clippy::arithmetic_side_effects)]

use serde::{Deserialize, Serialize};

/// Different steps that are remembered: a loop of more is none that repeats.
const STEPS_MAX: usize = 4;

/// The last different steps, the latest first, each by its mark with how often it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Steps(Vec<(u64, u32)>);

impl Steps {
    /// How often a step was made.
    pub(super) fn times(&self, mark: u64) -> u32 {
        self.0.iter().find(|(known, _)| *known == mark).map_or(0, |(_, times)| *times)
    }

    /// Whether this is the step that was made last.
    pub(super) fn is_last(&self, mark: u64) -> bool {
        self.0.first().is_some_and(|(last, _)| *last == mark)
    }

    /// A step was made so often by now.
    pub(super) fn put(&mut self, mark: u64, times: u32) {
        self.0.retain(|(known, _)| *known != mark);
        self.0.insert(0, (mark, times));
        self.0.truncate(STEPS_MAX);
    }

    /// A step that was counted was not made.
    pub(super) fn forget(&mut self, mark: u64) {
        if let Some((_, times)) = self.0.iter_mut().find(|(known, _)| *known == mark) {
            *times = times.saturating_sub(1);
        }
    }

    /// None was made.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
