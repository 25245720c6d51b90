//! Allocation of an amount to parts by the largest-remainder method: the shares add up to the amount exactly.

use arrow::datatypes::i256;

use crate::model::money::{Amount, DecimalNumber};

/// The shares of `amount` in proportion to `weights`, each a multiple of the currency's smallest unit.
///
/// The units that division leaves over go to the shares with the largest remainders, one unit each. If remainders are
/// equal, the first share gets the unit. `None` if the sum of the weights is zero, or a number has more than 38 digits.
/// Also `None` if `amount` has a fraction of the smallest unit.
pub(super) fn allocate<W: DecimalNumber>(amount: Amount, weights: &[W], places: u32) -> Option<Vec<Amount>> {
    let unit = Amount::smallest(places)?.units();
    let whole = weights.iter().try_fold(0i128, |sum, weight| sum.checked_add(weight.to_units()))?;
    if whole == 0 || amount.units() % unit != 0 {
        return None;
    }
    // Weights below zero, such as those of a maximum, have the same proportions as their absolute values.
    let sign = i256::from_i128(whole.signum());
    let whole = whole.checked_abs()?;
    let total = amount.units() / unit;
    let (wide_total, wide_whole) = (i256::from_i128(total), i256::from_i128(whole));
    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = wide_total.checked_mul(i256::from_i128(weight.to_units()).checked_mul(sign)?)?;
        let mut share = product.checked_div(wide_whole)?;
        let mut remainder = product.checked_sub(share.checked_mul(wide_whole)?)?;
        // Integer division truncates towards zero. A share must be rounded down, even if the share is negative.
        if remainder.is_negative() {
            share = share.checked_sub(i256::ONE)?;
            remainder = remainder.checked_add(wide_whole)?;
        }
        shares.push(share.to_i128()?);
        remainders.push((remainder, index));
    }
    let allocated = shares.iter().try_fold(0i128, |sum, share| sum.checked_add(*share))?;
    let left = usize::try_from(total.checked_sub(allocated)?).ok()?;
    remainders.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
    for (_, index) in remainders.iter().take(left) {
        shares[*index] += 1;
    }
    shares.into_iter().map(|share| Amount::from_units(share.checked_mul(unit)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts(texts: &[&str]) -> Vec<Amount> {
        texts.iter().map(|text| Amount::parse_exact(text).unwrap()).collect()
    }

    fn shares_of(amount: &str, weights: &[&str], places: u32) -> Vec<String> {
        let amount = Amount::parse_exact(amount).unwrap();
        allocate(amount, &amounts(weights), places).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn units_left_over_by_division_go_to_the_largest_remainders() {
        // The shares of 10 for the weights 60 and 40 are 6 and 4, and nothing is left over.
        assert_eq!(shares_of("10.00", &["60.00", "40.00"], 2), ["6", "4"]);
        // A third of 1.00 is 0.33 with a remainder. One cent is left over, and all remainders are equal.
        assert_eq!(shares_of("1.00", &["5", "5", "5"], 2), ["0.34", "0.33", "0.33"]);
        // The shares of 0.10 for 1, 1 and 4 are 0.0166…, 0.0166… and 0.0666…. Two cents are left over, and all
        // remainders are equal.
        assert_eq!(shares_of("0.10", &["1", "1", "4"], 2), ["0.02", "0.02", "0.06"]);
        // The yen has no decimal places.
        assert_eq!(shares_of("100", &["1", "1", "1"], 0), ["34", "33", "33"]);
        // A negative weight has a negative share, and the sum is the same.
        assert_eq!(shares_of("1.00", &["30", "-10"], 2), ["1.5", "-0.5"]);
        assert_eq!(allocate(Amount::from_integer(1), &amounts(&["1", "-1"]), 2), None);
        // A third of -7.00 is -2.3333…. Rounded down, the shares are -7.02, and two cents go back to the first shares.
        assert_eq!(shares_of("-7.00", &["-1", "-1", "-1"], 2), ["-2.33", "-2.33", "-2.34"]);
        assert_eq!(allocate(Amount::parse_exact("0.0001").unwrap(), &amounts(&["1"]), 2), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_differ_from_the_exact_share_by_less_than_a_unit(
            total in -1_000_000i128..1_000_000,
            weights in prop::collection::vec(0i128..10_000_000_000, 1..40),
            places in 0u32..=4,
        ) {
            let unit = 10i128.pow(4 - places);
            let weights: Vec<Amount> = weights.into_iter().map(|units| Amount::from_units(units).unwrap()).collect();
            let whole: i128 = weights.iter().map(|weight| weight.units()).sum();
            prop_assume!(whole > 0);
            let shares = allocate(Amount::from_units(total * unit).unwrap(), &weights, places).unwrap();
            prop_assert_eq!(shares.iter().map(|share| share.units()).sum::<i128>(), total * unit);
            for (share, weight) in shares.iter().zip(&weights) {
                let difference = share.units() * whole - total * unit * weight.units();
                prop_assert!(difference.abs() < unit * whole);
            }
        }
    }
}
