//! Kong (WasmX) as a host.

use std::time::Duration;

use tollgate_host::gateway::{
    Ending, Eviction, Filter, Gateway, Health, HttpReply, Profile, ResponseHead, Settings, ShmZone,
};

use super::support::{answered, call, gateway, logged, post, probe_wasm, said, shipped, start};

const KONG: Profile = Profile::Kong;

#[test]
fn kong_never_says_end_of_stream_in_request_headers() {
    let gateway = gateway(KONG, "");
    let _ = gateway.worker(0).open(post().without_body()).finish();
    assert!(logged(&gateway).contains(&"request_headers(5, false)".to_owned()));
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("request_body")));
}

#[test]
fn kong_shows_the_whole_body_in_one_call() {
    let gateway = gateway(KONG, "request_body set_header 0 x-judged yes");
    let stream = gateway.worker(0).open(post());
    let upstream = stream.request_chunks("hello world", 3).outcome().upstream.unwrap();
    assert_eq!(upstream.headers.text("x-judged").as_deref(), Some("yes"));
    assert_eq!(logged(&gateway).iter().filter(|line| line.starts_with("request_body(")).count(), 1);
    assert!(logged(&gateway).contains(&"request_body(11, true)".to_owned()));
}

#[test]
fn kong_cannot_read_a_body_spilled_to_disk_and_still_forwards_it() {
    let gateway = gateway(KONG, "request_body body 0 0");
    let stream = gateway.worker(0).open(post());
    stream.request_body(vec![b'x'; 40_000], true);
    assert!(logged(&gateway).contains(&"request_body(40000, true)".to_owned()));
    assert_eq!(said(&gateway, "request_body body").as_deref(), Some("1"));
    assert_eq!(stream.outcome().upstream.unwrap().body.len(), 40_000);
}

#[test]
fn kong_reads_an_agent_sized_body_when_the_buffer_is_raised() {
    let gateway = shipped(KONG, "request_body body 0 0 2");
    let _ = gateway.worker(0).open(post()).request_body(vec![b'x'; 300_000], true).outcome();
    assert_eq!(said(&gateway, "request_body body").as_deref(), Some("0 xx"));
}

#[test]
fn kong_ignores_the_offset_into_a_body() {
    let gateway = gateway(KONG, "request_body body 0 2 3");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_body body").as_deref(), Some("0 hel"));
}

#[test]
fn kong_cuts_a_replacement_body_to_the_size_given_and_fixes_the_length() {
    for (size, expected) in [("4", "repl"), ("all", "replacement")] {
        let gateway = gateway(KONG, &format!("request_body replace 0 {size} replacement"));
        let stream = gateway.worker(0).open(post().header("content-length", "5"));
        let upstream = stream.request_body("hello", true).outcome().upstream.unwrap();
        assert_eq!(upstream.body, expected.as_bytes());
        assert!(!upstream.length_mismatch());
    }
}

#[test]
fn kong_hangs_on_a_pause_without_a_callout() {
    let gateway = gateway(KONG, "request_headers pause");
    assert_eq!(call(&gateway).finish().ending, Ending::Hung);
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("request_body")));
}

#[test]
fn kong_resumes_after_the_callout_and_then_shows_the_body() {
    let gateway = gateway(KONG, "request_headers dispatch 10.0.0.1:80 100\nrequest_headers pause");
    let stream = call(&gateway);
    let token = gateway.pending_callouts()[0].token;
    gateway.answer(token, HttpReply::new(200, "ok")).unwrap();
    assert!(logged(&gateway).contains(&"request_body(5, true)".to_owned()));
    assert_eq!(stream.outcome().upstream.unwrap().body, b"hello");
}

#[test]
fn a_failed_callout_comes_back_with_all_zeros() {
    let gateway = gateway(KONG, "request_body dispatch 10.0.0.1:80 100\nrequest_body pause\ncall reply 503");
    let stream = call(&gateway);
    gateway.advance(Duration::from_millis(100));
    assert!(logged(&gateway).contains(&"call(token 1, 0 headers, 0 bytes, 0 trailers)".to_owned()));
    let outcome = stream.finish();
    assert_eq!((outcome.status(), outcome.upstream), (503, None));
}

#[test]
fn kong_sends_nothing_where_a_failed_callout_is_replied_to_with_a_body() {
    let gateway = gateway(KONG, "request_body dispatch 10.0.0.1:80 100\nrequest_body pause\ncall reply 503 down");
    let stream = call(&gateway);
    gateway.advance(Duration::from_millis(100));
    assert!(stream.finish().trap.unwrap().contains("nothing is sent"));
}

#[test]
fn kong_traps_on_a_second_local_reply() {
    let gateway = gateway(KONG, "request_body reply 429 no\nrequest_body reply 503 no");
    assert!(call(&gateway).finish().trap.unwrap().contains("already stashed"));
}

#[test]
fn kong_traps_on_a_callout_from_response_headers_and_allows_one_from_a_tick() {
    let responding = gateway(KONG, "response_headers dispatch 10.0.0.1:80 100");
    assert!(answered(&responding).finish().trap.unwrap().contains("dispatch"));
    let ticking = gateway(KONG, "configure tick 10\ntick dispatch 10.0.0.1:80 100");
    ticking.advance(Duration::from_millis(10));
    assert_eq!(ticking.pending_callouts().len(), 1);
}

#[test]
fn kong_adds_a_newline_to_a_local_reply_and_runs_the_response_callbacks_on_it() {
    let gateway = gateway(KONG, "request_body reply 429 no");
    let outcome = call(&gateway).finish();
    assert_eq!(outcome.ending, Ending::LocalReply);
    assert_eq!(outcome.downstream.unwrap().body, b"no\n");
    let lines = logged(&gateway);
    assert!(
        lines.iter().any(|line| line.starts_with("response_headers(")) && lines.contains(&"log(0, false)".to_owned())
    );
}

#[test]
fn kong_breaks_the_connection_on_a_local_reply_in_response_headers() {
    let gateway = gateway(KONG, "response_headers reply 502 no");
    let outcome = answered(&gateway).finish();
    assert!(matches!(outcome.ending, Ending::Broken(reason) if reason.contains("499")));
    assert!(outcome.downstream.is_none());
}

#[test]
fn kong_never_ends_a_long_response_with_a_content_length_but_ends_a_stream() {
    let gateway = gateway(KONG, "");
    let stream = call(&gateway);
    stream.respond(ResponseHead::json(200, 200_000)).response_chunks(vec![b'x'; 200_000], 16_384);
    let outcome = stream.finish();
    assert!(outcome.downstream.unwrap().complete);
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("response_body(") && line.ends_with("true)")));
    assert!(logged(&gateway).contains(&"log(0, false)".to_owned()));
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body("data: 1\n\n", false).response_body("", true);
    assert!(logged(&gateway).contains(&"response_body(0, true)".to_owned()));
}

#[test]
fn kong_traps_on_response_headers_in_the_response_body_and_the_response_passes_unlogged() {
    let gateway = gateway(KONG, "response_body header 2 content-type");
    let outcome = answered(&gateway).finish();
    assert!(outcome.trap.is_some());
    assert_eq!(outcome.downstream.unwrap().body, b"world");
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("log(")));
}

#[test]
fn a_trap_on_kong_is_500_and_neighbours_on_the_worker_lose_their_filter() {
    let gateway = gateway(KONG, "request_headers trap_if_header x-trap");
    let neighbour = call(&gateway);
    assert_eq!(gateway.worker(0).open(post().header("x-trap", "1")).finish().status(), 500);
    assert_eq!(gateway.worker(0).health(), Health::Ready);
    assert_eq!(gateway.worker(0).vms_started(), 2);
    neighbour.respond(ResponseHead::json(200, 5)).response_body("world", true);
    let outcome = neighbour.finish();
    assert_eq!(outcome.downstream.as_ref().unwrap().body, b"world");
    assert!(!outcome.filter_attached);
    assert!(answered(&gateway).finish().filter_attached);
}

#[test]
fn kong_shows_its_own_name_as_authority_and_ignores_a_new_path() {
    let script =
        "request_headers header 0 :authority\nrequest_body header 0 host\nrequest_headers set_header 0 :path /x";
    let gateway = gateway(KONG, script);
    let upstream = call(&gateway).outcome().upstream.unwrap();
    assert_eq!(said(&gateway, "request_headers header").as_deref(), Some("0 kong:8000"));
    assert_eq!(said(&gateway, "request_body header").as_deref(), Some("0 api.example"));
    assert_eq!(upstream.headers.text(":path").as_deref(), Some("/v1/chat/completions"));
}

#[test]
fn kong_properties_are_text() {
    let gateway = gateway(KONG, "request_headers property ngx/pid\nlog property response/code");
    let _ = answered(&gateway).finish();
    assert_eq!(said(&gateway, "request_headers property").as_deref(), Some("0 4242"));
    assert_eq!(said(&gateway, "log property").as_deref(), Some("0 200"));
}

#[test]
fn kong_logs_what_is_set_under_kong_ctx_shared_and_in_declared_variables() {
    let script = "request_headers set_property kong/ctx/shared/tokens 12\n\
        response_body set_property ngx/tollgate_tokens 13\nresponse_body set_property ngx/undeclared 1";
    let gateway = start(Settings::shipped(KONG).with_variable("tollgate_tokens"), script);
    let outcome = answered(&gateway).finish();
    assert_eq!(outcome.logged("kong.ctx.shared.tokens").as_deref(), Some("12"));
    assert_eq!(outcome.logged("tollgate_tokens").as_deref(), Some("13"));
    assert_eq!(outcome.access_log.len(), 2);
    assert!(logged(&gateway).contains(&"response_body set_property=1".to_owned()));
}

#[test]
fn kong_touches_other_requests_when_one_of_its_own_properties_is_used_after_the_request_headers() {
    for script in [
        "response_body set_property kong/ctx/shared/tokens 12",
        "response_headers property kong/route_name",
        "request_body set_property kong/ctx/shared/tokens 12",
    ] {
        let gateway = gateway(KONG, script);
        assert!(answered(&gateway).finish().trap.unwrap().contains("another request"), "{script}");
    }
}

#[test]
fn kong_has_logged_before_the_last_callbacks_set_anything() {
    for last in ["done", "log"] {
        let settings = Settings::shipped(KONG).with_variable("tollgate_tokens");
        let gateway = start(settings, &format!("{last} set_property ngx/tollgate_tokens 12"));
        assert!(answered(&gateway).finish().access_log.is_empty(), "{last}");
        assert_eq!(said(&gateway, &format!("{last} set_property")).as_deref(), Some("0"));
    }
}

#[test]
fn kong_traps_on_shared_data_without_a_zone() {
    let gateway = gateway(KONG, "request_headers get_shared k");
    assert!(call(&gateway).finish().trap.unwrap().contains("namespace"));
}

#[test]
fn kong_drops_its_filters_when_shared_data_is_touched_while_configuring_without_a_zone() {
    let gateway = gateway(KONG, "configure get_shared k\nrequest_headers reply 429 no");
    assert!(call(&gateway).finish().upstream.is_some());
}

#[test]
fn kong_matches_shared_data_keys_by_crc32_only() {
    let gateway = shipped(KONG, "request_headers set_shared plumless secret 0\nrequest_body get_shared buckeroo");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_body get_shared").as_deref(), Some("0 secret@1"));
}

#[test]
fn kong_writes_with_cas_zero_only_if_absent_and_deletes_only_with_the_right_cas() {
    let script = "request_headers set_shared k one 0\nrequest_body set_shared k two 0\nresponse_headers set_shared k two 1\n\
                  response_body delete_shared k 1\nlog delete_shared k 2\ndelete get_shared k";
    let gateway = shipped(KONG, script);
    let _ = answered(&gateway).finish();
    for (operation, expected) in [
        ("request_headers set_shared", "0"),
        ("request_body set_shared", "8"),
        ("response_headers set_shared", "0"),
        ("response_body delete_shared", "8"),
        ("log delete_shared", "0"),
        ("delete get_shared", "1"),
    ] {
        assert_eq!(said(&gateway, operation).as_deref(), Some(expected), "{operation}");
    }
}

#[test]
fn kong_drops_old_keys_without_a_word_unless_eviction_is_off() {
    for (eviction, written, old) in [(Eviction::Slru, "0", "1"), (Eviction::None, "10", "0 v@1")] {
        let zone = ShmZone { name: "*".to_owned(), bytes: 64 << 10, eviction };
        let settings = Settings { shm_zones: vec![zone], ..Settings::new(KONG) };
        let script =
            "request_headers set_shared k v 0\nrequest_headers fill_shared 100 1000\nrequest_body get_shared k";
        let gateway = start(settings, script);
        let _ = call(&gateway);
        assert_eq!(said(&gateway, "request_headers fill_shared").as_deref(), Some(written));
        assert_eq!(said(&gateway, "request_body get_shared").as_deref(), Some(old));
    }
}

#[test]
fn a_key_with_a_slash_goes_to_the_zone_of_that_name() {
    let zone = ShmZone { name: "budget".to_owned(), bytes: 64 << 10, eviction: Eviction::None };
    let settings = Settings { shm_zones: vec![zone], ..Settings::new(KONG) };
    let gateway = start(settings, "request_headers set_shared budget/k v 0\nrequest_body set_shared k v 0");
    let outcome = call(&gateway).finish();
    assert_eq!(said(&gateway, "request_headers set_shared").as_deref(), Some("0"));
    assert!(outcome.trap.unwrap().contains("namespace"));
}

#[test]
fn kong_traps_on_a_metric_name_above_256_characters() {
    let gateway = gateway(KONG, "request_headers metric 0 ~ 1");
    assert!(call(&gateway).finish().trap.unwrap().contains("metric name"));
}

#[test]
fn kong_traps_on_what_it_does_not_implement() {
    for operation in ["done", "close 1", "continue 1"] {
        let gateway = gateway(KONG, &format!("request_headers {operation}"));
        assert_eq!(call(&gateway).finish().trap.is_some(), operation != "continue 1", "{operation}");
    }
}

#[test]
fn kong_does_not_run_the_filter_when_auth_refuses() {
    let gateway = gateway(KONG, "");
    let outcome = gateway.worker(0).open_rejected_by_auth(post(), 401).finish();
    assert_eq!(outcome.status(), 401);
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("response_headers")));
}

#[test]
fn kong_logs_after_done_also_when_the_client_leaves() {
    let gateway = gateway(KONG, "");
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body("data: 1\n\n", false).client_gone();
    let lines = logged(&gateway);
    let place = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    assert!(place("done(") < place("log("));
}

#[test]
fn kong_holds_a_paused_response_only_as_far_as_its_buffers_go() {
    let gateway = gateway(KONG, "response_body pause_until_end");
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body(vec![b'x'; 16 << 10], false);
    assert!(stream.outcome().downstream.is_none_or(|downstream| downstream.body.is_empty()));
    stream.response_body("y", false);
    assert_eq!(stream.outcome().downstream.unwrap().body.len(), (16 << 10) + 1);
}

#[test]
fn kong_reads_its_clock_in_milliseconds() {
    let gateway = gateway(KONG, "request_headers now");
    gateway.advance(Duration::from_nanos(1_999_999));
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_headers now").as_deref(), Some("0 1770000000001000000"));
}

#[test]
fn kong_traps_when_a_histogram_is_read_and_envoy_does_not() {
    let filter = Filter::compile(&probe_wasm(Some("with_get_metric"))).unwrap();
    for (profile, traps) in [(KONG, true), (Profile::Envoy, false)] {
        let settings = Settings::new(profile).with_config("request_headers get_metric 2 sizes");
        let gateway = Gateway::start(&filter, settings).unwrap();
        assert_eq!(call(&gateway).finish().trap.is_some(), traps, "{profile:?}");
    }
}
