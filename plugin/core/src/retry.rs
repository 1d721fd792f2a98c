//! Tries of the same step: whether a call was made before, what the try before it came to, and how often the gateway tried.
//!
//! The official SDKs say so (`x-stainless-retry-count`). Of other clients, a call is taken for the same one where its step,
//! its model and the size of its request are those of a call of the same caller, session and task that ended a moment ago.
//! Outside of a session or task that call must not have ended well: an application asks the same for many of its users, and
//! none of them tries again.
//! Invariants: what a client says here changes no charge; a try is remembered with its caller's own, and nobody else's.
//! Must not know: how records are kept, gateways.
#![deny(clippy::arithmetic_side_effects)]

use crate::attribution::Dimension;
use crate::event::{Event, Outcome};
use crate::head::Headers;
use crate::ledger::{Key, Record};
use crate::money::Usd;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// How often the SDKs of OpenAI and Anthropic sent the request before: `0` at first.
const RETRY_COUNT: &str = "x-stainless-retry-count";
/// How often Envoy sent the request, once it is told to say so.
const ATTEMPT_COUNT: &str = "x-envoy-attempt-count";
/// How often a gateway behind this one sent the request again: LiteLLM, Portkey.
const RETRIES_BEHIND: [&str; 2] = ["x-litellm-attempted-retries", "x-portkey-retry-attempt-count"];
/// Nobody tries more often; whatever claims to is not believed.
const TRIES_MAX: u64 = 1_000;

/// What tells the step that a call is, and the call itself, from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    mark: u64,
    fingerprint: u64,
}

/// How many tries the client says came before; `None` where it says nothing.
pub(crate) fn told(headers: &Headers<'_>) -> Option<u64> {
    count(headers, RETRY_COUNT)
}

/// How often the request was sent, as the answer's head tells.
pub(crate) fn attempts(headers: &Headers<'_>) -> Option<u64> {
    let behind = || RETRIES_BEHIND.iter().find_map(|name| count(headers, name)).map(|count| count.saturating_add(1));
    count(headers, ATTEMPT_COUNT).or_else(behind)
}

fn count(headers: &Headers<'_>, name: &str) -> Option<u64> {
    headers.get(name)?.trim().parse().ok().filter(|count| *count < TRIES_MAX)
}

impl Step {
    /// The step with this mark, in a request of so many bytes.
    pub(crate) fn new(mark: u64, model: Option<&str>, bytes: usize) -> Self {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        (mark, model, bytes).hash(&mut hasher);
        Self { mark, fingerprint: hasher.finish() }
    }
}

/// How a retry was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// The client said so.
    Client,
    /// The same request came a moment ago.
    Fingerprint,
}

/// A call that was made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retry {
    /// How many tries came before this one.
    pub number: u64,
    /// How it was recognised.
    pub told_by: ToldBy,
    /// How the try before it ended; `null` where it was not seen.
    pub earlier_outcome: Option<Outcome>,
    /// What the try before it cost, in dollars: what had to be paid again; `null` where it was not seen or has no cost.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub earlier_cost_usd: Option<Usd>,
}

/// The gateway's own tries of a call, of which only the last one's answer is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempts {
    /// How often the request was sent, the last time included.
    pub count: u64,
    /// Estimate of what the others cost, in dollars: each as if it read the whole input and wrote nothing. Part of no other
    /// cost.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub estimated_cost_usd: Option<Usd>,
}

/// The last try of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct Try {
    fingerprint: u64,
    /// Tries of the same request so far, this one included.
    number: u64,
    provider: Option<String>,
    model: Option<String>,
    cost_femto: Option<i128>,
    outcome: Outcome,
    ended_ms: u64,
}

/// A try as it is kept: a tuple, since reading names would cost the module much more.
type Parts = (u64, u64, Option<String>, Option<String>, Option<i128>, u8, u64);

impl From<Parts> for Try {
    fn from((fingerprint, number, provider, model, cost_femto, outcome, ended_ms): Parts) -> Self {
        let outcome = Outcome::ALL.get(usize::from(outcome)).copied().unwrap_or(Outcome::LocalReply);
        Self { fingerprint, number, provider, model, cost_femto, outcome, ended_ms }
    }
}

impl From<Try> for Parts {
    fn from(own: Try) -> Self {
        let outcome = Outcome::ALL.iter().position(|outcome| *outcome == own.outcome);
        let outcome = outcome.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
        (own.fingerprint, own.number, own.provider, own.model, own.cost_femto, outcome, own.ended_ms)
    }
}

impl Record for Try {
    const KIND: &'static str = "try";
    const VERSION: u8 = 1;
}

/// The try before a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// It was the same request, to the same model.
    is_same: bool,
    last: Try,
}

impl Try {
    /// Under which key the tries of an event's step are remembered; `None` where nothing was sent, and where nothing tells
    /// the caller from others: strangers ask the same, and are no tries of each other.
    #[must_use]
    pub fn key(event: &Event) -> Option<Key<Self>> {
        let step = event.step?;
        if matches!(event.outcome, Outcome::Denied | Outcome::LocalReply) {
            return None;
        }
        let principal = event.attribution.principal();
        let [session, task] = conversation(event).map(Option::unwrap_or_default);
        if principal.is_empty() && session.is_empty() && task.is_empty() {
            return None;
        }
        let mark = format!("{:016x}", step.mark);
        Some(Key::new(&[&principal, session, task, &mark]))
    }

    /// The call of an event as the try that a later one follows, and the one that it follows itself.
    #[must_use]
    pub fn of(event: &Event, last: Option<Self>, window_ms: u64) -> Option<(Self, Option<Earlier>)> {
        let step = event.step?;
        let in_conversation = conversation(event).iter().any(Option::is_some);
        let last = last.filter(|last| {
            let is_recent = event.opened.millis().saturating_sub(last.ended_ms) <= window_ms;
            is_recent && (in_conversation || last.outcome != Outcome::Complete)
        });
        let earlier = last.map(|last| Earlier { is_same: last.fingerprint == step.fingerprint, last });
        let before = earlier.as_ref().filter(|earlier| earlier.is_same).map_or(0, |earlier| earlier.last.number);
        let priced = event.prices.first();
        let own = Self {
            fingerprint: step.fingerprint,
            number: before.saturating_add(1),
            provider: priced.and_then(|row| row.provider.clone()),
            model: priced.map(|row| row.model.clone()),
            cost_femto: event.cost_usd.map(Usd::femto),
            outcome: event.outcome,
            ended_ms: event.opened.millis().saturating_add(event.timing.duration_ms),
        };
        Some((own, earlier))
    }

    /// When it is forgotten.
    #[must_use]
    pub fn expires(now: Timestamp, window_ms: u64) -> Timestamp {
        now.plus_millis(window_ms)
    }

    pub(crate) fn cost(&self) -> Option<Usd> {
        self.cost_femto.map(Usd::from_femto)
    }
}

/// The session and the task of a call.
fn conversation(event: &Event) -> [Option<&str>; 2] {
    [Dimension::Session, Dimension::Task].map(|dimension| event.attribution.get(dimension))
}

impl Earlier {
    /// The answer before was whole, and another model gave it: the provider and model by the price list, and the cost.
    pub(crate) fn answered(&self) -> Option<(Option<&str>, &str, Option<Usd>)> {
        let last = &self.last;
        let model = last.model.as_deref().filter(|_| !self.is_same && last.outcome == Outcome::Complete)?;
        Some((last.provider.as_deref(), model, last.cost()))
    }
}

/// What an event says of the tries before it.
pub(crate) fn retry(told: Option<u64>, earlier: Option<&Earlier>) -> Option<Retry> {
    let same = earlier.filter(|earlier| earlier.is_same);
    let (number, told_by) = match (told, same) {
        // The client knows best, also that it sends this for the first time.
        (Some(0), _) | (None, None) => return None,
        (Some(number), _) => (number, ToldBy::Client),
        (None, Some(earlier)) => (earlier.last.number, ToldBy::Fingerprint),
    };
    Some(Retry {
        number,
        told_by,
        earlier_outcome: same.map(|earlier| earlier.last.outcome),
        earlier_cost_usd: same.and_then(|earlier| earlier.last.cost()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<T>(pairs: &[(&str, &str)], read: impl Fn(&Headers<'_>) -> T) -> T {
        read(&Headers::new(pairs))
    }

    fn earlier(is_same: bool, outcome: Outcome) -> Earlier {
        let last = Try {
            fingerprint: 1,
            number: 2,
            provider: None,
            model: Some("gpt-4.1-mini".to_owned()),
            cost_femto: Some(7),
            outcome,
            ended_ms: 0,
        };
        Earlier { is_same, last }
    }

    #[test]
    fn what_the_client_says_of_its_tries_outranks_what_is_recognised() {
        let same = earlier(true, Outcome::UpstreamError);
        assert_eq!(retry(None, None), None);
        assert_eq!(retry(Some(0), Some(&same)), None);
        assert_eq!(retry(None, Some(&earlier(false, Outcome::Complete))), None);
        let recognised = retry(None, Some(&same)).unwrap();
        assert_eq!((recognised.number, recognised.told_by), (2, ToldBy::Fingerprint));
        assert_eq!(recognised.earlier_cost_usd, Some(Usd::from_femto(7)));
        let told = retry(Some(1), None).unwrap();
        assert_eq!((told.number, told.told_by, told.earlier_cost_usd), (1, ToldBy::Client, None));
    }

    #[test]
    fn only_a_whole_answer_of_another_model_can_have_been_the_wrong_one() {
        assert!(earlier(false, Outcome::Complete).answered().is_some());
        assert!(earlier(false, Outcome::UpstreamError).answered().is_none());
        assert!(earlier(true, Outcome::Complete).answered().is_none());
    }

    #[test]
    fn counts_are_read_from_the_headers_of_clients_and_gateways_and_nonsense_from_none() {
        assert_eq!(headers(&[("X-Stainless-Retry-Count", "2")], told), Some(2));
        for nonsense in ["", "-1", "two", "1000", "18446744073709551616"] {
            assert_eq!(headers(&[("x-stainless-retry-count", nonsense)], told), None, "{nonsense}");
        }
        assert_eq!(headers(&[("x-envoy-attempt-count", "3"), ("x-litellm-attempted-retries", "9")], attempts), Some(3));
        assert_eq!(headers(&[("x-portkey-retry-attempt-count", "1")], attempts), Some(2));
    }
}
