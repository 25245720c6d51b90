//! Exact numbers for quantities, prices, costs and amounts. No number is a float.
//!
//! There is one type for each place:
//!
//! * [`Decimal`] has a fixed scale and up to 38 digits, as a column has. Metered quantities, unit prices in relations
//!   and unrounded costs have this type.
//! * [`Exact`] is a `rust_decimal` with at most 28 digits and a kind. Numbers in files that people write have this
//!   type, and amounts on documents.
//!
//! [`DecimalNumber`] is the trait of both, for readers of files and columns. Only this module multiplies by powers of
//! ten, parses digits and writes digits.

mod exact;
mod fixed_scale;
mod power_of_ten;
mod text;

use std::fmt;

use iso_currency::Currency;

pub use self::exact::{Amount, Exact, ExchangeRate, Factor, Kind, Percent, Price};
pub use self::fixed_scale::{Cost, Decimal, Quantity, UnitPrice};
pub use self::power_of_ten::{has_digits, power_of_ten};
pub use self::text::{PARSED_DIGITS, ParseDecimalError, write_decimal};

/// A number with a fixed number of decimal places, which a column of a relation stores without rounding.
pub trait DecimalNumber: Copy + PartialEq + PartialOrd + fmt::Display {
    /// The decimal places.
    const PLACES: u32;

    /// The number of units of the last place. `None` if the type has fewer digits than the number.
    fn try_from_units(units: i128) -> Option<Self>;

    /// The units of the last place.
    fn to_units(self) -> i128;

    /// The exact number in a text; see [`Decimal::parse_exact`].
    fn parse(text: &str) -> Result<Self, ParseDecimalError> {
        let (units, is_exact) = text::parse(text, Self::PLACES)?;
        let value = Self::try_from_units(units).ok_or(ParseDecimalError::OutOfRange)?;
        if is_exact { Ok(value) } else { Err(ParseDecimalError::TooManyPlaces) }
    }
}

/// The decimal places of amounts in a currency. Currencies without a minor unit (gold, units of account) are invalid
/// in configuration and rules.
pub fn places_of(currency: Currency) -> u32 {
    u32::from(currency.exponent().unwrap_or(2))
}

/// The decimal places of amounts in a currency, by its code.
pub fn places_of_code(code: &str) -> u32 {
    Currency::from_code(code).map_or(2, places_of)
}
