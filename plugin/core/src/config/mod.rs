//! The configuration: as written (`raw`), read with every mistake at once (`read`), and as used ([`Config`]).
//!
//! Must not know: gateways; where the text comes from.

mod decode;
mod limit;
pub mod raw;
mod read;
mod store;

pub use read::ConfigError;

use crate::attribution::{Dimension, Source, Sources};
use crate::dialect::{Dialect, Evidence, Role, Route, normalised_path};
use crate::downgrade::Downgrade;
use crate::head::RequestHead;
use crate::limit::{Limit, Pattern};
use crate::metrics;
use crate::money::Usd;
use crate::names::label;
use crate::operator::Operator;
use crate::ordered;
use crate::price::{Discount, Override, PriceBook, Rate, RateError, UnknownPrice};
use crate::routing::RoutingHeaders;
use crate::usage::{Bucket, PerBucket};
use raw::{
    AcceptEncoding, Decimal, FailureMode, HostChoice, RawConfig, RawDiscount, RawDowngrade, RawGpu, RawLimit,
    RawMonthlyCost, RawOperator, RawOtlp, RawPrice, RawRoute, RawRouting, RawStore, SharedData, UnknownPriceChoice,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The configuration as used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway, where the operator says.
    pub host: HostChoice,
    /// Ask for the usage of streams.
    pub include_usage: bool,
    /// What becomes of a client's `accept-encoding`.
    pub accept_encoding: AcceptEncoding,
    /// Whether workers share state.
    pub shared_data: SharedData,
    /// Hold request headers until the body has been judged.
    pub hold_headers: bool,
    /// What happens to calls that cannot be judged.
    pub failure_mode: FailureMode,
    /// The largest request body that is read, in bytes.
    pub max_request_bytes: usize,
    /// Where attribution comes from.
    pub sources: Sources,
    /// Prices.
    pub prices: PriceBook,
    /// Headers that say that a cache in the gateway served a response, with what their values then end with.
    pub response_cache_headers: BTreeMap<String, String>,
    /// What messages begin with that are worked examples.
    pub few_shot_markers: Vec<String>,
    /// Limits.
    pub limits: Vec<Limit>,
    /// Models that may answer in the place of others.
    pub downgrades: Vec<Downgrade>,
    /// How long a try of a step is remembered, in milliseconds; 0 where none is.
    pub retry_window_ms: u64,
    /// Each try of the gateway is a call of its own.
    pub sees_each_try: bool,
    /// Where routers say what they decided.
    pub routing: RoutingHeaders,
    /// Models to compare costs with.
    pub alternatives: Vec<String>,
    /// What is paid each month whatever is called: the item, its scenario, and the amount.
    pub monthly: Vec<MonthlyCost>,
    /// Where operators see budgets.
    pub operator: Option<Operator>,
    /// Dimensions that label metrics.
    pub labels: Vec<Dimension>,
    /// Values a label may have.
    pub max_label_values: usize,
    /// Series that all metrics together may have.
    pub max_series: u64,
    /// Models that name themselves in metrics.
    pub metric_models: Vec<Pattern>,
    /// Write events to the log.
    pub log_events: bool,
    /// The collector that spans and log records go to.
    pub otlp: Option<RawOtlp>,
    /// Where a fleet adds up what it spends.
    pub store: Option<RawStore>,
    routes: Vec<RouteRule>,
}

/// A configured route, ready to match.
#[derive(Clone, Debug)]
struct RouteRule {
    host: Option<Pattern>,
    path_prefix: Option<String>,
    dialect: Option<Dialect>,
    provider: Option<String>,
    include_usage: Option<bool>,
    ignore: bool,
}

/// What is paid each month whatever is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthlyCost {
    /// What for.
    pub item: String,
    /// The scenario that it belongs to; all of them share it when absent.
    pub scenario: Option<String>,
    /// Dollars.
    pub usd: Usd,
}

impl Default for Config {
    /// The configuration `{}`.
    fn default() -> Self {
        Compiler::new(read::read(b"{}")).compile()
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Every mistake there is, each with path and hint.
    pub fn parse(json: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let mut compiler = Compiler::new(read::read(json));
        let config = compiler.compile();
        let Compiler { written, errors } = compiler;
        let errors: Vec<_> = written.errors.into_iter().chain(errors).collect();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// What is allowed, and likely not what was meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigError> {
        self.limits
            .iter()
            .enumerate()
            .flat_map(|(index, found)| [limit::warning(index, found, &self.sources), limit::failing_open(index, found)])
            .flatten()
            .collect()
    }

    /// What a configuration comes to, as it could be written out in full; the secret and the headers of collector and
    /// store, which may hold one, are left out.
    ///
    /// # Errors
    /// Every mistake there is, each with path and hint.
    pub fn effective(json: &[u8]) -> Result<RawConfig, Vec<ConfigError>> {
        Self::parse(json)?;
        let mut written = read::read(json).config;
        written.secret.clear();
        written.otlp.iter_mut().flat_map(|otlp| otlp.headers.values_mut()).for_each(String::clear);
        written.store.iter_mut().flat_map(|store| store.headers.values_mut()).for_each(String::clear);
        Ok(written)
    }

    /// Whether it matters which of its routes the gateway takes.
    #[must_use]
    pub fn asks_for_routes(&self) -> bool {
        self.limits.iter().any(|limit| limit.matching.route.is_some())
    }

    /// What is paid each month whatever is called: labels, and nanodollars.
    pub fn monthly_costs(&self) -> impl Iterator<Item = (Vec<(&'static str, &str)>, u64)> {
        self.monthly.iter().map(|cost| {
            let scenario = cost.scenario.as_deref().map(|scenario| (Dimension::Scenario.name(), scenario));
            let labels = std::iter::once((label::ITEM, cost.item.as_str())).chain(scenario).collect();
            (labels, u64::try_from(cost.usd.nano_floor()).unwrap_or(u64::MAX))
        })
    }

    /// The route of a request; `None` for traffic that is no LLM call.
    #[must_use]
    #[inline(never)]
    pub fn route(&self, head: &RequestHead<'_>) -> Option<Route> {
        let detected = if head.upgrade().is_some() { Route::of_upgrade(head) } else { Route::detect(head) };
        let Some(rule) = self.routes.iter().find(|rule| rule.matches(head)) else { return detected };
        if rule.ignore {
            return None;
        }
        let ruled = || Route::of_rule(rule.dialect, head);
        let mut route = match (rule.dialect, detected) {
            // What comes back for an earlier call comes back in the shape of its path.
            (_, Some(detected)) if detected.role != Role::Creates => detected,
            (Some(dialect), Some(detected)) if dialect != detected.dialect => {
                Route { provider: detected.provider, ..ruled()? }
            }
            (_, None) => ruled()?,
            // Where the operator says that calls go, a path needs no other witness.
            (_, Some(detected)) if head.method.eq_ignore_ascii_case("POST") => {
                Route { evidence: Evidence::Head, ..detected }
            }
            (_, Some(detected)) => detected,
        };
        route.provider = rule.provider.clone().map(Cow::Owned).or(route.provider);
        route.include_usage = rule.include_usage;
        Some(route)
    }
}

impl RouteRule {
    fn matches(&self, head: &RequestHead<'_>) -> bool {
        let host = head.host.split(':').next().unwrap_or(head.host).trim_end_matches('.');
        // A detour in the path must not lead around a rule, nor into one.
        let path = || format!("{}/", normalised_path(head.path)).to_ascii_lowercase();
        self.host.as_ref().is_none_or(|pattern| pattern.matches(host))
            && self.path_prefix.as_deref().is_none_or(|prefix| path().starts_with(prefix))
    }
}

/// Turns what is written into what is used, collecting mistakes.
struct Compiler {
    written: read::Written,
    errors: Vec<ConfigError>,
}

impl Compiler {
    const fn new(written: read::Written) -> Self {
        Self { written, errors: Vec::new() }
    }

    #[inline(never)]
    fn error(&mut self, path: String, problem: impl Into<String>, hint: impl Into<String>) {
        self.note(ConfigError { path, problem: problem.into(), hint: hint.into() });
    }

    /// Notes a mistake, except in an item that already has one: what is left of it says nothing.
    #[inline(never)]
    fn note(&mut self, error: ConfigError) {
        let item = error.path.split_inclusive(']').next().unwrap_or(&error.path);
        if !item.ends_with(']') || self.written.errors.iter().all(|earlier| !earlier.path.starts_with(item)) {
            self.errors.push(error);
        }
    }

    fn compile(&mut self) -> Config {
        let raw = std::mem::take(&mut self.written.config);
        if raw.hold_headers && matches!(raw.host, HostChoice::Kong | HostChoice::Apisix) {
            self.error("hold_headers".to_owned(), "only Envoy can hold headers", "remove it, or set `host` to `envoy`");
        }
        if raw.host == HostChoice::Apisix && raw.shared_data == SharedData::On {
            self.error("shared_data".to_owned(), "APISIX has no shared data", "remove it, or set `auto`");
        }
        if raw.metrics.max_values == 0 {
            self.error("metrics.max_values".to_owned(), "0 would fold every value", "allow at least 1");
        }
        let limits = self.limits(&raw);
        let least = metrics::least_series(&limits, raw.routing.alternatives.len());
        if raw.metrics.max_series < least {
            let problem = format!("{} series are too few for the calls of one application", raw.metrics.max_series);
            self.error("metrics.max_series".to_owned(), problem, format!("allow at least {least}"));
        }
        Config {
            host: raw.host,
            shared_data: raw.shared_data,
            include_usage: raw.include_usage,
            accept_encoding: raw.accept_encoding,
            hold_headers: raw.hold_headers,
            failure_mode: raw.failure_mode,
            max_request_bytes: usize::try_from(raw.max_request_bytes).unwrap_or(usize::MAX),
            sources: sources(&raw),
            prices: self.prices(&raw),
            limits,
            downgrades: self.downgrades(&raw),
            retry_window_ms: self.retry_window_ms(&raw),
            sees_each_try: raw.retries.at_upstream,
            routing: routing_headers(&raw.routing),
            alternatives: self.alternatives(&raw),
            monthly: self.monthly(&raw),
            operator: self.operator(&raw),
            labels: raw.metrics.labels.clone(),
            max_label_values: usize::try_from(raw.metrics.max_values).unwrap_or(usize::MAX),
            max_series: raw.metrics.max_series,
            metric_models: raw.metrics.models.iter().map(|model| Pattern::new(model)).collect(),
            response_cache_headers: raw.response_cache_headers.clone(),
            few_shot_markers: self.few_shot_markers(&raw),
            log_events: raw.log_events,
            otlp: self.otlp(&raw),
            store: self.store(&raw),
            routes: raw.routes.iter().enumerate().map(|(index, route)| self.route(index, route)).collect(),
        }
    }

    #[inline(never)]
    fn few_shot_markers(&mut self, raw: &RawConfig) -> Vec<String> {
        let markers = raw.few_shot_markers.clone();
        for (at, _) in markers.iter().enumerate().filter(|(_, marker)| marker.trim().is_empty()) {
            self.error(format!("few_shot_markers[{at}]"), "every message begins with nothing", "give a text");
        }
        markers
    }

    #[inline(never)]
    fn downgrades(&mut self, raw: &RawConfig) -> Vec<Downgrade> {
        for (index, RawDowngrade { model, to, max_output_tokens, .. }) in raw.downgrades.iter().enumerate() {
            let item = self.written.item("downgrades", index);
            for (field, is_missing) in [("model", model.is_empty()), ("to", to.is_empty())] {
                if is_missing {
                    self.error(format!("{item}.{field}"), "missing", "name a model");
                }
            }
            if *max_output_tokens == 0 {
                let hint = "say how many tokens the model can put out; its provider documents it";
                self.error(format!("{item}.max_output_tokens"), "missing", hint);
            }
        }
        let is_wanted = raw.limits.iter().any(RawLimit::downgrades);
        if is_wanted && raw.downgrades.is_empty() {
            self.error(
                "downgrades".to_owned(),
                "missing, and a limit says `downgrade`",
                "name a model to downgrade to",
            );
        }
        let used = |raw: &RawDowngrade| {
            // Not collected, as in `ordered::map`.
            let mut capabilities = BTreeSet::new();
            capabilities.extend(raw.capabilities.iter().copied());
            Downgrade {
                model: Pattern::new(&raw.model),
                provider: raw.provider.clone(),
                to: raw.to.clone(),
                max_output_tokens: raw.max_output_tokens,
                max_input_tokens: raw.max_input_tokens,
                capabilities,
            }
        };
        raw.downgrades.iter().map(used).collect()
    }

    #[inline(never)]
    fn operator(&mut self, raw: &RawConfig) -> Option<Operator> {
        let RawOperator { path, token_sha256 } = raw.operator.as_ref()?;
        if !path.starts_with('/') || path.contains('?') {
            self.error(
                "operator.path".to_owned(),
                "no path",
                "give one like `/tollgate/budgets`, which no provider has",
            );
        }
        let token = Operator::token(token_sha256);
        if token.is_none() {
            let hint = "give 64 hexadecimal digits: `printf %s TOKEN | sha256sum`";
            self.error("operator.token_sha256".to_owned(), "no SHA-256", hint);
        }
        Some(Operator { path: path.clone(), token_sha256: token? })
    }

    fn retry_window_ms(&mut self, raw: &RawConfig) -> u64 {
        const SECONDS_MAX: u32 = 3_600;
        let seconds = raw.retries.window_seconds;
        if seconds > SECONDS_MAX {
            let problem = format!("{seconds} seconds is longer than any client waits");
            self.error(
                "retries.window_seconds".to_owned(),
                problem,
                format!("give at most {SECONDS_MAX}, or 0 for none"),
            );
        }
        u64::from(seconds).saturating_mul(1_000)
    }

    fn alternatives(&mut self, raw: &RawConfig) -> Vec<String> {
        const ALTERNATIVES_MAX: usize = 8;
        let models = &raw.routing.alternatives;
        if models.len() > ALTERNATIVES_MAX {
            let hint = format!("name at most {ALTERNATIVES_MAX}");
            self.error("routing.alternatives".to_owned(), "too many: each is priced for every call", hint);
        }
        models.clone()
    }

    fn monthly(&mut self, raw: &RawConfig) -> Vec<MonthlyCost> {
        let costs = raw.monthly_costs.iter().enumerate();
        let read = |(index, cost): (usize, &RawMonthlyCost)| match Usd::parse(&cost.usd.0) {
            Ok(usd) if usd >= Usd::ZERO && !cost.item.is_empty() => {
                Some(MonthlyCost { item: cost.item.clone(), scenario: cost.scenario.clone(), usd })
            }
            _ => {
                let path = self.written.item("monthly_costs", index);
                self.error(path, "no cost", "give `item` a name, and `usd` dollars per month");
                None
            }
        };
        costs.filter_map(read).collect()
    }

    #[inline(never)]
    fn otlp(&mut self, raw: &RawConfig) -> Option<RawOtlp> {
        let otlp = raw.otlp.as_ref()?;
        if raw.host == HostChoice::Apisix {
            let hint = "remove it; APISIX's own loggers carry the event (variable `tollgate_event`)";
            self.error("otlp".to_owned(), "APISIX makes no calls outside of requests", hint);
        }
        if otlp.target.is_empty() {
            self.error("otlp.target".to_owned(), "missing", "name the collector's cluster, or its `host:port` on Kong");
        }
        if !(100..=60_000).contains(&otlp.interval_ms) {
            let problem = format!("{} ms is no useful interval", otlp.interval_ms);
            self.error("otlp.interval_ms".to_owned(), problem, "give 100 to 60000");
        }
        Some(otlp.clone())
    }

    #[inline(never)]
    fn route(&mut self, index: usize, raw: &RawRoute) -> RouteRule {
        let path = format!("{}.dialect", self.written.item("routes", index));
        let dialect = raw.dialect.as_deref().and_then(|name| self.known_dialect(&path, name));
        if raw.host.is_none() && raw.path_prefix.is_none() {
            self.error(self.written.item("routes", index), "matches every request", "give `host` or `path_prefix`");
        }
        RouteRule {
            host: raw.host.as_deref().map(Pattern::new),
            path_prefix: raw.path_prefix.as_deref().map(str::to_ascii_lowercase),
            dialect,
            provider: raw.provider.clone(),
            include_usage: raw.include_usage,
            ignore: raw.ignore,
        }
    }

    #[inline(never)]
    fn prices(&mut self, raw: &RawConfig) -> PriceBook {
        let overrides = raw.prices.iter().enumerate().map(|(index, price)| self.price(index, price)).collect();
        let discounts = raw.discounts.iter().enumerate();
        let discounts = discounts.filter_map(|(index, discount)| self.discount(index, discount)).collect();
        PriceBook::with_contract(overrides, discounts, self.unknown_price(raw))
    }

    #[inline(never)]
    fn discount(&mut self, index: usize, raw: &RawDiscount) -> Option<Discount> {
        match Discount::percent(raw.provider.clone(), raw.model.clone(), &raw.percent.0) {
            Ok(discount) => Some(discount),
            Err(error) => {
                let path = format!("{}.percent", self.written.item("discounts", index));
                self.error(path, error.to_string(), "give the percentage that is taken off the list price");
                None
            }
        }
    }

    #[inline(never)]
    fn unknown_price(&mut self, raw: &RawConfig) -> UnknownPrice {
        match (raw.unknown_price, &raw.fallback_price) {
            (UnknownPriceChoice::Track, None) => UnknownPrice::Track,
            (UnknownPriceChoice::Deny, None) => UnknownPrice::Deny,
            (UnknownPriceChoice::Fallback, Some(price)) => {
                let mut tokens = PerBucket::from_fn(|_| None);
                for (field, bucket, decimal) in [
                    ("input_per_million", Bucket::InputUncached, &price.input_per_million),
                    ("output_per_million", Bucket::Output, &price.output_per_million),
                ] {
                    let path = format!("fallback_price.{field}");
                    tokens.set(bucket, self.rate(&path, Some(decimal), Rate::per_million));
                }
                UnknownPrice::Fallback(Box::new(Override { model: "*".to_owned(), tokens, ..Override::default() }))
            }
            (UnknownPriceChoice::Fallback, None) => {
                let hint = "give `input_per_million` and `output_per_million`";
                self.error("fallback_price".to_owned(), "missing, and `unknown_price` is `fallback`", hint);
                UnknownPrice::Track
            }
            (UnknownPriceChoice::Track | UnknownPriceChoice::Deny, Some(_)) => {
                let hint = "set that to `fallback`, or remove this";
                self.error("fallback_price".to_owned(), "is used only where `unknown_price` is `fallback`", hint);
                UnknownPrice::Track
            }
        }
    }

    #[inline(never)]
    fn price(&mut self, index: usize, raw: &RawPrice) -> Override {
        let item = self.written.item("prices", index);
        if raw.model.is_empty() {
            self.error(format!("{item}.model"), "missing", "name a model, or a prefix like `gpt-4o*`");
        }
        let per_million = [
            ("input_per_million", Bucket::InputUncached, &raw.input_per_million),
            ("cache_read_per_million", Bucket::CacheRead, &raw.cache_read_per_million),
            ("cache_write_per_million", Bucket::CacheWrite5m, &raw.cache_write_per_million),
            ("cache_write_1h_per_million", Bucket::CacheWrite1h, &raw.cache_write_1h_per_million),
            ("output_per_million", Bucket::Output, &raw.output_per_million),
            ("reasoning_per_million", Bucket::Reasoning, &raw.reasoning_per_million),
        ];
        let mut tokens = PerBucket::from_fn(|_| None);
        for (field, bucket, decimal) in per_million {
            tokens.set(bucket, self.rate(&format!("{item}.{field}"), decimal.as_ref(), Rate::per_million));
        }
        if let Some(gpu) = &raw.gpu {
            for (field, bucket, per_second) in [
                ("input_tokens_per_second", Bucket::InputUncached, gpu.input_tokens_per_second),
                ("output_tokens_per_second", Bucket::Output, gpu.output_tokens_per_second),
            ] {
                if tokens.get(bucket).is_some() {
                    self.error(format!("{item}.gpu"), "there is a price per token already", "give one of the two");
                }
                tokens.set(bucket, self.gpu_rate(&format!("{item}.gpu.{field}"), gpu, per_second));
            }
        }
        let path = format!("{item}.web_searches_per_thousand");
        let web_search = self.rate(&path, raw.web_searches_per_thousand.as_ref(), Rate::per_thousand);
        let path = format!("{item}.requests_per_thousand");
        let request = self.rate(&path, raw.requests_per_thousand.as_ref(), Rate::per_thousand);
        let is_given = per_million.iter().any(|(_, _, decimal)| decimal.is_some());
        if raw.requests_per_thousand.is_none() && raw.gpu.is_none() && !is_given {
            self.error(item, "no price given", "give at least `input_per_million`");
        }
        Override { provider: raw.provider.clone(), model: raw.model.clone(), tokens, web_search, request }
    }

    /// What a token costs on machines of the operator's own.
    fn gpu_rate(&mut self, path: &str, gpu: &RawGpu, per_second: u64) -> Option<Rate> {
        let percent = u64::from(gpu.reserve_percent).saturating_add(u64::from(gpu.non_production_percent));
        let rate = Usd::parse(&gpu.usd_per_hour.0).ok();
        let rate = rate.and_then(|hour| Rate::of_machines(hour, gpu.count, percent, per_second));
        if rate.is_none() {
            let hint = "give `usd_per_hour` of one GPU, and how many tokens all of them process in a second";
            self.error(path.to_owned(), "no price can be made of it", hint);
        }
        rate
    }

    fn rate(
        &mut self,
        path: &str,
        decimal: Option<&Decimal>,
        parse: impl Fn(&str) -> Result<Rate, RateError>,
    ) -> Option<Rate> {
        match parse(&decimal?.0) {
            Ok(rate) => Some(rate),
            Err(error) => {
                self.error(path.to_owned(), error.to_string(), "give dollars per million, or per thousand requests");
                None
            }
        }
    }
}

fn routing_headers(raw: &RawRouting) -> RoutingHeaders {
    let known = RoutingHeaders::known();
    let names = |own: &Option<Vec<String>>, known: Vec<String>| own.clone().unwrap_or(known);
    RoutingHeaders {
        selected: names(&raw.selected_headers, known.selected),
        candidates: names(&raw.candidates_headers, known.candidates),
        confidence: names(&raw.confidence_headers, known.confidence),
        reason: names(&raw.reason_headers, known.reason),
        overhead: names(&raw.overhead_headers, known.overhead),
    }
}

#[inline(never)]
fn sources(raw: &RawConfig) -> Sources {
    let source = |dimension| {
        let default = Source::default_of(dimension);
        let Some(source) = raw.attribution.get(&dimension) else { return default };
        let names_none = source.value.is_none() && source.gateway_headers.is_empty() && source.headers.is_empty();
        Source {
            value: source.value.clone(),
            gateway_headers: source.gateway_headers.clone(),
            client_headers: if names_none { default.client_headers } else { source.headers.clone() },
            takes_claims: source.claims.unwrap_or(names_none) && default.takes_claims,
            policy: source.policy,
        }
    };
    let dimensions = ordered::map(Dimension::ALL.into_iter().map(|dimension| (dimension, source(dimension))));
    Sources { dimensions, secret: raw.secret.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(json: &str) -> Vec<String> {
        Config::parse(json.as_bytes()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_configuration_and_an_empty_one_are_valid() {
        assert_eq!(errors(""), [""; 0]);
        assert_eq!(errors("{}"), [""; 0]);
    }

    #[test]
    fn a_mistake_in_a_dimension_names_it_and_hides_no_other() {
        let json = r#"{
            "attribution": {"app": {"headers": ["x"]}, "team": {"headers": 5}, "user": {"header": "x"}},
            "limits": [{"id": "a", "limit": 1, "match": {"attribution": {"app": "x", "task": 7}}}],
            "log_events": 1
        }"#;
        let paths: Vec<_> =
            errors(json).iter().map(|error| error.split(':').next().unwrap_or_default().to_owned()).collect();
        let expected =
            ["attribution.team.headers", "attribution.user.header", "limits[0].match.attribution.task", "log_events"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn an_empty_list_that_lua_made_an_object_of_is_an_empty_list() {
        let lua = r#"{"limits": {}, "routes": {}, "metrics": {"labels": {}}, "attribution": {"app": {"headers": {}}}}"#;
        let json =
            r#"{"limits": [], "routes": [], "metrics": {"labels": []}, "attribution": {"app": {"headers": []}}}"#;
        assert_eq!(Config::effective(lua.as_bytes()), Config::effective(json.as_bytes()));
        assert_eq!(errors(lua), [""; 0]);
        assert_eq!(errors(r#"{"limits": {"id": "a"}}"#).len(), 1);
    }

    #[test]
    fn five_mistakes_give_five_errors_with_path_and_hint() {
        let json = r#"{
            "failure_mod": "open",
            "max_request_bytes": "big",
            "prices": [{"model": "m", "input_per_million": "1,5"}],
            "limits": [
                {"id": "a", "measure": "input_token", "limit": 5},
                {"id": "b", "measure": "cost_usd", "limit": "free"}
            ]
        }"#;
        assert_eq!(
            errors(json),
            [
                "failure_mod: unknown field `failure_mod`; did you mean `failure_mode`?",
                "limits[0].measure: unknown variant `input_token`; did you mean `input_tokens`?",
                "max_request_bytes: invalid type: string \"big\"; expected u64",
                "limits[1].limit: `free` is not an amount of dollars; write dollars as a decimal like \"0.50\"",
                "prices[0].input_per_million: `1,5` is not a decimal number; give dollars per million, or per thousand requests",
            ]
        );
    }

    #[test]
    fn a_contract_says_what_it_takes_off_and_what_the_unknown_costs() {
        let json = |rest: &str| format!(r#"{{"discounts": [{{"percent": 12.5}}, {{"percent": "101"}}, {{}}]{rest}}}"#);
        assert_eq!(
            errors(&json(r#", "unknown_price": "fallback""#)),
            [
                "discounts[2]: missing field `percent`; see `tollgate schema` for the fields and their types",
                "discounts[1].percent: `101` is no percentage: write a decimal above 0 and up to 100 with at most 4 \
                 decimals; give the percentage that is taken off the list price",
                "fallback_price: missing, and `unknown_price` is `fallback`; give `input_per_million` and \
                 `output_per_million`",
            ]
        );
        let price = r#""fallback_price": {"input_per_million": "5", "output_per_million": 25}"#;
        assert_eq!(errors(&format!(r#"{{"unknown_price": "fallback", {price}}}"#)), [""; 0]);
        assert_eq!(
            errors(&format!(r#"{{"unknown_price": "deny", {price}}}"#)),
            [
                "fallback_price: is used only where `unknown_price` is `fallback`; set that to `fallback`, or remove this"
            ]
        );
        assert_eq!(
            errors(&format!(r#"{{"unknown_price": "fallback", {}}}"#, price.replace("25", "-1"))).len(),
            1,
            "a price below 0"
        );
    }

    #[test]
    fn mistakes_behind_a_mistaken_item_keep_the_index_they_were_written_with() {
        let json = r#"{"limits": [7, {"id": "a", "limit": 1}, {"id": "b", "limits": 1}, true, {"id": "c"}]}"#;
        let paths: Vec<_> =
            errors(json).iter().map(|error| error.split(':').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(paths, ["limits[0]", "limits[2].limits", "limits[3]", "limits[4].limit"]);
    }

    #[test]
    fn text_that_is_no_json_is_one_error_that_says_where() {
        assert!(errors("{\"host\": }").first().is_some_and(|error| error.contains("line 1")));
        assert_eq!(errors("[1]").len(), 1);
    }

    #[test]
    fn a_route_overrides_what_the_path_says() {
        let config = Config::parse(
            br#"{"routes": [
                {"host": "*.internal", "path_prefix": "/llm", "dialect": "anthropic_messages", "provider": "aws.bedrock"},
                {"path_prefix": "/v1/chat", "ignore": true}
            ]}"#,
        )
        .expect("a valid configuration");
        let head = |host, path| RequestHead { method: "POST", path, host, ..RequestHead::default() };
        let route = config.route(&head("a.internal:8080", "/llm/x")).expect("a route");
        assert_eq!((route.dialect, route.provider.as_deref()), (Dialect::AnthropicMessages, Some("aws.bedrock")));
        assert_eq!(config.route(&head("b", "/v1/chat/completions")), None);
        let path = "/llm/models/gemini-2.5-pro:streamGenerateContent";
        let said = |route: Option<Route>| route.map(|route| (route.dialect, route.model, route.stream));
        let gemini = (Dialect::Gemini, Some("gemini-2.5-pro".to_owned()), Some(true));
        assert_eq!(said(config.route(&head("b", path))), Some(gemini));
        assert_eq!(said(config.route(&head("a.internal", path))), Some((Dialect::AnthropicMessages, None, None)));
        assert_eq!(config.route(&head("b", "/v1/models")), None);
    }
}
