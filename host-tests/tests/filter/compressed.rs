//! Compressed bodies through the real filter: the events of plain ones, and nobody's bytes changed.

#[path = "../../../plugin/core/tests/support/encode.rs"]
mod encode;

use self::encode::{ENCODINGS, brotli, gzip, zstd};
use super::support::{Exchange, ask, event, gateway, good, one};
use tollgate_host::gateway::{Gateway, Outcome, Profile, RequestHead, ResponseHead};
use tollgate_host::standin::Dialect;

/// Pages of 64 KiB in a mebibyte.
const MEBIBYTE: u64 = 16;

/// An exchange whose answer has this coding, in pieces of `size`.
fn answered(gateway: &Gateway, exchange: &Exchange, coding: &str, body: &[u8], size: usize) -> Outcome {
    let stream = ask(gateway, exchange);
    stream.respond(exchange.response_head().header("content-encoding", coding)).response_chunks(body, size);
    let outcome = stream.finish();
    let downstream = outcome.downstream.as_ref().expect("the client got an answer");
    assert!(outcome.trap.is_none() && downstream.body == body, "the client's bytes stay as they are");
    assert_eq!(downstream.headers.text("content-encoding").as_deref(), Some(coding));
    outcome
}

#[test]
fn a_compressed_answer_gives_the_event_of_a_plain_one_and_passes_unchanged() {
    for profile in Profile::ALL {
        for exchange in good() {
            let gateway = gateway(profile, "{}");
            let stream = ask(&gateway, exchange);
            stream.respond(exchange.response_head()).response_body(&exchange.response, true);
            let plain = event(profile, &stream.finish());
            for (coding, name, encode) in ENCODINGS {
                let body = encode(&exchange.response);
                for size in [61, body.len()] {
                    let outcome = answered(&gateway, exchange, coding, &body, size);
                    assert_eq!(event(profile, &outcome), plain, "{profile:?} {:?} {name} by {size}", exchange.dialect);
                }
            }
        }
    }
}

#[test]
fn a_compressed_request_gives_the_event_of_a_plain_one_and_is_forwarded_unchanged() {
    for profile in Profile::ALL {
        // A stream of which usage would be asked for, were it plain.
        for exchange in [one(Dialect::OpenAiChat, true), one(Dialect::Anthropic, false)] {
            let gateway = gateway(profile, r#"{"include_usage": false}"#);
            let pass = |head: RequestHead, request: &[u8]| {
                let stream = gateway.worker(0).open(head);
                stream.request_chunks(request, 61);
                stream.respond(exchange.response_head()).response_body(&exchange.response, true);
                let outcome = stream.finish();
                let upstream = outcome.upstream.as_ref().expect("the call reached upstream");
                assert!(upstream.complete && upstream.body == request, "{profile:?}");
                event(profile, &outcome)
            };
            let plain = pass(exchange.request_head(), &exchange.request);
            for (coding, name, encode) in ENCODINGS {
                let head = exchange.request_head().header("content-encoding", coding);
                assert_eq!(pass(head, &encode(&exchange.request)), plain, "{profile:?} {name}");
            }
        }
    }
}

#[test]
fn a_stream_whose_usage_would_be_asked_for_is_left_alone_when_its_request_is_compressed() {
    let exchange = one(Dialect::OpenAiChat, true);
    let gateway = gateway(Profile::Envoy, "{}");
    let request =
        String::from_utf8_lossy(&exchange.request).replace(r#""include_usage":true"#, r#""include_usage":false"#);
    let body = gzip(request.as_bytes());
    let head = RequestHead::post_json("api.openai.com", exchange.dialect.path()).header("content-encoding", "gzip");
    let stream = gateway.worker(0).open(head.header("content-length", &body.len().to_string()));
    stream.request_body(&body, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    let outcome = stream.finish();
    let upstream = outcome.upstream.as_ref().expect("the call reached upstream");
    assert_eq!(upstream.headers.text("content-length"), Some(body.len().to_string()));
    assert!(upstream.body == body && !upstream.length_mismatch());
    assert!(outcome.downstream.is_some_and(|downstream| downstream.body == exchange.response), "nothing is withheld");
}

#[test]
fn no_limit_is_escaped_by_compressing_a_request_on_any_gateway() {
    let exchange = one(Dialect::Anthropic, false);
    for profile in Profile::ALL {
        let gateway = gateway(profile, r#"{"limits": [{"id": "none", "limit": 1}]}"#);
        for (coding, name, encode) in ENCODINGS {
            let stream = gateway.worker(0).open(exchange.request_head().header("content-encoding", coding));
            stream.request_body(encode(&exchange.request), true);
            let outcome = stream.finish();
            assert_eq!((outcome.status(), outcome.trap.as_ref()), (429, None), "{profile:?} {name}");
        }
    }
}

/// What is odd, the coding that the head states, the body, and why the call cannot be judged; `None` where it can, as
/// servers read it.
type Misstated = (&'static str, Option<&'static str>, Vec<u8>, Option<&'static str>);

/// Bodies that do not have the coding stated, or not as it should be.
fn misstated(plain: &[u8]) -> Vec<Misstated> {
    let encoded = gzip(plain);
    let cut = encoded[..encoded.len() / 2].to_vec();
    let malformed = Some("request_malformed");
    let undone = Some("request_encoded");
    let too_large = Some("request_too_large");
    vec![
        ("in another case", Some("GZip"), encoded.clone(), None),
        ("no coding by name", Some("identity"), plain.to_vec(), None),
        ("an empty name", Some(""), plain.to_vec(), None),
        ("empty names around it", Some(" , gzip,"), encoded.clone(), None),
        ("unknown", Some("compress"), plain.to_vec(), undone),
        ("known, behind an unknown", Some("compress, gzip"), encoded.clone(), undone),
        ("gzip that is plain", Some("gzip"), plain.to_vec(), None),
        // Its first byte asks for a window that is not granted.
        ("br that is gzip", Some("br"), encoded.clone(), too_large),
        ("zstd that is gzip", Some("zstd"), encoded.clone(), malformed),
        ("twice, but once", Some("gzip, gzip"), encoded.clone(), None),
        ("once, but twice", Some("gzip"), gzip(&encoded), malformed),
        ("untold", None, encoded.clone(), malformed),
        ("cut off", Some("gzip"), cut, undone),
        ("nothing within", Some("gzip"), gzip(b""), malformed),
        ("a bomb", Some("gzip"), gzip(&vec![b' '; 96 << 20]), too_large),
    ]
}

#[test]
fn no_limit_is_escaped_by_a_coding_that_the_body_does_not_have() {
    let exchange = one(Dialect::Anthropic, false);
    for profile in Profile::ALL {
        for failure_mode in ["closed", "open"] {
            let limits = r#""limits": [{"id": "none", "limit": 0}]"#;
            let gateway = gateway(profile, &format!(r#"{{"failure_mode": "{failure_mode}", {limits}}}"#));
            for (name, coding, body, reason) in misstated(&exchange.request) {
                let head = exchange.request_head();
                let head = coding.into_iter().fold(head, |head, coding| head.header("content-encoding", coding));
                let stream = gateway.worker(0).open(head);
                stream.request_body(&body, true);
                stream.respond(exchange.response_head()).response_body(&exchange.response, true);
                let outcome = stream.finish();
                let about = format!("{name} on {profile:?}, {failure_mode}");
                let is_refused = reason.is_none() || failure_mode == "closed";
                let event = event(profile, &outcome);
                assert_eq!(outcome.trap, None, "{about}");
                assert_eq!(event["unmetered_reason"].as_str(), reason, "{about}: {event:#}");
                assert_eq!(event["outcome"] == "denied", is_refused, "{about}: {event:#}");
                let arrived = outcome.upstream.filter(|upstream| upstream.complete).map(|upstream| upstream.body);
                assert!(arrived == (!is_refused).then_some(body), "{about}: forwarded whole, or not at all");
            }
        }
    }
}

/// What upstream is asked for when the client asks for this.
fn accepted(profile: Profile, config: &str, exchange: &Exchange, header: &str) -> Option<String> {
    let gateway = gateway(profile, config);
    let stream = gateway.worker(0).open(exchange.request_head().header("accept-encoding", header));
    stream.request_body(&exchange.request, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    stream.finish().upstream.expect("the call reached upstream").headers.text("accept-encoding")
}

#[test]
fn providers_are_asked_for_codings_that_can_be_read() {
    let header = "gzip;q=0.9, dcz, br";
    for profile in Profile::ALL {
        let asked = |config| accepted(profile, config, one(Dialect::Anthropic, true), header);
        assert_eq!(asked("{}").as_deref(), Some("gzip;q=0.9, br"), "{profile:?}");
        assert_eq!(asked(r#"{"accept_encoding": "identity"}"#).as_deref(), Some("identity"), "{profile:?}");
        assert_eq!(asked(r#"{"accept_encoding": "keep"}"#).as_deref(), Some(header), "{profile:?}");
        // Only there can a chunk be taken out of the answer.
        let chat = accepted(profile, "{}", one(Dialect::OpenAiChat, true), header);
        let expected = if profile == Profile::Envoy { "identity" } else { "gzip;q=0.9, br" };
        assert_eq!(chat.as_deref(), Some(expected), "{profile:?}");
    }
}

#[test]
fn an_answer_that_comes_compressed_all_the_same_keeps_the_usage_that_would_be_withheld() {
    let events = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let gateway = gateway(Profile::Envoy, "{}");
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
    let stream = gateway.worker(0).open(head);
    stream.request_body(r#"{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#, true);
    let body = gzip(events.as_bytes());
    stream.respond(ResponseHead::sse().header("content-encoding", "gzip")).response_chunks(&body, 7);
    let outcome = stream.finish();
    assert_eq!(event(Profile::Envoy, &outcome)["usage_source"], "reported");
    assert!(outcome.downstream.is_some_and(|downstream| downstream.body == body));
}

#[test]
fn bombs_cost_bounded_memory_and_work() {
    /// Pages for the largest window, twice while it grows, and what surrounds it.
    const MOST: u64 = 20 * MEBIBYTE;
    /// About a second of a gateway's time.
    const FUEL: u64 = 2_000_000_000;
    let exchange = one(Dialect::Anthropic, false);
    let zeros = vec![0; 256 << 20];
    let huge_window = [&[0x28, 0xB5, 0x2F, 0xFD, 0, 0xFF][..], &[1, 0, 0]].concat();
    // Blocks of 128 KiB that are one byte, repeated, in a frame with the largest window that is granted.
    let repeated = [&[0x28, 0xB5, 0x2F, 0xFD, 0, 13 << 3][..], &[2, 0, 16, b' '].repeat(20_000)].concat();
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("br", brotli(&zeros)),
        ("zstd", zstd(&zeros)),
        ("zstd", huge_window),
        ("zstd", repeated),
        ("gzip, gzip, gzip", gzip(&gzip(&gzip(&zeros)))),
    ];
    for profile in Profile::ALL {
        for (coding, body) in &bombs {
            let gateway = gateway(profile, "{}");
            // A call before, since APISIX makes its machine on the first one.
            answered(&gateway, exchange, "identity", exchange.response.as_ref(), 16 << 10);
            let before = gateway.worker(0).memory_pages();
            let outcome = answered(&gateway, exchange, coding, body, 16 << 10);
            let found = event(profile, &outcome);
            assert_eq!(found["unmetered_reason"], "response_encoding_limit", "{profile:?} {coding}");
            let grown = gateway.worker(0).memory_pages() - before;
            assert!(grown <= MOST, "{profile:?} {coding}: {grown} pages");
            assert!(outcome.fuel_total() < FUEL, "{profile:?} {coding}: {} fuel", outcome.fuel_total());
            println!("{profile:?} {coding}: {} bytes, {grown} pages, {} fuel", body.len(), outcome.fuel_total());
        }
    }
}

#[test]
fn a_compressed_stream_of_twenty_megabytes_is_metered_within_its_window() {
    let exchange = one(Dialect::Anthropic, true);
    let events: Vec<&[u8]> = exchange.response.split_inclusive(|byte| *byte == b'\n').collect();
    let beginning = events[..events.len() / 2].concat();
    let answer = [beginning.repeat(20_000_000 / beginning.len()), exchange.response.clone()].concat();
    // So that it is not taken for a bomb, every member is small.
    let members = |encode: fn(&[u8]) -> Vec<u8>| answer.chunks(4_000).flat_map(encode).collect::<Vec<u8>>();
    for (coding, body, most) in [("gzip", members(gzip), MEBIBYTE), ("zstd", members(zstd), MEBIBYTE)] {
        let gateway = gateway(Profile::Envoy, "{}");
        let before = gateway.worker(0).memory_pages();
        let outcome = answered(&gateway, exchange, coding, &body, 16 << 10);
        let found = event(Profile::Envoy, &outcome);
        assert_eq!((&found["outcome"], &found["unmetered_reason"]), (&"complete".into(), &serde_json::Value::Null));
        let grown = gateway.worker(0).memory_pages() - before;
        assert!(grown < most, "{coding}: {grown} pages");
    }
}
