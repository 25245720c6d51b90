//! The billing calendar: local dates and months of one time zone, with their first instants.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The number of days since 1970-01-01, as in Arrow's `Date32`.
pub type DayNumber = i32;

/// A calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingPeriod {
    first: Date,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a billing period; write a month from 1970-01 to 2199-12 as YYYY-MM, such as 2026-10")]
pub struct ParsePeriodError {
    found: String,
}

impl FromStr for BillingPeriod {
    type Err = ParsePeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = || ParsePeriodError { found: text.to_owned() };
        let (year, month) = text.split_once('-').ok_or_else(failed)?;
        if year.len() != 4 || month.len() != 2 {
            return Err(failed());
        }
        let year: i16 = year.parse().map_err(|_| failed())?;
        let month: i8 = month.parse().map_err(|_| failed())?;
        if !(1970..=2199).contains(&year) {
            return Err(failed());
        }
        Date::new(year, month, 1).map(|first| Self { first }).map_err(|_| failed())
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

impl BillingPeriod {
    /// The month of a date.
    pub fn of(date: Date) -> Self {
        Self { first: date.first_of_month() }
    }

    /// The previous month.
    #[must_use]
    pub fn previous(self) -> Self {
        Self { first: self.first.saturating_sub(1.month()) }
    }

    /// The first date, inclusive.
    pub fn start(self) -> Date {
        self.first
    }

    /// The end, exclusive: the first date of the next month.
    pub fn end(self) -> Date {
        self.first.saturating_add(1.month())
    }

    /// The last date, inclusive.
    pub fn last_day(self) -> Date {
        self.first.last_of_month()
    }

    /// Whether a date is in the month. The date is a text as in the names of partitions, such as `2026-10-07`.
    pub fn has_date(self, date: &str) -> bool {
        date.parse().is_ok_and(|date| Self::of(date) == self)
    }

    /// The first date, inclusive, as a day number.
    pub fn start_day(self) -> DayNumber {
        day_number(self.start())
    }

    /// The end, exclusive, as a day number.
    pub fn end_day(self) -> DayNumber {
        day_number(self.end())
    }
}

pub fn day_number(date: Date) -> DayNumber {
    (date - Date::constant(1970, 1, 1)).get_days()
}

pub fn date_of(day: DayNumber) -> Date {
    Date::constant(1970, 1, 1).saturating_add(day.days())
}

/// The first instants of the dates of one time zone, with a cache.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    starts: BTreeMap<DayNumber, i64>,
    /// The day of the last call, with its start and end. Consecutive samples usually have the same date.
    last: (DayNumber, i64, i64),
}

impl Calendar {
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, starts: BTreeMap::new(), last: (0, 0, 0) }
    }

    /// The first instant of a local date, in microseconds UTC. If the clock change skips midnight, the result is the
    /// instant of the clock change.
    pub fn day_start(&mut self, day: DayNumber) -> i64 {
        if let Some(start) = self.starts.get(&day) {
            return *start;
        }
        let date = date_of(day);
        // Only a date outside of the range that intake accepts has no instant.
        let start = date
            .to_zoned(self.zone.clone())
            .map_or(i64::from(day) * 86_400_000_000, |zoned| zoned.timestamp().as_microsecond());
        self.starts.insert(day, start);
        start
    }

    /// The local date of an instant.
    pub fn day_of(&mut self, microseconds: i64) -> DayNumber {
        let (day, start, end) = self.last;
        if start <= microseconds && microseconds < end {
            return day;
        }
        let day = Timestamp::from_microsecond(microseconds)
            .map_or(0, |instant| day_number(instant.to_zoned(self.zone.clone()).date()));
        self.last = (day, self.day_start(day), self.day_start(day + 1));
        day
    }

    /// The minutes since midnight on the local clock.
    pub fn minute_of(&self, microseconds: i64) -> u16 {
        let clock = Timestamp::from_microsecond(microseconds).map(|at| at.to_zoned(self.zone.clone()).time());
        clock.map_or(0, |time| time.hour().unsigned_abs() as u16 * 60 + time.minute().unsigned_abs() as u16)
    }

    /// The elapsed seconds of a period. A clock change makes a month longer or shorter, usually by an hour.
    pub fn seconds_in(&mut self, period: BillingPeriod) -> i64 {
        (self.day_start(period.end_day()) - self.day_start(period.start_day())) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month() {
        let period: BillingPeriod = "2026-10".parse().unwrap();
        assert_eq!(period.start().to_string(), "2026-10-01");
        assert_eq!(period.end().to_string(), "2026-11-01");
        assert_eq!(period.previous().to_string(), "2026-09");
        let january: BillingPeriod = "2026-01".parse().unwrap();
        assert_eq!(january.previous().to_string(), "2025-12");
        assert_eq!(period.to_string(), "2026-10");
        for wrong in ["2026", "2026-13", "2026-1", "26-10", "2026-10-01", "october", "0001-01"] {
            assert!(wrong.parse::<BillingPeriod>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_months_of_clock_changes_have_743_and_745_hours() {
        let mut paris = Calendar::new(TimeZone::get("Europe/Paris").unwrap());
        let hours = |calendar: &mut Calendar, month: &str| calendar.seconds_in(month.parse().unwrap()) / 3600;
        assert_eq!(hours(&mut paris, "2026-03"), 743);
        assert_eq!(hours(&mut paris, "2026-10"), 745);
        assert_eq!(hours(&mut paris, "2026-08"), 744);
    }

    #[test]
    fn an_instant_belongs_to_its_local_date() {
        let mut paris = Calendar::new(TimeZone::get("Europe/Paris").unwrap());
        let instant = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        assert_eq!(date_of(paris.day_of(instant("2026-09-30T21:59:59.999999Z"))).to_string(), "2026-09-30");
        assert_eq!(date_of(paris.day_of(instant("2026-09-30T22:00:00Z"))).to_string(), "2026-10-01");
        assert_eq!(date_of(paris.day_of(instant("2026-10-31T22:59:59Z"))).to_string(), "2026-10-31");
    }
}
