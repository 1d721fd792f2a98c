//! What a caller is told whom a limit refuses: status, headers and body in the provider's own shape.
//!
//! Official SDKs wait and try again on a 429; they are told for how long, and not to where waiting does not help.
//! Invariants: amounts are told only where they are the caller's own; nothing of the configuration but the limit's
//! name.
//! Must not know: how limits decide, how an answer is sent.

use crate::call::Denial;
use crate::config::raw::{KeyPart, Measure};
use crate::dialect::Dialect;
use crate::limit::{Balance, Finding, Limit, Refusal, Standing};
use crate::names::header;
use crate::time::Timestamp;

/// Who is told to come back later than this is told not to wait for it. Official SDKs take no longer waits either.
const WAIT_MAX_S: u64 = 60;

/// The answer to a call that is refused for what it is, whatever the limits say.
pub(crate) fn of_call(dialect: Dialect, code: &str, message: &str) -> Denial {
    let kind = "invalid_request_error";
    let mut headers = vec![(header::SHOULD_RETRY, "false".to_owned())];
    headers.extend(dialect.error_type_header(kind).map(|(name, value)| (name, value.to_owned())));
    Denial { status: 400, headers, body: dialect.error_body(kind, code, message) }
}

/// The answer to a call that a limit on single calls refuses.
pub(crate) fn of_ceiling(dialect: Dialect, limit: &Limit, finding: &Finding) -> Denial {
    let message = match &finding.amount {
        Some(amount) => format!("this call needs {amount}, limit `{}` allows {}", finding.id, finding.limit),
        None => unbounded(limit),
    };
    let headers = vec![(header::SHOULD_RETRY, "false".to_owned()), (header::LIMIT, limit.id.clone())];
    answer(dialect, limit.status, headers, &message)
}

/// The answer to a call that a budget refuses.
pub(crate) fn of_budget(dialect: Dialect, limit: &Limit, refusal: &Refusal, now: Timestamp) -> Denial {
    let mut headers = vec![(header::LIMIT, limit.id.clone())];
    let (status, fits) = match refusal.standing {
        Standing::Unknown => (503, Some(now.plus_millis(1_000))),
        _ => (limit.status, refusal.fits),
    };
    let wait = fits.map(|fits| fits.millis_since(now).div_ceil(1_000).max(1));
    wait.into_iter().for_each(|seconds| headers.push((header::RETRY_AFTER, seconds.to_string())));
    if status == 402 || wait.is_none_or(|seconds| seconds > WAIT_MAX_S) {
        headers.push((header::SHOULD_RETRY, "false".to_owned()));
    }
    if let (Some(balance), true) = (&refusal.balance, refusal.is_own) {
        headers.extend(rate_limit_headers(dialect, limit, balance, now));
    }
    answer(dialect, status, headers, &message(limit, refusal))
}

fn answer(dialect: Dialect, status: u16, mut headers: Vec<(&'static str, String)>, message: &str) -> Denial {
    let (kind, code) = match status {
        402 => ("billing_error", "budget_exceeded"),
        503 => ("api_error", "limit_unavailable"),
        _ => ("rate_limit_error", "limit_exceeded"),
    };
    let error_type = dialect.error_type_header(kind);
    headers.extend(error_type.map(|(name, value)| (name, value.to_owned())));
    Denial { status, headers, body: dialect.error_body(kind, code, message) }
}

fn message(limit: &Limit, refusal: &Refusal) -> String {
    let id = &limit.id;
    let when = |time: Option<Timestamp>| match time {
        Some(time) => format!("; try again at {time}"),
        None => String::new(),
    };
    match refusal.standing {
        Standing::Unattributed => {
            let key =
                limit.budget.iter().flat_map(|budget| &budget.key).map(|part| format!("`{}`", KeyPart::name(*part)));
            format!("limit `{id}` takes only calls that name their {}", key.collect::<Vec<_>>().join(", "))
        }
        Standing::Unbounded => unbounded(limit),
        Standing::Unknown => format!("limit `{id}` cannot be checked at the moment; try again"),
        Standing::Within | Standing::Exceeded => {
            let spent = match limit.gauge.measure {
                Measure::Repeats => format!("limit `{id}` stops a step that is made over and over again"),
                Measure::UnattendedSteps => {
                    format!("limit `{id}` stops an agent that goes on and on without a new input of its user")
                }
                _ if refusal.balance.is_some_and(|balance| balance.cools_until.is_some()) => {
                    format!("limit `{id}` was spent, and cools down")
                }
                Measure::Concurrency => format!("limit `{id}` takes no more calls at the same time"),
                // Waiting would not help, and nothing may have been spent.
                _ if refusal.amount.zip(refusal.balance).is_some_and(|(amount, balance)| amount > balance.allowed) => {
                    format!("limit `{id}` allows less than this call alone may need")
                }
                _ => format!("limit `{id}` is spent"),
            };
            format!("{spent}{}{}", amounts(limit, refusal), when(refusal.fits))
        }
    }
}

/// What is spent of how much, for whose it is.
fn amounts(limit: &Limit, refusal: &Refusal) -> String {
    let Some(balance) = refusal.balance.as_ref().filter(|_| refusal.is_own) else { return String::new() };
    let show = |amount| limit.gauge.show(amount);
    let needs = refusal.amount.map(|amount| format!(", this call needs {}", show(amount))).unwrap_or_default();
    let unit = limit.gauge.measure.unit();
    format!(
        ": {} of {} {unit} used, {} of it by calls that run{needs}",
        show(balance.used()),
        show(balance.allowed),
        show(balance.held)
    )
}

fn unbounded(limit: &Limit) -> String {
    format!(
        "limit `{}` needs to know the most that a call can consume, but nothing bounds this one; set a maximum of \
         output tokens and use a model with a known price",
        limit.id
    )
}

/// Limit, rest and reset under the provider's own names, where it has some for what is measured.
fn rate_limit_headers(
    dialect: Dialect,
    limit: &Limit,
    balance: &Balance,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let Some([allowed, remaining, reset]) = dialect.rate_limit_headers(limit.gauge.measure) else { return Vec::new() };
    let mut headers =
        vec![(allowed, limit.gauge.show(balance.allowed)), (remaining, limit.gauge.show(balance.remaining()))];
    headers.extend(balance.resets.map(|at| (reset, dialect.reset_text(at, now))));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::Value;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn limit(json: &str) -> Limit {
        let config = Config::parse(format!(r#"{{"limits": [{json}]}}"#).as_bytes()).expect("a configuration");
        config.limits.into_iter().next().expect("a limit")
    }

    fn refusal(fits: Option<Timestamp>, is_own: bool) -> Refusal {
        let balance = Balance {
            spent: 90,
            held: 5,
            allowed: 100,
            resets: fits,
            exhausted: None,
            cools_until: None,
            granted: None,
            leased: None,
        };
        Refusal { index: 0, standing: Standing::Exceeded, amount: Some(10), balance: Some(balance), fits, is_own }
    }

    fn header<'d>(denial: &'d Denial, name: &str) -> Option<&'d str> {
        denial.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    const TOKENS: &str = r#"{"id": "t", "measure": "tokens", "per": "minute", "key": ["team"], "limit": 100}"#;

    #[test]
    fn each_dialect_is_answered_in_its_own_words() {
        let soon = Some(NOW.plus_millis(12_500));
        let told = |dialect: Dialect| of_budget(dialect, &limit(TOKENS), &refusal(soon, true), NOW);
        let body = |denial: &Denial| serde_json::from_str::<Value>(&denial.body).expect("JSON");
        for dialect in Dialect::ALL {
            let denial = told(dialect);
            assert_eq!((denial.status, header(&denial, "retry-after")), (429, Some("13")), "{dialect:?}");
            assert_eq!(header(&denial, "x-should-retry"), None, "waiting helps");
            assert!(denial.body.contains("limit `t` is spent"), "{}", denial.body);
            assert!(denial.body.contains("95 of 100 tokens used"), "{}", denial.body);
        }
        let openai = told(Dialect::OpenaiChat);
        assert_eq!(body(&openai)["error"]["type"], "rate_limit_error");
        assert_eq!(header(&openai, "x-ratelimit-limit-tokens"), Some("100"));
        assert_eq!(header(&openai, "x-ratelimit-remaining-tokens"), Some("5"));
        assert_eq!(header(&openai, "x-ratelimit-reset-tokens"), Some("12.5s"));
        let anthropic = told(Dialect::AnthropicMessages);
        assert_eq!(body(&anthropic)["type"], "error");
        assert_eq!(header(&anthropic, "anthropic-ratelimit-tokens-remaining"), Some("5"));
        let reset = header(&anthropic, "anthropic-ratelimit-tokens-reset").expect("a reset");
        assert_eq!(Timestamp::parse(reset).map(Timestamp::seconds), Some(1_790_000_012));
        let bedrock = told(Dialect::BedrockConverse);
        assert_eq!(header(&bedrock, "x-amzn-errortype"), Some("ThrottlingException"));
        assert_eq!(body(&told(Dialect::Gemini))["error"]["status"], "RESOURCE_EXHAUSTED");
    }

    #[test]
    fn who_would_wait_in_vain_is_told_not_to() {
        let told = |fits| of_budget(Dialect::OpenaiChat, &limit(TOKENS), &refusal(fits, false), NOW);
        assert_eq!(header(&told(None), "x-should-retry"), Some("false"));
        assert_eq!(header(&told(Some(NOW.plus_millis(60_000))), "x-should-retry"), None);
        let late = told(Some(NOW.plus_millis(61_000)));
        assert_eq!((header(&late, "x-should-retry"), header(&late, "retry-after")), (Some("false"), Some("61")));
    }

    #[test]
    fn amounts_that_are_not_the_callers_own_are_not_told() {
        let denial = of_budget(Dialect::OpenaiChat, &limit(TOKENS), &refusal(Some(NOW), false), NOW);
        assert!(!denial.body.contains("95") && !denial.body.contains("100"), "{}", denial.body);
        assert_eq!(header(&denial, "x-ratelimit-limit-tokens"), None);
    }

    #[test]
    fn a_call_larger_than_the_whole_limit_is_not_told_that_it_is_spent() {
        let large = Refusal { amount: Some(101), ..refusal(None, false) };
        let denial = of_budget(Dialect::OpenaiChat, &limit(TOKENS), &large, NOW);
        assert!(denial.body.contains("limit `t` allows less than this call alone may need"), "{}", denial.body);
        assert_eq!(header(&denial, "x-should-retry"), Some("false"));
    }

    #[test]
    fn a_budget_may_ask_for_payment_instead() {
        let text = TOKENS.replace("\"limit\": 100", "\"limit\": 100, \"status\": 402");
        let told = |dialect| of_budget(dialect, &limit(&text), &refusal(Some(NOW.plus_millis(1)), false), NOW);
        assert_eq!(
            (told(Dialect::OpenaiChat).status, header(&told(Dialect::OpenaiChat), "x-should-retry")),
            (402, Some("false"))
        );
        let body: Value = serde_json::from_str(&told(Dialect::AnthropicMessages).body).expect("JSON");
        assert_eq!(body["error"]["type"], "billing_error");
    }
}
