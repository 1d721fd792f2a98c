//! What is asked of a log, and the answers: totals, groups and a course over time, of all rows or a part of them.
//!
//! The levels of the drill-down are labels like any other; `month` and `request` are levels too.
//! Invariants: groups and points sum to the total, what a list leaves out included.
//! Must not know: how rows are read, how answers are drawn.

use crate::log::Log;
use crate::row::{Row, label};
use crate::sum::Sum;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;

const MS_PER_MINUTE: u64 = 60_000;
const MS_PER_HOUR: u64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: u64 = 24 * MS_PER_HOUR;
/// More points than this are no chart that anyone can read.
const POINTS_MAX: u64 = 100;

/// A question.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    /// Which rows: all of these must hold.
    #[serde(default)]
    path: Vec<Step>,
    /// What they are grouped by: `month`, `request`, or a label.
    by: String,
    /// Further groupings, by labels: the top spenders.
    #[serde(default)]
    top: Vec<String>,
    /// Most groups in each list.
    limit: usize,
}

/// A step of the drill-down.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    by: String,
    /// `null` for rows without a value.
    key: Option<String>,
}

/// An answer.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    total: Sum,
    groups: Groups,
    top: BTreeMap<String, Groups>,
    course: Course,
}

/// Rows in groups, the dearest first; months in their order.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Groups {
    /// How many there are.
    count: u64,
    listed: Vec<Group>,
    /// What is not listed comes to this.
    rest: Option<Sum>,
}

/// Some rows.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    /// `null` for rows without a value.
    key: Option<String>,
    sum: Sum,
    /// Of a single request.
    #[serde(flatten)]
    request: Option<Request>,
}

/// What a list of requests shows beside sums.
#[derive(Debug, Serialize)]
pub(crate) struct Request {
    time: String,
    model: Option<String>,
    outcome: Option<String>,
    offset: u64,
    length: u64,
}

/// Sums over time.
#[derive(Debug, Serialize)]
pub(crate) struct Course {
    /// `minute`, `hour`, `day` or `month`.
    unit: &'static str,
    /// From the first to the last, those without rows included.
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Point {
    /// When it begins: `2026-11-20T09:00`, `2026-11-20`, `2026-11`.
    at: String,
    sum: Sum,
}

/// Answers a question.
pub(crate) fn of(log: &Log, query: &Query) -> View {
    let rows: Vec<&Row> = selected(log, &query.path).collect();
    let mut total = Sum::default();
    rows.iter().for_each(|row| total.add(row));
    let top = query.top.iter().map(|by| (by.clone(), groups(log, &rows, by, query.limit))).collect();
    View { total, groups: groups(log, &rows, &query.by, query.limit), top, course: course(&rows) }
}

/// The rows at a place of the drill-down, in the order of time.
pub(crate) fn selected<'l>(log: &'l Log, path: &[Step]) -> impl Iterator<Item = &'l Row> {
    let conditions: Vec<_> = path.iter().map(|step| Condition::of(step, log)).collect();
    log.rows.iter().filter(move |row| conditions.iter().all(|condition| condition.holds(row)))
}

/// What a row must be like.
enum Condition {
    Label(usize, u32),
    Month(String),
    Request(String),
    /// A label that no row has.
    Never,
}

impl Condition {
    fn of(step: &Step, log: &Log) -> Self {
        match (step.by.as_str(), label(&step.by), &step.key) {
            ("month", _, Some(month)) => Self::Month(month.clone()),
            ("request", _, Some(id)) => Self::Request(id.clone()),
            (_, Some(index), None) => Self::Label(index, 0),
            (_, Some(index), Some(key)) => log.texts.find(key).map_or(Self::Never, |number| Self::Label(index, number)),
            (_, None, _) => Self::Never,
        }
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Label(index, number) => row.label(*index) == *number,
            Self::Month(month) => at(row.at, Unit::Month) == *month,
            Self::Request(id) => *row.id == **id,
            Self::Never => false,
        }
    }
}

fn groups(log: &Log, rows: &[&Row], by: &str, limit: usize) -> Groups {
    let all = match (by, label(by)) {
        ("request", _) => rows.iter().map(|row| request(log, row)).collect(),
        ("month", _) => grouped(rows, |row| at(row.at, Unit::Month), |month| Some(month.clone())),
        (_, Some(index)) => grouped(rows, |row| row.label(index), |number| log.texts.get(*number).map(str::to_owned)),
        (_, None) => Vec::new(),
    };
    listed(all, by == "month", limit)
}

/// Sums by key.
fn grouped<K: Eq + std::hash::Hash>(
    rows: &[&Row],
    key: impl Fn(&Row) -> K,
    name: impl Fn(&K) -> Option<String>,
) -> Vec<Group> {
    let mut sums: HashMap<K, Sum> = HashMap::new();
    for row in rows {
        sums.entry(key(row)).or_default().add(row);
    }
    sums.into_iter().map(|(key, sum)| Group { key: name(&key), sum, request: None }).collect()
}

/// The first by cost, or by key, and what the others come to.
fn listed(mut all: Vec<Group>, is_by_key: bool, limit: usize) -> Groups {
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    all.sort_by(|one, other| {
        let time = |group: &Group| group.request.as_ref().map(|request| request.time.clone());
        let cost = |group: &Group| if is_by_key { Usd::ZERO } else { group.sum.cost_usd };
        cost(other).cmp(&cost(one)).then_with(|| one.key.cmp(&other.key)).then_with(|| time(one).cmp(&time(other)))
    });
    let mut rest: Option<Sum> = None;
    for group in all.drain(limit.min(all.len())..) {
        rest.get_or_insert_default().merge(&group.sum);
    }
    Groups { count, listed: all, rest }
}

fn request(log: &Log, row: &Row) -> Group {
    let text = |name| label(name).and_then(|index| log.texts.get(row.label(index))).map(str::to_owned);
    let mut sum = Sum::default();
    sum.add(row);
    let (offset, length) = row.place;
    let request = Request { time: row.at.to_string(), model: text("model"), outcome: text("outcome"), offset, length };
    Group { key: Some(row.id.to_string()), sum, request: Some(request) }
}

/// A step of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
    Month,
}

impl Unit {
    /// The finest that gives no more points than a chart can show.
    fn for_span(millis: u64) -> Self {
        match millis {
            span if span / MS_PER_MINUTE < POINTS_MAX => Self::Minute,
            span if span / MS_PER_HOUR < POINTS_MAX => Self::Hour,
            span if span / MS_PER_DAY < POINTS_MAX => Self::Day,
            _ => Self::Month,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// When the next step begins: no sooner than in a month's first days, for the longest month has 31.
    const fn millis(self) -> u64 {
        match self {
            Self::Minute => MS_PER_MINUTE,
            Self::Hour => MS_PER_HOUR,
            Self::Day | Self::Month => MS_PER_DAY,
        }
    }
}

/// The step of time that a moment lies in, as text.
fn at(time: Timestamp, unit: Unit) -> String {
    let text = time.to_string();
    let length = match unit {
        Unit::Minute => "2026-11-20T09:30".len(),
        Unit::Hour => "2026-11-20T09".len(),
        Unit::Day => "2026-11-20".len(),
        Unit::Month => "2026-11".len(),
    };
    let begun = text.get(..length).unwrap_or(&text).to_owned();
    if unit == Unit::Hour { begun + ":00" } else { begun }
}

/// Rows come in the order of time.
fn course(rows: &[&Row]) -> Course {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Course { unit: Unit::Day.name(), points: Vec::new() };
    };
    let unit = Unit::for_span(last.at.millis_since(first.at));
    let mut points: Vec<Point> = Vec::new();
    let mut time = first.at;
    for row in rows {
        let begun = at(row.at, unit);
        // Steps without rows are part of the course.
        while points.last().is_none_or(|point| point.at != begun) && time <= row.at {
            let passed = at(time, unit);
            if points.last().is_none_or(|point| point.at != passed) {
                points.push(Point { at: passed, sum: Sum::default() });
            }
            time = time.plus_millis(unit.millis());
        }
        if points.last().is_none_or(|point| point.at != begun) {
            points.push(Point { at: begun, sum: Sum::default() });
        }
        if let Some(point) = points.last_mut() {
            point.sum.add(row);
        }
    }
    Course { unit: unit.name(), points }
}

/// The costs of groups, for tests of sums.
#[cfg(test)]
fn costs(groups: &Groups) -> Usd {
    let rest = groups.rest.as_ref().map_or(Usd::ZERO, |rest| rest.cost_usd);
    groups.listed.iter().map(|group| group.sum.cost_usd).sum::<Usd>().plus(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[(&str, &str, &str, &str)]) -> Log {
        let mut log = Log::default();
        for (id, time, app, cost) in events {
            let attribution = if app.is_empty() { String::new() } else { format!(r#""app":"{app}""#) };
            let cost = if cost.is_empty() { "null".to_owned() } else { format!("\"{cost}\"") };
            let line = format!(
                "{{\"schema\":\"tollgate.event/1\",\"id\":\"{id}\",\"time\":\"{time}Z\",\"outcome\":\"complete\",\"cost_usd\":{cost},\"attribution\":{{{attribution}}}}}\n"
            );
            log.feed(line.as_bytes());
        }
        log.end().unwrap();
        log
    }

    fn ask(log: &Log, query: &str) -> serde_json::Value {
        serde_json::to_value(of(log, &serde_json::from_str(query).unwrap())).unwrap()
    }

    fn sample() -> Log {
        log(&[
            ("1", "2026-10-30T10:00:00", "shop", "0.1"),
            ("2", "2026-10-31T10:00:00", "shop", "0.2"),
            ("3", "2026-11-02T10:00:00", "", "0.000000000000001"),
            ("4", "2026-11-02T11:00:00", "bot", ""),
        ])
    }

    #[test]
    fn levels_are_groups_of_the_rows_that_the_path_leaves() {
        let log = sample();
        let months = ask(&log, r#"{"by":"month","limit":10}"#);
        let keys: Vec<_> =
            months["groups"]["listed"].as_array().unwrap().iter().map(|group| group["key"].clone()).collect();
        assert_eq!(keys, ["2026-10", "2026-11"]);
        assert_eq!(months["total"]["cost_usd"], "0.300000000000001");
        assert_eq!(months["total"]["unpriced"], 1);
        let apps = ask(&log, r#"{"path":[{"by":"month","key":"2026-11"}],"by":"app","limit":10}"#);
        assert_eq!(apps["groups"]["listed"][0]["key"], serde_json::Value::Null);
        assert_eq!(apps["groups"]["listed"][1]["key"], "bot");
        let requests =
            ask(&log, r#"{"path":[{"by":"month","key":"2026-11"},{"by":"app","key":null}],"by":"request","limit":10}"#);
        assert_eq!(requests["groups"]["listed"][0]["key"], "3");
        assert_eq!(requests["groups"]["count"], 1);
        assert_eq!(ask(&log, r#"{"path":[{"by":"app","key":"nobody"}],"by":"app","limit":10}"#)["total"]["calls"], 0);
    }

    #[test]
    fn what_a_list_leaves_out_is_its_rest() {
        let view = ask(&sample(), r#"{"by":"request","limit":1,"top":["app","month"]}"#);
        assert_eq!(
            (&view["groups"]["count"], &view["groups"]["rest"]["cost_usd"]),
            (&4.into(), &"0.100000000000001".into())
        );
        assert_eq!(view["top"]["app"]["listed"][0]["key"], "shop");
        let log = sample();
        for by in ["app", "month", "request", "model"] {
            for limit in [0, 1, 10] {
                let rows: Vec<_> = log.rows.iter().collect();
                assert_eq!(costs(&groups(&log, &rows, by, limit)).to_string(), "0.300000000000001", "{by} {limit}");
            }
        }
    }

    #[test]
    fn the_course_has_every_step_between_the_first_and_the_last() {
        let points = |events: &[(&str, &str, &str, &str)]| {
            let view = ask(&log(events), r#"{"by":"app","limit":1}"#);
            let points = view["course"]["points"].as_array().unwrap().clone();
            let at: Vec<_> = points.iter().map(|point| point["at"].as_str().unwrap().to_owned()).collect();
            (view["course"]["unit"].as_str().unwrap().to_owned(), at)
        };
        let (unit, at) = points(&[("1", "2026-10-30T10:00:00", "", "1"), ("2", "2026-11-02T01:00:00", "", "1")]);
        assert_eq!(
            (unit.as_str(), at.len(), at[0].as_str(), at[63].as_str()),
            ("hour", 64, "2026-10-30T10:00", "2026-11-02T01:00")
        );
        let (unit, at) = points(&[("1", "2026-01-31T23:00:00", "", "1"), ("2", "2026-12-01T01:00:00", "", "1")]);
        assert_eq!((unit.as_str(), at.len(), at[11].as_str()), ("month", 12, "2026-12"));
        let (unit, at) = points(&[("1", "2026-11-20T09:30:59", "", "1"), ("2", "2026-11-20T09:32:00", "", "1")]);
        assert_eq!(
            (unit.as_str(), at),
            ("minute", ["2026-11-20T09:30", "2026-11-20T09:31", "2026-11-20T09:32"].map(str::to_owned).to_vec())
        );
    }
}
