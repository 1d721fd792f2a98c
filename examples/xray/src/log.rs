//! A log, read piece by piece into rows.
//!
//! Lines about something else are counted, lines that cannot be read are named with their reason. A call that was written
//! twice (once while it ran, once when it was over; or sent twice by an exporter that tries again) is kept once.
//! Invariants: memory is bounded by rows, not by the file; the longest line is bounded.
//! Must not know: the page, what is asked of the rows.

use crate::row::{Row, Texts};
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use tollgate_core::logged::{self, LoggedError};

/// Longer lines are no events: those of a call with everything in it have some 20 KB.
const LINE_MAX: usize = 4_000_000;
/// Of more lines that cannot be read, only the number is told.
const PROBLEMS_MAX: usize = 20;

/// Why a line that should hold an event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("not UTF-8 text")]
    NotText,
    #[error("longer than {} MB", .0 / 1_000_000)]
    TooLong(usize),
    #[error(transparent)]
    Logged(#[from] LoggedError),
    #[error("a field of the event is not what it should be: {0}")]
    Field(String),
}

/// The events of a log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) rows: Vec<Row>,
    pub(crate) texts: Texts,
    /// Rows by the hash of id and time.
    known: HashMap<u64, usize>,
    /// The beginning of a line whose end is in the next piece.
    begun: Vec<u8>,
    /// The line is too long, and the rest of it is skipped.
    is_skipping: bool,
    line: u64,
    offset: u64,
    contents: Contents,
}

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Contents {
    calls: u64,
    /// Lines of a call that another line tells as well.
    repeated: u64,
    /// Lines about something else.
    without_event: u64,
    /// Lines that cannot be read.
    unreadable: u64,
    /// The first of them.
    problems: Vec<Problem>,
    /// When the first and the last call began.
    first: Option<String>,
    last: Option<String>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    line: u64,
    reason: String,
}

/// Why there is nothing to show.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the file is empty")]
    Empty,
    #[error("no event could be read. Line {line}: {reason}")]
    Unreadable {
        /// The first line that cannot be read.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    #[error(
        "there is no event in this file. Line 1 is neither an event (a JSON object with `schema`), nor a line that carries \
         one as `tollgate_event` or behind `tollgate event`"
    )]
    NoEvent,
}

impl Log {
    /// Reads the next piece of the file.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut lines = piece.split(|byte| *byte == b'\n');
        // The last part of a piece is the beginning of a line.
        let last = lines.next_back().unwrap_or_default();
        for rest in lines {
            if self.begun.is_empty() && !self.is_skipping {
                self.read(rest);
            } else {
                self.begin(rest);
                let line = std::mem::take(&mut self.begun);
                self.read(&line);
            }
            self.offset = self.offset.saturating_add(1);
        }
        self.begin(last);
    }

    /// The file ends.
    pub(crate) fn end(&mut self) -> Result<Contents, LogError> {
        let line = std::mem::take(&mut self.begun);
        if !line.is_empty() || self.is_skipping {
            self.read(&line);
        }
        self.known = HashMap::new();
        if self.line == 0 {
            return Err(LogError::Empty);
        }
        self.rows.sort_by_key(|row| row.at);
        let mut contents = self.contents.clone();
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else {
            let problem = contents.problems.into_iter().next();
            return Err(
                problem.map_or(LogError::NoEvent, |Problem { line, reason }| LogError::Unreadable { line, reason })
            );
        };
        contents.calls = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        (contents.first, contents.last) = (Some(first.at.to_string()), Some(last.at.to_string()));
        Ok(contents)
    }

    /// Keeps the beginning of a line.
    fn begin(&mut self, part: &[u8]) {
        if self.is_skipping || self.begun.len().saturating_add(part.len()) > LINE_MAX {
            self.is_skipping = true;
            // The line's bytes count, whether they are kept or not.
            let skipped = self.begun.len().saturating_add(part.len());
            self.offset = self.offset.saturating_add(u64::try_from(skipped).unwrap_or(u64::MAX));
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.line = self.line.saturating_add(1);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let place = (self.offset, length);
        self.offset = self.offset.saturating_add(length);
        let row = if std::mem::take(&mut self.is_skipping) || bytes.len() > LINE_MAX {
            Err(LineError::TooLong(LINE_MAX))
        } else {
            self.row(bytes, place)
        };
        match row {
            Ok(Some(row)) => self.keep(row),
            Ok(None) if bytes.trim_ascii().is_empty() => {}
            Ok(None) => self.contents.without_event = self.contents.without_event.saturating_add(1),
            Err(why) => {
                self.contents.unreadable = self.contents.unreadable.saturating_add(1);
                if self.contents.problems.len() < PROBLEMS_MAX {
                    self.contents.problems.push(Problem { line: self.line, reason: why.to_string() });
                }
            }
        }
    }

    fn row(&mut self, bytes: &[u8], place: (u64, u64)) -> Result<Option<Row>, LineError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LineError::NotText)?;
        let text = text.trim_start_matches('\u{feff}');
        let Some(json) = logged::event(text)? else { return Ok(None) };
        Row::read(&json, place, &mut self.texts).map(Some)
    }

    /// Keeps a call once: what was written when it was over replaces what was written while it ran.
    fn keep(&mut self, row: Row) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((&row.id, row.at));
        let known = self.known.get(&hash).filter(|_| !row.id.is_empty()).copied();
        match known.and_then(|index| self.rows.get_mut(index)) {
            None => {
                self.known.insert(hash, self.rows.len());
                self.rows.push(row);
            }
            Some(earlier) => {
                self.contents.repeated = self.contents.repeated.saturating_add(1);
                if earlier.runs(&self.texts) {
                    *earlier = row;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, outcome: &str, cost: &str) -> String {
        format!(
            r#"{{"schema":"tollgate.event/1","id":"{id}","time":"2026-11-20T09:30:00.000Z","outcome":"{outcome}","cost_usd":"{cost}"}}"#
        )
    }

    /// The line that a row says it was read from.
    fn line_of<'t>(text: &'t str, row: &Row) -> &'t str {
        let (start, length) = (usize::try_from(row.place.0).unwrap(), usize::try_from(row.place.1).unwrap());
        text.get(start..start + length).unwrap()
    }

    fn read(text: &str, piece: usize) -> (Log, Result<Contents, LogError>) {
        let mut log = Log::default();
        text.as_bytes().chunks(piece).for_each(|piece| log.feed(piece));
        let contents = log.end();
        (log, contents)
    }

    #[test]
    fn every_cutting_into_pieces_gives_the_same_rows_at_the_same_places() {
        let lines = [
            event("a", "complete", "1"),
            "noise".to_owned(),
            event("b", "complete", "2"),
            String::new(),
            event("c", "complete", "3"),
        ];
        for (text, piece) in
            [("\n", 1), ("\r\n", 7), ("\n", 100), ("\n", 10_000)].map(|(end, piece)| (lines.join(end), piece))
        {
            let (log, contents) = read(&text, piece);
            let contents = contents.unwrap();
            assert_eq!((contents.calls, contents.without_event, contents.unreadable), (3, 1, 0));
            for row in &log.rows {
                let json = logged::event(line_of(&text, row)).unwrap().unwrap();
                assert!(json.contains(&format!("\"id\":\"{}\"", row.id)), "{piece}: {json}");
            }
        }
    }

    #[test]
    fn a_call_that_was_written_twice_is_kept_once_and_as_it_ended() {
        let lines = [
            event("a", "in_flight", "1"),
            event("a", "client_gone", "2"),
            event("a", "client_gone", "2"),
            event("", "complete", "3"),
            event("", "complete", "3"),
        ];
        let (log, contents) = read(&lines.join("\n"), 64);
        assert_eq!(contents.unwrap().repeated, 2);
        let costs: Vec<_> = log.rows.iter().filter_map(|row| row.cost).map(|cost| cost.to_string()).collect();
        assert_eq!(costs, ["2", "3", "3"]);
    }

    #[test]
    fn a_file_without_events_says_which_line_is_wrong_and_why() {
        let error = |text| read(text, 5).1.unwrap_err().to_string();
        assert_eq!(error(""), "the file is empty");
        assert_eq!(error("time,cost\n1,2\n").split(". ").next(), Some("there is no event in this file"));
        assert_eq!(
            error("# a comment\n{\"schema\": oops}\n"),
            "no event could be read. Line 2: broken JSON: expected value, in column 12"
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_the_others_are_kept() {
        let text = [
            event("a", "complete", "1"),
            event("b", "complete", "much"),
            "x".repeat(LINE_MAX + 1),
            event("c", "complete", "1"),
        ]
        .join("\n");
        let (log, contents) = read(&text, 1_000_000);
        let contents = contents.unwrap();
        assert_eq!((contents.calls, contents.unreadable), (2, 2));
        assert_eq!(contents.problems[0].line, 2);
        assert!(contents.problems[0].reason.contains("`much`"), "{}", contents.problems[0].reason);
        assert_eq!(contents.problems[1], Problem { line: 3, reason: "longer than 4 MB".to_owned() });
        assert_eq!(line_of(&text, &log.rows[1]), event("c", "complete", "1"));
    }
}
