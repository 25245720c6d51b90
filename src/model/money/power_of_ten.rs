//! Powers of ten, which convert between numbers of decimal places.

/// The powers of ten that fit into the 38 digits of a column, and the first one above.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Ten to the power of `exponent`. `None` above 38, the digits of a column.
pub const fn power_of_ten(exponent: u32) -> Option<i128> {
    if (exponent as usize) < POWERS.len() { Some(POWERS[exponent as usize]) } else { None }
}

/// The units of a number with `places` decimal places, moved to `new_places`. `None` if a digit would be lost, or if
/// the number would have more than 38 digits.
pub(super) fn moved(units: i128, places: u32, new_places: u32) -> Option<i128> {
    let units = if new_places >= places {
        units.checked_mul(power_of_ten(new_places - places)?)?
    } else {
        let step = power_of_ten(places - new_places)?;
        (units % step == 0).then_some(units / step)?
    };
    has_digits(units, 38).then_some(units)
}

/// Whether a number has at most `digits` digits.
pub const fn has_digits(units: i128, digits: u32) -> bool {
    match power_of_ten(digits) {
        Some(limit) => units.unsigned_abs() < limit.unsigned_abs(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_at_most_38_digits() {
        assert_eq!([power_of_ten(0), power_of_ten(3), power_of_ten(39)], [Some(1), Some(1_000), None]);
        assert_eq!(power_of_ten(38), Some(10i128.pow(38)));
        assert!(has_digits(999, 3) && has_digits(-999, 3) && !has_digits(1_000, 3) && !has_digits(-1_000, 3));
        assert!(has_digits(i128::MIN, 39) && !has_digits(i128::MAX, 38));
    }
}
