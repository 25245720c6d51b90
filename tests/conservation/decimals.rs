//! Conversions of decimals to text and back, compared with plain arithmetic on digits.

use conto::model::money::{Decimal, ParseDecimalError, Quantity, UnitPrice};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_decimal_is_parsed_from_its_own_text(units in -10i128.pow(28) + 1..10i128.pow(28), places in 0u32..15) {
        let quantity = Quantity::from_units(units);
        prop_assert_eq!(Quantity::parse_exact(&quantity.to_text(places)), Ok(quantity));
        prop_assert_eq!(Quantity::parse_exact(&quantity.to_string()), Ok(quantity));
        prop_assert_eq!(Quantity::parse_rounded(&format!("{units}e-9")), Ok(quantity));
        let text = quantity.to_text(places);
        let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        prop_assert!(shown == places as usize || (shown > places as usize && !text.ends_with('0')), "{}", text);
        prop_assert_eq!(UnitPrice::parse_exact(&quantity.to_string()).is_ok(), units.abs() < 10i128.pow(25));
    }

    /// Digits below the last place are rounded to the nearest value, half away from zero, for any digits.
    #[test]
    fn digits_below_the_last_place_are_rounded_half_away_from_zero(
        whole in "[0-9]{1,16}",
        kept in "[0-9]{9}",
        below in "[0-9]{1,25}",
        is_negative in any::<bool>(),
    ) {
        let sign = if is_negative { "-" } else { "" };
        let text = format!("{sign}{whole}.{kept}{below}");
        let mut expected: i128 = format!("{whole}{kept}").parse().unwrap();
        expected += i128::from(below.as_bytes()[0] >= b'5');
        let expected = if is_negative { -expected } else { expected };
        prop_assert_eq!(Quantity::parse_rounded(&text), Ok(Quantity::from_units(expected)));
        let is_exact = below.bytes().all(|digit| digit == b'0');
        prop_assert_eq!(Quantity::parse_exact(&text).is_ok(), is_exact);
    }

    #[test]
    fn rounding_to_places_is_the_nearest(units in -10i128.pow(27)..10i128.pow(27), places in 0u32..12) {
        let rounded = Decimal::<9>::from_units(units).round_to(places).units();
        let step = 10i128.pow(9u32.saturating_sub(places));
        prop_assert_eq!(rounded % step, 0);
        let distance = (rounded - units).abs();
        prop_assert!(2 * distance < step || (2 * distance == step && rounded.abs() > units.abs()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-+0-9.eEnaif ]{0,50}") {
        let _ = Quantity::parse_rounded(&text);
        if let Ok(value) = Decimal::<18>::parse_exact(&text) {
            prop_assert_eq!(Decimal::<18>::parse_exact(&value.to_string()), Ok(value));
        }
    }
}

#[test]
fn the_largest_number_is_28_digits() {
    let largest = "9999999999999999999.999999999";
    assert_eq!(Quantity::parse_exact(largest).unwrap().to_string(), largest);
    assert_eq!(Quantity::parse_exact("10000000000000000000"), Err(ParseDecimalError::OutOfRange));
    assert_eq!(Quantity::parse_rounded("9999999999999999999.9999999995"), Err(ParseDecimalError::OutOfRange));
}
