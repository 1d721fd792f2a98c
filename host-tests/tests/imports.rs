//! What the built filter needs of a gateway, and what it costs: imports, size, memory, fuel.
//!
//! Each bound is what was measured when it was recorded (the figure in its comment), and 5 %. When a change is worth
//! more, record the new figure here, so that it is seen in review.

#[path = "../benches/gateway/text.rs"]
mod text;

use std::collections::BTreeMap;
use tollgate_core::config::Config;
use tollgate_core::ledger::{Bucket, BucketId, Buckets, Keep, Key};
use tollgate_core::limit::Account;
use tollgate_core::time::Timestamp;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Gateway, Profile, RequestHead, ResponseHead, check_imports};
use tollgate_host::replay;

/// Bytes of `tollgate.wasm`.
const SIZE: u64 = 4_019_700;
/// What it may never exceed, whatever is recorded: every worker of every gateway loads it.
const SIZE_MAX: u64 = 4_500_000;
/// Bytes of all functions' bodies. Envoy compiles them before it serves, which takes a second for each 1.2 MB on two CPUs.
const CODE: u64 = 1_215_666;
/// Bytes of the largest function's body. An engine compiles several functions at a time, each in memory that grows with it:
/// one of 46 KB took V8 20 MB, which Envoy keeps.
const LARGEST_FUNCTION: u64 = 14_013;
/// Pages of 64 KiB after the start.
const PAGES_AT_START: u64 = 45;
/// Pages after a request of 200 KB.
const PAGES_AFTER_200_KB: u64 = 53;
/// Fuel of a whole JSON call with bodies of 2 KB.
const FUEL_OF_JSON: u64 = 947_860;
/// Fuel of a whole call with a stream of 50 KB.
const FUEL_OF_STREAM: u64 = 4_708_527;
/// The same where the client did not ask for usage, so that it is asked for and kept from the answer.
const FUEL_OF_CHANGED_STREAM: u64 = 8_049_294;
/// Fuel of a whole call whose request of 200 KB holds what was sent before, and one message more.
const FUEL_OF_KNOWN: u64 = 1_213_026;
/// Fuel of admitting a JSON call with a body of 2 KB under five budgets.
const FUEL_OF_FIVE_BUDGETS: u64 = 382_346;
/// Fuel of an agent's calls with requests of 2, 53 and 196 KB: the first, and one that re-sends it but for its tail. The last
/// moves by a fifth with the secret, which says where what was counted is kept.
const FUEL_OF_AGENTS: [(usize, u64, u64); 3] =
    [(2_000, 1_166_726, 412_581), (53_000, 8_083_802, 1_391_375), (196_000, 26_480_313, 5_030_404)];
/// Fuel of a call with a stream of 104 KB, written at once, after another of the kind.
const FUEL_OF_LONG_STREAM: u64 = 4_919_427;

fn wasm() -> Vec<u8> {
    std::fs::read(artifact::wasm().expect("the filter builds")).expect("the filter is there")
}

fn gateway() -> Gateway {
    gateway_with("{}")
}

fn gateway_with(config: &str) -> Gateway {
    let filter = Filter::compile(&wasm()).expect("the filter compiles");
    Gateway::start(&filter, replay::settings(Profile::Envoy, config)).expect("a gateway")
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
    assert!(wasm().len() as u64 <= SIZE_MAX, "{} bytes", wasm().len());
}

#[test]
fn neither_all_code_nor_the_largest_function_is_more_than_recorded() {
    let wasm = wasm();
    let parts = wasmparser::Parser::new(0).parse_all(&wasm).map(|part| part.expect("a module"));
    let bodies = parts.filter_map(|part| match part {
        wasmparser::Payload::CodeSectionEntry(body) => Some(body.range().len() as u64),
        _ => None,
    });
    let bodies: Vec<u64> = bodies.collect();
    check("bytes of code", bodies.iter().sum(), CODE);
    check("bytes of the largest function", *bodies.iter().max().expect("functions"), LARGEST_FUNCTION);
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

#[test]
fn an_agents_calls_cost_the_fuel_recorded_and_less_where_they_repeat_themselves() {
    let answer = String::from_utf8(text::answer()).expect("text");
    for (size, first, again) in FUEL_OF_AGENTS {
        let gateway = gateway();
        let measure =
            |tail| call(&gateway, &agent_request(size, tail, false), ResponseHead::json(200, answer.len()), &answer);
        check(&format!("fuel of a first call of {size} bytes"), measure("7c2f"), first);
        measure("91d0");
        check(&format!("fuel of a later call of {size} bytes"), measure("e6b3"), again);
    }
}

#[test]
fn a_long_stream_in_one_write_costs_the_fuel_recorded() {
    let gateway = gateway();
    let stream = String::from_utf8(text::stream().concat()).expect("text");
    let measure = |tail| call(&gateway, &agent_request(2_000, tail, true), ResponseHead::sse(), &stream);
    measure("7c2f");
    check("fuel of a long stream", measure("91d0"), FUEL_OF_LONG_STREAM);
}

/// The request of the gateway bench, with this at its end.
fn agent_request(size: usize, tail: &str, stream: bool) -> String {
    let (before, after) = text::request(size, stream);
    [String::from_utf8_lossy(&before), tail.into(), String::from_utf8_lossy(&after)].concat()
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

const FIVE_BUDGETS: &str = r#"{"limits": [
    {"id": "org", "measure": "cost_usd", "per": "month", "limit": "1000"},
    {"id": "user", "measure": "cost_usd", "per": "day", "key": ["user"], "limit": "10", "reserve": "upper_bound", "unbounded": "allow"},
    {"id": "rate", "measure": "tokens", "per": "minute", "refill": "steadily", "key": ["user", "model"], "limit": 100000},
    {"id": "task", "measure": "steps", "per": "task", "limit": 100},
    {"id": "in-flight", "measure": "concurrency", "key": ["user"], "limit": 10}
]}"#;

/// Accounts of a hundred thousand users, in the buckets that they fall to.
fn share_accounts(gateway: &Gateway) {
    let now = Timestamp::from_millis(gateway.now_ns() / 1_000_000);
    let config = Config::parse(FIVE_BUDGETS.as_bytes()).expect("a configuration");
    let terms = &config.limits[1].budget.as_ref().expect("a budget").terms;
    let mut buckets = BTreeMap::<BucketId, Bucket<'static>>::new();
    for user in 0..100_000 {
        let mut account = Account::default();
        account.settle(terms, None, 1_000, now);
        let key = Key::<Account>::new(&["user", "1", &format!("=user-{user}")]);
        let bucket = buckets.entry(Buckets::SHARED.of(&key)).or_default();
        bucket.put(&key, &account, account.expires(terms, now), Keep::Live).expect("room");
    }
    buckets.iter().for_each(|(id, bucket)| gateway.share(&id.shared_key(), bucket.encode()));
}

/// Fuel until a user's call is forwarded, once others of the same user were.
fn admission(gateway: &Gateway) -> u64 {
    let request = request(&prose(1900), false);
    let answer = r#"{"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
    let mut fuel = 0;
    for _ in 0..3 {
        let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions")
            .header("x-tollgate-user", "user-77")
            .header("x-tollgate-task", "t");
        let stream = gateway.worker(0).open(head);
        stream.request_chunks(&request, 16 << 10);
        fuel = stream.outcome().fuel_total();
        stream.respond(ResponseHead::json(200, answer.len())).response_chunks(answer, 16 << 10);
        assert_eq!(stream.finish().status(), 200);
    }
    fuel
}

#[test]
fn five_budgets_cost_the_fuel_recorded_and_a_hundred_thousand_keys_hardly_more() {
    let gateway = gateway_with(FIVE_BUDGETS);
    let few = admission(&gateway);
    share_accounts(&gateway);
    let many = admission(&gateway);
    check("fuel of five budgets", many, FUEL_OF_FIVE_BUDGETS);
    // The others in a bucket are looked at, twelve on average.
    assert!(many < few + few / 2, "{few} with three keys, {many} with a hundred thousand");
}
