//! Which price of a model applies: by date and time of day, by the request's terms, by the size of the context.
//!
//! Invariants: standard prices and, per unit, the first matching variant over them, as the list's package resolves
//! them; a context tier is a cliff: above its threshold the whole call pays its price.
//! Must not know: model names, overrides.
#![deny(clippy::arithmetic_side_effects)]

use super::Terms;
use super::table::{Dated, Days, Hours, Pricing, Rates, Step, Term, Unit, Variant};
use crate::time::Timestamp;
use crate::usage::Bucket;

/// The price sets of a model that are in force for one call.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    standard: &'static [Step],
    /// Prices of the call's terms; for each unit the first that has one wins over the standard price.
    special: Vec<&'static [Step]>,
    /// A term was asked for that the list has no price for.
    pub(super) assumes_standard: bool,
}

impl Resolved {
    /// The prices in force at a time. `listed_terms` is false when special prices are not known to apply at all.
    pub(super) fn new(pricing: &'static Pricing, at: Timestamp, terms: &Terms<'_>, listed_terms: bool) -> Self {
        let dated = pricing.dated;
        let in_force = dated.iter().rev().find(|dated| is_in_force(dated, at)).or(dated.first());
        let standard = in_force.map_or(&[][..], |dated| dated.steps);
        let variants = if listed_terms { pricing.variants } else { &[] };
        let selected: Vec<&Variant> =
            variants.iter().filter(|variant| starts(variant.from_day, at) && asks(terms, &variant.term)).collect();
        let listed = |kind: fn(&Term) -> bool| selected.iter().any(|variant| kind(&variant.term));
        let assumes_standard = (terms.is_batch() && !listed(|term| matches!(term, Term::Batch)))
            || (terms.is_special_tier() && !listed(|term| matches!(term, Term::ServiceTier(_))))
            || (terms.is_special_speed() && !listed(|term| matches!(term, Term::Speed(_))));
        let special = selected.iter().map(|variant| variant.steps).collect();
        Self { standard, special, assumes_standard }
    }

    /// Whether the standard prices know any kind of token.
    pub(super) fn prices_tokens(&self) -> bool {
        self.standard.iter().any(|step| step.rates.price_tokens())
    }

    /// The price of one unit in femtodollars, if the unit has its own.
    pub(super) fn rate(&self, unit: Unit, input_total: u64) -> Option<u64> {
        let sets = self.special.iter().chain(std::iter::once(&self.standard));
        sets.filter_map(|steps| rates_at(steps, input_total)).find_map(|rates| rates.get(unit))
    }
}

/// A bucket and the buckets whose price stands in for it, nearest first: the list gives no price to what costs the
/// same as something more general.
pub(super) const fn stand_ins(bucket: Bucket) -> &'static [Bucket] {
    use Bucket as B;
    match bucket {
        B::InputUncached => &[B::InputUncached],
        B::InputAudio => &[B::InputAudio, B::InputUncached],
        B::InputImage => &[B::InputImage, B::InputUncached],
        B::CacheRead => &[B::CacheRead, B::InputUncached],
        B::CacheReadAudio => &[B::CacheReadAudio, B::CacheRead, B::InputAudio, B::InputUncached],
        B::CacheReadImage => &[B::CacheReadImage, B::CacheRead, B::InputImage, B::InputUncached],
        B::CacheWrite5m => &[B::CacheWrite5m, B::InputUncached],
        B::CacheWrite1h => &[B::CacheWrite1h, B::CacheWrite5m, B::InputUncached],
        B::Output => &[B::Output],
        B::Reasoning => &[B::Reasoning, B::Output],
        B::OutputAudio => &[B::OutputAudio, B::Output],
        B::OutputImage => &[B::OutputImage, B::Output],
    }
}

/// The prices of the highest step that a call with this many input tokens exceeds.
fn rates_at(steps: &'static [Step], input_total: u64) -> Option<&'static Rates> {
    let reached = steps.iter().rev().find(|step| step.above == 0 || input_total > u64::from(step.above));
    reached.map(|step| &step.rates)
}

fn is_in_force(dated: &Dated, at: Timestamp) -> bool {
    starts(dated.from_day, at) && dated.hours.is_none_or(|hours| contains(hours, at))
}

fn starts(from_day: u32, at: Timestamp) -> bool {
    at.day() >= u64::from(from_day)
}

fn contains(hours: &Hours, at: Timestamp) -> bool {
    let (start, end, minute) = (u64::from(hours.start_minute), u64::from(hours.end_minute), at.minute_of_day());
    let in_hours = if end < start { minute >= start || minute < end } else { start <= minute && minute < end };
    in_hours
        && match hours.days {
            Days::All => true,
            Days::Working { holidays } => {
                !at.weekday().is_weekend() && !holidays.iter().any(|holiday| u64::from(*holiday) == at.day())
            }
        }
}

fn asks(terms: &Terms<'_>, term: &Term) -> bool {
    match term {
        Term::Batch => terms.is_batch(),
        Term::ServiceTier(tier) => terms.service_tier.is_some_and(|asked| asked.eq_ignore_ascii_case(tier)),
        Term::Speed(speed) => terms.speed.is_some_and(|asked| asked.eq_ignore_ascii_case(speed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &Hours, at: &str, expected: bool) {
        assert_eq!(contains(hours, Timestamp::parse(at).unwrap()), expected, "{at}");
    }

    #[test]
    fn hours_include_their_first_minute_and_exclude_their_last() {
        let hours = Hours { start_minute: 60, end_minute: 240, days: Days::All };
        check(&hours, "2026-11-21T00:59:59Z", false);
        check(&hours, "2026-11-21T01:00:00Z", true);
        check(&hours, "2026-11-21T03:59:59Z", true);
        check(&hours, "2026-11-21T04:00:00Z", false);
    }

    #[test]
    fn hours_that_end_before_they_start_go_over_midnight() {
        let hours = Hours { start_minute: 1_320, end_minute: 60, days: Days::All };
        check(&hours, "2026-11-21T21:59:59Z", false);
        check(&hours, "2026-11-21T22:00:00Z", true);
        check(&hours, "2026-11-22T00:59:59Z", true);
        check(&hours, "2026-11-22T01:00:00Z", false);
    }

    #[test]
    fn a_bucket_stands_first_for_itself() {
        for bucket in Bucket::ALL {
            assert_eq!(stand_ins(bucket).first(), Some(&bucket));
            assert!(stand_ins(bucket).iter().all(|other| other.direction() == bucket.direction()));
        }
    }
}
