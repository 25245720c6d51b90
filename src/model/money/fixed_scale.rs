//! Fixed-scale decimals, as columns of relations store them.

use std::fmt;

use arrow::datatypes::i256;

use super::DecimalNumber;
use super::power_of_ten::{moved, power_of_ten};
use super::text::{self, ParseDecimalError, write_decimal};

/// A number with exactly `SCALE` decimal places, within the 38 digits of Arrow's `Decimal128`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const SCALE: u32>(i128);

/// A quantity: `DECIMAL(28,9)` in a record or rule, `DECIMAL(38,9)` as a sum over time or resources.
pub type Quantity = Decimal<9>;
/// The price of one unit in a relation: `DECIMAL(28,12)`.
pub type UnitPrice = Decimal<12>;
/// An exact cost: `DECIMAL(38,18)`. It is rounded once, on the invoice line.
pub type Cost = Decimal<18>;

impl<const SCALE: u32> Decimal<SCALE> {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(Self::UNITS_OF_ONE);
    const UNITS_OF_ONE: i128 = 10i128.pow(SCALE);

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
        Self(value as i128 * Self::UNITS_OF_ONE)
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, rounded half away from zero at the last place; `None` if it overflows.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let exact = self.0.checked_mul(other.0)?;
        let half = if exact < 0 { -(Self::UNITS_OF_ONE / 2) } else { Self::UNITS_OF_ONE / 2 };
        exact.checked_add(half).map(|shifted| Self(shifted / Self::UNITS_OF_ONE))
    }

    /// The product by way of 76 digits, rounded half away from zero at the last place; `None` if the result overflows.
    /// The exact product of a sum of quantities has more than 38 digits.
    pub fn checked_wide_mul(self, other: Self) -> Option<Self> {
        self.checked_mul(other).or_else(|| self.scaled(other.0, Self::UNITS_OF_ONE, SCALE))
    }

    /// The result of `value × numerator ÷ denominator`, rounded half away from zero to `places` places. It is `None` if
    /// the denominator is zero or the result overflows.
    pub fn scaled(self, numerator: i128, denominator: i128, places: u32) -> Option<Self> {
        let step = power_of_ten(SCALE.saturating_sub(places))?;
        rounded_quotient(self.0, numerator, denominator, step).map(Self)
    }

    /// The same number with other decimal places. `None` if a digit would be lost, or if the number would have more
    /// than 38 digits.
    pub fn with_places<const PLACES: u32>(self) -> Option<Decimal<PLACES>> {
        moved(self.0, SCALE, PLACES).map(Decimal)
    }

    /// Parses plain or scientific notation exactly. Digits after `SCALE` places are an error unless they are zeros.
    pub fn parse_exact(text: &str) -> Result<Self, ParseDecimalError> {
        DecimalNumber::parse(text)
    }

    /// Parses plain or scientific notation and rounds half away from zero to `SCALE` places.
    /// This function is for values from sources, because some meters send floats such as 0.30000000000000004.
    pub fn parse_rounded(text: &str) -> Result<Self, ParseDecimalError> {
        text::parse(text, SCALE).map(|(units, _)| Self(units))
    }

    /// The nearest number with `places` places, rounded half away from zero.
    pub fn round_to(self, places: u32) -> Self {
        let Some(step) = power_of_ten(SCALE.saturating_sub(places)) else { return Self::ZERO };
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

impl<const SCALE: u32> DecimalNumber for Decimal<SCALE> {
    const PLACES: u32 = SCALE;

    fn try_from_units(units: i128) -> Option<Self> {
        Some(Self(units))
    }

    fn to_units(self) -> i128 {
        self.0
    }
}

/// The quotient of `units × numerator` and `denominator`, rounded half away from zero to a multiple of `step`. The
/// product has up to 76 digits. `None` if the denominator is zero or the result overflows.
pub(super) fn rounded_quotient(units: i128, numerator: i128, denominator: i128, step: i128) -> Option<i128> {
    let wide = i256::from_i128;
    let exact = wide(units).checked_mul(wide(numerator))?;
    let divisor = wide(denominator).checked_mul(wide(step))?;
    if divisor == i256::ZERO {
        return None;
    }
    let is_negative = exact.is_negative() != divisor.is_negative();
    let (magnitude, divisor) = (exact.wrapping_abs(), divisor.wrapping_abs());
    // Both sides are doubled before adding half the divisor, because half of an odd divisor is not an integer.
    let doubled = magnitude.checked_mul(wide(2))?.checked_add(divisor)?;
    let steps = doubled.checked_div(divisor.checked_mul(wide(2))?)?;
    let rounded = steps.checked_mul(wide(step))?.to_i128()?;
    Some(if is_negative { -rounded } else { rounded })
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

    type Amount = Decimal<4>;

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
    fn other_places_keep_every_digit() {
        let cost = Cost::parse_exact("0.0125").unwrap();
        assert_eq!(cost.with_places::<4>(), Some(Amount::parse_exact("0.0125").unwrap()));
        assert_eq!(cost.with_places::<3>(), None);
        assert_eq!(Quantity::from_units(-5).with_places::<12>(), Some(UnitPrice::from_units(-5_000)));
        assert_eq!(Quantity::from_units(10i128.pow(30)).with_places::<18>(), None);
    }
}
