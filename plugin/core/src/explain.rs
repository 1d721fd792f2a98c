//! What stands around a call: tries before it, routers, reports, the provider's health. None of it changes what the call
//! consumed or is charged.
//!
//! Invariants: what clients and providers say here is bounded where it is read.
//! Must not know: wire formats, how records are kept.

use crate::call::Call;
use crate::config::raw::Measure;
use crate::dialect::Request;
use crate::event::{Event, Outcome};
use crate::head::Headers;
use crate::health::{self, ErrorClass};
use crate::meter::Meter;
use crate::money::Usd;
use crate::price::{Lookup, Terms, is_kin};
use crate::retry::{self, Attempts, Step, Try};
use crate::routing::{self, Routing};
use crate::step;
use crate::task_outcome::TaskOutcome;

impl Meter {
    /// What a request's head says of tries, routers and tasks.
    pub(crate) fn told(&self, headers: &Headers<'_>, mut call: Call) -> Call {
        let names = &self.config.routing;
        names.read(headers, &mut call.decision);
        call.decision.overhead = names.overhead(headers);
        call.told_tries = retry::told(headers);
        call.reported = TaskOutcome::read(headers);
        call
    }

    /// Marks the step that a request of so many bytes is, where steps are told apart.
    pub(crate) fn mark_step(&self, call: &mut Call, request: &Request<'_>, bytes: usize) {
        let counts_repeats = self.config.limits.iter().any(|limit| limit.gauge.measure == Measure::Repeats);
        if counts_repeats || self.config.retry_window_ms > 0 {
            call.mark = step::mark(request);
            call.step = call.mark.map(|mark| Step::new(mark, call.asked.model.as_deref(), bytes));
        }
    }

    /// What an answer's head says of tries, routers and rate limits.
    pub(crate) fn answered(&self, call: &mut Call, headers: &Headers<'_>) {
        self.config.routing.read(headers, &mut call.decision);
        call.attempts = call.attempts.or_else(|| retry::attempts(headers));
        call.rate_limits = health::rate_limits(headers);
    }

    /// The event of a call that is over, with what stands around it.
    pub(crate) fn explained(&self, call: &Call, mut event: Event) -> Event {
        let alternatives = routing::alternatives(&event, &self.config.alternatives, &self.config.prices);
        event.routing = Routing::of(&call.decision, self.fallback(call, &event), alternatives);
        event.retry = retry::retry(call.told_tries, None);
        event.attempts = if self.config.sees_each_try { None } else { attempts(call, &event) };
        event.task_outcome = call.reported.clone().and_then(|report| report.owned_by(&call.attribution));
        event.error_class = ErrorClass::of(event.outcome, event.status, event.error_type.as_deref());
        event.rate_limits = Some(call.rate_limits.clone()).filter(|limits| !limits.is_empty());
        let ttft = event.timing.ttft_ms.filter(|_| event.stream);
        event.time_per_output_token_us =
            health::time_per_output_token(ttft, event.timing.duration_ms, event.output_tokens, call.unmetered.as_ref());
        (event.step, event.told_tries) = (call.step, call.told_tries);
        event
    }

    /// Whether the tries of this event's step are remembered.
    #[must_use]
    pub const fn remembers_tries(&self) -> bool {
        self.config.retry_window_ms > 0
    }

    /// Writes into an event which try of its step it follows; returns what later tries are to know of it.
    pub fn follow(&self, event: &mut Event, last: Option<Try>) -> Option<Try> {
        let (own, earlier) = Try::of(event, last, self.config.retry_window_ms)?;
        event.retry = retry::retry(event.told_tries, earlier.as_ref());
        let misrouted = routing::misrouted(event, earlier.as_ref(), &self.config.prices);
        if misrouted.is_some() || event.routing.is_some() {
            event.routing.get_or_insert_default().misrouted = misrouted;
        }
        Some(own)
    }

    /// Whether another model answered than was asked for; `None` where the price list does not know both.
    fn fallback(&self, call: &Call, event: &Event) -> Option<bool> {
        let (asked, answered) = (event.request_model.as_deref()?, event.response_model.as_deref()?);
        if answered.starts_with(asked) || is_kin(asked, answered) {
            return Some(false);
        }
        let row = |model| {
            let lookup =
                Lookup { provider: call.priced_at(), model, alias: None, at: call.opened, terms: Terms::default() };
            self.config.prices.quote(&lookup).ok().map(|quote| quote.model().to_owned())
        };
        Some(row(asked)? != row(answered)?)
    }
}

/// The gateway's own tries, where it made several.
fn attempts(call: &Call, event: &Event) -> Option<Attempts> {
    let count = call.attempts.filter(|count| *count > 1)?;
    let input: Option<Usd> = event.components.values().map(|share| share.cost_usd).sum();
    let is_priced = event.outcome != Outcome::Denied && !event.components.is_empty();
    let estimated_cost_usd = input.filter(|_| is_priced).map(|input| input.times(count.saturating_sub(1)));
    Some(Attempts { count, estimated_cost_usd })
}
