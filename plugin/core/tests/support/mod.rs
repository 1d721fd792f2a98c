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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tollgate_core::config::Config;
use tollgate_core::dialect::{Role, Route};
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::Bucket;
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::retrieval::Standing;
use tollgate_core::time::Timestamp;

/// When an exchange happened that does not say: the day the traffic's stated prices are of.
const UNDATED: &str = "2026-08-21T00:00:00Z";
/// Where an exchange without a request went, by its directory, else to Anthropic.
const UNASKED: [(&str, &str); 2] = [
    ("azure-chat", "https://made-up.openai.azure.com/openai/deployments/d/chat/completions"),
    ("", "https://api.anthropic.com/v1/messages"),
];

/// One request with its response.
pub(crate) struct Exchange {
    /// The file's name, without its ending.
    pub(crate) name: String,
    /// The whole file.
    pub(crate) file: Value,
    answer: Vec<u8>,
    unasked: &'static str,
}

impl Exchange {
    /// The exchanges in a directory, by name.
    pub(crate) fn all_in(directory: &Path) -> Vec<Self> {
        let files = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        let unasked = UNASKED.iter().find(|(name, _)| directory.ends_with(name) || name.is_empty()).unwrap().1;
        let read = |path: PathBuf| {
            let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let response = &file["response"];
            let answer = match response["body_base64"].as_str() {
                Some(binary) => STANDARD.decode(binary).unwrap(),
                None => response["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
            };
            Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), file, answer, unasked }
        };
        paths.into_iter().map(read).collect()
    }

    /// The response's body.
    pub(crate) fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// The response's status.
    pub(crate) fn status(&self) -> u16 {
        u16::try_from(self.file["response"]["status"].as_u64().unwrap_or(200)).unwrap()
    }

    /// The event of this exchange when its answer arrives in these pieces. The clock stands still at `recorded_at`.
    pub(crate) fn event<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Event {
        self.known(self.event_if_any(pieces))
    }

    /// The same; `None` where nothing is billed.
    pub(crate) fn event_if_any<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Event> {
        self.run((None, self.question()), (None, pieces), Ending::Complete)
    }

    /// The event when this much of the answer arrives before the call ends.
    #[allow(dead_code, reason = "not every test breaks calls off")]
    pub(crate) fn event_of_ended(&self, arrived: &[u8], ending: Ending) -> Event {
        self.known(self.run((None, self.question()), (None, [arrived]), ending))
    }

    /// The same when the answer has this coding.
    #[allow(dead_code, reason = "not every test compresses answers")]
    pub(crate) fn encoded_event<'a>(&self, coding: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Event {
        self.known(self.run((None, self.question()), (Some(coding), pieces), Ending::Complete))
    }

    /// The same when the request has this coding, and is encoded so.
    #[allow(dead_code, reason = "not every test compresses requests")]
    pub(crate) fn event_of_encoded_request(&self, coding: &str, encode: impl Fn(&[u8]) -> Vec<u8>) -> Event {
        self.known(self.run((Some(coding), &encode(self.question())), (None, [self.answer()]), Ending::Complete))
    }

    /// The request's body.
    fn question(&self) -> &[u8] {
        self.file["request"]["body"].as_str().unwrap_or("{}").as_bytes()
    }

    /// Where the request went; `None` where only the answer was recorded, and nothing else tells.
    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn url(&self) -> Option<&str> {
        self.file["request"]["url"].as_str()
    }

    /// The event of this exchange when this is asked instead.
    #[allow(dead_code, reason = "not every test asks something else")]
    pub(crate) fn event_of_request(&self, body: &[u8]) -> Event {
        self.known(self.run((None, body), (None, [self.answer()]), Ending::Complete))
    }

    /// Whether the meter takes this exchange for a call.
    #[allow(dead_code, reason = "most tests know")]
    pub(crate) fn is_call(&self) -> bool {
        let (host, path) = self.target();
        let head = RequestHead { method: self.method(), path, host, ..RequestHead::default() };
        Config::default().route(&head).is_some()
    }

    /// Whether the exchange creates what it is answered, and does not come back for it.
    #[allow(dead_code, reason = "most tests know")]
    pub(crate) fn creates(&self) -> bool {
        let (host, path) = self.target();
        let head = RequestHead { method: self.method(), path, host, ..RequestHead::default() };
        Route::detect(&head).is_some_and(|route| route.role == Role::Creates)
    }

    fn method(&self) -> &str {
        self.file["request"]["method"].as_str().unwrap_or("POST")
    }

    /// Host and path.
    fn target(&self) -> (&str, &str) {
        let url = self.file["request"]["url"].as_str().filter(|url| !url.is_empty()).unwrap_or(self.unasked);
        let (_, url) = url.split_once("://").unwrap();
        url.split_at(url.find('/').unwrap())
    }

    fn known(&self, event: Option<Event>) -> Event {
        event.unwrap_or_else(|| panic!("{}: no event", self.name))
    }

    /// Bodies come with their coding, where they have one.
    fn run<'a, P: IntoIterator<Item = &'a [u8]>>(
        &self,
        (request_coding, body): (Option<&str>, &[u8]),
        (response_coding, pieces): (Option<&str>, P),
        ending: Ending,
    ) -> Option<Event> {
        let request = &self.file["request"];
        let (host, path) = self.target();
        let mut headers = headers(&request["headers"]);
        headers.extend(request_coding.map(|coding| ("content-encoding", coding)));
        let now = Timestamp::parse(self.file["recorded_at"].as_str().unwrap_or(UNDATED)).unwrap();
        let mut meter = Meter::new(Config::default(), [1, 2]);
        let head = RequestHead {
            method: self.method(),
            path,
            host,
            headers: Headers::new(&headers),
            ..RequestHead::default()
        };
        let mut call = meter.open(&head, self.name.clone(), now)?;
        meter.admit(&mut call, Body::Whole(body));
        let mut headers = response_headers(&self.file);
        headers.extend(response_coding.map(|coding| ("content-encoding", coding)));
        meter.respond(&mut call, &ResponseHead { status: self.status(), headers: Headers::new(&headers) });
        for piece in pieces {
            meter.read(&mut call, piece, now);
        }
        // As a gateway does that remembers nothing yet.
        match call.standing() {
            Standing::Own => {}
            Standing::Told(claim) if claim.is_anyones => {
                call.charge(claim.charge(&mut Bucket::default(), &claim.keys.own, None, now).unwrap()?);
            }
            Standing::Told(_) | Standing::Batch(..) | Standing::Nothing => return None,
        }
        Some(meter.end(call, ending, now))
    }
}

/// Where the recorded traffic is; says so and gives `None` where there is none.
#[allow(dead_code, reason = "not every test reads it")]
pub(crate) fn traffic() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traffic");
    let directory = std::env::var_os("TOLLGATE_TRAFFIC").map_or_else(beside, PathBuf::from);
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: there is no recorded traffic at {} (set TOLLGATE_TRAFFIC)", directory.display());
    None
}

/// The exchanges of a directory that were answered.
#[allow(dead_code, reason = "not every test reads it")]
pub(crate) fn answered(traffic: &Path, directory: &str) -> Vec<Exchange> {
    let exchanges = Exchange::all_in(&traffic.join(directory));
    exchanges.into_iter().filter(|exchange| (200..300).contains(&exchange.status())).collect()
}

fn headers(object: &Value) -> Vec<(&str, &str)> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// The response's headers, without the coding that the recorder has undone.
fn response_headers(file: &Value) -> Vec<(&str, &str)> {
    // A recording, which tells its fidelity, holds bodies as text, whatever their coding was.
    let is_recording = file["fidelity"].is_object();
    let mut headers = headers(&file["response"]["headers"]);
    headers.retain(|(name, _)| !is_recording || !name.eq_ignore_ascii_case("content-encoding"));
    headers
}

/// An event as it is published.
pub(crate) fn published(event: &Event) -> String {
    event.json()
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
