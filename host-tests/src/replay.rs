//! A recorded exchange through the real filter, in a gateway of choice: the event it gives.
//!
//! Must not know: files, printing.

use crate::gateway::{Filter, Gateway, LoadError, Outcome, Profile, RequestHead, ResponseHead, Settings};
use crate::recording::Recording;
use serde_json::Value;

/// How recordings are replayed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateway.
    pub profile: Profile,
    /// The filter's configuration.
    pub config: String,
    /// Bytes per piece of a body; the whole at once when 0.
    pub chunk: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { profile: Profile::Envoy, config: "{}".to_owned(), chunk: 0 }
    }
}

/// Where each gateway makes the whole event readable.
#[must_use]
pub const fn event_place(profile: Profile) -> &'static str {
    match profile {
        Profile::Envoy => "wasm.tollgate.event",
        Profile::Kong | Profile::Apisix => "tollgate_event",
    }
}

/// A gateway set up as the shipped configurations do, with the variable that carries the event on Kong and APISIX.
#[must_use]
pub fn settings(profile: Profile, config: &str) -> Settings {
    Settings::shipped(profile).with_config(config).with_variable("tollgate_event")
}

/// The event of a stream; `None` for traffic that the filter left alone.
#[must_use]
pub fn event_of(profile: Profile, outcome: &Outcome) -> Option<Value> {
    serde_json::from_str(&outcome.logged(event_place(profile))?).ok()
}

/// Replays one recording at the time it was recorded.
///
/// # Errors
/// When the filter does not load.
pub fn replay(filter: &Filter, recording: &Recording, options: &Options) -> Result<Outcome, LoadError> {
    let mut settings = settings(options.profile, &options.config);
    if let Some(time) = recording.time() {
        settings.start_time_ns = time.millis().saturating_mul(1_000_000);
    }
    let gateway = Gateway::start(filter, settings)?;
    let (host, path) = recording.target();
    let mut head = RequestHead::new(&recording.request.method, host, path);
    for (name, value) in recording.request.headers.iter().filter(|(name, _)| *name != "host") {
        head = head.header(name, value);
    }
    let body = recording.request.body.clone().unwrap_or_default();
    let stream = gateway.worker(0).open(if body.is_empty() { head.without_body() } else { head });
    let whole = |length: usize| if options.chunk == 0 { length.max(1) } else { options.chunk };
    if !body.is_empty() {
        stream.request_chunks(&body, whole(body.len()));
    }
    let answer = recording.response.bytes().unwrap_or_default();
    let mut head = ResponseHead::new(u32::from(recording.response.status));
    for (name, value) in &recording.response.headers {
        // The recorders stored bodies decoded and unchunked.
        if !["content-encoding", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            head = head.header(name, value);
        }
    }
    if answer.is_empty() {
        stream.respond(head.without_body());
    } else {
        stream.respond(head);
        stream.response_chunks(&answer, whole(answer.len()));
    }
    Ok(stream.finish())
}
