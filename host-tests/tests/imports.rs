//! What the built filter needs of a gateway, and what it costs: imports, size, memory, fuel.
//!
//! Each bound is what was measured when it was recorded (the figure in its comment), and 5 %. When a change is worth
//! more, record the new figure here, so that it is seen in review.

use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Gateway, Profile, RequestHead, ResponseHead, check_imports};
use tollgate_host::replay;

/// Bytes of `tollgate.wasm`.
const SIZE: u64 = 4_165_020;
/// Pages of 64 KiB after the start.
const PAGES_AT_START: u64 = 47;
/// Pages after a request of 200 KB.
const PAGES_AFTER_200_KB: u64 = 55;
/// Fuel of a whole JSON call with bodies of 2 KB.
const FUEL_OF_JSON: u64 = 885_967;
/// Fuel of a whole call with a stream of 50 KB.
const FUEL_OF_STREAM: u64 = 4_219_975;
/// The same where the client did not ask for usage, so that it is asked for and kept from the answer.
const FUEL_OF_CHANGED_STREAM: u64 = 7_525_690;
/// Fuel of a whole call whose request of 200 KB holds what was sent before, and one message more.
const FUEL_OF_KNOWN: u64 = 3_561_411;

fn wasm() -> Vec<u8> {
    std::fs::read(artifact::wasm().expect("the filter builds")).expect("the filter is there")
}

fn gateway() -> Gateway {
    let filter = Filter::compile(&wasm()).expect("the filter compiles");
    Gateway::start(&filter, replay::settings(Profile::Envoy, "{}")).expect("a gateway")
}

/// Fails when `measured` is beyond the recorded figure by more than 5 %, or so far below that the record is stale.
fn check(what: &str, measured: u64, recorded: u64) {
    println!("{what}: {measured}");
    let (most, least) = (recorded + recorded / 20, recorded / 2);
    assert!((least..=most).contains(&measured), "{what}: {measured}, recorded {recorded}, at most {most}");
}

/// Prose of about this many bytes, every sentence different.
fn prose(bytes: usize) -> String {
    let sentence =
        |number: usize| format!("In line {number} the {}th parcel of {} kg was returned. ", number * 7, number % 13);
    (1..).map(sentence).scan(0, |length, text| (*length < bytes).then(|| (*length += text.len(), text).1)).collect()
}

fn call(gateway: &Gateway, request: &str, head: ResponseHead, response: &str) -> u64 {
    let stream = gateway.worker(0).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
    stream.request_chunks(request, 16 << 10).respond(head).response_chunks(response, 16 << 10);
    let outcome = stream.finish();
    assert_eq!((outcome.status(), outcome.trap.as_ref()), (200, None));
    outcome.fuel_total()
}

fn request(text: &str, stream: bool) -> String {
    serde_json::json!({"model": "gpt-4.1-mini", "stream": stream, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

#[test]
fn every_gateway_links_everything_the_filter_imports() {
    if let Err(problem) = check_imports(&wasm()) {
        panic!("{problem}");
    }
}

#[test]
fn the_file_is_no_larger_than_recorded() {
    check("bytes", wasm().len() as u64, SIZE);
}

#[test]
fn memory_is_no_larger_than_recorded() {
    let gateway = gateway();
    check("pages at start", gateway.worker(0).memory_pages(), PAGES_AT_START);
    let answer = r#"{"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
    call(&gateway, &request(&prose(200_000), false), ResponseHead::json(200, answer.len()), answer);
    check("pages after 200 KB", gateway.worker(0).memory_pages(), PAGES_AFTER_200_KB);
}

#[test]
fn a_json_call_costs_the_fuel_recorded_and_always_the_same() {
    let answer = serde_json::json!({
        "id": "chatcmpl-1", "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": prose(1600)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 480, "completion_tokens": 420, "total_tokens": 900}
    })
    .to_string();
    let measure = || call(&gateway(), &request(&prose(1900), false), ResponseHead::json(200, answer.len()), &answer);
    assert_eq!(measure(), measure());
    check("fuel of JSON", measure(), FUEL_OF_JSON);
}

#[test]
fn a_stream_costs_the_fuel_recorded_and_always_the_same() {
    let stream = stream_of_50_kb();
    let measure = |request: &str| call(&gateway(), request, ResponseHead::sse(), &stream);
    let asking = request(&prose(1900), true).replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    assert_eq!(measure(&asking), measure(&asking));
    check("fuel of a stream", measure(&asking), FUEL_OF_STREAM);
    check("fuel of a stream that loses its usage", measure(&request(&prose(1900), true)), FUEL_OF_CHANGED_STREAM);
}

#[test]
fn what_was_sent_before_costs_the_fuel_recorded() {
    let gateway = gateway();
    let answer = r#"{"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
    let ask = |last: &str| {
        let history = (0..40).map(|turn| ["user", "assistant"][turn % 2]).map(|role| (role, prose(5_000)));
        let messages = history.chain([("user", last.to_owned())]);
        let messages: Vec<_> =
            messages.map(|(role, text)| serde_json::json!({"role": role, "content": text})).collect();
        let request = serde_json::json!({"model": "gpt-4.1-mini", "messages": messages}).to_string();
        call(&gateway, &request, ResponseHead::json(200, answer.len()), answer)
    };
    ask("And?");
    check("fuel of what was sent before", ask("What else?"), FUEL_OF_KNOWN);
}

fn stream_of_50_kb() -> String {
    let event = |text: &str| {
        let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}], "usage": null});
        format!("data: {delta}\n\n")
    };
    let mut stream: String = prose(14_000).split_inclusive(' ').map(event).collect();
    stream.truncate(stream.get(..50_000).and_then(|cut| cut.rfind("\n\n")).expect("50 KB") + 2);
    stream.push_str(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":480,\"completion_tokens\":700}}\n\ndata: [DONE]\n\n",
    );
    stream
}
