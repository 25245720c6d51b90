//! Products and quotients of integers, rounded once.

use crate::model::money::Quantity;

/// A factor in lowest terms. Products are rounded half away from zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// `None` if the denominator is not positive.
    pub(super) fn new(numerator: i128, denominator: i128) -> Option<Self> {
        let (mut divisor, mut rest) = (numerator.unsigned_abs(), denominator.unsigned_abs());
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let divisor = i128::try_from(divisor).ok().filter(|divisor| *divisor > 0)?;
        (denominator > 0).then_some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    pub(super) fn multiply(self, value: i128) -> Option<i128> {
        scaled(value, self.numerator, self.denominator)
    }
}

/// `value × numerator ÷ denominator`, rounded half away from zero. `None` if the result has too many digits. Nearly all
/// products fit into 128 bits. The others are computed with 256 bits.
pub(super) fn scaled(value: i128, numerator: i128, denominator: i128) -> Option<i128> {
    if let Some(product) = value.checked_mul(numerator) {
        if denominator == 1 {
            return Some(product);
        }
        let (quotient, rest) = (product.checked_div(denominator)?, product % denominator);
        let is_away = rest.unsigned_abs() >= denominator.unsigned_abs() - rest.unsigned_abs();
        let sign = product.signum() * denominator.signum();
        return Some(if is_away { quotient + sign } else { quotient });
    }
    Quantity::from_units(value).scaled(numerator, denominator, 9).map(Quantity::units)
}

#[cfg(test)]
mod tests {
    use super::scaled;
    use crate::model::money::power_of_ten;

    #[test]
    fn a_quotient_is_rounded_half_away_from_zero_however_large_its_terms_are() {
        let of = |value: i128, divisor: i128| scaled(value, 1, divisor);
        assert_eq!([of(5, 2), of(-5, 2), of(7, 3), of(-7, 3), of(8, 3), of(4, 2)], [3, -3, 2, -2, 3, 2].map(Some));
        assert_eq!([of(5, -2), of(-5, -2), of(7, -3), of(-8, -3), of(4, -2)], [-3, 3, -2, 3, -2].map(Some));
        // These products need 256 bits.
        let [digits_18, digits_19, digits_38] = [18, 19, 38].map(|exponent| power_of_ten(exponent).unwrap());
        let of = |value: i128| scaled(value * digits_18, digits_19, digits_38);
        assert_eq!([of(25), of(-25), of(24), of(-24), of(26), of(20)], [3, -3, 2, -2, 3, 2].map(Some));
        assert_eq!(scaled(i128::MAX, 2, 1), None);
        assert_eq!(scaled(1, 1, 0), None);
    }
}
