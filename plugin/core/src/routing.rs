//! Routing: what a router says it decided, what came of it, and what other models would have cost.
//!
//! Routers say their decision in headers, of the request where they stand before this gateway, of the answer where they
//! stand behind it. Calls that a router makes for itself are overhead of the task that they route.
//! Invariants: values that others send are bounded; nothing here changes what a call is charged.
//! Must not know: how a decision is made.

use crate::attribution::bounded;
use crate::event::{Event, Outcome, Proportion};
use crate::head::Headers;
use crate::money::Usd;
use crate::price::{Lookup, PriceBook, Terms};
use crate::retry::Earlier;
use serde::Serialize;

/// Most candidates of a decision that are kept.
const CANDIDATES_MAX: usize = 16;

/// Where routers say what they decided, strongest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingHeaders {
    /// The model that was chosen.
    pub selected: Vec<String>,
    /// The models that it was chosen from, separated by commas.
    pub candidates: Vec<String>,
    /// How sure the router is, 0 to 1.
    pub confidence: Vec<String>,
    /// Why.
    pub reason: Vec<String>,
    /// The call is made for the sake of others; the value says by what.
    pub overhead: Vec<String>,
}

/// What a router decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    selected: Option<String>,
    candidates: Vec<String>,
    confidence: Option<Proportion>,
    reason: Option<String>,
    pub(crate) overhead: Option<String>,
}

/// What is known of how a call was routed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Routing {
    /// The model that a router chose.
    pub selected: Option<String>,
    /// The models that it chose from, 16 at most.
    pub candidates: Vec<String>,
    /// How sure it was, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub confidence: Option<Proportion>,
    /// Why it chose so.
    pub reason: Option<String>,
    /// Another model answered than was asked for; `null` where the price list does not know both.
    pub fallback: Option<bool>,
    /// The call itself is overhead of its task, by what makes it: a router, a guard.
    pub overhead: Option<String>,
    /// The same step was answered a moment ago by a cheaper model, and made again on this one.
    pub misrouted: Option<Misrouted>,
    /// What the same tokens would have cost on the models that the operator compares with.
    pub alternatives: Vec<Alternative>,
}

/// A step that was made again on a dearer model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Misrouted {
    /// The model that answered first, by the price list's name.
    pub model: String,
    /// What that answer cost, in dollars.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_usd: Option<Usd>,
}

/// What a call would have cost on another model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alternative {
    /// The model, as configured.
    pub model: String,
    /// Dollars for the same token counts; `null` where something of it has no price there.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_usd: Option<Usd>,
}

impl RoutingHeaders {
    /// The headers that known routers use (vLLM's semantic router, Envoy AI Gateway, LiteLLM), and Tollgate's own.
    #[must_use]
    pub fn known() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            selected: names(&[
                "x-tollgate-route-selected",
                "x-vsr-selected-model",
                "x-ai-eg-model",
                "x-litellm-model-group",
            ]),
            candidates: names(&["x-tollgate-route-candidates"]),
            confidence: names(&["x-tollgate-route-confidence", "x-vsr-selected-confidence"]),
            reason: names(&["x-tollgate-route-reason", "x-vsr-selected-decision", "x-vsr-selected-category"]),
            overhead: names(&["x-tollgate-overhead"]),
        }
    }

    /// Adds to a decision what the headers of a request or an answer say of it.
    pub(crate) fn read(&self, headers: &Headers<'_>, decision: &mut Decision) {
        let first = |names: &[String]| names.iter().find_map(|name| headers.get(name));
        let text = |names| first(names).map(bounded);
        decision.selected = decision.selected.take().or_else(|| text(&self.selected));
        decision.reason = decision.reason.take().or_else(|| text(&self.reason));
        decision.confidence = decision.confidence.take().or_else(|| confidence(first(&self.confidence)?));
        if decision.candidates.is_empty() {
            let names = first(&self.candidates).into_iter().flat_map(|names| names.split(',')).map(bounded);
            decision.candidates = names.filter(|name| !name.is_empty()).take(CANDIDATES_MAX).collect();
        }
    }

    /// What makes a call for the sake of others, as its request says.
    pub(crate) fn overhead(&self, headers: &Headers<'_>) -> Option<String> {
        self.overhead.iter().find_map(|name| headers.get(name)).map(bounded)
    }
}

/// A proportion from 0 to 1, in decimals.
fn confidence(text: &str) -> Option<Proportion> {
    let parts = |text| u64::try_from(Usd::parse(text).ok()?.nano_floor()).ok();
    let (part, whole) = (parts(text.trim())?, parts("1")?);
    (part <= whole).then(|| Proportion::of(part, whole)).flatten()
}

impl Routing {
    /// What is known once a call has ended; `None` where that is nothing.
    pub(crate) fn of(decision: &Decision, fallback: Option<bool>, alternatives: Vec<Alternative>) -> Option<Self> {
        let is_known = *decision != Decision::default() || fallback == Some(true) || !alternatives.is_empty();
        let decision = decision.clone();
        is_known.then_some(Self {
            selected: decision.selected,
            candidates: decision.candidates,
            confidence: decision.confidence,
            reason: decision.reason,
            fallback,
            overhead: decision.overhead,
            misrouted: None,
            alternatives,
        })
    }
}

/// What an event's tokens cost on a model of a provider; `None` where something of them has no price there.
fn cost_on(event: &Event, provider: Option<&str>, model: &str, prices: &PriceBook) -> Option<Usd> {
    let lookup = Lookup { provider, model, alias: None, at: event.opened, terms: Terms::default() };
    prices.quote(&lookup).ok()?.cost(&event.usage).whole()
}

/// What an event's tokens would have cost on other models.
pub(crate) fn alternatives(event: &Event, models: &[String], prices: &PriceBook) -> Vec<Alternative> {
    if event.input_tokens.is_none() || event.cost_usd.is_none() {
        return Vec::new();
    }
    let on = |model: &String| Alternative { model: model.clone(), cost_usd: cost_on(event, None, model, prices) };
    models.iter().map(on).collect()
}

/// Whether the step of an event was answered before by a model on which it would have been cheaper.
pub(crate) fn misrouted(event: &Event, earlier: Option<&Earlier>, prices: &PriceBook) -> Option<Misrouted> {
    let (provider, model, cost_usd) = earlier?.answered()?;
    let now = event.prices.first().filter(|now| now.model != model)?;
    let dearer =
        cost_on(event, now.provider.as_deref(), &now.model, prices)? > cost_on(event, provider, model, prices)?;
    let is_answered = event.outcome == Outcome::Complete;
    (dearer && is_answered).then(|| Misrouted { model: model.to_owned(), cost_usd })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(request: &[(&str, &str)], response: &[(&str, &str)]) -> Decision {
        let names = RoutingHeaders::known();
        let mut decision = Decision { overhead: names.overhead(&Headers::new(request)), ..Decision::default() };
        names.read(&Headers::new(request), &mut decision);
        names.read(&Headers::new(response), &mut decision);
        decision
    }

    #[test]
    fn a_decision_is_read_from_the_request_and_completed_by_the_answer() {
        let request = [("x-ai-eg-model", "gpt-4.1"), ("x-tollgate-route-candidates", "gpt-4.1, gpt-4.1-mini,,")];
        let response = [
            ("x-vsr-selected-model", "other"),
            ("x-vsr-selected-decision", "math"),
            ("x-tollgate-route-confidence", "0.87"),
        ];
        let read = decision(&request, &response);
        assert_eq!((read.selected.as_deref(), read.reason.as_deref()), (Some("gpt-4.1"), Some("math")));
        assert_eq!(read.candidates, ["gpt-4.1", "gpt-4.1-mini"]);
        assert_eq!(read.confidence, Proportion::of(87, 100));
    }

    #[test]
    fn a_confidence_that_is_no_proportion_is_unknown_and_candidates_are_bounded() {
        for nonsense in ["87", "-0.1", "NaN", "high", "1e999"] {
            assert_eq!(decision(&[("x-tollgate-route-confidence", nonsense)], &[]).confidence, None, "{nonsense}");
        }
        let many = vec!["m"; 100].join(",");
        assert_eq!(decision(&[("x-tollgate-route-candidates", &many)], &[]).candidates.len(), CANDIDATES_MAX);
    }

    #[test]
    fn a_call_that_nobody_routed_has_no_routing() {
        assert_eq!(Routing::of(&decision(&[], &[]), Some(false), Vec::new()), None);
        assert!(Routing::of(&decision(&[("x-tollgate-overhead", "router")], &[]), None, Vec::new()).is_some());
        assert!(Routing::of(&decision(&[], &[]), Some(true), Vec::new()).is_some());
    }
}
