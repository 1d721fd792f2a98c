//! Arbitrary bytes as request and response: never a trap, never more memory than stated, always one event.

use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Profile, ResponseHead};
use tollgate_host::standin::Dialect;

use super::support::{Exchange, events_logged, exchanges, gateway, has_metrics, metric, one};

/// Pages of 64 KiB that the filter may hold after any of this.
const PAGES_MAX: u64 = 160;

/// Reproducible numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    /// Noise, or a real body with bytes changed, cut out, repeated, or put in.
    fn body(&mut self, real: &[u8]) -> Vec<u8> {
        if self.below(4) == 0 {
            let length = self.below(3000);
            return self.bytes(length);
        }
        let mut body = real.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(body.len());
            let until = (at + self.below(80)).min(body.len());
            match self.below(4) {
                0 => body[at..until].fill(b'"'),
                1 => drop(body.drain(at..until)),
                2 => {
                    let part = body[at..until].to_vec();
                    body.splice(at..at, part);
                }
                _ => {
                    let length = self.below(20);
                    let noise = self.bytes(length);
                    body.splice(at..at, noise);
                }
            }
            if body.is_empty() {
                body.push(b'{');
            }
        }
        body
    }
}

/// Passes a call with these bytes; one event more, and both sides have what the other sent.
fn check(profile: Profile, gateway: &Gateway, exchange: &Exchange, request: &[u8], response: &[u8], size: usize) {
    let before = events_logged(gateway);
    let stream = gateway.worker(0).open(exchange.request_head());
    stream.request_chunks(request, size);
    stream.respond(exchange.response_head()).response_chunks(response, size);
    let outcome = stream.finish();
    let case = || format!("{profile:?}\n{}\n{}", String::from_utf8_lossy(request), String::from_utf8_lossy(response));
    assert_eq!(outcome.trap, None, "{}", case());
    assert_eq!(outcome.upstream.as_ref().unwrap().body, request, "{}", case());
    assert_eq!(outcome.downstream.as_ref().unwrap().body, response, "{}", case());
    assert_eq!(events_logged(gateway), before + 1, "{}", case());
    let event = super::support::event(profile, &outcome);
    let is_explained = event["usage_source"] != "none"
        || event["unmetered_reason"].is_string()
        || event["outcome"] == "upstream_error";
    assert!(is_explained, "no usage and no reason: {event:#}\n{}", case());
}

#[test]
fn arbitrary_bytes_are_passed_on_and_give_one_event_each() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let mut random = Random(7);
        let mut calls = 0;
        for _ in 0..12 {
            for exchange in exchanges() {
                let (request, response) = (random.body(&exchange.request), random.body(&exchange.response));
                let size = [1, 7, 61, 1000][random.below(4)];
                check(profile, &gateway, exchange, &request, &response, size);
                calls += 1;
            }
        }
        assert!(gateway.worker(0).memory_pages() <= PAGES_MAX, "{}", gateway.worker(0).memory_pages());
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::REQUESTS, &[]), Some(calls));
            assert_eq!(metric(&gateway, metric::HOST_ERRORS, &[]), None);
        }
    }
}

#[test]
fn bodies_built_to_exhaust_a_parser_are_passed_on_within_the_cap() {
    let exchange = one(Dialect::OpenAiChat, true);
    let megabyte = 1 << 20;
    let bodies: [(&str, Vec<u8>); 6] = [
        ("nesting", vec![b'['; megabyte]),
        ("one endless string", [b"{\"model\":\"", vec![b'a'; megabyte].as_slice()].concat()),
        ("one endless line", [b"data: ", vec![b'x'; megabyte].as_slice()].concat()),
        ("many messages", [b"{\"messages\":[", b"{},".repeat(megabyte / 3).as_slice()].concat()),
        ("many events", b"data: {}\n\n".repeat(megabyte / 10)),
        ("escapes", [b"{\"model\":\"", b"\\u0000".repeat(megabyte / 6).as_slice()].concat()),
    ];
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        for (name, body) in &bodies {
            check(profile, &gateway, exchange, body, &exchange.response, 16 << 10);
            check(profile, &gateway, exchange, &exchange.request, body, 16 << 10);
            let pages = gateway.worker(0).memory_pages();
            assert!(pages <= PAGES_MAX, "{profile:?} {name}: {pages} pages");
        }
    }
}

#[test]
fn odd_heads_are_no_danger() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let mut head = exchange.request_head();
        for index in 0..300 {
            head = head.header(&format!("x-tollgate-{index}"), &"v".repeat(300));
        }
        head.headers.add("x-tollgate-app", [0xff, 0x00, 0xfe]);
        head.headers.add("x-tollgate-team", "t".repeat(100_000));
        let stream = gateway.worker(0).open(head);
        stream.request_body(&exchange.request, true);
        let mut answer = ResponseHead::new(99_999);
        answer.headers.add("content-type", [0xff]);
        stream.respond(answer).response_body(&exchange.response, true);
        let outcome = stream.finish();
        assert_eq!((outcome.trap.as_ref(), events_logged(&gateway)), (None, 1), "{profile:?}");
    }
}
