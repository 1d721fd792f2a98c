//! Whether a call may be forwarded: its estimate, put to every limit.
//!
//! Limits on single calls are asked at once. Budgets live in the ledger, which is not here: what they need changed is
//! handed out one change after the other, and its outcome taken back, until the call is decided.
//! Must not know: wire formats, how the ledger is kept.

use crate::call::{Call, Denial, Verdict};
use crate::config::raw::{Measure, Reserve};
use crate::cut::Cut;
use crate::dialect::Request;
use crate::estimate::Bound;
use crate::event::Event;
use crate::ledger::Key;
use crate::limit::{Account, Change, Claims, Done, Estimate, Limit, Subject};
use crate::meter::Meter;
use crate::refusal;
use crate::step;
use crate::time::Timestamp;

impl Meter {
    /// Asks every limit on single calls, and claims what the call takes of budgets.
    #[inline(never)]
    pub(crate) fn limit(&self, call: &mut Call, request: &Request<'_>) -> Verdict {
        if let Some(denial) = self.refuse_unpriced(call) {
            return Verdict::Deny(denial);
        }
        let limits = &self.config.limits;
        if limits.is_empty() {
            return Verdict::Forward;
        }
        let is_bounded = limits.iter().any(|limit| limit.reserve == Reserve::UpperBound);
        call.bound = is_bounded.then(|| Bound::of(request));
        let estimate = self.estimate(call, call.asked.max_output_tokens);
        if limits.iter().any(|limit| limit.gauge.measure == Measure::UnattendedSteps) {
            call.turn = step::turn(call.route.dialect, request);
        }
        let subject = subject(call);
        let with_output = |output| self.estimate(call, Some(output));
        let capping = Self::capping(call, &with_output);
        let judge = |limit: &Limit| limit.judge(&subject, &estimate, capping.as_ref());
        let (mut findings, mut denial) = (Vec::new(), None);
        for (limit, found) in limits.iter().filter_map(|limit| Some((limit, judge(limit)?))) {
            if found.denies() && denial.is_none() {
                denial = Some(refusal::of_ceiling(call.route.dialect, limit, &found));
            }
            findings.push(found);
        }
        let cuts = Cut::of(&subject, limits, call.opened);
        (call.findings, call.cuts) = (findings, cuts);
        match denial {
            Some(denial) => {
                self.cap_output(call);
                Verdict::Deny(denial)
            }
            None => self.claim(call, Some(&estimate)),
        }
    }

    /// The refusal of a call that has no price, or whose model cannot be read, where such calls are not wanted.
    pub(crate) fn refuse_unpriced(&self, call: &mut Call) -> Option<Denial> {
        let wants = self.config.prices.refuses_unknown();
        let unpriced = wants.then(|| self.quote(call, call.asked.service_tier.as_deref()).err()).flatten()?;
        let message = format!("{unpriced}; this gateway only forwards calls that it knows the price of");
        call.unpriced = Some(unpriced);
        Some(refusal::of_call(call.route.dialect, "unknown_price", &message))
    }

    /// Claims what the call takes of budgets: what was estimated, or where the call could not be read, what calls like
    /// it take.
    pub(crate) fn claim(&self, call: &mut Call, estimate: Option<&Estimate>) -> Verdict {
        let limits = &self.config.limits;
        let subject = subject(call);
        let usual = || self.estimate(call, call.asked.max_output_tokens);
        let amounts = estimate.copied().unwrap_or_else(usual);
        let with_output = |output| self.estimate(call, Some(output));
        let capping = Self::capping(call, &with_output);
        let claim = |(index, limit): (usize, &Limit)| limit.claim(index, &subject, &amounts, capping.as_ref());
        let claims = limits.iter().enumerate().filter_map(claim).collect();
        call.claims = Claims::new(claims, limits, estimate.is_some(), call.opened);
        Verdict::Forward
    }

    /// What is to be changed next in the ledger so that budgets admit the call or refuse it; `None` once that is
    /// decided. `worker` tells this worker from all others.
    #[must_use]
    pub fn next_change<'a>(&'a self, call: &'a Call, worker: u64) -> Option<Change<'a>> {
        call.claims.next(&self.config.limits, worker)
    }

    /// What came of that change; `None` when it could not be made.
    pub fn take_change(&self, call: &mut Call, done: Option<&Done>) {
        call.claims.took(done, &self.config.limits);
    }

    /// The accounts of a fleet that a call takes of, each with its limit by its place in the configuration.
    pub fn shared<'a>(&'a self, claims: &'a Claims) -> impl Iterator<Item = (&'a Key<Account>, usize)> {
        claims.shared(&self.config.limits)
    }

    /// The fleet said what it knows of the account that a call waits for, or cannot be asked.
    pub fn heard(&self, call: &mut Call, is_answered: bool) {
        call.claims.heard(is_answered, &self.config.limits);
    }

    /// What the budgets decided, once no change is left.
    #[must_use]
    pub fn admitted(&self, call: &mut Call, now: Timestamp) -> Verdict {
        let limits = &self.config.limits;
        if call.claims.awaited().is_some() {
            return Verdict::Wait;
        }
        let with_output = |output| self.estimate(call, Some(output));
        let found = call.claims.findings(limits, Self::capping(call, &with_output).as_ref());
        call.findings.extend(found);
        self.cap_output(call);
        let refused = call.claims.refusal().and_then(|refusal| Some((limits.get(refusal.index)?, refusal)));
        refused.map_or(Verdict::Forward, |(limit, refusal)| {
            Verdict::Deny(refusal::of_budget(call.route.dialect, limit, refusal, now))
        })
    }

    /// The changes that keep what is held for a call from expiring while it runs; each by the number of its claim,
    /// `None` where that holds nothing.
    #[must_use]
    pub fn renewal<'a>(&'a self, call: &'a Call, number: usize) -> Option<Change<'a>> {
        call.claims.renewal(number, &self.config.limits)
    }

    /// The change that charges a budget for the call of this event, and the amount; by the number of the claim.
    #[must_use]
    pub fn settlement<'a>(&'a self, claims: &'a Claims, number: usize, event: &Event) -> Option<(Change<'a>, i128)> {
        claims.settlement(number, event, &self.config.limits)
    }

    /// What came of a charge, written into the event.
    pub fn settled(&self, claims: &Claims, number: usize, charged: i128, done: Option<&Done>, event: &mut Event) {
        claims.settled(number, charged, done, &self.config.limits, &mut event.limits);
    }
}

fn subject(call: &Call) -> Subject<'_> {
    Subject {
        model: call.asked.model.as_deref(),
        provider: call.provider(),
        dialect: call.route.dialect.name(),
        route: call.gateway_route.as_deref(),
        attribution: &call.attribution,
        mark: call.mark,
        turn: call.turn,
    }
}
