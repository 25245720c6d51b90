//! Quantities in units that people use: gigabytes for bytes, hours for seconds, with names in the language of the page.
//!
//! A quantity is divided and its price is multiplied by the same number, so their product stays the same. JSON and CSV
//! files keep the metered unit.

use std::collections::BTreeMap;

use fixed_decimal::Decimal;

use super::number::{NumberError, TrimZeros, parse};
use crate::model::money::{Quantity, UnitPrice};

/// The number of decimal places of hours. If hours have more places, the page also shows the exact seconds.
const PLACES_OF_HOURS: u32 = 6;

const SECONDS_PER_HOUR: i128 = 3600;

/// The names of data sizes. Memory of functions is priced by seconds, such as GB-seconds, and keeps its unit.
const DATA_SIZES: [&str; 12] = ["B", "kB", "KB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// The decimal data sizes by power of ten.
const POWERS: [(i16, &str); 4] = [(3, "kB"), (6, "MB"), (9, "GB"), (12, "TB")];

/// The power of ten of a gigabyte, the unit in which clouds price data.
const GIGA: i16 = 9;

/// The size of a unit on the page, in metered units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Same,
    PowerOfTen(i16),
    Hour,
}

/// The unit in which a page shows quantities and prices of a metered unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageUnit {
    pub(super) name: String,
    size: Size,
}

impl PageUnit {
    /// The unit on the page for a metered unit. `price_per` is the number of metered units that the price is for. If it
    /// is a data size, such as 1000000 bytes, the page shows that size.
    pub(super) fn of(unit: &str, price_per: Option<&str>) -> Self {
        let (base, time) = unit.rsplit_once('-').map_or((unit, None), |(base, time)| (base, Some(time)));
        let with_time = |base: &str| time.map_or(base.to_owned(), |time| format!("{base}-{time}"));
        let size_of_price =
            price_per.and_then(|per| POWERS.into_iter().find(|(power, _)| is_power_of_ten(per, *power)));
        let (name, size) = match (base, time) {
            ("B" | "byte" | "bytes", _) => {
                let (power, name) = size_of_price.unwrap_or((GIGA, "GB"));
                (with_time(name), Size::PowerOfTen(power))
            }
            ("kB" | "KB", _) if price_per.is_none() => (with_time("GB"), Size::PowerOfTen(6)),
            ("ms" | "millisecond" | "milliseconds", None) => ("second".to_owned(), Size::PowerOfTen(3)),
            ("s" | "second" | "seconds", None) if is_whole_hours(price_per) => ("hour".to_owned(), Size::Hour),
            (base, Some("s" | "second" | "seconds")) if is_whole_hours(price_per) && !DATA_SIZES.contains(&base) => {
                (format!("{base}-hour"), Size::Hour)
            }
            _ => (unit.to_owned(), Size::Same),
        };
        Self { name, size }
    }

    /// A quantity of metered units in units of the page, and whether it is exact.
    pub(super) fn quantity(&self, text: &str) -> Result<(String, bool), NumberError> {
        match self.size {
            Size::Same => Ok((text.to_owned(), true)),
            Size::PowerOfTen(power) => Ok((shifted(text, -power)?, true)),
            Size::Hour => {
                let malformed = || NumberError::Malformed(text.to_owned());
                let seconds = Quantity::parse_exact(text).map_err(|_| malformed())?;
                let hours = seconds.scaled(1, SECONDS_PER_HOUR, PLACES_OF_HOURS).ok_or_else(malformed)?;
                let is_exact = hours.units().checked_mul(SECONDS_PER_HOUR) == Some(seconds.units());
                Ok((hours.to_string(), is_exact))
            }
        }
    }

    /// The price and the number of units that it is for, in units of the page. The number is `None` for one unit.
    pub(super) fn price(&self, price: &str, per: Option<&str>) -> Result<(String, Option<String>), NumberError> {
        match (self.size, per) {
            (Size::Same, _) => Ok((price.to_owned(), per.map(str::to_owned))),
            (_, Some(per)) => {
                let (per, _) = self.quantity(per)?;
                Ok((price.to_owned(), Some(per).filter(|per| per != "1")))
            }
            (Size::PowerOfTen(power), None) => Ok((shifted(price, power)?, None)),
            (Size::Hour, None) => {
                let malformed = || NumberError::Malformed(price.to_owned());
                let of_second = UnitPrice::parse_exact(price).map_err(|_| malformed())?;
                let of_hour = of_second.units().checked_mul(SECONDS_PER_HOUR).ok_or_else(malformed)?;
                Ok((UnitPrice::from_units(of_hour).to_string(), None))
            }
        }
    }
}

fn is_power_of_ten(text: &str, power: i16) -> bool {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let zeros = whole.strip_prefix('1').unwrap_or("x");
    usize::try_from(power) == Ok(zeros.len()) && zeros.bytes().chain(places.bytes()).all(|digit| digit == b'0')
}

/// Whether the number of seconds that a price is for is a number of whole hours, or the price is for one second.
fn is_whole_hours(price_per: Option<&str>) -> bool {
    let seconds = price_per.map(Quantity::parse_exact);
    seconds.is_none_or(|seconds| {
        seconds.is_ok_and(|seconds| seconds.units() % (SECONDS_PER_HOUR * Quantity::from_integer(1).units()) == 0)
    })
}

/// The decimal in a text, multiplied by a power of ten.
fn shifted(text: &str, power: i16) -> Result<String, NumberError> {
    let mut number: Decimal = parse(text)?;
    number.multiply_pow10(power);
    Ok(number.with_trimmed_zeros().to_string())
}

/// The names of units in one language.
#[derive(Clone, Debug)]
pub(super) struct UnitNames {
    messages: BTreeMap<String, String>,
    /// Whether the singular is for all numbers below two, as in French.
    is_singular_below_two: bool,
}

impl UnitNames {
    pub(super) fn new(locale: &str, messages: &BTreeMap<String, String>) -> Self {
        let of_units = messages.iter().filter(|(key, _)| key.starts_with("unit_") || key.starts_with("units_"));
        let messages = of_units.map(|(key, name)| (key.clone(), name.clone())).collect();
        Self { messages, is_singular_below_two: locale == "fr" }
    }

    /// The name of a unit after a quantity, such as `GiB-months` after 12.5.
    pub(super) fn of(&self, unit: &str, quantity: &str) -> String {
        let is_singular = self.is_singular(quantity);
        if let Some(name) = self.name(unit, is_singular) {
            return name;
        }
        match unit.rsplit_once('-') {
            Some((base, time)) => {
                let base = self.name(base, true).unwrap_or_else(|| base.to_owned());
                let time = self.name(time, is_singular).unwrap_or_else(|| time.to_owned());
                format!("{base}-{time}")
            }
            None => unit.to_owned(),
        }
    }

    fn name(&self, unit: &str, is_singular: bool) -> Option<String> {
        let key = match unit {
            "s" | "seconds" => "second",
            "h" | "hours" => "hour",
            "days" => "day",
            "months" => "month",
            other => other,
        };
        let plural = (!is_singular).then(|| self.messages.get(&format!("units_{key}"))).flatten();
        plural.or_else(|| self.messages.get(&format!("unit_{key}"))).cloned()
    }

    fn is_singular(&self, quantity: &str) -> bool {
        let magnitude = quantity.trim_start_matches('-');
        let (whole, places) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        let is_whole = places.bytes().all(|digit| digit == b'0');
        if self.is_singular_below_two { matches!(whole, "0" | "1") } else { whole == "1" && is_whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(unit: &str, text: &str) -> (String, String, bool) {
        let unit = PageUnit::of(unit, None);
        let (quantity, is_exact) = unit.quantity(text).unwrap();
        (quantity, unit.name, is_exact)
    }

    fn shown(quantity: &str, unit: &str, is_exact: bool) -> (String, String, bool) {
        (quantity.to_owned(), unit.to_owned(), is_exact)
    }

    /// 148150000000 ÷ 10⁹ = 148.15. One byte is 10⁻⁹ GB, and half of a byte in an hour has ten places.
    #[test]
    fn bytes_are_gigabytes() {
        assert_eq!(quantity("B", "148150000000.000000000"), shown("148.15", "GB", true));
        assert_eq!(quantity("B", "1000000000"), shown("1", "GB", true));
        assert_eq!(quantity("B", "999999999"), shown("0.999999999", "GB", true));
        assert_eq!(quantity("B", "-2500000000"), shown("-2.5", "GB", true));
        assert_eq!(quantity("B", "0"), shown("0", "GB", true));
        assert_eq!(quantity("B", "1"), shown("0.000000001", "GB", true));
        assert_eq!(quantity("B-hour", "0.5"), shown("0.0000000005", "GB-hour", true));
        assert_eq!(quantity("kB", "1500000"), shown("1.5", "GB", true));
        let largest = "99999999999999999999999999999.999999999";
        assert_eq!(quantity("B", largest), shown("99999999999999999999.999999999999999999", "GB", true));
    }

    /// 5400 s = 1.5 h. 5000 ÷ 3600 = 1.38888…, which the page rounds to six places.
    #[test]
    fn seconds_are_hours() {
        assert_eq!(quantity("s", "5400"), shown("1.5", "hour", true));
        assert_eq!(quantity("seconds", "-3600"), shown("-1", "hour", true));
        assert_eq!(quantity("s", "5000"), shown("1.388889", "hour", false));
        assert_eq!(quantity("s", "0.000000001"), shown("0", "hour", false));
        assert_eq!(quantity("s", "0"), shown("0", "hour", true));
        assert_eq!(quantity("vCPU-second", "7200"), shown("2", "vCPU-hour", true));
        assert_eq!(quantity("ms", "1234"), shown("1.234", "second", true));
    }

    #[test]
    fn units_that_people_use_stay() {
        for unit in ["GB", "GiB-month", "GB-second", "hour", "instance-hour", "book", "", "MB"] {
            assert_eq!(quantity(unit, "1500.25"), shown("1500.25", unit, true));
        }
    }

    /// 0.00000000005 per byte is 0.05 per GB; 0.00001 per second is 0.036 per hour.
    #[test]
    fn a_price_is_for_the_unit_of_the_page() {
        let price = |unit: &str, price: &str, per: Option<&str>| {
            let unit = PageUnit::of(unit, per);
            let (price, per) = unit.price(price, per).unwrap();
            (unit.name, price, per)
        };
        let expected =
            |unit: &str, price: &str, per: Option<&str>| (unit.to_owned(), price.to_owned(), per.map(str::to_owned));
        assert_eq!(price("B", "0.00000000005", None), expected("GB", "0.05", None));
        assert_eq!(price("B", "0.05", Some("1000000000")), expected("GB", "0.05", None));
        assert_eq!(price("B", "0.05", Some("1000000.000")), expected("MB", "0.05", None));
        assert_eq!(price("B", "0.25", Some("5000000000")), expected("GB", "0.25", Some("5")));
        assert_eq!(price("s", "0.00001", None), expected("hour", "0.036", None));
        assert_eq!(price("s", "0.036", Some("3600")), expected("hour", "0.036", None));
        assert_eq!(price("s", "0.01", Some("1000")), expected("s", "0.01", Some("1000")));
        assert_eq!(price("ip-hour", "4.00", Some("1000")), expected("ip-hour", "4.00", Some("1000")));
    }

    #[test]
    fn names_follow_the_quantity_and_the_language() {
        let names = |language: &str| {
            UnitNames::new(language, &super::super::messages_of(language, &Default::default()).unwrap().1)
        };
        let (english, german, french) = (names("en"), names("de"), names("fr"));
        for (unit, quantity, expected) in [
            ("hour", "1", ["hour", "Stunde", "heure"]),
            ("hour", "-1.000", ["hour", "Stunde", "heure"]),
            ("hour", "1.5", ["hours", "Stunden", "heure"]),
            ("hour", "0", ["hours", "Stunden", "heure"]),
            ("hours", "21", ["hours", "Stunden", "heures"]),
            ("GiB-month", "143.3", ["GiB-months", "GiB-Monate", "Gio-mois"]),
            ("instance-hour", "745", ["instance-hours", "Instanz-Stunden", "instance-heures"]),
            ("vCPU-hour", "2", ["vCPU-hours", "vCPU-Stunden", "vCPU-heures"]),
            ("GB", "148.15", ["GB", "GB", "Go"]),
            ("book", "3", ["book", "book", "book"]),
            ("per-seat", "3", ["per-seat", "per-seat", "per-seat"]),
        ] {
            let found = [&english, &german, &french].map(|names| names.of(unit, quantity));
            assert_eq!(found, expected, "{quantity} {unit}");
        }
    }
}
