//! Taking one chunk out of a stream: the usage that the client did not ask for.
//!
//! The events of a Chat Completions stream pass through as they are, each once it is complete, but for those that
//! hold usage and no choice. An event that grows beyond a bound is none of them and is let through as it comes.
//! Invariants: bounded memory; every byte of every other event passes, in order, whatever the chunking.
//! Must not know: who asked for what.

use std::collections::HashMap;

/// Longest event that may be the one.
const HELD_MAX: usize = 16 * 1024;

/// A stream from which usage chunks are taken.
#[derive(Debug, Default)]
pub struct Withhold {
    /// The event being read.
    held: Vec<u8>,
    /// The event is too long to be the one.
    is_passing: bool,
    /// The line being read has no byte yet.
    is_blank: bool,
}

impl Withhold {
    /// Reads the next piece of the stream and returns what of it, and of what was held back, passes.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(piece.len().saturating_add(self.held.len()));
        for line in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.held.extend_from_slice(line);
            let (ends, is_empty) = match line.split_last() {
                Some((b'\n' | b'\r', before)) => (true, before.is_empty()),
                _ => (false, line.is_empty()),
            };
            // The second half of a CRLF looks like a blank line, but only after a line that was not blank does the
            // event go on; treating it as an end merely passes the event in two halves.
            if ends && is_empty && self.is_blank {
                self.event_ends(&mut passed);
            } else if self.is_passing || self.held.len() > HELD_MAX {
                self.is_passing = true;
                passed.append(&mut self.held);
            }
            self.is_blank = ends;
        }
        passed
    }

    /// The stream ends: what is held back passes, unless it is the usage.
    pub fn end(&mut self) -> Vec<u8> {
        let mut passed = Vec::new();
        self.event_ends(&mut passed);
        passed
    }

    fn event_ends(&mut self, passed: &mut Vec<u8>) {
        if !self.is_passing && is_usage_alone(&self.held) {
            self.held.clear();
        }
        passed.append(&mut self.held);
        self.is_passing = false;
    }
}

/// Whether an event holds usage and no choice.
fn is_usage_alone(event: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(event) else { return false };
    // Every chunk has the field; reading those where it is null would double what a stream costs.
    let is_stated = |rest: &str| !rest.trim_start().trim_start_matches(':').trim_start().starts_with("null");
    if !text.split("\"usage\"").skip(1).any(is_stated) {
        return false;
    }
    let data: String = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    let chunk: Result<HashMap<String, serde_json::Value>, _> = serde_json::from_str(&data);
    chunk.is_ok_and(|chunk| {
        let is_choiceless = chunk.get("choices").and_then(|choices| choices.as_array()).is_some_and(Vec::is_empty);
        is_choiceless && chunk.get("usage").is_some_and(serde_json::Value::is_object)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DELTA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":null}\n\n";
    const FILTERS: &str = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn passed(stream: &str, size: usize) -> String {
        let mut withhold = Withhold::default();
        let mut passed: Vec<u8> = stream.as_bytes().chunks(size).flat_map(|piece| withhold.feed(piece)).collect();
        passed.extend(withhold.end());
        String::from_utf8(passed).expect("events stay whole")
    }

    #[test]
    fn only_the_chunk_of_usage_without_a_choice_is_taken_out() {
        for newline in ["\n", "\r\n", "\r"] {
            let stream = [DELTA, FILTERS, USAGE, DONE].concat().replace('\n', newline);
            let expected = [DELTA, FILTERS, DONE].concat().replace('\n', newline);
            for size in [1, 2, 7, 1_000] {
                let kept = passed(&stream, size);
                assert_eq!(kept.replace(newline, ""), expected.replace(newline, ""), "{newline:?} by {size}");
            }
        }
        assert_eq!(passed(&[DELTA, FILTERS, USAGE, DONE].concat(), 5), [DELTA, FILTERS, DONE].concat());
    }

    #[test]
    fn a_long_event_passes_as_it_comes() {
        let long = format!("data: {}", "x".repeat(HELD_MAX * 2));
        let mut withhold = Withhold::default();
        assert_eq!(withhold.feed(long.as_bytes()).len(), long.len());
        assert!(withhold.held.is_empty());
    }

    proptest! {
        #[test]
        fn a_stream_without_usage_passes_byte_for_byte(
            stream in "(data: [a-z{}\"]{0,9}|event: x|: c|\n|\r|\r\n){0,30}",
            size in 1_usize..9,
        ) {
            prop_assert_eq!(passed(&stream, size), stream);
        }
    }
}
