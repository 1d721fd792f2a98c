//! What a contract makes of a call: own prices, discounts, and what happens to models without a price.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

use tollgate_core::config::Config;
use tollgate_core::event::{CostSource, Event, Outcome, PriceSource};
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Denial, Ending, Meter, Verdict};
use tollgate_core::time::Timestamp;

const FALLBACK: &str =
    r#"{"unknown_price": "fallback", "fallback_price": {"input_per_million": "5", "output_per_million": "25"}}"#;
const DENY: &str = r#"{"unknown_price": "deny"}"#;

fn request(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#)
}

/// The event of a call that consumes a thousand tokens each way, or of its refusal.
fn call(config: &str, model: &str, body: &str) -> (Event, Option<Denial>) {
    let now = Timestamp::parse("2026-11-21").unwrap();
    let mut meter = Meter::new(Config::parse(config.as_bytes()).unwrap(), [1, 2]);
    let head =
        RequestHead { method: "POST", path: "/v1/chat/completions", host: "api.openai.com", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), now).unwrap();
    if let Verdict::Deny(denial) = meter.admit(&mut call, Body::Whole(body.as_bytes())) {
        return (meter.end(call, Ending::Denied, now), Some(denial));
    }
    meter.respond(&mut call, &ResponseHead { status: 200, headers: Headers::new(&[]) });
    let usage = r#""usage":{"prompt_tokens":1000,"completion_tokens":1000,"total_tokens":2000}"#;
    let answer = format!(r#"{{"model":"{model}","choices":[{{"finish_reason":"stop"}}],{usage}}}"#);
    meter.read(&mut call, answer.as_bytes(), now);
    (meter.end(call, Ending::Complete, now), None)
}

fn event(config: &str, model: &str) -> Event {
    call(config, model, &request(model)).0
}

/// Checks cost, list cost and whose prices were taken; the contracted cost is the cost where no provider states one.
#[track_caller]
fn check(config: &str, model: &str, cost: &str, list: Option<&str>, source: PriceSource, discount: Option<&str>) {
    let event = event(config, model);
    let text = |usd: Option<tollgate_core::money::Usd>| usd.map(|usd| usd.to_string());
    assert_eq!((text(event.cost_usd).as_deref(), text(event.list_cost_usd).as_deref()), (Some(cost), list));
    assert_eq!(event.contracted_cost_usd, event.cost_usd);
    assert_eq!(event.cost.values().copied().sum::<tollgate_core::money::Usd>(), event.cost_usd.unwrap());
    let row = event.prices.first().unwrap();
    assert_eq!((row.source, row.discount_percent.as_deref()), (source, discount));
    let is_list = source == PriceSource::List && discount.is_none();
    assert_eq!(event.cost_source == CostSource::List, is_list);
}

#[test]
fn a_discount_comes_off_the_list_and_the_list_cost_stands_beside() {
    let list = Some("0.00075");
    let percent = r#"{"discounts": [{"provider": "openai", "model": "gpt-4o*", "percent": "12.5"}]}"#;
    check(percent, "gpt-4o-mini", "0.00065625", list, PriceSource::List, Some("12.5"));
    check(&percent.replace("12.5", "100"), "gpt-4o-mini", "0", list, PriceSource::List, Some("100"));
    for elsewhere in [percent.replace("gpt-4o", "gpt-5"), percent.replace("\"openai\"", "\"anthropic\"")] {
        check(&elsewhere, "gpt-4o-mini", "0.00075", list, PriceSource::List, None);
    }
}

#[test]
fn own_prices_replace_the_list_and_no_discount_comes_off_them() {
    let own = r#"{
        "prices": [{"model": "gpt-4o-mini", "input_per_million": "1", "output_per_million": "2"}],
        "discounts": [{"percent": "50"}]
    }"#;
    check(own, "gpt-4o-mini", "0.003", Some("0.00075"), PriceSource::Override, None);
}

#[test]
fn the_first_price_in_the_list_counts_whichever_name_of_the_model_it_means() {
    let own = r#"{"prices": [
        {"model": "gpt-4o-mini", "input_per_million": "1", "output_per_million": "2"},
        {"model": "*", "input_per_million": "100", "output_per_million": "100"}
    ]}"#;
    check(own, "gpt-4o-mini-2024-07-18", "0.003", Some("0.00075"), PriceSource::Override, None);
}

#[test]
fn a_model_without_a_price_is_unknown_unless_a_fallback_is_given_and_never_free() {
    let tracked = event("{}", "no-such-model");
    assert_eq!((tracked.cost_usd, tracked.cost_source, tracked.input_tokens), (None, CostSource::Unknown, Some(1000)));
    assert!(tracked.unpriced_reason.unwrap().contains("`no-such-model`"));
    check(FALLBACK, "no-such-model", "0.03", None, PriceSource::Fallback, None);
    assert!(event(FALLBACK, "no-such-model").unpriced_reason.unwrap().contains("`no-such-model`"), "and says so");
    check(FALLBACK, "gpt-4o-mini", "0.00075", Some("0.00075"), PriceSource::List, None);
}

#[test]
fn where_unknown_prices_are_denied_only_priced_models_pass_and_the_event_says_why() {
    let (event, denial) = call(DENY, "no-such-model", &request("no-such-model"));
    let denial = denial.unwrap();
    assert_eq!((denial.status, event.outcome), (400, Outcome::Denied));
    assert!(denial.body.contains("\"unknown_price\"") && denial.body.contains("no-such-model"), "{}", denial.body);
    assert!(denial.headers.contains(&("x-should-retry", "false".to_owned())));
    assert!(event.unpriced_reason.unwrap().contains("`no-such-model`"));
    assert_eq!(call(DENY, "gpt-4o-mini", &request("gpt-4o-mini")).1, None);
    let own = r#"{"unknown_price": "deny", "prices": [{"model": "no-such-*", "input_per_million": "1"}]}"#;
    assert_eq!(call(own, "no-such-model", &request("no-such-model")).1, None, "a price of the operator's is one");
}

#[test]
fn a_call_whose_model_cannot_be_read_does_not_slip_past_the_denial() {
    for body in ["{", "[]", r#"{"messages":[]}"#] {
        assert!(call(DENY, "gpt-4o-mini", body).1.is_some(), "{body}");
        assert!(call("{}", "gpt-4o-mini", body).1.is_none(), "{body}");
    }
}
