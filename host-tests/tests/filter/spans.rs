//! What a trace span can show: values that were written while the call still ran.

use tollgate_core::names::state;
use tollgate_host::gateway::{Outcome, Profile};
use tollgate_host::standin::Dialect;

use super::support::{ask, event, gateway, one, pass};

/// A value as span and access log show it.
fn shown(outcome: &Outcome, name: &str) -> (Option<String>, Option<String>) {
    let name = format!("wasm.{name}");
    let span = outcome.span.get(&name).map(|value| String::from_utf8_lossy(value).into_owned());
    (span, outcome.logged(&name))
}

const VALUES: [&str; 7] = [
    state::OUTCOME,
    state::PROVIDER,
    state::REQUEST_MODEL,
    state::RESPONSE_MODEL,
    state::INPUT_TOKENS,
    state::OUTPUT_TOKENS,
    state::COST,
];

#[test]
fn a_complete_call_shows_its_span_everything_the_access_log_has() {
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let gateway = gateway(Profile::Envoy, "{}");
            let outcome = pass(&gateway, one(dialect, stream), 61);
            for name in VALUES {
                let (span, log) = shown(&outcome, name);
                assert!(span.is_some() && span == log, "{dialect:?} {stream} {name}: {span:?} {log:?}");
            }
            let event = event(Profile::Envoy, &outcome);
            assert_eq!(shown(&outcome, state::COST).0.as_deref(), event["cost_usd"].as_str());
            assert_eq!(shown(&outcome, state::INPUT_TOKENS).0, event["input_tokens"].as_u64().map(|n| n.to_string()));
        }
    }
}

#[test]
fn an_aborted_call_shows_its_span_what_was_known_before_and_the_log_how_it_ended() {
    for dialect in Dialect::ALL {
        let exchange = one(dialect, true);
        let gateway = gateway(Profile::Envoy, "{}");
        let stream = ask(&gateway, exchange);
        stream.respond(exchange.response_head());
        stream.response_body(&exchange.response[..exchange.response.len() / 2], false).client_gone();
        let outcome = stream.finish();
        let (span, log) = shown(&outcome, state::OUTCOME);
        assert_eq!((span.as_deref(), log.as_deref()), (Some("in_flight"), Some("client_gone")), "{dialect:?}");
        for name in [state::PROVIDER, state::REQUEST_MODEL, state::INPUT_TOKENS, state::COST] {
            assert!(shown(&outcome, name).0.is_some(), "{dialect:?}: {name} is known before the end");
        }
        let tokens = |name| shown(&outcome, name).1.and_then(|text| text.parse::<u64>().ok());
        assert_eq!(tokens(state::OUTPUT_TOKENS), event(Profile::Envoy, &outcome)["output_tokens"].as_u64());
        assert!(tokens(state::OUTPUT_TOKENS) > Some(0), "{dialect:?}");
    }
}

#[test]
fn a_call_that_never_got_an_answer_shows_its_span_what_was_asked() {
    let gateway = gateway(Profile::Envoy, "{}");
    let stream = ask(&gateway, one(Dialect::Anthropic, true));
    stream.client_gone();
    let outcome = stream.finish();
    assert_eq!(shown(&outcome, state::REQUEST_MODEL).0.as_deref(), Some("claude-sonnet-5-5"));
    assert!(shown(&outcome, state::INPUT_TOKENS).0.is_some());
    assert_eq!(shown(&outcome, state::RESPONSE_MODEL), (None, None));
}

#[test]
fn the_other_gateways_show_their_log_the_whole_event_only() {
    for profile in [Profile::Kong, Profile::Apisix] {
        let gateway = gateway(profile, "{}");
        let outcome = pass(&gateway, one(Dialect::OpenAiChat, true), 61);
        assert!(
            outcome.logged("tollgate_event").is_some_and(|event| event.contains(r#""outcome":"complete""#)),
            "{profile:?}"
        );
        assert!(outcome.span.is_empty());
    }
}
