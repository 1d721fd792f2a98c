//! What a call may consume, from its request: as expected, as stated, and at most.
//!
//! Must not know: limits, wire formats, gateways.

use crate::call::Call;
use crate::dialect::{self, Request};
use crate::limit::{Consumption, Estimate};
use crate::meter::Meter;
use crate::money::Usd;
use crate::price::{Lookup, Quote, Terms, Unpriced};
use crate::prompt::Kind;
use crate::usage::{Bucket, Direction, Usage};

/// By how much, in thousandths, a provider's count of the input goes beyond a prediction that was counted...
const COUNTED_MOST: u64 = 1_020;
/// ...or estimated: tools, tokenizers that are not public.
const ESTIMATED_MOST: u64 = 1_350;
/// Tokens that may come on top of the smallest prompt.
const MARGIN: u64 = 64;

/// What bounds a call beside its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The most searches that the request lets the provider run and bill; `None` where nothing bounds them.
    searches: Option<u64>,
}

impl Meter {
    /// What a call may consume with at most so much output. The bound, which costs most to find, only where it matters.
    pub(crate) fn estimate(&self, call: &Call, cap: Option<u64>) -> Estimate {
        let model = call.asked.model.as_deref().unwrap_or_default();
        let input = call.prompt.tokens();
        let usual = self.outputs.expected(model);
        let expected = cap.map_or(usual, |cap| cap.min(usual));
        Estimate {
            expected: Consumption {
                input: Some(input),
                output: Some(expected),
                cost: self.list_cost(call, input, expected),
            },
            stated: Consumption {
                input: Some(input),
                output: cap,
                cost: cap.and_then(|cap| self.list_cost(call, input, cap)),
            },
            most: call.bound.map(|bound| self.most(call, bound, cap)).unwrap_or_default(),
        }
    }

    /// Input that nothing is cached of, and output, at list price.
    fn list_cost(&self, call: &Call, input: u64, output: u64) -> Option<Usd> {
        let quote = self.quote(call, call.asked.service_tier.as_deref()).ok()?;
        cost(&quote, (Bucket::InputUncached, input), (Bucket::Output, output), 0)
    }

    /// The most a call can consume: what a provider may count beyond the prediction, all the output that is allowed, at
    /// the dearest of the tiers it may be processed in and of the buckets its tokens may fall into. What the request
    /// does not show, and media, whose tokens only the provider knows, have no bound.
    fn most(&self, call: &Call, bound: Bound, output: Option<u64>) -> Consumption {
        let permille = if call.prompt.exact { COUNTED_MOST } else { ESTIMATED_MOST };
        // What earlier calls taught may be less than this one takes.
        let predicted = call.prompt.tokens().max(call.prompt.untaught);
        let scaled = predicted.saturating_mul(permille).div_ceil(1_000).saturating_add(MARGIN);
        let input = call.prompt.is_whole.then_some(scaled);
        Consumption { input, output, cost: self.most_cost(call, input, output, bound.searches) }
    }

    fn most_cost(&self, call: &Call, input: Option<u64>, output: Option<u64>, searches: Option<u64>) -> Option<Usd> {
        let (input, output) = (input?, output?);
        let asked = call.asked.service_tier.as_deref();
        // A provider may grant what was not asked for where it decides itself.
        let tiers: &[Option<&str>] = match asked {
            Some("auto") => &[None, Some("priority")],
            Some(_) => &[None, asked],
            None => &[None],
        };
        let mut most = None;
        for tier in tiers {
            let quote = self.quote(call, *tier).ok()?;
            let free = || searches_are_free(&quote).then_some(0);
            let searches = searches.or_else(free)?;
            for input_bucket in [Bucket::InputUncached, Bucket::CacheWrite5m, Bucket::CacheWrite1h] {
                for output_bucket in Bucket::ALL.into_iter().filter(|bucket| bucket.direction() == Direction::Output) {
                    let cost = cost(&quote, (input_bucket, input), (output_bucket, output), searches)?;
                    most = most.max(Some(cost));
                }
            }
        }
        most
    }

    pub(crate) fn quote(&self, call: &Call, service_tier: Option<&str>) -> Result<Quote<'_>, Unpriced> {
        let lookup = Lookup {
            provider: call.priced_at(),
            model: call.asked.model.as_deref().unwrap_or_default(),
            alias: None,
            at: call.opened,
            terms: Terms {
                service_tier,
                speed: call.asked.speed.as_deref(),
                inference_geo: call.route.region,
                search_context_size: call.asked.search_context_size.as_deref(),
                ..Terms::default()
            },
        };
        self.config.prices.quote(&lookup)
    }
}

impl Bound {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let tools = request.elements.iter().filter(|element| element.kind == Kind::Tool);
        let mut searches = tools.map(dialect::searches_of);
        let searches = searches.try_fold(0_u64, |sum, searches| Some(sum.saturating_add(searches?)));
        Self { searches: searches.filter(|_| !request.may_search && !searches_unasked(request)) }
    }
}

/// Models that search the web whatever a request says: Perplexity's, and OpenAI's for search.
fn searches_unasked(request: &Request<'_>) -> bool {
    let model = request.model.as_deref().unwrap_or_default();
    model.contains("sonar") || model.contains("-search-")
}

/// Whether searches cost nothing beside what each request costs.
fn searches_are_free(quote: &Quote<'_>) -> bool {
    let with = |searches| cost(quote, (Bucket::InputUncached, 0), (Bucket::Output, 0), searches);
    with(1).is_some_and(|cost| Some(cost) == with(0))
}

/// `None` where a kind of token has no price.
fn cost(quote: &Quote<'_>, input: (Bucket, u64), output: (Bucket, u64), web_searches: u64) -> Option<Usd> {
    let mut usage = Usage { web_searches, ..Usage::default() };
    usage.set(input.0, input.1);
    usage.set(output.0, output.1);
    quote.cost(&usage).whole()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::head::{Headers, RequestHead};
    use crate::meter::{Body, Meter, Verdict};
    use crate::time::Timestamp;

    /// Only searches cost: a cent each.
    const CONFIG: &str = r#"{
        "prices": [{"model": "*", "input_per_million": "0", "output_per_million": "0", "web_searches_per_thousand": "10"}],
        "limits": [{"id": "call", "measure": "cost_usd", "limit": "1", "reserve": "upper_bound"}]
    }"#;

    /// Whether a call is let through, and the most that its searches can cost.
    fn judged(path: &str, model: &str, tools: &str) -> (bool, Option<String>) {
        let mut meter = Meter::new(Config::parse(CONFIG.as_bytes()).expect("a configuration"), [1, 2]);
        let head = RequestHead { method: "POST", host: "llm.example", path, route: "", headers: Headers::new(&[]) };
        let now = Timestamp::from_seconds(1_790_000_000);
        let mut call = meter.open(&head, "1".to_owned(), now).expect("a call");
        let body = format!(
            r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],"tools":[{tools}]}}"#
        );
        let is_let_through = matches!(meter.admit(&mut call, Body::Whole(body.as_bytes())), Verdict::Forward);
        let searches = call.bound.expect("it is bounded").searches;
        let most = meter.most_cost(&call, Some(0), Some(0), searches);
        (is_let_through, most.map(|most| most.to_string()))
    }

    fn cost(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_most_that_a_call_can_cost_has_the_fees_of_all_searches_that_it_allows() {
        let search = |uses: u64| format!(r#"{{"type":"web_search_20250305","name":"web_search","max_uses":{uses}}}"#);
        let most = |tools: &str| judged("/v1/messages", "m", tools).1;
        assert_eq!(most(""), cost("0"));
        assert_eq!(most(&search(3)), cost("0.03"));
        assert_eq!(most(&format!("{},{}", search(2), search(5))), cost("0.07"));
        let clients = r#"{"name":"web_search","input_schema":{}}"#;
        assert_eq!(most(&format!("{clients},{}", search(1))), cost("0.01"), "the client runs its own");
        let unlimited = r#"{"type":"web_search_20250305","name":"web_search"}"#;
        assert_eq!(most(&format!("{},{unlimited}", search(1))), None);
        for model in ["sonar-pro", "gpt-4o-search-preview"] {
            assert_eq!(judged("/v1/chat/completions", model, ""), (false, None), "{model} searches unasked");
        }
    }

    #[test]
    fn a_call_whose_provider_searches_is_unbounded_however_few_its_searches_since_what_they_find_is_input() {
        let search = r#"{"type":"web_search_20250305","name":"web_search","max_uses":1}"#;
        assert_eq!(judged("/v1/messages", "m", search), (false, cost("0.01")));
        assert_eq!(judged("/v1/messages", "m", r#"{"name":"web_search","input_schema":{}}"#), (true, cost("0")));
    }
}
