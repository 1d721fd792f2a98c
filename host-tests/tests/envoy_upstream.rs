//! Tollgate behind the router of a real Envoy, in the chain of a cluster, where it sees every try of a call.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_host::agent::client::{self, Sent};
use tollgate_host::envoy::prometheus::Metrics;
use tollgate_host::envoy::{Envoy, Options};
use tollgate_host::loopback::{Reply, Server};
use tollgate_host::{artifact, wait};

const SOON: Duration = Duration::from_secs(20);

const OVERLOADED: &str = r#"{"error": {"message": "overloaded", "type": "server_error"}}"#;

fn answer() -> String {
    json!({
        "model": "gpt-4.1-mini-2025-04-14", "usage": {"prompt_tokens": 12, "completion_tokens": 3},
        "choices": [{"message": {"content": "24"}, "finish_reason": "stop"}]
    })
    .to_string()
}

/// A provider that is overloaded when it is asked for the first time.
fn overloaded_at_first() -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::whole(503, "application/json", OVERLOADED),
        _ => Reply::whole(200, "application/json", answer()),
    })
    .expect("a server")
}

/// One that never answers on its first connection, and at once on the others.
fn silent_at_first() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut silent = None;
        for mut connection in listener.incoming().flatten() {
            if silent.is_none() {
                silent = Some(connection);
                continue;
            }
            // A request this small arrives in one piece.
            let _ = connection.read(&mut [0; 16 * 1024]);
            let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ", answer());
            let _ = write!(connection, "{head}{}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// An Envoy that tries again by this policy, with the filter at its clusters.
fn envoy(provider: SocketAddr, policy: Value, configuration: Value) -> Envoy {
    let mut options = Options::new(artifact::wasm().expect("filter"), provider);
    options.configuration = configuration;
    options.at_upstream = true;
    options.route_policy = policy.as_object().cloned().expect("an object");
    Envoy::start(&options).unwrap_or_else(|error| panic!("{error}"))
}

fn ask(envoy: &Envoy) -> Sent {
    let body = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "How many legs?"}]});
    client::post(&format!("{}/v1/chat/completions", envoy.url()), &[], &body).expect("an answer")
}

/// The events in Envoy's log, once there are so many.
fn events(envoy: &Envoy, count: usize) -> Vec<Value> {
    let logged = || tollgate_host::events::read::<Value>(envoy.log().as_bytes()).expect("a log").0;
    let found = wait::until(SOON, || Some(logged()).filter(|events| events.len() >= count));
    let found = found.unwrap_or_else(|| panic!("{count} events wanted: {:#?}", logged()));
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

fn configuration() -> Value {
    json!({"log_events": true, "retries": {"at_upstream": true}})
}

#[test]
fn a_try_that_failed_and_the_one_that_answered_are_two_events_of_one_request() {
    let provider = overloaded_at_first();
    let policy = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    let envoy = envoy(provider.address(), policy, configuration());
    assert_eq!(ask(&envoy).status, 200);
    let events = events(&envoy, 2);
    let line = envoy.wait_for_access_log(1, SOON).pop().expect("a line");
    for (event, outcome, status) in [(&events[0], "upstream_error", 503), (&events[1], "complete", 200)] {
        assert_eq!((&event["outcome"], &event["status"]), (&json!(outcome), &json!(status)), "{event:#}");
        assert_eq!(event["request_id"], line["request_id"], "one request");
        assert_eq!(event["attempts"], Value::Null, "nothing is estimated that is seen");
    }
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert_eq!((&events[1]["input_tokens"], &line["cost_usd"]), (&json!(12), &events[1]["cost_usd"]));
    let both = |metrics: &Metrics| metrics.sum("tollgate_requests_total", &[]) == Some(2.0);
    let metrics = envoy.wait_for_metrics(SOON, both).expect("metrics");
    assert_eq!(metrics.sum("tollgate_requests_total", &[("outcome", "upstream_error")]), Some(1.0));
}

#[test]
fn both_requests_of_a_hedge_are_metered_and_the_one_that_is_cut_says_so() {
    let policy = json!({
        "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.3s"},
        "hedge_policy": {"hedge_on_per_try_timeout": true}
    });
    let envoy = envoy(silent_at_first(), policy, configuration());
    assert_eq!(ask(&envoy).status, 200);
    let events = events(&envoy, 2);
    let outcomes: BTreeSet<&str> = events.iter().filter_map(|event| event["outcome"].as_str()).collect();
    assert_eq!(outcomes, BTreeSet::from(["client_gone", "complete"]), "{events:#?}");
    assert_eq!(events[0]["request_id"], events[1]["request_id"]);
    assert!(events.iter().all(|event| event["request_id"].is_string()));
}

#[test]
fn a_limit_refuses_there_too() {
    let provider = overloaded_at_first();
    let mut configuration = configuration();
    configuration["limits"] = json!([{"id": "small", "measure": "input_tokens", "limit": 1}]);
    let envoy = envoy(provider.address(), json!({}), configuration);
    let refused = ask(&envoy);
    let event = events(&envoy, 1).remove(0);
    assert_eq!((refused.status, &event["outcome"]), (429, &json!("denied")), "{}", refused.text());
}
