//! Envoy as a host.

use std::time::Duration;

use tollgate_host::gateway::{
    Effect, Ending, Faults, Headers, Health, HttpReply, Profile, ResponseHead, Settings, When,
};

use super::support::{answered, call, gateway, logged, post, said, shipped, start};

const ENVOY: Profile = Profile::Envoy;

fn holding_headers(script: &str) -> tollgate_host::gateway::Gateway {
    start(Settings { allow_on_headers_stop_iteration: true, ..Settings::new(ENVOY) }, script)
}

#[test]
fn pause_from_request_headers_stops_everything_without_the_flag() {
    let gateway = gateway(ENVOY, "request_headers pause");
    let outcome = call(&gateway).finish();
    assert_eq!(outcome.ending, Ending::Hung);
    assert!(outcome.upstream.is_none());
    assert!(!logged(&gateway).iter().any(|line| line.starts_with("request_body")));
}

#[test]
fn with_the_flag_headers_are_held_until_the_body_was_judged() {
    let gateway = holding_headers(
        "request_headers pause\nrequest_body pause_until_end\nrequest_body_end set_header 0 x-judged yes",
    );
    let stream = gateway.worker(0).open(post());
    assert!(stream.request_body("hel", false).outcome().upstream.is_none());
    let upstream = stream.request_body("lo", true).outcome().upstream.unwrap();
    assert_eq!(upstream.headers.text("x-judged").as_deref(), Some("yes"));
    assert_eq!(upstream.body, b"hello");
}

#[test]
fn a_paused_body_is_shown_as_it_grows() {
    let gateway = gateway(ENVOY, "request_body pause_until_end\nrequest_body_end body 0 2 3");
    gateway.worker(0).open(post()).request_body("abc", false).request_body("def", true);
    assert!(logged(&gateway).contains(&"request_body(3, false)".to_owned()));
    assert!(logged(&gateway).contains(&"request_body(6, true)".to_owned()));
    assert_eq!(said(&gateway, "request_body body").as_deref(), Some("0 cde"));
}

#[test]
fn a_denied_body_never_reaches_the_upstream_but_its_headers_do() {
    let gateway = gateway(ENVOY, "request_body pause_until_end\nrequest_body_end reply 429 no");
    let stream = gateway.worker(0).open(post());
    stream.request_chunks(vec![b'x'; 200_009], 16_384);
    let outcome = stream.finish();
    let upstream = outcome.upstream.as_ref().unwrap();
    assert_eq!((outcome.status(), upstream.body.len(), upstream.complete), (429, 0, false));
    assert_eq!(outcome.ending, Ending::LocalReply);
}

#[test]
fn headers_let_pass_cannot_be_read_or_changed_later_except_in_on_log() {
    let gateway = gateway(ENVOY, "request_body set_header 0 x y\nresponse_body header 0 :path\nlog header 0 :path");
    let _ = answered(&gateway).finish();
    assert_eq!(said(&gateway, "request_body set_header").as_deref(), Some("2"));
    assert_eq!(said(&gateway, "response_body header").as_deref(), Some("2"));
    assert_eq!(said(&gateway, "log header").as_deref(), Some("0 /v1/chat/completions"));
}

#[test]
fn a_replaced_body_needs_content_length_removed_while_headers_pass() {
    let replace = "request_body pause_until_end\nrequest_body_end replace 0 all longer-than-before";
    for (script, mismatch) in
        [(replace.to_owned(), true), (format!("request_headers remove_header 0 content-length\n{replace}"), false)]
    {
        let gateway = gateway(ENVOY, &script);
        let stream = gateway.worker(0).open(post().header("content-length", "5"));
        let upstream = stream.request_body("hello", true).outcome().upstream.unwrap();
        assert_eq!(upstream.body, b"longer-than-before");
        assert_eq!(upstream.length_mismatch(), mismatch);
    }
}

#[test]
fn replacing_less_than_the_body_is_a_bad_argument() {
    let gateway = gateway(ENVOY, "request_body replace 0 2 x");
    let _ = call(&gateway);
    assert_eq!(said(&gateway, "request_body replace").as_deref(), Some("2"));
}

#[test]
fn a_held_body_above_the_buffer_limit_gets_413() {
    let gateway = gateway(ENVOY, "request_body pause_until_end");
    let stream = gateway.worker(0).open(post());
    stream.request_chunks(vec![b'x'; (1 << 20) + 1], 65_536);
    assert_eq!(stream.finish().status(), 413);
    let stream = gateway.worker(0).open(post());
    stream.request_chunks(vec![b'x'; 1 << 20], 65_536);
    assert!(stream.outcome().upstream.unwrap().complete);
}

#[test]
fn trailers_end_a_body_that_never_said_end_of_stream() {
    let gateway = gateway(ENVOY, "request_body pause");
    let stream = gateway.worker(0).open(post());
    stream.request_body("hello", false).request_trailers(Headers::from([("x-sum", "1")]));
    let upstream = stream.outcome().upstream.unwrap();
    assert_eq!((upstream.body.as_slice(), upstream.trailers.unwrap().len()), (b"hello".as_slice(), 1));
    assert!(!logged(&gateway).contains(&"request_body(5, true)".to_owned()));
    assert!(logged(&gateway).contains(&"request_trailers(1, true)".to_owned()));
}

#[test]
fn one_segment_properties_reach_the_access_log_and_on_log_ones_never_reach_spans() {
    let gateway = gateway(
        ENVOY,
        "response_body set_property tokens.input 12\nresponse_body set_property a/b 1\nlog set_property late yes",
    );
    let outcome = answered(&gateway).finish();
    assert_eq!(outcome.logged("wasm.tokens.input").as_deref(), Some("12"));
    assert_eq!(outcome.logged("wasm.late").as_deref(), Some("yes"));
    assert_eq!(outcome.access_log.len(), 2);
    assert_eq!(outcome.span.keys().collect::<Vec<_>>(), ["wasm.tokens.input"]);
}

#[test]
fn a_client_that_leaves_is_still_logged() {
    let gateway = gateway(ENVOY, "response_body set_property seen part\nlog set_property ended yes");
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body("data: 1\n\n", false).client_gone();
    let outcome = stream.finish();
    assert_eq!(outcome.ending, Ending::ClientGone);
    assert_eq!(outcome.logged("wasm.ended").as_deref(), Some("yes"));
    assert_eq!(outcome.span.len(), 1);
    assert!(!outcome.downstream.unwrap().complete);
}

#[test]
fn numbers_in_properties_are_little_endian() {
    let gateway =
        gateway(ENVOY, "log property response/code\nlog property ngx/pid\nlog property upstream/request_attempt_count");
    let stream = answered(&gateway);
    let _ = stream.finish();
    assert_eq!(said(&gateway, "log property").as_deref(), Some("0 [200, 0, 0, 0, 0, 0, 0, 0]"));
    assert!(logged(&gateway).contains(&"log property=1".to_owned()));
}

#[test]
fn a_property_can_be_set_by_the_test_for_one_stream() {
    let gateway =
        gateway(ENVOY, "request_headers property xds/route_name\nlog property upstream/request_attempt_count");
    let stream = gateway.worker(0).open(post().property(&["xds", "route_name"], "chat"));
    stream.request_body("", true).set_property(&["upstream", "request_attempt_count"], 3);
    let _ = stream.finish();
    assert_eq!(said(&gateway, "request_headers property").as_deref(), Some("0 chat"));
    assert_eq!(said(&gateway, "log property").as_deref(), Some("0 [3, 0, 0, 0, 0, 0, 0, 0]"));
}

#[test]
fn shared_data_with_cas_zero_is_unconditional_and_with_max_writes_only_if_absent() {
    let script = "request_headers set_shared k one max\nrequest_headers set_shared k two 0\n\
                  request_body set_shared k three max\nrequest_body set_shared k three 7\nresponse_headers get_shared k";
    let gateway = gateway(ENVOY, script);
    let _ = answered(&gateway);
    let lines = logged(&gateway);
    let statuses: Vec<_> = lines.iter().filter(|line| line.contains("set_shared=")).cloned().collect();
    let expected = ["request_headers set_shared=0"; 2].into_iter().chain(["request_body set_shared=8"; 2]);
    assert_eq!(statuses, expected.collect::<Vec<_>>());
    assert_eq!(said(&gateway, "response_headers get_shared").as_deref(), Some("0 two@2"));
}

#[test]
fn shared_data_is_shared_by_workers_and_outlives_a_vm_while_another_lives() {
    let script = "request_headers trap_if_header x-trap\nrequest_headers set_shared k v 0";
    for (workers, main_thread_vm, survives) in [(2, false, true), (1, true, true), (1, false, false)] {
        let settings = Settings { workers, main_thread_vm, ..Settings::shipped(ENVOY) };
        let gateway = start(settings, script);
        let _ = call(&gateway);
        assert_eq!(gateway.worker(0).open(post().header("x-trap", "1")).finish().status(), 503);
        assert_eq!(!gateway.shared_data().entries("tollgate").is_empty(), survives, "{workers} {main_thread_vm}");
    }
}

#[test]
fn a_trap_is_503_for_good_unless_the_vm_is_reloaded() {
    let script = "request_headers trap_if_header x-trap";
    for (settings, after) in [(Settings::new(ENVOY), 503), (Settings::shipped(ENVOY), 200)] {
        let gateway = start(settings, script);
        let neighbour = call(&gateway);
        let outcome = gateway.worker(0).open(post().header("x-trap", "1")).finish();
        assert_eq!(outcome.status(), 503);
        assert!(outcome.trap.unwrap().contains("proxy_on_request_headers"));
        // the neighbour on the same worker fails closed
        assert_eq!(neighbour.respond(ResponseHead::json(200, 0)).outcome().status(), 503);
        let later = answered(&gateway).finish();
        assert_eq!(later.status(), after);
    }
}

#[test]
fn pausing_for_a_callout_holds_the_request_until_continue_is_called() {
    let script = "request_headers dispatch store 100\nrequest_headers pause\ncall body 4 0\ncall continue 0";
    let gateway = gateway(ENVOY, script);
    let stream = call(&gateway);
    assert!(stream.outcome().upstream.is_none());
    let [callout] = gateway.pending_callouts().try_into().unwrap();
    assert_eq!((callout.target.as_str(), callout.context), ("store", stream.id()));
    gateway.answer(callout.token, HttpReply::new(200, "ok")).unwrap();
    assert_eq!(said(&gateway, "call body").as_deref(), Some("0 ok"));
    assert_eq!(stream.outcome().upstream.unwrap().body, b"hello");
    assert!(gateway.answer(callout.token, HttpReply::default()).is_err());
}

#[test]
fn a_callout_to_an_unknown_cluster_is_a_bad_argument() {
    let settings = Settings { clusters: Some(["redis".to_owned()].into()), ..Settings::new(ENVOY) };
    let gateway = start(settings, "request_headers dispatch store 100\nrequest_body dispatch redis 100");
    let _stream = call(&gateway);
    assert_eq!(said(&gateway, "request_headers dispatch").as_deref(), Some("2"));
    assert_eq!(said(&gateway, "request_body dispatch").as_deref(), Some("0"));
}

#[test]
fn a_stream_keeps_the_filter_it_started_with_when_the_configuration_changes() {
    let mut gateway = gateway(ENVOY, "log set_property config old");
    let stream = call(&gateway);
    assert!(gateway.reconfigure("log set_property config new").unwrap());
    stream.respond(ResponseHead::json(200, 5)).response_body("world", true);
    assert_eq!(stream.finish().logged("wasm.config").as_deref(), Some("old"));
    assert_eq!(answered(&gateway).finish().logged("wasm.config").as_deref(), Some("new"));
}

#[test]
fn a_streams_callouts_end_with_it_and_those_of_the_root_do_not() {
    let gateway = gateway(ENVOY, "configure tick 100\ntick dispatch store 5000\nrequest_headers dispatch store 100");
    let stream = call(&gateway);
    gateway.advance(Duration::from_millis(150));
    // the stream's call timed out and came back with zeros
    assert!(logged(&gateway).contains(&"call(token 1, 0 headers, 0 bytes, 0 trailers)".to_owned()));
    let second = call(&gateway);
    assert_eq!(gateway.pending_callouts().len(), 2);
    drop((stream, second));
    assert_eq!(gateway.pending_callouts().iter().map(|callout| callout.context).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_local_reply_replaces_a_response_whose_headers_are_passing() {
    let gateway = gateway(ENVOY, "response_headers reply 502 blocked");
    let outcome = answered(&gateway).finish();
    let downstream = outcome.downstream.unwrap();
    assert_eq!((downstream.status, downstream.body.as_slice()), (502, b"blocked".as_slice()));
}

#[test]
fn close_stream_cuts_a_running_response() {
    let gateway = gateway(ENVOY, "response_body close 1");
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body("data: 1\n\n", false).response_body("data: 2\n\n", true);
    let outcome = stream.finish();
    assert_eq!(outcome.ending, Ending::ClosedByFilter);
    assert!(!outcome.downstream.unwrap().complete);
}

#[test]
fn an_upstream_reset_is_503_before_the_response_and_a_reset_after() {
    let gateway = gateway(ENVOY, "");
    let stream = call(&gateway);
    assert_eq!(stream.upstream_reset().outcome().status(), 503);
    let stream = call(&gateway);
    stream.respond(ResponseHead::sse()).response_body("data", false).upstream_reset();
    assert_eq!(stream.finish().ending, Ending::UpstreamReset);
}

#[test]
fn metrics_of_all_workers_are_one() {
    let gateway = start(Settings::new(ENVOY).with_workers(2), "request_headers metric 0 calls_total;app=a 2");
    for worker in 0..2 {
        let _ = gateway.worker(worker).open(post());
    }
    assert_eq!(gateway.metrics().value("calls_total;app=a"), Some(4));
}

#[test]
fn a_fault_changes_what_a_host_call_returns() {
    let gateway = shipped(ENVOY, "request_headers get_shared k\nrequest_headers set_shared k v 0");
    let strange = Effect::Data(vec![0xff, 0xfe]);
    gateway.set_faults(Faults::none().with("proxy_get_shared_data", When::Always, strange).with(
        "proxy_set_shared_data",
        When::EveryNth(2),
        Effect::Status(10),
    ));
    let _ = (call(&gateway), call(&gateway));
    let lines = logged(&gateway);
    assert!(lines.contains(&"request_headers get_shared=0 \u{fffd}\u{fffd}@1".to_owned()));
    assert!(lines.contains(&"request_headers set_shared=0".to_owned()));
    assert!(lines.contains(&"request_headers set_shared=10".to_owned()));
    assert_eq!(gateway.worker(0).health(), Health::Ready);
}
