//! What counting a prompt costs a worker, which serves others meanwhile: a bound of work and memory for any text, next to
//! nothing for what was sent before; and what workers learn of a model together.

use serde_json::{Value, json};
use tollgate_host::gateway::{Gateway, Outcome, Profile, RequestHead, ResponseHead};
use tollgate_host::replay;

use super::support::start;

/// Fuel of judging a request, whatever it holds. In wasmtime these take 2 to 10 ms.
const FUEL_MAX: u64 = 168_000_000;
/// Pages of 64 KiB: a body of 4 MB, and 6 MiB.
const PAGES_MAX: u64 = 160;
/// Pages in a mebibyte.
const MEBIBYTE: u64 = 16;

/// A call of a model with this content, answered with so many input tokens.
fn call(gateway: &Gateway, worker: usize, model: &str, content: &Value, input_tokens: u64) -> Outcome {
    let request = json!({"model": model, "messages": [{"role": "user", "content": content}]}).to_string();
    let response =
        json!({"model": model, "choices": [], "usage": {"prompt_tokens": input_tokens, "completion_tokens": 2}});
    let stream = gateway.worker(worker).open(RequestHead::post_json("api.openai.com", "/v1/chat/completions"));
    stream.request_chunks(&request, 256 << 10);
    let response = response.to_string();
    stream.respond(ResponseHead::json(200, response.len())).response_body(&response, true);
    let outcome = stream.finish();
    assert_eq!((outcome.status(), outcome.trap.as_ref()), (200, None));
    assert_eq!(outcome.upstream.as_ref().map(|upstream| upstream.body.as_slice()), Some(request.as_bytes()));
    outcome
}

fn event(profile: Profile, outcome: &Outcome) -> Value {
    replay::event_of(profile, outcome).expect("an event")
}

/// A megabyte of what takes a tokenizer longest, and more of one piece.
fn hostile_texts() -> Vec<(&'static str, String)> {
    const MEGABYTE: usize = 1_000_000;
    // Reproducible noise: xorshift64.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state >> 40).unwrap_or(0) % below
    };
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |at: u32| char::from(BASE64[usize::try_from(at).unwrap_or(0)]);
    vec![
        ("one letter", "a".repeat(MEGABYTE)),
        ("four megabytes of one letter", "a".repeat(4 * MEGABYTE)),
        ("four megabytes of line ends, two bytes each", "\n".repeat(2 * MEGABYTE)),
        ("spaces", " ".repeat(MEGABYTE)),
        ("line ends, two bytes each", "\n".repeat(MEGABYTE / 2)),
        ("punctuation", "!?.,;:".repeat(MEGABYTE / 6)),
        ("base64", (0..MEGABYTE).map(|_| digit(noise(64))).collect()),
        ("letters", (0..MEGABYTE).map(|_| digit(noise(52))).collect()),
        ("Unicode", (0..MEGABYTE / 3).filter_map(|_| char::from_u32(noise(0x1_1000))).collect()),
        ("Chinese", (0..MEGABYTE / 3).filter_map(|_| char::from_u32(0x4E00 + noise(0x5000))).collect()),
    ]
}

#[test]
fn texts_built_to_exhaust_the_counter_are_counted_within_the_budget() {
    for profile in Profile::ALL {
        for (name, text) in hostile_texts() {
            let mut settings = replay::settings(profile, "{}");
            // Kong does not hand over what it spilled to disk.
            settings.client_body_buffer_size = 32 << 20;
            settings.buffer_limit = 32 << 20;
            let gateway = start(settings);
            let outcome = call(&gateway, 0, "gpt-4.1", &Value::from(text), 1_000);
            let most = outcome.fuel.iter().map(|reading| reading.fuel).max().unwrap_or(0);
            assert!(most <= FUEL_MAX, "{profile:?} {name}: {most}");
            let pages = gateway.worker(0).memory_pages();
            assert!(pages <= PAGES_MAX, "{profile:?} {name}: {pages} pages");
            let event = event(profile, &outcome);
            assert!(event["predicted_input_tokens"].as_u64() > Some(1_000), "{profile:?} {name}: {event:#}");
        }
    }
}

#[test]
fn twenty_megabytes_of_an_image_count_as_the_image_and_grow_memory_by_less_than_two() {
    // A PNG of 600 by 300 pixels, as its head says.
    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAlgAAAEsCAYAAAA";
    let url = format!("data:image/png;base64,{PNG}{}", "A".repeat(20 << 20));
    let content = json!([{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": url}}]);
    let mut settings = replay::settings(Profile::Envoy, "{}");
    settings.buffer_limit = 32 << 20;
    let gateway = start(settings);
    call(&gateway, 0, "gpt-4o", &json!("Hi"), 8);
    let before = gateway.worker(0).memory_pages();
    let event = event(Profile::Envoy, &call(&gateway, 0, "gpt-4o", &content, 433));
    let grown = gateway.worker(0).memory_pages() - before;
    assert!(grown <= 2 * MEBIBYTE, "{grown} pages");
    assert_eq!(event["media"]["image"], json!({"count": 1, "tokens": 425}), "{event:#}");
    assert_eq!(event["predicted_input_tokens"], 433, "{event:#}");
}

#[test]
fn what_the_calls_of_one_worker_teach_holds_for_all() {
    let mut settings = replay::settings(Profile::Envoy, "{}");
    settings.workers = 2;
    let gateway = start(settings);
    let ask = |worker: usize, words: usize| {
        let content = Value::from("word ".repeat(words).trim());
        // The model makes twice the tokens of what is predicted of it at first, for a text of as many words.
        let reported = u64::try_from(2 * words + 14).expect("few");
        event(Profile::Envoy, &call(&gateway, worker, "my-model", &content, reported))
    };
    for words in [100, 300, 500, 700, 900, 1_100] {
        ask(0, words);
    }
    // A worker hears of them with its own first call.
    let [first, second] = [ask(1, 200), ask(1, 400)];
    assert_eq!(
        (first["predicted_input_tokens"].as_u64(), &first["learned_factor"]),
        (Some(207), &Value::Null),
        "{first:#}"
    );
    assert_eq!(second["predicted_input_tokens"], 814, "{second:#}");
}
