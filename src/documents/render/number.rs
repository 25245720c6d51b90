//! Decimal numbers in the format of a language: `1,234.50`, `1.234,50`, `1 234,50`.
//!
//! Numbers are never floats. The text is parsed to decimal digits, which are padded and grouped. Only exact costs are
//! rounded, half away from zero, on pages that state that costs are rounded.

use fixed_decimal::{Decimal, SignedRoundingMode, UnsignedRoundingMode};
use icu_decimal::options::DecimalFormatterOptions;
use icu_decimal::{DecimalFormatter, DecimalFormatterPreferences};
use icu_locale_core::Locale;

use crate::model::money;

/// The rounding mode of all amounts.
const HALF_AWAY_FROM_ZERO: SignedRoundingMode = SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand);

/// An error in the formatting of a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("`{0}` is not a language tag, such as en, de or fr-CH")]
    Language(String),
    #[error("no number format is available for the language `{0}`")]
    NoFormat(String),
    #[error("`{0}` is not a decimal number")]
    Malformed(String),
    #[error("`{0}` is not an ISO 4217 currency")]
    Currency(String),
    #[error("the amount {amount} has more decimal places than {currency}, and a page never rounds an amount")]
    NotRounded { amount: String, currency: String },
}

/// The number format of one language.
#[derive(Clone, Debug)]
pub struct NumberFormat {
    /// The preferences of the formatter. The formatter itself cannot be sent to another thread and is cheap to create.
    preferences: DecimalFormatterPreferences,
    language: String,
}

impl NumberFormat {
    /// The format for a BCP 47 language tag.
    pub fn new(language: &str) -> Result<Self, NumberError> {
        let locale = Locale::try_from_str(language).map_err(|_| NumberError::Language(language.to_owned()))?;
        let format = Self { preferences: DecimalFormatterPreferences::from(&locale), language: language.to_owned() };
        format.formatter()?;
        Ok(format)
    }

    /// An amount of a document, with the decimal places of its currency. Documents contain rounded amounts, so more
    /// places are an error that rounding would hide.
    pub fn amount(&self, text: &str, currency: &str) -> Result<String, NumberError> {
        let mut number = parse(text)?.with_trimmed_zeros();
        let places = places_of(currency)?;
        if number.absolute.nonzero_magnitude_end() < -places {
            return Err(NumberError::NotRounded { amount: text.to_owned(), currency: currency.to_owned() });
        }
        number.pad_end(-places);
        self.text(&number)
    }

    /// An exact cost, rounded for display to the decimal places of its currency.
    pub fn cost(&self, text: &str, currency: &str) -> Result<String, NumberError> {
        let places = places_of(currency)?;
        let mut number = parse(text)?.rounded_with_mode(-places, HALF_AWAY_FROM_ZERO).with_trimmed_zeros();
        number.pad_end(-places);
        self.text(&number)
    }

    /// A quantity with all decimal places, without trailing zeros.
    pub fn quantity(&self, text: &str) -> Result<String, NumberError> {
        self.text(&parse(text)?.with_trimmed_zeros())
    }

    /// A unit price with all decimal places, and at least as many as its currency has.
    pub fn unit_price(&self, text: &str, currency: &str) -> Result<String, NumberError> {
        let mut number = parse(text)?.with_trimmed_zeros();
        number.pad_end(-places_of(currency)?);
        self.text(&number)
    }

    /// A number with its given decimal places, such as the label of an axis.
    pub fn as_written(&self, text: &str) -> Result<String, NumberError> {
        self.text(&parse(text)?)
    }

    /// A count in the format of the language.
    pub fn count(&self, count: u64) -> Result<String, NumberError> {
        self.text(&Decimal::from(count))
    }

    fn formatter(&self) -> Result<DecimalFormatter, NumberError> {
        DecimalFormatter::try_new(self.preferences, DecimalFormatterOptions::default())
            .map_err(|_| NumberError::NoFormat(self.language.clone()))
    }

    fn text(&self, number: &Decimal) -> Result<String, NumberError> {
        Ok(self.formatter()?.format(number).to_string())
    }
}

/// The number of decimal places of a currency.
fn places_of(currency: &str) -> Result<i16, NumberError> {
    iso_currency::Currency::from_code(currency)
        .and_then(|known| i16::try_from(money::places_of(known)).ok())
        .ok_or_else(|| NumberError::Currency(currency.to_owned()))
}

/// The number in a text with plain decimal notation, which all relations use.
pub(super) fn parse(text: &str) -> Result<Decimal, NumberError> {
    let malformed = || NumberError::Malformed(text.to_owned());
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) {
        return Err(malformed());
    }
    Decimal::try_from_str(text).map_err(|_| malformed())
}

pub(super) trait TrimZeros {
    /// The number without leading and trailing zeros, and without a sign on zero.
    fn with_trimmed_zeros(self) -> Self;
}

impl TrimZeros for Decimal {
    fn with_trimmed_zeros(mut self) -> Self {
        self.trim_start();
        self.trim_end();
        self.with_sign_display(fixed_decimal::SignDisplay::Negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(language: &str) -> NumberFormat {
        NumberFormat::new(language).unwrap()
    }

    #[test]
    fn separators_follow_the_language() {
        let amount = |language| format(language).amount("1234567.5", "EUR").unwrap();
        assert_eq!(amount("en"), "1,234,567.50");
        assert_eq!(amount("de"), "1.234.567,50");
        assert_eq!(amount("fr"), "1\u{202f}234\u{202f}567,50");
        assert_eq!(amount("de-CH"), "1'234'567.50");
        assert_eq!(amount("en-IN"), "12,34,567.50");
    }

    #[test]
    fn amounts_have_the_places_of_their_currency() {
        let english = format("en");
        assert_eq!(english.amount("0", "EUR").unwrap(), "0.00");
        assert_eq!(english.amount("12.5000", "EUR").unwrap(), "12.50");
        assert_eq!(english.amount("-12.5", "EUR").unwrap(), "-12.50");
        assert_eq!(english.amount("-0.00", "EUR").unwrap(), "0.00");
        assert_eq!(english.amount("123456.0000", "JPY").unwrap(), "123,456");
        assert_eq!(english.amount("1.5", "KWD").unwrap(), "1.500");
    }

    #[test]
    fn an_amount_is_never_rounded_by_a_page() {
        let error = format("en").amount("12.345", "EUR").unwrap_err();
        assert!(matches!(error, NumberError::NotRounded { .. }));
        assert!(format("en").amount("0.5", "JPY").is_err());
    }

    #[test]
    fn costs_are_rounded_half_away_from_zero_for_display() {
        let english = format("en");
        assert_eq!(english.cost("0.125000000000000000", "EUR").unwrap(), "0.13");
        assert_eq!(english.cost("-0.125", "EUR").unwrap(), "-0.13");
        assert_eq!(english.cost("0.1249999", "EUR").unwrap(), "0.12");
        assert_eq!(english.cost("-0.001", "EUR").unwrap(), "0.00");
        assert_eq!(english.cost("99999.995", "EUR").unwrap(), "100,000.00");
        assert_eq!(english.cost("2.5", "JPY").unwrap(), "3");
    }

    #[test]
    fn quantities_and_unit_prices_keep_every_digit() {
        let german = format("de");
        assert_eq!(german.quantity("1234.500000000").unwrap(), "1.234,5");
        assert_eq!(german.quantity("1234567890123456789.123456789").unwrap(), "1.234.567.890.123.456.789,123456789");
        assert_eq!(german.quantity("0.000000000").unwrap(), "0");
        assert_eq!(german.quantity("007").unwrap(), "7");
        assert_eq!(german.unit_price("0.000137000000", "EUR").unwrap(), "0,000137");
        assert_eq!(german.unit_price("5.4", "EUR").unwrap(), "5,40");
        assert_eq!(german.unit_price("3", "JPY").unwrap(), "3");
        assert_eq!(german.as_written("0.50").unwrap(), "0,50");
        assert_eq!(german.count(1_048_576).unwrap(), "1.048.576");
    }

    #[test]
    fn invalid_texts_are_errors() {
        assert!(matches!(NumberFormat::new("not a language"), Err(NumberError::Language(_))));
        for text in ["", "abc", "1e3", "1,5", "NaN", "1.2.3", "--1"] {
            assert!(matches!(format("en").quantity(text), Err(NumberError::Malformed(_))), "{text}");
        }
        assert!(matches!(format("en").amount("1", "ZZZ"), Err(NumberError::Currency(_))));
    }
}
