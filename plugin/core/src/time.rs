//! Points in time as plain numbers: [`Timestamp`], milliseconds since 1970 in UTC, and its calendar.
//!
//! Invariants: time is always an argument, never read here; arithmetic saturates; the calendar is proleptic
//! Gregorian without leap seconds, as Unix time is.
//! Must not know: any clock, time zones other than UTC. The build script compiles this file too.
#![deny(clippy::arithmetic_side_effects)]

use std::fmt;

const MILLIS_PER_SECOND: u64 = 1_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// Days in 400 Gregorian years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;
/// The last day of an era is the leap day of its 400th year.
const LAST_DAY_OF_ERA: u64 = 146_096;
/// Days from 1 March of the year 0 to 1 January 1970; counting from March puts the leap day last.
const EPOCH_FROM_MARCH_0: u64 = 719_468;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Saturday or Sunday.
    #[must_use]
    pub const fn is_weekend(self) -> bool {
        matches!(self, Self::Saturday | Self::Sunday)
    }
}

impl Timestamp {
    /// A point in time from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A point in time from whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(MILLIS_PER_SECOND))
    }

    /// Midnight UTC at the start of a day counted from 1970-01-01.
    #[must_use]
    pub const fn from_day(day: u64) -> Self {
        Self::from_seconds(day.saturating_mul(SECONDS_PER_DAY))
    }

    /// Midnight UTC at the start of a day of the calendar; `None` before 1970, and for a month that does not exist.
    #[must_use]
    pub fn of_date(year: u64, month: u64, day: u64) -> Option<Self> {
        day_number(year, month, day).map(Self::from_day)
    }

    /// Reads `2026-08-01` or `2026-08-01T02:00:00Z` (UTC, also written `+00:00`; a fraction of a second is ignored);
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once(['T', ' ']) {
            Some((date, time)) => (date, time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?),
            None => (text, "00:00:00"),
        };
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time.split_once('.').map_or(time, |(whole, _)| whole), ':')?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let midnight = Self::of_date(year, month, day)?;
        // The calendar must give the same date back, or the day does not exist in that month.
        if midnight.date() != (year, month, day) {
            return None;
        }
        let seconds = hour.saturating_mul(3_600).saturating_add(minute.saturating_mul(60)).saturating_add(second);
        Some(Self(midnight.0.saturating_add(seconds.saturating_mul(MILLIS_PER_SECOND))))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / MILLIS_PER_SECOND
    }

    /// Whole days since the epoch, in UTC.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.seconds() / SECONDS_PER_DAY
    }

    /// Minutes since midnight UTC.
    #[must_use]
    pub const fn minute_of_day(self) -> u64 {
        self.seconds() % SECONDS_PER_DAY / 60
    }

    /// The day of the week in UTC.
    #[must_use]
    pub const fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        match self.day() % 7 {
            0 => Weekday::Thursday,
            1 => Weekday::Friday,
            2 => Weekday::Saturday,
            3 => Weekday::Sunday,
            4 => Weekday::Monday,
            5 => Weekday::Tuesday,
            _ => Weekday::Wednesday,
        }
    }

    /// This point in time, later by some milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Year, month (1-12) and day of the month in UTC.
    #[must_use]
    pub fn date(self) -> (u64, u64, u64) {
        let days = self.day().saturating_add(EPOCH_FROM_MARCH_0);
        let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        // Drop the leap days so far (every 4 years, not every 100, every 400), then years have 365 days.
        let leap_days =
            (day_of_era / 1_460).saturating_sub(day_of_era / 36_524).saturating_add(day_of_era / LAST_DAY_OF_ERA);
        let year_of_era = day_of_era.saturating_sub(leap_days) / 365;
        let day_of_year = day_of_era.saturating_sub(days_before_year(year_of_era));
        // Months from March come in runs of 153 days for five months.
        let month_from_march = day_of_year.saturating_mul(5).saturating_add(2) / 153;
        let day = day_of_year.saturating_sub(days_before_month(month_from_march)).saturating_add(1);
        let year = era.saturating_mul(400).saturating_add(year_of_era);
        if month_from_march < 10 {
            (year, month_from_march.saturating_add(3), day)
        } else {
            (year.saturating_add(1), month_from_march.saturating_sub(9), day)
        }
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-08-01T02:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let second_of_day = self.seconds() % SECONDS_PER_DAY;
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        let milli = self.0 % MILLIS_PER_SECOND;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Exactly three numbers separated by `separator`.
fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// Days from the epoch to a date; `None` before 1970 or for a month that does not exist.
fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 9_999 {
        return None;
    }
    let (year, month_from_march) =
        if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let days = (year / 400)
        .checked_mul(DAYS_PER_ERA)?
        .checked_add(days_before_year(year % 400))?
        .checked_add(days_before_month(month_from_march))?
        .checked_add(day.checked_sub(1)?)?;
    days.checked_sub(EPOCH_FROM_MARCH_0)
}

/// Days of the 400-year era before a year of it, both from March.
const fn days_before_year(year_of_era: u64) -> u64 {
    year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100)
}

/// Days of the year, from March, before a month.
const fn days_before_month(month_from_march: u64) -> u64 {
    month_from_march.saturating_mul(153).saturating_add(2) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_prints_as_it_was_written() {
        for text in ["1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.000Z", "2026-08-01T02:00:00.000Z"] {
            assert_eq!(Timestamp::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn utc_may_be_written_as_an_offset_of_zero_and_no_other_offset_is_taken_for_it() {
        assert_eq!(Timestamp::parse("2026-08-01T02:00:00+00:00"), Timestamp::parse("2026-08-01T02:00:00Z"));
        assert_eq!(Timestamp::parse("2026-08-01T02:00:00+02:00"), None);
    }

    #[test]
    fn every_day_of_five_centuries_converts_to_its_date_and_back() {
        let mut previous = (0, 0, 0);
        for day in 0..182_622 {
            let date = Timestamp::from_day(day).date();
            assert!(date > previous, "{date:?} after {previous:?}");
            assert_eq!(day_number(date.0, date.1, date.2), Some(day));
            previous = date;
        }
        assert_eq!(previous, (2469, 12, 31));
    }

    #[test]
    fn weekdays_follow_the_calendar() {
        for (text, weekday) in [
            ("1970-01-01", Weekday::Thursday),
            ("2026-08-01", Weekday::Saturday),
            ("2026-11-23", Weekday::Monday),
            ("2000-02-29", Weekday::Tuesday),
        ] {
            assert_eq!(Timestamp::parse(text).map(Timestamp::weekday), Some(weekday), "{text}");
        }
    }

    #[test]
    fn a_date_that_does_not_exist_is_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1", "1969-12-31", "2026-08-01T24:00:00Z", ""] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
