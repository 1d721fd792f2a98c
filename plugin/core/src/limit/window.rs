//! Windows: over what an amount is counted, and when counting begins anew.
//!
//! Hours, days, weeks and months are the calendar's, in a zone with a fixed offset from UTC.
//! Invariants: time is an argument; the windows of one kind follow each other without gap or overlap.
//! Must not know: what is counted.
#![deny(clippy::arithmetic_side_effects)]

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

/// Minutes that a zone is ahead of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(i16);

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
    /// Its length in milliseconds; the longest, where lengths differ.
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
}

impl Zone {
    /// Reads `UTC`, `Z`, or an offset like `+02:00` or `-03:30`, of at most 14 hours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Some(Self(0));
        }
        let (is_ahead, offset) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(offset), _) => (true, offset),
            (_, Some(offset)) => (false, offset),
            (None, None) => return None,
        };
        let (hours, minutes) = offset.split_once(':')?;
        let number = |text: &str| if text.len() == 2 { text.parse::<u8>().ok() } else { None };
        let (hours, minutes) = (i16::from(number(hours)?), i16::from(number(minutes)?));
        let offset = hours.checked_mul(60)?.checked_add(minutes)?;
        let is_zone = minutes < 60 && offset <= 14 * 60;
        is_zone.then_some(Self(if is_ahead { offset } else { offset.saturating_neg() }))
    }

    /// A point in time, moved so that its UTC calendar reads what this zone's clocks show.
    fn local(self, at: Timestamp) -> Timestamp {
        let minutes = u64::from(self.0.unsigned_abs());
        let moved = minutes.saturating_mul(MINUTE_MS);
        let millis = at.millis();
        Timestamp::from_millis(if self.0 < 0 { millis.saturating_sub(moved) } else { millis.saturating_add(moved) })
    }

    /// The point in time at which this zone's clocks show what the UTC calendar of `local` reads.
    fn utc(self, local: Timestamp) -> Timestamp {
        Self(self.0.saturating_neg()).local(local)
    }
}

impl Window {
    /// When the window that a point in time lies in began; the beginning of time where windows do not follow each other.
    #[must_use]
    pub fn start(self, at: Timestamp) -> Timestamp {
        let Self::Fixed(span, zone) = self else { return Timestamp::default() };
        zone.utc(start(span, zone.local(at)))
    }

    /// When the window that a point in time lies in ends, and the next begins; `None` where none follows.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Option<Timestamp> {
        let Self::Fixed(span, zone) = self else { return None };
        let start = start(span, zone.local(at));
        let next = match span {
            Span::Month => next_month(start),
            _ => start.plus_millis(span.millis()),
        };
        Some(zone.utc(next))
    }

    /// How many windows began after one point in time, up to another.
    #[must_use]
    pub fn between(self, from: Timestamp, to: Timestamp) -> u64 {
        let Self::Fixed(span, zone) = self else { return 0 };
        let (from, to) = (start(span, zone.local(from)), start(span, zone.local(to)));
        match span {
            Span::Month => months(to).saturating_sub(months(from)),
            _ => to.millis_since(from).checked_div(span.millis()).unwrap_or(0),
        }
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

    #[test]
    fn what_is_no_offset_is_no_zone() {
        for text in ["", "CET", "02:00", "+2:00", "+02", "+02:60", "+15:00", "+ä2:00"] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_gap_or_overlap(at in 0_u64..4_000_000_000_000, span in 0_usize..6, minutes in -840_i16..=840) {
            let window = Window::Fixed(SPANS[span], Zone(minutes));
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
