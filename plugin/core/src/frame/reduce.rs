//! A large request body becomes a small one: the same JSON, with long strings cut short.
//!
//! Bodies grow large by what they carry in Base64: images, sounds, documents. Their tokens follow from the first bytes of
//! a file, so the rest need not be held. The body is read in pieces, and of each long Base64 string only the beginning is
//! kept; if that is not enough, [`Keep::Little`] cuts every string. What was cut is noted beside the text, not in it, so
//! that nothing a client writes can pass for a cut.
//!
//! Invariants: holds at most [`REDUCED_MAX`] bytes and [`CUTS_MAX`] cuts, whatever comes; cuts where a character and an
//! escape end, so that JSON stays JSON; strings that are not cut, and all else, stay byte for byte.
//! Must not know: what a member means.

use std::hash::{Hash, Hasher};

/// The most that is kept of a body.
pub const REDUCED_MAX: usize = 3 << 19;
/// The most strings that are cut.
const CUTS_MAX: usize = 4_096;
/// Base64 up to this length stays whole; it tells its kind by so many characters without another.
const BASE64_MIN: usize = 4 << 10;
/// What is kept of a file that states its size behind a thumbnail (JPEG, whose Base64 begins `/9j/`).
const JPEG_KEPT: usize = 32 << 10;
/// What is kept of a string when little is.
const LITTLE_KEPT: usize = 512;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All but long Base64.
    Texts,
    /// Of every string the beginning, so that counts are estimates.
    Little,
}

/// A string that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where the string begins in the reduced body.
    at: usize,
    /// Bytes that are left of it, escapes undone.
    pub(crate) kept: usize,
    /// Bytes that were left out, as they stood in the body.
    pub(crate) omitted: u64,
}

/// By what the reader sees of it, not by its place, so that the same element is the same in another body.
impl Hash for Cut {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kept, self.omitted).hash(state);
    }
}

/// A body, reduced.
#[derive(Debug, Default)]
pub struct Reduced {
    json: Vec<u8>,
    cuts: Vec<Cut>,
}

impl Reduced {
    /// The JSON that is left.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// What was cut, to be looked up by the text it was cut from.
    pub(crate) fn cuts(&self) -> Cuts<'_> {
        Cuts { json: &self.json, cuts: &self.cuts }
    }
}

/// The cuts of a body; none of a body that is whole.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cuts<'a> {
    json: &'a [u8],
    cuts: &'a [Cut],
}

impl<'a> Cuts<'a> {
    /// The cuts within a part of the body.
    pub(crate) fn within(&self, part: &str) -> &'a [Cut] {
        let from = (part.as_ptr() as usize).wrapping_sub(self.json.as_ptr() as usize);
        let first = self.cuts.partition_point(|cut| cut.at < from);
        let end = self.cuts.partition_point(|cut| cut.at < from.saturating_add(part.len()));
        self.cuts.get(first..end).unwrap_or_default()
    }
}

/// Where the reducer stands.
#[derive(Clone, Copy, Debug)]
enum State {
    Outside,
    /// In a string that began there, of which up to `limit` bytes are kept.
    Keeping {
        start: usize,
        limit: usize,
    },
    /// Behind a backslash in such a string.
    Escape {
        start: usize,
        limit: usize,
    },
    /// In a string of which enough is kept.
    Skipping,
    /// Behind a backslash in such a string.
    SkippedEscape,
}

/// Reduces a body that arrives in pieces.
#[derive(Debug)]
pub struct Reducer {
    keep: Keep,
    reduced: Reduced,
    state: State,
    is_full: bool,
}

impl Reducer {
    /// A reducer at the beginning of a body.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self { keep, reduced: Reduced::default(), state: State::Outside, is_full: false }
    }

    /// Takes the next piece; `false` once more would have to be held than may be.
    pub fn feed(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() && !self.is_full {
            let taken = match self.state {
                State::Outside => self.outside(piece),
                State::Keeping { start, limit } => self.keeping(piece, start, limit),
                State::Escape { start, limit } => {
                    self.state = State::Keeping { start, limit };
                    self.take(piece, 1)
                }
                State::Skipping => self.skipping(piece),
                State::SkippedEscape => {
                    self.state = State::Skipping;
                    self.omit(1)
                }
            };
            piece = piece.get(taken.max(1)..).unwrap_or_default();
        }
        !self.is_full
    }

    /// The body is over; `None` where it did not fit.
    #[must_use]
    pub fn end(self) -> Option<Reduced> {
        (!self.is_full).then_some(self.reduced)
    }

    fn outside(&mut self, piece: &[u8]) -> usize {
        let Some(quote) = memchr::memchr(b'"', piece) else { return self.take(piece, piece.len()) };
        let taken = self.take(piece, quote.saturating_add(1));
        let limit = if self.keep == Keep::Little { LITTLE_KEPT } else { BASE64_MIN };
        self.state = State::Keeping { start: self.reduced.json.len(), limit };
        taken
    }

    fn keeping(&mut self, piece: &[u8], start: usize, limit: usize) -> usize {
        let room = limit.saturating_sub(self.reduced.json.len().saturating_sub(start));
        let near = piece.get(..room).unwrap_or(piece);
        match end_of_string(near) {
            End::Quote(at) => {
                self.state = State::Outside;
                self.take(piece, at.saturating_add(1))
            }
            End::Backslash => {
                self.state = State::Escape { start, limit };
                self.take(piece, near.len())
            }
            End::Beyond if room > 0 => self.take(piece, near.len()),
            End::Beyond => self.limit_reached(piece, start, limit),
        }
    }

    /// Enough of a string is kept, if it is to be cut at all, and may be here.
    fn limit_reached(&mut self, piece: &[u8], start: usize, limit: usize) -> usize {
        let string = self.reduced.json.get(start..).unwrap_or_default();
        let limit = match limit {
            BASE64_MIN if !is_base64(string) => usize::MAX,
            BASE64_MIN if is_jpeg(string) => JPEG_KEPT,
            _ => limit,
        };
        let is_inside = piece.first().is_some_and(|byte| byte & 0xC0 == 0x80) || ends_in_escape(string);
        if string.len() < limit || is_inside {
            let more = if is_inside { string.len().saturating_add(1) } else { limit };
            self.state = State::Keeping { start, limit: limit.max(more) };
            return self.keeping(piece, start, limit.max(more));
        }
        self.is_full |= self.reduced.cuts.len() >= CUTS_MAX;
        self.reduced.cuts.push(Cut { at: start, kept: unescaped_len(string), omitted: 0 });
        self.state = State::Skipping;
        self.skipping(piece)
    }

    fn skipping(&mut self, piece: &[u8]) -> usize {
        match end_of_string(piece) {
            End::Quote(at) => {
                self.omit(at);
                // Nothing was cut off a string that ends where its limit is.
                self.reduced.cuts.pop_if(|cut| cut.omitted == 0);
                self.state = State::Outside;
                self.take(piece.get(at..).unwrap_or_default(), 1);
                at.saturating_add(1)
            }
            End::Backslash => {
                self.state = State::SkippedEscape;
                self.omit(piece.len())
            }
            End::Beyond => self.omit(piece.len()),
        }
    }

    fn take(&mut self, piece: &[u8], length: usize) -> usize {
        self.is_full |= self.reduced.json.len().saturating_add(length) > REDUCED_MAX;
        if !self.is_full {
            self.reduced.json.extend_from_slice(piece.get(..length).unwrap_or(piece));
        }
        length
    }

    fn omit(&mut self, length: usize) -> usize {
        if let Some(cut) = self.reduced.cuts.last_mut() {
            cut.omitted = cut.omitted.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        length
    }
}

/// Where a string goes on from the inside of it.
enum End {
    /// To the quote there.
    Quote(usize),
    /// Behind these bytes, of which the last begins an escape.
    Backslash,
    /// Behind these bytes.
    Beyond,
}

/// Finds the end of a string from a place outside an escape. Escapes in a row take no search.
fn end_of_string(bytes: &[u8]) -> End {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return End::Beyond,
            [b'"', ..] => return End::Quote(bytes.len().saturating_sub(rest.len())),
            [b'\\'] => return End::Backslash,
            [b'\\', _, after @ ..] => after,
            _ => match memchr::memchr2(b'"', b'\\', rest) {
                Some(at) => rest.get(at..).unwrap_or_default(),
                None => return End::Beyond,
            },
        }
    }
}

/// The Base64 in a string that may be a `data:` link.
fn file(string: &[u8]) -> &[u8] {
    const MARK: &[u8] = b";base64,";
    let head = string.get(..128).unwrap_or(string);
    let data = memchr::memmem::find(head, MARK).and_then(|at| string.get(at.saturating_add(MARK.len())..));
    data.filter(|_| string.starts_with(b"data:")).unwrap_or(string)
}

/// Whether the beginning of a string is Base64, in either alphabet, with slashes escaped or not.
fn is_base64(string: &[u8]) -> bool {
    let mut bytes = file(string).iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let is_slash = byte == b'\\' && bytes.peek().is_none_or(|next| *next == b'/');
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=') || is_slash) {
            return false;
        }
    }
    true
}

fn is_jpeg(string: &[u8]) -> bool {
    let file = file(string);
    file.starts_with(b"/9j/") || file.starts_with(b"\\/9j\\/") || file.starts_with(b"_9j_")
}

/// Whether a string's kept part ends in an unfinished `\uXXXX`, or in the first half of a pair of them.
fn ends_in_escape(string: &[u8]) -> bool {
    let tail = string.get(string.len().saturating_sub(6)..).unwrap_or_default();
    match memchr::memrchr(b'\\', tail).and_then(|at| tail.get(at.saturating_add(1)..)) {
        Some([b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'A' | b'b' | b'B', _, _]) => true,
        Some([b'u', hex @ ..]) => hex.len() < 4,
        _ => false,
    }
}

/// The length of what a string says; of one that is broken, its own.
fn unescaped_len(string: &[u8]) -> usize {
    let quoted = [b"\"", string, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(string.len(), |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Reduces a body in pieces of this size.
    fn reduced(body: &str, keep: Keep, size: usize) -> Option<Reduced> {
        let mut reducer = Reducer::new(keep);
        body.as_bytes().chunks(size).for_each(|piece| _ = reducer.feed(piece));
        reducer.end()
    }

    fn base64(length: usize) -> String {
        "iVBORw0KGgo+/AZaz09".chars().cycle().take(length).collect()
    }

    #[test]
    fn of_long_base64_the_beginning_is_left_and_all_else_stays() {
        let data = base64(100_000);
        let text = "a text. ".repeat(20_000);
        for size in [1, 7, 4_096, 1 << 20] {
            let body = format!(r#"{{"a":["{data}" , "{text}"],"u":"data:image/png;base64,{data}"}}"#);
            let reduced = reduced(&body, Keep::Texts, size).expect("it fits");
            let json: Value = serde_json::from_slice(reduced.json()).expect("JSON");
            assert_eq!(json["a"][1].as_str(), Some(text.as_str()));
            assert_eq!(json["a"][0].as_str(), data.get(..BASE64_MIN));
            let omitted: Vec<u64> = reduced.cuts.iter().map(|cut| cut.omitted).collect();
            assert_eq!(omitted, [100_000 - 4_096, 100_000 + 22 - 4_096], "in pieces of {size}");
        }
    }

    #[test]
    fn a_jpeg_keeps_what_stands_before_its_size() {
        for start in ["/9j/4AAQ", r"\/9j\/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"] {
            let body = format!(r#"["{start}{}"]"#, base64(100_000));
            let reduced = reduced(&body, Keep::Texts, 999).expect("it fits");
            assert!(reduced.json().len() >= JPEG_KEPT && reduced.json().len() < JPEG_KEPT + 10, "{start}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_fits_when_little_is_kept() {
        let body = format!(r#"["{}"]"#, "words ".repeat(500_000));
        assert!(reduced(&body, Keep::Texts, 10_000).is_none());
        let cut = reduced(&body, Keep::Little, 10_000).expect("it fits");
        assert_eq!(cut.cuts, [Cut { at: 2, kept: LITTLE_KEPT, omitted: 3_000_000 - 512 }]);
        let numbers = format!("[{}1]", "1,".repeat(1_000_000));
        assert!(reduced(&numbers, Keep::Little, 10_000).is_none());
        let strings = format!("[{}1]", format!("\"{}\",", "x".repeat(600)).repeat(5_000));
        assert!(reduced(&strings, Keep::Little, 10_000).is_none());
    }

    #[test]
    fn cuts_are_found_by_the_part_they_are_in() {
        let (long, body) = (base64(9_000), |long: &str| format!(r#"{{"a":"{long}","b":["{long}"]}}"#));
        let reduced = reduced(&body(&long), Keep::Texts, 512).expect("it fits");
        let json = std::str::from_utf8(reduced.json()).expect("UTF-8");
        let (first, second) = json.split_at(json.find("\"b\"").expect("b"));
        let cuts = reduced.cuts();
        assert_eq!([json, first, second, "elsewhere"].map(|part| cuts.within(part).len()), [2, 1, 1, 0]);
        assert!(Cuts::default().within(json).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_is_json_wherever_it_was_cut(
            texts in prop::collection::vec("(\\PC|\"|\\\\|\n|[a-z]{40}|😀){0,300}", 0..6), size in 1_usize..99, escaped in any::<bool>()
        ) {
            let mut body = serde_json::to_string(&texts).expect("JSON");
            if escaped {
                // As a client writes that keeps to ASCII.
                body = body.chars().map(|char| match char {
                    '\0'..='\x7f' => char.to_string(),
                    _ => char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
                }).collect();
            }
            let reduced = reduced(&body, Keep::Little, size).expect("it fits");
            let left: Vec<String> = serde_json::from_slice(reduced.json()).expect("JSON");
            let mut cuts = reduced.cuts.iter();
            for (whole, left) in texts.iter().zip(&left) {
                prop_assert!(whole.starts_with(left.as_str()));
                if whole != left {
                    prop_assert_eq!(cuts.next().map(|cut| cut.kept), Some(left.len()));
                }
            }
            prop_assert_eq!(cuts.count(), 0);
            let omitted: u64 = reduced.cuts.iter().map(|cut| cut.omitted).sum();
            prop_assert_eq!(reduced.json().len() as u64 + omitted, body.len() as u64);
        }

        #[test]
        fn any_bytes_in_any_pieces_are_reduced_alike(bytes in prop::collection::vec(any::<u8>(), 0..3_000), size in 1_usize..50) {
            let reduce = |size: usize| {
                let mut reducer = Reducer::new(Keep::Little);
                bytes.chunks(size).for_each(|piece| _ = reducer.feed(piece));
                reducer.end().map(|reduced| (reduced.json, reduced.cuts))
            };
            prop_assert_eq!(reduce(size), reduce(usize::MAX));
        }
    }
}
