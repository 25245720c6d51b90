//! Exact decimals: the only numbers that quantities and amounts are made of.
//!
//! A [`Decimal`] is a whole number of units of its last place, in the 38 digits of Arrow's `Decimal128`, so a value
//! goes into a column and comes back as it was. `rust_decimal` holds 28 digits, which is too few for a cost of 18
//! places; one type for everything is also one set of rules.

use std::fmt;

use arrow::datatypes::i256;
use iso_currency::Currency;

/// A number with exactly `SCALE` decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const SCALE: u32>(i128);

/// A measured or priced quantity: `DECIMAL(28,9)`.
pub type Quantity = Decimal<9>;
/// The price of one unit: `DECIMAL(28,12)`.
pub type UnitPrice = Decimal<12>;
/// A cost before its one rounding, on the invoice line: `DECIMAL(38,18)`.
pub type Cost = Decimal<18>;
/// An amount on a document: `DECIMAL(28,4)`, rounded to the currency's own number of places (none has more than four).
pub type Amount = Decimal<4>;

/// How many places the amounts of a currency have. What has none of its own (gold, a unit of account) is refused where
/// it is read.
pub fn places_of(currency: Currency) -> u32 {
    u32::from(currency.exponent().unwrap_or(2))
}

/// The same, of a currency by its code.
pub fn places_of_code(code: &str) -> u32 {
    Currency::from_code(code).map_or(2, places_of)
}

/// Why a text is not a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDecimalError {
    #[error("is not a decimal number")]
    Malformed,
    #[error("is not a finite number")]
    NotFinite,
    #[error("has more digits than are kept exactly")]
    OutOfRange,
    #[error("has more decimal places than are kept exactly")]
    TooManyPlaces,
}

impl<const SCALE: u32> Decimal<SCALE> {
    pub const ZERO: Self = Self(0);
    /// The largest magnitude, 28 digits in all, leaves room for sums and products.
    const LIMIT: i128 = 10i128.pow(28);

    /// From a number of units of the last place: `from_units(5)` of scale 2 is 0.05.
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

    /// The product, rounded half away from zero at the last place; `None` beyond 38 digits.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let one = 10i128.pow(SCALE);
        let exact = self.0.checked_mul(other.0)?;
        let half = if exact < 0 { -(one / 2) } else { one / 2 };
        exact.checked_add(half).map(|shifted| Self(shifted / one))
    }

    /// `value × numerator ÷ denominator`, rounded half away from zero to `places` places; `None` beyond 38 digits or
    /// where the denominator is zero.
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
        // Half is added before dividing, with both sides doubled so that an odd divisor has one.
        let doubled = magnitude.checked_mul(wide(2))?.checked_add(divisor)?;
        let steps = doubled.checked_div(divisor.checked_mul(wide(2))?)?;
        let rounded = steps.checked_mul(wide(step))?.to_i128()?;
        Some(Self(if is_negative { -rounded } else { rounded }))
    }

    /// Reads plain or scientific notation, exactly: more than `SCALE` places (other than zeros) is an error.
    /// For what people write: prices, bounds, factors.
    pub fn parse_exact(text: &str) -> Result<Self, ParseDecimalError> {
        let (value, exact) = Self::parse(text)?;
        if exact { Ok(value) } else { Err(ParseDecimalError::TooManyPlaces) }
    }

    /// Reads plain or scientific notation and rounds what is below the last place half away from zero.
    /// For what machines write: meters that print floats send 0.30000000000000004.
    pub fn parse_rounded(text: &str) -> Result<Self, ParseDecimalError> {
        Self::parse(text).map(|(value, _)| value)
    }

    /// Up to 18 digits and a point, with no more places than are kept: nearly every quantity that a source writes.
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
                    // 37 digits fit whatever they are; what follows them only matters for rounding.
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
                        // Far outside of what any place can hold, so only zero survives it.
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
        // The value is digits × 10^(exponent - places); in units of the last place the power grows by SCALE.
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

    /// The nearest number of `places` places, half away from zero, still written with `SCALE` places.
    pub fn round_to(self, places: u32) -> Self {
        if places >= SCALE {
            return self;
        }
        let step = 10i128.pow(SCALE - places);
        let half = step / 2;
        let shifted = if self.0 < 0 { self.0 - half } else { self.0 + half };
        Self(shifted / step * step)
    }

    /// With no more places than the value needs, but at least `places`.
    pub fn to_text(self, places: u32) -> String {
        let mut text = String::new();
        write_decimal(self.0, SCALE as usize, places as usize, &mut text);
        text
    }
}

/// Appends a number of units of the place `scale`, without trailing zeros beyond the least number of places. No digit
/// that is not zero is ever left out.
pub fn write_decimal(units: i128, scale: usize, least_places: usize, text: &mut String) {
    if units < 0 {
        text.push('-');
    }
    let mut buffer = itoa::Buffer::new();
    // 64 bits are written many times faster than 128.
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
    /// Plain notation without trailing zeros.
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
        // 1.5 of a step of 3 and 7: odd divisors.
        assert_eq!(scaled("0.0001", 1, 3, 4).as_deref(), Some("0"));
        assert_eq!(scaled("0.0002", 1, 3, 4).as_deref(), Some("0.0001"));
        assert_eq!(scaled("0.0003", 1, 7, 4).as_deref(), Some("0"));
        assert_eq!(scaled("0.0004", 1, 7, 4).as_deref(), Some("0.0001"));
        assert_eq!(scaled("2.5", 1, 1, 0).as_deref(), Some("3"));
        assert_eq!(scaled("1000", 1, 0, 2), None);
        // Beyond 38 digits in between, within them at the end.
        assert_eq!(
            Cost::parse_exact("1234567890").unwrap().scaled(10i128.pow(30), 10i128.pow(30), 18).unwrap().to_string(),
            "1234567890"
        );
    }

    #[test]
    fn reads_what_meters_write() {
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
    fn refuses_what_is_no_number() {
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
    fn what_people_write_is_never_rounded() {
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
        // 0.00015 and 0.00014 at the fourth place.
        assert_eq!(amount("0.015").checked_mul(amount("0.01")), Some(amount("0.0002")));
        assert_eq!(amount("-0.015").checked_mul(amount("0.01")), Some(amount("-0.0002")));
        assert_eq!(amount("0.014").checked_mul(amount("0.01")), Some(amount("0.0001")));
        assert_eq!(Amount::from_units(i128::MAX).checked_mul(amount("2")), None);
    }

    #[test]
    fn writes_the_places_that_are_asked_for() {
        let amount = Amount::parse_exact("-12.5").unwrap();
        assert_eq!(amount.to_text(2), "-12.50");
        assert_eq!(amount.to_text(0), "-12.5");
        assert_eq!(Amount::parse_exact("0.05").unwrap().to_string(), "0.05");
        assert_eq!(Amount::parse_exact("120").unwrap().to_text(6), "120.000000");
    }

    #[test]
    fn no_digit_is_left_out() {
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
