//! Dates and periods in the format of a language. Patterns and month names are from CLDR, in `locales.json`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

const LOCALES: &str = include_str!("locales.json");

/// The date format of a language.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dates {
    date: String,
    day: String,
    interval: Interval,
    months: Vec<String>,
    short_months: Vec<String>,
}

/// The patterns of the first and the last day of a period. The largest field in which the days differ (day, month or
/// year) selects the pattern.
#[derive(Clone, Debug, Deserialize)]
struct Interval {
    d: [String; 2],
    #[serde(rename = "M")]
    m: [String; 2],
    y: [String; 2],
}

impl Dates {
    /// The date format for a language tag. If the tag has no format, the format of the base language or of English is
    /// used.
    pub(crate) fn of(language: &str) -> Result<Self, serde_json::Error> {
        let mut formats: BTreeMap<String, Self> = serde_json::from_str(LOCALES)?;
        let base = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let found = formats.remove(language).or_else(|| formats.remove(&base)).or_else(|| formats.remove("en"));
        found.ok_or_else(|| serde::de::Error::custom("locales.json has no English"))
    }

    /// A date, given as ISO 8601 text.
    pub(crate) fn date(&self, text: &str) -> Result<String, jiff::Error> {
        Ok(self.format(&self.date, text.parse()?))
    }

    /// A date without the year, such as 1 Oct, for a page that shows the period elsewhere.
    pub(crate) fn short_date(&self, text: &str) -> Result<String, jiff::Error> {
        Ok(self.format(&self.day, text.parse()?))
    }

    /// The first and the last day of a period; `end` is exclusive.
    pub(crate) fn period(&self, start: &str, end: &str) -> Result<String, jiff::Error> {
        let first: Date = start.parse()?;
        let last = end.parse::<Date>()?.yesterday()?;
        if first >= last {
            return Ok(self.format(&self.date, first));
        }
        let [from, to] = if first.year() != last.year() {
            &self.interval.y
        } else if first.month() != last.month() {
            &self.interval.m
        } else {
            &self.interval.d
        };
        Ok(format!("{}{}", self.format(from, first), self.format(to, last)))
    }

    /// A date by a pattern. Letters are fields, and text between single quotes is literal.
    fn format(&self, pattern: &str, date: Date) -> String {
        let mut text = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let (inside, after) = rest[1..].split_once('\'').unwrap_or((&rest[1..], ""));
                text.push_str(inside);
                rest = after;
                continue;
            }
            let length = rest.chars().take_while(|next| *next == first).count();
            let month = usize::try_from(date.month() - 1).unwrap_or(0);
            let name = |names: &[String]| names.get(month).cloned().unwrap_or_default();
            let (field, taken) = match (first, length) {
                ('y', 2) => (format!("{:02}", date.year() % 100), length),
                ('y', _) => (date.year().to_string(), length),
                ('M', 4) => (name(&self.months), length),
                ('M', 3) => (name(&self.short_months), length),
                ('M', 2) => (format!("{:02}", date.month()), length),
                ('M', _) => (date.month().to_string(), length),
                ('d', 2) => (format!("{:02}", date.day()), length),
                ('d', _) => (date.day().to_string(), length),
                _ => (first.to_string(), 1),
            };
            text.push_str(&field);
            rest = &rest[first.len_utf8() * taken..];
        }
        text
    }
}

/// The day before an exclusive end, as ISO 8601 text.
pub(crate) fn last_day(end: &str) -> Result<String, jiff::Error> {
    Ok(end.parse::<Date>()?.yesterday()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_format_of_the_language() {
        let date = |language: &str| Dates::of(language).unwrap().date("2026-10-01").unwrap();
        assert_eq!(date("en"), "1 October 2026");
        assert_eq!(date("en-US"), "October 1, 2026");
        assert_eq!(date("de"), "1. Oktober 2026");
        assert_eq!(date("de-LU"), "1. Oktober 2026", "the base language");
        assert_eq!(date("fr-CH"), "1 octobre 2026");
        assert_eq!(date("es"), "1 de octubre de 2026");
        assert_eq!(date("xx"), "1 October 2026", "English for an unknown language");
        let period = |language: &str, start: &str, end: &str| Dates::of(language).unwrap().period(start, end).unwrap();
        assert_eq!(period("en", "2026-10-01", "2026-11-01"), "1–31 October 2026");
        assert_eq!(period("de", "2026-10-01", "2026-11-01"), "1.–31. Oktober 2026");
        assert_eq!(period("fr", "2026-10-15", "2026-11-15"), "15 octobre\u{2009}–\u{2009}14 novembre 2026");
        assert_eq!(period("en-US", "2026-12-15", "2027-01-15"), "December 15, 2026\u{2009}–\u{2009}January 14, 2027");
        assert_eq!(period("ja", "2026-10-01", "2026-10-02"), "2026年10月1日");
        let short = |language: &str| Dates::of(language).unwrap().short_date("2026-10-01").unwrap();
        assert_eq!([short("en"), short("de"), short("fr")], ["1 Oct", "1. Okt.", "1 oct."]);
    }

    #[test]
    fn a_period_does_not_repeat_month_and_year() {
        let period = |language: &str, start: &str, end: &str| Dates::of(language).unwrap().period(start, end).unwrap();
        for (language, expected) in [
            (
                "en",
                [
                    "1–31 October 2026",
                    "15 October\u{2009}–\u{2009}14 November 2026",
                    "15 December 2026\u{2009}–\u{2009}14 January 2027",
                ],
            ),
            (
                "de",
                [
                    "1.–31. Oktober 2026",
                    "15. Oktober\u{2009}–\u{2009}14. November 2026",
                    "15. Dezember 2026\u{2009}–\u{2009}14. Januar 2027",
                ],
            ),
            (
                "fr",
                [
                    "1–31 octobre 2026",
                    "15 octobre\u{2009}–\u{2009}14 novembre 2026",
                    "15 décembre 2026\u{2009}–\u{2009}14 janvier 2027",
                ],
            ),
        ] {
            let found = [
                period(language, "2026-10-01", "2026-11-01"),
                period(language, "2026-10-15", "2026-11-15"),
                period(language, "2026-12-15", "2027-01-15"),
            ];
            assert_eq!(found, expected, "{language}");
        }
        assert!(Dates::of("en").unwrap().date("1 October").is_err());
    }

    #[test]
    fn the_last_day_is_the_day_before_the_end() {
        assert_eq!(last_day("2026-11-01").unwrap(), "2026-10-31");
    }
}
