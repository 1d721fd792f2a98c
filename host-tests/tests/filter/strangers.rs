//! Streams that the filter sees only a part of, or never saw begin.

use tollgate_host::gateway::{Gateway, Health, Profile};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{ask, event, events_logged, gateway, one, pass, start};

fn check_alive(profile: Profile, gateway: &Gateway) {
    let before = events_logged(gateway);
    assert_eq!(pass(gateway, one(Dialect::OpenAiChat, true), 61).status(), 200, "{profile:?}");
    assert_eq!(events_logged(gateway), before + 1, "{profile:?}");
    assert_eq!(gateway.worker(0).health(), Health::Ready, "{profile:?}");
}

#[test]
fn a_request_that_authentication_refused_is_no_call() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        check_alive(profile, &gateway);
        let stream = gateway.worker(0).open_rejected_by_auth(one(Dialect::OpenAiChat, true).request_head(), 401);
        let outcome = stream.finish();
        assert_eq!((outcome.status(), outcome.trap.as_ref(), events_logged(&gateway)), (401, None, 1), "{profile:?}");
        check_alive(profile, &gateway);
    }
}

#[test]
fn streams_that_run_side_by_side_keep_to_themselves() {
    let exchanges =
        [one(Dialect::OpenAiChat, true), one(Dialect::OpenAiResponses, true), one(Dialect::Anthropic, true)];
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, "{}"));
        let streams: Vec<_> = exchanges.iter().map(|exchange| ask(&gateway, exchange)).collect();
        for (stream, exchange) in streams.iter().zip(exchanges) {
            stream.respond(exchange.response_head());
        }
        let longest = exchanges.iter().map(|exchange| exchange.response.len()).max().unwrap();
        for at in (0..longest).step_by(97) {
            for (stream, exchange) in streams.iter().zip(exchanges) {
                let piece = exchange.response.get(at..(at + 97).min(exchange.response.len())).unwrap_or_default();
                if !piece.is_empty() {
                    stream.response_body(piece, at + 97 >= exchange.response.len());
                }
            }
        }
        for (stream, exchange) in streams.into_iter().zip(exchanges) {
            assert_eq!(event(profile, &stream.finish()), super::support::native(exchange, "{}"), "{profile:?}");
        }
    }
}

#[test]
fn a_new_configuration_leaves_running_calls_to_the_old_filter() {
    let exchange = one(Dialect::OpenAiChat, true);
    for profile in [Profile::Envoy, Profile::Kong] {
        let mut gateway = gateway(profile, "{}");
        let stream = ask(&gateway, exchange);
        assert!(gateway.reconfigure(r#"{"limits": [{"id": "none", "limit": 1}]}"#).unwrap());
        stream.respond(exchange.response_head()).response_chunks(&exchange.response, 61);
        assert_eq!(event(profile, &stream.finish())["outcome"], "complete", "{profile:?}");
        assert_eq!(pass(&gateway, exchange, 61).status(), 429, "{profile:?}");
        assert_eq!(events_logged(&gateway), 2, "{profile:?}");
    }
}
