//! Limits, from as written to as used.
//!
//! Must not know: how limits decide.

use super::raw::{
    Action, Decimal, FailureMode, KeyPart, Measure, Per, RawConfig, RawLimit, RawMatch, RawThreshold, Refill, Reserve,
};
use super::{Compiler, ConfigError};
use crate::attribution::{Dimension, Source, Sources};
use crate::dialect::Dialect;
use crate::limit::{
    Budget, Gauge, Limit, Matching, OUTPUT_LEAST, Pattern, Span, THRESHOLDS_MAX, Terms, Threshold, WEIGHT_ONE, Window,
    Zone, thousandths,
};
use crate::ordered;
use crate::usage::{Bucket, PerBucket};
use std::collections::BTreeSet;

/// What output counts towards.
const PUT_OUT: [Measure; 4] = [Measure::OutputTokens, Measure::Tokens, Measure::WeightedTokens, Measure::CostUsd];
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// Ids go into headers and metrics, which take no other letters.
fn is_name(id: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"._-/".contains(&letter);
    id.len() <= 64 && id.bytes().all(is_letter)
}

/// Warns of a budget that refuses calls, but only those of clients that say who they are: its key or what it matches is all
/// theirs to make up.
pub(super) fn warning(index: usize, limit: &Limit, sources: &Sources) -> Option<ConfigError> {
    let budget = limit.budget.as_ref().filter(|_| limit.deny_percent().is_some())?;
    let is_gateways = |dimension: Dimension| {
        dimension == Dimension::ApiKey || sources.dimensions.get(&dimension).is_some_and(Source::is_gateways)
    };
    // Sessions and tasks count within the caller that the gateway knows.
    let keyed = budget.key.iter().filter_map(|part| match part {
        KeyPart::Of(Dimension::Session | Dimension::Task) | KeyPart::Model | KeyPart::Provider => None,
        KeyPart::Of(dimension) => Some(*dimension),
    });
    let keyed: Vec<_> = keyed.collect();
    let named =
        limit.matching.attribution.iter().map(|(dimension, _)| *dimension).find(|dimension| !is_gateways(*dimension));
    let made_up = if keyed.iter().copied().any(is_gateways) { None } else { keyed.first().copied() };
    let (part, dimension) = match (made_up, named) {
        (Some(dimension), _) => ("key", dimension),
        (None, dimension) => ("match.attribution", dimension?),
    };
    let name = dimension.name();
    Some(ConfigError {
        path: format!("limits[{index}].{part}"),
        problem: format!("clients name their `{name}` themselves, so they can leave this budget"),
        hint: format!(
            "add `api_key` to the key, or name the headers that your gateway sets: attribution.{name}.gateway_headers"
        ),
    })
}

/// Warns of a budget that is never to be exceeded, and lets calls pass that it cannot be asked about.
pub(super) fn failing_open(index: usize, limit: &Limit) -> Option<ConfigError> {
    let budget = limit.budget.as_ref().filter(|_| limit.deny_percent().is_some())?;
    let is_open = limit.reserve == Reserve::UpperBound && budget.failure_mode == FailureMode::Open;
    is_open.then(|| ConfigError {
        path: format!("limits[{index}].failure_mode"),
        problem: "`open` forwards calls that this budget cannot be asked about, so `upper_bound` does not bound them"
            .to_owned(),
        hint: "set it to `closed`, here or for the whole configuration".to_owned(),
    })
}

impl Compiler {
    #[inline(never)]
    pub(super) fn limits(&mut self, raw: &RawConfig) -> Vec<Limit> {
        let mut ids = BTreeSet::new();
        let mut limits = Vec::new();
        for (index, limit) in raw.limits.iter().enumerate() {
            let item = self.written.item("limits", index);
            if limit.id.is_empty() {
                self.error(format!("{item}.id"), "missing", "give the limit a name");
            } else if !is_name(&limit.id) {
                let problem = format!("`{}` is no name", limit.id);
                self.error(format!("{item}.id"), problem, "use at most 64 letters, digits, `.`, `_`, `-` and `/`");
            } else if !ids.insert(limit.id.as_str()) {
                let problem = format!("`{}` is already the id of another limit", limit.id);
                self.error(format!("{item}.id"), problem, "give every limit a name of its own");
            }
            limits.extend(self.limit(&item, limit, raw));
        }
        limits
    }

    #[inline(never)]
    fn limit(&mut self, item: &str, raw: &RawLimit, config: &RawConfig) -> Option<Limit> {
        if !matches!(raw.status, 429 | 402) {
            self.error(
                format!("{item}.status"),
                format!("{} is no status of a refusal", raw.status),
                "give 429 or 402",
            );
        }
        let gauge = Gauge { measure: raw.measure, weights: self.weights(item, raw) };
        let matching = self.matching(item, &raw.matching);
        self.can_cut(item, raw);
        self.can_cap(item, raw);
        let thresholds = self.thresholds(item, raw);
        let window = self.window(item, raw);
        let fleet = self.fleet(item, raw, window, config);
        let allowed = self.amount(&format!("{item}.limit"), raw, raw.limit.as_ref());
        let Some(allowed) = allowed else {
            if raw.limit.is_none() {
                self.error(format!("{item}.limit"), "missing", "say how much is allowed");
            }
            return None;
        };
        let burst = self.amount(&format!("{item}.burst"), raw, raw.burst.as_ref()).unwrap_or(allowed);
        let budget = window.map(|window| {
            let own = match raw.per {
                Per::Session => Some(KeyPart::Of(Dimension::Session)),
                Per::Task => Some(KeyPart::Of(Dimension::Task)),
                _ => None,
            };
            let mut key = ordered::all(raw.key.iter().copied().chain(own), Ord::cmp);
            key.dedup();
            let part = |threshold: &Threshold| allowed.saturating_mul(i128::from(threshold.percent)).checked_div(100);
            Budget {
                version: raw.version,
                key,
                on_missing: raw.on_missing,
                terms: Terms {
                    window,
                    allowed,
                    burst,
                    cool_down_ms: u64::from(raw.cool_down_seconds).saturating_mul(1_000),
                    debt: raw.debt,
                    thresholds: thresholds.iter().filter_map(part).collect(),
                    fleet,
                },
                failure_mode: raw.failure_mode.unwrap_or(config.failure_mode),
            }
        });
        let limit = Limit {
            id: raw.id.clone(),
            matching,
            gauge,
            allowed,
            thresholds,
            unbounded: raw.unbounded,
            reserve: raw.reserve,
            max_output_tokens: raw.max_output_tokens,
            status: raw.status,
            budget,
        };
        self.can_lease(item, &limit);
        Some(limit)
    }

    /// Output is capped by what it counts towards, and before the limit is exceeded.
    fn can_cap(&mut self, item: &str, raw: &RawLimit) {
        let at = |threshold: &RawThreshold| (threshold.action == Action::CapOutput).then_some(threshold.at_percent);
        let thresholds =
            raw.thresholds.iter().enumerate().filter_map(|(index, threshold)| Some((index, at(threshold)?)));
        let thresholds: Vec<_> = thresholds.collect();
        if raw.action != Action::CapOutput && thresholds.is_empty() {
            return;
        }
        if !PUT_OUT.contains(&raw.measure) {
            let hint = "measure `output_tokens`, `tokens`, `weighted_tokens` or `cost_usd`";
            self.error(format!("{item}.action"), "`cap_output` limits what output counts towards", hint);
        }
        if raw.max_output_tokens < OUTPUT_LEAST {
            let path = format!("{item}.max_output_tokens");
            self.error(path, "too little for any answer", format!("give at least {OUTPUT_LEAST}"));
        }
        for (index, _) in thresholds.iter().filter(|(_, percent)| *percent > 100) {
            let path = format!("{item}.thresholds[{index}].at_percent");
            self.error(path, "nothing is left beyond the limit that output could be capped to", "give less than 100");
        }
    }

    /// A stream is cut for what it put out.
    fn can_cut(&mut self, item: &str, raw: &RawLimit) {
        if raw.action == Action::Cut && !PUT_OUT.contains(&raw.measure) {
            let hint = "measure `output_tokens`, `tokens`, `weighted_tokens` or `cost_usd`";
            self.error(format!("{item}.action"), "`cut` ends a stream for what it puts out", hint);
        }
        for (index, threshold) in raw.thresholds.iter().enumerate() {
            if threshold.action == Action::Cut {
                let path = format!("{item}.thresholds[{index}].action");
                self.error(path, "a stream is cut at its limit", "give a limit of its own");
            }
        }
    }

    fn amount(&mut self, path: &str, raw: &RawLimit, written: Option<&Decimal>) -> Option<i128> {
        let Decimal(text) = written?;
        let amount = Gauge::parse(raw.measure, text);
        if amount.is_none() {
            let hint = match raw.measure {
                Measure::CostUsd => "write dollars as a decimal like \"0.50\"",
                Measure::WeightedTokens => "write tokens with at most three decimals",
                Measure::Requests
                | Measure::Steps
                | Measure::Repeats
                | Measure::UnattendedSteps
                | Measure::Concurrency => "write a whole number of calls",
                _ => "write a whole number of tokens",
            };
            self.error(path.to_owned(), format!("`{text}` is not an amount of {}", raw.measure.unit()), hint);
        }
        amount
    }

    #[inline(never)]
    fn matching(&mut self, item: &str, raw: &RawMatch) -> Matching {
        if let Some(dialect) = &raw.dialect
            && !dialect.contains('*')
        {
            self.known_dialect(&format!("{item}.match.dialect"), dialect);
        }
        let pattern = |text: &String| Pattern::new(text);
        Matching {
            model: raw.model.as_ref().map(pattern),
            provider: raw.provider.as_ref().map(pattern),
            dialect: raw.dialect.as_ref().map(pattern),
            route: raw.route.as_ref().map(pattern),
            attribution: raw.attribution.iter().map(|(dimension, value)| (*dimension, Pattern::new(value))).collect(),
        }
    }

    /// The dialect of this name.
    pub(super) fn known_dialect(&mut self, path: &str, name: &str) -> Option<Dialect> {
        let known = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
        if known.is_none() {
            let names = Dialect::ALL.map(|dialect| format!("`{}`", dialect.name())).join(", ");
            self.error(path.to_owned(), format!("unknown dialect `{name}`"), format!("expected one of {names}"));
        }
        known
    }

    fn thresholds(&mut self, item: &str, raw: &RawLimit) -> Vec<Threshold> {
        let mut thresholds = vec![Threshold { percent: 100, action: raw.action }];
        for (index, RawThreshold { at_percent, action }) in raw.thresholds.iter().enumerate() {
            let path = format!("{item}.thresholds[{index}].at_percent");
            match at_percent {
                0 => self.error(path, "0 is always reached", "give the per cent of the limit beyond which it happens"),
                100 => self.error(path, "100 is the limit itself", "say in `action` what happens there"),
                _ => thresholds.push(Threshold { percent: *at_percent, action: *action }),
            }
        }
        let thresholds = ordered::all(thresholds, Ord::cmp);
        if thresholds.len() > THRESHOLDS_MAX {
            self.error(format!("{item}.thresholds"), "too many", format!("give fewer than {THRESHOLDS_MAX}"));
        }
        thresholds
    }

    fn weights(&mut self, item: &str, raw: &RawLimit) -> PerBucket<u64> {
        let mut weights = PerBucket::from_fn(|_| WEIGHT_ONE);
        if !raw.weights.is_empty() && raw.measure != Measure::WeightedTokens {
            let path = format!("{item}.weights");
            self.error(path, "only `weighted_tokens` have weights", "set `measure` to `weighted_tokens`");
        }
        for (name, Decimal(text)) in &raw.weights {
            let path = format!("{item}.weights.{name}");
            let bucket = Bucket::ALL.into_iter().find(|bucket| bucket.name() == name);
            match (bucket, thousandths(text)) {
                (Some(bucket), Some(weight)) => weights.set(bucket, weight),
                (Some(_), None) => {
                    self.error(path, format!("`{text}` is no weight"), "write a decimal with at most three decimals");
                }
                (None, _) => {
                    let names = Bucket::ALL.map(|bucket| format!("`{}`", bucket.name())).join(", ");
                    self.error(path, format!("unknown kind of token `{name}`"), format!("expected one of {names}"));
                }
            }
        }
        weights
    }

    /// What makes the limit one on several calls; `None` for one on each call by itself.
    #[inline(never)]
    fn window(&mut self, item: &str, raw: &RawLimit) -> Option<Window> {
        let zone = Zone::parse(&raw.time_zone).unwrap_or_else(|| {
            let problem = format!("`{}` is no zone", raw.time_zone);
            let hint = match Zone::meant(&raw.time_zone) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write a name like `Europe/Berlin`, `UTC`, or an offset like `+02:00`".to_owned(),
            };
            self.error(format!("{item}.time_zone"), problem, hint);
            Zone::default()
        });
        let after_ms = u64::from(raw.idle_hours).saturating_mul(HOUR_MS);
        let span = match raw.per {
            Per::Call => None,
            Per::Second => Some(Span::Second),
            Per::Minute => Some(Span::Minute),
            Per::Hour => Some(Span::Hour),
            Per::Day => Some(Span::Day),
            Per::Week => Some(Span::Week),
            Per::Month => Some(Span::Month),
            Per::Session | Per::Task => None,
        };
        if raw.refill == Refill::Steadily && span.is_none() {
            let path = format!("{item}.refill");
            self.error(path, "there is no time over which it could come back", "set `per` to `second` up to `month`");
        }
        if raw.burst.is_some() && raw.refill != Refill::Steadily {
            self.error(
                format!("{item}.burst"),
                "only what comes back steadily can burst",
                "set `refill` to `steadily`",
            );
        }
        if raw.measure == Measure::Concurrency {
            if raw.per != Per::Call {
                let hint = "remove `per`; name what calls share in `key`";
                self.error(format!("{item}.per"), "calls in flight are not counted over time", hint);
            }
            return Some(Window::InFlight);
        }
        match (span, raw.refill) {
            (Some(span), Refill::AtOnce) => Some(Window::Fixed(span, zone)),
            (Some(span), Refill::Steadily) => Some(Window::Steady(span)),
            (None, _) if raw.per != Per::Call => {
                if after_ms == 0 {
                    self.error(format!("{item}.idle_hours"), "0 would forget every call", "give at least 1");
                }
                Some(Window::Idle { after_ms })
            }
            (None, _) => {
                if !raw.key.is_empty() {
                    let path = format!("{item}.key");
                    self.error(path, "calls on their own share nothing", "set `per` to the time to count over");
                }
                if matches!(
                    raw.measure,
                    Measure::Requests | Measure::Steps | Measure::Repeats | Measure::UnattendedSteps
                ) {
                    let path = format!("{item}.per");
                    self.error(path, "a call is always one call", "set `per` to the time to count over");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warnings(json: &str) -> Vec<String> {
        let config = Config::parse(json.as_bytes()).expect("a configuration");
        config.warnings().into_iter().map(|warning| warning.path).collect()
    }

    #[test]
    fn a_zone_is_a_name_that_is_known_or_an_offset() {
        let limit =
            |zone: &str| format!(r#"{{"limits": [{{"id": "a", "per": "day", "limit": 1, "time_zone": "{zone}"}}]}}"#);
        for known in ["UTC", "+05:30", "Europe/Berlin", "america/new_york", "Asia/Gaza", "Etc/GMT+5", "CET"] {
            assert_eq!(warnings(&limit(known)), [""; 0], "{known}");
        }
        for (unknown, hint) in [("Berlin", "did you mean `Europe/Berlin`?"), ("GMT+2", "an offset like `+02:00`")] {
            let mistakes = Config::parse(limit(unknown).as_bytes()).expect_err("no such zone");
            assert_eq!(
                mistakes.iter().map(|mistake| mistake.path.as_str()).collect::<Vec<_>>(),
                ["limits[0].time_zone"]
            );
            assert!(mistakes.iter().all(|mistake| mistake.hint.contains(hint)), "{mistakes:?}");
        }
    }

    #[test]
    fn a_budget_that_is_never_to_be_exceeded_and_fails_open_is_warned_of() {
        let limit = |rest: &str| {
            format!(r#"{{"limits": [{{"id": "a", "per": "day", "limit": 1, "reserve": "upper_bound"{rest}}}]}}"#)
        };
        assert_eq!(warnings(&limit("")), ["limits[0].failure_mode"]);
        for fine in [r#", "failure_mode": "closed""#, r#", "action": "warn""#] {
            assert_eq!(warnings(&limit(fine)), [""; 0], "{fine}");
        }
        assert_eq!(warnings(&limit("").replacen('{', r#"{"failure_mode": "closed", "#, 1)), [""; 0]);
    }

    #[test]
    fn a_budget_that_clients_can_leave_by_another_name_is_warned_of() {
        let limit = |rest: &str| format!(r#"{{"limits": [{{"id": "a", "per": "day", "limit": 1, {rest}}}]}}"#);
        assert_eq!(warnings(&limit(r#""key": ["team"]"#)), ["limits[0].key"]);
        assert_eq!(warnings(&limit(r#""match": {"attribution": {"app": "x"}}"#)), ["limits[0].match.attribution"]);
        for fine in [
            r#""key": ["team", "api_key"]"#,
            r#""key": ["task"]"#,
            r#""key": ["model"]"#,
            r#""key": []"#,
            r#""key": ["team"], "action": "observe""#,
        ] {
            assert_eq!(warnings(&limit(fine)), [""; 0], "{fine}");
        }
        let known = limit(r#""key": ["team"]"#).replacen(
            '{',
            r#"{"attribution": {"team": {"gateway_headers": ["x-team"]}}, "#,
            1,
        );
        assert_eq!(warnings(&known), [""; 0]);
    }
}
