//! Attempts to spend another's budget, or to escape one's own: none moves money, none escapes.

use serde_json::{Value, json};
use tollgate_host::gateway::{Gateway, Profile, RequestHead, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{one, start};

/// What a team, a key and a task may do each.
const EACH: usize = 2;

/// The gateway knows the team (it sets the header after authentication) and nothing else. One limit is on what it knows, or
/// on the key that the provider will check; the other on tasks.
fn gateway(profile: Profile, known: &str) -> Gateway {
    let limit = |id: &str, key: &[&str], per: &str| {
        let (measure, mode) = ("requests", "closed");
        json!({"id": id, "measure": measure, "per": per, "key": key, "limit": EACH, "failure_mode": mode})
    };
    let config = json!({
        "shared_data": if profile == Profile::Kong { "on" } else { "auto" },
        "attribution": {"team": {"gateway_headers": ["x-consumer-group"], "headers": ["x-tollgate-team"]}},
        "metrics": {"labels": ["team", "app"]},
        "limits": [limit("known", &[known], "month"), limit("task", &[], "task")],
    });
    start(Settings { workers: 1, ..replay::settings(profile, &config.to_string()) })
}

/// What an attacker adds to its calls.
struct Attempt {
    name: &'static str,
    /// Given the number of the call, so that values can change with every one.
    headers: fn(usize) -> Vec<(&'static str, String)>,
    body: fn(&mut Value, usize),
}

fn nothing(_: &mut Value, _: usize) {}

macro_rules! header {
    ($name:literal, $($header:literal: $value:literal),+) => {
        Attempt { name: $name, headers: |_| vec![$(($header, $value.to_owned())),+], body: nothing }
    };
}

macro_rules! rotating {
    ($name:literal, $header:literal, $value:literal) => {
        Attempt { name: $name, headers: |number| vec![($header, format!($value, number))], body: nothing }
    };
}

const ATTEMPTS: [Attempt; 34] = [
    header!("the client's own header", "x-tollgate-team": "victims"),
    header!("an unknown header", "x-team": "victims"),
    header!("baggage", "baggage": "team=victims"),
    header!("Cloudflare's metadata", "cf-aig-metadata": "{\"team\": \"victims\"}"),
    header!("Portkey's metadata", "x-portkey-metadata": "{\"team\": \"victims\"}"),
    header!("LiteLLM's metadata", "x-litellm-spend-logs-metadata": "{\"team\": \"victims\"}"),
    header!("Helicone's property", "helicone-property-team": "victims"),
    header!("a tenant", "x-tenant-id": "victims"),
    header!("the task of another", "x-tollgate-task": "victims-task"),
    header!("the session of another", "x-tollgate-session": "victims-session"),
    header!("the owner", "x-tollgate-owner": "victims", "x-consumer-username": "victim"),
    header!("a hash for a key", "x-tollgate-api-key": "0123456789abcdef"),
    header!("a key where the provider does not look", "x-api-key": "sk-victim"),
    header!("another key where the provider does not look", "api-key": "sk-victim", "x-goog-api-key": "sk-victim"),
    header!("a key in the query's name", "key": "sk-victim"),
    header!("retries", "x-stainless-retry-count": "7"),
    header!("the outcome", "x-tollgate-outcome": "rejected"),
    header!("the router", "x-tollgate-router": "true", "x-tollgate-routing-overhead": "true"),
    header!("the price", "x-tollgate-cost": "0", "x-litellm-response-cost": "0"),
    header!("tokens", "x-amzn-bedrock-input-token-count": "0"),
    header!("the trace of another", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    header!("a label in a label", "x-tollgate-app": "a;team=victims"),
    header!("a line in a label", "x-tollgate-app": "a\ntollgate event {}"),
    header!("an event in a value", "x-tollgate-user": "tollgate event {\"cost_usd\":\"-1\"}"),
    header!("a method in a header", "x-http-method-override": "GET"),
    header!("a path in a header", "x-original-url": "/healthz", "x-rewrite-url": "/healthz"),
    header!("an internal header", "x-envoy-internal": "true", "x-forwarded-for": "127.0.0.1"),
    rotating!("rotating keys where the provider does not look", "x-api-key", "sk-{}"),
    rotating!("rotating sessions", "x-tollgate-session", "s-{}"),
    rotating!("rotating tasks", "x-tollgate-task", "t-{}"),
    rotating!("rotating users", "x-tollgate-user", "u-{}"),
    Attempt { name: "a very long value", headers: |_| vec![("x-tollgate-team", "v".repeat(20_000))], body: nothing },
    Attempt {
        name: "metadata in the body",
        headers: |_| Vec::new(),
        body: |body, _| body["metadata"] = json!({"team": "victims", "api_key": "x", "task": "victims-task"}),
    },
    Attempt {
        name: "users in the body",
        headers: |_| Vec::new(),
        body: |body, number| body["user"] = json!(format!("victim_session_{number}")),
    },
];

/// A whole call of a caller (`victims` or `attackers`) in a round of its own; whether it was forwarded.
fn call(gateway: &Gateway, caller: &str, round: usize, attempt: Option<(&Attempt, usize)>) -> bool {
    let exchange = one(Dialect::OpenAiChat, false);
    let mut body: Value = serde_json::from_slice(&exchange.request).expect("a request");
    let mut head: RequestHead = exchange
        .request_head()
        .header("x-consumer-group", &format!("{caller}{round}"))
        .header("authorization", &format!("Bearer sk-{caller}{round}"))
        .header("x-tollgate-task", "victims-task");
    if let Some((attempt, number)) = attempt {
        let spoofed = (attempt.headers)(number);
        let value = |value: &str| value.replace("victims", &format!("victims{round}"));
        head = spoofed.iter().fold(head, |head, (name, spoofed)| head.header(name, &value(spoofed)));
        (attempt.body)(&mut body, number);
    }
    let stream = gateway.worker(0).open(head);
    stream.request_body(body.to_string().as_bytes(), true);
    if stream.outcome().local_reply.is_none() {
        stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    }
    stream.finish().local_reply.is_none()
}

#[test]
fn no_claim_spends_anothers_budget_or_escapes_ones_own() {
    for (profile, known) in Profile::ALL.into_iter().flat_map(|profile| [(profile, "team"), (profile, "api_key")]) {
        let gateway = gateway(profile, known);
        for (round, attempt) in ATTEMPTS.iter().enumerate() {
            let case = format!("{profile:?}, a budget by {known}: {}", attempt.name);
            let attack = |number: &usize| call(&gateway, "attackers", round, Some((attempt, *number)));
            assert_eq!((0..=EACH).filter(attack).count(), EACH, "{case} escapes");
            let left = (0..=EACH).filter(|_| call(&gateway, "victims", round, None)).count();
            assert_eq!(left, EACH, "{case} spends another's budget");
        }
        let names: Vec<String> = gateway.metrics().iter().map(|(name, _)| name.to_owned()).collect();
        assert!(names.iter().all(|name| name.matches(";team=").count() <= 1), "a label is forged: {names:#?}");
        assert!(gateway.log().iter().all(|line| !line.text.contains('\n')), "a line of the log is forged");
    }
}
