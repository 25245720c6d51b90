//! The parser of the formats in which sources write an instant.

use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::intake::rejection_reason::Reason;
use crate::model::dialect::{Clock, TimeUnit};

/// The earliest valid instant, 1970-01-01T00:00:00Z.
const EARLIEST: i64 = 0;
/// The first instant that is too late, 2201-01-01T00:00:00Z.
const TOO_LATE: i64 = 7_289_654_400 * MICROS;
const MICROS: i64 = 1_000_000;
/// The years in which a number is recognized as a count of another unit: 2000-01-01 to 2100-01-01. Counts of seconds,
/// milliseconds, microseconds and nanoseconds never overlap there.
const RECOGNIZED: std::ops::Range<i128> = 946_684_800 * MICROS as i128..4_102_444_800 * MICROS as i128;

/// The reason why a text is not a valid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("is invalid, expected 2026-10-01T00:05:00.123456+00:00 (without an offset for UTC) or seconds since 1970")]
    Malformed,
    #[error("is outside of the years 1970 to 2200")]
    OutOfRange,
    /// The number counts in another unit than expected.
    #[error("looks like {} since 1970, expected seconds", .0.name())]
    OtherUnit(TimeUnit),
    /// The clock change repeats the local time.
    #[error("occurs twice, because clocks are set back; expected an offset")]
    Repeated,
    /// The clock change skips the local time.
    #[error("does not exist, because the clock change skips it")]
    Skipped,
}

impl TimestampError {
    /// The message for a time in a file with a configured clock.
    fn explain(self, clock: &Clock) -> String {
        let (zone, unit) = (clock.zone_name(), clock.time_unit.name());
        match self {
            Self::Malformed => format!(
                "is invalid, expected 2026-10-01T00:05:00.123456+00:00 (without an offset for {zone}) \
                 or {unit} since 1970"
            ),
            Self::OtherUnit(found) => {
                format!("looks like {0} since 1970, expected {unit}: set time_unit = \"{0}\"", found.name())
            }
            Self::Repeated => {
                format!("occurs twice in {zone}, because clocks are set back; expected an offset, such as +01:00")
            }
            Self::Skipped => format!("does not exist in {zone}, because the clock change skips it"),
            Self::OutOfRange => self.to_string(),
        }
    }
}

impl From<TimestampError> for Reason {
    fn from(error: TimestampError) -> Self {
        match error {
            TimestampError::Malformed | TimestampError::Repeated | TimestampError::Skipped => Self::BadTimestamp,
            TimestampError::OutOfRange | TimestampError::OtherUnit(_) => Self::TimestampOutOfRange,
        }
    }
}

/// Parses an ISO date and time, or seconds since 1970, to microseconds in UTC.
///
/// A `T` or a space separates the date and the time. Seconds may have any number of fractional digits. An offset has a
/// form such as `Z`, `+00:00`, `+0000` or `+00`. Without an offset, the time is in UTC.
///
/// Digits below the microsecond are dropped, never rounded up, so that the last instant of a month stays in the month.
/// A leap second is mapped to the second before it, as in the system clocks that produce such times.
pub fn parse(text: &str) -> Result<i64, TimestampError> {
    let bytes = text.trim_ascii().as_bytes();
    match bytes {
        [_, _, _, _, b'-', ..] => {
            let (local, offset) = date_and_time(bytes).ok_or(TimestampError::Malformed)?;
            in_range(local - offset.unwrap_or(0) * MICROS)
        }
        _ => count(bytes, TimeUnit::Seconds),
    }
}

/// As [`parse`], with the clock of the source. A time without an offset is in the time zone of the clock. A local time
/// that the clock change repeats or skips is an error, because a guess could put usage into another day.
pub fn parse_by(text: &str, clock: &Clock) -> Result<i64, TimestampError> {
    if clock.is_default() {
        return parse(text);
    }
    let bytes = text.trim_ascii().as_bytes();
    match bytes {
        [_, _, _, _, b'-', ..] => match date_and_time(bytes).ok_or(TimestampError::Malformed)? {
            (local, Some(offset)) => in_range(local - offset * MICROS),
            (local, None) => local_instant(local, clock),
        },
        _ => count(bytes, clock.time_unit),
    }
}

/// Parses the time of a column of a source with a clock. `of` names the column in the message, if it is not the time of
/// the measurement.
pub fn read(text: &str, clock: &Clock, of: &str) -> Result<i64, (Reason, String)> {
    parse_by(text, clock).map_err(|error| refused(error, text, clock, of))
}

/// The rejection of a time.
pub fn refused(error: TimestampError, found: impl std::fmt::Display, clock: &Clock, of: &str) -> (Reason, String) {
    (error.into(), format!("the time `{found}`{of} {}", error.explain(clock)))
}

/// Parses the time of an optional field. A value that cannot be parsed is an error. If the value were ignored, a
/// resource that did not exist or is deleted would be billed.
pub fn optional(text: Option<&str>, name: &str) -> Result<Option<i64>, (Reason, String)> {
    let read = |text| parse(text).map_err(|error| (error.into(), format!("the time `{text}` of `{name}` {error}")));
    text.map(read).transpose()
}

/// Checks that an instant is within the years that can be billed, and returns it.
pub fn in_range(micros: i64) -> Result<i64, TimestampError> {
    if (EARLIEST..TOO_LATE).contains(&micros) { Ok(micros) } else { Err(TimestampError::OutOfRange) }
}

/// The instant of a local time. `local` is the time on the clock, counted in microseconds as if it were UTC.
pub fn local_instant(local: i64, clock: &Clock) -> Result<i64, TimestampError> {
    let Some(zone) = &clock.time_zone else { return in_range(local) };
    let local = jiff::Timestamp::from_microsecond(local).map_err(|_| TimestampError::OutOfRange)?;
    let instant = zone.to_ambiguous_timestamp(local.to_zoned(TimeZone::UTC).datetime());
    match instant.offset() {
        AmbiguousOffset::Fold { .. } => Err(TimestampError::Repeated),
        AmbiguousOffset::Gap { .. } => Err(TimestampError::Skipped),
        AmbiguousOffset::Unambiguous { .. } => {
            in_range(instant.compatible().map_err(|_| TimestampError::OutOfRange)?.as_microsecond())
        }
    }
}

/// The instant of a number that counts from 1970. A number of another unit is refused with the name of that unit.
pub fn counted(value: i64, unit: TimeUnit) -> Result<i64, TimestampError> {
    checked_count(value.into(), 0, unit)
}

/// `fraction` is the decimal part in units of the sixth place.
fn checked_count(value: i128, fraction: i64, unit: TimeUnit) -> Result<i64, TimestampError> {
    let micros = |unit| match unit {
        TimeUnit::Seconds => value.saturating_mul(1_000_000),
        TimeUnit::Milliseconds => value.saturating_mul(1_000),
        TimeUnit::Microseconds => value,
        TimeUnit::Nanoseconds => value.div_euclid(1_000),
    };
    // Digits below the microsecond are dropped.
    let fraction = match unit {
        TimeUnit::Seconds => fraction,
        TimeUnit::Milliseconds => fraction / 1_000,
        TimeUnit::Microseconds | TimeUnit::Nanoseconds => 0,
    };
    let instant = micros(unit).saturating_add(fraction.into());
    let result = i64::try_from(instant).map_or(Err(TimestampError::OutOfRange), in_range);
    // Seconds that are read as milliseconds are in January 1970. No usage of a configured unit is that old.
    if result.is_ok() && (unit == TimeUnit::Seconds || instant >= RECOGNIZED.start) {
        return result;
    }
    let other = TimeUnit::ALL.into_iter().find(|(_, other)| *other != unit && RECOGNIZED.contains(&micros(*other)));
    other.map_or(result, |(_, other)| Err(TimestampError::OtherUnit(other)))
}

/// The microseconds of a date and time such as `2026-10-01T00:05:00`, counted as if it were UTC, and its offset in
/// seconds. The fraction and the offset are optional.
fn date_and_time(bytes: &[u8]) -> Option<(i64, Option<i64>)> {
    let (head, tail) = bytes.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] = *head
    else {
        return None;
    };
    let year = two_digits(y1, y2)? * 100 + two_digits(y3, y4)?;
    let (month, day) = (two_digits(m1, m2)?, two_digits(d1, d2)?);
    let (hour, minute, second) = (two_digits(h1, h2)?, two_digits(n1, n2)?, two_digits(s1, s2)?);
    if day == 0 || day > days_in_month(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, offset) = fraction(tail)?;
    let days = days_since_1970(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    let offset = if offset.is_empty() { None } else { Some(offset_seconds(offset)?) };
    Some((seconds * MICROS + fraction, offset))
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// The number of days since 1970-01-01 in the proleptic Gregorian calendar. A year starts in March, so that the leap
/// day is its last day.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    // There are 719,468 days between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

/// Microseconds of an optional fraction, with the rest of the text.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = tail.strip_prefix(b".") else { return Some((0, tail)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(length);
    let mut micros = 0;
    for index in 0..6 {
        micros = micros * 10 + digits.get(index).map_or(0, |digit| i64::from(digit - b'0'));
    }
    Some((micros, rest))
}

fn offset_seconds(offset: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *offset {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, two_digits(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two_digits(h1, h2)?, two_digits(m1, m2)?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 3_600 + minutes * 60),
        b'-' => Some(-hours * 3_600 - minutes * 60),
        _ => None,
    }
}

/// Parses a number that counts from 1970, with an optional fraction.
fn count(bytes: &[u8], unit: TimeUnit) -> Result<i64, TimestampError> {
    let (is_negative, bytes) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = bytes.split_at(length);
    if digits.is_empty() {
        return Err(TimestampError::Malformed);
    }
    let Some((fraction, [])) = fraction(tail) else { return Err(TimestampError::Malformed) };
    let mut value: u64 = 0;
    for digit in digits {
        value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    if is_negative && (value > 0 || fraction > 0) {
        return Err(TimestampError::OutOfRange);
    }
    checked_count(value.into(), fraction, unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_740_830_400 * MICROS;

    #[test]
    fn reads_every_form_that_sources_write() {
        for text in [
            "2025-03-01T12:00:00",
            "2025-03-01 12:00:00",
            "2025-03-01T12:00:00Z",
            "2025-03-01t12:00:00z",
            "2025-03-01T12:00:00.000000",
            "2025-03-01 12:00:00+00:00",
            "2025-03-01T12:00:00+0000",
            "2025-03-01T12:00:00+00",
            "2025-03-01T12:00:00-00:00",
            "2025-03-01T14:30:00+02:30",
            "2025-03-01T14:30:00+0230",
            "2025-02-28T23:00:00-13",
            "  2025-03-01T12:00:00\n",
            "1740830400",
            "1740830400.0",
        ] {
            assert_eq!(parse(text), Ok(NOON), "{text}");
        }
        assert_eq!(parse("2025-03-01T12:00:00.123456"), Ok(NOON + 123_456));
        assert_eq!(parse("2025-03-01T12:00:00.5+00:00"), Ok(NOON + 500_000));
        assert_eq!(parse("1740830400.25"), Ok(NOON + 250_000));
    }

    #[test]
    fn drops_digits_below_a_microsecond() {
        assert_eq!(parse("2025-03-01T12:00:00.123456999Z"), Ok(NOON + 123_456));
        assert_eq!(parse("2025-03-01T11:59:59.99999999999999999999"), Ok(NOON - 1));
        assert_eq!(parse("1740830399.9999999"), Ok(NOON - 1));
        assert_eq!(parse("2025-03-01T11:59:60Z"), Ok(NOON - MICROS));
    }

    #[test]
    fn rejects_invalid_times() {
        for text in [
            "",
            "None",
            "now",
            "2025-03-01",
            "2025-03-01T12:00",
            "2025-02-29T12:00:00",
            "2025-00-10T12:00:00",
            "2025-13-10T12:00:00",
            "2025-03-00T12:00:00",
            "0000-00-00 00:00:00",
            "2025-03-01T24:00:00",
            "2025-03-01T12:60:00",
            "2025-03-01T12:00:61",
            "2025-03-01T12:00:00.",
            "2025-03-01T12:00:00.Z",
            "2025-03-01T12:00:00+1",
            "2025-03-01T12:00:00+24:00",
            "2025-03-01T12:00:00 UTC",
            "2025-03-01_12:00:00",
            "2025-03-0112:00:00Z",
            "12025-03-01T12:00:00",
            "1740830400.",
            "1740830400 ",
            "-",
            "1e9",
            "２０２５-03-01T12:00:00",
        ] {
            let expected = if text == "1740830400 " { Ok(NOON) } else { Err(TimestampError::Malformed) };
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn years_before_1970_and_after_2200_are_times_but_no_times_of_usage() {
        for text in [
            "0001-01-01T00:00:00",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999",
            "1970-01-01T00:30:00+01:00",
            "2201-01-01 00:00:00",
            "9999-12-31T23:59:59Z",
            "-1",
            "99999999999999999999999999",
        ] {
            assert_eq!(parse(text), Err(TimestampError::OutOfRange), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00"), Ok(0));
        assert_eq!(parse("2200-12-31T23:59:59.999999"), Ok(TOO_LATE - 1));
        assert_eq!(parse("0"), Ok(0));
    }

    #[test]
    fn a_number_of_another_unit_is_recognized_by_its_magnitude() {
        use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        let noon = [
            (Seconds, "1740830400"),
            (Milliseconds, "1740830400000"),
            (Microseconds, "1740830400000000"),
            (Nanoseconds, "1740830400000000000"),
        ];
        for (unit, text) in noon {
            for (expected, _) in noon {
                let clock = Clock { time_unit: expected, ..Clock::default() };
                let found = if unit == expected { Ok(NOON) } else { Err(TimestampError::OtherUnit(unit)) };
                assert_eq!(parse_by(text, &clock), found, "{text} in {expected:?}");
                assert_eq!(counted(text.parse().unwrap(), expected), found, "{text} in {expected:?}");
            }
        }
        let by = |text: &str, time_unit| parse_by(text, &Clock { time_unit, ..Clock::default() });
        assert_eq!(by("1740830400000.999", Milliseconds), Ok(NOON + 999));
        assert_eq!(by("1740830400000.9999", Milliseconds), Ok(NOON + 999));
        assert_eq!(by("1740830400000000.9", Microseconds), Ok(NOON));
        assert_eq!(by("1740830400000000999", Nanoseconds), Ok(NOON));
        assert_eq!(by("2025-03-01T12:00:00", Nanoseconds), Ok(NOON));
        // Without another unit that fits, an early instant is an instant.
        assert_eq!((by("5", Milliseconds), by("-0", Milliseconds)), (Ok(5_000), Ok(0)));
        let milliseconds = Clock { time_unit: Milliseconds, ..Clock::default() };
        assert_eq!(
            read("1790000000000", &Clock::default(), "").unwrap_err().1,
            "the time `1790000000000` looks like milliseconds since 1970, expected seconds: \
             set time_unit = \"milliseconds\""
        );
        assert_eq!(
            read("1790000000", &milliseconds, " of `created_at`").unwrap_err().1,
            "the time `1790000000` of `created_at` looks like seconds since 1970, expected milliseconds: \
             set time_unit = \"seconds\""
        );
    }

    /// The instants are worked out from the rules of Europe/Berlin. Until 2026-10-25T01:00:00Z, the offset is +02:00;
    /// then 03:00 becomes 02:00. Until 2027-03-28T01:00:00Z, the offset is +01:00; then 02:00 becomes 03:00.
    #[test]
    fn local_times_at_clock_changes_are_exact_or_refused() {
        let clock = Clock { time_zone: Some(TimeZone::get("Europe/Berlin").unwrap()), ..Clock::default() };
        for (local, expected) in [
            ("2026-10-05T10:00:00", Ok("2026-10-05T08:00:00Z")),
            ("2026-10-05T10:00:00Z", Ok("2026-10-05T10:00:00Z")),
            ("2026-10-25T01:59:59.999999", Ok("2026-10-24T23:59:59.999999Z")),
            ("2026-10-25 02:00:00", Err(TimestampError::Repeated)),
            ("2026-10-25 02:59:59", Err(TimestampError::Repeated)),
            ("2026-10-25 02:30:00+02:00", Ok("2026-10-25T00:30:00Z")),
            ("2026-10-25 02:30:00+01:00", Ok("2026-10-25T01:30:00Z")),
            ("2026-10-25T03:00:00", Ok("2026-10-25T02:00:00Z")),
            ("2026-11-01T00:00:00", Ok("2026-10-31T23:00:00Z")),
            ("2027-03-28T01:59:59", Ok("2027-03-28T00:59:59Z")),
            ("2027-03-28T02:00:00", Err(TimestampError::Skipped)),
            ("2027-03-28T02:59:59", Err(TimestampError::Skipped)),
            ("2027-03-28T02:30:00Z", Ok("2027-03-28T02:30:00Z")),
            ("2027-03-28T03:00:00", Ok("2027-03-28T01:00:00Z")),
            ("1970-01-01T00:30:00", Err(TimestampError::OutOfRange)),
            ("0000-01-01T00:00:00", Err(TimestampError::OutOfRange)),
            ("2026-10-25", Err(TimestampError::Malformed)),
        ] {
            let expected = expected.map(|text| text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
            assert_eq!(parse_by(local, &clock), expected, "{local}");
        }
        let message = |text: &str| read(text, &clock, "").unwrap_err();
        assert_eq!(
            message("2026-10-25T02:30:00"),
            (
                Reason::BadTimestamp,
                "the time `2026-10-25T02:30:00` occurs twice in Europe/Berlin, because clocks are set back; \
                 expected an offset, such as +01:00"
                    .to_owned()
            )
        );
        assert_eq!(
            message("2027-03-28T02:30:00").1,
            "the time `2027-03-28T02:30:00` does not exist in Europe/Berlin, because the clock change skips it"
        );
        assert!(message("soon").1.ends_with("(without an offset for Europe/Berlin) or seconds since 1970"));
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(micros in EARLIEST..TOO_LATE, offset in -1_439..1_440i32, space in any::<bool>()) {
            let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
            let naive = instant.to_string();
            prop_assert_eq!(parse(&naive), Ok(micros));
            prop_assert_eq!(parse(naive.trim_end_matches('Z')), Ok(micros));
            let offset = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
            let mut local = instant.display_with_offset(offset).to_string();
            if space {
                local = local.replace('T', " ");
            }
            prop_assert_eq!(parse(&local), Ok(micros));
        }

        #[test]
        fn dates_are_those_of_jiff(
            text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?"
        ) {
            let theirs = text.parse::<jiff::civil::DateTime>().ok();
            let theirs = theirs.map(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp());
            let theirs = theirs.map(|instant| instant.as_nanosecond().div_euclid(1_000) as i64);
            match parse(&text) {
                Ok(micros) => prop_assert_eq!(Some(micros), theirs),
                Err(TimestampError::Malformed) => prop_assert_eq!(None, theirs),
                Err(_) => prop_assert!(theirs.is_some_and(|t| in_range(t).is_err())),
            }
        }

        /// A local time is refused exactly if jiff finds no instant or two.
        #[test]
        fn local_times_are_those_of_jiff(micros in 0..TOO_LATE) {
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let local = jiff::Timestamp::from_microsecond(micros).unwrap().to_zoned(TimeZone::UTC).datetime();
            let theirs = zone.to_ambiguous_timestamp(local).unambiguous().ok().map(|instant| instant.as_microsecond());
            let clock = Clock { time_zone: Some(zone), ..Clock::default() };
            let ours = parse_by(&local.to_string(), &clock).ok();
            prop_assert_eq!(ours, theirs.filter(|instant| in_range(*instant).is_ok()));
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
