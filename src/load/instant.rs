//! Dates and times of configuration and rules, in the billing time zone.

use jiff::civil;
use jiff::tz::TimeZone;
use toml::value::{Datetime, Offset};

use crate::model::diagnostic::{Diagnostic, Place};

/// The reason why a date or time is not one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstantError {
    NotATime,
    NoDate,
    /// The clock change skips the time.
    Gap,
    /// The time occurs twice because of the clock change.
    Fold,
}

impl InstantError {
    pub(crate) fn diagnostic(self, written: &str, time_zone: &TimeZone, place: Place) -> Diagnostic {
        let zone = time_zone.iana_name().unwrap_or("the billing time zone");
        let (message, label) = match self {
            Self::NotATime => (format!("`{written}` is not a date or time"), "not a date"),
            Self::NoDate => (format!("`{written}` is a time without a date"), "no date"),
            Self::Gap => {
                (format!("`{written}` does not exist in {zone}, because the clock change skips it"), "skipped")
            }
            Self::Fold => (format!("`{written}` occurs twice in {zone}, because clocks are set back"), "ambiguous"),
        };
        let hint = match self {
            Self::NotATime | Self::NoDate => "write a date such as 2026-01-01, or a time such as 2026-01-01T00:00:00Z",
            Self::Gap => "choose a time before or after the clock change",
            Self::Fold => "add the offset from UTC, as in 2026-10-25T02:30:00+01:00",
        };
        Diagnostic::error("rules::bad_time", message).at(place, label).hint(hint)
    }
}

/// The instant of a date or time, in microseconds UTC. The instant of a date is its first instant in the time zone. A
/// time without an offset is local and must occur exactly once.
pub(crate) fn instant(written: &Datetime, time_zone: &TimeZone) -> Result<i64, InstantError> {
    let date = written.date.ok_or(InstantError::NoDate)?;
    let not_a_time = |_| InstantError::NotATime;
    let year = i16::try_from(date.year).map_err(|_| InstantError::NotATime)?;
    // The ranges of TOML are narrower than the ranges of the types, so the conversion of a valid time does not fail.
    let small = |number: u8| i8::try_from(number).map_err(|_| InstantError::NotATime);
    let date = civil::Date::new(year, small(date.month)?, small(date.day)?).map_err(not_a_time)?;
    let Some(time) = written.time else {
        return Ok(date.to_zoned(time_zone.clone()).map_err(not_a_time)?.timestamp().as_microsecond());
    };
    let nanosecond = i32::try_from(time.nanosecond.unwrap_or(0)).map_err(|_| InstantError::NotATime)?;
    let time = civil::Time::new(small(time.hour)?, small(time.minute)?, small(time.second.unwrap_or(0))?, nanosecond)
        .map_err(not_a_time)?;
    let local = date.to_datetime(time);
    let offset = match written.offset {
        Some(Offset::Z) => jiff::tz::Offset::UTC,
        Some(Offset::Custom { minutes }) => {
            jiff::tz::Offset::from_seconds(i32::from(minutes) * 60).map_err(not_a_time)?
        }
        None => {
            let ambiguous = time_zone.to_ambiguous_timestamp(local);
            return match ambiguous.offset() {
                jiff::tz::AmbiguousOffset::Gap { .. } => Err(InstantError::Gap),
                jiff::tz::AmbiguousOffset::Fold { .. } => Err(InstantError::Fold),
                jiff::tz::AmbiguousOffset::Unambiguous { .. } => {
                    Ok(ambiguous.compatible().map_err(not_a_time)?.as_microsecond())
                }
            };
        }
    };
    Ok(offset.to_timestamp(local).map_err(not_a_time)?.as_microsecond())
}

/// The first instant of a date, in microseconds UTC. `None` if the date is at the limit of the calendar.
pub(crate) fn start_of(date: civil::Date, time_zone: &TimeZone) -> Option<i64> {
    date.to_zoned(time_zone.clone()).ok().map(|start| start.timestamp().as_microsecond())
}

/// The instant of a date or time in a cell of a CSV file.
pub(crate) fn parse_instant(text: &str, time_zone: &TimeZone) -> Result<i64, InstantError> {
    let written: Datetime = text.parse().map_err(|_| InstantError::NotATime)?;
    instant(&written, time_zone)
}

/// Whether an instant is the start of a window. Windows are counted in elapsed time from the start of the local day.
pub(crate) fn is_on_window(microseconds: i64, window_seconds: u32, time_zone: &TimeZone) -> bool {
    let Ok(timestamp) = jiff::Timestamp::from_microsecond(microseconds) else { return false };
    let Ok(day) = timestamp.to_zoned(time_zone.clone()).start_of_day() else { return false };
    let elapsed = microseconds - day.timestamp().as_microsecond();
    elapsed % (i64::from(window_seconds) * 1_000_000) == 0
}

/// A month in the billing time zone: its first instant and the first instant of the next month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Month {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Month {
    pub(crate) fn parse(text: &str, time_zone: &TimeZone) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        Self::starting(civil::Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?, time_zone)
    }

    pub(crate) fn containing(microseconds: i64, time_zone: &TimeZone) -> Option<Self> {
        let timestamp = jiff::Timestamp::from_microsecond(microseconds).ok()?;
        Self::starting(timestamp.to_zoned(time_zone.clone()).date().first_of_month(), time_zone)
    }

    fn starting(first: civil::Date, time_zone: &TimeZone) -> Option<Self> {
        let next = first.last_of_month().tomorrow().ok()?;
        let start = first.to_zoned(time_zone.clone()).ok()?.timestamp().as_microsecond();
        let end = next.to_zoned(time_zone.clone()).ok()?.timestamp().as_microsecond();
        Some(Self { start, end })
    }

    pub(crate) fn contains(self, microseconds: i64) -> bool {
        (self.start..self.end).contains(&microseconds)
    }
}

/// Whether two half-open ranges with open ends share an instant.
pub(crate) fn overlap(left: (Option<i64>, Option<i64>), right: (Option<i64>, Option<i64>)) -> bool {
    let begins_before = |from: Option<i64>, to: Option<i64>| match (from, to) {
        (Some(from), Some(to)) => from < to,
        _ => true,
    };
    begins_before(left.0, right.1) && begins_before(right.0, left.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn read(text: &str) -> Result<String, InstantError> {
        let microseconds = parse_instant(text, &berlin())?;
        Ok(jiff::Timestamp::from_microsecond(microseconds).unwrap().to_string())
    }

    #[test]
    fn a_date_is_local_midnight_and_a_time_must_exist_once() {
        for (text, expected) in [
            ("2026-01-01", Ok("2025-12-31T23:00:00Z")),
            ("2026-07-01", Ok("2026-06-30T22:00:00Z")),
            ("2026-07-01T12:00:00", Ok("2026-07-01T10:00:00Z")),
            ("2026-07-01 12:00:00Z", Ok("2026-07-01T12:00:00Z")),
            ("2026-10-25T02:30:00+01:00", Ok("2026-10-25T01:30:00Z")),
            ("2026-10-25T02:30:00", Err(InstantError::Fold)),
            ("2026-03-29T02:30:00", Err(InstantError::Gap)),
            ("12:00:00", Err(InstantError::NoDate)),
            ("tomorrow", Err(InstantError::NotATime)),
            ("2026-02-30", Err(InstantError::NotATime)),
        ] {
            assert_eq!(read(text), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn windows_are_counted_from_local_midnight() {
        let on = |text: &str, seconds| is_on_window(parse_instant(text, &berlin()).unwrap(), seconds, &berlin());
        assert!(on("2026-01-01", 86_400));
        assert!(on("2026-01-01T13:00:00", 3_600));
        assert!(!on("2026-01-01T13:30:00", 3_600));
        assert!(on("2026-01-01T13:30:00", 1_800));
        assert!(!on("2026-01-01T13:00:00", 7_200));
        // The day has 23 hours: 04:00 is three hours after midnight.
        assert!(!on("2026-03-29T04:00:00", 7_200));
        assert!(on("2026-03-29T05:00:00", 7_200));
        assert!(!on("2026-01-01T00:00:00.000001", 300));
    }

    #[test]
    fn a_month_has_its_own_length() {
        let hours = |text| Month::parse(text, &berlin()).map(|month| (month.end - month.start) / 3_600_000_000);
        assert_eq!(hours("2026-03"), Some(743));
        assert_eq!(hours("2026-10"), Some(745));
        assert_eq!(hours("2026-12"), Some(744));
        assert_eq!(hours("2026-13"), None);
        assert_eq!(hours("2026-1"), None);
        assert_eq!(hours("+026-01"), None);
        let start = parse_instant("2026-10-31T23:59:59", &berlin()).unwrap();
        assert_eq!(Month::containing(start, &berlin()), Month::parse("2026-10", &berlin()));
    }

    #[test]
    fn half_open_ranges_that_touch_do_not_overlap() {
        assert!(overlap((None, None), (Some(1), Some(2))));
        assert!(overlap((Some(1), Some(3)), (Some(2), None)));
        assert!(!overlap((None, Some(2)), (Some(2), None)));
        assert!(!overlap((Some(5), None), (Some(1), Some(2))));
    }
}
