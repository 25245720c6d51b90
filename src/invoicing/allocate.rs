//! An amount shared out over parts, so that the shares add up to it to the last cent: the method of the largest
//! remainder.

use arrow::datatypes::i256;

use crate::model::money::Amount;

/// Shares of `amount` in proportion to `weights`, each a multiple of the currency's smallest unit. What division leaves
/// goes, a unit each, to the largest remainders; among equal ones to the first. The weights must add up to more than
/// nothing; `None` where they do not, or beyond 38 digits.
pub(super) fn spread(amount: Amount, weights: &[Amount], places: u32) -> Option<Vec<Amount>> {
    let unit = 10i128.checked_pow(4u32.checked_sub(places)?)?;
    let whole = weights.iter().try_fold(0i128, |sum, weight| sum.checked_add(weight.units()))?;
    if whole <= 0 || amount.units() % unit != 0 {
        return None;
    }
    let total = amount.units() / unit;
    let (wide_total, wide_whole) = (i256::from_i128(total), i256::from_i128(whole));
    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = wide_total.checked_mul(i256::from_i128(weight.units()))?;
        let mut share = product.checked_div(wide_whole)?;
        let mut remainder = product.checked_sub(share.checked_mul(wide_whole)?)?;
        // Division goes towards zero; a share is rounded down, also below it.
        if remainder.is_negative() {
            share = share.checked_sub(i256::ONE)?;
            remainder = remainder.checked_add(wide_whole)?;
        }
        shares.push(share.to_i128()?);
        remainders.push((remainder, index));
    }
    let given = shares.iter().try_fold(0i128, |sum, share| sum.checked_add(*share))?;
    let left = usize::try_from(total.checked_sub(given)?).ok()?;
    remainders.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
    for (_, index) in remainders.iter().take(left) {
        shares[*index] += 1;
    }
    Some(shares.into_iter().map(|share| Amount::from_units(share * unit)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts(texts: &[&str]) -> Vec<Amount> {
        texts.iter().map(|text| Amount::parse_exact(text).unwrap()).collect()
    }

    fn shared(amount: &str, weights: &[&str], places: u32) -> Vec<String> {
        let amount = Amount::parse_exact(amount).unwrap();
        spread(amount, &amounts(weights), places).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_division_leaves_goes_to_the_largest_remainders() {
        // 10 over 60 and 40: nothing is left. The first keeps 54.
        assert_eq!(shared("10.00", &["60.00", "40.00"], 2), ["6", "4"]);
        // A third of 1.00 is 0.33 and a third: one cent is left, and all are equal.
        assert_eq!(shared("1.00", &["5", "5", "5"], 2), ["0.34", "0.33", "0.33"]);
        // 0.10 over 1, 1, 4 of 6: 0.0166…, 0.0166…, 0.0666… leaves two cents, and the last has no larger remainder.
        assert_eq!(shared("0.10", &["1", "1", "4"], 2), ["0.02", "0.02", "0.06"]);
        // Yen have no decimals.
        assert_eq!(shared("100", &["1", "1", "1"], 0), ["34", "33", "33"]);
        // A line below zero takes its part the other way, and the sum is the same.
        assert_eq!(shared("1.00", &["30", "-10"], 2), ["1.5", "-0.5"]);
        assert_eq!(spread(Amount::from_integer(1), &amounts(&["1", "-1"]), 2), None);
        assert_eq!(spread(Amount::from_units(1), &amounts(&["1"]), 2), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_off_by_less_than_a_unit(
            total in -1_000_000i128..1_000_000,
            weights in prop::collection::vec(0i128..10_000_000_000, 1..40),
            places in 0u32..=4,
        ) {
            let unit = 10i128.pow(4 - places);
            let weights: Vec<Amount> = weights.into_iter().map(Amount::from_units).collect();
            let whole: i128 = weights.iter().map(|weight| weight.units()).sum();
            prop_assume!(whole > 0);
            let shares = spread(Amount::from_units(total * unit), &weights, places).unwrap();
            prop_assert_eq!(shares.iter().map(|share| share.units()).sum::<i128>(), total * unit);
            for (share, weight) in shares.iter().zip(&weights) {
                let off = share.units() * whole - total * unit * weight.units();
                prop_assert!(off.abs() < unit * whole);
            }
        }
    }
}
