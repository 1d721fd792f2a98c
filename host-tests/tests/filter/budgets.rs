//! Budgets in the gateways: calls of all workers together stay within them, whatever ends a call.

use serde_json::Value;
use tollgate_core::names::{THRESHOLD_LOG_PREFIX, header, metric};
use tollgate_host::gateway::{Configuration, Gateway, Outcome, Profile, Settings, Worker};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{Exchange, event, events_logged, has_metrics, metric, one, start};

/// Two workers that share what they can.
fn gateway(profile: Profile, limit: &str) -> Gateway {
    let sharing = if profile == Profile::Kong { r#""shared_data": "on","# } else { "" };
    let settings = replay::settings(profile, &format!(r#"{{{sharing} "limits": [{limit}]}}"#));
    start(Settings { workers: 2, ..settings })
}

/// A whole call in a worker, with a header.
fn call(gateway: &Gateway, worker: usize, exchange: &Exchange, (name, value): (&str, &str)) -> Outcome {
    let stream = gateway.worker(worker).open(exchange.request_head().header(name, value));
    stream.request_body(&exchange.request, true);
    if stream.outcome().local_reply.is_some() {
        return stream.finish();
    }
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    stream.finish()
}

const KEY: (&str, &str) = ("authorization", "Bearer sk-one");

#[test]
fn workers_share_a_budget_and_a_denied_call_holds_nothing_of_it() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway =
            gateway(profile, r#"{"id": "five", "measure": "requests", "per": "day", "key": ["api_key"], "limit": 5}"#);
        let statuses: Vec<u32> = (0..8).map(|number| call(&gateway, number % 2, exchange, KEY).status()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429], "{profile:?}");
        let other = call(&gateway, 0, exchange, ("authorization", "Bearer sk-two"));
        assert_eq!(other.status(), 200, "another key has its own");
        assert_eq!(metric(&gateway, metric::LIMITED, &[("limit", "five"), ("action", "deny")]), Some(3));
    }
}

#[test]
fn each_worker_has_its_own_where_a_gateway_shares_nothing() {
    let exchange = one(Dialect::OpenAiChat, false);
    let gateway = gateway(Profile::Apisix, r#"{"id": "two", "measure": "requests", "per": "day", "limit": 2}"#);
    let statuses: Vec<u32> = (0..6).map(|number| call(&gateway, number % 2, exchange, KEY).status()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

/// The statuses of a worker's calls, each under one of its configurations.
fn statuses<const N: usize>(worker: &Worker, exchange: &Exchange, configurations: [Configuration; N]) -> [u32; N] {
    configurations.map(|configuration| {
        let stream = worker.open_under(configuration, exchange.request_head());
        stream.request_body(&exchange.request, true);
        stream.respond(exchange.response_head()).response_body(&exchange.response, true);
        stream.finish().status()
    })
}

#[test]
fn what_is_spent_belongs_to_the_limit_whichever_route_or_consumer_has_it() {
    let exchange = one(Dialect::OpenAiChat, false);
    let limits = r#"{"limits": [{"id": "three", "measure": "requests", "per": "day", "limit": 3}]}"#;
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, "{}"));
        let worker = gateway.worker(0);
        let (ann, bob) = (worker.configure(limits), worker.configure(limits));
        assert_eq!(statuses(&worker, exchange, [ann, bob, ann, bob, ann]), [200, 200, 200, 429, 429], "{profile:?}");
    }
}

#[test]
fn a_route_that_is_written_anew_does_not_begin_its_budgets_anew() {
    let exchange = one(Dialect::OpenAiChat, false);
    let limits = |limit: u32| {
        format!(r#"{{"limits": [{{"id": "some", "measure": "requests", "per": "day", "limit": {limit}}}]}}"#)
    };
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, "{}"));
        let worker = gateway.worker(0);
        let old = worker.configure(limits(2));
        // One that runs while the route changes is charged all the same.
        let runs = worker.open_under(old, exchange.request_head());
        runs.request_body(&exchange.request, true);
        let new = worker.configure(limits(3));
        assert_eq!(statuses(&worker, exchange, [new]), [200], "{profile:?}");
        runs.respond(exchange.response_head()).response_body(&exchange.response, true);
        assert_eq!(runs.finish().status(), 200);
        worker.forget(old);
        assert_eq!(statuses(&worker, exchange, [new, new]), [200, 429], "{profile:?}");
        let again = worker.configure(limits(4));
        assert_eq!(statuses(&worker, exchange, [again, again]), [200, 429], "{profile:?}");
    }
}

#[test]
fn the_event_says_what_the_call_was_charged_and_how_the_budget_stands() {
    let exchange = one(Dialect::Anthropic, true);
    for profile in Profile::ALL {
        let gateway = gateway(
            profile,
            r#"{"id": "day", "measure": "cost_usd", "per": "day", "key": ["api_key"], "limit": "1.00"}"#,
        );
        let first = event(profile, &call(&gateway, 0, exchange, KEY));
        let second = event(profile, &call(&gateway, 0, exchange, KEY));
        assert_eq!(first["limits"][0]["charged"], first["cost_usd"], "{profile:?} {first:#}");
        assert_eq!(first["limits"][0]["spent"], first["cost_usd"], "{profile:?}");
        let nano = |usd: &Value| usd.as_str().unwrap().parse::<f64>().unwrap() * 1e9;
        assert!((nano(&second["limits"][0]["spent"]) - 2.0 * nano(&first["cost_usd"])).abs() < 1.0);
        assert_eq!(second["limits"][0]["held"], "0");
        assert_eq!(second["limits"][0]["standing"], "within");
    }
}

#[test]
fn whatever_ends_a_call_lets_go_of_what_was_held_for_it() {
    let exchange = one(Dialect::OpenAiChat, true);
    for profile in Profile::ALL {
        let gateway = gateway(profile, r#"{"id": "one-at-a-time", "measure": "concurrency", "limit": 1}"#);
        let open = |gateway: &Gateway| {
            let stream = gateway.worker(0).open(exchange.request_head());
            stream.request_body(&exchange.request, true);
            stream
        };
        let gone = open(&gateway);
        assert_eq!(open(&gateway).finish().status(), 429, "{profile:?}: one is in flight");
        gone.client_gone();
        drop(gone.finish());
        let broken = open(&gateway);
        broken.respond(exchange.response_head()).response_body(&exchange.response[..40], false).upstream_reset();
        drop(broken.finish());
        assert_eq!(call(&gateway, 0, exchange, KEY).status(), 200, "{profile:?}");
        assert_eq!(call(&gateway, 0, exchange, KEY).status(), 200, "{profile:?}");
    }
}

#[test]
fn a_call_that_one_budget_refuses_leaves_the_others_as_they_were() {
    let limits = r#"{"id": "a", "measure": "requests", "per": "day", "limit": 9},
        {"id": "b", "measure": "requests", "per": "day", "limit": 1},
        {"id": "c", "measure": "concurrency", "limit": 9}"#;
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in Profile::ALL {
        let gateway = gateway(profile, limits);
        assert_eq!(call(&gateway, 0, exchange, KEY).status(), 200);
        let refused = event(profile, &call(&gateway, 0, exchange, KEY));
        assert_eq!(
            (&refused["outcome"], &refused["limits"][1]["action"]),
            (&Value::from("denied"), &Value::from("deny"))
        );
        let gateway_with_room = event(profile, &call(&gateway, 0, exchange, KEY));
        assert_eq!(gateway_with_room["limits"][1]["spent"], "1", "{gateway_with_room:#}");
        assert_eq!(gateway_with_room["limits"][1]["held"], "0");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::LIMITED, &[("limit", "a")]), None);
        }
    }
}

#[test]
fn a_refusal_says_which_budget_and_when_it_resets() {
    let exchange = one(Dialect::Anthropic, false);
    for profile in Profile::ALL {
        let gateway = gateway(
            profile,
            r#"{"id": "calls", "measure": "requests", "per": "minute", "key": ["api_key"], "limit": 1}"#,
        );
        call(&gateway, 0, exchange, KEY);
        let refused = call(&gateway, 0, exchange, KEY);
        let reply = refused.local_reply.clone().unwrap();
        // Every gateway of the harness starts with a minute.
        assert_eq!(reply.headers.text(header::RETRY_AFTER).as_deref(), Some("60"), "{profile:?}");
        assert_eq!(reply.headers.text(header::SHOULD_RETRY), None);
        assert_eq!(reply.headers.text(header::LIMIT).as_deref(), Some("calls"));
        assert_eq!(reply.headers.text("anthropic-ratelimit-requests-remaining").as_deref(), Some("0"));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"]["type"], "rate_limit_error");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("limit `calls` is spent") && message.contains("1 of 1 calls"), "{message}");
        assert_eq!(events_logged(&gateway), 2);
    }
}

#[test]
fn a_call_beyond_a_threshold_that_warns_carries_the_warning_on_its_answer() {
    let exchange = one(Dialect::OpenAiChat, false);
    let limit = r#"{"id": "calls", "measure": "requests", "per": "day", "limit": 2,
        "thresholds": [{"at_percent": 50, "action": "warn"}]}"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, limit);
        let warning = |outcome: Outcome| outcome.downstream.and_then(|answer| answer.headers.text(header::WARNING));
        assert_eq!(warning(call(&gateway, 0, exchange, KEY)), None, "{profile:?}");
        let second = warning(call(&gateway, 0, exchange, KEY));
        assert_eq!(second.as_deref(), Some("limit calls is beyond 50 %"), "{profile:?}");
        assert_eq!(call(&gateway, 0, exchange, KEY).status(), 429);
    }
}

#[test]
fn each_threshold_is_logged_and_counted_once_and_metrics_say_how_the_budget_stands() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in Profile::ALL {
        let gateway = gateway(
            profile,
            r#"{"id": "calls", "measure": "requests", "per": "day", "key": ["team"], "limit": 4, "thresholds": [{"at_percent": 50}]}"#,
        );
        (0..5).for_each(|_| drop(call(&gateway, 0, exchange, ("x-tollgate-team", "a\"\\b"))));
        let lines: Vec<String> = gateway.log().into_iter().map(|line| line.text).collect();
        let told: Vec<Value> = lines
            .iter()
            .filter_map(|line| line.split_once(THRESHOLD_LOG_PREFIX))
            .map(|(_, json)| serde_json::from_str(json).unwrap())
            .collect();
        let percents: Vec<_> = told.iter().map(|line| line["at_percent"].as_u64()).collect();
        assert_eq!(percents, [Some(50), Some(100)], "{profile:?}");
        assert_eq!(told[0]["key"]["team"], "a\"\\b");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::THRESHOLDS, &[("limit", "calls"), ("percent", "50")]), Some(1));
            let gauge = |name| metric(&gateway, name, &[("limit", "calls"), ("key", "a__b")]);
            let stands = [metric::BUDGET_USED, metric::BUDGET_RESERVED, metric::BUDGET_LIMIT, metric::BUDGET_REMAINING];
            assert_eq!(stands.map(gauge), [Some(4), Some(0), Some(4), Some(0)], "{profile:?}");
        }
    }
}

#[test]
fn a_limit_may_be_on_one_of_the_gateways_routes() {
    let exchange = one(Dialect::OpenAiChat, false);
    let limit = r#"{"id": "batch", "match": {"route": "batch-*"}, "measure": "input_tokens", "limit": 1}"#;
    for profile in Profile::ALL {
        // APISIX tells no route, so nothing matches there, whatever a property says.
        let (property, refusal) = match profile {
            Profile::Envoy => (["xds", "route_name"], 429),
            Profile::Kong => (["kong", "route_name"], 429),
            Profile::Apisix => (["apisix", "route_name"], 200),
        };
        let gateway = gateway(profile, limit);
        let status = |route: &str| {
            let stream = gateway.worker(0).open(exchange.request_head().property(&property, route));
            stream.request_body(&exchange.request, true);
            if stream.outcome().local_reply.is_none() {
                stream.respond(exchange.response_head()).response_body(&exchange.response, true);
            }
            stream.finish().status()
        };
        assert_eq!([status("batch-1"), status("chat"), status("")], [refusal, 200, 200], "{profile:?}");
    }
}
