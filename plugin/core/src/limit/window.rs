//! Windows: over what an amount is counted, and when counting begins anew.
//!
//! Days, weeks and months are those of a zone's calendar: where clocks are put forward, a day has 23 hours, where they are put
//! back, 25. An hour always has 60 minutes, whatever happens to clocks: it begins with the hours of standard time, which
//! all zones of today but Lord Howe Island's share with those of summer time.
//! Invariants: time is an argument; the windows of one kind follow each other without gap or overlap.
//! Must not know: what is counted, when clocks change.
#![deny(clippy::arithmetic_side_effects)]

use super::zone::Zone;
use crate::time::{Timestamp, Weekday};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A stretch of the clock or the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day from midnight.
    Day,
    /// A week from Monday.
    Week,
    /// A month from its first day.
    Month,
}

/// Over what an amount is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// It begins anew with every span.
    Fixed(Span, Zone),
    /// It flows back steadily, all of it in one span (token bucket).
    Steady(Span),
    /// It never comes back; who does not spend for this long is forgotten.
    Idle {
        /// In milliseconds.
        after_ms: u64,
    },
    /// Nothing is spent, only held while calls run.
    InFlight,
}

impl Span {
    /// Its length in milliseconds; the longest month's, and without clocks that are put forward or back.
    #[must_use]
    pub const fn millis(self) -> u64 {
        match self {
            Self::Second => SECOND_MS,
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 31 * DAY_MS,
        }
    }

    /// The most that it takes in milliseconds where clocks are put back, which is by two hours at most.
    #[must_use]
    pub const fn longest(self) -> u64 {
        match self {
            Self::Second | Self::Minute | Self::Hour => self.millis(),
            Self::Day | Self::Week | Self::Month => self.millis().saturating_add(2 * HOUR_MS),
        }
    }
}

impl Window {
    /// When the window that a point in time lies in began; the beginning of time where windows do not follow each other.
    #[must_use]
    pub fn start(self, at: Timestamp) -> Timestamp {
        let Self::Fixed(span, zone) = self else { return Timestamp::default() };
        when(span, zone, start(span, shown(span, zone, at)))
    }

    /// When the window that a point in time lies in ends, and the next begins; `None` where none follows.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Option<Timestamp> {
        let Self::Fixed(span, zone) = self else { return None };
        let start = start(span, shown(span, zone, at));
        let next = match span {
            Span::Month => next_month(start),
            _ => start.plus_millis(span.millis()),
        };
        Some(when(span, zone, next))
    }

    /// How many windows began after one point in time, up to another.
    #[must_use]
    pub fn between(self, from: Timestamp, to: Timestamp) -> u64 {
        let Self::Fixed(span, zone) = self else { return 0 };
        let (from, to) = (start(span, shown(span, zone, from)), start(span, shown(span, zone, to)));
        match span {
            Span::Month => months(to).saturating_sub(months(from)),
            _ => to.millis_since(from).checked_div(span.millis()).unwrap_or(0),
        }
    }
}

/// A point in time, moved so that its UTC calendar reads what the clock or the calendar shows that a span goes by.
fn shown(span: Span, zone: Zone, at: Timestamp) -> Timestamp {
    match span {
        Span::Second | Span::Minute | Span::Hour => zone.standard(at),
        Span::Day | Span::Week | Span::Month => zone.local(at),
    }
}

/// The point in time at which that clock or calendar comes to what the UTC calendar of `shown` reads.
fn when(span: Span, zone: Zone, shown: Timestamp) -> Timestamp {
    match span {
        Span::Second | Span::Minute | Span::Hour => zone.of_standard(shown),
        Span::Day | Span::Week | Span::Month => zone.first(shown),
    }
}

/// When a span began, by the UTC calendar.
fn start(span: Span, at: Timestamp) -> Timestamp {
    let back = |days: u64| Timestamp::from_day(at.day().saturating_sub(days));
    match span {
        Span::Second | Span::Minute | Span::Hour | Span::Day => {
            let into = at.millis().checked_rem(span.millis()).unwrap_or(0);
            Timestamp::from_millis(at.millis().saturating_sub(into))
        }
        Span::Week => back(days_since_monday(at.weekday())),
        Span::Month => back(at.date().2.saturating_sub(1)),
    }
}

/// The first day of the month after the one that begins here.
fn next_month(first: Timestamp) -> Timestamp {
    let in_next = Timestamp::from_day(first.day().saturating_add(31));
    start(Span::Month, in_next)
}

/// Months since the year 0.
fn months(at: Timestamp) -> u64 {
    let (year, month, _) = at.date();
    year.saturating_mul(12).saturating_add(month)
}

const fn days_since_monday(day: Weekday) -> u64 {
    match day {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPANS: [Span; 6] = [Span::Second, Span::Minute, Span::Hour, Span::Day, Span::Week, Span::Month];

    #[track_caller]
    fn check(span: Span, zone: &str, at: &str, start: &str, end: &str) {
        let window = Window::Fixed(span, Zone::parse(zone).unwrap());
        let at = Timestamp::parse(at).unwrap();
        let found = (Some(window.start(at)), window.end(at));
        assert_eq!(found, (Timestamp::parse(start), Timestamp::parse(end)), "{span:?} {zone}");
    }

    #[test]
    fn a_window_is_the_calendars() {
        check(Span::Minute, "UTC", "2026-11-25T20:19:58Z", "2026-11-25T20:19:00Z", "2026-11-25T20:20:00Z");
        check(Span::Day, "UTC", "2026-11-25T20:19:58Z", "2026-11-25", "2026-11-26");
        check(Span::Week, "UTC", "2026-11-25T20:19:58Z", "2026-11-23", "2026-11-30");
        check(Span::Month, "UTC", "2026-11-30T23:59:59Z", "2026-11-01", "2026-12-01");
        check(Span::Month, "UTC", "2028-02-29T00:00:00Z", "2028-02-01", "2028-03-01");
        check(Span::Month, "UTC", "2026-12-31T00:00:00Z", "2026-12-01", "2027-01-01");
    }

    #[test]
    fn a_window_begins_when_its_zone_says() {
        check(Span::Day, "+02:00", "2026-11-25T21:59:59Z", "2026-11-24T22:00:00Z", "2026-11-25T22:00:00Z");
        check(Span::Day, "+02:00", "2026-11-25T22:00:00Z", "2026-11-25T22:00:00Z", "2026-11-26T22:00:00Z");
        check(Span::Month, "-05:00", "2026-12-01T04:59:59Z", "2026-11-01T05:00:00Z", "2026-12-01T05:00:00Z");
        check(Span::Hour, "+05:30", "2026-11-25T20:19:58Z", "2026-11-25T19:30:00Z", "2026-11-25T20:30:00Z");
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_gap_or_overlap(at in 0_u64..4_000_000_000_000, span in 0_usize..6, minutes in -840_i16..=840) {
            let window = Window::Fixed(SPANS[span], Zone::Fixed(minutes));
            // Before the first window of 1970 there is nothing.
            let at = Timestamp::from_millis(at.saturating_add(40 * DAY_MS));
            let (start, end) = (window.start(at), window.end(at).unwrap());
            prop_assert!(start <= at && at < end);
            prop_assert_eq!((window.start(end), window.start(start)), (end, start));
            prop_assert_eq!(window.end(start), Some(end));
            prop_assert_eq!((window.between(start, at), window.between(at, end)), (0, 1));
        }
    }
}
