//! Requests that limits change instead of refusing them: what upstream then gets, and what client and event are told.

use serde_json::{Value, json};
use tollgate_core::names::header;
use tollgate_host::gateway::{Effect, Faults, Gateway, Outcome, Profile, RequestHead, When};

use super::support::{answer_chat, event, gateway};

fn config(profile: Profile, rest: &str) -> Gateway {
    let sharing = if profile == Profile::Kong { r#""shared_data": "on","# } else { "" };
    let price = r#""prices": [{"model": "m", "input_per_million": "1", "output_per_million": "10"}],
        "include_usage": false,"#;
    gateway(profile, &format!("{{{sharing} {price} {rest}}}"))
}

/// A whole call whose answer puts out so many tokens.
fn call(gateway: &Gateway, head: RequestHead, body: &str, output: u64) -> Outcome {
    let stream = gateway.worker(0).open(head.header("content-length", &body.len().to_string()));
    stream.request_chunks(body, 40);
    answer_chat(stream, 200, output)
}

fn chat() -> RequestHead {
    RequestHead::post_json("llm.example", "/v1/chat/completions")
}

fn sent(outcome: &Outcome) -> String {
    let upstream = outcome.upstream.as_ref().expect("the call reached upstream");
    assert!(upstream.complete && !upstream.length_mismatch(), "{upstream:?}");
    String::from_utf8_lossy(&upstream.body).into_owned()
}

fn told(outcome: &Outcome) -> Option<String> {
    outcome.downstream.as_ref().and_then(|answer| answer.headers.text(header::CHANGED))
}

/// Whether the gateway can change requests.
fn changes(profile: Profile) -> bool {
    profile != Profile::Apisix
}

const BODY: &str =
    r#"{"model":"m", "max_tokens" : 5000,"seed":1.0,"messages":[{"role":"user","content":"Hi \u00e9"}]}"#;

#[test]
fn a_call_that_allows_more_than_its_ceiling_is_given_less_and_all_else_of_it_stays_as_it_was() {
    let limit = r#""limits": [{"id": "short", "measure": "output_tokens", "limit": 300, "action": "cap_output"}]"#;
    for profile in Profile::ALL {
        let gateway = config(profile, limit);
        let outcome = call(&gateway, chat(), BODY, 9);
        let event = event(profile, &outcome);
        if !changes(profile) {
            assert_eq!((outcome.status(), &event["changes"]["not_changed"]), (429, &json!("gateway")), "{event:#}");
            continue;
        }
        assert_eq!(sent(&outcome), BODY.replace("5000", "300"), "{profile:?}");
        assert_eq!(told(&outcome).as_deref(), Some("max_output_tokens=300"));
        assert_eq!(event["changes"]["max_output_tokens"], json!({"from": 5000, "to": 300, "limit": "short"}));
        assert_eq!(
            (&event["limits"][0]["standing"], &event["limits"][0]["action"]),
            (&json!("within"), &json!("cap_output"))
        );
        let modest = BODY.replace("5000", "300");
        let outcome = call(&gateway, chat(), &modest, 9);
        assert_eq!((sent(&outcome), told(&outcome)), (modest, None), "{profile:?}");
    }
}

#[test]
fn a_request_without_a_maximum_is_given_one() {
    let limit = r#""limits": [{"id": "cents", "measure": "cost_usd", "limit": "0.01", "action": "cap_output",
        "reserve": "upper_bound", "max_output_tokens": 2000}]"#;
    let body = BODY.replace(r#" "max_tokens" : 5000,"#, "");
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let outcome = call(&config(profile, limit), chat(), &body, 9);
        let request: Value = serde_json::from_str(&sent(&outcome)).unwrap();
        let given = request["max_tokens"].as_u64().unwrap();
        // A thousand tokens of output cost a cent; the input takes its part of it.
        assert!((980..1_000).contains(&given), "{profile:?} {given}");
        let event = event(profile, &outcome);
        assert_eq!(event["changes"]["max_output_tokens"], json!({"from": null, "to": given, "limit": "cents"}));
    }
}

#[test]
fn what_is_left_of_a_budget_is_what_the_last_calls_may_put_out_and_not_a_token_more_is_spent() {
    let limit = r#""limits": [{"id": "day", "measure": "output_tokens", "per": "day", "limit": 1000,
        "reserve": "upper_bound", "action": "cap_output"}]"#;
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let gateway = config(profile, limit);
        let mut left = 1_000;
        for (asked, put_out) in [(700, 650), (700, 300), (700, 40)] {
            let body = BODY.replace("5000", &asked.to_string());
            let given = asked.min(left);
            let outcome = call(&gateway, chat(), &body, put_out.min(given));
            assert_eq!(sent(&outcome), BODY.replace("5000", &given.to_string()), "{profile:?}");
            let event = event(profile, &outcome);
            assert_eq!(event["limits"][0]["charged"], put_out.min(given).to_string(), "{event:#}");
            left -= put_out.min(given);
        }
        // Ten tokens are no answer.
        assert_eq!((left, call(&gateway, chat(), BODY, 9).status()), (10, 429), "{profile:?}");
    }
}

#[test]
fn a_threshold_caps_the_calls_beyond_it_and_leaves_those_before_it_alone() {
    let limit = r#""limits": [{"id": "day", "measure": "output_tokens", "per": "day", "limit": 10000,
        "thresholds": [{"at_percent": 80, "action": "cap_output"}]}]"#;
    let gateway = config(Profile::Envoy, limit);
    let unbounded = BODY.replace(r#" "max_tokens" : 5000,"#, "");
    assert_eq!(sent(&call(&gateway, chat(), &unbounded, 8_000)), unbounded);
    let outcome = call(&gateway, chat(), &unbounded, 9);
    assert_eq!(told(&outcome).as_deref(), Some("max_output_tokens=2000"));
}

#[test]
fn each_of_several_answers_gets_its_part() {
    let limit = r#""limits": [{"id": "short", "measure": "output_tokens", "limit": 301, "action": "cap_output"}]"#;
    let body = BODY.replacen('{', r#"{"n":3,"#, 1);
    let outcome = call(&config(Profile::Envoy, limit), chat(), &body, 9);
    assert_eq!(sent(&outcome), body.replace("5000", "100"));
}

#[test]
fn a_signed_request_is_never_changed() {
    let converse = |size: u64| {
        format!(
            r#"{{"inferenceConfig":{{"maxTokens":{size}}},"messages":[{{"role":"user","content":[{{"text":"Hi"}}]}}]}}"#
        )
    };
    let head = |authorization: &str| {
        let head = RequestHead::post_json("bedrock-runtime.us-east-1.amazonaws.com", "/model/m/converse");
        head.header("authorization", authorization)
    };
    let signature =
        "AWS4-HMAC-SHA256 Credential=AKID/20261126/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00";
    let limit = r#""limits": [{"id": "short", "measure": "output_tokens", "limit": 300, "action": "cap_output"}]"#;
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let gateway = config(profile, limit);
        let refused = call(&gateway, head(signature), &converse(5_000), 9);
        let event = event(profile, &refused);
        assert_eq!((refused.status(), &event["changes"]["not_changed"]), (429, &json!("signed")), "{profile:?}");
        let outcome = call(&gateway, head(signature), &converse(300), 9);
        assert_eq!(sent(&outcome), converse(300));
        let length = outcome.upstream.as_ref().and_then(|upstream| upstream.headers.text("content-length"));
        assert_eq!(length, Some(converse(300).len().to_string()), "{profile:?}: even its length goes on as it was");
        let keyed = call(&gateway, head("Bearer bedrock-api-key"), &converse(5_000), 9);
        assert_eq!(sent(&keyed), converse(300), "{profile:?}");
    }
}

fn refuse_changed_bodies(gateway: &Gateway) {
    gateway.set_faults(Faults::none().with("proxy_set_buffer_bytes", When::Always, Effect::Status(10)));
}

#[test]
fn a_call_that_must_be_capped_is_refused_where_the_gateway_does_not_take_the_change_and_holds_nothing() {
    let limits = r#""limits": [{"id": "short", "measure": "output_tokens", "limit": 300, "action": "cap_output"},
        {"id": "calls", "measure": "requests", "per": "day", "limit": 1}]"#;
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let gateway = config(profile, limits);
        refuse_changed_bodies(&gateway);
        let refused = call(&gateway, chat(), BODY, 9);
        let is_forwarded = refused.upstream.as_ref().is_some_and(|upstream| upstream.complete);
        assert_eq!((refused.status(), is_forwarded), (429, false), "{profile:?}");
        let event = event(profile, &refused);
        let changes = &event["changes"];
        assert_eq!((&changes["max_output_tokens"], &changes["not_changed"]), (&Value::Null, &json!("gateway")));
        let modest = BODY.replace("5000", "300");
        assert_eq!(sent(&call(&gateway, chat(), &modest, 9)), modest, "{profile:?}: the budget is all there");
        assert_eq!(call(&gateway, chat(), &modest, 9).status(), 429, "{profile:?}: and is one call");
    }
}

/// A downgrade from `big` to `m`, which can do this.
fn downgrading(capabilities: &str, limits: &str) -> String {
    format!(
        r#""downgrades": [{{"model": "big*", "to": "m", "max_output_tokens": 900, "max_input_tokens": 1000,
            "capabilities": [{capabilities}]}}], "limits": [{limits}],
        "discounts": []"#
    )
}

const DEAR: &str = r#"{"id": "dear", "measure": "output_tokens", "limit": 400, "action": "downgrade"}"#;
const BIG: &str = r#"{"model" : "big-1","max_tokens":800,"seed":1.0,"messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn a_call_beyond_a_limit_is_answered_by_the_model_that_is_named_for_it() {
    for profile in Profile::ALL {
        let gateway = config(profile, &downgrading("", DEAR));
        let outcome = call(&gateway, chat(), BIG, 9);
        let event = event(profile, &outcome);
        assert_eq!(outcome.status(), 200, "{profile:?}: a downgrade refuses nobody");
        if !changes(profile) {
            assert_eq!((sent(&outcome).as_str(), &event["changes"]["not_changed"]), (BIG, &json!("gateway")));
            continue;
        }
        assert_eq!(sent(&outcome), BIG.replace("big-1", "m"), "{profile:?}");
        assert_eq!(told(&outcome).as_deref(), Some("model=m"));
        assert_eq!(event["changes"]["model"], json!({"from": "big-1", "to": "m", "limit": "dear"}), "{event:#}");
        assert_eq!(event["request_model"], "m");
        let modest = BIG.replace("800", "400");
        assert_eq!(sent(&call(&gateway, chat(), &modest, 9)), modest, "{profile:?}");
        let outcome = call(&gateway, chat(), &BIG.replace("800", "2000"), 9);
        assert_eq!(sent(&outcome), BIG.replace("big-1", "m").replace("800", "900"), "it can put out no more");
        assert_eq!(told(&outcome).as_deref(), Some("model=m, max_output_tokens=900"));
    }
}

#[test]
fn a_call_that_should_be_downgraded_keeps_its_model_where_the_gateway_does_not_take_the_change() {
    let calls = r#"{"id": "calls", "measure": "requests", "per": "day", "limit": 1}"#;
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let gateway = config(profile, &downgrading("", &format!("{DEAR},{calls}")));
        refuse_changed_bodies(&gateway);
        let outcome = call(&gateway, chat(), &BIG.replace("800", "2000"), 9);
        assert_eq!((sent(&outcome), told(&outcome)), (BIG.replace("800", "2000"), None), "{profile:?}");
        let event = event(profile, &outcome);
        let changes = &event["changes"];
        assert_eq!((&changes["model"], &changes["not_changed"]), (&Value::Null, &json!("gateway")), "{event:#}");
        assert_eq!(changes["max_output_tokens"], Value::Null);
        assert_eq!((&event["request_model"], &event["limits"][1]["charged"]), (&json!("big-1"), &json!("1")));
    }
}

#[test]
fn a_call_that_needs_what_the_cheaper_model_is_not_declared_to_do_keeps_its_model_and_says_why() {
    let gateway = config(Profile::Envoy, &downgrading(r#""tools", "reasoning""#, DEAR));
    let with = |member: &str| BIG.replacen('{', &format!("{{{member},"), 1);
    let tool = r#""tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    assert!(sent(&call(&gateway, chat(), &with(tool), 9)).contains(r#""m""#), "it has tools");
    let image = r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}]}"#;
    for (body, why) in [
        (BIG.replace("Hi", &"word ".repeat(1_500)), "downgrade_too_small"),
        (with(r#""stream":true"#), "lacks_streaming"),
        (
            with(r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}"#),
            "lacks_json_schema",
        ),
        (with(r#""web_search_options":{}"#), "lacks_web_search"),
        (with(r#""models":["big-1","big-2"]"#), "model_elsewhere"),
        (BIG.replace(r#"{"role":"user","content":"Hi"}"#, image), "lacks_vision"),
        (BIG.replace("big-1", "other"), "no_downgrade"),
    ] {
        let outcome = call(&gateway, chat(), &body, 9);
        assert_eq!((sent(&outcome), told(&outcome)), (body, None), "{why}");
        assert_eq!(event(Profile::Envoy, &outcome)["changes"]["not_changed"], why);
    }
    let azure = RequestHead::post_json("a.openai.azure.com", "/openai/deployments/big/chat/completions?api-version=1");
    let outcome = call(&gateway, azure, BIG, 9);
    assert_eq!(sent(&outcome), BIG);
    assert_eq!(event(Profile::Envoy, &outcome)["changes"]["not_changed"], "model_in_path");
}

#[test]
fn a_budget_that_does_not_pay_for_a_call_may_pay_for_it_at_the_cheaper_model_and_holds_nothing_of_the_first_try() {
    let limit = r#"{"id": "day", "measure": "cost_usd", "per": "day", "limit": "0.05", "reserve": "upper_bound",
        "thresholds": [{"at_percent": 60, "action": "downgrade"}]}"#;
    let prices = r#", "unknown_price": "fallback",
        "fallback_price": {"input_per_million": "10", "output_per_million": "100"}"#;
    for profile in Profile::ALL.into_iter().filter(|profile| changes(*profile)) {
        let gateway = config(profile, &format!("{}{prices}", downgrading("", limit)));
        // A call of the dear model may cost eight cents, which the budget does not pay for; of the cheap one, 0.8.
        let outcome = call(&gateway, chat(), BIG, 700);
        let event = event(profile, &outcome);
        assert_eq!((outcome.status(), told(&outcome).as_deref()), (200, Some("model=m")), "{profile:?} {event:#}");
        assert_eq!(
            (&event["limits"][0]["held"], &event["limits"][0]["charged"]),
            (&json!("0"), &event["cost_usd"]),
            "{event:#}"
        );
        let small = BIG.replace("800", "100");
        assert_eq!(told(&call(&gateway, chat(), &small, 9)), None, "{profile:?}: below the threshold nothing changes");
    }
}
