//! What holds on every gateway: plain calls, the clock, guards against runaway filters, repeatability.

use std::time::Duration;

use tollgate_host::gateway::{Ending, Profile, ResponseHead, Settings};

use super::support::{answered, call, gateway, logged, said, shipped, start};

#[test]
fn a_filter_that_does_nothing_changes_nothing() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "");
        let outcome = answered(&gateway).finish();
        assert_eq!(outcome.ending, Ending::Complete, "{profile:?}");
        let (upstream, downstream) = (outcome.upstream.unwrap(), outcome.downstream.unwrap());
        assert_eq!((upstream.body.as_slice(), upstream.complete), (b"hello".as_slice(), true));
        assert_eq!((downstream.body.as_slice(), downstream.complete), (b"world".as_slice(), true));
        assert!(outcome.filter_attached && outcome.trap.is_none());
    }
}

#[test]
fn any_chunking_of_a_response_arrives_whole() {
    let body = "data: {\"a\":1}\r\n\r\n".repeat(40);
    for profile in Profile::ALL {
        for size in [1, 7, 4096] {
            let gateway = gateway(profile, "response_headers set_property wasm_process_resp_body true");
            let stream = call(&gateway);
            stream.respond(ResponseHead::sse()).response_chunks(&body, size);
            assert_eq!(stream.finish().downstream.unwrap().body, body.as_bytes(), "{profile:?} {size}");
        }
    }
}

#[test]
fn a_filter_that_loops_is_stopped_by_fuel() {
    for profile in Profile::ALL {
        let settings = Settings { fuel_per_callback: 10_000_000, ..Settings::shipped(profile) };
        let gateway = start(settings, "request_headers spin");
        let outcome = call(&gateway).finish();
        assert!(outcome.trap.unwrap().contains("fuel"), "{profile:?}");
        assert!(outcome.upstream.is_none());
    }
}

#[test]
fn a_filter_that_hoards_memory_is_stopped_by_the_limit() {
    let settings = Settings { memory_limit: 16 << 20, ..Settings::new(Profile::Envoy) };
    let gateway = start(settings, "request_headers hoard");
    assert!(gateway.worker(0).memory_pages() > 0);
    assert!(call(&gateway).finish().trap.is_some());
}

#[test]
fn fuel_is_counted_per_callback_and_grows_with_the_work() {
    let fuel = |rounds: u32| {
        let gateway = gateway(Profile::Envoy, &format!("request_body work {rounds}"));
        let outcome = call(&gateway).finish();
        outcome.fuel.iter().find(|reading| reading.callback == "proxy_on_request_body").unwrap().fuel
    };
    assert_eq!(fuel(1000), fuel(1000));
    assert!(fuel(2000) > fuel(1000) + 1000);
}

#[test]
fn ticks_come_when_the_clock_reaches_them_except_on_apisix() {
    for (profile, expected) in [(Profile::Envoy, 6), (Profile::Kong, 6), (Profile::Apisix, 0)] {
        let gateway = start(Settings::shipped(profile).with_workers(2), "configure tick 100");
        gateway.advance(Duration::from_millis(350));
        assert_eq!(logged(&gateway).iter().filter(|line| *line == "tick(0, false)").count(), expected, "{profile:?}");
    }
}

#[test]
fn randomness_comes_from_the_seed() {
    let random = |seed| {
        let gateway = start(Settings { seed, ..Settings::new(Profile::Kong) }, "request_headers random");
        let _ = call(&gateway);
        said(&gateway, "request_headers random").unwrap()
    };
    assert_eq!(random(1), random(1));
    assert_ne!(random(1), random(2));
}

#[test]
fn standard_error_goes_to_the_log() {
    let gateway = gateway(Profile::Kong, "request_headers print");
    let _ = call(&gateway);
    assert!(gateway.log().iter().any(|line| line.text == "printed" && line.level == 4));
}

#[test]
fn nginx_cuts_long_log_lines_and_envoy_does_not() {
    for (profile, longest) in [(Profile::Envoy, 5000), (Profile::Kong, 4096)] {
        let gateway = shipped(profile, "request_body body 0 0");
        let stream = gateway.worker(0).open(super::support::post());
        stream.request_body(vec![b'x'; 5000], true);
        let line = logged(&gateway).into_iter().find(|line| line.starts_with("request_body body=0")).unwrap();
        assert_eq!(line.len().min(5000), longest);
    }
}

#[test]
fn a_stream_that_ended_ignores_what_comes_later() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "request_headers reply 429 no");
        let stream = call(&gateway);
        let before = stream.outcome();
        stream.respond(ResponseHead::json(200, 5)).response_body("world", true).client_gone().upstream_reset();
        assert_eq!(stream.finish(), before, "{profile:?}");
        assert_eq!(before.status(), 429);
    }
}
