//! Money as an integer: [`Usd`], counted in femtodollars (1e-15 USD).
//!
//! A list price is a decimal number of dollars per million tokens. With up to nine decimals there, the price of
//! one token is a whole number of femtodollars, so a cost is exact to the last digit of the price list.
//! Invariants: no floating point; arithmetic saturates instead of wrapping or panicking.
//! Must not know: tokens, models, providers.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use std::fmt;
use std::iter::Sum;

/// Femtodollars in one dollar.
const PER_DOLLAR: u64 = 1_000_000_000_000_000;
const DECIMALS: usize = 15;

/// An amount of US dollars in femtodollars (1e-15 USD). Negative amounts are meaningful (a cache write premium is
/// a negative saving).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i128);

/// Why a decimal text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not of the form `12`, `12.5`, `-0.25` or `1.5e-7`.
    #[error("`{0}` is not a decimal number")]
    NotDecimal(String),
    /// Finer than a femtodollar, or beyond the range of the integer.
    #[error("`{0}` does not fit: amounts have at most 15 decimals and 20 digits before the point")]
    OutOfRange(String),
}

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount from its count of femtodollars.
    #[must_use]
    pub const fn from_femto(femto: i128) -> Self {
        Self(femto)
    }

    /// The count of femtodollars.
    #[must_use]
    pub const fn femto(self) -> i128 {
        self.0
    }

    /// Whole nanodollars (1e-9 USD), rounded towards negative infinity; what counters in a gateway carry.
    #[must_use]
    pub const fn nano_floor(self) -> i128 {
        self.0.div_euclid(1_000_000)
    }

    /// Reads a decimal number of dollars, plain (`"0.15"`) or with an exponent (`"1.5e-7"`, as JSON allows).
    ///
    /// # Errors
    /// [`MoneyError`] when the text is no decimal number, or is finer than 1e-15 USD or too large.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        match Self::read(text)? {
            (amount, true) => Ok(amount),
            (_, false) => Err(MoneyError::OutOfRange(text.to_owned())),
        }
    }

    /// The same for an amount that somebody else computed in floating point (`4.1400000000000003e-05`): what is finer
    /// than 1e-15 USD is cut off.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is no decimal number, or too large.
    pub fn parse_computed(text: &str) -> Result<Self, MoneyError> {
        Self::read(text).map(|(amount, _)| amount)
    }

    /// The amount down to femtodollars, and whether that is all of it.
    fn read(text: &str) -> Result<(Self, bool), MoneyError> {
        let not_decimal = || MoneyError::NotDecimal(text.to_owned());
        let out_of_range = || MoneyError::OutOfRange(text.to_owned());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| not_decimal())?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
            return Err(not_decimal());
        }
        // value = digits * 10^(exponent - len(fraction)) dollars; shift it to femtodollars.
        let fraction = fraction.trim_end_matches('0');
        let mut units: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = match byte {
                b'0'..=b'9' => i128::from(byte.saturating_sub(b'0')),
                _ => return Err(not_decimal()),
            };
            units = units.checked_mul(10).and_then(|u| u.checked_add(digit)).ok_or_else(out_of_range)?;
        }
        let places = i32::try_from(fraction.len()).map_err(|_| out_of_range())?;
        let shift = exponent.saturating_sub(places).saturating_add(15);
        let factor = 10_i128.checked_pow(shift.unsigned_abs());
        let (femto, is_all) = if shift >= 0 {
            let femto = factor.and_then(|factor| units.checked_mul(factor)).or((units == 0).then_some(0));
            (femto.ok_or_else(out_of_range)?, true)
        } else {
            // A divisor beyond the range leaves nothing.
            let femto = factor.and_then(|factor| units.checked_div(factor)).unwrap_or(0);
            (femto, factor.and_then(|factor| units.checked_rem(factor)).unwrap_or(units) == 0)
        };
        Ok((Self(if negative { femto.saturating_neg() } else { femto }), is_all))
    }

    /// This amount `count` times.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    /// This amount times `numerator / denominator`, rounded half away from zero; zero when `denominator` is zero.
    #[must_use]
    pub fn ratio(self, numerator: u64, denominator: u64) -> Self {
        let product = self.0.saturating_mul(i128::from(numerator));
        let denominator = i128::from(denominator);
        let half = denominator.checked_div(2).unwrap_or(0);
        let rounded = if product < 0 { product.saturating_sub(half) } else { product.saturating_add(half) };
        Self(rounded.checked_div(denominator).unwrap_or(0))
    }

    /// This amount times `part / whole`, rounded towards zero; `None` when `whole` is zero or the product does not fit.
    #[must_use]
    pub fn apportioned(self, part: Self, whole: Self) -> Option<Self> {
        self.0.checked_mul(part.0)?.checked_div(whole.0).map(Self)
    }

    /// The sum, at the end of the range where it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at the end of the range where it does not fit.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// The exact decimal number of dollars, without trailing zeros: `0.0187368`, `12`, `-0.5`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Decimal::of(*self).as_str())
    }
}

impl serde::Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Decimal::of(*self).as_str())
    }
}

/// An amount as text, from its last digit to its first. An event has some twenty amounts, and what `format!` makes of one
/// was a tenth of the work on a small call.
struct Decimal {
    bytes: [u8; Self::LENGTH_MAX],
    start: usize,
}

impl Decimal {
    /// A sign, 24 digits, the point, 15 decimals.
    const LENGTH_MAX: usize = 41;

    fn of(amount: Usd) -> Self {
        let mut text = Self { bytes: [0; Self::LENGTH_MAX], start: Self::LENGTH_MAX };
        let femto = amount.0.unsigned_abs();
        match u64::try_from(femto) {
            // What a call costs fits 64 bits, and to divide 128 is slow in wasm.
            Ok(femto) => {
                text.push_fraction(femto % PER_DOLLAR);
                text.push_number(femto / PER_DOLLAR);
            }
            Err(_) => {
                const DOLLAR: u128 = PER_DOLLAR as u128;
                const HALF: u128 = 1_000_000_000_000;
                let (whole, fraction) = (femto / DOLLAR, femto % DOLLAR);
                let narrow = |part: u128| u64::try_from(part).unwrap_or(u64::MAX);
                text.push_fraction(narrow(fraction));
                match (narrow(whole / HALF), narrow(whole % HALF)) {
                    (0, lower) => text.push_number(lower),
                    (upper, lower) => {
                        text.push_digits(lower, 12);
                        text.push_number(upper);
                    }
                }
            }
        }
        if amount.0 < 0 {
            text.push(b'-');
        }
        text
    }

    fn as_str(&self) -> &str {
        self.bytes.get(self.start..).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }

    fn push_digit(&mut self, digit: u64) {
        self.push(u8::try_from(digit).unwrap_or(0).saturating_add(b'0'));
    }

    /// A number with exactly so many digits.
    fn push_digits(&mut self, mut number: u64, digits: usize) {
        for _ in 0..digits {
            self.push_digit(number % 10);
            number /= 10;
        }
    }

    /// A number with as many digits as it needs.
    fn push_number(&mut self, mut number: u64) {
        while number > 9 {
            self.push_digit(number % 10);
            number /= 10;
        }
        self.push_digit(number);
    }

    /// The point and the decimals behind it, of which the last is not zero; nothing where all are.
    fn push_fraction(&mut self, fraction: u64) {
        const LOWER: u64 = 100_000_000;
        let (mut fraction, mut digits) = match (fraction / LOWER, fraction % LOWER) {
            (0, 0) => return,
            (upper, 0) => (upper, DECIMALS.saturating_sub(8)),
            _ => (fraction, DECIMALS),
        };
        while fraction % 10 == 0 {
            fraction /= 10;
            digits = digits.saturating_sub(1);
        }
        self.push_digits(fraction, digits);
        self.push(b'.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_amount_prints_as_it_was_written_without_trailing_zeros() {
        for (text, printed) in [
            ("0", "0"),
            ("12", "12"),
            ("0.150", "0.15"),
            ("1.5e-7", "0.00000015"),
            ("2E3", "2000"),
            ("-0.5", "-0.5"),
            ("0.000000000000001", "0.000000000000001"),
            ("18446.744073709551616", "18446.744073709551616"),
            ("-98765432109876543210.5", "-98765432109876543210.5"),
        ] {
            assert_eq!(Usd::parse(text).map(|usd| usd.to_string()), Ok(printed.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_prints_as_its_digits_with_the_point_before_the_last_fifteen(femto: i128, shift in 0_u32..127) {
            let femto = femto >> shift;
            let digits = format!("{:016}", femto.unsigned_abs());
            let (whole, fraction) = digits.split_at(digits.len().saturating_sub(DECIMALS));
            let decimal = format!("{whole}.{fraction}");
            let sign = if femto < 0 { "-" } else { "" };
            let expected = format!("{sign}{}", decimal.trim_end_matches('0').trim_end_matches('.'));
            prop_assert_eq!(Usd::from_femto(femto).to_string(), expected);
        }
    }

    #[test]
    fn a_text_that_is_no_amount_is_named_in_the_error() {
        for text in ["", ".", "1.", ".5", "1,5", "$1", "1e", "0x1", "--1", "1e-16", "NaN", "9e40"] {
            let error = Usd::parse(text).expect_err(text);
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn an_amount_computed_in_floating_point_is_read_down_to_a_femtodollar() {
        for (text, read) in [("4.1400000000000003e-05", "0.0000414"), ("0.0133176", "0.0133176"), ("1e-40", "0")] {
            assert_eq!(Usd::parse_computed(text).map(|usd| usd.to_string()), Ok(read.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_ratio_rounds_half_away_from_zero_and_never_divides_by_zero() {
        assert_eq!(Usd::from_femto(5).ratio(1, 2), Usd::from_femto(3));
        assert_eq!(Usd::from_femto(-5).ratio(1, 2), Usd::from_femto(-3));
        assert_eq!(Usd::from_femto(5).ratio(1, 0), Usd::ZERO);
    }
}
