//! What operators see of budgets, and raise, in the gateways.

use serde_json::Value;
use std::time::Duration;
use tollgate_core::names::{GRANT_LOG_PREFIX, GRANT_SCHEMA};
use tollgate_host::gateway::{Gateway, Outcome, Profile, RequestHead, Settings};
use tollgate_host::otlp::logs_of_json;
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{one, start};

const CONFIG: &str = r#"{
    "operator": {"path": "/tollgate/budgets", "token_sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"},
    "limits": [{"id": "calls", "measure": "requests", "per": "day", "key": ["team"], "limit": 2}]
}"#;

fn gateway(profile: Profile) -> Gateway {
    gateway_with(profile, CONFIG)
}

fn gateway_with(profile: Profile, config: &str) -> Gateway {
    let sharing = if profile == Profile::Kong { "{\"shared_data\": \"on\"," } else { "{" };
    let settings = replay::settings(profile, &config.replacen('{', sharing, 1));
    start(Settings { workers: if profile == Profile::Apisix { 1 } else { 2 }, ..settings })
}

fn call(gateway: &Gateway, team: &str) -> u32 {
    let exchange = one(Dialect::OpenAiChat, false);
    let stream = gateway.worker(0).open(exchange.request_head().header("x-tollgate-team", team));
    stream.request_body(&exchange.request, true);
    if stream.outcome().local_reply.is_none() {
        stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    }
    stream.finish().status()
}

/// An operator's request, in the last worker.
fn ask(gateway: &Gateway, method: &str, path: &str, token: &str) -> Outcome {
    let head = RequestHead::new(method, "gateway", path).without_body();
    let head = head.header("authorization", &format!("Bearer {token}"));
    let last = usize::from(gateway.find_worker(1).is_ok());
    gateway.worker(last).open(head).finish()
}

fn answer(outcome: &Outcome) -> (u32, Value) {
    let reply = outcome.local_reply.as_ref().expect("an answer");
    (reply.status, serde_json::from_slice(&reply.body).expect("JSON"))
}

#[test]
fn an_operator_sees_the_budgets_and_grants_more_without_a_new_configuration() {
    for profile in Profile::ALL {
        let gateway = gateway(profile);
        assert_eq!(
            [call(&gateway, "a"), call(&gateway, "b"), call(&gateway, "b"), call(&gateway, "b")],
            [200, 200, 200, 429]
        );
        let (status, list) = answer(&ask(&gateway, "GET", "/tollgate/budgets", "secret"));
        assert_eq!((status, list["budgets"].as_array().map(Vec::len)), (200, Some(2)), "{profile:?} {list:#}");
        let first = &list["budgets"][0];
        assert_eq!(
            (&first["spent"], &first["remaining"]),
            (&Value::from("2"), &Value::from("0")),
            "the spent one is first"
        );
        let account = first["account"].as_str().unwrap().replace('=', "%3D");
        let path = format!("/tollgate/budgets?account={account}&amount=1&minutes=60");
        let answered = ask(&gateway, "POST", &path, "secret");
        let (status, granted) = answer(&answered);
        assert_eq!((status, &granted["allowed"]), (200, &Value::from("3")), "{profile:?} {granted:#}");
        let published = replay::event_of(profile, &answered);
        assert_eq!(published.as_ref(), Some(&granted), "{profile:?}: the grant is the event of its request");
        assert_eq!(granted["schema"], GRANT_SCHEMA);
        assert!(gateway.log().iter().any(|line| line.text.contains(GRANT_LOG_PREFIX)), "{profile:?}: it is logged");
        assert_eq!([call(&gateway, "b"), call(&gateway, "b")], [200, 429], "{profile:?}");
    }
}

#[test]
fn a_grant_leaves_a_record_for_the_collector() {
    let config = CONFIG.replacen('{', r#"{"otlp": {"target": "otel_collector"},"#, 1);
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = gateway_with(profile, &config);
        call(&gateway, "a");
        let (_, list) = answer(&ask(&gateway, "GET", "/tollgate/budgets", "secret"));
        let account = list["budgets"][0]["account"].as_str().unwrap().replace('=', "%3D");
        let path = format!("/tollgate/budgets?account={account}&amount=1&minutes=60");
        let (status, granted) = answer(&ask(&gateway, "POST", &path, "secret"));
        assert_eq!(status, 200, "{profile:?} {granted:#}");
        gateway.advance(Duration::from_secs(1));
        let is_logs = |path: Option<String>| path.as_deref() == Some("/v1/logs");
        let sent = gateway.pending_callouts().into_iter().filter(|callout| is_logs(callout.headers.text(":path")));
        let records = sent.flat_map(|callout| logs_of_json(&callout.body).expect("OTLP"));
        let told: Vec<Value> = records.filter_map(|record| serde_json::from_str(&record.body).ok()).collect();
        let grants: Vec<_> = told.iter().filter(|event| event["schema"] == GRANT_SCHEMA).collect();
        assert_eq!(grants, [&granted], "{profile:?}: the grant, once; a list leaves none");
        assert_eq!(told.len(), 2, "{profile:?}: beside that of the call");
    }
}

#[test]
fn without_the_token_the_path_is_like_any_other() {
    for profile in Profile::ALL {
        let gateway = gateway(profile);
        for (method, token) in [("GET", "wrong"), ("POST", ""), ("GET", "Secret")] {
            let outcome = ask(&gateway, method, "/tollgate/budgets?account=x", token);
            assert!(outcome.local_reply.is_none(), "{profile:?} {method} {token}");
        }
        let (status, mistake) = answer(&ask(&gateway, "POST", "/tollgate/budgets?account=x", "secret"));
        assert_eq!(status, 400, "{mistake}");
    }
}
