//! Amounts: what a call is expected to consume, what it can consume at most, and what it did, in a limit's measure.
//!
//! An amount is an integer: tokens and calls are counted in ones, weighted tokens in thousandths, dollars in
//! femtodollars.
//! Invariants: what is unknown is `None`, never zero.
//! Must not know: where estimates come from.
#![deny(clippy::arithmetic_side_effects)]

use crate::config::raw::{Measure, Reserve};
use crate::event::{Event, Outcome, UsageSource};
use crate::money::Usd;
use crate::usage::{Bucket, Direction, PerBucket};

/// Thousandths that a token without a weight of its own counts.
pub const WEIGHT_ONE: u64 = 1_000;

/// What is measured, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What.
    pub measure: Measure,
    /// Thousandths that a token of each bucket counts, with [`Measure::WeightedTokens`].
    pub weights: PerBucket<u64>,
}

/// What a call may consume, as far as its request tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// As expected.
    pub expected: Consumption,
    /// As the request states it: its counted input, the output it allows.
    pub stated: Consumption,
    /// At most; `None` where that has no bound.
    pub most: Consumption,
}

/// Tokens and dollars of one estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Dollars.
    pub cost: Option<Usd>,
}

impl Gauge {
    /// What a call is expected to consume, or can at most; `None` where it has no bound or no price.
    #[must_use]
    pub fn estimated(&self, estimate: &Estimate, reserve: Reserve) -> Option<i128> {
        match reserve {
            Reserve::Expected => self.of(&estimate.expected, false),
            Reserve::UpperBound => self.of(&estimate.most, true),
        }
    }

    /// What the request of a call states; `None` where it states no bound, or has no price.
    #[must_use]
    pub fn stated(&self, estimate: &Estimate) -> Option<i128> {
        self.of(&estimate.stated, false)
    }

    fn of(&self, consumption: &Consumption, at_most: bool) -> Option<i128> {
        let input = consumption.input.map(i128::from);
        let output = consumption.output.map(i128::from);
        match self.measure {
            Measure::InputTokens | Measure::UncachedTokens => input,
            Measure::OutputTokens => output,
            Measure::Tokens => input?.checked_add(output?),
            Measure::WeightedTokens => {
                let weight = |direction, plain| match at_most {
                    true => self.heaviest(direction),
                    false => self.weights.get(plain),
                };
                let input = input?.checked_mul(i128::from(weight(Direction::Input, Bucket::InputUncached)))?;
                input.checked_add(output?.checked_mul(i128::from(weight(Direction::Output, Bucket::Output)))?)
            }
            Measure::CostUsd => consumption.cost.map(Usd::femto),
            Measure::Requests | Measure::Steps | Measure::Repeats | Measure::UnattendedSteps | Measure::Concurrency => {
                Some(1)
            }
        }
    }

    fn heaviest(&self, direction: Direction) -> u64 {
        let weights = self.weights.iter().filter(|(bucket, _)| bucket.direction() == direction);
        weights.map(|(_, weight)| weight).max().unwrap_or(WEIGHT_ONE)
    }

    /// What a call that is over consumed; `None` where that is unknown, so that what was held for it must do.
    #[must_use]
    pub fn consumed(&self, event: &Event) -> Option<i128> {
        let was_forwarded = !matches!(event.outcome, Outcome::Denied | Outcome::LocalReply);
        // No provider bills what it never answered.
        let was_answered = event.outcome != Outcome::UpstreamReset || event.usage_source != UsageSource::None;
        let tokens = |count: Option<u64>| count.map(i128::from);
        match self.measure {
            Measure::Concurrency => Some(0),
            _ if !was_forwarded => Some(0),
            Measure::Requests => Some(1),
            _ if !was_answered => Some(0),
            Measure::Steps | Measure::Repeats | Measure::UnattendedSteps => {
                Some(i128::from(event.outcome != Outcome::UpstreamError))
            }
            Measure::InputTokens => tokens(event.input_tokens),
            Measure::OutputTokens => tokens(event.output_tokens),
            Measure::Tokens => tokens(event.input_tokens)?.checked_add(tokens(event.output_tokens)?),
            Measure::UncachedTokens => {
                let cached = i128::from(event.cache_read_tokens?);
                tokens(event.input_tokens)?.checked_sub(cached)
            }
            Measure::WeightedTokens => {
                event.input_tokens?;
                let weighted =
                    event.usage.tokens.iter().map(|(bucket, tokens)| {
                        i128::from(tokens).saturating_mul(i128::from(self.weights.get(bucket)))
                    });
                Some(weighted.fold(0, i128::saturating_add))
            }
            Measure::CostUsd => event.cost_usd.map(Usd::femto),
        }
    }

    /// An amount as metrics show it: whole tokens and calls, nanodollars.
    #[must_use]
    pub fn metric(&self, amount: i128) -> u64 {
        let unit = match self.measure {
            Measure::CostUsd => 1_000_000,
            Measure::WeightedTokens => i128::from(WEIGHT_ONE),
            _ => 1,
        };
        amount.checked_div(unit).and_then(|amount| u64::try_from(amount.max(0)).ok()).unwrap_or(u64::MAX)
    }

    /// An amount as people write it: `1200`, `0.25`.
    #[must_use]
    pub fn show(&self, amount: i128) -> String {
        match self.measure {
            Measure::CostUsd => Usd::from_femto(amount).to_string(),
            // A thousandth is a femtodollar of 1e-12.
            Measure::WeightedTokens => Usd::from_femto(amount.saturating_mul(1_000_000_000_000)).to_string(),
            _ => amount.to_string(),
        }
    }

    /// Reads an amount; `None` for a text that is none, or is negative.
    #[must_use]
    pub fn parse(measure: Measure, text: &str) -> Option<i128> {
        let femto = |text| Usd::parse(text).ok().map(Usd::femto).filter(|femto| *femto >= 0);
        match measure {
            Measure::CostUsd => femto(text),
            Measure::WeightedTokens => thousandths(text).map(i128::from),
            _ => text.parse::<u64>().ok().map(i128::from),
        }
    }
}

/// Reads a decimal with at most three decimals as thousandths.
#[must_use]
pub fn thousandths(text: &str) -> Option<u64> {
    const FEMTO: i128 = 1_000_000_000_000;
    let femto = Usd::parse(text).ok()?.femto();
    let is_whole = femto.checked_rem(FEMTO) == Some(0);
    femto.checked_div(FEMTO).filter(|_| is_whole).and_then(|amount| u64::try_from(amount).ok())
}

impl Measure {
    /// What amounts are of.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::InputTokens | Self::OutputTokens | Self::Tokens | Self::UncachedTokens | Self::WeightedTokens => {
                "tokens"
            }
            Self::CostUsd => "dollars",
            Self::Requests | Self::Steps | Self::Repeats | Self::UnattendedSteps | Self::Concurrency => "calls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(measure: Measure) -> Gauge {
        let mut weights = PerBucket::from_fn(|_| WEIGHT_ONE);
        weights.set(Bucket::CacheRead, 100);
        weights.set(Bucket::CacheWrite1h, 2_000);
        weights.set(Bucket::Output, 5_000);
        Gauge { measure, weights }
    }

    #[test]
    fn an_amount_reads_as_it_is_shown() {
        for (measure, text, amount) in [
            (Measure::CostUsd, "0.25", Some(250_000_000_000_000)),
            (Measure::WeightedTokens, "12.5", Some(12_500)),
            (Measure::Requests, "60", Some(60)),
            (Measure::Requests, "-1", None),
            (Measure::CostUsd, "-1", None),
            (Measure::WeightedTokens, "0.0001", None),
            (Measure::InputTokens, "1.5", None),
        ] {
            assert_eq!(Gauge::parse(measure, text), amount, "{text}");
            assert_eq!(amount.map(|amount| gauge(measure).show(amount)), amount.map(|_| text.to_owned()));
        }
    }

    #[test]
    fn the_most_that_weighted_tokens_can_be_takes_the_heaviest_bucket_of_each_direction() {
        let consumption = Consumption { input: Some(10), output: Some(3), cost: None };
        let estimate = Estimate { expected: consumption, most: consumption, ..Estimate::default() };
        let gauge = gauge(Measure::WeightedTokens);
        assert_eq!(gauge.estimated(&estimate, Reserve::Expected), Some(10 * 1_000 + 3 * 5_000));
        assert_eq!(gauge.estimated(&estimate, Reserve::UpperBound), Some(10 * 2_000 + 3 * 5_000));
    }

    #[test]
    fn what_has_no_bound_or_no_price_is_unknown_and_not_zero() {
        let estimate =
            Estimate { expected: Consumption { input: Some(10), ..Consumption::default() }, ..Estimate::default() };
        assert_eq!(gauge(Measure::Tokens).estimated(&estimate, Reserve::Expected), None);
        assert_eq!(gauge(Measure::CostUsd).estimated(&estimate, Reserve::UpperBound), None);
        assert_eq!(gauge(Measure::Requests).estimated(&estimate, Reserve::UpperBound), Some(1));
    }
}
