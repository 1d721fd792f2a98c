//! Events in what gateways log: access logs and log lines, as they come.
//!
//! [`logged`] says in which lines there are events.
//! Must not know: what an event says.

use std::io::{self, BufRead};

use serde::de::DeserializeOwned;
use tollgate_core::logged;

/// The events in a log, as much of each as is asked for, and how many lines hold none.
///
/// # Errors
/// When the log cannot be read.
pub fn read<E: DeserializeOwned>(log: impl BufRead) -> io::Result<(Vec<E>, usize)> {
    let (mut events, mut without) = (Vec::new(), 0);
    for line in log.split(b'\n') {
        match event(&String::from_utf8_lossy(&line?)) {
            Some(event) => events.push(event),
            None => without += 1,
        }
    }
    Ok((events, without))
}

/// The event in one line of a log; a line that cannot be read holds none.
fn event<E: DeserializeOwned>(line: &str) -> Option<E> {
    serde_json::from_str(&logged::event(line).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn events_are_found_wherever_gateways_write_them_and_other_lines_are_counted() {
        let log = [
            r#"{"schema":"tollgate.event/1","id":"replayed","file":"a.json"}"#,
            r#"{"status":200,"tollgate_event":"{\"schema\":\"tollgate.event/1\",\"id\":\"access\"}"}"#,
            r#"{"status":404,"tollgate_event":null}"#,
            r#"[2026-11-20 09:30:00.000][12][info][wasm] wasm log tollgate: tollgate event {"schema":"tollgate.event/1","id":"envoy"}"#,
            r#"2026/11/20 09:30:00 [info] 7#7: *3 tollgate event {"schema":"tollgate.event/1","id":"kong","partial":true}, client: 127.0.0.1, request: "POST {/}""#,
            r#"{"schema":"other/1","id":"stranger"}"#,
            r#"tollgate event {"schema":"tollgate.event/1","id":"cu"#,
            "",
        ];
        let (events, without) = read::<Value>(log.join("\n").as_bytes()).unwrap();
        let ids: Vec<_> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        assert_eq!((ids, without), (vec!["replayed", "access", "envoy", "kong"], 3));
    }
}
