//! Ending a stream that runs, at a ceiling for what one call may put out.
//!
//! What a stream put out so far is counted as it is when a call breaks off, which takes work. So it is counted only once
//! enough text has arrived to bring it half the way from the last count to the ceiling: a dozen counts on the whole.
//! Must not know: how a stream is ended.

use crate::call::{Call, Ending};
use crate::limit::{Limit, Standing, Subject};
use crate::meter::Meter;
use crate::settlement::Settlement;
use crate::time::Timestamp;

/// Characters between two counts, at the least.
const STEP_MIN: u64 = 64;

/// A ceiling of a call's stream.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// The limit, by its place in the configuration.
    index: usize,
    /// Characters after which it is counted again.
    next: u64,
}

impl Cut {
    pub(crate) fn of(call: &Subject<'_>, limits: &[Limit]) -> Vec<Self> {
        let cutting = limits.iter().enumerate().filter(|(_, limit)| limit.cuts(call));
        cutting.map(|(index, _)| Self { index, next: STEP_MIN }).collect()
    }
}

impl Meter {
    /// Whether a call's stream is to be ended now: the limit that says so, by its name.
    pub fn must_cut(&mut self, call: &mut Call, now: Timestamp) -> Option<String> {
        let characters = call.reader.as_ref()?.answer().delivered.characters();
        // A whole answer is paid for when its first byte arrives.
        if !call.asked.stream {
            return None;
        }
        let mut cuts = std::mem::take(&mut call.cuts);
        let mut due = cuts.iter_mut().filter(|cut| characters >= cut.next);
        let beyond = due.find_map(|cut| self.is_beyond(call, cut, characters, now).then_some(cut.index));
        call.cuts = cuts;
        let limit = self.config.limits.get(beyond?)?.id.clone();
        call.findings
            .iter_mut()
            .filter(|found| found.id == limit)
            .for_each(|found| found.standing = Standing::Exceeded);
        Some(limit)
    }

    fn is_beyond(&mut self, call: &Call, cut: &mut Cut, characters: u64, now: Timestamp) -> bool {
        let settlement = Settlement::of(call, Some(Ending::Cut), &mut self.counter);
        let event = settlement.event(call, &self.config.prices, now);
        let Some(limit) = self.config.limits.get(cut.index) else { return false };
        let Some(consumed) = limit.gauge.consumed(&event) else {
            // Without a price, nothing that arrives later changes that.
            cut.next = u64::MAX;
            return false;
        };
        let left = limit.allowed.saturating_sub(consumed);
        if left <= 0 {
            return true;
        }
        // A token has two characters or more, as a rule; where it has one, this comes closer in smaller steps.
        let tokens = i128::from(event.output_tokens.unwrap_or(0).max(1));
        let spent = consumed.checked_div(tokens).unwrap_or(1).max(1);
        let more = left.checked_div(spent).and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(u64::MAX / 4);
        cut.next = characters.saturating_add(more.saturating_mul(2).max(STEP_MIN));
        false
    }
}
