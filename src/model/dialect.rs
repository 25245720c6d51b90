//! The notation of a text file: the separator and quote of its cells, its encoding, numbers and times.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use jiff::tz::TimeZone;

use super::money::Quantity;

/// The notation of a file. All readers of CSV use this type. Readers of Parquet and JSON use only its clock.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// The character between the cells of a row.
    pub separator: u8,
    /// The character around a cell that contains separators or line breaks. `None`: cells have no quotes.
    pub quote: Option<u8>,
    pub encoding: &'static Encoding,
    pub numbers: NumberMarks,
    /// The texts of a cell without a value, in addition to the empty text.
    pub null_values: Vec<String>,
    pub clock: Clock,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            separator: b',',
            quote: Some(b'"'),
            encoding: UTF_8,
            numbers: NumberMarks::default(),
            null_values: Vec::new(),
            clock: Clock::default(),
        }
    }
}

/// The marks within numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberMarks {
    /// The mark before the decimal places: a point or a comma.
    pub decimal: char,
    /// The mark between groups of three digits. `None`: a number has no groups.
    pub thousands: Option<char>,
}

impl Default for NumberMarks {
    fn default() -> Self {
        Self { decimal: '.', thousands: None }
    }
}

/// The interpretation of times without an offset and of numbers that count from 1970.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The time zone of a time without an offset. `None`: the default of the file, such as UTC for usage.
    pub time_zone: Option<TimeZone>,
    pub time_unit: TimeUnit,
}

/// The unit of a number that counts from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    #[default]
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    pub const ALL: [(&'static str, Self); 4] = [
        ("seconds", Self::Seconds),
        ("milliseconds", Self::Milliseconds),
        ("microseconds", Self::Microseconds),
        ("nanoseconds", Self::Nanoseconds),
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

impl Clock {
    /// Whether times are read as in all other formats: without an offset in UTC, and numbers as seconds.
    pub fn is_default(&self) -> bool {
        self.time_zone.is_none() && self.time_unit == TimeUnit::Seconds
    }

    /// The name of the time zone of times without an offset.
    pub fn zone_name(&self) -> &str {
        self.time_zone.as_ref().map_or("UTC", |zone| zone.iana_name().unwrap_or("the time zone of the source"))
    }
}

impl NumberMarks {
    /// The number with a decimal point and without marks between groups. `None` if the marks are at invalid positions.
    ///
    /// A group mark is valid only before exactly three digits, so that `1.5` is never read as 15.
    pub fn canonical<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if *self == Self::default() {
            return Some(Cow::Borrowed(text));
        }
        let (whole, places) = match text.trim().split_once(self.decimal) {
            Some((whole, places)) => (whole, Some(places)),
            None => (text.trim(), None),
        };
        let mut canonical = self.without_groups(whole)?;
        if let Some(places) = places {
            canonical.push('.');
            canonical.push_str(places);
        }
        let is_unmarked = |part: &str| !part.contains(['.', ',']);
        (is_unmarked(places.unwrap_or_default()) && canonical.matches('.').count() <= 1 && !canonical.contains(','))
            .then_some(Cow::Owned(canonical))
    }

    /// The keys by which a text becomes a number. They are empty if the text is a number already, or is ambiguous.
    pub fn suggestion(&self, text: &str) -> Suggestion {
        let is_number = |decimal, thousands| {
            let canonical = Self { decimal, thousands }.canonical(text);
            canonical.is_some_and(|canonical| Quantity::parse_rounded(&canonical).is_ok())
        };
        let (decimal, thousands) =
            (("decimal_mark", "\",\"".to_owned()), |mark| ("thousands_mark", format!("\"{mark}\"")));
        Suggestion(if *self != Self::default() || is_number('.', None) {
            Vec::new()
        } else {
            match (is_number(',', None), is_number('.', Some(',')), is_number(',', Some('.'))) {
                (true, false, _) => vec![decimal],
                (false, true, _) => vec![thousands(',')],
                (false, false, true) => vec![decimal, thousands('.')],
                // The comma of `1,000` is either mark.
                _ => Vec::new(),
            }
        })
    }

    /// The expected marks, for a message about a number. `None` if the marks are the default.
    pub fn expected(&self) -> Option<String> {
        let thousands = self.thousands.map(|mark| format!(" and the thousands mark `{mark}`")).unwrap_or_default();
        (*self != Self::default()).then(|| format!("expected the decimal mark `{}`{thousands}", self.decimal))
    }

    /// The digits before the decimal mark, without the marks between their groups.
    fn without_groups(&self, whole: &str) -> Option<String> {
        let is_group_mark = |found: char| self.thousands.is_some_and(|mark| alike(mark).contains(&found));
        if !whole.contains(is_group_mark) {
            return (!whole.contains(['.', ','])).then(|| whole.to_owned());
        }
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        for (index, group) in digits.split(is_group_mark).enumerate() {
            let is_valid = if index == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
            if !is_valid || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
        }
        Some(whole.replace(is_group_mark, ""))
    }
}

/// The characters that are written for a group mark. Spreadsheets write narrow spaces and typographic apostrophes.
fn alike(mark: char) -> &'static [char] {
    match mark {
        '.' => &['.'],
        ',' => &[','],
        '\'' => &['\'', '\u{2019}'],
        _ => &[' ', '\u{a0}', '\u{202f}'],
    }
}

/// Invalid bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not {}", encoding.name())]
pub struct DecodeError {
    pub line: usize,
    pub encoding: &'static Encoding,
}

/// Decodes a whole file. An invalid byte is an error, because a replacement character would change a value.
pub fn decode(bytes: Vec<u8>, encoding: &'static Encoding) -> Result<String, DecodeError> {
    let breaks = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
    if encoding == UTF_8 {
        return String::from_utf8(bytes).map_err(|error| {
            let line = breaks(&error.as_bytes()[..error.utf8_error().valid_up_to()]) + 1;
            DecodeError { line, encoding }
        });
    }
    if let Some(line) = other_byte_order_mark(&bytes, encoding).map(|_| 1) {
        return Err(DecodeError { line, encoding });
    }
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    loop {
        text.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()) + 16);
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        rest = &rest[read..];
        match result {
            encoding_rs::DecoderResult::InputEmpty => return Ok(text),
            encoding_rs::DecoderResult::OutputFull => {}
            encoding_rs::DecoderResult::Malformed(..) => {
                return Err(DecodeError { line: breaks(text.as_bytes()) + 1, encoding });
            }
        }
    }
}

/// The encoding of a file's byte order mark, if it differs from the expected encoding.
pub fn other_byte_order_mark(bytes: &[u8], expected: &'static Encoding) -> Option<&'static Encoding> {
    Encoding::for_bom(bytes).map(|(found, _)| found).filter(|found| *found != expected)
}

/// The UTF-16 encoding of a binary text that begins with a byte order mark or with an ASCII character. `None` for other
/// binary data.
pub fn utf_16_of(bytes: &[u8]) -> Option<&'static Encoding> {
    let by_mark = Encoding::for_bom(bytes).map(|(found, _)| found).filter(|found| *found != UTF_8);
    by_mark.or(match bytes {
        [first, 0, second, 0, ..] if first.is_ascii() && second.is_ascii() && *first != 0 => Some(UTF_16LE),
        [0, first, 0, second, ..] if first.is_ascii() && second.is_ascii() && *first != 0 => Some(UTF_16BE),
        _ => None,
    })
}

/// The length of a first line that only states the separator, such as `sep=;`, with its line break. `None` for any
/// other first line. Exports for a spreadsheet program begin with it, so it is no header.
pub fn separator_line(text: &[u8]) -> Option<usize> {
    let length = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let line = text.get(..length)?;
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (key, separator) = line.split_at_checked(4)?;
    let is_separator = matches!(separator, [byte] if byte.is_ascii_punctuation() || *byte == b'\t');
    (key.eq_ignore_ascii_case(b"sep=") && is_separator).then_some(length)
}

/// The suggested keys for a file that the present keys do not fit, each with its value as TOML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion(Vec<(&'static str, String)>);

impl Suggestion {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that separate and decode cells. A select reads numbers itself.
    pub fn of_cells(self) -> Self {
        Self(self.0.into_iter().filter(|(key, _)| ["separator", "encoding"].contains(key)).collect())
    }

    /// The keys as the entries of an inline table, such as `separator = ";", decimal_mark = ","`.
    pub fn entries(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        entries.join(", ")
    }
}

/// The rows of a file that are examined for a suggestion.
const EXAMINED_ROWS: usize = 20;

impl Dialect {
    /// A parser of rows in this dialect.
    pub fn rows(&self) -> csv::ReaderBuilder {
        let mut builder = csv::ReaderBuilder::new();
        // The readers compare the number of cells themselves, so that a message contains the row.
        builder.has_headers(false).flexible(true).delimiter(self.separator);
        match self.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        builder
    }

    pub fn is_null(&self, cell: &str) -> bool {
        cell.is_empty() || self.null_values.iter().any(|null| null == cell)
    }

    /// Whether a text is UTF-8 that was read in another encoding: `ZÃ¤hler` in place of `Zähler`.
    fn reads_utf8_wrongly(&self, text: &str) -> bool {
        let (bytes, _, is_replaced) = self.encoding.encode(text);
        self.encoding != UTF_8 && !is_replaced && !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok()
    }

    /// The keys for a file whose header was read as `header`. `rows` is the text after the header.
    pub fn suggestion(&self, header: &[String], rows: &str) -> Suggestion {
        let mut found = Vec::new();
        if header.iter().any(|name| name.contains('\u{fffd}')) && self.encoding == UTF_8 {
            found.push(("encoding", "\"windows-1252\"".to_owned()));
        } else if header.iter().any(|name| self.reads_utf8_wrongly(name)) {
            found.push(("encoding", "\"utf-8\"".to_owned()));
        }
        let [only] = header else { return Suggestion(found) };
        let count = |separator: char| only.matches(separator).count();
        let candidates = [';', '\t', '|', ','].into_iter().filter(|candidate| !self.separator.eq(&(*candidate as u8)));
        let Some(separator) = candidates.filter(|candidate| count(*candidate) > 0).max_by_key(|one| count(*one)) else {
            return Suggestion(found);
        };
        found.push(("separator", if separator == '\t' { r#""\t""#.to_owned() } else { format!("\"{separator}\"") }));
        let cells = || rows.lines().take(EXAMINED_ROWS).flat_map(|row| row.split(separator));
        let cells = || cells().map(|cell| cell.trim().trim_matches('"'));
        let comma = NumberMarks { decimal: ',', thousands: None };
        let grouped = NumberMarks { decimal: ',', thousands: Some('.') };
        let is_number = |cell: &str, marks: NumberMarks| {
            let canonical = marks.canonical(cell).unwrap_or_default();
            cell.contains(',')
                && canonical.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
                && canonical.bytes().any(|byte| byte.is_ascii_digit())
        };
        if self.numbers == NumberMarks::default() && separator != ',' {
            if cells().any(|cell| is_number(cell, grouped)) {
                found.push(("decimal_mark", "\",\"".to_owned()));
            }
            if cells().any(|cell| is_number(cell, grouped) && !is_number(cell, comma)) {
                found.push(("thousands_mark", "\".\"".to_owned()));
            }
        }
        Suggestion(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(decimal: char, thousands: Option<char>, text: &str) -> Option<String> {
        NumberMarks { decimal, thousands }.canonical(text).map(Cow::into_owned)
    }

    #[test]
    fn a_first_line_can_state_the_separator() {
        for line in ["sep=;", "sep=,", "SEP=|", "sep=\t", "\"sep=;\""] {
            assert_eq!(separator_line(line.as_bytes()), Some(line.len()), "{line:?}");
            assert_eq!(separator_line(format!("{line}\r\nmeter\n").as_bytes()), Some(line.len() + 2), "{line:?}");
        }
        for line in ["", "sep", "sep=", "sep=ab", "sep=a", "sep=;x", "meter;sep=;", "sep=;;"] {
            assert_eq!(separator_line(format!("{line}\nsep=;\n").as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn marks_have_one_meaning_or_the_number_is_refused() {
        for (decimal, thousands, text, expected) in [
            ('.', None, "1,5", Some("1,5")),
            (',', None, "1,5", Some("1.5")),
            (',', None, " -0,25 ", Some("-0.25")),
            (',', None, "1,5E+03", Some("1.5E+03")),
            (',', None, "1000", Some("1000")),
            (',', None, "NaN", Some("NaN")),
            (',', None, "1.5", None),
            (',', None, "1,000,000", None),
            (',', None, "1.000,25", None),
            (',', Some('.'), "1.000,25", Some("1000.25")),
            (',', Some('.'), "-12.345.678", Some("-12345678")),
            (',', Some('.'), "1000,25", Some("1000.25")),
            (',', Some('.'), "1.5", None),
            (',', Some('.'), "1.0000", None),
            (',', Some('.'), "1000.000", None),
            (',', Some('.'), "1..000", None),
            (',', Some('.'), ".000", None),
            (',', Some('.'), "1,000.5", None),
            ('.', Some(','), "1,234.5", Some("1234.5")),
            ('.', Some(','), "1,5", None),
            ('.', Some(' '), "1\u{202f}234\u{a0}567.5", Some("1234567.5")),
            ('.', Some('\''), "1\u{2019}234'567", Some("1234567")),
        ] {
            assert_eq!(read(decimal, thousands, text).as_deref(), expected, "{decimal} {thousands:?} {text}");
        }
    }

    #[test]
    fn a_text_is_decoded_or_its_line_is_reported() {
        let latin = Encoding::for_label(b"latin1").unwrap();
        assert_eq!(decode(b"Z\xe4hler\n\x80".to_vec(), latin).unwrap(), "Z\u{e4}hler\n\u{20ac}");
        let wide = Encoding::for_label(b"utf-16le").unwrap();
        assert_eq!(decode(b"\xff\xfea\0\n\0\xe4\0".to_vec(), wide).unwrap(), "a\n\u{e4}");
        assert_eq!(decode(b"a\0\n\0\0\xd8b\0".to_vec(), wide).unwrap_err().to_string(), "line 2 is not UTF-16LE");
        assert_eq!(decode(b"a\n\nb\xff".to_vec(), UTF_8).unwrap_err().to_string(), "line 3 is not UTF-8");
        // A byte order mark of another encoding contradicts the configuration.
        assert_eq!(decode(b"\xef\xbb\xbfa".to_vec(), latin).unwrap_err().line, 1);
        assert_eq!(decode(b"\xef\xbb\xbfa".to_vec(), UTF_8).unwrap(), "\u{feff}a");
    }

    #[test]
    fn a_header_of_one_cell_suggests_keys() {
        let keys = |header: &str, rows: &str| Dialect::default().suggestion(&[header.to_owned()], rows).entries();
        assert_eq!(keys("meter", "1,5"), "");
        assert_eq!(keys("Meter;Menge", "a;1\n"), r#"separator = ";""#);
        assert_eq!(keys("Meter;Menge", "a;\"1,5\"\n"), r#"separator = ";", decimal_mark = ",""#);
        let german = r#"separator = ";", decimal_mark = ",", thousands_mark = ".""#;
        assert_eq!(keys("Meter;Menge", "a;1,5\nb;1.000,25\n"), german);
        assert_eq!(keys("a\tb|c\td", ""), r#"separator = "\t""#);
        assert_eq!(keys("a|b", "x,y|2"), r#"separator = "|""#);
        assert_eq!(keys("Z\u{fffd}hler;b", ""), r#"encoding = "windows-1252", separator = ";""#);
        let semicolons = Dialect { separator: b';', ..Dialect::default() };
        assert_eq!(semicolons.suggestion(&["a,b".to_owned()], "1,2").entries(), r#"separator = ",""#);
        assert!(Dialect::default().suggestion(&["a;b".to_owned(), "c".to_owned()], "").is_empty());
    }

    proptest! {
        #[test]
        fn a_number_is_equal_in_every_notation(
            units in -10i64.pow(12)..10i64.pow(12), places in 0usize..6,
            marks in prop::sample::select(vec![(',', Some('.')), (',', None), ('.', Some(',')), (',', Some(' '))])
        ) {
            let digits = format!("{:0>width$}", units.unsigned_abs(), width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let sign = if units < 0 { "-" } else { "" };
            let plain = format!("{sign}{whole}{}{fraction}", if places > 0 { "." } else { "" });
            let (decimal, thousands) = marks;
            let mut grouped = String::new();
            for (index, digit) in whole.chars().enumerate() {
                if let Some(mark) = thousands.filter(|_| index > 0 && (whole.len() - index) % 3 == 0) {
                    grouped.push(mark);
                }
                grouped.push(digit);
            }
            let decimal_mark = if places > 0 { decimal.to_string() } else { String::new() };
            let written = format!("{sign}{grouped}{decimal_mark}{fraction}");
            prop_assert_eq!(read(decimal, thousands, &written), Some(plain));
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC*", header in "\\PC*") {
            let _ = read(',', Some('.'), &text);
            let _ = Dialect::default().suggestion(&[header], &text);
        }
    }
}
