//! Exact decimals for quantities, prices and amounts.
//!
//! A [`Decimal`] is an integer number of units of its last place, within the 38 digits of Arrow's `Decimal128`, so a
//! column stores it unchanged. `rust_decimal` has only 28 digits, too few for a cost with 18 places. All numbers have
//! the same type, so they have the same rounding rules.

use std::fmt;

use arrow::datatypes::i256;
use iso_currency::Currency;

/// A number with exactly `SCALE` decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const SCALE: u32>(i128);

/// A quantity: `DECIMAL(28,9)` in a record or rule, `DECIMAL(38,9)` as a sum over time or resources.
pub type Quantity = Decimal<9>;
/// The price of one unit: `DECIMAL(28,12)`.
pub type UnitPrice = Decimal<12>;
/// An exact cost: `DECIMAL(38,18)`. It is rounded once, on the invoice line.
pub type Cost = Decimal<18>;
/// An amount on a document: `DECIMAL(28,4)`, rounded to the places of its currency (at most four).
pub type Amount = Decimal<4>;

/// The decimal places of amounts in a currency. Currencies without a minor unit (gold, units of account) are invalid
/// in configuration and rules.
pub fn places_of(currency: Currency) -> u32 {
    u32::from(currency.exponent().unwrap_or(2))
}

/// The decimal places of amounts in a currency, by its code.
pub fn places_of_code(code: &str) -> u32 {
    Currency::from_code(code).map_or(2, places_of)
}

/// The reason why a text is not a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDecimalError {
    #[error("is not a decimal number")]
    Malformed,
    #[error("is not a finite number")]
    NotFinite,
    #[error("has too many digits")]
    OutOfRange,
    #[error("has too many decimal places")]
    TooManyPlaces,
}

impl<const SCALE: u32> Decimal<SCALE> {
    pub const ZERO: Self = Self(0);
    /// The exclusive limit of a parsed magnitude: 28 digits, so that sums and products fit into 38 digits.
    const LIMIT: i128 = 10i128.pow(28);

    /// A decimal from units of the last place. With two places, `from_units(5)` is 0.05.
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    pub const fn units(self) -> i128 {
        self.0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn from_integer(value: i64) -> Self {
        Self(value as i128 * 10i128.pow(SCALE))
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, rounded half away from zero at the last place; `None` if it overflows.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let one = 10i128.pow(SCALE);
        let exact = self.0.checked_mul(other.0)?;
        let half = if exact < 0 { -(one / 2) } else { one / 2 };
        exact.checked_add(half).map(|shifted| Self(shifted / one))
    }

    /// The product by way of 76 digits, rounded half away from zero at the last place; `None` if the result overflows.
    /// The exact product of a sum of quantities has more than 38 digits.
    pub fn checked_wide_mul(self, other: Self) -> Option<Self> {
        self.checked_mul(other).or_else(|| self.scaled(other.0, 10i128.pow(SCALE), SCALE))
    }

    /// The result of `value × numerator ÷ denominator`, rounded half away from zero to `places` places. It is `None` if
    /// the denominator is zero or the result overflows.
    pub fn scaled(self, numerator: i128, denominator: i128, places: u32) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let step = 10i128.checked_pow(SCALE.saturating_sub(places))?;
        let wide = i256::from_i128;
        let exact = wide(self.0).checked_mul(wide(numerator))?;
        let divisor = wide(denominator).checked_mul(wide(step))?;
        let is_negative = exact.is_negative() != divisor.is_negative();
        let (magnitude, divisor) = (exact.wrapping_abs(), divisor.wrapping_abs());
        // Both sides are doubled before adding half the divisor, because half of an odd divisor is not an integer.
        let doubled = magnitude.checked_mul(wide(2))?.checked_add(divisor)?;
        let steps = doubled.checked_div(divisor.checked_mul(wide(2))?)?;
        let rounded = steps.checked_mul(wide(step))?.to_i128()?;
        Some(Self(if is_negative { -rounded } else { rounded }))
    }

    /// Parses plain or scientific notation exactly. Digits after `SCALE` places are an error unless they are zeros.
    /// This function is for prices, bounds and factors in files that people write.
    pub fn parse_exact(text: &str) -> Result<Self, ParseDecimalError> {
        let (value, exact) = Self::parse(text)?;
        if exact { Ok(value) } else { Err(ParseDecimalError::TooManyPlaces) }
    }

    /// Parses plain or scientific notation and rounds half away from zero to `SCALE` places.
    /// This function is for values from sources, because some meters send floats such as 0.30000000000000004.
    pub fn parse_rounded(text: &str) -> Result<Self, ParseDecimalError> {
        Self::parse(text).map(|(value, _)| value)
    }

    /// The fast path for nearly all quantities from sources: at most 18 characters, only digits and at most one point,
    /// and at most `SCALE` places.
    fn parse_short(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() > 18 || !bytes.first()?.is_ascii_digit() {
            return None;
        }
        let mut digits: u64 = 0;
        let mut places = None;
        for byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    digits = digits * 10 + u64::from(byte - b'0');
                    places = places.map(|places: u32| places + 1);
                }
                b'.' if places.is_none() => places = Some(0),
                _ => return None,
            }
        }
        let missing = SCALE.checked_sub(places.unwrap_or(0))?;
        let value = i128::from(digits) * 10i128.pow(missing);
        (value < Self::LIMIT).then_some(Self(value))
    }

    fn parse(text: &str) -> Result<(Self, bool), ParseDecimalError> {
        use ParseDecimalError::{Malformed, NotFinite, OutOfRange};
        if let Some(value) = Self::parse_short(text) {
            return Ok((value, true));
        }
        let bytes = text.trim().as_bytes();
        let (negative, rest) = match bytes.first() {
            Some(b'-') => (true, &bytes[1..]),
            Some(b'+') => (false, &bytes[1..]),
            _ => (false, bytes),
        };
        if rest.is_empty() {
            return Err(Malformed);
        }
        if !rest[0].is_ascii_digit() && rest[0] != b'.' {
            let word = String::from_utf8_lossy(rest).to_ascii_lowercase();
            let not_finite = matches!(word.as_str(), "nan" | "inf" | "infinity");
            return Err(if not_finite { NotFinite } else { Malformed });
        }
        let mut digits: i128 = 0;
        let mut places: i64 = 0;
        let mut seen_point = false;
        let mut seen_digit = false;
        let mut exponent: i64 = 0;
        let mut dropped_nonzero = false;
        let mut dropped_first: Option<u8> = None;
        let mut index = 0;
        while index < rest.len() {
            match rest[index] {
                digit @ b'0'..=b'9' => {
                    seen_digit = true;
                    // Any 37 digits fit into 128 bits. Further digits only determine whether the result is exact.
                    if digits < 10i128.pow(36) {
                        digits = digits * 10 + i128::from(digit - b'0');
                        places += i64::from(seen_point);
                    } else {
                        if !seen_point {
                            places -= 1;
                        }
                        if dropped_first.is_none() {
                            dropped_first = Some(digit);
                        }
                        dropped_nonzero |= digit != b'0';
                    }
                }
                b'.' if !seen_point => seen_point = true,
                b'e' | b'E' if seen_digit => {
                    let text = std::str::from_utf8(&rest[index + 1..]).map_err(|_| Malformed)?;
                    exponent = text.parse::<i64>().map_err(|_| Malformed)?;
                    if exponent.unsigned_abs() > 10_000 {
                        // The number is outside of the range of every scale, unless it is zero.
                        return match (digits, exponent < 0) {
                            (0, _) => Ok((Self(0), true)),
                            (_, true) => Ok((Self(0), false)),
                            (_, false) => Err(OutOfRange),
                        };
                    }
                    break;
                }
                _ => return Err(Malformed),
            }
            index += 1;
        }
        if !seen_digit {
            return Err(Malformed);
        }
        // The value is digits × 10^(exponent - places). In units of the last place, the power increases by SCALE.
        let power = i64::from(SCALE) + exponent - places;
        let (magnitude, exact) = if digits == 0 && !dropped_nonzero {
            (0, true)
        } else if power >= 0 {
            let factor = u32::try_from(power).ok().filter(|p| *p <= 38).ok_or(OutOfRange)?;
            let factor = 10i128.checked_pow(factor).ok_or(OutOfRange)?;
            (digits.checked_mul(factor).ok_or(OutOfRange)?, !dropped_nonzero)
        } else if power < -38 {
            (0, false)
        } else {
            let divisor = 10i128.pow((-power) as u32);
            let (quotient, remainder) = (digits / divisor, digits % divisor);
            let round_up = remainder >= divisor - remainder;
            (quotient + i128::from(round_up), remainder == 0 && !dropped_nonzero)
        };
        if magnitude >= Self::LIMIT {
            return Err(OutOfRange);
        }
        Ok((Self(if negative { -magnitude } else { magnitude }), exact))
    }

    /// The nearest number with `places` places, rounded half away from zero.
    pub fn round_to(self, places: u32) -> Self {
        if places >= SCALE {
            return self;
        }
        let step = 10i128.pow(SCALE - places);
        let half = step / 2;
        let shifted = if self.0 < 0 { self.0 - half } else { self.0 + half };
        Self(shifted / step * step)
    }

    /// The number without trailing zeros, but with at least `places` places.
    pub fn to_text(self, places: u32) -> String {
        let mut text = String::new();
        write_decimal(self.0, SCALE as usize, places as usize, &mut text);
        text
    }
}

/// Appends a decimal of `units` with `scale` places to `text`, without trailing zeros beyond `least_places`. All other
/// digits are written.
pub fn write_decimal(units: i128, scale: usize, least_places: usize, text: &mut String) {
    if units < 0 {
        text.push('-');
    }
    let mut buffer = itoa::Buffer::new();
    // Formatting 64 bits is many times faster than formatting 128 bits.
    let digits = match u64::try_from(units.unsigned_abs()) {
        Ok(few) => buffer.format(few),
        Err(_) => buffer.format(units.unsigned_abs()),
    };
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    text.push_str(if whole.is_empty() { "0" } else { whole });
    let zeros_before = scale - fraction.len();
    let fraction = fraction.trim_end_matches('0');
    let places = if fraction.is_empty() { 0 } else { zeros_before + fraction.len() };
    if places.max(least_places) > 0 {
        text.push('.');
    }
    let zeros = |count| std::iter::repeat_n('0', count);
    if places > 0 {
        text.extend(zeros(zeros_before));
        text.push_str(fraction);
    }
    text.extend(zeros(least_places.saturating_sub(places)));
}

impl<const SCALE: u32> fmt::Display for Decimal<SCALE> {
    /// Writes plain notation without trailing zeros.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Result<String, ParseDecimalError> {
        Quantity::parse_rounded(text).map(|value| value.to_string())
    }

    #[test]
    fn scales_with_one_rounding_half_away_from_zero() {
        let amount = |text: &str| Amount::parse_exact(text).unwrap();
        let scaled = |text, numerator, denominator, places| {
            amount(text).scaled(numerator, denominator, places).map(|value| value.to_string())
        };
        assert_eq!(scaled("0.05", 50, 100, 2).as_deref(), Some("0.03"));
        assert_eq!(scaled("-0.05", 50, 100, 2).as_deref(), Some("-0.03"));
        assert_eq!(scaled("0.05", -50, 100, 2).as_deref(), Some("-0.03"));
        assert_eq!(scaled("0.0499", 50, 100, 2).as_deref(), Some("0.02"));
        assert_eq!(scaled("1", 1, 3, 4).as_deref(), Some("0.3333"));
        assert_eq!(scaled("2", 1, 3, 4).as_deref(), Some("0.6667"));
        // The divisors are odd.
        assert_eq!(scaled("0.0001", 1, 3, 4).as_deref(), Some("0"));
        assert_eq!(scaled("0.0002", 1, 3, 4).as_deref(), Some("0.0001"));
        assert_eq!(scaled("0.0003", 1, 7, 4).as_deref(), Some("0"));
        assert_eq!(scaled("0.0004", 1, 7, 4).as_deref(), Some("0.0001"));
        assert_eq!(scaled("2.5", 1, 1, 0).as_deref(), Some("3"));
        assert_eq!(scaled("1000", 1, 0, 2), None);
        // The product exceeds 38 digits, but the result does not.
        assert_eq!(
            Cost::parse_exact("1234567890").unwrap().scaled(10i128.pow(30), 10i128.pow(30), 18).unwrap().to_string(),
            "1234567890"
        );
    }

    #[test]
    fn numbers_of_sources_are_rounded_to_nine_places() {
        assert_eq!(quantity("1").unwrap(), "1");
        assert_eq!(quantity("118795008214").unwrap(), "118795008214");
        assert_eq!(quantity("1.18795008214e+11").unwrap(), "118795008214");
        assert_eq!(quantity("9007199254740993").unwrap(), "9007199254740993");
        assert_eq!(quantity("0.30000000000000004").unwrap(), "0.3");
        assert_eq!(quantity("5e-10").unwrap(), "0.000000001");
        assert_eq!(quantity("4.999999999999e-10").unwrap(), "0");
        assert_eq!(quantity("-2.5").unwrap(), "-2.5");
        assert_eq!(quantity(" 7 ").unwrap(), "7");
        assert_eq!(quantity("1e-99999").unwrap(), "0");
        assert_eq!(quantity("1e-9223372036854775808").unwrap(), "0");
        assert_eq!(quantity("1e9223372036854775807"), Err(ParseDecimalError::OutOfRange));
    }

    #[test]
    fn a_text_that_is_not_a_number_is_an_error() {
        use ParseDecimalError::*;
        for (text, error) in [
            ("", Malformed),
            ("-", Malformed),
            (".", Malformed),
            ("1.2.3", Malformed),
            ("0x10", Malformed),
            ("1e", Malformed),
            ("12 GB", Malformed),
            ("NaN", NotFinite),
            ("-Inf", NotFinite),
            ("Infinity", NotFinite),
            ("1234567890123456789012345678901234567890", OutOfRange),
            ("1e40", OutOfRange),
            ("1e99999", OutOfRange),
        ] {
            assert_eq!(quantity(text), Err(error), "{text}");
        }
    }

    #[test]
    fn exact_parsing_never_rounds() {
        assert!(UnitPrice::parse_exact("0.000000000001").is_ok());
        assert_eq!(UnitPrice::parse_exact("0.0000000000001"), Err(ParseDecimalError::TooManyPlaces));
        assert!(UnitPrice::parse_exact("0.1000000000000000").is_ok());
    }

    #[test]
    fn rounds_half_away_from_zero() {
        let amount = |text| Amount::parse_exact(text).unwrap();
        assert_eq!(amount("0.125").round_to(2), amount("0.13"));
        assert_eq!(amount("-0.125").round_to(2), amount("-0.13"));
        assert_eq!(amount("0.1249").round_to(2), amount("0.12"));
        assert_eq!(amount("1.5").round_to(0).to_text(0), "2");
    }

    #[test]
    fn a_product_is_rounded_once_half_away_from_zero() {
        let amount = |text| Amount::parse_exact(text).unwrap();
        assert_eq!(amount("1.5").checked_mul(amount("0.5")), Some(amount("0.75")));
        // The exact products are 0.00015 and 0.00014. They are rounded to four places.
        assert_eq!(amount("0.015").checked_mul(amount("0.01")), Some(amount("0.0002")));
        assert_eq!(amount("-0.015").checked_mul(amount("0.01")), Some(amount("-0.0002")));
        assert_eq!(amount("0.014").checked_mul(amount("0.01")), Some(amount("0.0001")));
        assert_eq!(Amount::from_units(i128::MAX).checked_mul(amount("2")), None);
        // The exact product has 39 digits before it is rounded.
        let wide = Quantity::from_units(200_000_000_000_000_000_000_000_000_000);
        assert_eq!(wide.checked_mul(Quantity::from_integer(1)), None);
        assert_eq!(wide.checked_wide_mul(Quantity::from_integer(1)), Some(wide));
        assert_eq!(Quantity::from_units(i128::MAX).checked_wide_mul(Quantity::from_integer(2)), None);
    }

    #[test]
    fn text_has_at_least_the_requested_places() {
        let amount = Amount::parse_exact("-12.5").unwrap();
        assert_eq!(amount.to_text(2), "-12.50");
        assert_eq!(amount.to_text(0), "-12.5");
        assert_eq!(Amount::parse_exact("0.05").unwrap().to_string(), "0.05");
        assert_eq!(Amount::parse_exact("120").unwrap().to_text(6), "120.000000");
    }

    #[test]
    fn every_digit_is_written() {
        let written = |units, scale, least_places| {
            let mut text = String::new();
            write_decimal(units, scale, least_places, &mut text);
            text
        };
        assert_eq!(written(1_234_500_000, 9, 0), "1.2345");
        assert_eq!(written(-5, 18, 2), "-0.000000000000000005");
        assert_eq!(written(0, 9, 0), "0");
        assert_eq!(written(7_000_000_000, 9, 2), "7.00");
        assert_eq!(written(120, 0, 0), "120");
        assert_eq!(written(-12, 0, 2), "-12.00");
        assert_eq!(written(i128::MIN, 18, 0), "-170141183460469231731.687303715884105728");
    }
}
