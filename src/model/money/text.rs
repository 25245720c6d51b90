//! The parser and the formatter of decimal numbers.

use super::power_of_ten::{has_digits, power_of_ten};

/// The digits of a parsed number. A column has 38 digits, so sums of parsed numbers fit.
pub const PARSED_DIGITS: u32 = 28;

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

/// The fast path for nearly all quantities from sources: at most 18 characters, only digits and at most one point,
/// and at most `scale` places.
fn parse_short(text: &str, scale: u32) -> Option<i128> {
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
    let units = i128::from(digits).checked_mul(power_of_ten(scale.checked_sub(places.unwrap_or(0))?)?)?;
    has_digits(units, PARSED_DIGITS).then_some(units)
}

/// The number in plain or scientific notation, in units of the place `scale`. A longer number is rounded half away from
/// zero, and the flag is false.
pub(super) fn parse(text: &str, scale: u32) -> Result<(i128, bool), ParseDecimalError> {
    use ParseDecimalError::{Malformed, NotFinite, OutOfRange};
    if let Some(units) = parse_short(text, scale) {
        return Ok((units, true));
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
                if has_digits(digits, 36) {
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
                        (0, _) => Ok((0, true)),
                        (_, true) => Ok((0, false)),
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
    // The value is digits × 10^(exponent - places). In units of the last place, the power increases by `scale`.
    let power = i64::from(scale) + exponent - places;
    let (magnitude, exact) = if digits == 0 && !dropped_nonzero {
        (0, true)
    } else if power >= 0 {
        let factor = u32::try_from(power).ok().and_then(power_of_ten).ok_or(OutOfRange)?;
        (digits.checked_mul(factor).ok_or(OutOfRange)?, !dropped_nonzero)
    } else {
        match u32::try_from(-power).ok().and_then(power_of_ten) {
            None => (0, false),
            Some(divisor) => {
                let (quotient, remainder) = (digits / divisor, digits % divisor);
                let round_up = remainder >= divisor - remainder;
                (quotient + i128::from(round_up), remainder == 0 && !dropped_nonzero)
            }
        }
    };
    if !has_digits(magnitude, PARSED_DIGITS) {
        return Err(OutOfRange);
    }
    Ok((if negative { -magnitude } else { magnitude }, exact))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::{Quantity, UnitPrice};

    fn quantity(text: &str) -> Result<String, ParseDecimalError> {
        Quantity::parse_rounded(text).map(|value| value.to_string())
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
