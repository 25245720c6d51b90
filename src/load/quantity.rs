//! Quantities with a unit, such as `"50 TB"`, and their exact conversion to the units of a rule or meter.

use super::table::Value;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::{PARSED_DIGITS, Quantity, has_digits};
use crate::model::rule::{Divisor, PricingUnit};

/// The units of a rule: the unit of its meter and the pricing unit.
#[derive(Clone, Copy, Debug)]
pub struct Units<'a> {
    pub metered: &'a str,
    /// `None`: the pricing unit is the unit of the meter.
    pub priced: Option<&'a PricingUnit>,
    /// Whether the rule multiplies the metered quantity. If so, the two units do not convert to each other.
    pub is_multiplied: bool,
}

/// The reason why a quantity does not convert to the expected unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// The unit does not convert to the expected unit.
    Other,
    /// The rule multiplies the metered quantity, so that the two units do not convert to each other.
    Multiplied,
    /// The result has more than nine decimal places.
    NotExact,
    /// The result has more than 28 digits.
    TooLarge,
}

/// Splits `50 TB` into the number `50` and the unit `TB`. If the text has no unit or does not begin with a number, the
/// unit is empty.
pub fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let is_number = number.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if is_number { (number, unit.trim()) } else { (text, "") }
}

impl<'a> Units<'a> {
    /// The units of a quantity that no rule prices: the unit of the meter.
    pub fn of_meter(metered: &'a str) -> Self {
        Self { metered, priced: None, is_multiplied: false }
    }

    /// The name of the pricing unit.
    fn priced_name(&self) -> &'a str {
        self.priced.map_or(self.metered, |unit| unit.name.as_str())
    }

    /// A quantity in metered units. `seconds` is the length of the period, for a divisor that depends on the period.
    pub fn metered(&self, number: Quantity, unit: &str, seconds: Option<i64>) -> Result<Quantity, UnitError> {
        if unit.is_empty() || unit == self.metered {
            return Ok(number);
        }
        let divisor = self.divisor(seconds);
        let multiplied = |number: Quantity| match divisor {
            Ok(divisor) => product(number, divisor),
            Err(error) => Err(error),
        };
        if unit == self.priced_name() {
            return multiplied(number);
        }
        if !self.is_consistent(divisor) {
            return Err(UnitError::Other);
        }
        match converted(number, unit, self.metered) {
            Err(UnitError::Other) => multiplied(converted(number, unit, self.priced_name())?),
            done => done,
        }
    }

    /// A quantity in pricing units.
    pub fn priced(&self, number: Quantity, unit: &str) -> Result<Quantity, UnitError> {
        if unit.is_empty() || unit == self.priced_name() {
            return Ok(number);
        }
        let divisor = self.divisor(None);
        let divided = |number: Quantity| match divisor {
            Ok(divisor) => quotient(number, divisor),
            Err(error) => Err(error),
        };
        if unit == self.metered {
            return divided(number);
        }
        if !self.is_consistent(divisor) {
            return Err(UnitError::Other);
        }
        match converted(number, unit, self.priced_name()) {
            Err(UnitError::Other) => divided(converted(number, unit, self.metered)?),
            done => done,
        }
    }

    /// The metered units in one pricing unit.
    fn divisor(&self, seconds: Option<i64>) -> Result<Quantity, UnitError> {
        match self.priced {
            _ if self.is_multiplied => Err(UnitError::Multiplied),
            None => Ok(Quantity::ONE),
            Some(PricingUnit { of: Divisor::Number(number), .. }) => Ok(*number),
            Some(PricingUnit { of, .. }) => seconds.map(|seconds| of.units(seconds)).ok_or(UnitError::Other),
        }
    }

    /// Whether the names of both units agree with the divisor. A `GB` of 1073741824 `B` does not convert to `TB`.
    fn is_consistent(&self, divisor: Result<Quantity, UnitError>) -> bool {
        let by_name = converted(Quantity::ONE, self.priced_name(), self.metered);
        !matches!((by_name, divisor), (Ok(by_name), Ok(divisor)) if by_name != divisor)
    }
}

/// The kinds, names and sizes of units. Units of data are in bits, units of time in nanoseconds.
const FACTORS: [(&str, &str, i128); 28] = [
    ("data", "bit", 1),
    ("data", "kbit", 1_000),
    ("data", "Mbit", 1_000_000),
    ("data", "Gbit", 1_000_000_000),
    ("data", "Tbit", 1_000_000_000_000),
    ("data", "B", 8),
    ("data", "kB", 8_000),
    ("data", "MB", 8_000_000),
    ("data", "GB", 8_000_000_000),
    ("data", "TB", 8_000_000_000_000),
    ("data", "PB", 8_000_000_000_000_000),
    ("data", "EB", 8_000_000_000_000_000_000),
    ("data", "KiB", 8 << 10),
    ("data", "MiB", 8 << 20),
    ("data", "GiB", 8 << 30),
    ("data", "TiB", 8 << 40),
    ("data", "PiB", 8 << 50),
    ("data", "EiB", 8 << 60),
    ("time", "ns", 1),
    ("time", "us", 1_000),
    ("time", "ms", 1_000_000),
    ("time", "s", 1_000_000_000),
    ("time", "min", 60_000_000_000),
    ("time", "h", 3_600_000_000_000),
    ("time", "second", 1_000_000_000),
    ("time", "minute", 60_000_000_000),
    ("time", "hour", 3_600_000_000_000),
    ("time", "hours", 3_600_000_000_000),
];

/// A quantity in another unit. The parts after a hyphen must be equal, as in `TiB-month` and `GiB-month`.
fn converted(number: Quantity, from: &str, to: &str) -> Result<Quantity, UnitError> {
    if from == to {
        return Ok(number);
    }
    let parts = |unit: &'_ str| unit.split_once('-').map(|(base, rest)| (base.to_owned(), rest.to_owned()));
    let whole = |unit: &str| parts(unit).unwrap_or((unit.to_owned(), String::new()));
    let ((from, of_from), (to, of_to)) = (whole(from), whole(to));
    let factor = |unit: &str| FACTORS.iter().find(|(_, name, _)| *name == unit);
    match (factor(&from), factor(&to)) {
        (Some((kind, _, numerator)), Some((other, _, denominator))) if kind == other && of_from == of_to => {
            let common = common_divisor(*numerator, *denominator);
            let units = number.units().checked_mul(numerator / common).ok_or(UnitError::TooLarge)?;
            divided(units, denominator / common)
        }
        _ => Err(UnitError::Other),
    }
}

fn common_divisor(left: i128, right: i128) -> i128 {
    if right == 0 { left } else { common_divisor(right, left % right) }
}

/// The exact quotient.
fn divided(units: i128, by: i128) -> Result<Quantity, UnitError> {
    if units.checked_rem(by) != Some(0) {
        return Err(UnitError::NotExact);
    }
    let quotient = units.checked_div(by).filter(|quotient| has_digits(*quotient, PARSED_DIGITS));
    quotient.map(Quantity::from_units).ok_or(UnitError::TooLarge)
}

const ONE: i128 = Quantity::ONE.units();

fn product(left: Quantity, right: Quantity) -> Result<Quantity, UnitError> {
    let common = common_divisor(right.units(), ONE);
    divided(left.units().checked_mul(right.units() / common).ok_or(UnitError::TooLarge)?, ONE / common)
}

fn quotient(left: Quantity, right: Quantity) -> Result<Quantity, UnitError> {
    let common = common_divisor(ONE, right.units());
    divided(left.units().checked_mul(ONE / common).ok_or(UnitError::TooLarge)?, right.units() / common)
}

/// The unit of a number without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum In {
    /// The unit of the meter. The value is the length of the period in seconds; `None`: no period is given.
    Metered(Option<i64>),
    Priced,
}

impl Value<'_> {
    /// A quantity of zero or more, in quotes, with or without a unit.
    pub(crate) fn quantity(&self, units: &Units<'_>, of: In) -> Option<Quantity> {
        self.not_negative(self.signed_quantity(units, of)?)
    }

    /// A quantity in quotes, with or without a unit. It can be negative.
    pub(crate) fn signed_quantity(&self, units: &Units<'_>, of: In) -> Option<Quantity> {
        let Some((number, unit)) = self.as_str().map(split_unit).filter(|(_, unit)| !unit.is_empty()) else {
            return self.decimal();
        };
        let number = self.exact(number)?;
        if units.metered.is_empty() {
            // The meter does not exist. The reader of the meter name reports this problem.
            return Some(number);
        }
        let quantity = match of {
            In::Metered(seconds) => units.metered(number, unit, seconds),
            In::Priced => units.priced(number, unit),
        };
        match quantity {
            Ok(quantity) => Some(quantity),
            Err(error) => {
                self.file.problems.push(self.bad_unit(unit, units, of, error));
                None
            }
        }
    }

    /// A quantity that is more than zero.
    pub(crate) fn positive_quantity(&self, units: &Units<'_>, of: In) -> Option<Quantity> {
        self.not_zero(self.quantity(units, of)?)
    }

    fn bad_unit(&self, unit: &str, units: &Units<'_>, of: In, error: UnitError) -> Diagnostic {
        let (metered, priced) = (units.metered, units.priced_name());
        let expected = match of {
            In::Metered(_) => metered,
            In::Priced => priced,
        };
        let both = if metered == priced {
            format!("`{metered}`")
        } else {
            format!("`{priced}`, the pricing unit, or `{metered}`, the unit of the meter")
        };
        let (message, label) = match error {
            UnitError::Other => (format!("`{}` is in `{unit}`, expected {both}", self.name), "does not convert"),
            UnitError::Multiplied => (
                format!("`{}` is in `{unit}`, which does not convert because of `pricing_quantity`", self.name),
                "does not convert",
            ),
            UnitError::NotExact => {
                (format!("`{}` does not convert exactly from `{unit}` to `{expected}`", self.name), "not exact")
            }
            UnitError::TooLarge => {
                let digits = PARSED_DIGITS.saturating_sub(9);
                let message =
                    format!("`{}` in `{expected}` has more than {digits} digits before the decimal point", self.name);
                (message, "too large")
            }
        };
        let hint = match error {
            UnitError::TooLarge => "lower the quantity, or write a larger pricing unit".to_owned(),
            _ => format!("write the quantity in `{expected}`, with or without the unit"),
        };
        Diagnostic::error("rules::bad_unit", message).at(self.place(), label).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse_exact(text).unwrap()
    }

    fn unit(name: &str, of: Divisor) -> PricingUnit {
        PricingUnit { name: name.to_owned(), of }
    }

    #[test]
    fn a_quantity_is_split_at_its_unit() {
        for (text, parts) in [
            ("50 TB", ("50", "TB")),
            (" 1.5  GiB-month ", ("1.5", "GiB-month")),
            ("50", ("50", "")),
            ("fifty TB", ("fifty TB", "")),
        ] {
            assert_eq!(split_unit(text), parts, "{text}");
        }
    }

    #[test]
    fn priced_units_are_converted_exactly() {
        let gigabyte = unit("GB", Divisor::Number(quantity("1000000000")));
        let units = Units { metered: "B", priced: Some(&gigabyte), is_multiplied: false };
        for (number, unit, found) in [
            ("50", "", Ok("50")),
            ("50", "GB", Ok("50")),
            ("50", "TB", Ok("50000")),
            ("1", "GiB", Ok("1.073741824")),
            ("500000000", "B", Ok("0.5")),
            ("1", "Gbit", Ok("0.125")),
            ("1", "bit", Err(UnitError::NotExact)),
            ("10000000000", "EB", Err(UnitError::TooLarge)),
            ("9999999999999999999", "EB", Err(UnitError::TooLarge)),
            ("1", "h", Err(UnitError::Other)),
            ("1", "GB-month", Err(UnitError::Other)),
        ] {
            assert_eq!(units.priced(quantity(number), unit), found.map(quantity), "{number} {unit}");
        }
    }

    #[test]
    fn metered_units_are_converted_exactly() {
        let gigabyte = unit("GB", Divisor::Number(quantity("1000000000")));
        let units = Units { metered: "B", priced: Some(&gigabyte), is_multiplied: false };
        for (number, unit, found) in
            [("1.5", "GB", Ok("1500000000")), ("2", "TiB", Ok("2199023255552")), ("3", "ip", Err(UnitError::Other))]
        {
            assert_eq!(units.metered(quantity(number), unit, None), found.map(quantity), "{number} {unit}");
        }
        let month = unit("GiB-month", Divisor::HoursInPeriod);
        let units = Units { metered: "GiB-hour", priced: Some(&month), is_multiplied: false };
        let august = Some(744 * 3600);
        assert_eq!(units.metered(quantity("100"), "GiB-month", august), Ok(quantity("74400")));
        assert_eq!(units.metered(quantity("1"), "TiB-month", august), Ok(quantity("761856")));
        assert_eq!(units.metered(quantity("1"), "TiB-hour", august), Ok(quantity("1024")));
        assert_eq!(units.metered(quantity("1"), "GiB", august), Err(UnitError::Other));
        assert_eq!(units.metered(quantity("1"), "GiB-month", None), Err(UnitError::Other));
        assert_eq!(units.priced(quantity("2"), "TiB-month"), Ok(quantity("2048")));
    }

    #[test]
    fn a_unit_that_contradicts_its_divisor_does_not_convert() {
        let gigabyte = unit("GB", Divisor::Number(quantity("1073741824")));
        let units = Units { metered: "B", priced: Some(&gigabyte), is_multiplied: false };
        assert_eq!(units.metered(quantity("1"), "GB", None), Ok(quantity("1073741824")));
        assert_eq!(units.metered(quantity("1"), "TB", None), Err(UnitError::Other));
        assert_eq!(units.priced(quantity("1"), "TB"), Err(UnitError::Other));
        assert_eq!(units.priced(quantity("1073741824"), "B"), Ok(quantity("1")));
    }

    #[test]
    fn a_multiplied_quantity_does_not_convert_to_metered_units() {
        let units = Units { metered: "instance-hour", priced: None, is_multiplied: true };
        assert_eq!(units.metered(quantity("1"), "vCPU-hour", None), Err(UnitError::Other));
        let hour = unit("vCPU-hour", Divisor::Number(quantity("1")));
        let units = Units { metered: "instance-hour", priced: Some(&hour), is_multiplied: true };
        assert_eq!(units.metered(quantity("1"), "vCPU-hour", None), Err(UnitError::Multiplied));
        assert_eq!(units.priced(quantity("1"), "vCPU-hour"), Ok(quantity("1")));
    }
}
