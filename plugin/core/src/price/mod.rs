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

pub(crate) use matching::is_kin;
pub use overrides::{Discount, Override, Rate, RateError};

use crate::money::Usd;
use crate::time::Timestamp;
use crate::usage::{Bucket, PerBucket, Usage};
use table::{PROVIDERS, UPLIFTS, Unit};
use tiers::Resolved;

/// What to price: which model, where, when, and on what terms.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The provider, by the list's id or its OpenTelemetry name; when absent, the model's name tells it.
    pub provider: Option<&'a str>,
    /// The model as the response names it, else as the request does.
    pub model: &'a str,
    /// Another name for it, which only the operator may know: the deployment or alias that was asked for.
    pub alias: Option<&'a str>,
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
    /// Where the inference was bound to run: Anthropic's `inference_geo`, or the region of the host (`eu` of
    /// `eu.api.openai.com`, `us-east5` of `us-east5-aiplatform.googleapis.com`).
    pub inference_geo: Option<&'a str>,
    /// How much of the web was searched: Perplexity's `low`, `medium` or `high`.
    pub search_context_size: Option<&'a str>,
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

impl Unpriced {
    /// The provider that was recognised, by the list's name.
    const fn known_provider(&self) -> Option<&'static str> {
        match self {
            Self::UnknownProvider { .. } => None,
            Self::UnknownModel { provider, .. } => *provider,
            Self::NoTokenPrices { provider, .. } => Some(*provider),
        }
    }
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
    /// The operator's price for models without one.
    Fallback,
}

/// What happens to calls of models without a price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownPrice {
    /// Their tokens are metered, their cost is unknown.
    #[default]
    Track,
    /// They cost this.
    Fallback(Box<Override>),
    /// They are refused.
    Deny,
}

/// The built-in prices and the operator's own.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    overrides: Vec<Override>,
    discounts: Vec<Discount>,
    unknown: UnknownPrice,
}

impl PriceBook {
    /// The built-in list. Costs nothing: the tables are part of the program.
    #[must_use]
    pub const fn builtin() -> Self {
        Self::with_contract(Vec::new(), Vec::new(), UnknownPrice::Track)
    }

    /// The built-in list under what the operator pays: own prices instead of it, discounts off it, and a price for what
    /// has none. Of several that cover a model, the first counts.
    #[must_use]
    pub const fn with_contract(overrides: Vec<Override>, discounts: Vec<Discount>, unknown: UnknownPrice) -> Self {
        Self { overrides, discounts, unknown }
    }

    /// Calls of models without a price are refused.
    #[must_use]
    pub const fn refuses_unknown(&self) -> bool {
        matches!(self.unknown, UnknownPrice::Deny)
    }

    /// The prices of one call.
    ///
    /// # Errors
    /// [`Unpriced`] when neither the operator nor the list has token prices for the model.
    pub fn quote(&self, lookup: &Lookup<'_>) -> Result<Quote<'_>, Unpriced> {
        let listed = Listed::find(lookup);
        let (provider, row) = match &listed {
            Ok(listed) => (Some(listed.provider), Some(listed.model)),
            Err(unpriced) => (unpriced.known_provider(), None),
        };
        let named = lookup.provider.or(provider);
        let names = [Some(lookup.model), row, lookup.alias];
        // The first in the list counts, whichever of the model's names it means.
        let is_meant = |covers: &dyn Fn(&str) -> bool| names.iter().flatten().any(|name| covers(name));
        let own = self.overrides.iter().find(|own| is_meant(&|name| own.covers(named, name)));
        let discount = self.discounts.iter().find(|discount| is_meant(&|name| discount.covers(named, name)));
        match (own, listed, &self.unknown) {
            (Some(own), listed, _) => {
                let model = row.unwrap_or(&own.model);
                let provider = provider.or(own.provider.as_deref());
                Ok(Quote { provider, model, listed: listed.ok(), contract: Contract::Prices(own), unpriced: None })
            }
            (None, Ok(listed), _) => {
                let contract = discount.map_or(Contract::None, Contract::Discount);
                let (provider, model) = (Some(listed.provider), listed.model);
                Ok(Quote { provider, model, listed: Some(listed), contract, unpriced: None })
            }
            (None, Err(unpriced), UnknownPrice::Fallback(own)) => Ok(Quote {
                provider,
                model: &own.model,
                listed: None,
                contract: Contract::Fallback(own),
                unpriced: Some(unpriced),
            }),
            (None, Err(unpriced), UnknownPrice::Track | UnknownPrice::Deny) => Err(unpriced),
        }
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

/// The list's prices for one call.
#[derive(Clone, Debug)]
struct Listed {
    provider: &'static str,
    model: &'static str,
    resolved: Resolved,
    uplift_percent: u64,
}

impl Listed {
    fn find(lookup: &Lookup<'_>) -> Result<Self, Unpriced> {
        let found = matching::find(lookup.provider, lookup.model)?;
        let (provider, model) = (found.provider.id, found.model.id);
        let resolved = Resolved::new(&found, lookup.at, &lookup.terms);
        if !resolved.prices_tokens() {
            return Err(Unpriced::NoTokenPrices { provider, model: lookup.model.to_owned() });
        }
        let geo = lookup.terms.inference_geo.filter(|geo| !geo.is_empty()).map(str::to_ascii_lowercase);
        let uplift = geo.and_then(|geo| {
            UPLIFTS.iter().find(|uplift| {
                uplift.provider == provider
                    && matching::matches(&uplift.inference_geo, &geo)
                    && matching::matches(&uplift.models, model)
            })
        });
        Ok(Self { provider, model, resolved, uplift_percent: uplift.map_or(0, |uplift| uplift.percent) })
    }
}

/// The prices of one call, before its usage is known.
#[derive(Clone, Debug)]
pub struct Quote<'b> {
    provider: Option<&'b str>,
    model: &'b str,
    listed: Option<Listed>,
    contract: Contract<'b>,
    unpriced: Option<Unpriced>,
}

/// What the operator agreed on, beside the list.
#[derive(Clone, Copy, Debug)]
enum Contract<'b> {
    /// Nothing: the list is what the call costs.
    None,
    /// A percentage off the list.
    Discount(&'b Discount),
    /// Prices instead of the list.
    Prices(&'b Override),
    /// A price for what has none.
    Fallback(&'b Override),
}

/// The exact cost of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What the tokens of each bucket cost.
    pub per_bucket: PerBucket<Usd>,
    /// What the tokens of sources cost that the provider read.
    pub citation: Usd,
    /// What the provider's web searches cost.
    pub web_search: Usd,
    /// The fee for the request itself.
    pub request: Usd,
    /// The sum of all of it.
    pub total: Usd,
    /// Tokens of kinds that the list has no price for; they are not in the total.
    pub unpriced_tokens: PerBucket<u64>,
    /// Tokens of sources without a price; they are not in the total.
    pub unpriced_citations: u64,
    /// Web searches without a price; they are not in the total.
    pub unpriced_web_searches: u64,
}

impl Cost {
    /// The total, where everything has a price.
    #[must_use]
    pub fn whole(&self) -> Option<Usd> {
        self.missing().is_none().then_some(self.total)
    }

    /// What is in the usage but has no price, by the name that it has in the event.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        let bucket = self.unpriced_tokens.iter().find(|(_, tokens)| *tokens > 0).map(|(bucket, _)| bucket.name());
        bucket
            .or((self.unpriced_citations > 0).then_some("citation"))
            .or((self.unpriced_web_searches > 0).then_some("web_search"))
    }

    /// The sum of two costs.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            per_bucket: PerBucket::from_fn(|bucket| self.per_bucket.get(bucket).plus(more.per_bucket.get(bucket))),
            citation: self.citation.plus(more.citation),
            web_search: self.web_search.plus(more.web_search),
            request: self.request.plus(more.request),
            total: self.total.plus(more.total),
            unpriced_tokens: PerBucket::from_fn(|bucket| {
                self.unpriced_tokens.get(bucket).saturating_add(more.unpriced_tokens.get(bucket))
            }),
            unpriced_citations: self.unpriced_citations.saturating_add(more.unpriced_citations),
            unpriced_web_searches: self.unpriced_web_searches.saturating_add(more.unpriced_web_searches),
        }
    }
}

/// A price of one unit in a call of a size, with what is put on it and taken off.
struct Rates<'q> {
    rate: &'q dyn Fn(Unit, u64) -> Option<u64>,
    /// On every token.
    uplift_percent: u64,
    /// Off everything.
    discount: Option<&'q Discount>,
}

impl Rates<'_> {
    fn of_bucket(&self, bucket: Bucket, input_total: u64) -> Option<u64> {
        tiers::stand_ins(bucket).iter().find_map(|bucket| (self.rate)(Unit::Tokens(*bucket), input_total))
    }

    fn tokens(&self, femto: u64, tokens: u64) -> Usd {
        let list = amount(femto).times(tokens);
        self.contracted(match self.uplift_percent {
            0 => list,
            percent => list.ratio(percent.saturating_add(100), 100),
        })
    }

    fn contracted(&self, list: Usd) -> Usd {
        self.discount.map_or(list, |discount| discount.off(list))
    }

    fn cost(&self, usage: &Usage) -> Cost {
        let input_total = usage.input_total();
        let mut cost = Cost::default();
        for (bucket, tokens) in usage.tokens.iter().filter(|(_, tokens)| *tokens > 0) {
            match self.of_bucket(bucket, input_total) {
                Some(femto) => cost.per_bucket.set(bucket, self.tokens(femto, tokens)),
                None => cost.unpriced_tokens.set(bucket, tokens),
            }
        }
        match (self.rate)(Unit::Citation, input_total) {
            Some(femto) => cost.citation = self.tokens(femto, usage.citation_tokens),
            None => cost.unpriced_citations = usage.citation_tokens,
        }
        let request = (self.rate)(Unit::Request, input_total).map(amount);
        match (self.rate)(Unit::WebSearch, input_total) {
            Some(femto) => cost.web_search = self.contracted(amount(femto).times(usage.web_searches)),
            // A fee for the request is one for its searches.
            None if request.is_some() => {}
            None => cost.unpriced_web_searches = usage.web_searches,
        }
        cost.request = self.contracted(request.unwrap_or(Usd::ZERO));
        let beside = [cost.citation, cost.web_search, cost.request];
        cost.total = cost.per_bucket.iter().map(|(_, usd)| usd).chain(beside).sum();
        cost
    }
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
        match self.contract {
            Contract::None | Contract::Discount(_) => Source::List,
            Contract::Prices(_) => Source::Override,
            Contract::Fallback(_) => Source::Fallback,
        }
    }

    /// The discount on the list, if any.
    #[must_use]
    pub const fn discount(&self) -> Option<&Discount> {
        match self.contract {
            Contract::Discount(discount) => Some(discount),
            Contract::None | Contract::Prices(_) | Contract::Fallback(_) => None,
        }
    }

    /// Why neither the list nor the operator has a price for the model, where the price for such models is taken.
    #[must_use]
    pub const fn unpriced(&self) -> Option<&Unpriced> {
        self.unpriced.as_ref()
    }

    /// Whether the call had a batch, tier or speed that the list has no price for, so standard prices are assumed.
    #[must_use]
    pub fn assumes_standard(&self) -> bool {
        let is_listed = self.source() == Source::List;
        is_listed && self.listed.as_ref().is_some_and(|listed| listed.resolved.assumes_standard)
    }

    /// Dollars per million tokens of a bucket in a call with this many input tokens, if it has a price.
    #[must_use]
    pub fn per_million(&self, bucket: Bucket, input_total: u64) -> Option<Usd> {
        self.contracted(|rates| Some(rates.tokens(rates.of_bucket(bucket, input_total)?, 1_000_000)))
    }

    /// Whether input that a cache served costs less than other input, in a call with this many input tokens.
    #[must_use]
    pub fn discounts_cache(&self, input_total: u64) -> bool {
        let rate = |rates: &Rates<'_>, bucket| rates.of_bucket(bucket, input_total);
        self.contracted(|rates| rate(rates, Bucket::CacheRead) < rate(rates, Bucket::InputUncached))
    }

    /// What a usage costs the operator.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        self.contracted(|rates| rates.cost(usage))
    }

    /// What a usage costs whoever has no contract; `None` for a model that the list does not have.
    #[must_use]
    pub fn list_cost(&self, usage: &Usage) -> Option<Cost> {
        self.listed.as_ref().map(|listed| listed.rates(None, |rates| rates.cost(usage)))
    }

    /// What the same tokens would cost without a prompt cache: every cache read and write at its input price.
    #[must_use]
    pub fn uncached_cost(&self, usage: &Usage) -> Cost {
        let mut uncached = Usage { tokens: PerBucket::default(), ..*usage };
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

    /// Something computed with the prices that the operator pays.
    fn contracted<T>(&self, compute: impl Fn(&Rates<'_>) -> T) -> T {
        match (self.contract, &self.listed) {
            (Contract::Prices(own) | Contract::Fallback(own), _) => own_rates(own, compute),
            (Contract::None, Some(listed)) => listed.rates(None, compute),
            (Contract::Discount(discount), Some(listed)) => listed.rates(Some(discount), compute),
            // A quote without prices of the operator's own is a listed one.
            (Contract::None | Contract::Discount(_), None) => own_rates(&Override::default(), compute),
        }
    }
}

impl Listed {
    fn rates<T>(&self, discount: Option<&Discount>, compute: impl Fn(&Rates<'_>) -> T) -> T {
        let rate = |unit, input_total| self.resolved.rate(unit, input_total);
        compute(&Rates { rate: &rate, uplift_percent: self.uplift_percent, discount })
    }
}

fn own_rates<T>(own: &Override, compute: impl Fn(&Rates<'_>) -> T) -> T {
    compute(&Rates { rate: &|unit, _| own.rate(unit), uplift_percent: 0, discount: None })
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
        Lookup { provider: Some(provider), model, alias: None, at: Timestamp::parse(at).unwrap(), terms }
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
        check("openai", "gpt-6-sol", WEDNESDAY, geo("sg"), "2.2");
        check("gcp.vertex_ai", "claude-sonnet-4-5@20250929", WEDNESDAY, geo("regional"), "3.3");
        check("gcp.vertex_ai", "claude-sonnet-4-5@20250929", WEDNESDAY, Terms::default(), "3");
        check("gcp.vertex_ai", "claude-sonnet-4@20250514", WEDNESDAY, geo("regional"), "3");
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
        assert_eq!((sonar.request.to_string(), sonar.total.to_string()), ("0.005".to_owned(), "0.006".to_owned()));
        let searched = Usage { web_searches: 3, ..Usage::default() };
        let opus = quote("anthropic", "claude-opus-5", WEDNESDAY, Terms::default()).cost(&searched);
        assert_eq!(opus.total.to_string(), "0.03");
        let haiku = quote("anthropic", "claude-3-haiku", WEDNESDAY, Terms::default()).cost(&searched);
        assert_eq!((haiku.total, haiku.unpriced_web_searches), (Usd::ZERO, 3));
    }

    #[test]
    fn a_request_fee_depends_on_how_much_was_searched() {
        let fee = |provider, model, size| {
            let terms = Terms { search_context_size: size, ..Terms::default() };
            quote(provider, model, WEDNESDAY, terms).cost(&usage(&[])).request.to_string()
        };
        assert_eq!(fee("perplexity", "sonar", None), "0.005");
        assert_eq!(fee("perplexity", "sonar", Some("low")), "0.005");
        assert_eq!(fee("perplexity", "sonar", Some("medium")), "0.008");
        assert_eq!(fee("perplexity", "sonar-reasoning-pro", Some("HIGH")), "0.014");
        assert_eq!(fee("openrouter", "perplexity/sonar", Some("high")), "0.012");
        let searched = Usage { web_searches: 3, ..Usage::default() };
        let cost = quote("perplexity", "sonar", WEDNESDAY, Terms::default()).cost(&searched);
        assert_eq!((cost.whole(), cost.web_search), (Some(cost.request), Usd::ZERO));
    }

    #[test]
    fn deep_research_bills_what_it_read_thought_and_searched() {
        let research = Usage { web_searches: 21, citation_tokens: 19_028, ..usage(&[(Bucket::Reasoning, 193_947)]) };
        let cost = quote("perplexity", "sonar-deep-research", WEDNESDAY, Terms::default()).cost(&research);
        assert_eq!(cost.citation.to_string(), "0.038056");
        assert_eq!((cost.web_search.to_string(), cost.total.to_string()), ("0.105".to_owned(), "0.724897".to_owned()));
        let opus = quote("anthropic", "claude-opus-5", WEDNESDAY, Terms::default()).cost(&research);
        assert_eq!((opus.whole(), opus.missing()), (None, Some("citation")));
    }

    #[test]
    fn a_reseller_took_what_the_maker_took_before_the_list_knew_it() {
        let none = Terms::default();
        check("openrouter", "openai/gpt-5.6-sol", "2026-07-17", none, "5");
        check("openrouter", "openai/gpt-5.6-sol", "2026-09-17", none, "4");
        check("openrouter", "x-ai/grok-4.20", "2026-03-17", none, "2");
        // A row of its own with a price of its own stays.
        check("openrouter", "anthropic/claude-opus-5-fast", WEDNESDAY, none, "10");
        check("openrouter", "moonshotai/kimi-k2.5", "2026-03-01", none, "0.4");
        // Searches are passed on as well.
        let searched = Usage { web_searches: 3, ..Usage::default() };
        let cost = quote("openrouter", "openai/gpt-5.2", "2026-08-19", none).cost(&searched);
        assert_eq!(cost.total.to_string(), "0.03");
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

    fn with_overrides(overrides: Vec<Override>) -> PriceBook {
        PriceBook::with_contract(overrides, Vec::new(), UnknownPrice::Track)
    }

    fn own(provider: Option<&str>, model: &str, input: &str) -> Override {
        let tokens =
            PerBucket::from_fn(|bucket| (bucket == Bucket::InputUncached).then(|| Rate::per_million(input).unwrap()));
        Override { provider: provider.map(str::to_owned), model: model.to_owned(), tokens, ..Override::default() }
    }

    #[test]
    fn an_override_wins_over_the_list_and_prices_what_the_list_does_not_know() {
        let book = with_overrides(vec![
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
            prop_assert_eq!(cost.total, parts.plus(cost.citation).plus(cost.web_search).plus(cost.request));
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
            for provider in [Some(provider.as_str()), None] {
                let _ = book.quote(&Lookup { provider, model: &model, alias: None, at, terms: Terms::default() });
            }
        }
    }
}
