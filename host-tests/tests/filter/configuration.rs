//! A mistaken configuration never opens the gate, and never closes it for other traffic.

use serde_json::Value;
use tollgate_core::names::metric;
use tollgate_host::gateway::{Health, Profile, RequestHead, ResponseHead};

use super::support::{ask, events_logged, gateway, good, has_metrics, metric, pass};

const MISTAKES: &str = r#"{
    "failure_mod": "open",
    "limits": [{"id": "x", "limit": -4}],
    "metrics": {"max_values": 0},
    "prices": [{"model": "m", "input_per_million": "cheap"}]
}"#;

#[test]
fn llm_calls_are_refused_in_the_providers_shape_and_other_traffic_passes() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, MISTAKES);
        for (calls, exchange) in good().enumerate() {
            let stream = ask(&gateway, exchange);
            let outcome = stream.finish();
            assert_eq!((outcome.status(), outcome.trap.as_ref()), (503, None), "{profile:?}");
            assert_eq!(outcome.upstream, None, "{profile:?}");
            let body: Value = serde_json::from_slice(&outcome.local_reply.unwrap().body).unwrap();
            assert!(body["error"]["message"].as_str().unwrap().contains("misconfigured"), "{body}");
            assert_eq!(events_logged(&gateway), calls + 1, "{profile:?}");
        }
        let stream = gateway.worker(0).open(RequestHead::new("GET", "llm.example", "/v1/models").without_body());
        stream.respond(ResponseHead::json(200, 2)).response_body("{}", true);
        assert_eq!(stream.finish().status(), 200, "{profile:?}");
    }
}

#[test]
fn every_mistake_is_logged_with_its_path_and_counted() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, MISTAKES);
        // APISIX configures at the first request.
        let _ = ask(&gateway, good().next().unwrap()).finish();
        assert_eq!(gateway.worker(0).health(), Health::Ready, "a refusal would open the gate on Kong: {profile:?}");
        let lines: Vec<String> =
            gateway.log().into_iter().filter(|line| line.level == 5).map(|line| line.text).collect();
        for path in ["failure_mod", "limits[0].limit", "metrics.max_values", "prices[0].input_per_million"] {
            assert_eq!(lines.iter().filter(|line| line.contains(path)).count(), 1, "{profile:?} {path} {lines:#?}");
        }
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::CONFIG_ERRORS, &[]), Some(1), "{profile:?}");
        }
    }
}

#[test]
fn a_corrected_configuration_takes_effect() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let mut gateway = gateway(profile, MISTAKES);
        assert!(gateway.reconfigure("{}").unwrap());
        assert_eq!(pass(&gateway, good().next().unwrap(), 1000).status(), 200, "{profile:?}");
    }
}

#[test]
fn no_configuration_at_all_is_a_good_one() {
    for profile in Profile::ALL {
        for nothing in ["", "{}"] {
            assert_eq!(pass(&gateway(profile, nothing), good().next().unwrap(), 1000).status(), 200, "{profile:?}");
        }
    }
}

#[test]
fn whatever_is_given_as_configuration_never_traps() {
    for profile in Profile::ALL {
        for odd in ["[]", "null", "\u{feff}{}", "{\"limits\":[[[[", "\"{}\"", "\0\0", "{\"host\": \"nginx\"}"] {
            let gateway = gateway(profile, odd);
            let outcome = pass(&gateway, good().next().unwrap(), 1000);
            assert_eq!((outcome.trap.as_ref(), events_logged(&gateway)), (None, 1), "{profile:?} {odd}");
        }
    }
}
