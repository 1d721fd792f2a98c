//! The recorded exchanges, where they are on this machine, and the events that the native core gives for them.
//!
//! The recordings are third-party and not in this repository: `TOLLGATE_TRAFFIC` names their directory, by default
//! `../shared/traffic` beside the workspace. Must not know: gateways.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::native;
use crate::same::without_id;
use serde_json::Value;
use std::path::PathBuf;
use tollgate_core::time::Timestamp;
use tollgate_host::artifact;
use tollgate_host::recording::Recording;

/// All recordings, by name; `None` where there are none.
pub fn files() -> Option<Vec<PathBuf>> {
    let root =
        std::env::var_os("TOLLGATE_TRAFFIC").map_or_else(|| artifact::root().join("../shared/traffic"), PathBuf::from);
    let folders = std::fs::read_dir(root).ok()?.map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for folder in folders.filter(|path| path.is_dir()) {
        files.extend(std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Some(files)
}

/// The folder of a recording: its dialect and provider.
pub fn folder(file: &std::path::Path) -> &str {
    file.parent().and_then(|folder| folder.file_name()?.to_str()).expect("a folder")
}

/// The native core's event, without what differs from call to call; `None` where it is no LLM call.
pub fn native_event(recording: &Recording) -> Option<Value> {
    let (host, path) = recording.target();
    native_event_at(recording, host, path, recording.time().unwrap_or_default())
}

/// The same for a call to another host, at another time.
pub fn native_event_at(recording: &Recording, host: &str, path: &str, now: Timestamp) -> Option<Value> {
    // The recorders stored bodies decoded.
    let listed = |headers: &std::collections::BTreeMap<String, String>| {
        let kept = headers.iter().filter(|(name, _)| *name != "content-encoding");
        kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let exchange = native::Exchange {
        method: &recording.request.method,
        path,
        host,
        request_headers: &listed(&recording.request.headers),
        request: recording.request.body.as_deref().unwrap_or_default().as_bytes(),
        status: recording.response.status,
        response_headers: &listed(&recording.response.headers),
        response: &recording.response.bytes().expect("a body"),
    };
    native::event_if_any(&exchange, "{}", now).map(without_id)
}

/// An event without its times, and without what only a gateway's workers know.
pub fn timeless(mut event: Value) -> Value {
    (event["time"], event["timing"], event["task"]) = (Value::Null, Value::Null, Value::Null);
    event["time_per_output_token_us"] = Value::Null;
    event["request_id"] = Value::Null;
    event
}
