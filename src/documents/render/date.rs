//! Dates as a reader of English sees them: 1 October 2026.

use jiff::civil::Date;

/// One date, given as ISO 8601 text.
pub(crate) fn date(text: &str) -> Result<String, jiff::Error> {
    Ok(long(text.parse()?))
}

/// One date inside of a period that is named elsewhere: 1 Oct.
pub(crate) fn short_date(text: &str) -> Result<String, jiff::Error> {
    Ok(text.parse::<Date>()?.strftime("%-d %b").to_string())
}

/// From the first day to the last, saying month and year no more often than needed; `end` is exclusive.
pub(crate) fn period(start: &str, end: &str) -> Result<String, jiff::Error> {
    let first: Date = start.parse()?;
    let last = end.parse::<Date>()?.yesterday()?;
    let same_year = first.year() == last.year();
    Ok(if first >= last {
        long(first)
    } else if same_year && first.month() == last.month() {
        format!("{}–{}", first.day(), long(last))
    } else if same_year {
        format!("{} – {}", first.strftime("%-d %B"), long(last))
    } else {
        format!("{} – {}", long(first), long(last))
    })
}

/// The last day of what ends before a date, as ISO 8601 text.
pub(crate) fn last_day(end: &str) -> Result<String, jiff::Error> {
    Ok(end.parse::<Date>()?.yesterday()?.to_string())
}

fn long(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_shows_its_last_day() {
        assert_eq!(period("2026-10-01", "2026-11-01").unwrap(), "1–31 October 2026");
        assert_eq!(period("2026-10-15", "2026-11-15").unwrap(), "15 October – 14 November 2026");
        assert_eq!(period("2026-12-15", "2027-01-15").unwrap(), "15 December 2026 – 14 January 2027");
        assert_eq!(period("2026-10-01", "2026-10-02").unwrap(), "1 October 2026");
        assert_eq!(short_date("2026-10-01").unwrap(), "1 Oct");
        assert!(date("1 October").is_err());
    }
}
