//! Dates and periods in the format of a language, from ICU4X with the data of CLDR.
//!
//! `icu_datetime` has no stable formatter of ranges. So a period is two formatted dates, joined here. The month and the
//! year that both dates share appear once, if the language permits. Every language uses the Gregorian calendar.

use std::fmt;

use icu_calendar::{Date as IcuDate, Gregorian};
use icu_datetime::fieldsets::{MD, YMD};
use icu_datetime::{DateTimeFormatterPreferences, FixedCalendarDateTimeFormatter, parts};
use icu_locale_core::{Locale, locale};
use jiff::civil::Date;
use writeable::{Part, PartsWrite, Writeable};

/// An error in the formatting of a date.
#[derive(Debug, thiserror::Error)]
pub enum DateError {
    #[error("`{0}` is not a language tag, such as en, de or fr-CH")]
    Language(String),
    #[error("there are no date formats for the language `{0}`")]
    NoFormat(String),
    #[error(transparent)]
    Malformed(#[from] jiff::Error),
    #[error("the date {0} cannot be formatted")]
    OutOfRange(Date),
}

/// The date format of a language.
#[derive(Clone, Debug)]
pub(crate) struct Dates {
    /// The input of each formatter. A formatter cannot be sent to another thread, so each call makes its own.
    preferences: DateTimeFormatterPreferences,
    language: String,
}

impl Dates {
    /// The date format for a BCP 47 language tag. English without a region is international English, with the day
    /// first. A language without patterns in CLDR has the same format.
    pub(crate) fn of(language: &str) -> Result<Self, DateError> {
        let bad = || DateError::Language(language.to_owned());
        let locale = Locale::try_from_str(language).map_err(|_| bad())?;
        let with = |locale: &Locale| Self { preferences: locale.into(), language: language.to_owned() };
        let international = with(&locale!("en-001"));
        if locale == locale!("en") {
            return Ok(international);
        }
        let dates = with(&locale);
        // For an unknown language, ICU uses the root of CLDR, in which October is named M10.
        let probe = Date::constant(2026, 10, 1);
        let is_unknown = dates.long(probe)? == with(&locale!("und")).long(probe)?;
        Ok(if is_unknown { international } else { dates })
    }

    /// A date, given as ISO 8601 text.
    pub(crate) fn date(&self, text: &str) -> Result<String, DateError> {
        Ok(self.long(text.parse()?)?.text)
    }

    /// A date without the year, such as 1 Oct, for a page that shows the period elsewhere.
    pub(crate) fn short_date(&self, text: &str) -> Result<String, DateError> {
        let date = icu(text.parse()?)?;
        let formatter = FixedCalendarDateTimeFormatter::try_new(self.preferences, MD::medium())
            .map_err(|_| DateError::NoFormat(self.language.clone()))?;
        Ok(formatter.format(&date).to_string())
    }

    /// The first and the last day of a period; `end` is exclusive.
    pub(crate) fn period(&self, start: &str, end: &str) -> Result<String, DateError> {
        let first: Date = start.parse()?;
        let last = end.parse::<Date>()?.yesterday()?;
        let (from, to) = (self.long(first)?, self.long(last)?);
        if first >= last {
            return Ok(from.text);
        }
        let same_year = first.year() == last.year();
        Ok(match from.order() {
            [Field::Day, Field::Month, Field::Year] if same_year && first.month() == last.month() => {
                format!("{}–{}", from.up_to(Field::Day), to.text)
            }
            [Field::Day, Field::Month, Field::Year] if same_year => {
                format!("{}{DASH}{}", from.up_to(Field::Month), to.text)
            }
            [Field::Month, Field::Day, Field::Year] if same_year && first.month() == last.month() => {
                format!("{}{DASH}{}", from.up_to(Field::Day), to.after(Field::Month))
            }
            [Field::Month, Field::Day, Field::Year] if same_year => {
                format!("{}{DASH}{}", from.up_to(Field::Day), to.text)
            }
            _ => format!("{}{DASH}{}", from.text, to.text),
        })
    }

    /// A date with the full name of its month.
    fn long(&self, date: Date) -> Result<FormattedDate, DateError> {
        let formatter = FixedCalendarDateTimeFormatter::try_new(self.preferences, YMD::long())
            .map_err(|_| DateError::NoFormat(self.language.clone()))?;
        let mut formatted = FormattedDate::default();
        let out_of_range = |_| DateError::OutOfRange(date);
        formatter.format(&icu(date)?).write_to_parts(&mut formatted).map_err(out_of_range)?;
        Ok(formatted)
    }
}

/// The separator of two complete dates: a dash between thin spaces, as in CLDR.
const DASH: &str = "\u{2009}–\u{2009}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Day,
    Month,
    Year,
}

/// A formatted date, with the position of each field.
#[derive(Debug, Default, PartialEq, Eq)]
struct FormattedDate {
    text: String,
    ends: Vec<(Field, usize)>,
}

impl FormattedDate {
    /// The fields in the order of the text.
    fn order(&self) -> [Field; 3] {
        let field = |index: usize| self.ends.get(index).map_or(Field::Year, |end| end.0);
        [field(0), field(1), field(2)]
    }

    /// The text up to the end of a field. It includes the mark of the field, such as the point after a German day.
    fn up_to(&self, field: Field) -> &str {
        let end = self.end_of(field);
        let rest = self.text.get(end..).unwrap_or_default();
        let mark = rest.find(char::is_whitespace).unwrap_or(0);
        self.text.get(..end + mark).unwrap_or(&self.text).trim_end_matches(',')
    }

    /// The text after a field, without the space that follows it.
    fn after(&self, field: Field) -> &str {
        self.text.get(self.end_of(field)..).unwrap_or_default().trim_start()
    }

    fn end_of(&self, field: Field) -> usize {
        self.ends.iter().find(|end| end.0 == field).map_or(self.text.len(), |end| end.1)
    }
}

impl fmt::Write for FormattedDate {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.write_str(text)
    }
}

impl PartsWrite for FormattedDate {
    type SubPartsWrite = Self;

    fn with_part(&mut self, part: Part, mut write: impl FnMut(&mut Self) -> fmt::Result) -> fmt::Result {
        write(self)?;
        let field = match part {
            parts::DAY => Some(Field::Day),
            parts::MONTH => Some(Field::Month),
            parts::YEAR => Some(Field::Year),
            _ => None,
        };
        self.ends.extend(field.map(|field| (field, self.text.len())));
        Ok(())
    }
}

fn icu(date: Date) -> Result<IcuDate<Gregorian>, DateError> {
    IcuDate::try_new_gregorian(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
        .map_err(|_| DateError::OutOfRange(date))
}

/// The day before an exclusive end, as ISO 8601 text.
pub(crate) fn last_day(end: &str) -> Result<String, jiff::Error> {
    Ok(end.parse::<Date>()?.yesterday()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(language: &str) -> String {
        Dates::of(language).unwrap().date("2026-10-01").unwrap()
    }

    #[test]
    fn dates_have_the_format_of_the_language() {
        for (language, expected) in [
            ("en", "1 October 2026"),
            ("en-GB", "1 October 2026"),
            ("en-US", "October 1, 2026"),
            ("de", "1. Oktober 2026"),
            ("de-LU", "1. Oktober 2026"),
            ("fr-CH", "1 octobre 2026"),
            ("es", "1 de octubre de 2026"),
            ("ja", "2026年10月1日"),
            ("xx", "1 October 2026"),
        ] {
            assert_eq!(date(language), expected, "{language}");
        }
        let short = |language: &str| Dates::of(language).unwrap().short_date("2026-10-01").unwrap();
        assert_eq!([short("en"), short("de"), short("fr")], ["1 Oct", "1. Okt.", "1 oct."]);
        assert!(Dates::of("not a language").is_err());
        assert!(Dates::of("en").unwrap().date("1 October").is_err());
    }

    #[test]
    fn the_last_day_is_the_one_before_the_end() {
        assert_eq!(last_day("2026-11-01").unwrap(), "2026-10-31");
    }

    #[test]
    fn the_calendar_is_gregorian_in_every_language() {
        assert!(date("th").contains("2026"), "{}", date("th"));
    }

    #[test]
    fn a_period_does_not_repeat_month_and_year() {
        for (language, expected) in [
            ("en", ["1–31 October 2026", "15 October – 14 November 2026", "15 December 2026 – 14 January 2027"]),
            ("de", ["1.–31. Oktober 2026", "15. Oktober – 14. November 2026", "15. Dezember 2026 – 14. Januar 2027"]),
            ("fr", ["1–31 octobre 2026", "15 octobre – 14 novembre 2026", "15 décembre 2026 – 14 janvier 2027"]),
            (
                "en-US",
                ["October 1 – 31, 2026", "October 15 – November 14, 2026", "December 15, 2026 – January 14, 2027"],
            ),
            (
                "es",
                [
                    "1–31 de octubre de 2026",
                    "15 de octubre – 14 de noviembre de 2026",
                    "15 de diciembre de 2026 – 14 de enero de 2027",
                ],
            ),
            (
                "ja",
                ["2026年10月1日 – 2026年10月31日", "2026年10月15日 – 2026年11月14日", "2026年12月15日 – 2027年1月14日"],
            ),
        ] {
            let dates = Dates::of(language).unwrap();
            let found = [
                dates.period("2026-10-01", "2026-11-01").unwrap(),
                dates.period("2026-10-15", "2026-11-15").unwrap(),
                dates.period("2026-12-15", "2027-01-15").unwrap(),
            ];
            assert_eq!(found.map(|text| text.replace('\u{2009}', " ")), expected, "{language}");
            assert_eq!(dates.period("2026-10-01", "2026-10-02").unwrap(), dates.date("2026-10-01").unwrap());
        }
    }
}
