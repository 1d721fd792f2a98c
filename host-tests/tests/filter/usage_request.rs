//! Asking for the usage of a stream that the client does not ask for: what upstream and client then see.

use crate::support::{event, gateway, metric};
use tollgate_core::names::metric;
use tollgate_host::gateway::{Effect, Faults, Gateway, Outcome, Profile, RequestHead, ResponseHead, When};

const DELTA: &str =
    "data: {\"id\":\"c1\",\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const FINISH: &str = "data: {\"id\":\"c1\",\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"model\":\"gpt-4.1\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2,\"total_tokens\":10}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A streamed call at `host` whose provider answers with usage, in pieces of `size`.
fn stream(gateway: &Gateway, host: &str, request: &str, size: usize) -> Outcome {
    let head = RequestHead::post_json(host, "/v1/chat/completions");
    let stream = gateway.worker(0).open(head.header("content-length", &request.len().to_string()));
    stream.request_chunks(request, size);
    stream.respond(ResponseHead::sse()).response_chunks([DELTA, FINISH, USAGE, DONE].concat(), size);
    stream.finish()
}

fn sent(outcome: &Outcome) -> String {
    let upstream = outcome.upstream.as_ref().expect("the call reached upstream");
    assert!(upstream.complete && !upstream.length_mismatch(), "{upstream:?}");
    String::from_utf8_lossy(&upstream.body).into_owned()
}

fn received(outcome: &Outcome) -> String {
    let downstream = outcome.downstream.as_ref().expect("the client got an answer");
    assert!(downstream.complete && outcome.trap.is_none(), "{outcome:?}");
    String::from_utf8_lossy(&downstream.body).into_owned()
}

const SILENT: &str =
    r#"{"model":"gpt-4.1","stream":true, "seed":1.0,"messages":[{"role":"user","content":"Hi \u00e9"}]}"#;

#[test]
fn usage_is_asked_for_and_kept_from_a_client_that_did_not_ask() {
    for size in [1, 7, 4096] {
        for host in ["api.openai.com", "llm.example"] {
            let outcome = stream(&gateway(Profile::Envoy, "{}"), host, SILENT, size);
            let asking = SILENT.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
            assert_eq!(sent(&outcome), asking);
            assert_eq!(received(&outcome), [DELTA, FINISH, DONE].concat(), "in pieces of {size}");
            let event = event(Profile::Envoy, &outcome);
            assert_eq!((&event["usage_source"], &event["input_tokens"]), (&"reported".into(), &8.into()));
        }
    }
}

#[test]
fn a_client_that_asks_gets_what_it_asks_for_byte_for_byte() {
    let asking = SILENT.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
    let outcome = stream(&gateway(Profile::Envoy, "{}"), "api.openai.com", &asking, 7);
    assert_eq!((sent(&outcome), received(&outcome)), (asking, [DELTA, FINISH, USAGE, DONE].concat()));
}

#[test]
fn nothing_is_changed_where_it_is_switched_off_or_may_not_be_understood() {
    for (host, config) in [("api.openai.com", r#"{"include_usage": false}"#), ("api.mistral.ai", "{}")] {
        let outcome = stream(&gateway(Profile::Envoy, config), host, SILENT, 7);
        assert_eq!((sent(&outcome), received(&outcome)), (SILENT.to_owned(), [DELTA, FINISH, USAGE, DONE].concat()));
    }
}

#[test]
fn gateways_that_cannot_change_bodies_pass_them_as_they_are() {
    for profile in [Profile::Kong, Profile::Apisix] {
        let outcome = stream(&gateway(profile, "{}"), "api.openai.com", SILENT, 4096);
        assert_eq!((sent(&outcome), received(&outcome)), (SILENT.to_owned(), [DELTA, FINISH, USAGE, DONE].concat()));
    }
}

#[test]
fn an_answer_that_is_no_stream_passes_as_it_is() {
    let gateway = gateway(Profile::Envoy, "{}");
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
    let stream = gateway.worker(0).open(head);
    stream.request_body(SILENT, true);
    let error = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;
    stream.respond(ResponseHead::json(400, error.len())).response_chunks(error, 9);
    assert_eq!(received(&stream.finish()), error);
}

#[test]
fn the_last_event_passes_though_no_blank_line_and_an_empty_piece_end_it() {
    let gateway = gateway(Profile::Envoy, "{}");
    let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
    stream.request_body(SILENT, true).respond(ResponseHead::sse());
    stream.response_body([DELTA, USAGE, DONE.trim_end()].concat(), false).response_body("", true);
    assert_eq!(received(&stream.finish()), [DELTA, DONE.trim_end()].concat());
}

#[test]
fn a_gateway_that_refuses_to_change_bodies_passes_them_as_they_are() {
    for function in ["proxy_set_buffer_bytes", "proxy_remove_header_map_value"] {
        for when in [When::Once, When::Always] {
            for size in [1, 7, 61, 4096] {
                let gateway = gateway(Profile::Envoy, "{}");
                gateway.set_faults(Faults::none().with(function, when, Effect::Status(10)));
                let outcome = stream(&gateway, "api.openai.com", SILENT, size);
                assert_eq!(sent(&outcome), SILENT, "{function} {when:?} {size}");
                assert_eq!(received(&outcome), [DELTA, FINISH, USAGE, DONE].concat(), "{function} {when:?} {size}");
                let labels = [("function", function.trim_start_matches("proxy_")), ("status", "10")];
                assert!(metric(&gateway, metric::HOST_ERRORS, &labels) > Some(0), "{function} {when:?} {size}");
            }
        }
    }
}

#[test]
fn a_stream_that_states_no_usage_is_counted_where_none_may_be_asked_for() {
    let off = r#"{"include_usage": false}"#;
    for (profile, config) in [(Profile::Envoy, off), (Profile::Kong, "{}"), (Profile::Apisix, "{}")] {
        let gateway = gateway(profile, config);
        let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
        stream.request_body(SILENT, true).respond(ResponseHead::sse());
        stream.response_chunks([DELTA, FINISH, DONE].concat(), 7);
        let outcome = stream.finish();
        assert_eq!((sent(&outcome), received(&outcome)), (SILENT.to_owned(), [DELTA, FINISH, DONE].concat()));
        let event = event(profile, &outcome);
        assert_eq!((&event["outcome"], &event["usage_source"]), (&"complete".into(), &"counted".into()), "{profile:?}");
        // 3 around the prompt, 4 around the message, and its two tokens; one of the answer.
        let tokens = (&event["input_tokens"], &event["output_tokens"]);
        assert_eq!(tokens, (&9.into(), &1.into()), "{profile:?}");
    }
}
