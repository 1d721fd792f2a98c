//! Whom a call belongs to: from headers into the event, the labels and the access log.

use serde_json::{Value, json};
use tollgate_core::attribution::Dimension;
use tollgate_core::names::metric;
use tollgate_host::gateway::{Outcome, Profile, RequestHead};
use tollgate_host::standin::Dialect;

use super::support::{event, gateway, has_metrics, metric, one};

/// A call with these headers, and what the event says of it.
fn attributed(profile: Profile, config: &str, headers: &[(&str, &str)]) -> (tollgate_host::gateway::Gateway, Outcome) {
    let exchange = one(Dialect::OpenAiChat, false);
    let gateway = gateway(profile, config);
    let head =
        headers.iter().fold(exchange.request_head(), |head: RequestHead, (name, value)| head.header(name, value));
    let stream = gateway.worker(0).open(head);
    stream.request_body(&exchange.request, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    (gateway, stream.finish())
}

fn value(event: &Value, dimension: &str) -> Option<String> {
    let found = &event["attribution"][dimension];
    found.as_str().or_else(|| found["value"].as_str()).map(str::to_owned)
}

#[test]
fn the_headers_of_an_application_name_it_in_event_and_labels() {
    for profile in Profile::ALL {
        let headers = [("x-tollgate-app", "shop"), ("x-tollgate-team", "web"), ("x-tollgate-task", "t-1")];
        let (gateway, outcome) = attributed(profile, "{}", &headers);
        let event = event(profile, &outcome);
        for (dimension, expected) in [("app", "shop"), ("team", "web"), ("task", "t-1")] {
            assert_eq!(value(&event, dimension).as_deref(), Some(expected), "{profile:?} {event:#}");
        }
        if !has_metrics(profile) {
            continue;
        }
        let labels = [("app", "shop"), ("team", "web"), ("provider", "openai"), ("model", "gpt-4.1-mini")];
        assert_eq!(
            metric(&gateway, metric::REQUESTS, &[labels.as_slice(), &[("outcome", "complete")]].concat()),
            Some(1)
        );
        for (kind, field) in [("input", "input_tokens"), ("output", "output_tokens")] {
            let labels = [labels.as_slice(), &[("type", kind)]].concat();
            assert_eq!(metric(&gateway, metric::TOKENS, &labels), event[field].as_u64(), "{profile:?} {kind}");
        }
        let parts: u64 = metric(&gateway, metric::BUCKET_TOKENS, &labels).unwrap();
        let whole = event["input_tokens"].as_u64().unwrap() + event["output_tokens"].as_u64().unwrap();
        assert_eq!(parts, whole, "buckets are disjoint and complete");
        assert!(metric(&gateway, metric::COST, &labels).unwrap() > 0);
        assert_eq!(metric(&gateway, metric::COMPONENT_TOKENS, &labels), event["input_tokens"].as_u64());
        assert_eq!(metric(&gateway, metric::DURATION, &[("app", "shop")]), Some(1), "one duration");
    }
}

#[test]
fn every_dimension_has_a_header_of_its_own_and_is_kept_hashed_or_dropped() {
    let headers: Vec<(String, String)> = Dimension::ALL
        .into_iter()
        .map(|dimension| match dimension {
            Dimension::ApiKey => ("authorization".to_owned(), "Bearer sk-secret-value".to_owned()),
            other => (format!("x-tollgate-{}", other.name().replace('_', "-")), format!("a {}", other.name())),
        })
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = r#"{"secret": "s", "attribution": {
        "user": {"headers": ["x-tollgate-user"], "policy": "hmac"}, "feature": {"policy": "drop"}}}"#;
    for profile in Profile::ALL {
        let (_, outcome) = attributed(profile, config, &headers);
        let event = event(profile, &outcome);
        for dimension in Dimension::ALL {
            let (found, sent) = (value(&event, dimension.name()), format!("a {}", dimension.name()));
            match dimension {
                Dimension::User | Dimension::ApiKey => {
                    let is_hash =
                        found.as_ref().is_some_and(|hash| hash.len() == 16 && u64::from_str_radix(hash, 16).is_ok());
                    assert!(is_hash, "{profile:?} {dimension:?}: {found:?}");
                }
                Dimension::Feature => assert_eq!(found, None, "{profile:?}"),
                _ => assert_eq!(found, Some(sent), "{profile:?}"),
            }
        }
        assert!(!event.to_string().contains("sk-secret"), "{profile:?}");
    }
}

#[test]
fn what_tools_send_already_names_the_caller() {
    for profile in Profile::ALL {
        let headers = [
            ("cf-aig-metadata", r#"{"team": "web", "feature": "search"}"#),
            ("helicone-property-environment", "test"),
            ("baggage", "session.id=s%2D1,llm.task_type=margin,team=sales"),
        ];
        let (_, outcome) = attributed(profile, r#"{"attribution": {"feature": {"policy": "drop"}}}"#, &headers);
        let event = event(profile, &outcome);
        for (dimension, expected) in [
            ("team", Some("web")),
            ("environment", Some("test")),
            ("session", Some("s-1")),
            ("task_type", Some("margin")),
            ("feature", None),
        ] {
            assert_eq!(value(&event, dimension).as_deref(), expected, "{profile:?} {event:#}");
        }
    }
}

#[test]
fn what_the_gateway_says_outranks_what_the_client_claims() {
    let config = r#"{"attribution": {"user": {"gateway_headers": ["x-consumer-username"], "headers": ["x-user"]}}}"#;
    for profile in Profile::ALL {
        let headers = [("x-user", "mallory"), ("x-consumer-username", "alice")];
        let (_, outcome) = attributed(profile, config, &headers);
        assert_eq!(value(&event(profile, &outcome), "user").as_deref(), Some("alice"), "{profile:?}");
        let (_, outcome) = attributed(profile, config, &headers[..1]);
        assert_eq!(value(&event(profile, &outcome), "user").as_deref(), Some("mallory"), "{profile:?}");
    }
}

#[test]
fn a_label_beyond_its_cap_is_counted_as_other_and_no_value_forges_a_label() {
    let config = r#"{"metrics": {"labels": ["app"], "max_values": 2}}"#;
    let exchange = one(Dialect::Anthropic, true);
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = gateway(profile, config);
        for app in ["a", "b;model=free", "c", "d"] {
            let stream = gateway.worker(0).open(exchange.request_head().header("x-tollgate-app", app));
            stream.request_body(&exchange.request, true);
            stream.respond(exchange.response_head()).response_body(&exchange.response, true);
        }
        let calls = |app| metric(&gateway, metric::REQUESTS, &[("app", app)]);
        assert_eq!((calls("a"), calls("b_model_free"), calls("other")), (Some(1), Some(1), Some(2)), "{profile:?}");
        let longest = gateway.metrics().iter().map(|(name, _)| name.len()).max();
        assert!(longest <= Some(250), "{longest:?}");
    }
}

#[test]
fn steps_of_a_task_add_up_where_workers_share_state() {
    let exchange = one(Dialect::Anthropic, false);
    let totals = |profile, config: &str| -> Vec<Value> {
        let settings = tollgate_host::replay::settings(profile, config).with_workers(2);
        let gateway = super::support::start(settings);
        (0..4)
            .map(|call| {
                let stream = gateway.worker(call % 2).open(exchange.request_head().header("x-tollgate-task", "t-9"));
                stream.request_body(&exchange.request, true);
                stream.respond(exchange.response_head()).response_body(&exchange.response, true);
                event(profile, &stream.finish())["task"].clone()
            })
            .collect()
    };
    for (profile, config) in [(Profile::Envoy, "{}"), (Profile::Kong, r#"{"shared_data": "on"}"#)] {
        let steps: Vec<Value> = totals(profile, config).iter().map(|task| task["step"].clone()).collect();
        assert_eq!(steps, [json!(1), json!(2), json!(3), json!(4)], "{profile:?}");
    }
    for profile in [Profile::Kong, Profile::Apisix] {
        assert!(totals(profile, "{}").iter().all(Value::is_null), "{profile:?} shares nothing by itself");
    }
}
