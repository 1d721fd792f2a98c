//! What an element of a prompt is told apart by, as the provider's cache tells it apart: by what the model reads.
//!
//! Where clients mark what is to be cached, the marks wander from call to call: the message that ended one call
//! carries `cache_control`, in the next call it does not, and what was blocks for the mark's sake is a plain string
//! again. The provider's cache does not mind, so neither may this. Everything else counts, byte by byte.
//! Invariants: keyed; bounded depth; markers, and text wrapped into a single block, change nothing.
//! Must not know: what fingerprints are compared for.

use crate::frame::raw::{Cursor, Raw};
use crate::tokens::memo::KeyHasher;

/// Levels that are looked into: message, content, block, its content, its blocks. What lies deeper counts as it is.
const DEPTH: u8 = 6;

/// An element, as the provider's cache sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Never 0; `None` of an element that is nothing but a marker.
    pub(crate) hash: Option<u32>,
    /// Blocks of content.
    pub(crate) blocks: u8,
    /// It asks for the prompt to be cached up to here.
    pub(crate) has_marker: bool,
}

impl Fingerprint {
    /// Of an element in which no marker can lie, by a keyed hash of its bytes.
    pub(crate) fn plain(hash: u64) -> Self {
        Self { hash: Some(short(hash)), blocks: 1, has_marker: false }
    }

    /// Of an element in which markers may lie.
    pub(crate) fn of(hasher: &KeyHasher, json: &str) -> Self {
        let mut reading = Reading { hasher, has_marker: false, blocks: 1 };
        let hash = reading.value(&mut Cursor::new(json), DEPTH).map(short);
        let blocks = u8::try_from(reading.blocks).unwrap_or(u8::MAX);
        Self { hash, blocks, has_marker: reading.has_marker }
    }
}

fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX).max(1)
}

/// What a hash stands for, so that a list never passes for an object.
#[derive(Clone, Copy, Hash)]
enum Shape {
    Plain,
    Object,
    Array,
}

struct Reading<'h> {
    hasher: &'h KeyHasher,
    has_marker: bool,
    blocks: usize,
}

impl Reading<'_> {
    /// The hash of the value that is next; `None` of a marker, and of what is no JSON.
    fn value(&mut self, value: &mut Cursor<'_>, depth: u8) -> Option<u64> {
        let Some(deeper) = depth.checked_sub(1) else { return Some(self.plain(value.raw()?.get())) };
        let mut items = Vec::new();
        if value.items(|item| items.extend(self.value(item, deeper))) {
            if depth == DEPTH - 1 {
                self.blocks = items.len().max(1);
            }
            return Some(match items.as_slice() {
                [only] => *only,
                items => self.all(Shape::Array, items),
            });
        }
        let (mut members, mut text, mut is_block, mut is_marker) = (Vec::new(), None, true, false);
        let is_object = value.members(|key, value| match &*key {
            "cache_control" | "cachePoint" => is_marker = true,
            _ => {
                let raw = value.raw_after(|value| {
                    if let Some(hash) = self.value(value, deeper) {
                        members.extend([self.plain(&key), hash]);
                        text = text.or_else(|| (key == "text").then_some(hash));
                    }
                });
                is_block &= key == "text" || (key == "type" && raw.map(Raw::get) == Some(r#""text""#));
            }
        });
        if !is_object {
            return Some(self.plain(value.raw()?.get()));
        }
        self.has_marker |= is_marker;
        match text.filter(|_| is_block) {
            None if is_marker && members.is_empty() => None,
            // A block of text is what its text is.
            Some(text) => Some(text),
            None => Some(self.all(Shape::Object, &members)),
        }
    }

    fn plain(&self, text: &str) -> u64 {
        self.hasher.key(&Shape::Plain, text.as_bytes()).bits()
    }

    fn all(&self, shape: Shape, hashes: &[u64]) -> u64 {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        self.hasher.key(&shape, &bytes).bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::memo::Memo;

    fn of(json: &str) -> Fingerprint {
        Fingerprint::of(&Memo::<u8>::new([1, 2]).hasher(&()), json)
    }

    #[test]
    fn a_marker_changes_nothing_but_that_it_is_there() {
        let plain = of(r#"{"role":"user","content":"Hello"}"#);
        for marked in [
            r#"{"role":"user","content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]}"#,
            r#"{"role":"user","content":[{"cache_control":{"type":"ephemeral","ttl":"1h"},"text":"Hello","type":"text"}]}"#,
            r#"{"role":"user","content":[{"text":"Hello"},{"cachePoint":{"type":"default"}}]}"#,
        ] {
            assert_eq!(of(marked), Fingerprint { has_marker: true, ..plain }, "{marked}");
        }
        assert_eq!(of(r#"{"role":"user","content":[{"type":"text","text":"Hello"}]}"#), plain);
        assert!(of(r#"{"cachePoint":{"type":"default"}}"#).hash.is_none());
    }

    #[test]
    fn everything_the_model_reads_tells_elements_apart() {
        let elements = [
            r#"{"role":"user","content":"Hello"}"#,
            r#"{"role":"user","content":"Hello!"}"#,
            r#"{"role":"assistant","content":"Hello"}"#,
            r#"{"role":"user","content":["Hello","Hello"]}"#,
            r#"{"role":"user","content":[{"type":"thinking","text":"Hello"}]}"#,
            r#"{"role":"user","content":[{"type":"text","text":"Hello","citations":[]}]}"#,
            r#"{"name":"get","input_schema":{"properties":{"a":{"type":"string"}}}}"#,
            r#"{"name":"get","input_schema":{"properties":{"b":{"type":"string"}}}}"#,
            r#"{"name":"get","input_schema":{"properties":{"a":{"type":"number"}}}}"#,
            r#"{"text":"cache_control"}"#,
            "\"Hello\"",
        ];
        let hashes = elements.map(|element| of(element).hash);
        for (at, one) in hashes.iter().enumerate() {
            assert!(one.is_some() && hashes.iter().skip(at + 1).all(|other| other != one), "{}", elements[at]);
        }
    }

    #[test]
    fn blocks_of_a_message_are_counted_without_the_markers() {
        let message = r#"{"role":"user","content":[{"text":"a"},{"text":"b"},{"cachePoint":{}}]}"#;
        assert_eq!((of(message).blocks, of(r#"{"role":"user","content":"a"}"#).blocks), (2, 1));
    }

    #[test]
    fn depth_and_nonsense_cost_nothing() {
        let deep = format!(r#"{{"content":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
        assert!(of(&deep).hash.is_some());
        assert_eq!(of("{").hash, None);
    }
}
