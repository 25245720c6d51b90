//! Exact numbers with at most 28 digits: what people write, and the amounts of documents.

use std::fmt;
use std::marker::PhantomData;

use rust_decimal::{Decimal as Digits, RoundingStrategy};

use super::DecimalNumber;
use super::fixed_scale::{Decimal, UnitPrice, rounded_quotient};
use super::power_of_ten::{has_digits, moved, power_of_ten};
use super::text::{PARSED_DIGITS, ParseDecimalError, write_decimal};

/// The meaning of an [`Exact`] number. Numbers of different kinds do not mix.
pub trait Kind: Copy + fmt::Debug + Default + Eq + Ord + std::hash::Hash + 'static {
    /// The decimal places of the column that stores such a number.
    const PLACES: u32;
}

/// A decimal of one kind. It has at most 28 digits in units of the last place of its kind, so its column stores it
/// unchanged.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact<K: Kind>(Digits, PhantomData<K>);

macro_rules! kinds {
    ($($(#[$text:meta])* $name:ident = $kind:ident, $places:literal;)*) => {$(
        $(#[$text])*
        pub type $name = Exact<$kind>;

        #[doc = concat!("The kind of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $kind;

        impl Kind for $kind {
            const PLACES: u32 = $places;
        }
    )*};
}

kinds! {
    /// An amount on a document: `DECIMAL(28,4)`, rounded to the places of its currency (at most four).
    Amount = OfAmount, 4;
    /// A percentage of a discount or a tax: `19` is 19 percent.
    Percent = OfPercent, 4;
    /// A price, fee or limit of a rule. A percentage of usage is a price for 100.
    Price = OfPrice, 12;
    /// A multiplier of prices.
    Factor = OfFactor, 12;
    /// A rate between two currencies.
    ExchangeRate = OfExchangeRate, 12;
}

/// The product with all its digits. `None` if the product needs more than the 28 digits of `rust_decimal`, whose own
/// multiplication rounds such a product half to even.
fn exact_product(left: Digits, right: Digits) -> Option<Digits> {
    let (left, right) = (left.normalize(), right.normalize());
    let product = left.checked_mul(right)?;
    // A rounded product has fewer places than its factors together.
    (product.is_zero() || product.scale() == left.scale() + right.scale()).then_some(product)
}

/// The only rounding of exact numbers: half away from zero, as on invoices.
fn rounded(value: Digits, places: u32) -> Digits {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

impl<K: Kind> Exact<K> {
    pub const ZERO: Self = Self(Digits::ZERO, PhantomData);

    /// A number from units of the last place. With four places, `from_units(5)` is 0.0005. `None` above 28 digits.
    pub fn from_units(units: i128) -> Option<Self> {
        let digits = has_digits(units, PARSED_DIGITS).then_some(units)?;
        let value = Digits::try_from_i128_with_scale(digits, K::PLACES).ok()?;
        Some(Self(value.normalize(), PhantomData))
    }

    /// The units of the last place, at most 28 digits.
    pub fn units(self) -> i128 {
        // The number has at most the places of its kind.
        let step = power_of_ten(K::PLACES.saturating_sub(self.0.scale())).unwrap_or(1);
        self.0.mantissa() * step
    }

    pub fn from_integer(value: i32) -> Self {
        Self(Digits::new(value.into(), 0), PhantomData)
    }

    /// The number, unless it has more places or digits than its kind.
    fn checked(value: Digits) -> Option<Self> {
        let value = value.normalize();
        let step = power_of_ten(K::PLACES.checked_sub(value.scale())?)?;
        let is_stored = has_digits(value.mantissa().checked_mul(step)?, PARSED_DIGITS);
        is_stored.then_some(Self(value, PhantomData))
    }

    pub fn is_negative(self) -> bool {
        self.0 < Digits::ZERO
    }

    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        // Both numbers have at most 28 digits at the same places, so the sum fits into 96 bits and is exact.
        self.0.checked_add(other.0).and_then(Self::checked)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(Self::checked)
    }

    /// The product, rounded to `places` places. `None` if the exact product has more than 28 digits.
    pub fn checked_mul<O: Kind>(self, other: Exact<O>, places: u32) -> Option<Self> {
        let product = exact_product(self.0, other.0)?;
        Self::checked(rounded(product, places.min(K::PLACES)))
    }

    /// A percentage of the number, rounded to `places` places. `None` if the exact product has more than 28 digits.
    pub fn percentage<O: Kind>(self, percent: Exact<O>, places: u32) -> Option<Self> {
        let hundredth = Digits::new(1, 2);
        let product = exact_product(exact_product(self.0, percent.0)?, hundredth)?;
        Self::checked(rounded(product, places.min(K::PLACES)))
    }

    /// The result of `number × numerator ÷ denominator`, rounded half away from zero to `places` places. `None` if the
    /// denominator is zero or the result has more than 28 digits.
    ///
    /// The quotient is not a `rust_decimal`: a quotient of 28 digits would be rounded twice.
    pub fn scaled(self, numerator: i128, denominator: i128, places: u32) -> Option<Self> {
        let step = power_of_ten(K::PLACES.saturating_sub(places))?;
        rounded_quotient(self.units(), numerator, denominator, step).and_then(Self::from_units)
    }

    /// The same number from a column. `None` if it has more places or digits than the kind.
    pub fn of_decimal<const SCALE: u32>(number: Decimal<SCALE>) -> Option<Self> {
        moved(number.units(), SCALE, K::PLACES).and_then(Self::from_units)
    }

    /// The same number for a column. `None` if it has more than 38 digits, or more than `SCALE` places.
    pub fn to_decimal<const SCALE: u32>(self) -> Option<Decimal<SCALE>> {
        moved(self.units(), K::PLACES, SCALE).map(Decimal::from_units)
    }

    pub fn abs(self) -> Self {
        Self(self.0.abs(), PhantomData)
    }

    /// The nearest number with `places` places, rounded half away from zero.
    pub fn round_to(self, places: u32) -> Self {
        Self(rounded(self.0, places).normalize(), PhantomData)
    }

    /// The exact number in a text, in plain or scientific notation.
    pub fn parse_exact(text: &str) -> Result<Self, ParseDecimalError> {
        DecimalNumber::parse(text)
    }

    /// The number without trailing zeros, but with at least `places` places.
    pub fn to_text(self, places: u32) -> String {
        let mut text = String::new();
        write_decimal(self.units(), K::PLACES as usize, places as usize, &mut text);
        text
    }
}

impl Amount {
    /// The smallest amount of a currency with `places` places. `None` above four places.
    pub fn smallest(places: u32) -> Option<Self> {
        power_of_ten(OfAmount::PLACES.checked_sub(places)?).and_then(Self::from_units)
    }
}

impl Factor {
    /// The factor in percent: 20 for 0.2. `None` if it has more places than a percentage.
    pub fn to_percent(self) -> Option<Percent> {
        exact_product(self.0, Digits::ONE_HUNDRED).and_then(Percent::checked)
    }
}

impl<K: Kind> DecimalNumber for Exact<K> {
    const PLACES: u32 = K::PLACES;

    fn try_from_units(units: i128) -> Option<Self> {
        Self::from_units(units)
    }

    fn to_units(self) -> i128 {
        self.units()
    }
}

impl From<Price> for UnitPrice {
    fn from(price: Price) -> Self {
        Self::from_units(price.units())
    }
}

impl From<Factor> for UnitPrice {
    fn from(factor: Factor) -> Self {
        Self::from_units(factor.units())
    }
}

impl<K: Kind> fmt::Display for Exact<K> {
    /// Writes plain notation without trailing zeros.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text(0))
    }
}

impl<K: Kind> fmt::Debug for Exact<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::money::Cost;

    fn amount(text: &str) -> Amount {
        Amount::parse_exact(text).unwrap()
    }

    fn factor(text: &str) -> Factor {
        Factor::parse_exact(text).unwrap()
    }

    #[test]
    fn a_number_has_at_most_28_digits_at_the_places_of_its_kind() {
        let largest = "999999999999999999999999.9999";
        assert_eq!(amount(largest).to_string(), largest);
        assert_eq!(amount(largest).units(), 10i128.pow(28) - 1);
        assert_eq!(Amount::parse_exact("1000000000000000000000000"), Err(ParseDecimalError::OutOfRange));
        assert_eq!(Amount::from_units(10i128.pow(28)), None);
        assert_eq!(amount(largest).checked_add(amount("0.0001")), None);
        assert_eq!(amount(largest).checked_sub(amount("0.0001")), Some(amount("999999999999999999999999.9998")));
        assert_eq!(Factor::parse_exact("10000000000000000"), Err(ParseDecimalError::OutOfRange));
        assert_eq!(Percent::parse_exact("0.00001"), Err(ParseDecimalError::TooManyPlaces));
        assert_eq!(amount("-0"), Amount::ZERO);
        assert_eq!(amount("1.50"), amount("1.5"));
    }

    #[test]
    fn a_product_is_rounded_once_half_away_from_zero() {
        let product =
            |value, by, places| amount(value).checked_mul(factor(by), places).map(|value| value.to_text(places));
        assert_eq!(product("0.25", "0.5", 2).as_deref(), Some("0.13"));
        assert_eq!(product("-0.25", "0.5", 2).as_deref(), Some("-0.13"));
        // The exact product is 0.12499…, which a product of four places would round to 0.125 first.
        assert_eq!(product("0.25", "0.499999999999", 2).as_deref(), Some("0.12"));
        let percent = |value, percent| amount(value).percentage(Percent::parse_exact(percent).unwrap(), 2);
        assert_eq!(percent("10.10", "9.975"), Some(amount("1.01")));
        assert_eq!(percent("0.10", "5"), Some(amount("0.01")));
        assert_eq!(percent("-0.10", "5"), Some(amount("-0.01")));
        assert_eq!(percent("0.09", "5"), Some(Amount::ZERO));
    }

    /// `rust_decimal` rounds a product of more than 28 digits and reports no error.
    #[test]
    fn a_product_of_too_many_digits_is_no_number() {
        let third = factor("0.333333333333");
        let long = amount("12345678901234567890.1234");
        assert!(long.0.checked_mul(third.0).is_some());
        assert_eq!(long.checked_mul(third, 2), None);
        assert_eq!(long.checked_mul(factor("0.5"), 2), Some(amount("6172839450617283945.06")));
        assert_eq!(long.checked_mul(Factor::ZERO, 2), Some(Amount::ZERO));
    }

    #[test]
    fn a_quotient_is_rounded_once() {
        assert_eq!(amount("1").scaled(1, 3, 4), Some(amount("0.3333")));
        assert_eq!(amount("2").scaled(1, 3, 2), Some(amount("0.67")));
        assert_eq!(amount("-0.05").scaled(50, 100, 2), Some(amount("-0.03")));
        assert_eq!(amount("1").scaled(1, 0, 2), None);
        assert_eq!(amount("1").scaled(10i128.pow(30), 1, 2), None);
    }

    #[test]
    fn an_amount_becomes_other_numbers_without_rounding() {
        assert_eq!(amount("-1.25").to_decimal::<18>(), Some(Cost::parse_exact("-1.25").unwrap()));
        assert_eq!(Amount::of_decimal(Cost::parse_exact("0.01").unwrap()), Some(amount("0.01")));
        assert_eq!(Amount::of_decimal(Cost::parse_exact("0.00001").unwrap()), None);
        assert_eq!(amount("999999999999999999999999").to_decimal::<18>(), None);
        assert_eq!(factor("0.2").to_percent(), Some(Percent::from_integer(20)));
        assert_eq!(factor("0.3333333").to_percent(), None);
        assert_eq!([0, 2, 4].map(Amount::smallest), ["1", "0.01", "0.0001"].map(|one| Some(amount(one))));
        assert_eq!(Amount::smallest(5), None);
    }

    proptest! {
        /// Sums, products and rounding equal those of integers.
        #[test]
        fn arithmetic_equals_integer_arithmetic(
            left in -10i128.pow(13)..10i128.pow(13),
            right in -10i128.pow(13)..10i128.pow(13),
            places in 0u32..=4,
        ) {
            let (one, other) = (Amount::from_units(left).unwrap(), Factor::from_units(right).unwrap());
            let step = 10i128.pow(4 - places);
            let nearest = |value: i128, step: i128| {
                let half = if value < 0 { -step / 2 } else { step / 2 };
                (value + half) / step * step
            };
            prop_assert_eq!(one.units(), left);
            prop_assert_eq!(one.round_to(places).units(), nearest(left, step));
            let exact = left * right;
            let product = one.checked_mul(other, places).unwrap();
            prop_assert_eq!(product.units(), nearest(exact, 10i128.pow(12) * step) / 10i128.pow(12));
            let sum = one.checked_add(Amount::from_units(right).unwrap()).unwrap();
            prop_assert_eq!(sum.units(), left + right);
            prop_assert_eq!(Amount::parse_exact(&one.to_text(places)), Ok(one));
        }
    }
}
