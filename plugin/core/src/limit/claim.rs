//! Claims: what one call takes of every budget that applies to it, from the first hold to the final charge.
//!
//! ```text
//! reserve, reserve, ... -> all held: forward
//!                       -> one refuses: release, release, ... -> refuse
//!                       -> one does not know: the fleet is asked, then reserve
//! renew*                   while the answer streams
//! settle, settle, ...      when the call is over, whatever ended it
//! ```
//! Budgets are asked in the order of their accounts' keys, which is the same for all calls. Each [`Change`] is carried
//! out by whoever keeps the ledger, and its outcome told back.
//! Invariants: a call that is refused holds nothing; claims are settled by value, so never twice; a call that was
//! forwarded is charged even where its hold was lost or never made.
//! Must not know: how records are kept, what a refusal looks like.
#![deny(clippy::arithmetic_side_effects)]

use super::account::{Account, Terms, Wanted};
use super::balance::{Balance, Reserved};
use super::holds::{HOLD_MS, HoldId};
use super::share::{Answer, Ask, Asked, Asking, Due};
use super::{Capping, Finding, Gauges, Limit, Standing};
use crate::config::raw::{Action, FailureMode, Unbounded};
use crate::event::Event;
use crate::ledger::{Bucket, Keep, Key, LedgerError};
use crate::ordered;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// How often an account is read again that refuses for the sake of what was held a moment ago.
const ROUNDS_MAX: u8 = 3;
/// How often the fleet is asked for the sake of one claim.
const ASKED_MAX: u8 = 64;
/// A call that still runs renews its holds this long after the last time.
const RENEW_MS: u64 = HOLD_MS / 3;

/// What one call takes of one budget.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The limit, by its place in the configuration.
    pub(super) index: usize,
    pub(super) account: Key<Account>,
    pub(super) key: BTreeMap<&'static str, String>,
    /// The amount is the caller's own: it may be told.
    pub(super) is_own: bool,
    /// The call lacks a value of the key without which it is refused.
    pub(super) lacks_value: bool,
    /// The call's amount; `None` where it has no bound.
    pub(super) amount: Option<i128>,
    /// The amount is that of the maximum of output which the request is to be given.
    pub(super) is_given: bool,
    /// The least that the call makes do with, where its output can be limited.
    pub(super) least: Option<i128>,
    /// Tells the call's step from others, where steps that repeat are counted.
    pub(super) mark: Option<u64>,
    /// How long its history is, where only steps count that made it longer.
    pub(super) history: Option<u64>,
    /// What is held for it.
    pub(super) held: i128,
    /// What the call has put out by now, where it runs.
    pub(super) put_out: i128,
    /// It has put out more than was held for it.
    pub(super) is_outgrown: bool,
    /// That is less than its amount, since no more was left.
    pub(super) is_reduced: bool,
    /// The other gateways of the fleet may be asked.
    pub(super) asking: Asking,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not asked yet.
    Planned,
    /// It holds its amount.
    Held(HoldId, Balance),
    /// The account could not be read or written.
    Lost,
}

/// All that one call takes.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    claims: Vec<Claim>,
    stage: Stage,
    refusal: Option<Refusal>,
    renewed: Timestamp,
    /// How often the fleet was asked.
    asked: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Asks the claim with this number, for the n-th time.
    Reserve(usize, u8),
    /// Waits for what the fleet says of the claim with this number, for the n-th time.
    Ask(usize, u8),
    /// Lets go of what the claims before this number hold.
    Release(usize),
    #[default]
    Done,
}

/// Why a call is refused, and by which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit, by its place in the configuration.
    pub index: usize,
    /// How it stands to the call.
    pub standing: Standing,
    /// The call's amount.
    pub amount: Option<i128>,
    /// How the account stands; `None` where that does not matter or is not known.
    pub balance: Option<Balance>,
    /// When the call would fit; `None` where time alone does not help.
    pub fits: Option<Timestamp>,
    /// The amounts may be told to the caller.
    pub is_own: bool,
}

/// A change of one account.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    account: &'a Key<Account>,
    terms: &'a Terms,
    operation: Operation<'a>,
}

#[derive(Clone, Debug)]
enum Operation<'a> {
    Reserve { worker: u64, wanted: Wanted },
    Grant { amount: i128, until: Timestamp },
    Repeat { mark: u64, history: Option<u64>, deny_percent: Option<u32> },
    Forget { mark: u64 },
    Release { hold: HoldId, amount: i128 },
    Renew { hold: HoldId, amount: i128 },
    Raise { hold: HoldId, from: i128, to: i128 },
    Settle { hold: Option<(HoldId, i128)>, actual: i128 },
    Ask { deny_percent: Option<u32>, due: Due },
    Take { asked: &'a Ask, answer: &'a Answer },
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Of a request to hold an amount.
    Reserved(Reserved),
    /// An amount was let go.
    Released,
    /// The hold that an amount belongs to now.
    Renewed(HoldId),
    /// The hold that an amount belongs to now, the account, and whether its breaker is open.
    Raised(HoldId, Balance, bool),
    /// The account after a charge, and the thresholds that it crossed.
    Settled(Balance, Vec<usize>),
    /// What the fleet is to be asked of the account.
    Asked(Asked),
}

impl<'a> Change<'a> {
    /// Allows an account more until then.
    #[must_use]
    pub const fn grant(account: &'a Key<Account>, terms: &'a Terms, amount: i128, until: Timestamp) -> Self {
        Self { account, terms, operation: Operation::Grant { amount, until } }
    }

    /// Says what the fleet is to be asked of an account.
    #[must_use]
    pub fn ask(account: &'a Key<Account>, limit: &'a Limit, due: Due) -> Option<Self> {
        let operation = Operation::Ask { deny_percent: limit.deny_percent(), due };
        Some(Self { account, terms: &limit.budget.as_ref()?.terms, operation })
    }

    /// Takes what the fleet says of an account.
    #[must_use]
    pub fn take(account: &'a Key<Account>, limit: &'a Limit, asked: &'a Ask, answer: &'a Answer) -> Option<Self> {
        let operation = Operation::Take { asked, answer };
        Some(Self { account, terms: &limit.budget.as_ref()?.terms, operation })
    }

    /// The account that changes.
    #[must_use]
    pub const fn account(&self) -> &Key<Account> {
        self.account
    }

    /// Makes the change to what the bucket holds. May be made several times, each time to what is there then.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger has no room for the account, or cannot read it.
    pub fn apply(&self, bucket: &mut Bucket<'_>, now: Timestamp) -> Result<Done, LedgerError> {
        let mut account = bucket.get(self.account)?.unwrap_or_default();
        let done = match self.operation {
            Operation::Ask { deny_percent, due } => {
                let asked = account.ask(self.terms, deny_percent, due, now).unwrap_or(Asked::Settled);
                if !matches!(asked, Asked::Now(_)) {
                    return Ok(Done::Asked(asked));
                }
                Done::Asked(asked)
            }
            Operation::Take { asked, answer } => {
                account.take(self.terms, asked, answer, now);
                Done::Released
            }
            Operation::Reserve { worker, wanted } => {
                let reserved = account.reserve(self.terms, worker, wanted, now);
                Done::Reserved(reserved.ok_or(LedgerError::Full)?)
            }
            Operation::Grant { amount, until } => {
                account.grant(amount, until);
                Done::Settled(account.clone().stand(self.terms, now), Vec::new())
            }
            Operation::Repeat { mark, history, deny_percent } => {
                Done::Reserved(account.repeat(self.terms, mark, history, deny_percent, now))
            }
            Operation::Forget { mark } => {
                account.forget(mark);
                Done::Released
            }
            Operation::Release { hold, amount } => {
                account.release(hold, amount);
                Done::Released
            }
            Operation::Renew { hold, amount } => {
                Done::Renewed(account.renew(self.terms, hold, amount, now).ok_or(LedgerError::Full)?)
            }
            Operation::Raise { hold, from, to } => {
                let raised = account.raise(self.terms, hold, (from, to), now);
                let (hold, balance, is_open) = raised.ok_or(LedgerError::Full)?;
                if from == to {
                    return Ok(Done::Raised(hold, balance, is_open));
                }
                Done::Raised(hold, balance, is_open)
            }
            Operation::Settle { hold, actual } => {
                let (balance, crossed) = account.settle(self.terms, hold, actual, now);
                Done::Settled(balance, crossed)
            }
        };
        if !matches!(done, Done::Reserved(Reserved::Refused { .. } | Reserved::Unknown)) {
            bucket.put(self.account, &account, account.expires(self.terms, now), Keep::Live)?;
        }
        Ok(done)
    }
}

impl Claim {
    fn limit<'l>(&self, limits: &'l [Limit]) -> Option<(&'l Limit, &'l Terms)> {
        let limit = limits.get(self.index)?;
        Some((limit, &limit.budget.as_ref()?.terms))
    }

    /// The most output that what is left allows; `None` where the call may put out what it asks for.
    fn capped(&self, limit: &Limit, capping: &Capping<'_>) -> Option<u64> {
        let State::Held(_, balance) = &self.state else { return None };
        let is_due = limit.acts(Action::CapOutput, balance.used(), balance.allowed);
        if !limit.caps() || !(is_due || self.is_reduced || self.is_given) {
            return None;
        }
        // What others hold, and what was spent, is not for this call.
        let others = balance.used().saturating_sub(self.held);
        let most = limit.output_within(balance.allowed.saturating_sub(others), capping)?;
        (Some(most) != capping.asked).then_some(most)
    }

    fn refusal(&self, standing: Standing, balance: Option<Balance>, fits: Option<Timestamp>) -> Refusal {
        Refusal { index: self.index, standing, amount: self.amount, balance, fits, is_own: self.is_own }
    }

    /// Why the call is refused before any account is asked. A call that could not be read has no bound; what becomes of
    /// that, the failure mode says.
    fn refused_at_once(&self, limit: &Limit, is_read: bool) -> Option<Refusal> {
        if self.lacks_value {
            return Some(self.refusal(Standing::Unattributed, None, None));
        }
        let is_closed = limit.budget.as_ref().is_some_and(|budget| budget.failure_mode == FailureMode::Closed);
        let denies = limit.deny_percent().is_some() && limit.unbounded == Unbounded::Deny && (is_read || is_closed);
        (self.amount.is_none() && denies).then(|| self.refusal(Standing::Unbounded, None, None))
    }
}

impl Claims {
    /// The claims of a call, none of them made yet. `is_read` where its request could be read.
    #[must_use]
    pub fn new(claims: Vec<Claim>, limits: &[Limit], is_read: bool, now: Timestamp) -> Self {
        let claims = ordered::all(claims, |one, other| one.account.as_str().cmp(other.account.as_str()));
        let refusal = claims.iter().find_map(|claim| claim.refused_at_once(limits.get(claim.index)?, is_read));
        let stage = if refusal.is_some() || claims.is_empty() { Stage::Done } else { Stage::Reserve(0, 0) };
        Self { claims, stage, refusal, renewed: now, asked: 0 }
    }

    /// What is to be changed next for the call to be admitted or refused; `None` once that is decided.
    #[must_use]
    pub fn next<'a>(&'a self, limits: &'a [Limit], worker: u64) -> Option<Change<'a>> {
        match self.stage {
            Stage::Reserve(number, _) => {
                let claim = self.claims.get(number)?;
                let (limit, terms) = claim.limit(limits)?;
                let deny_percent = limit.deny_percent();
                let operation = match claim.mark {
                    Some(mark) => Operation::Repeat { mark, history: claim.history, deny_percent },
                    None => {
                        let wanted =
                            Wanted { amount: claim.held, least: claim.least, deny_percent, asking: claim.asking };
                        Operation::Reserve { worker, wanted }
                    }
                };
                Some(Change { account: &claim.account, terms, operation })
            }
            Stage::Release(number) => {
                let claim = self.claims.get(number.checked_sub(1)?)?;
                let (_, terms) = claim.limit(limits)?;
                let State::Held(hold, _) = claim.state else { return None };
                let operation = match claim.mark {
                    Some(mark) if claim.held > 0 => Operation::Forget { mark },
                    _ => Operation::Release { hold, amount: claim.held },
                };
                Some(Change { account: &claim.account, terms, operation })
            }
            Stage::Ask(..) | Stage::Done => None,
        }
    }

    /// What the call waits for: an account of the fleet, its limit by its place in the configuration, and the amount that
    /// does not fit by what is known.
    #[must_use]
    pub fn awaited(&self) -> Option<(&Key<Account>, usize, i128)> {
        let Stage::Ask(number, _) = self.stage else { return None };
        self.claims.get(number).map(|claim| (&claim.account, claim.index, claim.held))
    }

    /// The fleet said what it knows of what the call waits for, or cannot be asked. Then what is known has to do, or the call
    /// is refused, as the limit's `failure_mode` says.
    pub fn heard(&mut self, is_answered: bool, limits: &[Limit]) {
        let Stage::Ask(number, round) = self.stage else { return };
        let Some(claim) = self.claims.get_mut(number) else { return };
        self.stage = Stage::Reserve(number, round);
        if is_answered {
            claim.asking = if self.asked < ASKED_MAX { Asking::May } else { Asking::Done };
            return;
        }
        claim.asking = Asking::Cannot;
        let budget = limits.get(claim.index).and_then(|limit| limit.budget.as_ref());
        if budget.is_some_and(|budget| budget.failure_mode == FailureMode::Closed) {
            self.reserved(number, round, None, limits);
        }
    }

    /// The account of every claim that a fleet shares, with its limit by its place in the configuration.
    pub fn shared<'a>(&'a self, limits: &'a [Limit]) -> impl Iterator<Item = (&'a Key<Account>, usize)> {
        let is_shared = |claim: &&Claim| claim.limit(limits).is_some_and(|(_, terms)| terms.fleet.is_some());
        self.claims.iter().filter(is_shared).map(|claim| (&claim.account, claim.index))
    }

    /// Gives up what is held, as the next changes: the call is to be judged anew.
    pub fn withdraw(&mut self) {
        self.refusal = None;
        self.release(self.claims.len());
    }

    /// What came of the change that [`Claims::next`] gave; `None` when it could not be made.
    pub fn took(&mut self, done: Option<&Done>, limits: &[Limit]) {
        match self.stage {
            Stage::Reserve(number, round) | Stage::Ask(number, round) => self.reserved(number, round, done, limits),
            Stage::Release(number) => {
                if let Some(claim) = number.checked_sub(1).and_then(|number| self.claims.get_mut(number)) {
                    // What could not be let go expires.
                    claim.state = State::Planned;
                }
                self.release(number.saturating_sub(1));
            }
            Stage::Done => {}
        }
    }

    fn reserved(&mut self, number: usize, round: u8, done: Option<&Done>, limits: &[Limit]) {
        let Some(claim) = self.claims.get_mut(number) else { return };
        let next = number.saturating_add(1);
        match done {
            Some(Done::Reserved(Reserved::Held(hold, balance, held))) => {
                claim.is_reduced = *held < claim.held && claim.mark.is_none();
                claim.held = *held;
                claim.state = State::Held(*hold, *balance);
                self.reserve(next);
            }
            Some(Done::Reserved(Reserved::Unknown)) => {
                self.asked = self.asked.saturating_add(1);
                self.stage = Stage::Ask(number, round);
            }
            Some(Done::Reserved(Reserved::Refused { is_contended: true, .. })) if round < ROUNDS_MAX => {
                self.stage = Stage::Reserve(number, round.saturating_add(1));
            }
            Some(Done::Reserved(Reserved::Refused { balance, fits, .. })) => {
                self.refusal = Some(claim.refusal(Standing::Exceeded, Some(*balance), *fits));
                self.release(number);
            }
            _ => {
                claim.state = State::Lost;
                let budget = limits.get(claim.index).and_then(|limit| limit.budget.as_ref());
                if budget.is_some_and(|budget| budget.failure_mode == FailureMode::Closed) {
                    self.refusal = Some(claim.refusal(Standing::Unknown, None, None));
                    return self.release(number);
                }
                self.reserve(next);
            }
        }
    }

    fn reserve(&mut self, number: usize) {
        self.stage = if number < self.claims.len() { Stage::Reserve(number, 0) } else { Stage::Done };
    }

    /// Lets go of the last claim before `number` that holds something.
    fn release(&mut self, number: usize) {
        let holds = |claim: &Claim| matches!(claim.state, State::Held(..));
        let last = self.claims.iter().take(number).rposition(holds);
        self.stage = last.map_or(Stage::Done, |last| Stage::Release(last.saturating_add(1)));
    }

    /// The call is refused, by this.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Whether what is held must be renewed because the call still runs.
    #[must_use]
    pub fn must_renew(&self, now: Timestamp) -> bool {
        self.claims.iter().any(|claim| matches!(claim.state, State::Held(..)))
            && now.millis_since(self.renewed) >= RENEW_MS
    }

    /// How many claims there are, each with changes of its own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// No budget applies to the call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Renews what a claim holds; `None` where it holds nothing.
    #[must_use]
    pub fn renewal<'a>(&'a self, number: usize, limits: &'a [Limit]) -> Option<Change<'a>> {
        let claim = self.claims.get(number).filter(|claim| claim.mark.is_none())?;
        let State::Held(hold, _) = claim.state else { return None };
        let (_, terms) = claim.limit(limits)?;
        Some(Change { account: &claim.account, terms, operation: Operation::Renew { hold, amount: claim.held } })
    }

    /// What came of a renewal; `None` when it could not be made.
    pub fn renewed(&mut self, number: usize, done: Option<&Done>, now: Timestamp) {
        self.renewed = now;
        if let (Some(claim), Some(Done::Renewed(hold))) = (self.claims.get_mut(number), done)
            && let State::Held(_, balance) = claim.state
        {
            claim.state = State::Held(*hold, balance);
        }
    }

    /// The limit of a claim, by its place in the configuration.
    #[must_use]
    pub fn limit_of(&self, number: usize) -> Option<usize> {
        self.claims.get(number).map(|claim| claim.index)
    }

    /// Takes note of what a running call has put out.
    pub(crate) fn put_out(&mut self, number: usize, amount: i128) {
        self.claims.get_mut(number).into_iter().for_each(|claim| claim.put_out = amount);
    }

    /// What is left for a running call to put out: what is held for it, then what nobody holds.
    pub(crate) fn left(&self, number: usize) -> i128 {
        let Some(claim) = self.claims.get(number) else { return 0 };
        let State::Held(_, balance) = &claim.state else { return 0 };
        let held = claim.held.saturating_sub(claim.put_out);
        if held > 0 { held } else { balance.remaining() }
    }

    /// Holds what a running call has put out where that is more than it holds, and looks how the account stands.
    #[must_use]
    pub fn look<'a>(&'a self, number: usize, limits: &'a [Limit]) -> Option<Change<'a>> {
        let claim = self.claims.get(number).filter(|claim| claim.mark.is_none())?;
        let State::Held(hold, _) = claim.state else { return None };
        let (_, terms) = claim.limit(limits)?;
        let (from, to) = (claim.held, claim.held.max(claim.put_out));
        Some(Change { account: &claim.account, terms, operation: Operation::Raise { hold, from, to } })
    }

    /// What came of a look; whether the call is to go no further: the budget is spent, its breaker is open, or the call has
    /// put out more than was held for it and there is no more.
    pub fn looked(&mut self, number: usize, done: Option<&Done>) -> bool {
        let Some(claim) = self.claims.get_mut(number) else { return false };
        let Some(Done::Raised(hold, balance, is_open)) = done else { return false };
        claim.is_outgrown |= claim.put_out > claim.held;
        claim.held = claim.held.max(claim.put_out);
        claim.state = State::Held(*hold, *balance);
        let is_spent = balance.spent >= balance.allowed;
        *is_open || is_spent || (claim.is_outgrown && balance.used() > balance.allowed)
    }

    /// Charges what the call of this event consumed, in place of what a claim holds; `None` where that changes
    /// nothing. What is unknown is charged as it was held.
    #[must_use]
    pub fn settlement<'a>(&'a self, number: usize, event: &Event, limits: &'a [Limit]) -> Option<(Change<'a>, i128)> {
        let claim = self.claims.get(number)?;
        let (limit, terms) = claim.limit(limits)?;
        let hold = match claim.state {
            State::Held(hold, _) => Some((hold, claim.held)),
            State::Planned | State::Lost => None,
        };
        let actual = limit.gauge.consumed(event).unwrap_or(claim.held);
        if let Some(mark) = claim.mark {
            // It was counted when it was admitted.
            let was_made = hold.is_none() || claim.held == 0 || actual > 0;
            let operation = Operation::Forget { mark };
            return (!was_made).then_some((Change { account: &claim.account, terms, operation }, 0));
        }
        if hold.is_none() && actual == 0 {
            return None;
        }
        let operation = Operation::Settle { hold, actual };
        Some((Change { account: &claim.account, terms, operation }, actual))
    }

    /// What the budgets say of the call, once it is decided.
    pub fn findings(&self, limits: &[Limit], capping: Option<&Capping<'_>>) -> Vec<Finding> {
        let found = |claim: &Claim| Some(self.finding(claim, limits.get(claim.index)?, capping));
        self.claims.iter().filter_map(found).collect()
    }

    fn finding(&self, claim: &Claim, limit: &Limit, capping: Option<&Capping<'_>>) -> Finding {
        let refusal = self.refusal.as_ref().filter(|refusal| refusal.index == claim.index);
        let balance = match (&claim.state, refusal) {
            (_, Some(refusal)) => refusal.balance,
            (State::Held(_, balance), None) => Some(*balance),
            (State::Planned | State::Lost, None) => None,
        };
        let beyond = balance.and_then(|balance| limit.beyond(balance.used(), balance.allowed));
        // What does not fit would be used as well.
        let refused = refusal.and_then(|refusal| refusal.amount).unwrap_or(0);
        let wanted = balance.map(|balance| (balance.used().saturating_add(refused), balance.allowed));
        let capped = capping.and_then(|capping| claim.capped(limit, capping));
        let (standing, action) = match (refusal, &claim.state, claim.amount, beyond) {
            (Some(refusal), ..) => (refusal.standing, Action::Deny),
            (_, State::Lost, ..) => (Standing::Unknown, Action::Observe),
            _ if capped.is_some() => (Standing::Within, Action::CapOutput),
            (_, _, None, _) => (Standing::Unbounded, Action::Observe),
            (_, _, _, Some(threshold)) if threshold.percent >= 100 => (Standing::Exceeded, threshold.action),
            (_, _, _, Some(threshold)) => (Standing::Within, threshold.action),
            (_, _, _, None) => (Standing::Within, limit.action()),
        };
        let mut finding = Finding {
            id: limit.id.clone(),
            standing,
            action,
            beyond_percent: beyond.map(|threshold| threshold.percent),
            amount: claim.amount.map(|amount| limit.gauge.show(if claim.is_reduced { claim.held } else { amount })),
            limit: limit.gauge.show(limit.allowed),
            key: claim.key.clone(),
            downgrades: wanted.is_some_and(|used| limit.acts(Action::Downgrade, used.0, used.1)),
            max_output_tokens: capped,
            ..Finding::default()
        };
        balance.into_iter().for_each(|balance| finding.take(limit, &balance));
        finding
    }

    /// Completes the finding of a claim that was settled.
    pub fn settled(
        &self,
        number: usize,
        actual: i128,
        done: Option<&Done>,
        limits: &[Limit],
        findings: &mut [Finding],
    ) {
        let Some(claim) = self.claims.get(number) else { return };
        let Some(limit) = limits.get(claim.index) else { return };
        let Some(finding) = findings.iter_mut().find(|finding| finding.id == limit.id) else { return };
        let Some(Done::Settled(balance, crossed)) = done else { return };
        finding.charged = Some(limit.gauge.show(actual));
        finding.take(limit, balance);
        let metric = |amount| limit.gauge.metric(amount);
        finding.gauges = Some(Gauges {
            used: metric(balance.spent),
            reserved: metric(balance.held),
            limit: metric(balance.allowed),
            remaining: metric(balance.remaining()),
            leased: balance.leased.map(metric),
        });
        let percent = |index: &usize| limit.thresholds.get(*index).map(|threshold| threshold.percent);
        finding.crossed = crossed.iter().filter_map(percent).collect();
    }
}

impl Finding {
    fn take(&mut self, limit: &Limit, balance: &Balance) {
        let show = |amount| Some(limit.gauge.show(amount));
        self.limit = limit.gauge.show(balance.allowed);
        self.spent = show(balance.spent);
        self.held = show(balance.held);
        self.remaining = show(balance.remaining());
        self.resets_at = balance.resets.map(|at| at.to_string());
        self.exhausted_at = balance.exhausted.map(|at| at.to_string());
    }
}
