//! Exchanges with the stand-in, and the same exchange through the filter and through the native core.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set up must fail")]

#[path = "../support/calls.rs"]
mod calls;
#[path = "../support/native.rs"]
mod native;
#[path = "../support/same.rs"]
pub mod same;

use std::sync::OnceLock;

use serde_json::Value;
use tollgate_core::names::EVENT_LOG_PREFIX;
use tollgate_core::time::Timestamp;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Gateway, Outcome, Profile, RequestHead, ResponseHead, Settings, Stream};
use tollgate_host::replay;
use tollgate_host::standin::{Dialect, FAILURE_HEADER, Standin};

/// What the stand-in can be told to do, beside answering well.
const MISHAPS: [Option<&str>; 4] = [None, Some("truncated"), Some("error-event"), Some("status-429")];

/// A request and what the stand-in answered.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub dialect: Dialect,
    pub stream: bool,
    pub mishap: Option<&'static str>,
    pub request: Vec<u8>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub response: Vec<u8>,
}

impl Exchange {
    fn of(standin: &Standin, dialect: Dialect, stream: bool, mishap: Option<&'static str>) -> Self {
        let failure = mishap.map(|mishap| (FAILURE_HEADER.to_owned(), mishap.to_owned()));
        let request = calls::small_call(dialect, stream);
        let url = format!("{}{}", standin.url(), dialect.path());
        let sent = client::post(&url, failure.as_slice(), &request).unwrap();
        let about = |name: &str| !["content-length", "transfer-encoding", "date"].contains(&name);
        Self {
            dialect,
            stream,
            mishap,
            request: request.to_string().into_bytes(),
            status: sent.status,
            headers: sent.headers.into_iter().filter(|(name, _)| about(name)).collect(),
            response: sent.body,
        }
    }

    /// As the provider's client library sends it.
    pub fn request_head(&self) -> RequestHead {
        let (name, value) = match self.dialect {
            Dialect::Anthropic => ("anthropic-version", "2023-06-01"),
            Dialect::OpenAiChat | Dialect::OpenAiResponses => ("x-stainless-lang", "python"),
        };
        RequestHead::post_json(HOST, self.dialect.path()).header(name, value)
    }

    pub fn response_head(&self) -> ResponseHead {
        self.headers
            .iter()
            .fold(ResponseHead::new(u32::from(self.status)), |head, (name, value)| head.header(name, value))
    }
}

/// Where the calls go; no price list knows it, so the dialect's own provider counts.
pub const HOST: &str = "llm.example";

/// Every dialect, whole and streamed, with every mishap.
pub fn exchanges() -> &'static [Exchange] {
    static EXCHANGES: OnceLock<Vec<Exchange>> = OnceLock::new();
    EXCHANGES.get_or_init(|| {
        let standin = Standin::start().unwrap();
        let mut exchanges = Vec::new();
        for dialect in Dialect::ALL {
            for stream in [false, true] {
                exchanges.extend(MISHAPS.map(|mishap| Exchange::of(&standin, dialect, stream, mishap)));
            }
        }
        exchanges
    })
}

/// The exchanges in which nothing goes wrong.
pub fn good() -> impl Iterator<Item = &'static Exchange> {
    exchanges().iter().filter(|exchange| exchange.mishap.is_none())
}

/// A good exchange.
pub fn one(dialect: Dialect, stream: bool) -> &'static Exchange {
    good().find(|exchange| exchange.dialect == dialect && exchange.stream == stream).unwrap()
}

/// The filter, compiled once.
pub fn filter() -> &'static Filter {
    static FILTER: OnceLock<Filter> = OnceLock::new();
    FILTER.get_or_init(|| Filter::compile(&std::fs::read(artifact::wasm().unwrap()).unwrap()).unwrap())
}

/// A gateway as shipped, with a configuration of the filter.
pub fn gateway(profile: Profile, config: &str) -> Gateway {
    start(replay::settings(profile, config))
}

pub fn start(settings: Settings) -> Gateway {
    Gateway::start(filter(), settings).unwrap()
}

/// Answers a chat's call, unless it was refused, with so many tokens of output.
pub fn answer_chat(stream: Stream, status: u32, output: u64) -> Outcome {
    if stream.outcome().local_reply.is_some() {
        return stream.finish();
    }
    let answer = serde_json::json!({
        "model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": output}
    })
    .to_string();
    stream.respond(ResponseHead::json(status, answer.len())).response_body(answer, true);
    stream.finish()
}

/// A call up to where the response is due.
pub fn ask(gateway: &Gateway, exchange: &Exchange) -> Stream {
    let stream = gateway.worker(0).open(exchange.request_head());
    stream.request_body(&exchange.request, true);
    stream
}

/// The whole exchange in pieces of `size`.
pub fn pass(gateway: &Gateway, exchange: &Exchange, size: usize) -> Outcome {
    let stream = gateway.worker(0).open(exchange.request_head());
    stream.request_chunks(&exchange.request, size);
    stream.respond(exchange.response_head()).response_chunks(&exchange.response, size);
    stream.finish()
}

/// The exchange in the native core, at the time at which every gateway of the harness starts.
pub fn native(exchange: &Exchange, config: &str) -> Value {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let asked: Vec<(String, String)> =
        exchange.request_head().headers.iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
    let seen = native::Exchange {
        method: "POST",
        path: exchange.dialect.path(),
        host: HOST,
        request_headers: &asked,
        request: &exchange.request,
        status: exchange.status,
        response_headers: &exchange.headers,
        response: &exchange.response,
    };
    let now = Timestamp::from_millis(Settings::new(Profile::Envoy).start_time_ns / 1_000_000);
    same::without_id(native::event(&seen, config, now))
}

/// The event of a stream without what differs from call to call.
pub fn event(profile: Profile, outcome: &Outcome) -> Value {
    let event = replay::event_of(profile, outcome).unwrap_or_else(|| panic!("no event on {profile:?}: {outcome:#?}"));
    same::without_id(event)
}

/// How many events the filter logged.
pub fn events_logged(gateway: &Gateway) -> usize {
    gateway.log().iter().filter(|line| line.text.starts_with(EVENT_LOG_PREFIX)).count()
}

/// The event that the filter logged last.
pub fn last_event(gateway: &Gateway) -> Value {
    let log = gateway.log();
    let line = log.iter().rev().find_map(|line| line.text.strip_prefix(EVENT_LOG_PREFIX)).unwrap();
    serde_json::from_str(line).unwrap()
}

/// The sum of a metric over all label sets that hold these labels; `None` when there is none.
pub fn metric(gateway: &Gateway, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let metrics = gateway.metrics();
    let matching: Vec<u64> = metrics
        .iter()
        .filter(|(full, _)| {
            let mut parts = full.split(';');
            let is_named = parts.next() == Some(name);
            let have: Vec<&str> = parts.collect();
            is_named && labels.iter().all(|(key, value)| have.contains(&format!("{key}={value}").as_str()))
        })
        .map(|(_, metric)| metric.value)
        .collect();
    (!matching.is_empty()).then(|| matching.iter().sum())
}

/// Whether the gateway keeps metrics at all.
pub fn has_metrics(profile: Profile) -> bool {
    profile != Profile::Apisix
}
