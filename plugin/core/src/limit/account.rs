//! Accounts: what was spent against one limit for one key, and what is held for calls that still run.
//!
//! A call's amount is held before it is forwarded, and what it really consumed is charged when it ends.
//! Invariants: what is charged is charged whatever the limit says; what was overspent is remembered; time that runs
//! backwards (between workers) never begins a window anew.
//! Must not know: what an amount measures, where accounts are kept.
#![deny(clippy::arithmetic_side_effects)]

use super::balance::{Balance, Reserved, part};
use super::holds::{HoldId, Holds};
use super::share::{Answer, Ask, Asked, Asking, Due, Fleet, Room, Share, Use};
use super::steps::Steps;
use super::window::Window;
use crate::config::raw::Debt;
use crate::ledger::Record;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an account outlives its last window, for clocks that differ.
const GRACE_MS: u64 = 60 * 60 * 1_000;
/// No debt is remembered longer than this.
const DEBT_MS: u64 = 400 * 24 * 60 * 60 * 1_000;
/// How long a call that is let through after a cool-down may take until another one is.
const PROBE_MS: u64 = 60 * 1_000;
/// Most thresholds of a limit: as many as there are bits for those that were told.
pub const THRESHOLDS_MAX: usize = 16;

/// What an account goes by, which the limit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When counting begins anew.
    pub window: Window,
    /// The most that is allowed in a window. With [`Window::Steady`], what flows back in a span.
    pub allowed: i128,
    /// With [`Window::Steady`]: the most that can be spent at once.
    pub burst: i128,
    /// For how long calls are refused once all is spent; 0 for no longer than that.
    pub cool_down_ms: u64,
    /// What becomes of what was overspent.
    pub debt: Debt,
    /// Amounts of spending that are told when they are crossed, in ascending order.
    pub thresholds: Vec<i128>,
    /// Where all gateways of a fleet share the amount: how.
    pub fleet: Option<Fleet>,
}

/// An amount that is to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// All of it.
    pub amount: i128,
    /// The least that will do; `None` where nothing less than all will.
    pub least: Option<i128>,
    /// The part of what is allowed that must not be exceeded; `None` where any may.
    pub deny_percent: Option<u32>,
    /// Whether the other gateways of the fleet may be asked.
    pub asking: Asking,
}

/// The state of one limit for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// When the window of `spent` began; with [`Window::Steady`], up to when it has flowed back.
    since_ms: u64,
    spent: i128,
    holds: Holds,
    /// One bit for each threshold that spending is beyond of and that was told.
    told: u16,
    granted: i128,
    granted_until_ms: u64,
    /// Calls are refused until then, and after it all but one at a time; 0 while nothing cools down.
    cools_until_ms: u64,
    /// The one call that was let through is waited for until then.
    probes_until_ms: u64,
    steps: Steps,
    /// How long the history was at the last step.
    #[serde(default)]
    history: u64,
    /// What the gateways of a fleet have told each other.
    share: Option<Box<Share>>,
}

impl Record for Account {
    const KIND: &'static str = "account";
    const VERSION: u8 = 1;
}

impl Account {
    /// Holds an amount. With `deny_percent`, only where no more than that part of what is allowed is used then; where that
    /// leaves less than the amount, and no less than `least`, holds what is left.
    ///
    /// `None` when there are more workers than an account has room for.
    pub fn reserve(
        &mut self,
        terms: &Terms,
        worker: u64,
        Wanted { amount, least, deny_percent, asking }: Wanted,
        now: Timestamp,
    ) -> Option<Reserved> {
        self.roll(terms, now);
        let balance = self.balance(terms, now);
        let bound = deny_percent.map(|percent| part(balance.allowed, percent));
        if let Some(fits) = self.cools_until(now).filter(|_| bound.is_some()) {
            return Some(Reserved::Refused { balance, is_contended: false, fits: Some(fits) });
        }
        let needed = least.unwrap_or(amount).min(amount);
        let Room::Known(room) = self.room(terms, bound, needed, asking, now) else {
            return Some(Reserved::Unknown);
        };
        let beyond = needed.saturating_sub(room);
        if beyond > 0 {
            let is_contended = self.holds.fresh(worker, now) >= beyond;
            let fits = self.fits(terms, beyond, amount, now);
            return Some(Reserved::Refused { balance, is_contended, fits });
        }
        let amount = amount.min(room);
        let id = self.holds.add(worker, amount, now)?;
        if self.cools_until_ms > 0 {
            self.probes_until_ms = now.millis().saturating_add(PROBE_MS);
        }
        Some(Reserved::Held(id, self.balance(terms, now), amount))
    }

    /// Counts a step, by a mark that tells steps apart; with `history`, only where that is longer than at the step before,
    /// where it had the same mark. With `deny_percent`, only where it was then made no more often than
    /// that part of what is allowed.
    pub fn repeat(
        &mut self,
        terms: &Terms,
        mark: u64,
        history: Option<u64>,
        deny_percent: Option<u32>,
        now: Timestamp,
    ) -> Reserved {
        self.roll(terms, now);
        let made = self.steps.times(mark);
        let is_no_longer = |history: u64| self.steps.is_last(mark) && history <= self.history;
        let counts = !history.is_some_and(is_no_longer);
        let times = made.saturating_add(u32::from(counts));
        let balance = |times: u32| Balance { spent: times.into(), ..self.balance(terms, now) };
        if deny_percent.is_some_and(|percent| i128::from(times) > part(terms.allowed, percent)) {
            return Reserved::Refused { balance: balance(made), is_contended: false, fits: None };
        }
        let balance = balance(times);
        self.steps.put(mark, times);
        self.history = history.unwrap_or(0);
        Reserved::Held(HoldId { worker: 0, since_ms: now.millis() }, balance, i128::from(counts))
    }

    /// A step that was counted was not made.
    pub fn forget(&mut self, mark: u64) {
        self.steps.forget(mark);
        // Tried again, it counts again.
        self.history = 0;
    }

    /// Lets go of an amount that was held: the call is not forwarded.
    pub fn release(&mut self, hold: HoldId, amount: i128) {
        self.holds.release(hold, amount);
        self.probes_until_ms = 0;
    }

    /// A call is over: charges what it consumed in place of what was held for it. Gives the thresholds that spending
    /// crossed by this, each by its index, each only once.
    pub fn settle(
        &mut self,
        terms: &Terms,
        hold: Option<(HoldId, i128)>,
        actual: i128,
        now: Timestamp,
    ) -> (Balance, Vec<usize>) {
        self.roll(terms, now);
        if let Some((hold, amount)) = hold {
            self.release(hold, amount);
            self.holds.touch(hold.worker, now);
        }
        self.spent = self.spent.saturating_add(actual);
        let mut crossed = Vec::new();
        for (index, threshold) in terms.thresholds.iter().enumerate().take(THRESHOLDS_MAX) {
            let bit = 1_u16.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0);
            if self.total() >= *threshold && self.told & bit == 0 {
                self.told |= bit;
                crossed.push(index);
            }
        }
        let balance = self.balance(terms, now);
        if balance.spent >= balance.allowed && terms.cool_down_ms > 0 {
            self.cools_until_ms = now.millis().saturating_add(terms.cool_down_ms);
        } else if self.cools_until_ms <= now.millis() {
            self.cools_until_ms = 0;
        }
        (self.balance(terms, now), crossed)
    }

    /// A call still runs: what is held for it does not expire yet. Gives the hold it belongs to from now on.
    pub fn renew(&mut self, terms: &Terms, hold: HoldId, amount: i128, now: Timestamp) -> Option<HoldId> {
        self.roll(terms, now);
        if self.holds.has(hold) {
            self.holds.touch(hold.worker, now);
            return Some(hold);
        }
        self.holds.add(hold.worker, amount, now)
    }

    /// A call that runs has put out more than is held for it: holds that. Gives the hold it belongs to from now on, how the
    /// account stands, and whether calls are refused because all was spent too fast.
    pub fn raise(
        &mut self,
        terms: &Terms,
        hold: HoldId,
        (from, to): (i128, i128),
        now: Timestamp,
    ) -> Option<(HoldId, Balance, bool)> {
        self.roll(terms, now);
        let hold = self.holds.raise(hold, from, to, now)?;
        Some((hold, self.balance(terms, now), self.cools_until_ms > now.millis()))
    }

    /// Allows more until then, in the place of what was granted before.
    pub const fn grant(&mut self, amount: i128, until: Timestamp) {
        self.granted = amount;
        self.granted_until_ms = until.millis();
        // Who is given more need not wait.
        self.cools_until_ms = 0;
    }

    /// How the account stands now.
    #[must_use]
    pub fn stand(mut self, terms: &Terms, now: Timestamp) -> Balance {
        self.roll(terms, now);
        self.balance(terms, now)
    }

    /// When nothing of it matters any more.
    #[must_use]
    pub fn expires(&self, terms: &Terms, now: Timestamp) -> Timestamp {
        let start = Timestamp::from_millis(self.since_ms);
        let spent = match terms.window {
            Window::Fixed(span, _) => {
                let windows = self.spent.max(1).checked_div(terms.allowed.max(1)).unwrap_or(0).saturating_add(1);
                let length = i128::from(span.longest()).saturating_mul(windows).saturating_add(i128::from(GRACE_MS));
                start.plus_millis(u64::try_from(length).unwrap_or(u64::MAX).min(DEBT_MS))
            }
            Window::Steady(_) => self.full(terms, now),
            Window::Idle { after_ms } => now.plus_millis(after_ms),
            Window::InFlight => now,
        };
        let granted = if self.granted == 0 { 0 } else { self.granted_until_ms };
        let cooled = self.cools_until_ms.max(self.probes_until_ms);
        // What is put for no time at all would be lost before it is read.
        let least = now.plus_millis(1_000);
        spent
            .max(Timestamp::from_millis(self.holds.expires_ms()))
            .max(Timestamp::from_millis(granted))
            .max(Timestamp::from_millis(cooled))
            .max(least)
    }

    /// Brings the account up to now: windows that began, amounts that flowed back, holds and grants that expired.
    fn roll(&mut self, terms: &Terms, now: Timestamp) {
        self.holds.expire(now);
        if terms.fleet.is_none() {
            self.share = None;
        }
        match terms.window {
            Window::Fixed(..) => self.begin_window(terms, now),
            Window::Steady(span) => self.flow_back(terms, span.millis(), now),
            Window::Idle { .. } | Window::InFlight => {}
        }
        if self.granted_until_ms <= now.millis() {
            self.granted = 0;
        }
        let is_below = |index: &usize| terms.thresholds.get(*index).is_none_or(|threshold| self.total() < *threshold);
        let below = (0..THRESHOLDS_MAX)
            .filter(is_below)
            .fold(0_u16, |bits, index| bits | 1_u16.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0));
        self.told &= !below;
    }

    fn begin_window(&mut self, terms: &Terms, now: Timestamp) {
        let start = terms.window.start(now).millis();
        if start <= self.since_ms {
            return;
        }
        // Every window that went by pays for as much as it allows; the one that ends also for what was granted in it.
        let gone = i128::from(terms.window.between(Timestamp::from_millis(self.since_ms), now));
        let debt = match terms.debt {
            Debt::Carry => {
                let paid = terms.allowed.saturating_mul(gone).saturating_add(self.granted);
                self.total().saturating_sub(paid).max(0)
            }
            Debt::Forgive => 0,
        };
        // What a fleet owes is no gateway's own.
        self.spent = if terms.fleet.is_some() { 0 } else { debt };
        self.share = self.share.take().map(|share| Box::new(share.next_window(start, debt, now.millis())));
        self.since_ms = start;
        self.told = 0;
        self.steps.clear();
    }

    fn flow_back(&mut self, terms: &Terms, span_ms: u64, now: Timestamp) {
        let elapsed = now.millis().saturating_sub(self.since_ms);
        let span = i128::from(span_ms);
        let back = i128::from(elapsed).saturating_mul(terms.allowed).checked_div(span).unwrap_or(0);
        if back >= self.spent {
            self.spent = self.spent.min(0);
            self.since_ms = self.since_ms.max(now.millis());
            return;
        }
        // Only the time that whole units took is used up, so that frequent looks lose nothing.
        let used = back.saturating_mul(span).saturating_add(terms.allowed.saturating_sub(1));
        let used = used.checked_div(terms.allowed.max(1)).unwrap_or(0);
        self.spent = self.spent.saturating_sub(back);
        self.since_ms = self.since_ms.saturating_add(u64::try_from(used).unwrap_or(0).min(elapsed));
    }

    /// With [`Window::Steady`]: when all has flowed back.
    fn full(&self, terms: &Terms, now: Timestamp) -> Timestamp {
        now.plus_millis(self.time_to_flow(terms, self.spent))
    }

    /// With [`Window::Steady`]: how long an amount takes to flow back, in milliseconds.
    fn time_to_flow(&self, terms: &Terms, amount: i128) -> u64 {
        let Window::Steady(span) = terms.window else { return 0 };
        let scaled = amount.max(0).saturating_mul(i128::from(span.millis()));
        let up = scaled.saturating_add(terms.allowed.saturating_sub(1));
        u64::try_from(up.checked_div(terms.allowed.max(1)).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// When an amount that is `beyond` what is allowed by so much fits, if nothing else is spent.
    fn fits(&self, terms: &Terms, beyond: i128, amount: i128, now: Timestamp) -> Option<Timestamp> {
        match terms.window {
            Window::Fixed(..) if amount <= terms.allowed => terms.window.end(now),
            Window::Steady(_) if amount <= terms.burst => Some(now.plus_millis(self.time_to_flow(terms, beyond))),
            Window::Fixed(..) | Window::Steady(_) | Window::Idle { .. } | Window::InFlight => None,
        }
    }

    /// What was spent, in a fleet by all its gateways as far as that is known, and what is owed.
    fn total(&self) -> i128 {
        self.spent.saturating_add(self.share.as_ref().map_or(0, |share| share.spent()))
    }

    /// What may be held, where a call needs so much.
    fn room(&self, terms: &Terms, bound: Option<i128>, needed: i128, asking: Asking, now: Timestamp) -> Room {
        let used = self.used(bound);
        match (&terms.fleet, bound) {
            (_, None) => Room::Known(i128::MAX),
            (None, Some(bound)) => Room::Known(bound.saturating_sub(used.own())),
            (Some(fleet), Some(_)) => match &self.share {
                Some(share) => share.room(fleet, used, needed, asking, now),
                None => Share::default().room(fleet, used, needed, asking, now),
            },
        }
    }

    fn used(&self, bound: Option<i128>) -> Use {
        Use { spent: self.spent.max(0), held: self.holds.sum(), bound }
    }

    /// What the other gateways are to be told and asked, where that is due; `None` where no fleet shares the account.
    pub fn ask(&mut self, terms: &Terms, deny_percent: Option<u32>, due: Due, now: Timestamp) -> Option<Asked> {
        self.roll(terms, now);
        let fleet = terms.fleet.as_ref()?;
        let allowed = terms.allowed.saturating_add(self.granted);
        let used = self.used(deny_percent.map(|percent| part(allowed, percent)));
        let window = (Timestamp::from_millis(self.since_ms), self.expires(terms, now));
        Some(self.share.get_or_insert_default().ask(fleet, used, due, window, now))
    }

    /// Takes what the other gateways say. Nothing of another window than this one matters.
    pub fn take(&mut self, terms: &Terms, asked: &Ask, answer: &Answer, now: Timestamp) {
        self.roll(terms, now);
        if let Some(share) = self.share.as_mut().filter(|_| asked.window_ms == self.since_ms) {
            share.take(asked, answer, now);
        }
    }

    fn balance(&self, terms: &Terms, now: Timestamp) -> Balance {
        let allowed = if matches!(terms.window, Window::Steady(_)) { terms.burst } else { terms.allowed };
        let allowed = allowed.saturating_add(self.granted);
        let resets = match terms.window {
            Window::Steady(_) => Some(self.full(terms, now)),
            window => window.end(now),
        };
        let held = self.holds.sum();
        let share = self.share.as_deref().filter(|_| terms.fleet.is_some());
        let leased = share.map(|share| share.left(self.spent, held).max(0));
        let held = held.saturating_add(share.map_or(0, Share::leased));
        let (exhausted, cools_until) = (self.exhausted(terms, allowed, now), self.cools_until(now));
        let until = Timestamp::from_millis(self.granted_until_ms);
        let granted = (self.granted != 0).then_some((self.granted, until));
        Balance { spent: self.total(), held, allowed, resets, exhausted, cools_until, granted, leased }
    }

    /// When the window's amount is spent, if it goes on being spent as it was so far.
    fn exhausted(&self, terms: &Terms, allowed: i128, now: Timestamp) -> Option<Timestamp> {
        let end = terms.window.end(now)?;
        let spent = self.total();
        let left = allowed.saturating_sub(spent);
        if left <= 0 {
            return Some(now);
        }
        let elapsed = i128::from(now.millis().saturating_sub(self.since_ms));
        let until = left.checked_mul(elapsed)?.checked_div(spent)?;
        let at = now.plus_millis(u64::try_from(until).ok()?);
        (at < end).then_some(at)
    }

    /// Until when calls are refused: for the cool-down, and then while one call is waited for.
    fn cools_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = if self.cools_until_ms == 0 { 0 } else { self.cools_until_ms.max(self.probes_until_ms) };
        (until > now.millis()).then(|| Timestamp::from_millis(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::holds::{FRESH_MS, HOLD_MS};
    use crate::limit::{Span, Zone};

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_040);

    fn terms(window: Window, allowed: i128) -> Terms {
        Terms {
            window,
            allowed,
            burst: allowed,
            cool_down_ms: 0,
            debt: Debt::Carry,
            thresholds: vec![allowed / 2, allowed],
            fleet: None,
        }
    }

    fn minute(allowed: i128) -> Terms {
        terms(Window::Fixed(Span::Minute, Zone::default()), allowed)
    }

    /// Nothing less will do.
    const fn all(amount: i128) -> Wanted {
        Wanted { amount, least: None, deny_percent: Some(100), asking: Asking::May }
    }

    fn held(account: &mut Account, terms: &Terms, worker: u64, amount: i128, now: Timestamp) -> Option<HoldId> {
        match account.reserve(terms, worker, all(amount), now)? {
            Reserved::Held(id, ..) => Some(id),
            Reserved::Refused { .. } | Reserved::Unknown => None,
        }
    }

    /// What is spent and held.
    fn state(account: &Account, terms: &Terms, now: Timestamp) -> (i128, i128) {
        let balance = account.clone().stand(terms, now);
        (balance.spent, balance.held)
    }

    #[test]
    fn what_was_spent_on_a_day_of_25_hours_is_kept_beyond_its_end() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        let (terms, mut account) = (terms(Window::Fixed(Span::Day, berlin), 100), Account::default());
        let day = Timestamp::parse("2026-10-25T20:00:00Z").expect("a time");
        account.settle(&terms, None, 60, day);
        let end = terms.window.end(day).expect("an end");
        assert!(account.expires(&terms, day) >= end.plus_millis(GRACE_MS));
        assert_eq!(state(&account, &terms, Timestamp::parse("2026-10-25T22:59:59Z").expect("a time")), (60, 0));
        assert_eq!(state(&account, &terms, end), (0, 0));
    }

    #[test]
    fn what_is_held_counts_until_what_was_consumed_takes_its_place() {
        let (terms, mut account) = (minute(100), Account::default());
        let first = held(&mut account, &terms, 1, 60, NOW).expect("it fits");
        assert_eq!(held(&mut account, &terms, 2, 41, NOW), None);
        assert!(held(&mut account, &terms, 2, 40, NOW).is_some(), "a limit allows its own amount");
        account.settle(&terms, Some((first, 60)), 10, NOW);
        assert_eq!(state(&account, &terms, NOW), (10, 40));
    }

    #[test]
    fn who_makes_do_with_less_holds_what_is_left_and_no_more() {
        let (terms, mut account) = (minute(100), Account::default());
        let mut amount =
            |amount, least| match account.reserve(&terms, 1, Wanted { least: Some(least), ..all(amount) }, NOW) {
                Some(Reserved::Held(_, balance, held)) => (held, balance.held),
                _ => (-1, -1),
            };
        assert_eq!(
            [amount(60, 10), amount(60, 41), amount(60, 40), amount(60, 1)],
            [(60, 60), (-1, -1), (40, 100), (-1, -1)]
        );
    }

    #[test]
    fn a_window_begins_with_what_was_overspent_and_each_pays_for_its_own_amount() {
        let (terms, mut account) = (minute(100), Account::default());
        account.settle(&terms, None, 250, NOW);
        let after = |minutes: u64| NOW.plus_millis(minutes * 60_000);
        assert_eq!(state(&account, &terms, after(1)), (150, 0));
        assert_eq!(state(&account, &terms, after(2)), (50, 0));
        assert_eq!(state(&account, &terms, after(3)), (0, 0));
        assert!(account.expires(&terms, NOW) > after(2), "a debt outlives its window");
        let forgiving = Terms { debt: Debt::Forgive, ..terms };
        assert_eq!(state(&account, &forgiving, after(1)), (0, 0));
    }

    #[test]
    fn a_clock_that_is_behind_does_not_begin_the_window_before() {
        let (terms, mut account) = (minute(100), Account::default());
        account.settle(&terms, None, 70, NOW);
        account.settle(&terms, None, 20, Timestamp::from_millis(NOW.millis() - 60_000));
        assert_eq!(state(&account, &terms, NOW), (90, 0));
    }

    #[test]
    fn a_bucket_flows_back_steadily_however_often_it_is_looked_at() {
        let (terms, mut account) = (terms(Window::Steady(Span::Minute), 60), Account::default());
        account.settle(&terms, None, 60, NOW);
        let mut now = NOW;
        for _ in 0..1_000 {
            now = now.plus_millis(10);
            account.settle(&terms, None, 0, now);
        }
        assert_eq!(state(&account, &terms, now), (50, 0));
        let Some(Reserved::Refused { fits, .. }) = account.reserve(&terms, 1, all(12), now) else {
            panic!("twelve do not fit where ten came back");
        };
        assert_eq!(fits, Some(now.plus_millis(2_000)));
        assert!(held(&mut account, &terms, 1, 10, now).is_some());
    }

    #[test]
    fn what_a_dead_worker_held_is_free_in_the_end_and_a_late_settlement_still_charges() {
        let (terms, mut account) = (terms(Window::Idle { after_ms: u64::MAX / 2 }, 100), Account::default());
        let lost = held(&mut account, &terms, 1, 80, NOW).expect("it fits");
        let late = NOW.plus_millis(HOLD_MS);
        assert_eq!(state(&account, &terms, Timestamp::from_millis(late.millis() - 1)), (0, 80));
        let fresh = held(&mut account, &terms, 1, 50, late).expect("it fits again");
        assert_ne!(fresh, lost);
        account.settle(&terms, Some((lost, 80)), 7, late);
        assert_eq!(state(&account, &terms, late), (7, 50), "what expired is not let go again");
    }

    #[test]
    fn a_call_that_still_runs_keeps_what_is_held_for_it() {
        let (terms, mut account) = (terms(Window::InFlight, 3), Account::default());
        let hold = held(&mut account, &terms, 1, 1, NOW).expect("it fits");
        let later = |parts: u64| NOW.plus_millis(HOLD_MS / 2 * parts);
        assert_eq!(account.renew(&terms, hold, 1, later(1)), Some(hold));
        assert_eq!(state(&account, &terms, later(2)), (0, 1));
        let again = account.renew(&terms, hold, 1, later(9)).expect("there is room");
        assert_ne!(again, hold, "it had expired");
        account.settle(&terms, Some((again, 1)), 0, later(9));
        assert_eq!(state(&account, &terms, later(9)), (0, 0));
    }

    #[test]
    fn a_threshold_is_told_once_in_each_window() {
        let (terms, mut account) = (minute(100), Account::default());
        let mut told = |amount, minutes: u64| account.settle(&terms, None, amount, NOW.plus_millis(minutes * 60_000)).1;
        assert_eq!([told(49, 0), told(1, 0), told(1, 0)], [vec![], vec![0], vec![]]);
        assert_eq!([told(49, 0), told(200, 1)], [vec![1], vec![0, 1]]);
        assert_eq!(told(1, 2), [0, 1], "the debt of 100 is beyond both");
    }

    #[test]
    fn a_grant_allows_more_until_it_ends_and_is_no_debt() {
        let (terms, mut account) = (minute(100), Account::default());
        account.grant(50, NOW.plus_millis(60_000));
        assert!(held(&mut account, &terms, 1, 150, NOW).is_some());
        assert_eq!(held(&mut account, &terms, 1, 1, NOW), None);
        account.settle(&terms, None, 150, NOW);
        assert_eq!(state(&account, &terms, NOW.plus_millis(60_000)).0, 0);
        assert_eq!(account.stand(&terms, NOW.plus_millis(60_000)).allowed, 100);
    }

    #[test]
    fn the_end_of_a_budget_is_told_where_it_comes_before_the_windows() {
        let (terms, mut account) = (minute(100), Account::default());
        let at = |seconds: u64| NOW.plus_millis(seconds * 1_000);
        account.settle(&terms, None, 50, at(10));
        // 1,790,000,040 is the start of a minute.
        assert_eq!(account.clone().stand(&terms, at(10)).exhausted, Some(at(20)));
        assert_eq!(account.stand(&terms, at(40)).exhausted, None);
    }

    #[test]
    fn what_was_held_a_moment_ago_may_be_let_go_again() {
        let (terms, mut account) = (minute(100), Account::default());
        held(&mut account, &terms, 1, 80, NOW);
        let contended = |account: &mut Account, worker, now| match account.reserve(&terms, worker, all(30), now) {
            Some(Reserved::Refused { is_contended, .. }) => is_contended,
            other => panic!("{other:?}"),
        };
        assert!(contended(&mut account, 2, NOW));
        assert!(!contended(&mut account, 1, NOW), "a worker knows what it holds");
        assert!(!contended(&mut account, 2, NOW.plus_millis(FRESH_MS)));
    }

    #[test]
    fn what_was_spent_too_fast_cools_down_and_then_one_call_decides() {
        let (terms, mut account) = (Terms { cool_down_ms: 300_000, ..minute(100) }, Account::default());
        account.settle(&terms, None, 100, NOW);
        let after = |seconds: u64| NOW.plus_millis(seconds * 1_000);
        assert_eq!(held(&mut account, &terms, 1, 1, after(299)), None, "the window is over, the cool-down is not");
        let probe = held(&mut account, &terms, 1, 1, after(300)).expect("one may go");
        assert_eq!(held(&mut account, &terms, 2, 1, after(301)), None, "the others wait for it");
        account.settle(&terms, Some((probe, 1)), 100, after(310));
        assert_eq!(held(&mut account, &terms, 2, 1, after(609)), None, "it spent too much again");
        let probe = held(&mut account, &terms, 1, 1, after(610)).expect("one may go");
        account.settle(&terms, Some((probe, 1)), 1, after(611));
        assert!((0..9).all(|_| held(&mut account, &terms, 2, 1, after(612)).is_some()), "all may go");
    }

    #[test]
    fn a_call_that_is_let_through_and_never_ends_is_not_waited_for_long() {
        let (terms, mut account) = (Terms { cool_down_ms: 1_000, ..minute(100) }, Account::default());
        account.settle(&terms, None, 100, NOW);
        let after = |seconds: u64| NOW.plus_millis(seconds * 1_000);
        assert!(held(&mut account, &terms, 1, 1, after(60)).is_some());
        assert_eq!(held(&mut account, &terms, 2, 1, after(119)), None);
        assert!(held(&mut account, &terms, 2, 1, after(120)).is_some());
    }

    #[test]
    fn a_step_is_counted_as_often_as_it_is_made_of_late_whatever_comes_between() {
        let (terms, mut account) = (terms(Window::Idle { after_ms: 1_000_000 }, 3), Account::default());
        let mut made = |mark| match account.repeat(&terms, mark, None, Some(100), NOW) {
            Reserved::Held(_, balance, _) => balance.spent,
            Reserved::Refused { .. } | Reserved::Unknown => -1,
        };
        assert_eq!([made(1), made(2), made(1), made(2), made(1), made(1), made(2)], [1, 1, 2, 2, 3, -1, 3]);
        assert_eq!([made(3), made(4), made(5), made(6), made(1)], [1, 1, 1, 1, 1], "long ago is forgotten");
        account.forget(1);
        assert!(matches!(account.repeat(&terms, 1, None, None, NOW), Reserved::Held(_, Balance { spent: 1, .. }, _)));
    }

    #[test]
    fn a_step_without_a_word_of_the_users_counts_where_it_made_the_history_longer() {
        let (terms, mut account) = (terms(Window::Idle { after_ms: 1_000_000 }, 3), Account::default());
        let mut made = |mark, history| match account.repeat(&terms, mark, Some(history), Some(100), NOW) {
            Reserved::Held(_, balance, _) => balance.spent,
            Reserved::Refused { .. } | Reserved::Unknown => -1,
        };
        assert_eq!([made(1, 0), made(1, 10), made(1, 10), made(1, 20), made(1, 30)], [1, 2, 2, 3, -1]);
        assert_eq!([made(2, 30), made(2, 40)], [1, 2], "the user said something");
        account.forget(2);
        let again = account.repeat(&terms, 2, Some(40), None, NOW);
        assert!(matches!(again, Reserved::Held(_, Balance { spent: 2, .. }, 1)), "what failed may be tried again");
    }
}
