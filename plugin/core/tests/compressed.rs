//! Compressed bodies through the meter: every exchange gives the event that it gives uncompressed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test may panic as tests do"
)]

#[path = "support/encode.rs"]
mod encode;
mod support;

use encode::{ENCODINGS, brotli, gzip, zstd};
use std::path::Path;
use support::{Exchange, published, traffic};
use tollgate_core::config::Config;
use tollgate_core::dialect::Dialect;
use tollgate_core::event::{Event, Outcome, UsageSource};
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Call, Denial, Ending, Meter, Verdict};
use tollgate_core::time::Timestamp;

const REQUEST: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}],"max_tokens":9}"#;
const ANSWER: &str = r#"{"model":"gpt-4o-mini","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":1}}"#;

/// Checks that an exchange gives the same event with its answer, and with its request, compressed in every way.
fn check(exchange: &Exchange) {
    let plain = published(&exchange.event([exchange.answer()]));
    for (header, name, encode) in ENCODINGS {
        let body = encode(exchange.answer());
        for size in [1, 7, 61, 1000, body.len()] {
            let event = published(&exchange.encoded_event(header, body.chunks(size.max(1))));
            assert_eq!(event, plain, "{}: {name} by {size}", exchange.name);
        }
        let event = published(&exchange.event_of_encoded_request(header, encode));
        assert_eq!(event, plain, "{}: request in {name}", exchange.name);
    }
}

#[test]
fn every_exchange_of_every_dialect_gives_the_event_that_it_gives_uncompressed() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let exchanges = Dialect::ALL.into_iter().flat_map(|dialect| Exchange::all_in(&testdata.join(dialect.name())));
    assert!(exchanges.map(|exchange| check(&exchange)).count() > 40);
}

#[test]
fn every_recorded_exchange_gives_the_event_that_it_gives_uncompressed() {
    let Some(traffic) = traffic() else { return };
    let mut directories: Vec<_> = std::fs::read_dir(&traffic).unwrap().map(|entry| entry.unwrap().path()).collect();
    directories.retain(|path| path.is_dir());
    let exchanges: Vec<_> = directories.iter().flat_map(|directory| Exchange::all_in(directory)).collect();
    let (calls, others): (Vec<_>, Vec<_>) = exchanges.iter().partition(|exchange| exchange.is_call());
    calls.iter().for_each(|exchange| check(exchange));
    println!("{} calls in {} ways each; {} are no calls", calls.len(), ENCODINGS.len(), others.len());
    assert!(exchanges.len() > 100);
}

/// A call with these headers, up to where its body is judged.
fn asked(config: &str, headers: &[(&str, &str)], body: &[u8]) -> (Meter, Call, Verdict) {
    let mut meter = Meter::new(Config::parse(config.as_bytes()).unwrap(), [1, 2]);
    let headers = Headers::new(headers);
    let head = RequestHead {
        method: "POST",
        path: "/v1/chat/completions",
        host: "api.openai.com",
        headers,
        ..RequestHead::default()
    };
    let mut call = meter.open(&head, String::new(), Timestamp::default()).unwrap();
    let verdict = meter.admit(&mut call, Body::Whole(body));
    (meter, call, verdict)
}

/// The event of an answer with this coding.
fn answered(coding: &str, body: &[u8]) -> Event {
    let (mut meter, mut call, _) = asked("{}", &[], REQUEST.as_bytes());
    let headers = [("content-encoding", coding), ("content-type", "application/json")];
    meter.respond(&mut call, &ResponseHead { status: 200, headers: Headers::new(&headers) });
    meter.read(&mut call, body, Timestamp::default());
    meter.end(call, Ending::Complete, Timestamp::default())
}

fn reason(event: &Event) -> Option<&str> {
    event.unmetered_reason.as_deref()
}

#[test]
fn an_answer_that_is_plain_under_a_coding_s_name_is_metered() {
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, br", "identity", "X-GZIP"] {
        let event = answered(coding, ANSWER.as_bytes());
        assert_eq!((event.output_tokens, event.usage_source, reason(&event)), (Some(1), UsageSource::Reported, None));
    }
}

#[test]
fn a_coding_that_nobody_knows_is_a_reason_and_never_silence() {
    for coding in ["compress", "gzip, dcz", "gzip, gzip, gzip, gzip"] {
        let event = answered(coding, ANSWER.as_bytes());
        assert_eq!((event.output_tokens, reason(&event)), (None, Some("response_encoded")), "{coding}");
    }
}

#[test]
fn an_answer_that_is_not_what_its_coding_says_is_a_reason() {
    let event = answered("gzip", b"\x1F\x8B\x08\xFFgarbled");
    assert_eq!((event.output_tokens, reason(&event)), (None, Some("response_encoded")));
}

#[test]
fn an_answer_that_would_grow_too_far_is_a_reason() {
    let spaces = |length: usize| [&vec![b' '; length][..], ANSWER.as_bytes()].concat();
    for (coding, body) in
        [("gzip", gzip(&spaces(8 << 20))), ("br", brotli(&spaces(8 << 20))), ("zstd", zstd(&spaces(8 << 20)))]
    {
        let event = answered(coding, &body);
        assert_eq!((event.output_tokens, reason(&event)), (None, Some("response_encoding_limit")), "{coding}");
    }
    assert_eq!(answered("gzip", &gzip(&spaces(700 << 10))).output_tokens, Some(1), "small ones may be dense");
}

#[test]
fn an_answer_that_is_cut_off_is_charged_as_far_as_it_came() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n".repeat(50);
    let body = gzip(stream.as_bytes());
    let event = answered("gzip", &body[..body.len() - 9]);
    assert_eq!((event.outcome, event.usage_source), (Outcome::Truncated, UsageSource::Counted));
    assert!(event.output_tokens > Some(30), "{event:?}");
    let nothing = answered("gzip", &gzip(ANSWER.as_bytes())[..12]);
    assert_eq!((nothing.outcome, nothing.output_tokens), (Outcome::Truncated, Some(0)));
    let whole = answered("gzip", &gzip(ANSWER.as_bytes())[..gzip(ANSWER.as_bytes()).len() - 4]);
    assert_eq!((whole.outcome, whole.output_tokens), (Outcome::Complete, Some(1)), "all of the document is there");
}

#[test]
fn no_limit_is_escaped_by_compressing_a_request() {
    let limits = r#"{"limits":[{"id":"small","limit":100}],"failure_mode":"closed"}"#;
    let long = REQUEST.replace("hello", &"hello ".repeat(1_000));
    for (header, name, encode) in ENCODINGS {
        let status = |body: &str| match asked(limits, &[("Content-Encoding", header)], &encode(body.as_bytes())).2 {
            Verdict::Deny(Denial { status, .. }) => status,
            Verdict::Forward | Verdict::Wait => 0,
        };
        assert_eq!((status(REQUEST), status(&long)), (0, 429), "{name}");
    }
}

#[test]
fn a_request_that_cannot_be_decoded_follows_the_failure_mode_with_a_reason() {
    let limited = gzip(&vec![b' '; 40 << 20]);
    let cases: [(&str, &[u8], &str); 6] = [
        ("compress", REQUEST.as_bytes(), "request_encoded"),
        ("gzip, aws-chunked", REQUEST.as_bytes(), "request_encoded"),
        ("zstd, zstd, zstd, zstd", REQUEST.as_bytes(), "request_encoded"),
        ("br", REQUEST.as_bytes(), "request_encoded"),
        ("gzip", &gzip(REQUEST.as_bytes())[..30], "request_encoded"),
        ("gzip", &limited, "request_too_large"),
    ];
    for (header, body, expected) in cases {
        let (mut meter, call, verdict) = asked("{}", &[("content-encoding", header)], body);
        assert_eq!(verdict, Verdict::Forward, "{header}");
        assert_eq!(reason(&meter.so_far(&call, Timestamp::default())), Some(expected), "{header}");
        let (_, _, verdict) = asked(r#"{"failure_mode":"closed"}"#, &[("content-encoding", header)], body);
        let Verdict::Deny(denial) = verdict else { panic!("{header}: {verdict:?}") };
        assert!(denial.status == 400 && denial.body.contains(expected), "{header}: {}", denial.body);
    }
}

#[test]
fn the_largest_request_that_is_read_is_measured_decoded() {
    let config = format!(r#"{{"max_request_bytes":{}}}"#, REQUEST.len());
    let (mut meter, call, _) = asked(&config, &[("content-encoding", "gzip")], &gzip(REQUEST.as_bytes()));
    assert_eq!(reason(&meter.so_far(&call, Timestamp::default())), None);
    let longer = gzip(format!("{REQUEST} ").as_bytes());
    let (mut meter, call, _) = asked(&config, &[("content-encoding", "gzip")], &longer);
    assert_eq!(reason(&meter.so_far(&call, Timestamp::default())), Some("request_too_large"));
}

#[test]
fn a_compressed_request_is_forwarded_as_it_is_where_a_plain_one_would_be_changed() {
    let stream = REQUEST.replacen('{', r#"{"stream":true,"#, 1);
    let asked_for_usage = |headers: &[(&str, &str)], body: &[u8]| {
        let mut meter = Meter::new(Config::default(), [1, 2]);
        let headers = Headers::new(headers);
        let head = RequestHead {
            method: "POST",
            path: "/v1/chat/completions",
            host: "api.openai.com",
            headers,
            ..RequestHead::default()
        };
        let mut call = meter.open(&head, String::new(), Timestamp::default()).unwrap();
        let may = meter.may_ask_for_usage(&call);
        call.allow_changes(true, true);
        assert_eq!(meter.admit(&mut call, Body::Whole(body)), Verdict::Forward);
        (may, meter.change(&mut call, body).is_some())
    };
    assert_eq!(asked_for_usage(&[], stream.as_bytes()), (true, true));
    assert_eq!(asked_for_usage(&[("content-encoding", "gzip")], &gzip(stream.as_bytes())), (false, false));
}

#[test]
fn only_codings_that_can_be_read_are_asked_for() {
    let accepted = |config: &str, header: &[(&str, &str)], may_withhold: bool| {
        let meter = Meter::new(Config::parse(config.as_bytes()).unwrap(), [1, 2]);
        meter.accept_encoding(&Headers::new(header), may_withhold)
    };
    let header = [("Accept-Encoding", "gzip, dcz"), ("accept-encoding", "br;q=0.5")];
    let cases = [("{}", false, Some("gzip, br;q=0.5")), ("{}", true, Some("identity"))];
    let identity = r#"{"accept_encoding":"identity"}"#;
    let keep = r#"{"accept_encoding":"keep"}"#;
    for (config, may_withhold, expected) in
        cases.into_iter().chain([(identity, false, Some("identity")), (keep, false, None), (keep, true, None)])
    {
        assert_eq!(accepted(config, &header, may_withhold).as_deref(), expected, "{config}");
        assert_eq!(accepted(config, &[], may_withhold), None, "no header stays none");
    }
}
