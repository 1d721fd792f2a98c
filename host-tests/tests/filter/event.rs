//! One exchange gives one event, whatever the gateway and wherever the bytes are cut.

use tollgate_host::gateway::Profile;

use super::support::same::assert_same;
use super::support::{Exchange, event, events_logged, exchanges, gateway, native, pass};

/// Sends every exchange through a gateway in pieces of `size`, and compares with the native core.
fn check(profile: Profile, config: &str, size: usize) {
    for exchange in exchanges() {
        let gateway = gateway(profile, config);
        let outcome = pass(&gateway, exchange, size);
        let Exchange { dialect, stream, mishap, .. } = exchange;
        let case = format!("{profile:?} {dialect:?} stream {stream} {mishap:?} in pieces of {size}");
        assert_eq!(outcome.trap, None, "{case}");
        assert_same(&event(profile, &outcome), &native(exchange, config), &case);
        assert_eq!(events_logged(&gateway), 1, "{case}");
        let (upstream, downstream) = (outcome.upstream.unwrap(), outcome.downstream.unwrap());
        assert_eq!((upstream.body, upstream.complete), (exchange.request.clone(), true), "{case}");
        assert_eq!(downstream.status, u32::from(exchange.status), "{case}");
        assert_eq!((downstream.body, downstream.complete), (exchange.response.clone(), true), "{case}");
    }
}

#[test]
fn any_chunking_on_envoy_gives_the_event_of_the_native_core() {
    for size in [1, 7, 61, 1000, usize::MAX] {
        check(Profile::Envoy, "{}", size);
    }
}

#[test]
fn any_chunking_on_kong_gives_the_event_of_the_native_core() {
    for size in [1, 7, 61, 1000, usize::MAX] {
        check(Profile::Kong, "{}", size);
    }
}

#[test]
fn any_chunking_on_apisix_gives_the_event_of_the_native_core() {
    for size in [1, 7, 61, 1000, usize::MAX] {
        check(Profile::Apisix, "{}", size);
    }
}

#[test]
fn limits_and_prices_of_the_operator_give_the_same_event_everywhere() {
    let config = r#"{
        "prices": [{"model": "gpt-4.1-mini*", "input_per_million": "1.25", "output_per_million": 9}],
        "limits": [{"id": "watch", "measure": "input_tokens", "limit": "5", "action": "observe"}]
    }"#;
    for profile in Profile::ALL {
        check(profile, config, 61);
    }
}

#[test]
fn events_of_one_worker_have_ids_of_their_own() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let mut ids: Vec<String> = exchanges()
            .iter()
            .map(|exchange| pass(&gateway, exchange, 61))
            .map(|outcome| tollgate_host::replay::event_of(profile, &outcome).unwrap()["id"].to_string())
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), exchanges().len(), "{profile:?}");
    }
}
