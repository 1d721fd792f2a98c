//! Traffic that is no LLM call passes as if the filter were not there: unread, unbuffered, unchanged.

use tollgate_host::gateway::{Effect, Faults, Headers, Profile, RequestHead, ResponseHead, When};
use tollgate_host::replay;

use super::support::{events_logged, has_metrics, start};

/// Drives a request with a body through a gateway where every other host call would fail, and looks after each piece.
fn check(profile: Profile, head: RequestHead) {
    let forbidden = [
        "proxy_get_buffer_bytes",
        "proxy_set_property",
        "proxy_replace_header_map_value",
        "proxy_send_local_response",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
    ];
    let gateway = start(replay::settings(profile, "{}"));
    let fail = |faults: Faults, name| faults.with(name, When::Always, Effect::Status(10));
    gateway.set_faults(forbidden.into_iter().fold(Faults::none(), fail));
    let sent = head.headers.clone();
    let stream = gateway.worker(0).open(head);
    let (request, response) = (b"\x00\xff{\"model\":".repeat(400), b"<html>\xfe</html>".repeat(900));
    let mut arrived = Vec::new();
    for (index, piece) in request.chunks(1000).enumerate() {
        stream.request_body(piece, (index + 1) * 1000 >= request.len());
        arrived.extend_from_slice(piece);
        if profile == Profile::Envoy {
            assert_eq!(stream.outcome().upstream.unwrap().body, arrived, "nothing is held back");
        }
    }
    let answer = ResponseHead::new(418).header("content-type", "text/html").header("x-own", "kept");
    let (answered, mut arrived) = (answer.headers.clone(), Vec::new());
    stream.respond(answer);
    for (index, piece) in response.chunks(1000).enumerate() {
        stream.response_body(piece, (index + 1) * 1000 >= response.len());
        arrived.extend_from_slice(piece);
        assert_eq!(stream.outcome().downstream.unwrap().body, arrived, "nothing is held back on {profile:?}");
    }
    let outcome = stream.finish();
    assert_eq!(outcome.trap, None, "{profile:?}");
    let (upstream, downstream) = (outcome.upstream.unwrap(), outcome.downstream.unwrap());
    let same = |a: &Headers, b: &Headers| a.iter().eq(b.iter());
    assert!(same(&upstream.headers, &sent), "{:?}", upstream.headers);
    assert!(same(&downstream.headers, &answered), "{:?}", downstream.headers);
    assert_eq!((upstream.body, downstream.body), (request, response));
    assert!(outcome.access_log.is_empty(), "{:?}", outcome.access_log);
    assert_eq!(events_logged(&gateway), 0);
    if has_metrics(profile) {
        assert_eq!(gateway.metrics().iter().count(), 0, "no forbidden call was made: it would have been counted");
    }
}

#[test]
fn other_paths_and_methods_pass_unread_and_unbuffered() {
    let others = [
        ("POST", "/v1/files"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/chat/completions/extra"),
        ("PUT", "/v1/chat/completions"),
        ("POST", "/"),
    ];
    for profile in Profile::ALL {
        for (method, path) in others {
            let head = RequestHead::new(method, "llm.example", path).header("accept-encoding", "gzip, br");
            check(profile, head.header("x-tollgate-app", "shop"));
        }
    }
}

#[test]
fn a_request_without_a_body_passes_too() {
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, "{}"));
        let stream = gateway.worker(0).open(RequestHead::new("GET", "llm.example", "/v1/models").without_body());
        stream.respond(ResponseHead::new(204).without_body());
        let outcome = stream.finish();
        assert_eq!((outcome.status(), outcome.trap.as_ref(), events_logged(&gateway)), (204, None, 0), "{profile:?}");
    }
}

#[test]
fn a_route_that_is_to_be_ignored_is_left_alone() {
    let config = r#"{"routes": [{"path_prefix": "/v1/chat", "ignore": true}]}"#;
    for profile in Profile::ALL {
        let gateway = start(replay::settings(profile, config));
        let stream = gateway.worker(0).open(RequestHead::post_json("llm.example", "/v1/chat/completions"));
        stream.request_body("{}", true).respond(ResponseHead::json(200, 2)).response_body("{}", true);
        assert_eq!((stream.finish().status(), events_logged(&gateway)), (200, 0), "{profile:?}");
    }
}
