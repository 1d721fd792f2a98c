//! APISIX (wasm-nginx-module) as a host.

use tollgate_host::gateway::{Ending, Health, HttpReply, Profile, ResponseHead, Settings};

use super::support::{answered, call, gateway, logged, post, said, start};

const APISIX: Profile = Profile::Apisix;
const SHOW_REQUEST: &str = "request_headers set_property wasm_process_req_body true";
const SHOW_RESPONSE: &str = "response_headers set_property wasm_process_resp_body true";

#[test]
fn apisix_always_says_end_of_stream_and_no_headers() {
    let gateway = gateway(APISIX, "request_headers header 0 :authority");
    let _ = call(&gateway);
    assert!(logged(&gateway).contains(&"request_headers(0, true)".to_owned()));
    assert_eq!(said(&gateway, "request_headers header").as_deref(), Some("0 api.example"));
}

#[test]
fn apisix_shows_bodies_only_to_a_filter_that_asked() {
    let silent = gateway(APISIX, "");
    let _ = answered(&silent);
    assert!(!logged(&silent).iter().any(|line| line.contains("_body(")));

    let asking = gateway(APISIX, &format!("{SHOW_REQUEST}\n{SHOW_RESPONSE}\nrequest_body body 0 2 3"));
    let _ = answered(&asking);
    assert!(logged(&asking).contains(&"request_body(5, true)".to_owned()));
    assert!(logged(&asking).contains(&"response_body(5, true)".to_owned()));
    assert_eq!(said(&asking, "request_body body").as_deref(), Some("0 llo"));
}

#[test]
fn apisix_shows_a_body_only_inside_its_callback() {
    let gateway = gateway(APISIX, &format!("{SHOW_REQUEST}\nresponse_headers body 0 0"));
    let _ = answered(&gateway);
    assert_eq!(said(&gateway, "response_headers body").as_deref(), Some("1"));
}

#[test]
fn apisix_answers_12_where_it_has_nothing() {
    for operation in ["get_shared k", "set_shared k v 0", "now", "tick 10", "replace 0 all x", "done"] {
        let gateway = gateway(APISIX, &format!("{SHOW_REQUEST}\nrequest_body {operation}"));
        assert!(call(&gateway).outcome().upstream.is_some());
        let name = operation.split(' ').next().unwrap();
        assert_eq!(said(&gateway, &format!("request_body {name}")).as_deref(), Some("12"), "{operation}");
    }
}

#[test]
fn a_callback_of_a_callout_can_name_its_context() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "request_headers dispatch 10.0.0.1:80 100\nrequest_headers pause\ncall context");
        let _stream = call(&gateway);
        gateway.fail(gateway.pending_callouts()[0].token).unwrap();
        assert_eq!(said(&gateway, "call context").as_deref(), Some("0"), "{profile:?}");
    }
}

#[test]
fn the_wasi_clock_works_where_the_clock_call_does_not() {
    let gateway = gateway(APISIX, "request_headers wasi_now");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_headers wasi_now").as_deref(), Some("0 1770000000000000000"));
}

#[test]
fn apisix_crashes_on_a_pause_without_a_callout() {
    let gateway = gateway(APISIX, "request_headers trap_if_header never\nrequest_headers pause");
    let outcome = call(&gateway).finish();
    assert!(matches!(outcome.ending, Ending::WorkerCrashed(_)));
    assert!(matches!(gateway.worker(0).health(), Health::Crashed(_)));
}

#[test]
fn apisix_pauses_safely_after_a_local_reply_or_a_callout() {
    let replying = gateway(APISIX, "request_headers reply 429 no\nrequest_headers pause");
    let outcome = call(&replying).finish();
    assert_eq!((outcome.status(), outcome.downstream.unwrap().body), (429, b"no".to_vec()));

    let calling =
        gateway(APISIX, &format!("{SHOW_REQUEST}\nrequest_body dispatch 10.0.0.1:80 100\nrequest_body pause"));
    let stream = call(&calling);
    assert!(stream.outcome().upstream.is_none());
    calling.answer(calling.pending_callouts()[0].token, HttpReply::new(200, "ok")).unwrap();
    assert_eq!(stream.outcome().upstream.unwrap().body, b"hello");
}

#[test]
fn apisix_makes_one_callout_at_a_time_and_none_in_responses() {
    let twice =
        "request_headers dispatch 10.0.0.1:80 100\nrequest_headers dispatch 10.0.0.1:80 100\nrequest_headers pause";
    let gateway = gateway(APISIX, &format!("{twice}\nresponse_headers dispatch 10.0.0.1:80 100"));
    let stream = call(&gateway);
    assert!(logged(&gateway).contains(&"request_headers dispatch=2".to_owned()));
    gateway.fail(gateway.pending_callouts()[0].token).unwrap();
    let _ = stream.respond(ResponseHead::json(200, 0)).outcome();
    assert_eq!(said(&gateway, "response_headers dispatch").as_deref(), Some("2"));
}

#[test]
fn apisix_ignores_a_local_reply_in_response_headers() {
    let gateway = gateway(APISIX, "response_headers reply 502 no");
    let outcome = answered(&gateway).finish();
    assert_eq!((outcome.status(), outcome.ending), (200, Ending::Complete));
    assert_eq!(outcome.local_reply.unwrap().status, 502);
}

#[test]
fn apisix_never_logs_and_has_no_request_when_done() {
    let gateway =
        gateway(APISIX, "request_headers property remote_addr\ndone property remote_addr\ndone header 0 :path");
    let _ = answered(&gateway).finish();
    assert_eq!(said(&gateway, "request_headers property").as_deref(), Some("0 127.0.0.1"));
    assert_eq!(said(&gateway, "done property").as_deref(), Some("2"));
    assert_eq!(said(&gateway, "done header").as_deref(), Some("2"));
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("log(")));
}

#[test]
fn apisix_has_no_properties_while_it_configures() {
    let gateway = gateway(APISIX, "configure property remote_addr");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "configure property").as_deref(), Some("2"));
}

#[test]
fn apisix_sets_only_variables_that_nginx_declared() {
    let script = "response_headers set_property tollgate_tokens 12\nrequest_headers set_property other 1";
    let gateway = start(Settings::new(APISIX).with_variable("tollgate_tokens"), script);
    let outcome = answered(&gateway).finish();
    assert_eq!(outcome.logged("tollgate_tokens").as_deref(), Some("12"));
    assert_eq!(outcome.logged("other"), None);
}

#[test]
fn a_trap_bricks_the_worker_on_apisix_and_only_that_one() {
    let gateway = start(Settings::shipped(APISIX).with_workers(2), "request_headers trap_if_header x-trap");
    assert_eq!(gateway.worker(0).open(post().header("x-trap", "1")).finish().status(), 503);
    assert_eq!(call(&gateway).finish().status(), 503);
    let other = gateway.worker(1).open(post());
    assert!(other.request_body("x", true).outcome().upstream.is_some());
}

#[test]
fn apisix_runs_response_headers_alone_when_auth_refuses() {
    let gateway = gateway(APISIX, "");
    let outcome = gateway.worker(0).open_rejected_by_auth(post(), 401).finish();
    assert_eq!(outcome.status(), 401);
    let lines = logged(&gateway);
    assert!(lines.contains(&"response_headers(0, true)".to_owned()));
    assert!(!lines.iter().any(|line| line.starts_with("request_headers")));
}

#[test]
fn metrics_do_nothing_on_apisix() {
    let gateway = gateway(APISIX, "request_headers metric 0 calls_total 1");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_headers metric").as_deref(), Some("0 id 0"));
    assert_eq!(gateway.metrics().iter().count(), 0);
}

#[test]
fn apisix_escapes_the_question_mark_of_a_new_path() {
    let gateway = gateway(APISIX, "request_headers set_header 0 :path /a?b");
    assert_eq!(call(&gateway).outcome().upstream.unwrap().headers.text(":path").as_deref(), Some("/a%3Fb"));
}

#[test]
fn apisix_lets_the_environment_of_nginx_through() {
    let settings = Settings { environment: vec![("REGION".to_owned(), "eu".to_owned())], ..Settings::new(APISIX) };
    let gateway = start(settings, "request_headers environment REGION");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_headers environment").as_deref(), Some("0 eu"));
}
