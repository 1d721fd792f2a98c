//! Time zones: what their clocks show, and when the calendar there comes to a day.
//!
//! The clocks of the IANA Time Zone Database are static tables (`build/zones.rs`): what it lists from 2025 on, and the yearly
//! rule after that.
//! Invariants: time is an argument; clocks are whole minutes and less than a day from UTC; a look takes the same time
//! whatever the year.
//! Must not know: windows.
#![deny(clippy::arithmetic_side_effects)]

use crate::time::Timestamp;

include!(concat!(env!("OUT_DIR"), "/zone_tables.rs"));

const MINUTE_MS: u64 = 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const MINUTES_PER_DAY: i64 = 24 * 60;
/// Longer than every name and its mistakes.
const NAME_MAX: usize = 48;

/// Whose clocks and calendar count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Clocks that are always so many minutes ahead of UTC.
    Fixed(i16),
    /// The clocks of a named place.
    Named(&'static Clocks),
}

/// The clocks of places that agree on them.
#[derive(Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Separated by blanks.
    names: &'static str,
    /// From when (seconds since 1970) they are how many minutes ahead of UTC: until the last of these, from which on it is
    /// the rule that says so.
    changes: &'static [(u32, i16)],
    /// Minutes ahead of UTC outside summer.
    standard: i16,
    summer: Option<Summer>,
}

/// The time of the year in which clocks are put to another time.
#[derive(Debug, PartialEq, Eq)]
struct Summer {
    /// Minutes ahead of UTC.
    minutes: i16,
    begins: Yearly,
    ends: Yearly,
}

/// When clocks are changed every year.
#[derive(Debug, PartialEq, Eq)]
struct Yearly {
    /// From February to November, so that no zone changes clocks around the new year.
    month: u8,
    /// The first to the fourth such day of the month, or with 5 the last.
    week: u8,
    /// From Sunday, which is 0.
    weekday: u8,
    /// Of the day, by the clocks before the change; it may lie on another day.
    minute: i16,
}

/// For how long clocks are how far from UTC.
#[derive(Clone, Copy)]
struct Stretch {
    minutes: i16,
    until: Option<Timestamp>,
}

impl Default for Zone {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Zone {
    /// Reads a name of the IANA Time Zone Database like `Europe/Berlin`, in any case; `UTC` or `Z`; or an offset like `+02:00`
    /// or `-03:30`, of at most 14 hours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Some(Self::default());
        }
        let (is_ahead, offset) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(offset), _) => (true, offset),
            (_, Some(offset)) => (false, offset),
            (None, None) => return named(text),
        };
        let (hours, minutes) = offset.split_once(':')?;
        let number = |text: &str| if text.len() == 2 { text.parse::<u8>().ok() } else { None };
        let (hours, minutes) = (i16::from(number(hours)?), i16::from(number(minutes)?));
        let offset = hours.checked_mul(60)?.checked_add(minutes)?;
        let is_zone = minutes < 60 && offset <= 14 * 60;
        is_zone.then_some(Self::Fixed(if is_ahead { offset } else { offset.saturating_neg() }))
    }

    /// The name that was meant by one that is none; `None` where that cannot be told. Never one of the names that state an
    /// offset, since their sign is the other way around.
    #[must_use]
    pub fn meant(text: &str) -> Option<&'static str> {
        if text.len() > NAME_MAX {
            return None;
        }
        let text = text.to_ascii_lowercase();
        let distance = |name: &str| {
            let name = name.to_ascii_lowercase();
            let place = name.rsplit('/').next().unwrap_or(&name);
            strsim::levenshtein(&name, &text).min(strsim::levenshtein(place, &text))
        };
        let is_place = |name: &&str| name.contains('/') && !name.starts_with("Etc/");
        let names = ZONES.iter().flat_map(|clocks| clocks.names.split(' ')).filter(is_place);
        let (distance, name) = names.map(|name| (distance(name), name)).min()?;
        (distance <= text.len() / 5).then_some(name)
    }

    /// A point in time, moved so that its UTC calendar reads what clocks show that are never put to summer time.
    pub(super) fn standard(self, at: Timestamp) -> Timestamp {
        ahead(at, self.standard_minutes())
    }

    /// The point in time at which such clocks show what the UTC calendar of `shown` reads.
    pub(super) fn of_standard(self, shown: Timestamp) -> Timestamp {
        ahead(shown, self.standard_minutes().saturating_neg())
    }

    /// A point in time, moved so that its UTC calendar reads what the zone's clocks show.
    pub(super) fn local(self, at: Timestamp) -> Timestamp {
        ahead(at, self.stretch(at).minutes)
    }

    /// The first point in time at which the zone's clocks show what the UTC calendar of `shown` reads, or have skipped it.
    pub(super) fn first(self, shown: Timestamp) -> Timestamp {
        // Clocks are changed far less often than once in the two days around it.
        let before = self.stretch(Timestamp::from_millis(shown.millis().saturating_sub(DAY_MS)));
        let found = ahead(shown, before.minutes.saturating_neg());
        match before.until {
            Some(change) if change <= found => {
                let after = self.stretch(change);
                change.max(ahead(shown, after.minutes.saturating_neg()))
            }
            _ => found,
        }
    }

    const fn standard_minutes(self) -> i16 {
        match self {
            Self::Fixed(minutes) => minutes,
            Self::Named(clocks) => clocks.standard,
        }
    }

    fn stretch(self, at: Timestamp) -> Stretch {
        match self {
            Self::Fixed(minutes) => Stretch { minutes, until: None },
            Self::Named(clocks) => clocks.listed(at).unwrap_or_else(|| clocks.by_rule(at)),
        }
    }
}

fn named(name: &str) -> Option<Zone> {
    let is_named = |clocks: &&Clocks| clocks.names.split(' ').any(|known| known.eq_ignore_ascii_case(name));
    ZONES.iter().find(is_named).map(Zone::Named)
}

fn ahead(at: Timestamp, minutes: i16) -> Timestamp {
    let moved = u64::from(minutes.unsigned_abs()).saturating_mul(MINUTE_MS);
    let millis = at.millis();
    Timestamp::from_millis(if minutes < 0 { millis.saturating_sub(moved) } else { millis.saturating_add(moved) })
}

impl Clocks {
    fn listed(&self, at: Timestamp) -> Option<Stretch> {
        let next = self.changes.partition_point(|(from, _)| u64::from(*from) <= at.seconds());
        let (until, _) = self.changes.get(next)?;
        let (_, minutes) = self.changes.get(next.checked_sub(1)?)?;
        Some(Stretch { minutes: *minutes, until: Some(Timestamp::from_seconds(u64::from(*until))) })
    }

    fn by_rule(&self, at: Timestamp) -> Stretch {
        let Some(summer) = &self.summer else { return Stretch { minutes: self.standard, until: None } };
        let (year, ..) = at.date();
        let begins = |year| summer.begins.of(year, self.standard);
        let ends = |year| summer.ends.of(year, summer.minutes);
        // South of the equator it is summer at the new year.
        let is_summer = if begins(year) < ends(year) {
            begins(year) <= at && at < ends(year)
        } else {
            at < ends(year) || begins(year) <= at
        };
        let next = |change: &dyn Fn(u64) -> Timestamp| {
            [year, year.saturating_add(1)].into_iter().map(change).find(|change| *change > at)
        };
        if is_summer {
            Stretch { minutes: summer.minutes, until: next(&ends) }
        } else {
            Stretch { minutes: self.standard, until: next(&begins) }
        }
    }
}

impl Yearly {
    /// When that is in a year, by clocks that are so many minutes ahead of UTC.
    fn of(&self, year: u64, ahead: i16) -> Timestamp {
        let month = u64::from(self.month);
        let (first, after) = (Timestamp::of_date(year, month, 1), Timestamp::of_date(year, month.saturating_add(1), 1));
        let (first, after) = (first.unwrap_or_default().day(), after.unwrap_or_default().day());
        // 1970-01-01 was a Thursday.
        let weekday = |day: u64| day.saturating_add(4) % 7;
        let days = u64::from(self.weekday).saturating_add(7).saturating_sub(weekday(first)) % 7;
        let weeks = u64::from(self.week).saturating_sub(1);
        let day = first.saturating_add(days).saturating_add(weeks.saturating_mul(7));
        let day = if day < after { day } else { day.saturating_sub(7) };
        let minute = i64::try_from(day).unwrap_or(i64::MAX).saturating_mul(MINUTES_PER_DAY);
        let minute = minute.saturating_add(i64::from(self.minute)).saturating_sub(i64::from(ahead));
        Timestamp::from_millis(u64::try_from(minute).unwrap_or(0).saturating_mul(MINUTE_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_name_nor_offset_is_no_zone() {
        for text in
            ["", "CEST", "Berlin", "Europe/Berlin ", "Factory", "02:00", "+2:00", "+02", "+02:60", "+15:00", "+ä2:00"]
        {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_place_that_was_meant_is_named_and_no_offset_is_guessed() {
        for (text, meant) in [
            ("Berlin", Some("Europe/Berlin")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("new_york", Some("America/New_York")),
            ("New York", Some("America/New_York")),
            ("GMT+2", None),
            ("UTC+2", None),
            ("CEST", None),
            ("", None),
            (&*"Europe/Berlin".repeat(4), None),
        ] {
            assert_eq!(Zone::meant(text), meant, "{text}");
        }
    }
}
