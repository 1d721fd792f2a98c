//! Traffic that is no LLM call passes as if the filter were not there: unread, unbuffered, unchanged.

use tollgate_host::gateway::{Effect, Faults, Headers, Profile, RequestHead, ResponseHead, When};
use tollgate_host::replay;

use super::support::{events_logged, has_metrics, start};

/// What no traffic but calls may cause.
const CHANGES: [&str; 6] = [
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_set_buffer_bytes",
    "proxy_send_local_response",
    "proxy_get_shared_data",
    "proxy_set_shared_data",
];

/// Drives a request with a body through a gateway where every other host call would fail, and looks after each piece.
fn check(profile: Profile, head: RequestHead) {
    let forbidden = CHANGES.into_iter().chain(["proxy_get_buffer_bytes", "proxy_set_property"]);
    let gateway = start(replay::settings(profile, "{}"));
    let fail = |faults: Faults, name| faults.with(name, When::Always, Effect::Status(10));
    gateway.set_faults(forbidden.fold(Faults::none(), fail));
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
        ("PUT", "/v1/files/1"),
        ("POST", "/"),
    ];
    for profile in Profile::ALL {
        for (method, path) in others {
            let head = RequestHead::new(method, "llm.example", path).header("accept-encoding", "gzip, br");
            check(profile, head.header("x-tollgate-app", "shop"));
        }
    }
}

/// Requests of ordinary applications to paths that providers have too.
fn ordinary() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let upload = b"--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{}\r\n--b--".to_vec();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("POST", "/api/chat", text(r#"{"room":7,"text":"hello"}"#)),
        ("POST", "/api/chat", text(r#"{"messages":[{"role":"user","content":"hello"}]}"#)),
        ("POST", "/api/chat", text("[1,2,3]")),
        ("POST", "/api/chat", text("<message>hello</message>")),
        ("POST", "/api/generate", upload),
        ("POST", "/api/generate", text(r#"{"model":"Golf","year":1984}"#)),
        ("POST", "/v1/chat", text(r#"{"message":"hello","to":"anna"}"#)),
        ("POST", "/v1/messages", text(r#"{"to":"+49","messages":["hello"]}"#)),
        ("POST", "/v1/messages", text("not { json")),
        ("POST", "/v1/responses", text(r#"{"survey":4,"input":{"q1":"yes"}}"#)),
        ("POST", "/v1/embeddings", text("input=hello&model=x")),
        ("POST", "/rooms/7/embeddings", text(r#"{"model":3,"input":"x"}"#)),
        ("POST", "/v1/rerank", text(r#"{"query":"shoes"}"#)),
        ("POST", "/search/completions", text(r#"{"prompt":"sho"}"#)),
        ("POST", "/model/churn/invoke", text(r#"{"rows":[[1,2]]}"#)),
        ("PUT", "/v1/chat/completions", text(r#"{"name":"kept"}"#)),
        ("DELETE", "/v1/chat/completions", text("")),
        ("GET", "/v1/responses", text("")),
        ("POST", "/api/chat", text("")),
        ("POST", "/api/chat", b"\x00\xff\xfe\x01binary".to_vec()),
    ]
}

#[test]
fn ordinary_requests_to_paths_that_providers_have_too_leave_no_trace() {
    for profile in Profile::ALL {
        for (method, path, body) in ordinary() {
            for size in [1, 4096] {
                let about = format!("{profile:?} {method} {path} {}", String::from_utf8_lossy(&body));
                let gateway = start(replay::settings(profile, "{}"));
                let fail = |faults: Faults, name| faults.with(name, When::Always, Effect::Status(10));
                gateway.set_faults(CHANGES.into_iter().fold(Faults::none(), fail));
                let head = RequestHead::new(method, "shop.example", path)
                    .header("accept-encoding", "gzip, br")
                    .header("content-length", &body.len().to_string());
                let sent = head.headers.clone();
                let head = if body.is_empty() { head.without_body() } else { head };
                let stream = gateway.worker(0).open(head);
                if !body.is_empty() {
                    stream.request_chunks(&body, size);
                }
                let answer = ResponseHead::json(200, 2).header("content-encoding", "br");
                let answered = answer.headers.clone();
                stream.respond(answer).response_body("ok", true);
                let outcome = stream.finish();
                assert_eq!((outcome.trap.as_ref(), events_logged(&gateway)), (None, 0), "{about}");
                let (upstream, downstream) = (outcome.upstream.unwrap(), outcome.downstream.unwrap());
                let same = |a: &Headers, b: &Headers| a.iter().eq(b.iter());
                assert!(same(&upstream.headers, &sent) && same(&downstream.headers, &answered), "{about}");
                assert!(upstream.complete && upstream.body == body && downstream.body == b"ok", "{about}");
                if has_metrics(profile) {
                    assert_eq!(gateway.metrics().iter().count(), 0, "{about}");
                }
            }
        }
    }
}

#[test]
fn a_body_that_cannot_be_a_calls_is_not_held_back() {
    let gateway = start(replay::settings(Profile::Envoy, "{}"));
    let stream = gateway.worker(0).open(RequestHead::post_json("shop.example", "/api/chat"));
    stream.request_body("  ", false);
    stream.request_body("<message>", false);
    assert_eq!(stream.outcome().upstream.unwrap().body, b"  <message>");
    stream.request_body("hello</message>", true);
    assert_eq!(stream.outcome().upstream.unwrap().body, b"  <message>hello</message>");
}

#[test]
fn a_misconfigured_filter_lets_ordinary_requests_pass_and_refuses_calls() {
    for profile in Profile::ALL {
        for (body, status) in [(r#"{"text":"hello"}"#, 200), (r#"{"model":"m","messages":[]}"#, 503)] {
            let gateway = start(replay::settings(profile, r#"{"limit": 1}"#));
            let stream = gateway.worker(0).open(RequestHead::post_json("shop.example", "/api/chat"));
            stream.request_body(body, true).respond(ResponseHead::json(200, 2)).response_body("{}", true);
            assert_eq!(stream.finish().status(), status, "{profile:?} {body}");
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
