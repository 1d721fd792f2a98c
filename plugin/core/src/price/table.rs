//! The built-in price book as static data: what `build/prices.rs` generates, and the types it is written in.
//!
//! Everything lies ready in the module's data section: nothing is parsed, allocated or indexed at start.
//! Invariants: [`Unit`] and the generator's `UNITS` have the same order; names and patterns are lower case, except a
//! model's displayed id; providers and models keep the list's order, which decides between several matches.
//! Must not know: how a model is looked up or a cost computed.
#![deny(clippy::arithmetic_side_effects)]

use crate::usage::Bucket;

include!(concat!(env!("OUT_DIR"), "/price_tables.rs"));

/// A company that serves models, with its models in matching order.
pub(super) struct Provider {
    pub(super) id: &'static str,
    /// Other names of the provider itself.
    pub(super) named_like: Option<Pattern>,
    /// Models that tell the provider when none is given.
    pub(super) serves: Option<Pattern>,
    /// Providers whose models this one also has, at their price.
    pub(super) fallback: &'static [&'static str],
    /// Makers whose models this one resells at their price, whatever rows of its own it has.
    pub(super) resells: &'static [&'static str],
    pub(super) models: &'static [Model],
}

/// A priced model.
pub(super) struct Model {
    pub(super) id: &'static str,
    pub(super) pattern: Pattern,
    pub(super) pricing: &'static Pricing,
}

/// Which lower-case names are meant; in a text, `#` is any digit.
pub(super) enum Pattern {
    /// The model's own id.
    Id,
    Name(&'static str),
    Prefix(&'static str),
    Suffix(&'static str),
    Contains(&'static str),
    Any(&'static [Self]),
    All(&'static [Self]),
    Not(&'static Self),
}

/// All prices of a model, over time and by what a request asked for.
pub(super) struct Pricing {
    /// Standard prices; the last one in force counts, or the first when none is.
    pub(super) dated: &'static [Dated],
    /// Prices of special terms; per unit, the first one in force counts.
    pub(super) variants: &'static [Variant],
}

/// A price set with the time it is in force.
pub(super) struct Dated {
    /// Days since 1970, UTC.
    pub(super) from_day: u32,
    pub(super) hours: Option<&'static Hours>,
    pub(super) steps: &'static [Step],
}

/// A daily interval in UTC, `start_minute <= minute < end_minute`, over midnight when it ends before it starts.
pub(super) struct Hours {
    pub(super) start_minute: u16,
    pub(super) end_minute: u16,
    pub(super) days: Days,
}

/// The days on which [`Hours`] apply.
pub(super) enum Days {
    All,
    /// Monday to Friday, without holidays (days since 1970).
    Working {
        holidays: &'static [u32],
    },
}

/// Prices of a special term.
pub(super) struct Variant {
    pub(super) term: Term,
    pub(super) from_day: u32,
    pub(super) steps: &'static [Step],
}

/// What of a request selects a [`Variant`].
pub(super) enum Term {
    Batch,
    ServiceTier(&'static str),
    Speed(&'static str),
    SearchContext(&'static str),
}

/// The prices that apply when the call has more input tokens than `above` (0: always).
#[derive(Debug)]
pub(super) struct Step {
    pub(super) above: u32,
    pub(super) rates: Rates,
}

/// Prices in femtodollars per unit: one bit per [`Unit`] that has one, and a price per set bit, lowest first.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) units: u16,
    pub(super) femto: &'static [u64],
}

/// A surcharge on every token where the inference is bound to a region.
pub(super) struct Uplift {
    pub(super) provider: &'static str,
    pub(super) inference_geo: Pattern,
    pub(super) models: Pattern,
    pub(super) percent: u64,
}

/// What a price is for. The token units are the buckets, in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Tokens(Bucket),
    Citation,
    WebSearch,
    Request,
}

impl Rates {
    /// The bits of all token units.
    const TOKENS: u16 = 0b1111_1111_1111;

    /// Whether any kind of token has a price.
    pub(super) const fn price_tokens(&self) -> bool {
        self.units & Self::TOKENS != 0
    }

    /// The price of one unit in femtodollars, if it has its own.
    pub(super) fn get(&self, unit: Unit) -> Option<u64> {
        let bit = 1_u16.checked_shl(unit.bit())?;
        if self.units & bit == 0 {
            return None;
        }
        let below = self.units & bit.wrapping_sub(1);
        self.femto.get(usize::try_from(below.count_ones()).ok()?).copied()
    }
}

impl Unit {
    const fn bit(self) -> u32 {
        match self {
            Self::Tokens(bucket) => bucket as u32,
            Self::Citation => 12,
            Self::WebSearch => 13,
            Self::Request => 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &Pattern) -> Vec<&'static str> {
        match pattern {
            Pattern::Id => Vec::new(),
            Pattern::Name(text) | Pattern::Prefix(text) | Pattern::Suffix(text) | Pattern::Contains(text) => vec![text],
            Pattern::Any(patterns) | Pattern::All(patterns) => patterns.iter().flat_map(texts).collect(),
            Pattern::Not(pattern) => texts(pattern),
        }
    }

    #[test]
    fn patterns_are_lower_case_as_the_names_they_are_compared_with() {
        for provider in PROVIDERS {
            let of_provider = provider.named_like.iter().chain(&provider.serves).flat_map(texts);
            for text in of_provider.chain(provider.models.iter().flat_map(|model| texts(&model.pattern))) {
                assert_eq!(text, text.to_lowercase(), "{}", provider.id);
            }
            let own_name = provider.models.iter().filter(|model| matches!(model.pattern, Pattern::Id));
            own_name.for_each(|model| assert_eq!(model.id, model.id.to_lowercase()));
        }
    }

    #[test]
    fn providers_that_others_refer_to_exist() {
        let exists = |id: &str| PROVIDERS.iter().any(|provider| provider.id == id);
        let sellers =
            |provider: &Provider| provider.fallback.iter().chain(provider.resells).copied().collect::<Vec<_>>();
        let fallbacks = PROVIDERS.iter().flat_map(sellers);
        for id in fallbacks.chain(ALIASES.iter().map(|(_, id)| *id)).chain(UPLIFTS.iter().map(|uplift| uplift.provider))
        {
            assert!(exists(id), "{id}");
        }
    }

    #[test]
    fn every_price_set_begins_with_its_base_and_has_one_price_per_unit() {
        for model in PROVIDERS.iter().flat_map(|provider| provider.models) {
            let dated = model.pricing.dated.iter().map(|dated| dated.steps);
            for steps in dated.chain(model.pricing.variants.iter().map(|variant| variant.steps)) {
                assert_eq!(steps[0].above, 0, "{}", model.id);
                assert!(steps.windows(2).all(|pair| pair[0].above < pair[1].above), "{}", model.id);
                for rates in steps.iter().map(|step| &step.rates) {
                    assert_eq!(rates.units.count_ones() as usize, rates.femto.len(), "{}", model.id);
                }
            }
        }
    }

    #[test]
    fn a_unit_has_a_price_only_when_its_bit_is_set() {
        let rates = Rates { units: 0b100_0001_0000_0001, femto: &[7, 8, 9] };
        assert_eq!(rates.get(Unit::Tokens(Bucket::InputUncached)), Some(7));
        assert_eq!(rates.get(Unit::Tokens(Bucket::InputAudio)), None);
        assert_eq!(rates.get(Unit::Tokens(Bucket::Output)), Some(8));
        assert_eq!(rates.get(Unit::WebSearch), None);
        assert_eq!(rates.get(Unit::Request), Some(9));
    }
}
