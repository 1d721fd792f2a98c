//! What changed the cost from one period of a log to another, as the core's bill works it out.
//!
//! Must not know: what causes there are.

use crate::log::Log;
use crate::row::label;
use crate::view::{Step, selected};
use serde::Deserialize;
use tollgate_core::bill::{Bill, Lines, When};
use tollgate_core::time::Timestamp;

/// A question.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    /// Which rows: all of these must hold.
    path: Vec<Step>,
    before: Span,
    after: Span,
    /// The label whose values have lines of their own.
    by: String,
}

/// A stretch of time in UTC.
#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    from: String,
    /// The first moment that is no longer part of it.
    until: String,
}

/// Why two periods cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("`{0}` is no time: expected 2026-11-01T00:00:00Z")]
    NoTime(String),
    #[error("a period must end after it begins: {0} is not before {1}")]
    NoSpan(String, String),
    #[error("the two periods overlap: the earlier one must end before the later one begins")]
    Overlap,
    #[error("calls cannot be grouped by `{0}`")]
    NoLabel(String),
}

impl Span {
    fn read(&self) -> Result<(Timestamp, Timestamp), CompareError> {
        let time = |text: &String| Timestamp::parse(text).ok_or_else(|| CompareError::NoTime(text.clone()));
        let (from, until) = (time(&self.from)?, time(&self.until)?);
        if from < until { Ok((from, until)) } else { Err(CompareError::NoSpan(self.from.clone(), self.until.clone())) }
    }
}

/// Answers a question.
pub(crate) fn of(log: &Log, query: &Query) -> Result<Lines, CompareError> {
    let ((start, change), (again, end)) = (query.before.read()?, query.after.read()?);
    if again < change {
        return Err(CompareError::Overlap);
    }
    let by = label(&query.by).ok_or_else(|| CompareError::NoLabel(query.by.clone()))?;
    let mut bill = Bill::default();
    for row in selected(log, &query.path) {
        let when = match row.at {
            at if at >= start && at < change => When::Before,
            at if at >= again && at < end => When::After,
            _ => continue,
        };
        bill.add_up(when, log.texts.get(row.label(by)), &row.billed);
    }
    Ok(bill.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let mut log = Log::default();
        for (id, day, app, tokens) in
            [("1", 1, "shop", 100), ("2", 2, "shop", 300), ("3", 11, "shop", 200), ("4", 12, "bot", 50)]
        {
            let line = format!(
                "{{\"schema\":\"tollgate.event/1\",\"id\":\"{id}\",\"time\":\"2026-11-{day:02}T00:00:00Z\",\"outcome\":\"complete\",\"input_tokens\":{tokens},\"output_tokens\":0,\"cost_usd\":\"0.{tokens}\",\"cost\":{{\"input_uncached\":\"0.{tokens}\"}},\"attribution\":{{\"app\":\"{app}\"}}}}\n"
            );
            log.feed(line.as_bytes());
        }
        log.end().unwrap();
        log
    }

    fn ask(before: (&str, &str), after: (&str, &str), by: &str) -> Result<Lines, CompareError> {
        let span = |(from, until): (&str, &str)| Span {
            from: format!("2026-11-{from}T00:00:00Z"),
            until: format!("2026-11-{until}T00:00:00Z"),
        };
        of(&log(), &Query { path: Vec::new(), before: span(before), after: span(after), by: by.to_owned() })
    }

    #[test]
    fn periods_hold_the_calls_from_their_first_moment_to_before_their_last() {
        let lines = ask(("01", "02"), ("02", "12"), "app").unwrap();
        assert_eq!((lines.total.before.calls, lines.total.after.calls), (1, 2));
        let lines = ask(("01", "11"), ("11", "13"), "app").unwrap();
        let names: Vec<_> = lines.groups.iter().map(|line| line.name.as_deref()).collect();
        assert_eq!(names, [Some("bot"), Some("shop")]);
        assert_eq!(lines.total.before.cost_usd.to_string(), "0.4");
        assert_eq!(lines.total.difference_usd, lines.total.effects.sum());
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        assert_eq!(
            ask(("02", "02"), ("03", "04"), "app").unwrap_err().to_string(),
            "a period must end after it begins: 2026-11-02T00:00:00Z is not before 2026-11-02T00:00:00Z"
        );
        assert_eq!(ask(("01", "03"), ("02", "04"), "app").unwrap_err(), CompareError::Overlap);
        assert_eq!(
            ask(("01", "xx"), ("02", "04"), "app").unwrap_err(),
            CompareError::NoTime("2026-11-xxT00:00:00Z".to_owned())
        );
        assert_eq!(ask(("01", "02"), ("02", "04"), "colour").unwrap_err(), CompareError::NoLabel("colour".to_owned()));
    }
}
