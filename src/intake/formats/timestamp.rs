//! The parser of the formats in which sources write an instant.

use crate::intake::rejection_reason::Reason;

/// The earliest valid instant, 1970-01-01T00:00:00Z.
const EARLIEST: i64 = 0;
/// The first instant that is too late, 2201-01-01T00:00:00Z.
const TOO_LATE: i64 = 7_289_654_400 * MICROS;
const MICROS: i64 = 1_000_000;

/// The reason why a text is not a valid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("is invalid, expected 2026-10-01T00:05:00.123456+00:00 (without an offset for UTC) or seconds since 1970")]
    Malformed,
    #[error("is outside of the years 1970 to 2200")]
    OutOfRange,
}

impl From<TimestampError> for Reason {
    fn from(error: TimestampError) -> Self {
        match error {
            TimestampError::Malformed => Self::BadTimestamp,
            TimestampError::OutOfRange => Self::TimestampOutOfRange,
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
        [_, _, _, _, b'-', ..] => in_range(date_and_time(bytes).ok_or(TimestampError::Malformed)?),
        _ => epoch_seconds(bytes),
    }
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

/// Microseconds UTC of a date and time such as `2026-10-01T00:05:00`, with an optional fraction and offset.
fn date_and_time(bytes: &[u8]) -> Option<i64> {
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
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59) - offset_seconds(offset)?;
    Some(seconds * MICROS + fraction)
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
        [] | [b'Z' | b'z'] => return Some(0),
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

/// Parses seconds since 1970. Milliseconds are not recognized: read as seconds, they are after 2200 and are rejected.
fn epoch_seconds(bytes: &[u8]) -> Result<i64, TimestampError> {
    let (negative, bytes) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = bytes.split_at(length);
    if digits.is_empty() {
        return Err(TimestampError::Malformed);
    }
    let Some((micros, [])) = fraction(tail) else { return Err(TimestampError::Malformed) };
    let mut seconds: i64 = 0;
    for digit in digits {
        seconds = seconds.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    let instant = seconds.saturating_mul(MICROS).saturating_add(micros);
    in_range(if negative { -instant } else { instant })
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
            "1740830400000",
            "99999999999999999999999999",
        ] {
            assert_eq!(parse(text), Err(TimestampError::OutOfRange), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00"), Ok(0));
        assert_eq!(parse("2200-12-31T23:59:59.999999"), Ok(TOO_LATE - 1));
        assert_eq!(parse("0"), Ok(0));
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
                Err(TimestampError::OutOfRange) => prop_assert!(theirs.is_some_and(|t| in_range(t).is_err())),
            }
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
