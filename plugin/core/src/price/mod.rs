//! The price book: from a model's name, a time and the request's terms to a [`Quote`], from a quote and a usage to an
//! exact [`Cost`].
//!
//! Prices come from the MIT-licensed `genai-prices` package, pinned and committed as `data/prices.json`
//! (`scripts/prices.py` writes it), corrected by the hand-written `overlay.json`, where every entry gives its source.
//! The build compiles both into static tables, so a book costs nothing to open. Operators add [`Override`]s.
//! A cost that the provider states in its response is better than any list; the meter prefers it.
//!
//! Invariants: integers only, exact to the last digit of the list; an unknown model is [`Unpriced`], never free and
//! never a neighbour; a token of a kind without a price is reported, not dropped.
//! Must not know: wire formats, hosts, the clock, budgets.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

mod matching;
mod overrides;
mod table;
mod tiers;

pub use overrides::{Override, Rate, RateError};

use crate::money::Usd;
use crate::time::Timestamp;
use crate::usage::{Bucket, PerBucket, Usage};
use matching::Found;
use table::{PROVIDERS, UPLIFTS, Unit};
use tiers::Resolved;

/// What to price: which model, where, when, and on what terms.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The provider, by the list's id or its OpenTelemetry name; when absent, the model's name tells it.
    pub provider: Option<&'a str>,
    /// The model as the response names it, else as the request does.
    pub model: &'a str,
    /// When the call was made.
    pub at: Timestamp,
    /// What the call was granted beside the model.
    pub terms: Terms<'a>,
}

/// What of a call changes its price: as the response states it, else as the request asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// `flex`, `priority`, `ultrafast`...; `batch` means [`Terms::batch`].
    pub service_tier: Option<&'a str>,
    /// The result came from a batch API.
    pub batch: bool,
    /// Anthropic's `speed`, `fast` or `standard`.
    pub speed: Option<&'a str>,
    /// Where the inference was bound to run: Anthropic's `inference_geo`, or the region of a data residency host
    /// (`eu` of `eu.api.openai.com`).
    pub inference_geo: Option<&'a str>,
}

impl Terms<'_> {
    fn is_batch(&self) -> bool {
        self.batch || self.service_tier.is_some_and(|tier| tier.eq_ignore_ascii_case("batch"))
    }

    /// Whether a tier was named that is not another word for the standard one.
    fn is_special_tier(&self) -> bool {
        self.service_tier.is_some_and(|tier| {
            !["", "auto", "default", "standard", "standard_only", "on_demand", "batch"]
                .iter()
                .any(|standard| tier.eq_ignore_ascii_case(standard))
        })
    }

    fn is_special_speed(&self) -> bool {
        self.speed.is_some_and(|speed| !speed.is_empty() && !speed.eq_ignore_ascii_case("standard"))
    }
}

/// Why a call has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    /// No such provider in the list.
    #[error("no price for `{model}`: the provider `{provider}` is not in the price list")]
    UnknownProvider {
        /// The provider as given.
        provider: String,
        /// The model as given.
        model: String,
    },
    /// No such model at the provider, or at any when none was given.
    #[error("no price for `{model}`: not in the price list{}", at_provider(*.provider))]
    UnknownModel {
        /// The provider looked at.
        provider: Option<&'static str>,
        /// The model as given.
        model: String,
    },
    /// The list bills the model by the hour, page or image, or does not say.
    #[error("no price for `{model}`: the list has no token price for it{}", at_provider(Some(*.provider)))]
    NoTokenPrices {
        /// The provider that has the model.
        provider: &'static str,
        /// The model as given.
        model: String,
    },
}

fn at_provider(provider: Option<&str>) -> String {
    provider.map(|provider| format!(" at `{provider}`")).unwrap_or_default()
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in list.
    List,
    /// The operator's configuration.
    Override,
}

/// The built-in prices and the operator's own.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    overrides: Vec<Override>,
}

impl PriceBook {
    /// The built-in list. Costs nothing: the tables are part of the program.
    #[must_use]
    pub const fn builtin() -> Self {
        Self { overrides: Vec::new() }
    }

    /// The built-in list under the operator's own prices; of several that cover a model, the first counts.
    #[must_use]
    pub const fn with_overrides(overrides: Vec<Override>) -> Self {
        Self { overrides }
    }

    /// The prices of one call.
    ///
    /// # Errors
    /// [`Unpriced`] when neither an override nor the list has token prices for the model.
    pub fn quote(&self, lookup: &Lookup<'_>) -> Result<Quote<'_>, Unpriced> {
        let found = matching::find(lookup.provider, lookup.model);
        let provider = found.as_ref().ok().map(|found| found.provider.id);
        let named = lookup.provider.or(provider);
        if let Some(own) = self.overrides.iter().find(|own| own.covers(named, lookup.model)) {
            let model = found.as_ref().map_or(own.model.as_str(), |found| found.model.id);
            let provider = provider.or(own.provider.as_deref());
            return Ok(Quote { provider, model, prices: Prices::Own(own), uplift_percent: 0 });
        }
        let Found { provider, model, resold } = found?;
        let resolved = Resolved::new(model.pricing, lookup.at, &lookup.terms, !resold);
        if !resolved.prices_tokens() {
            return Err(Unpriced::NoTokenPrices { provider: provider.id, model: lookup.model.to_owned() });
        }
        let geo = lookup.terms.inference_geo.unwrap_or_default();
        let uplift = UPLIFTS.iter().find(|uplift| {
            uplift.provider == provider.id
                && uplift.inference_geo.iter().any(|own| geo.eq_ignore_ascii_case(own))
                && matching::matches(&uplift.models, model.id)
        });
        Ok(Quote {
            provider: Some(provider.id),
            model: model.id,
            prices: Prices::Listed(resolved),
            uplift_percent: uplift.map_or(0, |uplift| uplift.percent),
        })
    }

    /// Name and version of the price list: `genai-prices 0.2.3`.
    #[must_use]
    pub fn source() -> &'static str {
        table::SOURCE
    }

    /// Every model of the list as (provider, model), in the list's order.
    pub fn models() -> impl Iterator<Item = (&'static str, &'static str)> {
        PROVIDERS.iter().flat_map(|provider| provider.models.iter().map(move |model| (provider.id, model.id)))
    }
}

/// The prices of one call, before its usage is known.
#[derive(Clone, Debug)]
pub struct Quote<'b> {
    provider: Option<&'b str>,
    model: &'b str,
    prices: Prices<'b>,
    uplift_percent: u64,
}

#[derive(Clone, Debug)]
enum Prices<'b> {
    Listed(Resolved),
    Own(&'b Override),
}

/// The exact cost of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What the tokens of each bucket cost.
    pub per_bucket: PerBucket<Usd>,
    /// What the provider's web searches cost.
    pub web_search: Usd,
    /// The fee for the request itself.
    pub request: Usd,
    /// The sum of all of it.
    pub total: Usd,
    /// Tokens of kinds that the list has no price for; they are not in the total.
    pub unpriced_tokens: PerBucket<u64>,
    /// Web searches without a price; they are not in the total.
    pub unpriced_web_searches: u64,
}

impl Quote<'_> {
    /// The provider whose prices these are, if known.
    #[must_use]
    pub const fn provider(&self) -> Option<&str> {
        self.provider
    }

    /// The row of the list that matched, or the override's model.
    #[must_use]
    pub const fn model(&self) -> &str {
        self.model
    }

    /// Where the prices come from.
    #[must_use]
    pub const fn source(&self) -> Source {
        match self.prices {
            Prices::Listed(_) => Source::List,
            Prices::Own(_) => Source::Override,
        }
    }

    /// Whether the call had a batch, tier or speed that the list has no price for, so standard prices are assumed.
    #[must_use]
    pub const fn assumes_standard(&self) -> bool {
        match &self.prices {
            Prices::Listed(resolved) => resolved.assumes_standard,
            Prices::Own(_) => false,
        }
    }

    /// Dollars per million tokens of a bucket in a call with this many input tokens, if it has a price.
    #[must_use]
    pub fn per_million(&self, bucket: Bucket, input_total: u64) -> Option<Usd> {
        self.token_rate(bucket, input_total).map(|femto| self.tokens_cost(femto, 1_000_000))
    }

    /// What a usage costs.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let input_total = usage.input_total();
        let mut cost = Cost::default();
        for (bucket, tokens) in usage.tokens.iter().filter(|(_, tokens)| *tokens > 0) {
            match self.token_rate(bucket, input_total) {
                Some(femto) => cost.per_bucket.set(bucket, self.tokens_cost(femto, tokens)),
                None => cost.unpriced_tokens.set(bucket, tokens),
            }
        }
        match self.rate(Unit::WebSearch, input_total) {
            Some(femto) => cost.web_search = amount(femto).times(usage.web_searches),
            None => cost.unpriced_web_searches = usage.web_searches,
        }
        cost.request = self.rate(Unit::Request, input_total).map_or(Usd::ZERO, amount);
        cost.total = cost.per_bucket.iter().map(|(_, usd)| usd).chain([cost.web_search, cost.request]).sum();
        cost
    }

    /// What the same tokens would cost without a prompt cache: every cache read and write at its input price.
    #[must_use]
    pub fn uncached_cost(&self, usage: &Usage) -> Cost {
        let mut uncached = Usage { web_searches: usage.web_searches, ..Usage::default() };
        for (bucket, tokens) in usage.tokens.iter() {
            let fresh = match bucket {
                Bucket::CacheRead | Bucket::CacheWrite5m | Bucket::CacheWrite1h => Bucket::InputUncached,
                Bucket::CacheReadAudio => Bucket::InputAudio,
                Bucket::CacheReadImage => Bucket::InputImage,
                other => other,
            };
            uncached.set(fresh, uncached.get(fresh).saturating_add(tokens));
        }
        self.cost(&uncached)
    }

    fn token_rate(&self, bucket: Bucket, input_total: u64) -> Option<u64> {
        tiers::stand_ins(bucket).iter().find_map(|bucket| self.rate(Unit::Tokens(*bucket), input_total))
    }

    fn tokens_cost(&self, femto: u64, tokens: u64) -> Usd {
        let list = amount(femto).times(tokens);
        match self.uplift_percent {
            0 => list,
            percent => list.ratio(percent.saturating_add(100), 100),
        }
    }

    fn rate(&self, unit: Unit, input_total: u64) -> Option<u64> {
        match &self.prices {
            Prices::Listed(resolved) => resolved.rate(unit, input_total),
            Prices::Own(own) => own.rate(unit),
        }
    }
}

fn amount(femto: u64) -> Usd {
    Usd::from_femto(i128::from(femto))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEDNESDAY: &str = "2026-11-18T12:00:00Z";

    fn lookup<'a>(provider: &'a str, model: &'a str, at: &str, terms: Terms<'a>) -> Lookup<'a> {
        Lookup { provider: Some(provider), model, at: Timestamp::parse(at).unwrap(), terms }
    }

    fn usage(counts: &[(Bucket, u64)]) -> Usage {
        let mut usage = Usage::default();
        counts.iter().for_each(|(bucket, tokens)| usage.set(*bucket, *tokens));
        usage
    }

    fn quote<'a>(provider: &'a str, model: &'a str, at: &str, terms: Terms<'a>) -> Quote<'static> {
        static BOOK: PriceBook = PriceBook::builtin();
        BOOK.quote(&lookup(provider, model, at, terms)).unwrap()
    }

    /// Checks the price of a million uncached input tokens in a small call.
    #[track_caller]
    fn check(provider: &str, model: &str, at: &str, terms: Terms<'_>, per_million: &str) {
        let price = quote(provider, model, at, terms).per_million(Bucket::InputUncached, 1_000);
        assert_eq!(price.map(|usd| usd.to_string()).as_deref(), Some(per_million), "{model} at {at} {terms:?}");
    }

    #[test]
    fn deepseek_peak_hours_are_on_working_days_only() {
        let none = Terms::default();
        check("deepseek", "deepseek-v4-pro", "2026-11-20T02:00:00Z", none, "1.32"); // Friday
        check("deepseek", "deepseek-v4-pro", "2026-11-20T04:00:00Z", none, "0.66");
        check("deepseek", "deepseek-v4-pro", "2026-11-20T09:59:00Z", none, "1.32");
        check("deepseek", "deepseek-v4-pro", "2026-11-21T02:00:00Z", none, "0.66"); // Saturday
        check("deepseek", "deepseek-flash", "2026-11-22T07:00:00Z", none, "0.15"); // Sunday
        check("deepseek", "deepseek-flash", "2026-11-23T07:00:00Z", none, "0.3"); // Monday
        check("deepseek", "deepseek-flash", "2026-10-01T07:00:00Z", none, "0.15"); // National Day, a Thursday
    }

    #[test]
    fn a_price_by_time_of_day_does_not_apply_before_it_existed() {
        let none = Terms::default();
        check("deepseek", "deepseek-v4-pro", "2026-08-03T02:00:00Z", none, "0.435"); // Monday
        check("deepseek", "deepseek-v4-pro", "2026-08-01T02:00:00Z", none, "0.435"); // the reproduced error
        check("deepseek", "deepseek-v4-pro", "2026-08-17T02:00:00Z", none, "1.32");
        check("deepseek", "deepseek-v4-flash", "2026-08-18T02:00:00Z", none, "0.44");
        check("deepseek", "deepseek-v4-flash", "2026-08-18T12:00:00Z", none, "0.22");
        check("deepseek", "deepseek-v4-flash", "2026-09-11T02:00:00Z", none, "0.3");
    }

    #[test]
    fn batch_and_tier_prices_began_before_they_were_added_to_the_list() {
        let batch = Terms { batch: true, ..Terms::default() };
        let flex = Terms { service_tier: Some("flex"), ..Terms::default() };
        check("openai", "gpt-5", "2026-01-01", batch, "0.625");
        check("openai", "gpt-5", "2026-01-01", flex, "0.625");
        check("openai", "gpt-5", WEDNESDAY, flex, "0.625");
        // But not before the standard price they are a discount on: o3 cost 10 until June 2025.
        check("openai", "o3", "2025-06-09", flex, "10");
        check("openai", "o3", "2025-06-10", flex, "1");
        // A price announced for later still waits for its day.
        check("google", "gemini-3.8-flash", "2026-12-31", batch, "0.375");
        check("google", "gemini-3.8-flash", "2027-01-01", batch, "0.75");
    }

    #[test]
    fn the_tier_that_anthropic_calls_batch_is_batch() {
        let batch = Terms { service_tier: Some("batch"), ..Terms::default() };
        check("anthropic", "claude-opus-5", WEDNESDAY, batch, "2.5");
    }

    #[test]
    fn inference_bound_to_a_region_costs_a_tenth_more() {
        let geo = |geo| Terms { inference_geo: Some(geo), ..Terms::default() };
        check("anthropic", "claude-opus-5", WEDNESDAY, geo("us"), "5.5");
        check("anthropic", "claude-opus-5", WEDNESDAY, geo("global"), "5");
        check("openai", "gpt-6-sol", WEDNESDAY, geo("eu"), "2.2");
        check("openai", "gpt-4o", WEDNESDAY, geo("eu"), "2.5");
        let fast_us = Terms { speed: Some("fast"), ..geo("us") };
        check("anthropic", "claude-opus-5", WEDNESDAY, fast_us, "11");
    }

    #[test]
    fn ultrafast_costs_six_times_the_standard_price_in_every_context_tier() {
        let ultrafast = Terms { service_tier: Some("ultrafast"), ..Terms::default() };
        check("openai", "gpt-6-astra", WEDNESDAY, ultrafast, "60");
        let (fast, standard) = (
            quote("openai", "gpt-6-astra", WEDNESDAY, ultrafast),
            quote("openai", "gpt-6-astra", WEDNESDAY, Terms::default()),
        );
        let price = |quote: &Quote<'_>| quote.per_million(Bucket::Output, 300_000).unwrap();
        assert_eq!(price(&fast), price(&standard).times(6));
    }

    #[test]
    fn a_tier_without_a_price_is_billed_as_standard_and_says_so() {
        let terms = |tier| Terms { service_tier: Some(tier), ..Terms::default() };
        assert!(quote("openai", "gpt-4o-mini", WEDNESDAY, terms("ultrafast")).assumes_standard());
        assert!(!quote("openai", "gpt-4o-mini", WEDNESDAY, terms("priority")).assumes_standard());
        assert!(!quote("openai", "gpt-4o-mini", WEDNESDAY, terms("default")).assumes_standard());
        let resold = quote("azure.ai.openai", "gpt-6-sol", WEDNESDAY, terms("priority"));
        assert!(resold.assumes_standard() && resold.provider() == Some("azure"));
    }

    #[test]
    fn a_context_tier_is_a_cliff_just_above_its_threshold() {
        let quote = quote("google", "gemini-2.5-pro", WEDNESDAY, Terms::default());
        let cost = |uncached, cached| {
            quote.cost(&usage(&[
                (Bucket::InputUncached, uncached),
                (Bucket::CacheRead, cached),
                (Bucket::Output, 1_000),
            ]))
        };
        assert_eq!(cost(100_000, 100_000).total.to_string(), "0.1475");
        // One cached token more, and every token costs the higher price.
        assert_eq!(cost(100_000, 100_001).total.to_string(), "0.29000025");
    }

    #[test]
    fn tokens_without_a_price_of_their_own_cost_what_stands_in_for_them() {
        let sonnet = quote("anthropic", "claude-sonnet-4-5", WEDNESDAY, Terms::default());
        let price = |bucket| sonnet.per_million(bucket, 0).map(|usd| usd.to_string()).unwrap_or_default();
        assert_eq!(price(Bucket::CacheWrite5m), "3.75");
        assert_eq!(price(Bucket::CacheWrite1h), "6");
        assert_eq!(price(Bucket::Reasoning), "15");
        assert_eq!(price(Bucket::InputImage), "3");
        assert_eq!(price(Bucket::CacheReadImage), "0.3");
    }

    #[test]
    fn output_of_a_model_that_has_no_output_price_is_reported_and_not_dropped() {
        let embedding = quote("openai", "text-embedding-3-small", WEDNESDAY, Terms::default());
        let cost = embedding.cost(&usage(&[(Bucket::InputUncached, 1_000_000), (Bucket::Output, 7)]));
        assert_eq!(cost.total.to_string(), "0.02");
        assert_eq!(cost.unpriced_tokens.get(Bucket::Output), 7);
    }

    #[test]
    fn a_request_fee_and_web_searches_are_part_of_the_cost() {
        let sonar = quote("perplexity", "sonar", WEDNESDAY, Terms::default()).cost(&usage(&[(Bucket::Output, 1_000)]));
        assert_eq!((sonar.request.to_string(), sonar.total.to_string()), ("0.012".to_owned(), "0.013".to_owned()));
        let searched = Usage { web_searches: 3, ..Usage::default() };
        let opus = quote("anthropic", "claude-opus-5", WEDNESDAY, Terms::default()).cost(&searched);
        assert_eq!(opus.total.to_string(), "0.03");
        let haiku = quote("anthropic", "claude-3-haiku", WEDNESDAY, Terms::default()).cost(&searched);
        assert_eq!((haiku.total, haiku.unpriced_web_searches), (Usd::ZERO, 3));
    }

    #[test]
    fn a_model_without_a_token_price_is_unpriced_and_named() {
        let book = PriceBook::builtin();
        for (provider, model, message) in [
            ("openai", "whisper-1", "no price for `whisper-1`: the list has no token price for it at `openai`"),
            ("openai", "gpt-99", "no price for `gpt-99`: not in the price list at `openai`"),
            ("acme", "gpt-4o", "no price for `gpt-4o`: the provider `acme` is not in the price list"),
        ] {
            let error = book.quote(&lookup(provider, model, WEDNESDAY, Terms::default())).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_model_that_is_free_by_name_costs_nothing() {
        let free = quote("openrouter", "openai/gpt-oss-120b:free", WEDNESDAY, Terms::default());
        let cost = free.cost(&usage(&[(Bucket::InputUncached, 1_000_000), (Bucket::Reasoning, 1_000)]));
        assert_eq!((cost.total, cost.unpriced_tokens), (Usd::ZERO, PerBucket::default()));
    }

    #[test]
    fn what_the_cache_saved_is_the_difference_to_the_uncached_cost() {
        let sonnet = quote("anthropic", "claude-sonnet-4-5", WEDNESDAY, Terms::default());
        let cached = usage(&[(Bucket::CacheRead, 10_000), (Bucket::CacheWrite1h, 1_000), (Bucket::Output, 10)]);
        assert_eq!(sonnet.cost(&cached).total.to_string(), "0.00915");
        assert_eq!(sonnet.uncached_cost(&cached).total.to_string(), "0.03315");
    }

    fn own(provider: Option<&str>, model: &str, input: &str) -> Override {
        let tokens =
            PerBucket::from_fn(|bucket| (bucket == Bucket::InputUncached).then(|| Rate::per_million(input).unwrap()));
        Override { provider: provider.map(str::to_owned), model: model.to_owned(), tokens, ..Override::default() }
    }

    #[test]
    fn an_override_wins_over_the_list_and_prices_what_the_list_does_not_know() {
        let book = PriceBook::with_overrides(vec![
            own(None, "GPT-4o-mini", "0.01"),
            own(Some("azure.ai.openai"), "gpt-4o*", "0.02"),
            own(Some("in-house"), "llama*", "0.03"),
        ]);
        for (provider, model, expected) in [
            ("openai", "gpt-4o-mini", Some(("0.01", Source::Override))),
            ("openai", "gpt-4o", Some(("2.5", Source::List))),
            ("azure", "gpt-4o-2024-08-06", Some(("0.02", Source::Override))),
            ("in-house", "llama-9", Some(("0.03", Source::Override))),
            ("elsewhere", "llama-9", None),
        ] {
            let quote = book.quote(&lookup(provider, model, WEDNESDAY, Terms::default())).ok();
            let price = quote.map(|quote| (quote.per_million(Bucket::InputUncached, 0).unwrap(), quote.source()));
            let expected = expected.map(|(usd, source)| (Usd::parse(usd).unwrap(), source));
            assert_eq!(price, expected, "{provider} {model}");
        }
    }

    #[test]
    fn a_rate_that_cannot_be_exact_is_refused() {
        for text in ["-1", "0.0000000001", "x", "99999999999999999999"] {
            let error = Rate::per_million(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(Rate::per_million("0.000000001").is_ok());
    }

    /// Any usage of any model that the list prices.
    fn quoted_usage() -> impl Strategy<Value = (Quote<'static>, Usage)> {
        let priced: Vec<Quote<'static>> = PriceBook::models()
            .filter_map(|(provider, model)| {
                static BOOK: PriceBook = PriceBook::builtin();
                BOOK.quote(&lookup(provider, model, WEDNESDAY, Terms::default())).ok()
            })
            .collect();
        let tokens = proptest::array::uniform12(0_u64..1_000_000);
        (proptest::sample::select(priced), tokens, 0_u64..10).prop_map(|(quote, tokens, web_searches)| {
            let mut usage = Usage { web_searches, ..Usage::default() };
            Bucket::ALL.into_iter().zip(tokens).for_each(|(bucket, tokens)| usage.set(bucket, tokens));
            (quote, usage)
        })
    }

    proptest! {
        #[test]
        fn a_cost_is_the_sum_of_its_parts((quote, usage) in quoted_usage()) {
            let cost = quote.cost(&usage);
            let parts = cost.per_bucket.iter().map(|(_, usd)| usd).sum::<Usd>();
            prop_assert_eq!(cost.total, parts.plus(cost.web_search).plus(cost.request));
        }

        #[test]
        fn more_tokens_never_cost_less((quote, usage) in quoted_usage(), more in 1_u64..1_000_000, at in 0_usize..12) {
            let bucket = Bucket::ALL[at];
            let mut larger = usage;
            larger.set(bucket, usage.get(bucket).saturating_add(more));
            prop_assert!(quote.cost(&larger).total >= quote.cost(&usage).total);
        }

        #[test]
        fn any_names_are_quoted_or_refused_without_a_panic(provider in "\\PC{0,20}", model in "\\PC{0,40}") {
            let at = Timestamp::parse(WEDNESDAY).unwrap();
            let book = PriceBook::builtin();
            let _ = book.quote(&Lookup { provider: Some(&provider), model: &model, at, terms: Terms::default() });
            let _ = book.quote(&Lookup { provider: None, model: &model, at, terms: Terms::default() });
        }
    }
}
