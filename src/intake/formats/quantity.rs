//! The parser of measured quantities. It calculates with decimals, never with floats. Negative quantities are accepted
//! here, because some meters ignore the value.

use crate::intake::rejection_reason::Reason;
use crate::model::dialect::NumberMarks;
use crate::model::money::{PARSED_DIGITS, ParseDecimalError, Quantity, has_digits, power_of_ten};

const PLACES: i32 = 9;

/// Parses a quantity as a source writes it, and rounds it to nine decimal places.
pub fn parse(text: &str) -> Result<Quantity, Reason> {
    Quantity::parse_rounded(text).map_err(|error| match error {
        ParseDecimalError::NotFinite => Reason::QuantityNotFinite,
        ParseDecimalError::OutOfRange => Reason::QuantityOutOfRange,
        ParseDecimalError::Malformed | ParseDecimalError::TooManyPlaces => Reason::BadQuantity,
    })
}

/// Parses a quantity that is written with the marks of a source.
pub fn parse_by(text: &str, marks: NumberMarks) -> Result<Quantity, (Reason, String)> {
    let parsed = marks.canonical(text).ok_or(Reason::BadQuantity).and_then(|canonical| parse(&canonical));
    parsed.map_err(|reason| {
        let expected = marks.expected().filter(|_| reason == Reason::BadQuantity);
        (reason, explain(reason, text) + &expected.map(|expected| format!(", {expected}")).unwrap_or_default())
    })
}

/// As [`parse_by`], for a cell of CSV. The message contains the keys for the marks that the text seems to have.
pub fn read(text: &str, marks: NumberMarks) -> Result<Quantity, (Reason, String)> {
    parse_by(text, marks).map_err(|(reason, message)| {
        let keys = marks.suggestion(text);
        if reason != Reason::BadQuantity || keys.is_empty() {
            return (reason, message);
        }
        (reason, format!("{message}, the file seems to need {} in the source", keys.entries()))
    })
}

/// Converts a decimal with `scale` decimal places to a quantity, rounded half away from zero as in [`parse`]. `value`
/// is in units of the last place.
pub fn from_scaled(value: i128, scale: i8) -> Result<Quantity, Reason> {
    // If the scale of the file equals that of a quantity, no conversion is needed.
    if i32::from(scale) == PLACES && has_digits(value, PARSED_DIGITS) {
        return Ok(Quantity::from_units(value));
    }
    let shift = PLACES - i32::from(scale);
    let power = power_of_ten(shift.unsigned_abs());
    let units = match power {
        Some(power) if shift >= 0 => value.checked_mul(power),
        Some(power) => {
            let (quotient, remainder) = (value / power, value % power);
            let rounds_up = remainder.abs() >= power - remainder.abs();
            Some(quotient + if rounds_up { value.signum() } else { 0 })
        }
        None if shift < 0 || value == 0 => Some(0),
        None => None,
    };
    match units {
        Some(units) if has_digits(units, PARSED_DIGITS) => Ok(Quantity::from_units(units)),
        _ => Err(Reason::QuantityOutOfRange),
    }
}

/// The message for a rejected quantity.
pub fn explain(reason: Reason, found: &str) -> String {
    match reason {
        Reason::QuantityNotFinite => format!("the quantity `{found}` is not a finite number"),
        Reason::QuantityOutOfRange => {
            format!("the quantity `{found}` is too large, expected at most 19 digits before the decimal point")
        }
        _ => format!("the quantity `{found}` is not a number"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_wrong_quantity_has_its_reason() {
        for (text, reason) in [
            ("NaN", Reason::QuantityNotFinite),
            ("-Infinity", Reason::QuantityNotFinite),
            ("1e30", Reason::QuantityOutOfRange),
            ("", Reason::BadQuantity),
            ("12 GB", Reason::BadQuantity),
            ("true", Reason::BadQuantity),
        ] {
            assert_eq!(parse(text), Err(reason), "{text}");
        }
        assert_eq!(parse("9007199254740993").unwrap().to_string(), "9007199254740993");
        assert_eq!(parse("-0.0").unwrap(), Quantity::ZERO);
        assert_eq!(parse("-0.1").unwrap().to_string(), "-0.1");
    }

    #[test]
    fn a_message_names_the_marks() {
        let default = NumberMarks::default();
        let german = NumberMarks { decimal: ',', thousands: Some('.') };
        assert_eq!(read("1.000,25", german).unwrap().to_string(), "1000.25");
        assert_eq!(read("9007199254740993,5", german).unwrap().to_string(), "9007199254740993.5");
        let needed = |keys: &str| format!(", the file seems to need {keys} in the source");
        for (text, marks, expected) in [
            ("1,5", default, needed(r#"decimal_mark = ",""#)),
            ("1.000,25", default, needed(r#"decimal_mark = ",", thousands_mark = ".""#)),
            ("1,234.5", default, needed(r#"thousands_mark = ",""#)),
            ("1,000", default, String::new()),
            ("one", default, String::new()),
            ("1.5", german, ", expected the decimal mark `,` and the thousands mark `.`".to_owned()),
        ] {
            let expected = format!("the quantity `{text}` is not a number{expected}");
            assert_eq!(read(text, marks), Err((Reason::BadQuantity, expected)));
        }
        assert_eq!(read("NaN", german).unwrap_err().0, Reason::QuantityNotFinite);
        // Only CSV has keys for marks.
        assert_eq!(parse_by("1,5", default).unwrap_err().1, "the quantity `1,5` is not a number");
    }

    #[test]
    fn scales_beyond_the_largest_shift_are_handled() {
        assert_eq!(from_scaled(i128::MAX, 127).unwrap(), Quantity::ZERO);
        assert_eq!(from_scaled(1, -128), Err(Reason::QuantityOutOfRange));
        assert_eq!(from_scaled(0, -128).unwrap(), Quantity::ZERO);
        assert_eq!(from_scaled(i128::MIN, 9), Err(Reason::QuantityOutOfRange));
        assert_eq!(from_scaled(-5, 9).unwrap().to_string(), "-0.000000005");
        assert_eq!(from_scaled(i128::MAX, 38).unwrap().to_string(), "1.701411835");
    }

    proptest! {
        #[test]
        fn a_scaled_number_equals_its_text(value in -10i128.pow(33)..10i128.pow(33), scale in -8i8..30) {
            prop_assert_eq!(from_scaled(value, scale), parse(&format!("{value}e{}", -i32::from(scale))));
        }
    }
}
