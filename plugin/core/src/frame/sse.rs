//! Server-sent events, cut into the pieces of their `data`.
//!
//! Follows the event stream rules of the HTML standard (section 9.2.6): lines end in CR, LF or CRLF; `:` starts a
//! comment; several `data` lines of one event are joined by LF; a blank line dispatches. Three deviations serve
//! metering: the type of an event (`event:`) is passed over, since every dialect repeats it in the data; data is
//! handed on as it arrives instead of being collected; and an event that the end of the stream cuts off is
//! reported as an event too.
//! Invariants: constant memory; the same events whatever the chunking.
//! Must not know: what the data is.

/// The only field that matters here.
const DATA: &[u8] = b"data";

/// Receives the stream.
pub trait Visit {
    /// A piece of the event's data.
    fn data(&mut self, piece: &[u8]);
    /// The event is complete.
    fn end(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Reading the field name.
    Field,
    /// Right behind the colon: one space may follow.
    Space,
    Data,
    Ignored,
}

/// The framer. Feed it pieces; call [`Sse::end`] at the end of the stream.
#[derive(Debug)]
pub struct Sse {
    line: Line,
    /// How many bytes of [`DATA`] the field name matches so far; `None` once it differs.
    matched: Option<usize>,
    /// Nothing of the line was read yet.
    blank: bool,
    /// The event has a `data` line.
    has_data: bool,
    after_cr: bool,
}

impl Default for Sse {
    fn default() -> Self {
        Self { line: Line::Field, matched: Some(0), blank: true, has_data: false, after_cr: false }
    }
}

impl Sse {
    /// Reads the next piece of the stream.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut impl Visit) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some((b'\n', after)) = rest.split_first()
            {
                rest = after;
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', rest);
            let (line, after) = match end.and_then(|end| rest.split_at_checked(end)) {
                Some((line, after)) => (line, Some(after)),
                None => (rest, None),
            };
            self.part(line, visit);
            let Some((newline, after)) = after.and_then(<[u8]>::split_first) else { return };
            self.after_cr = *newline == b'\r';
            self.line_ends(visit);
            rest = after;
        }
    }

    /// The stream ends; an event in progress is complete as far as it goes.
    pub fn end(&mut self, visit: &mut impl Visit) {
        self.line_ends(visit);
        self.dispatch(visit);
    }

    /// A part of a line, without its end.
    fn part(&mut self, part: &[u8], visit: &mut impl Visit) {
        let mut rest = part;
        while let Some((&byte, after)) = rest.split_first() {
            self.blank = false;
            match self.line {
                Line::Field if byte == b':' => {
                    self.line = if self.matched == Some(DATA.len()) { Line::Space } else { Line::Ignored };
                    if self.line == Line::Space && std::mem::replace(&mut self.has_data, true) {
                        visit.data(b"\n");
                    }
                    rest = after;
                }
                Line::Field => {
                    self.matched = self
                        .matched
                        .filter(|matched| DATA.get(*matched) == Some(&byte))
                        .map(|matched| matched.saturating_add(1));
                    rest = after;
                }
                Line::Space => {
                    self.line = Line::Data;
                    if byte == b' ' {
                        rest = after;
                    }
                }
                Line::Data => return visit.data(rest),
                Line::Ignored => return,
            }
        }
    }

    fn line_ends(&mut self, visit: &mut impl Visit) {
        if self.blank {
            self.dispatch(visit);
        }
        self.line = Line::Field;
        self.matched = Some(0);
        self.blank = true;
    }

    fn dispatch(&mut self, visit: &mut impl Visit) {
        if std::mem::take(&mut self.has_data) {
            visit.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        events: Vec<Vec<u8>>,
        data: Vec<u8>,
    }

    impl Visit for Seen {
        fn data(&mut self, piece: &[u8]) {
            self.data.extend_from_slice(piece);
        }
        fn end(&mut self) {
            self.events.push(std::mem::take(&mut self.data));
        }
    }

    fn frame<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut sse, mut seen) = (Sse::default(), Seen::default());
        pieces.into_iter().for_each(|piece| sse.feed(piece, &mut seen));
        sse.end(&mut seen);
        seen.events
    }

    fn check(stream: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|data| data.as_bytes().to_vec()).collect();
        assert_eq!(frame([stream.as_bytes()]), expected, "{stream:?}");
        assert_eq!(frame(stream.as_bytes().chunks(1)), expected, "byte by byte: {stream:?}");
    }

    #[test]
    fn lines_end_in_cr_lf_or_both() {
        for newline in ["\n", "\r", "\r\n"] {
            let stream = ["event: a", "data: 1", "", "data:2", "data:  3", "", ""].join(newline);
            check(&stream, &["1", "2\n 3"]);
        }
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        check("data: 1\n: ping\nid: 7\ndatab: 5\n\n: OPENROUTER PROCESSING\n\ndata: 2\n\n", &["1", "2"]);
    }

    #[test]
    fn an_event_cut_off_by_the_end_of_the_stream_is_still_an_event() {
        check("data: {\"a\":1}\n\ndata: [DONE]", &["{\"a\":1}", "[DONE]"]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            stream in "(data: ?|event: ?|: |[a-z\u{e9}{}]|\n|\r|\r\n){0,40}",
            size in 1_usize..7,
        ) {
            prop_assert_eq!(frame(stream.as_bytes().chunks(size)), frame([stream.as_bytes()]));
        }
    }
}
