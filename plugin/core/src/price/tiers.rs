//! Which price of a model applies: by date and time of day, by the request's terms, by the size of the context.
//!
//! Invariants: standard prices and, per unit, the first matching variant over them, as the list's package resolves
//! them; a context tier is a cliff: above its threshold the whole call pays its price.
//! Must not know: model names, overrides.
#![deny(clippy::arithmetic_side_effects)]

use super::Terms;
use super::matching::Found;
use super::table::{Dated, Days, Hours, Pricing, Rates, Step, Term, Unit, Variant};
use crate::time::Timestamp;
use crate::usage::Bucket;

/// The price sets of a model that are in force for one call.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// The first that prices a unit counts: prices of the call's terms, then the standard ones.
    sets: Vec<&'static [Step]>,
    /// The maker's prices, where another provider resells the model: what that provider takes beside tokens.
    maker: &'static [Step],
    /// A term was asked for that the list has no price for.
    pub(super) assumes_standard: bool,
}

impl Resolved {
    /// The prices in force at a time.
    pub(super) fn new(found: &Found, at: Timestamp, terms: &Terms<'_>) -> Self {
        let pricing = found.model.pricing;
        let standard = in_force(pricing, at);
        let maker = found.maker.map(|maker| maker.pricing).filter(|maker| passes_on(pricing, maker));
        let searched = maker.map_or(&[][..], |maker| maker.variants);
        let maker = maker.map_or(&[][..], |maker| in_force(maker, at).steps);
        // Where a model is resold, special prices are not known to apply, except those for what its maker searches.
        let is_known = |term: &Term| !found.resold || matches!(term, Term::SearchContext(_));
        let selected: Vec<&Variant> = pricing
            .variants
            .iter()
            .filter(|variant| is_known(&variant.term))
            .chain(searched.iter().filter(|variant| matches!(variant.term, Term::SearchContext(_))))
            .filter(|variant| starts(variant.from_day, at) && asks(terms, &variant.term))
            .collect();
        let listed = |kind: fn(&Term) -> bool| selected.iter().any(|variant| kind(&variant.term));
        let assumes_standard = (terms.is_batch() && !listed(|term| matches!(term, Term::Batch)))
            || (terms.is_special_tier() && !listed(|term| matches!(term, Term::ServiceTier(_))))
            || (terms.is_special_speed() && !listed(|term| matches!(term, Term::Speed(_))));
        let mut sets: Vec<_> = selected.iter().map(|variant| variant.steps).collect();
        // A reseller's row without a date says nothing of the past; the maker's does, and that is what was passed on.
        if standard.from_day == 0 {
            sets.push(maker);
        }
        sets.push(standard.steps);
        Self { sets, maker, assumes_standard }
    }

    /// Whether the standard prices know any kind of token.
    pub(super) fn prices_tokens(&self) -> bool {
        self.sets.last().is_some_and(|standard| standard.iter().any(|step| step.rates.price_tokens()))
    }

    /// The price of one unit in femtodollars, if the unit has its own.
    pub(super) fn rate(&self, unit: Unit, input_total: u64) -> Option<u64> {
        let maker = std::iter::once(&self.maker).filter(|_| !matches!(unit, Unit::Tokens(_)));
        let sets = self.sets.iter().chain(maker);
        sets.filter_map(|steps| rates_at(steps, input_total)).find_map(|rates| rates.get(unit))
    }
}

/// Whether a reseller takes what the maker takes, or once took: prices of its own are its own in the past too.
fn passes_on(own: &Pricing, maker: &Pricing) -> bool {
    let base = |dated: &Dated| {
        let rates = dated.steps.first().map(|step| &step.rates);
        [Bucket::InputUncached, Bucket::Output].map(|bucket| rates.and_then(|rates| rates.get(Unit::Tokens(bucket))))
    };
    own.dated.last().is_some_and(|own| maker.dated.iter().any(|maker| base(maker) == base(own)))
}

/// The standard prices at a time: the last in force, or the first when none is.
fn in_force(pricing: &'static Pricing, at: Timestamp) -> &'static Dated {
    const NONE: &Dated = &Dated { from_day: 0, hours: None, steps: &[] };
    let dated = pricing.dated;
    dated.iter().rev().find(|dated| is_in_force(dated, at)).or(dated.first()).unwrap_or(NONE)
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
        Term::SearchContext(size) => terms.search_context_size.is_some_and(|asked| asked.eq_ignore_ascii_case(size)),
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
