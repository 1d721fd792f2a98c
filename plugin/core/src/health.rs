//! How well providers serve: the class of what went wrong, and how much of a rate limit is used.
//!
//! Sources: the providers' documentation of rate limit headers (OpenAI and its imitators, Anthropic, Azure), as of 2026.
//! Must not know: what is done about it.

use crate::call::Unmetered;
use crate::event::{Outcome, Proportion};
use crate::head::Headers;
use serde::Serialize;
use std::collections::BTreeMap;

/// What kind of failure a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The provider's rate limit, or its quota (429).
    RateLimited,
    /// The provider has too much to do (503, 529).
    Overloaded,
    /// Nobody answered in time (408, 504).
    Timeout,
    /// The key is not valid or not allowed (401, 403).
    Unauthorized,
    /// The request is mistaken (other 4xx).
    InvalidRequest,
    /// The provider failed (other 5xx, and errors inside an answer).
    ServerError,
    /// Somebody broke off: the client, the provider's side, or a limit.
    Aborted,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::RateLimited,
        Self::Overloaded,
        Self::Timeout,
        Self::Unauthorized,
        Self::InvalidRequest,
        Self::ServerError,
        Self::Aborted,
    ];

    /// The name used in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::InvalidRequest => "invalid_request",
            Self::ServerError => "server_error",
            Self::Aborted => "aborted",
        }
    }

    /// The class of a call that ended so; `None` where it did well, still runs, or was refused here.
    pub(crate) fn of(outcome: Outcome, status: Option<u16>, error_type: Option<&str>) -> Option<Self> {
        match (outcome, status) {
            (Outcome::InFlight | Outcome::Complete | Outcome::Denied, _) => None,
            (Outcome::ClientGone | Outcome::Cut | Outcome::Truncated, _) => Some(Self::Aborted),
            (_, Some(429)) => Some(Self::RateLimited),
            (_, Some(503 | 529)) => Some(Self::Overloaded),
            (_, Some(408 | 504)) => Some(Self::Timeout),
            (_, Some(401 | 403)) => Some(Self::Unauthorized),
            (_, Some(400..=499)) => Some(Self::InvalidRequest),
            (Outcome::UpstreamReset, _) => Some(Self::Aborted),
            (Outcome::UpstreamError, Some(..=399)) => Some(Self::named(error_type.unwrap_or_default())),
            _ => Some(Self::ServerError),
        }
    }

    /// The class of an error inside an answer that began well, by the provider's word for it.
    fn named(error_type: &str) -> Self {
        match error_type {
            "rate_limit_error" | "rate_limit_exceeded" | "throttlingException" => Self::RateLimited,
            "overloaded_error" | "serviceUnavailableException" => Self::Overloaded,
            "timeout_error" | "modelTimeoutException" => Self::Timeout,
            "invalid_request_error" | "validationException" => Self::InvalidRequest,
            _ => Self::ServerError,
        }
    }
}

/// How a provider's rate limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RateLimit {
    /// What is allowed in the provider's window.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Proportion that is used, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub utilization: Option<Proportion>,
}

/// The provider's rate limits, by what they count: `requests`, `tokens`, `input_tokens`, `output_tokens`.
pub type RateLimits = BTreeMap<&'static str, RateLimit>;

/// What rate limits count: the names in events, in OpenAI's headers and in Anthropic's.
pub(crate) const COUNTED: [(&str, &str); 4] = [
    ("requests", "requests"),
    ("tokens", "tokens"),
    ("input_tokens", "input-tokens"),
    ("output_tokens", "output-tokens"),
];

/// The rate limits that the head of an answer tells.
pub(crate) fn rate_limits(headers: &Headers<'_>) -> RateLimits {
    /// OpenAI, Azure, Groq, xAI, ... and Anthropic: what stands before and behind `limit` and `remaining`.
    const SPELLINGS: [(&str, bool); 2] = [("x-ratelimit-", false), ("anthropic-ratelimit-", true)];
    let mut limits = RateLimits::new();
    for (name, value) in headers.iter() {
        let name = name.to_ascii_lowercase();
        let found = SPELLINGS.iter().find_map(|(start, is_behind)| {
            let rest = name.strip_prefix(start)?;
            let counted = if *is_behind { rest.strip_suffix("-limit") } else { rest.strip_prefix("limit-") }?;
            let remaining = match is_behind {
                true => format!("{start}{counted}-remaining"),
                false => format!("{start}remaining-{counted}"),
            };
            Some((COUNTED.iter().find(|(_, spelled)| *spelled == counted)?.0, remaining))
        });
        let Some((counted, remaining)) = found else { continue };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        if let (Some(limit), Some(remaining)) = (number(value), headers.get(&remaining).and_then(number)) {
            let utilization = Proportion::of(limit.saturating_sub(remaining), limit);
            limits.insert(counted, RateLimit { limit, remaining, utilization });
        }
    }
    limits
}

/// Microseconds from one output token to the next, once the first has come.
pub(crate) fn time_per_output_token(
    ttft_ms: Option<u64>,
    duration_ms: u64,
    output_tokens: Option<u64>,
    unmetered: Option<&Unmetered>,
) -> Option<u64> {
    // A stream that came at once tells nothing of its tokens' pace.
    let streaming_ms = duration_ms.checked_sub(ttft_ms?).filter(|ms| *ms > 0 && unmetered.is_none())?;
    let gaps = output_tokens?.checked_sub(1)?;
    streaming_ms.saturating_mul(1_000).checked_div(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_are_read_in_both_spellings_and_only_where_both_figures_are_there() {
        let pairs = [
            ("X-RateLimit-Limit-Requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-limit-tokens", "30000"),
            ("anthropic-ratelimit-input-tokens-limit", "4000"),
            ("anthropic-ratelimit-input-tokens-remaining", "1000"),
            ("x-ratelimit-limit-pigs", "3"),
            ("x-ratelimit-remaining-pigs", "2"),
        ];
        let limits = rate_limits(&Headers::new(&pairs));
        assert_eq!(limits.keys().copied().collect::<Vec<_>>(), ["input_tokens", "requests"]);
        assert_eq!(limits["input_tokens"].utilization, Proportion::of(3, 4));
        assert_eq!((limits["requests"].limit, limits["requests"].remaining), (500, 499));
    }

    #[test]
    fn what_went_wrong_has_a_class_wherever_it_is_said() {
        use Outcome::{ClientGone, Complete, Denied, LocalReply, UpstreamError, UpstreamReset};
        let class = ErrorClass::of;
        assert_eq!(class(UpstreamError, Some(429), None), Some(ErrorClass::RateLimited));
        assert_eq!(class(UpstreamError, Some(529), None), Some(ErrorClass::Overloaded));
        assert_eq!(class(UpstreamError, Some(200), Some("overloaded_error")), Some(ErrorClass::Overloaded));
        assert_eq!(class(UpstreamError, Some(500), None), Some(ErrorClass::ServerError));
        assert_eq!(class(UpstreamError, Some(404), None), Some(ErrorClass::InvalidRequest));
        assert_eq!(class(LocalReply, Some(504), None), Some(ErrorClass::Timeout));
        assert_eq!(class(UpstreamReset, None, None), Some(ErrorClass::Aborted));
        assert_eq!(class(ClientGone, Some(200), None), Some(ErrorClass::Aborted));
        assert_eq!((class(Complete, Some(200), None), class(Denied, Some(429), None)), (None, None));
    }

    #[test]
    fn the_time_per_token_counts_gaps_and_is_unknown_where_there_are_none() {
        let time = |ttft, duration, tokens| time_per_output_token(ttft, duration, tokens, None);
        assert_eq!(time(Some(200), 1_200, Some(101)), Some(10_000));
        assert_eq!(time(Some(200), 1_200, Some(1)), None);
        assert_eq!((time(None, 1_200, Some(9)), time(Some(1), 9, None)), (None, None));
    }
}
