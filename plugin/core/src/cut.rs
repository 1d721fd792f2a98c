//! Ending a stream that runs: at a ceiling for what one call may put out, and where a budget is spent meanwhile.
//!
//! What a stream put out so far is counted as it is when a call breaks off, which takes work. So it is counted only once
//! enough text has arrived to bring it to what is left if every character were a token: one or two dozen counts on the whole. A
//! budget is looked at then, and once a second, since other calls spend it too.
//! Must not know: how a stream is ended, how the ledger is kept.

use crate::call::{Call, Ending};
use crate::limit::{Change, Done, Limit, Standing, Subject};
use crate::meter::Meter;
use crate::settlement::Settlement;
use crate::time::Timestamp;

/// Characters between two counts, at the least.
const STEP_MIN: u64 = 64;
/// How often a budget is looked at, however little arrives.
const LOOK_MS: u64 = 1_000;

/// A limit at which a call's stream is ended.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// The limit, by its place in the configuration.
    index: usize,
    /// Characters after which it is counted again.
    next: u64,
    /// Of a budget: when it was looked at.
    looked: Timestamp,
    /// Of a budget: what was counted last, after so many characters.
    counted: Option<(u64, PutOut)>,
    /// Of a budget: it is spent.
    is_spent: bool,
}

/// What a stream has put out, as a limit measures it.
#[derive(Clone, Copy, Debug)]
struct PutOut {
    amount: i128,
    tokens: u64,
}

impl Cut {
    pub(crate) fn of(call: &Subject<'_>, limits: &[Limit], now: Timestamp) -> Vec<Self> {
        let cutting = limits.iter().enumerate().filter(|(_, limit)| limit.cuts(call));
        cutting.map(|(index, _)| Self { index, next: STEP_MIN, looked: now, counted: None, is_spent: false }).collect()
    }

    /// Puts off the next count until all that is left may have been put out: hardly a token has less than a character.
    fn put_off(&mut self, characters: u64, left: i128, put_out: &PutOut) {
        let tokens = i128::from(put_out.tokens.max(1));
        let each = put_out.amount.checked_div(tokens).unwrap_or(1).max(1);
        let more = left.checked_div(each).and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(u64::MAX / 4);
        self.next = characters.saturating_add(more.max(STEP_MIN));
    }
}

impl Meter {
    /// The change that makes a budget hold what a call's stream has put out by now, and tells how it stands; by the number of
    /// the claim. `None` where it need not be looked at.
    pub fn look<'a>(&'a mut self, call: &'a mut Call, number: usize, now: Timestamp) -> Option<Change<'a>> {
        let (characters, place) = (characters(call)?, call.claims.limit_of(number)?);
        let mut cut = call.cuts.iter().find(|cut| cut.index == place)?.clone();
        let is_longer = characters >= cut.next;
        if !is_longer && now.millis_since(cut.looked) < LOOK_MS {
            return None;
        }
        cut.looked = now;
        if is_longer {
            cut.next = u64::MAX;
            cut.counted = self.put_out(call, place, now).map(|put_out| (characters, put_out));
            cut.counted.iter().for_each(|(_, put_out)| call.claims.put_out(number, put_out.amount));
        }
        call.cuts.iter_mut().filter(|known| known.index == place).for_each(|known| *known = cut.clone());
        call.claims.look(number, &self.config.limits)
    }

    /// Whether a call's stream is to be ended now: the limit that says so, by its name.
    pub fn must_cut(&mut self, call: &mut Call, now: Timestamp) -> Option<String> {
        let characters = characters(call)?;
        let mut cuts = std::mem::take(&mut call.cuts);
        let beyond = cuts.iter_mut().find_map(|cut| self.is_beyond(call, cut, characters, now).then_some(cut.index));
        call.cuts = cuts;
        let limit = self.config.limits.get(beyond?)?.id.clone();
        call.findings
            .iter_mut()
            .filter(|found| found.id == limit)
            .for_each(|found| found.standing = Standing::Exceeded);
        Some(limit)
    }

    fn is_beyond(&mut self, call: &Call, cut: &mut Cut, characters: u64, now: Timestamp) -> bool {
        let ceiling =
            self.config.limits.get(cut.index).filter(|limit| limit.budget.is_none()).map(|limit| limit.allowed);
        let Some(ceiling) = ceiling.filter(|_| characters >= cut.next) else { return cut.is_spent };
        let Some(put_out) = self.put_out(call, cut.index, now) else {
            // Without a price, nothing that arrives later changes that.
            cut.next = u64::MAX;
            return false;
        };
        let left = ceiling.saturating_sub(put_out.amount);
        cut.put_off(characters, left, &put_out);
        left <= 0
    }

    /// What the call has put out, as if it broke off now; `None` where the limit cannot measure it.
    fn put_out(&mut self, call: &Call, place: usize, now: Timestamp) -> Option<PutOut> {
        let settlement = Settlement::of(call, Some(Ending::Cut), &mut self.counter);
        let event = settlement.event(call, &self.config.prices, now);
        let amount = self.config.limits.get(place)?.gauge.consumed(&event)?;
        Some(PutOut { amount, tokens: event.output_tokens.unwrap_or(0) })
    }
}

impl Call {
    /// What came of a look at a budget; `None` when it could not be made.
    pub fn looked(&mut self, number: usize, done: Option<&Done>) {
        let (is_spent, place) = (self.claims.looked(number, done), self.claims.limit_of(number));
        let left = self.claims.left(number);
        for cut in self.cuts.iter_mut().filter(|cut| Some(cut.index) == place) {
            cut.is_spent |= is_spent;
            if let Some((characters, put_out)) = cut.counted.take() {
                cut.put_off(characters, left, &put_out);
            }
        }
    }
}

/// How long the text is that a stream has put out; `None` for an answer that is none: it is paid for when its first byte
/// arrives.
fn characters(call: &Call) -> Option<u64> {
    let reader = call.reader.as_ref().filter(|_| call.asked.stream && !call.cuts.is_empty())?;
    Some(reader.answer().delivered.characters())
}
