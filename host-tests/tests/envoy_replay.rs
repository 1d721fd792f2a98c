//! Recorded exchanges through a real Envoy that runs Tollgate and Envoy's own `ai_protocol_manager` at once: what each
//! reads of the same bytes, and which of them is right.
//!
//! The recordings are third-party and not in this repository: `TOLLGATE_TRAFFIC` names their directory, by default
//! `../shared/traffic` beside the workspace. Where there is none, the test says so and passes. What is right is computed
//! from the usage objects that each recording lists, with the providers' rules and no reader of either filter.

mod support;
#[path = "support/traffic.rs"]
mod traffic;
#[path = "../../plugin/core/tests/truth/mod.rs"]
mod truth;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use support::{SOON, event, native, same};
use tollgate_core::time::Timestamp;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::envoy::native as built_in;
use tollgate_host::envoy::{self, Envoy, Options};
use tollgate_host::loopback::{Reply, Request, Server};
use tollgate_host::recording::Recording;
use truth::Totals;

/// Names the recording to the server that answers.
const RECORDING: &str = "x-recording";

/// Headers that belong to a connection, or to a body as it was before the recorder stored it decoded.
const OF_THE_CONNECTION: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "trailer",
    "transfer-encoding",
];

/// How many recorded answers each filter read rightly, in one folder.
#[derive(Default)]
struct Tally {
    stated: u32,
    tollgate: u32,
    built_in: u32,
}

#[test]
fn recorded_calls_are_metered_in_envoy_as_in_the_core_beside_its_own_filter() {
    let Some(calls) = calls() else {
        println!("NOT TESTED: no recorded traffic (set TOLLGATE_TRAFFIC)");
        return;
    };
    let (_server, envoy) = start(&calls);
    let mut folders: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut differences = Vec::new();
    for (index, (file, recording)) in calls.iter().enumerate() {
        let line = send(&envoy, index, recording);
        check_event(recording, &line, &file.display().to_string());
        let listed: Value = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
        let folder = traffic::folder(file);
        let Some(stated) = truth::totals(folder, &listed, &recording.response.bytes().expect("a body")) else {
            continue;
        };
        let (tollgate, built_in) = (tollgate_read(&event(&line)), built_in_read(&line));
        let tally = folders.entry(folder).or_default();
        tally.stated += 1;
        tally.tollgate += u32::from(tollgate == stated);
        tally.built_in += u32::from(built_in == Some(stated));
        assert_eq!(tollgate, stated, "{}: what Tollgate read", file.display());
        if built_in != Some(stated) {
            differences.push(format!("{}: it reads {built_in:?}, stated is {stated:?}", file.display()));
        }
    }
    println!("{:<26} {:>6} {:>9} {:>20}", "folder", "stated", "Tollgate", "ai_protocol_manager");
    for (folder, tally) in &folders {
        println!("{folder:<26} {:>6} {:>9} {:>20}", tally.stated, tally.tollgate, tally.built_in);
    }
    println!("{}", differences.join("\n"));
    let read: u32 = folders.values().map(|tally| tally.built_in).sum();
    assert!(read > 80, "the other filter was at work: {read}");
}

/// The recordings that are posted to a path which the core knows.
fn calls() -> Option<Vec<(PathBuf, Recording)>> {
    let read = |file: PathBuf| {
        let recording = Recording::read(&file).expect("a recording");
        let posts = recording.request.method.eq_ignore_ascii_case("POST");
        (posts && traffic::native_event(&recording).is_some()).then_some((file, recording))
    };
    Some(traffic::files()?.into_iter().filter_map(read).collect())
}

/// A server that answers as recorded, and an Envoy with both filters in front of it.
fn start(calls: &[(PathBuf, Recording)]) -> (Server, Envoy) {
    let replies: Vec<Reply> = calls.iter().map(|(_, recording)| reply(recording)).collect();
    let answer = move |request: Request| {
        let index = request.header(RECORDING).and_then(|index| index.parse::<usize>().ok());
        index.and_then(|index| replies.get(index).cloned()).expect("a recording")
    };
    let server = Server::start(answer).expect("a server");
    let mut options = Options::new(artifact::wasm().expect("the filter builds"), server.address());
    options.any_path = true;
    options.extra_filters = vec![built_in::filter()];
    options.extra_log_fields = vec![built_in::log_field()];
    (server, Envoy::start(&options).unwrap_or_else(|error| panic!("{error}")))
}

/// As recorded, with the content type that providers give where the recorder dropped it.
fn reply(recording: &Recording) -> Reply {
    let body = recording.response.bytes().expect("a body");
    let kind = if body.starts_with(b"{") { "application/json" } else { "text/event-stream" };
    let mut headers = lasting(&recording.response.headers);
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    Reply { headers, ..Reply::whole(recording.response.status, kind, body) }
}

fn lasting(headers: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let lasting = headers.iter().filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()));
    lasting.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Host and path of a call, without the brackets that recorders put around what they took out.
fn target(recording: &Recording) -> (String, String) {
    let (host, path) = recording.target();
    (host.replace(['<', '>'], ""), path.replace(['<', '>'], ""))
}

/// Sends a call as it was recorded; its line of the access log.
fn send(envoy: &Envoy, index: usize, recording: &Recording) -> Value {
    let (host, path) = target(recording);
    let mut headers = lasting(&recording.request.headers);
    headers.push(("host".to_owned(), host));
    headers.push((RECORDING.to_owned(), index.to_string()));
    let body = recording.request.body.as_deref().unwrap_or_default();
    let url = format!("{}{path}", envoy.url());
    client::post_bytes(&url, &headers, body.as_bytes(), usize::MAX).expect("an answer");
    let log = envoy.wait_for_access_log(index + 1, SOON);
    assert_eq!(log.len(), index + 1, "{url}");
    log.into_iter().next_back().expect("a line")
}

/// The event in Envoy is the core's for the same call at the same time.
fn check_event(recording: &Recording, line: &Value, case: &str) {
    let found = envoy::event(line).unwrap_or_else(|| panic!("{case}: no event in {line:#}"));
    let (host, path) = target(recording);
    let now = Timestamp::parse(found["time"].as_str().expect("a time")).expect("a time");
    let expected = traffic::native_event_at(recording, &host, &path, now).expect("an event");
    same::assert_same(&traffic::timeless(same::without_id(found)), &traffic::timeless(expected), case);
}

fn tollgate_read(event: &Value) -> Totals {
    let count = |name: &str| event[name].as_u64().unwrap_or(0);
    Totals {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_tokens"),
        cache_write: count("cache_write_5m_tokens") + count("cache_write_1h_tokens"),
    }
}

fn built_in_read(line: &Value) -> Option<Totals> {
    let usage = built_in::usage(line)?;
    Some(Totals {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
    })
}
