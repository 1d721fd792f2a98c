//! Memory does not grow with the length of an answer or the number of calls.

use tollgate_host::gateway::{Profile, RequestHead, ResponseHead};
use tollgate_host::standin::Dialect;

use super::support::{ask, event, gateway, one, pass};

/// Pages of 64 KiB in a mebibyte.
const MEBIBYTE: u64 = 16;

#[test]
fn a_stream_of_twenty_megabytes_grows_memory_by_less_than_one() {
    for profile in Profile::ALL {
        for dialect in Dialect::ALL {
            let exchange = one(dialect, true);
            let gateway = gateway(profile, "{}");
            assert_eq!(pass(&gateway, exchange, 1000).status(), 200);
            let before = gateway.worker(0).memory_pages();
            let stream = ask(&gateway, exchange);
            stream.respond(exchange.response_head());
            // Everything but the end, over and over: text that no usage figure of the provider covers.
            let events: Vec<&[u8]> = exchange.response.split_inclusive(|byte| *byte == b'\n').collect();
            let beginning = events[..events.len() / 2].concat();
            let piece = beginning.repeat((64 << 10) / beginning.len());
            let mut sent = 0;
            while sent < 20_000_000 {
                stream.response_body(&piece, false);
                sent += piece.len();
            }
            stream.response_body(&exchange.response, true);
            let outcome = stream.finish();
            assert_eq!(outcome.trap, None, "{profile:?} {dialect:?}");
            assert_eq!(event(profile, &outcome)["outcome"], "complete", "{profile:?} {dialect:?}");
            let grown = gateway.worker(0).memory_pages() - before;
            assert!(grown < MEBIBYTE, "{profile:?} {dialect:?}: {grown} pages");
        }
    }
}

#[test]
fn a_consumer_with_a_configuration_of_its_own_takes_less_than_64_kilobytes() {
    const CONSUMERS: u64 = 100;
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in [Profile::Kong, Profile::Apisix] {
        let gateway = gateway(profile, "{}");
        assert_eq!(pass(&gateway, exchange, 1000).status(), 200);
        let worker = gateway.worker(0);
        let before = worker.memory_pages();
        for _ in 0..CONSUMERS {
            let stream = worker.open_under(worker.configure("{}"), exchange.request_head());
            stream.request_body(&exchange.request, true);
            stream.respond(exchange.response_head()).response_body(&exchange.response, true);
            assert_eq!(stream.finish().status(), 200);
        }
        let grown = worker.memory_pages() - before;
        assert!(grown < CONSUMERS, "{profile:?}: {grown} pages");
    }
}

/// A Chat Completions stream of more than this many bytes, no two events the same, without its end.
fn long_stream(bytes: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(bytes + 1024);
    for number in 0_u64.. {
        let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let text = format!(r#" {word:x}\u00e9 "é" \\"#).replace('"', "\\\"");
        let event = format!(
            "data: {{\"id\":\"c{number}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":null}}\n\n"
        );
        stream.extend_from_slice(event.as_bytes());
        if stream.len() > bytes {
            break;
        }
    }
    stream
}

const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":900}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Streams fifty megabytes through a gateway; `is_asked` says whether the client asks for usage itself.
fn check_fifty_megabytes(profile: Profile, is_asked: bool) {
    /// Not a divisor of anything, so that events are cut everywhere.
    const PIECE: usize = 16_381;
    let options = if is_asked { r#""stream_options":{"include_usage":true},"# } else { "" };
    let request =
        format!(r#"{{{options}"model":"gpt-4.1","stream":true,"messages":[{{"role":"user","content":"Hi"}}]}}"#);
    let gateway = gateway(profile, "{}");
    let call = |words: &[u8]| {
        let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
        stream.request_body(&request, true).respond(ResponseHead::sse());
        stream.response_chunks([words, LAST.as_bytes(), USAGE.as_bytes(), DONE.as_bytes()].concat(), PIECE);
        stream.finish()
    };
    call(&long_stream(100_000));
    let words = long_stream(50_000_000);
    let before = gateway.worker(0).memory_pages();
    let outcome = call(&words);
    let grown = gateway.worker(0).memory_pages() - before;
    let is_kept = !is_asked && profile == Profile::Envoy;
    let usage = if is_kept { "" } else { USAGE };
    let expected = [&words[..], LAST.as_bytes(), usage.as_bytes(), DONE.as_bytes()].concat();
    let received = &outcome.downstream.as_ref().unwrap().body;
    let sum = |bytes: &[u8]| (bytes.len(), crc32fast::hash(bytes));
    assert_eq!(sum(received), sum(&expected), "{profile:?}, asked: {is_asked}");
    assert_eq!((outcome.trap.as_ref(), outcome.downstream.as_ref().unwrap().complete), (None, true), "{profile:?}");
    let event = event(profile, &outcome);
    let found = (&event["usage_source"], &event["input_tokens"], &event["output_tokens"]);
    assert_eq!(found, (&"reported".into(), &8.into(), &900.into()), "{profile:?}, asked: {is_asked}");
    assert!(grown < MEBIBYTE, "{profile:?}, asked: {is_asked}: {grown} pages");
}

#[test]
fn fifty_megabytes_of_stream_reach_the_client_unchanged_in_memory_that_hardly_grows() {
    Profile::ALL.into_iter().for_each(|profile| check_fifty_megabytes(profile, true));
}

#[test]
fn fifty_megabytes_lose_their_usage_chunk_and_no_other_byte_in_memory_that_hardly_grows() {
    check_fifty_megabytes(Profile::Envoy, false);
}

#[test]
fn a_thousand_calls_hold_no_more_memory_than_ten() {
    let exchange = one(Dialect::Anthropic, true);
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        (0..10).for_each(|_| drop(pass(&gateway, exchange, 1000)));
        let before = gateway.worker(0).memory_pages();
        (0..1000).for_each(|_| drop(pass(&gateway, exchange, 1000)));
        assert_eq!(gateway.worker(0).memory_pages(), before, "{profile:?}");
    }
}
