//! Odd answers of the host: whatever a host function returns, the filter goes on, and says what is missing.

use tollgate_core::names::metric;
use tollgate_host::gateway::{Effect, Faults, Gateway, Outcome, Profile, When};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{Exchange, events_logged, filter, good, has_metrics, metric, one, pass, start};

/// Statuses that gateways were seen to return, and one that means nothing.
const STATUSES: [u32; 5] = [1, 2, 10, 12, 4_000_000_000];
const WHENS: [When; 3] = [When::Once, When::Always, When::EveryNth(2)];

/// A call that needs all the filter can ask of a gateway: a coding to replace, a task to charge.
fn demanding(gateway: &Gateway, exchange: &Exchange) -> Outcome {
    let head = exchange.request_head().header("accept-encoding", "gzip, compress").header("x-tollgate-task", "t");
    let stream = gateway.worker(0).open(head);
    stream.request_chunks(&exchange.request, 61);
    stream.respond(exchange.response_head()).response_chunks(&exchange.response, 61);
    stream.finish()
}

/// Passes two calls through two gateways: one whose fault was there from the start, one that was configured before.
fn check(profile: Profile, function: &str, when: When, effect: &Effect, exchange: &Exchange) -> [Gateway; 2] {
    let config = r#"{"shared_data": "on", "limits": [{"id": "large", "limit": 1000000}]}"#;
    let settings = replay::settings(profile, config);
    let faults = Faults::none().with(function, when, effect.clone());
    let from_the_start = start(settings.clone().with_faults(faults.clone()));
    let later = start(settings);
    // APISIX configures at the first request.
    assert_eq!(pass(&later, exchange, 61).status(), 200);
    later.set_faults(faults);
    let gateways = [from_the_start, later];
    for gateway in &gateways {
        for _ in 0..2 {
            served(profile, &demanding(gateway, exchange), exchange, &format!("{function} {when:?} {effect:?}"));
        }
    }
    gateways
}

/// The client has the upstream's answer, or a refusal because the configuration could not be read.
fn served(profile: Profile, outcome: &Outcome, exchange: &Exchange, case: &str) {
    assert_eq!(outcome.trap, None, "{profile:?} {case}");
    let downstream = outcome.downstream.as_ref().unwrap_or_else(|| panic!("{profile:?} {case}: no answer"));
    assert!(downstream.complete, "{profile:?} {case}");
    if downstream.status == 503 {
        let reply = outcome.local_reply.as_ref().unwrap_or_else(|| panic!("{profile:?} {case}: a refusal of ours"));
        assert!(String::from_utf8_lossy(&reply.body).contains("misconfigured"), "{profile:?} {case}");
    } else {
        assert_eq!((downstream.status, &downstream.body), (200, &exchange.response), "{profile:?} {case}");
        assert_eq!(outcome.upstream.as_ref().unwrap().body, exchange.request, "{profile:?} {case}");
    }
}

fn functions() -> Vec<&'static str> {
    filter().host_functions()
}

#[test]
fn an_odd_status_of_any_function_never_stops_a_call_and_is_counted() {
    assert!(functions().len() > 8, "{:?}", functions());
    for profile in Profile::ALL {
        for function in functions() {
            for when in WHENS {
                for status in STATUSES {
                    let effect = Effect::Status(status);
                    let gateways = check(profile, function, when, &effect, one(Dialect::OpenAiChat, true));
                    if when == When::Always && has_metrics(profile) && is_counted(profile, function, status) {
                        let labels = [("status", &*status.to_string())];
                        for gateway in &gateways {
                            let counted = metric(gateway, metric::HOST_ERRORS, &labels);
                            assert!(counted > Some(0), "{profile:?} {function} {status}");
                        }
                    }
                }
            }
        }
    }
}

/// Whether such a call needs this function, and its failure can be counted. Bodies are changed and calls refused in other
/// tests; of the log and the metrics there is nowhere to count, and what is not found is no failure.
fn is_counted(profile: Profile, function: &str, status: u32) -> bool {
    match function {
        "proxy_get_header_map_pairs" | "proxy_get_buffer_bytes" => true,
        "proxy_replace_header_map_value" | "proxy_set_shared_data" => true,
        "proxy_get_shared_data" => status != 1,
        "proxy_set_property" => profile == Profile::Envoy,
        _ => false,
    }
}

#[test]
fn data_that_is_missing_or_no_text_never_stops_a_call() {
    let getters = ["proxy_get_header_map_pairs", "proxy_get_buffer_bytes", "proxy_get_property"];
    let odd = [Effect::NoData, Effect::Data(vec![0xff, 0xfe, 0, 0, 0]), Effect::Data(vec![0xff; 70_000])];
    for profile in Profile::ALL {
        for function in getters {
            for when in WHENS {
                for effect in &odd {
                    good().for_each(|exchange| drop(check(profile, function, when, effect, exchange)));
                }
            }
        }
    }
}

#[test]
fn a_response_that_is_not_handed_over_is_an_event_with_a_reason() {
    let exchange = one(Dialect::OpenAiChat, true);
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, "{}"));
        let stream = super::support::ask(&gateway, exchange);
        gateway.set_faults(Faults::none().with("proxy_get_buffer_bytes", When::Always, Effect::Status(10)));
        stream.respond(exchange.response_head()).response_chunks(&exchange.response, 61);
        let outcome = stream.finish();
        served(profile, &outcome, exchange, "response");
        let event = super::support::event(profile, &outcome);
        assert_eq!(event["unmetered_reason"], "response_unreadable", "{profile:?} {event:#}");
        assert_eq!(event["cost_usd"], serde_json::Value::Null, "never a silent zero");
        assert_eq!(events_logged(&gateway), 1);
    }
}

#[test]
fn a_refusal_that_the_gateway_does_not_send_lets_the_call_pass_and_says_so() {
    let exchange = one(Dialect::Anthropic, false);
    for profile in Profile::ALL {
        let config = r#"{"limits": [{"id": "none", "limit": 1}]}"#;
        let faults = Faults::none().with("proxy_send_local_response", When::Always, Effect::Status(12));
        let gateway = start(replay::settings(profile, config).with_faults(faults));
        let outcome = pass(&gateway, exchange, 1000);
        served(profile, &outcome, exchange, "refusal");
        assert!(gateway.log().iter().any(|line| line.level == 5 && line.text.contains("cannot refuse")), "{profile:?}");
        assert_eq!(events_logged(&gateway), 1);
        if has_metrics(profile) {
            let labels = [("function", "send_local_response"), ("status", "12")];
            assert_eq!(metric(&gateway, metric::HOST_ERRORS, &labels), Some(1), "{profile:?}");
        }
    }
}

#[test]
fn a_task_goes_on_where_shared_data_fails() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in [Profile::Envoy, Profile::Kong] {
        for function in ["proxy_get_shared_data", "proxy_set_shared_data"] {
            for status in STATUSES {
                let gateway = start(replay::settings(profile, r#"{"shared_data": "on"}"#));
                gateway.set_faults(Faults::none().with(function, When::EveryNth(2), Effect::Status(status)));
                for _ in 0..4 {
                    let stream = gateway.worker(0).open(exchange.request_head().header("x-tollgate-task", "t"));
                    stream.request_body(&exchange.request, true);
                    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
                    served(profile, &stream.finish(), exchange, function);
                }
                assert_eq!(events_logged(&gateway), 4, "{profile:?} {function} {status}");
            }
        }
    }
}
