//! Where an event goes on each gateway, however large it is and however the call ends.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tollgate_core::attribution::Dimension;
use tollgate_core::names::{EVENT_LOG_PREFIX, label};
use tollgate_host::gateway::{Gateway, Profile, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{ask, gateway, one, pass, start};

/// The longest line that a log of nginx must be given.
const LINE_MAX: usize = 1_500;

/// So many limits that all have something to say that the event has more than 12 KB.
fn talkative() -> String {
    let limit = |number: usize| format!(r#"{{"id": "limit-{number:0>58}", "limit": 1, "action": "observe"}}"#);
    format!(r#"{{"limits": [{}]}}"#, (0..100).map(limit).collect::<Vec<_>>().join(","))
}

/// The events that the filter logged.
fn lines(gateway: &Gateway) -> Vec<String> {
    gateway.log().into_iter().map(|line| line.text).filter(|text| text.starts_with(EVENT_LOG_PREFIX)).collect()
}

fn read(line: &str) -> Map<String, Value> {
    serde_json::from_str(line.strip_prefix(EVENT_LOG_PREFIX).unwrap()).unwrap()
}

#[test]
fn an_event_of_twelve_kilobytes_arrives_whole_on_every_gateway() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, &talkative());
        let outcome = pass(&gateway, one(Dialect::OpenAiChat, true), 1000);
        let text = outcome.logged(replay::event_place(profile)).unwrap();
        assert!(text.len() > 12_000, "{profile:?}: {} bytes", text.len());
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["outcome"], "complete", "{profile:?}");
        assert_eq!(event["limits"].as_array().map(Vec::len), Some(100), "{profile:?}");
    }
}

#[test]
fn a_log_that_cuts_lines_gets_the_most_telling_fields_and_the_others_everything() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, &talkative());
        let outcome = pass(&gateway, one(Dialect::OpenAiChat, true), 1000);
        let event = replay::event_of(profile, &outcome).unwrap();
        let lines = lines(&gateway);
        assert_eq!(lines.len(), 1, "{profile:?}");
        let mut line = read(&lines[0]);
        if profile == Profile::Envoy {
            assert_eq!(Value::from(line), event);
            continue;
        }
        assert!(lines[0].len() <= LINE_MAX, "{profile:?}: {} bytes", lines[0].len());
        assert_eq!(line.remove("partial"), Some(Value::from(true)), "{profile:?}");
        for telling in ["id", "time", "outcome", "request_model", "input_tokens", "cost_usd", "attribution"] {
            assert!(line.contains_key(telling), "{profile:?} {telling}");
        }
        for (name, value) in line {
            assert_eq!(value, event[&name], "{profile:?} {name}");
        }
    }
}

#[test]
fn a_call_that_breaks_off_is_in_the_access_log_as_far_as_the_gateway_still_shows_it() {
    let exchange = one(Dialect::Anthropic, true);
    // Kong and APISIX write their logs before they tell that a call broke off.
    let outcomes = [(Profile::Envoy, "client_gone"), (Profile::Kong, "in_flight"), (Profile::Apisix, "in_flight")];
    for (profile, outcome) in outcomes {
        let gateway = gateway(profile, "{}");
        let stream = ask(&gateway, exchange);
        stream.respond(exchange.response_head());
        stream.response_body(&exchange.response[..exchange.response.len() / 2], false).client_gone();
        let event = replay::event_of(profile, &stream.finish()).unwrap();
        assert_eq!(event["outcome"], outcome, "{profile:?}");
        assert!(event["input_tokens"].as_u64() > Some(0) && event["cost_usd"].is_string(), "{profile:?} {event:#}");
        assert_ne!(read(&lines(&gateway)[0])["outcome"], "in_flight", "the line is written when all is known");
    }
}

#[test]
fn a_long_answer_whose_end_kong_does_not_report_is_in_its_log_all_the_same() {
    let exchange = one(Dialect::OpenAiChat, false);
    let gateway = gateway(Profile::Kong, "{}");
    let padded = [&exchange.response[..], &[b' '; 200_000]].concat();
    let stream = ask(&gateway, exchange);
    let head = exchange.response_head().header("content-length", &padded.len().to_string());
    stream.respond(head).response_chunks(&padded, 16 << 10);
    let event = replay::event_of(Profile::Kong, &stream.finish()).unwrap();
    assert_eq!((&event["outcome"], &event["usage_source"]), (&"complete".into(), &"reported".into()));
    assert_eq!(lines(&gateway).len(), 1);
}

#[test]
fn without_its_variable_the_filter_says_once_what_to_declare_and_the_log_line_remains() {
    // On APISIX the access log still shows the switches of the two bodies.
    for (profile, declaration, shown) in
        [(Profile::Kong, r#"nginx_proxy_set = $tollgate_event """#, 0), (Profile::Apisix, "set $tollgate_event '';", 2)]
    {
        let gateway = start(Settings::shipped(profile).with_config("{}"));
        for _ in 0..3 {
            let outcome = pass(&gateway, one(Dialect::OpenAiChat, false), 1000);
            assert_eq!((outcome.status(), outcome.access_log.len()), (200, shown), "{profile:?}");
        }
        let warnings = gateway.log().into_iter().filter(|line| line.level == 3).map(|line| line.text);
        let advice: Vec<String> = warnings.collect();
        assert!(matches!(advice.as_slice(), [one] if one.contains(declaration)), "{advice:?}");
        assert_eq!(lines(&gateway).len(), 3);
    }
}

#[test]
fn labels_follow_a_name_in_the_order_in_which_kong_looks_for_them() {
    let order: Vec<&str> = label::ALL.into_iter().chain(Dimension::ALL.map(Dimension::name)).collect();
    let gateway = gateway(
        Profile::Kong,
        r#"{"metrics": {"labels": ["task", "app", "team"]}, "limits": [{"id": "a", "limit": 1, "action": "observe"}]}"#,
    );
    pass(&gateway, one(Dialect::Anthropic, true), 1000);
    let metrics = gateway.metrics();
    let mut seen = BTreeSet::new();
    for (name, _) in metrics.iter() {
        let labels = name.split(';').skip(1).filter_map(|label| label.split_once('=')).map(|(label, _)| label);
        let places: Vec<usize> = labels.map(|label| order.iter().position(|known| *known == label).unwrap()).collect();
        assert!(places.is_sorted_by(|one, next| one < next), "{name}");
        seen.extend(places);
    }
    assert!(seen.len() > 6, "{seen:?}");
}
