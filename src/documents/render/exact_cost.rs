//! Costs as the reports add them up: exact, at the eighteen places that rating works with.

use std::fmt;

const PLACES: usize = 18;
const ONE: i128 = 10i128.pow(PLACES as u32);

/// Why costs cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    #[error("`{0}` is not a cost of at most {PLACES} decimal places")]
    Malformed(String),
    #[error("the costs add up to more than can be kept exactly")]
    TooLarge,
    #[error("there is a daily cost of `{0}`, which the report does not list")]
    Unlisted(String),
    /// A page must not contradict itself.
    #[error("the costs by {by} add up to {sum}, but the report's total is {total}")]
    NotTheTotal { by: &'static str, sum: String, total: String },
}

/// A cost in units of its last place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExactCost(i128);

impl ExactCost {
    /// From plain decimal text.
    pub(crate) fn parse(text: &str) -> Result<Self, CostError> {
        Self::read(text).ok_or_else(|| CostError::Malformed(text.to_owned()))
    }

    fn read(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > PLACES || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let fraction: i128 = format!("{fraction:0<PLACES$}").parse().ok()?;
        let units = whole.parse::<i128>().ok()?.checked_mul(ONE)?.checked_add(fraction)?;
        Some(Self(if negative { -units } else { units }))
    }

    pub(crate) const fn from_units(units: i128) -> Self {
        Self(units)
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self, CostError> {
        self.0.checked_add(other.0).map(Self).ok_or(CostError::TooLarge)
    }

    /// In units of the last place.
    pub(crate) const fn units(self) -> i128 {
        self.0
    }

    /// The share of a total in percent with one place, as text; nothing is no share of nothing.
    pub(crate) fn percent_of(self, total: Self) -> String {
        if total.0 <= 0 || self.0 <= 0 {
            return "0.0".to_owned();
        }
        // A share is for the eye: of costs so large that their product would overflow, the last digits are let go.
        let divisor = if self.0.max(total.0) > i128::MAX / 2_000 { 10_000 } else { 1 };
        let (part, whole) = (self.0 / divisor, total.0 / divisor);
        let tenths = if whole == 0 { 0 } else { (part * 1_000 + whole / 2) / whole };
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

impl fmt::Display for ExactCost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let one = ONE.unsigned_abs();
        write!(formatter, "{sign}{}.{:0PLACES$}", magnitude / one, magnitude % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(text: &str) -> ExactCost {
        ExactCost::parse(text).unwrap()
    }

    #[test]
    fn adds_exactly() {
        let sum = cost("0.100000000000000001").plus(cost("12345678901.2")).unwrap();
        assert_eq!(sum.to_string(), "12345678901.300000000000000001");
        assert_eq!(cost("-0.5").to_string(), "-0.500000000000000000");
        assert_eq!(ExactCost(i128::MAX).plus(cost("1")), Err(CostError::TooLarge));
    }

    #[test]
    fn refuses_what_is_no_cost() {
        for text in ["", "-", ".5", "1.2.3", "1e3", "+1", "0.0000000000000000001", "999999999999999999999999"] {
            assert!(ExactCost::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percents() {
        assert_eq!(cost("1").percent_of(cost("3")), "33.3");
        assert_eq!(cost("2").percent_of(cost("3")), "66.7");
        assert_eq!(cost("5").percent_of(cost("5")), "100.0");
        assert_eq!(cost("0").percent_of(cost("0")), "0.0");
        assert_eq!(cost("0.000000000000000001").percent_of(cost("0.000000000000000002")), "50.0");
        assert_eq!(ExactCost(i128::MAX).percent_of(ExactCost(i128::MAX)), "100.0");
        assert_eq!(ExactCost(i128::MAX).percent_of(ExactCost(1)), "0.0");
    }
}
