//! Exchanges in the format of the recorded traffic (a JSON object with `request`, `response` and `recorded_at`), and
//! the meter driven through one of them, natively.
//!
//! Must not know: what an event should say.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test may panic as tests do"
)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::time::Timestamp;

/// When an exchange happened that does not say: the day the traffic's stated prices are of.
const UNDATED: &str = "2026-08-21T00:00:00Z";
/// Where an exchange without a request went; there are such recordings of Anthropic alone.
const UNASKED: &str = "https://api.anthropic.com/v1/messages";

/// One request with its response.
pub(crate) struct Exchange {
    /// The file's name, without its ending.
    pub(crate) name: String,
    /// The whole file.
    pub(crate) file: Value,
}

impl Exchange {
    /// The exchanges in a directory, by name.
    pub(crate) fn all_in(directory: &Path) -> Vec<Self> {
        let files = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        let read = |path: PathBuf| Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            file: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
        };
        paths.into_iter().map(read).collect()
    }

    /// The response's body.
    pub(crate) fn answer(&self) -> &[u8] {
        self.file["response"]["body"].as_str().unwrap_or_else(|| panic!("{}: no text body", self.name)).as_bytes()
    }

    /// The response's status.
    pub(crate) fn status(&self) -> u16 {
        u16::try_from(self.file["response"]["status"].as_u64().unwrap_or(200)).unwrap()
    }

    /// The event of this exchange when its answer arrives in these pieces. The clock stands still at `recorded_at`.
    pub(crate) fn event<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Event {
        self.run(self.file["request"]["body"].as_str().unwrap_or("{}").as_bytes(), pieces)
    }

    /// The event of this exchange when this is asked instead.
    #[allow(dead_code, reason = "not every test asks something else")]
    pub(crate) fn event_of_request(&self, body: &[u8]) -> Event {
        self.run(body, [self.answer()])
    }

    fn run<'a>(&self, body: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> Event {
        let request = &self.file["request"];
        let url = request["url"].as_str().unwrap_or(UNASKED);
        let (_, url) = url.split_once("://").unwrap();
        let (host, path) = url.split_at(url.find('/').unwrap());
        let headers = headers(&request["headers"]);
        let now = Timestamp::parse(self.file["recorded_at"].as_str().unwrap_or(UNDATED)).unwrap();
        let mut meter = Meter::new(Config::default());
        let method = request["method"].as_str().unwrap_or("POST");
        let head = RequestHead { method, path, host, headers: Headers::new(&headers) };
        let mut call = meter.open(&head, self.name.clone(), now).unwrap_or_else(|| panic!("{}: no call", self.name));
        meter.admit(&mut call, Body::Whole(body));
        let headers = response_headers(&self.file);
        meter.respond(&mut call, &ResponseHead { status: self.status(), headers: Headers::new(&headers) });
        for piece in pieces {
            meter.read(&mut call, piece, now);
        }
        meter.end(call, Ending::Complete, now)
    }
}

fn headers(object: &Value) -> Vec<(&str, &str)> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// The response's headers, without the coding that the recorder has undone.
fn response_headers(file: &Value) -> Vec<(&str, &str)> {
    let is_decoded = file["fidelity"]["response"].as_str().is_some_and(|note| note.contains("decoded"));
    let mut headers = headers(&file["response"]["headers"]);
    headers.retain(|(name, _)| !is_decoded || *name != "content-encoding");
    headers
}

/// An event as it is published.
pub(crate) fn published(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

#[allow(dead_code, reason = "not every test cuts answers")]
/// Checks that every chunking of an exchange's answer gives the event that the whole answer gives.
pub(crate) fn check_chunkings(exchange: &Exchange) {
    let answer = exchange.answer();
    let whole = published(&exchange.event([answer]));
    for size in [1, 7, 61] {
        assert_eq!(published(&exchange.event(answer.chunks(size))), whole, "{} by {size}", exchange.name);
    }
    // Sizes from 1 to 4,096, with no pattern that a framing could share (a linear congruential generator).
    for seed in 1..4_u64 {
        let (mut state, mut rest, mut pieces) = (seed, answer, Vec::new());
        while !rest.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let size =
                usize::try_from(1_u64 << (state >> 60)).unwrap().min(4_096) + usize::from(state & (1 << 40) != 0);
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(published(&exchange.event(pieces)), whole, "{} at random, seed {seed}", exchange.name);
    }
}
