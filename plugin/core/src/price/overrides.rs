//! What the operator pays: negotiated rates, discounts off the list, self-hosted models, models the list does not know
//! yet.
//!
//! Invariants: an override replaces the list for the models it names, completely; a rate is a whole, non-negative
//! number of femtodollars per unit, or it is refused; a discount is a whole number of millionths.
//! Must not know: the configuration's syntax.
#![deny(clippy::arithmetic_side_effects)]

use std::fmt;

use super::matching::find_provider;
use super::table::Unit;
use crate::money::{MoneyError, Usd};
use crate::usage::{Bucket, PerBucket};

/// The price of one token, web search or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// The text is no amount of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Negative, too large, or finer than a femtodollar for one unit.
    #[error("`{text}` is no price: write a decimal of at least 0 with at most {decimals} decimals")]
    NotARate {
        /// The text as written.
        text: String,
        /// The decimals a price per this many units can have.
        decimals: usize,
    },
    /// Not above 0, more than 100, or too fine.
    #[error("`{text}` is no percentage: write a decimal above 0 and up to 100 with at most 4 decimals")]
    NotAPercentage {
        /// The text as written.
        text: String,
    },
}

impl Rate {
    /// A price written in dollars per million tokens: `"2.50"`.
    ///
    /// # Errors
    /// [`RateError`] when the text is no decimal, is negative, or has more than nine decimals.
    pub fn per_million(text: &str) -> Result<Self, RateError> {
        Self::per(text, 1_000_000, 9)
    }

    /// A price written in dollars per thousand web searches or requests: `"10"`.
    ///
    /// # Errors
    /// [`RateError`] when the text is no decimal, is negative, or has more than twelve decimals.
    pub fn per_thousand(text: &str) -> Result<Self, RateError> {
        Self::per(text, 1_000, 12)
    }

    /// What a token costs where `count` machines at a price per hour process so many in a second, with so many percent on
    /// top for machines that wait or serve tests; rounded up to a femtodollar. `None` where that is no price.
    #[must_use]
    pub fn of_machines(hour: Usd, count: u32, percent: u64, tokens_per_second: u64) -> Option<Self> {
        const SECONDS: i128 = 3_600;
        let tokens = i128::from(tokens_per_second).checked_mul(SECONDS)?.checked_mul(100)?;
        let whole = hour.femto().checked_mul(i128::from(count))?.checked_mul(i128::from(percent.checked_add(100)?))?;
        let up = whole.checked_add(tokens.checked_sub(1)?)?.checked_div(tokens).filter(|_| tokens > 0)?;
        u64::try_from(up).ok().filter(|rate| *rate > 0).map(Self)
    }

    fn per(text: &str, units: i128, decimals: usize) -> Result<Self, RateError> {
        let femto = Usd::parse(text)?.femto();
        let whole = femto.checked_rem(units) == Some(0);
        let rate = femto.checked_div(units).filter(|_| whole).and_then(|rate| u64::try_from(rate).ok());
        rate.map(Self).ok_or_else(|| RateError::NotARate { text: text.to_owned(), decimals })
    }

    pub(super) const fn femto(self) -> u64 {
        self.0
    }
}

/// Prices for the models an operator names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Only at this provider (any of its names); everywhere when absent.
    pub provider: Option<String>,
    /// A model's exact name, or the start of names followed by `*`: `gpt-4o*`. Case does not matter.
    pub model: String,
    /// Price per token; a bucket without one costs what stands in for it, as in the list (a cache read costs input).
    pub tokens: PerBucket<Option<Rate>>,
    /// Price per web search.
    pub web_search: Option<Rate>,
    /// Fee per request.
    pub request: Option<Rate>,
}

/// A percentage off the list, for the models it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// Only at this provider (any of its names); everywhere when absent.
    pub provider: Option<String>,
    /// As in [`Override::model`]; every model when absent.
    pub model: Option<String>,
    millionths: u32,
}

impl Discount {
    const WHOLE: u32 = 1_000_000;

    /// A discount of a percentage: `"12.5"`.
    ///
    /// # Errors
    /// [`RateError`] when the text is no decimal above 0 and up to 100 with at most four decimals.
    pub fn percent(provider: Option<String>, model: Option<String>, text: &str) -> Result<Self, RateError> {
        // Of a dollar: a percent's ten-thousandth is 1e-4.
        let parts = Usd::parse(text)?.femto();
        let whole = parts.checked_rem(TEN_THOUSANDTH) == Some(0);
        let millionths =
            parts.checked_div(TEN_THOUSANDTH).filter(|_| whole).and_then(|parts| u32::try_from(parts).ok());
        let millionths = millionths.filter(|millionths| (1..=Self::WHOLE).contains(millionths));
        let millionths = millionths.ok_or_else(|| RateError::NotAPercentage { text: text.to_owned() })?;
        Ok(Self { provider, model, millionths })
    }

    pub(super) fn covers(&self, provider: Option<&str>, model: &str) -> bool {
        self.model.as_deref().is_none_or(|own| is_named(own, model)) && is_at(self.provider.as_deref(), provider)
    }

    /// What is left of an amount, rounded half away from zero to a femtodollar.
    pub(super) fn off(&self, list: Usd) -> Usd {
        list.ratio(u64::from(Self::WHOLE.saturating_sub(self.millionths)), u64::from(Self::WHOLE))
    }
}

/// The percentage as it was written, without needless zeros.
impl fmt::Display for Discount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Usd::from_femto(i128::from(self.millionths).saturating_mul(TEN_THOUSANDTH)).fmt(f)
    }
}

/// A ten-thousandth in the parts that [`Usd`] counts.
const TEN_THOUSANDTH: i128 = 100_000_000_000;

impl Override {
    /// Whether this override prices a model at a provider.
    pub(super) fn covers(&self, provider: Option<&str>, model: &str) -> bool {
        is_named(&self.model, model) && is_at(self.provider.as_deref(), provider)
    }

    pub(super) fn rate(&self, unit: Unit) -> Option<u64> {
        let rate = match unit {
            Unit::Tokens(bucket) => self.tokens.get(bucket),
            // Read as input is, where nothing else is agreed on.
            Unit::Citation => self.tokens.get(Bucket::InputUncached),
            Unit::WebSearch => self.web_search,
            Unit::Request => self.request,
        };
        rate.map(Rate::femto)
    }
}

/// Whether a name is the one that is written, or begins with it where a `*` follows.
fn is_named(written: &str, model: &str) -> bool {
    match written.strip_suffix('*') {
        Some(start) => model.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => model.eq_ignore_ascii_case(written),
    }
}

fn is_at(written: Option<&str>, provider: Option<&str>) -> bool {
    written.is_none_or(|own| provider.is_some_and(|given| is_same(own, given)))
}

/// Whether two names mean one provider, known or not.
fn is_same(own: &str, given: &str) -> bool {
    let known = |name| find_provider(name).map(|provider| provider.id);
    own.eq_ignore_ascii_case(given) || known(own).is_some_and(|id| known(given) == Some(id))
}
