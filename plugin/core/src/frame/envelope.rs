//! Documents that travel in Base64 inside a JSON object: `{"bytes": "eyJ..."}`.
//!
//! The inner document is handed on as it is decoded.
//! Invariants: constant memory; the same bytes whatever the chunking.
//! Must not know: what the documents are.
#![deny(clippy::arithmetic_side_effects)]

use super::json::{DocumentEnd, Node, Scanner, Spot, Take, Value, Visit};

static SHAPE: Node<()> = Node {
    key: "",
    field: (),
    take: Take::Path,
    fields: &[Node { key: "bytes", field: (), take: Take::Text, fields: &[] }],
};

/// Opens one envelope after the other.
#[derive(Debug)]
pub(super) struct Envelope {
    scanner: Scanner,
    base64: Base64,
}

impl Default for Envelope {
    fn default() -> Self {
        Self { scanner: Scanner::new(&SHAPE), base64: Base64::default() }
    }
}

impl Envelope {
    /// Reads the next piece of the envelope; `inner` receives what is in it.
    pub(super) fn feed(&mut self, bytes: &[u8], inner: &mut impl FnMut(&[u8])) {
        self.scanner.feed(bytes, &mut Opened { base64: &mut self.base64, inner });
    }

    /// The envelope ends: says how it stood, and is ready for the next.
    pub(super) fn end(&mut self, inner: &mut impl FnMut(&[u8])) -> DocumentEnd {
        let end = self.scanner.end(&mut Opened { base64: &mut self.base64, inner });
        let is_base64 = std::mem::take(&mut self.base64).end(inner);
        match end {
            DocumentEnd::Clean if !is_base64 => DocumentEnd::Malformed,
            end => end,
        }
    }
}

struct Opened<'a, I> {
    base64: &'a mut Base64,
    inner: &'a mut I,
}

impl<I: FnMut(&[u8])> Visit<Spot> for Opened<'_, I> {
    fn value(&mut self, _spot: Spot, _value: Value<'_>) {}

    fn text(&mut self, _spot: Spot, fragment: &[u8]) {
        self.base64.feed(fragment, self.inner);
    }
}

/// A decoder of the standard alphabet; padding may be missing.
#[derive(Debug, Default)]
struct Base64 {
    /// The digits of an unfinished group, six bits each.
    bits: u32,
    digits: u8,
    is_padded: bool,
    is_broken: bool,
}

impl Base64 {
    /// Digits that are decoded at once.
    const RUN: usize = 1024;

    fn feed(&mut self, bytes: &[u8], inner: &mut impl FnMut(&[u8])) {
        let mut decoded = Vec::with_capacity(Self::RUN.min(bytes.len()));
        for run in bytes.chunks(Self::RUN) {
            decoded.clear();
            for byte in run {
                match digit(*byte) {
                    Some(digit) if !self.is_padded => self.push(digit, &mut decoded),
                    None if *byte == b'=' => self.is_padded = true,
                    _ => self.is_broken = true,
                }
            }
            if !decoded.is_empty() && !self.is_broken {
                inner(&decoded);
            }
        }
    }

    fn push(&mut self, digit: u32, decoded: &mut Vec<u8>) {
        self.bits = (self.bits << 6) | digit;
        self.digits = self.digits.saturating_add(1);
        if self.digits == 4 {
            let [_, group @ ..] = self.bits.to_be_bytes();
            decoded.extend_from_slice(&group);
            (self.bits, self.digits) = (0, 0);
        }
    }

    /// Hands on the last group; `false` when this was no Base64.
    fn end(self, inner: &mut impl FnMut(&[u8])) -> bool {
        let [_, first, second, _] = match self.digits {
            2 => self.bits << 12,
            _ => self.bits << 6,
        }
        .to_be_bytes();
        match self.digits {
            _ if self.is_broken => return false,
            0 => {}
            2 => inner(&[first]),
            3 => inner(&[first, second]),
            _ => return false,
        }
        true
    }
}

fn digit(byte: u8) -> Option<u32> {
    let (base, value) = match byte {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(byte.saturating_sub(base)).saturating_add(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use proptest::prelude::*;

    fn open(envelope: &str, size: usize) -> (Vec<u8>, DocumentEnd) {
        let (mut opener, mut inner) = (Envelope::default(), Vec::new());
        envelope.as_bytes().chunks(size).for_each(|piece| opener.feed(piece, &mut |bytes| inner.extend(bytes)));
        let end = opener.end(&mut |bytes| inner.extend(bytes));
        (inner, end)
    }

    #[test]
    fn what_is_no_base64_is_malformed() {
        for text in ["e", "e30=e", "e3 0=", "e-0="] {
            let (_, end) = open(&format!(r#"{{"bytes":"{text}"}}"#), 1);
            assert_eq!(end, DocumentEnd::Malformed, "{text}");
        }
        assert_eq!(open(r#"{"bytes":"e30"#, 1).1, DocumentEnd::Truncated);
        assert_eq!(open(r#"{"p":"abc"}"#, 1), (Vec::new(), DocumentEnd::Clean));
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_as_they_went_in(bytes in prop::collection::vec(any::<u8>(), 0..3_000), padded: bool, size in 1_usize..2_000) {
            let text = if padded { STANDARD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
            let envelope = format!(r#"{{"bytes":"{text}","p":"abcdef"}}"#);
            prop_assert_eq!(open(&envelope, size), (bytes, DocumentEnd::Clean));
        }
    }
}
