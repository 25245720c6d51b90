//! The keys of a dialect, in a `[[source]]` and in the tables that name a CSV file.

use encoding_rs::Encoding;

use super::table::{Table, Value};
use super::time_zone::time_zone;
use crate::model::diagnostic::{Diagnostic, closest};
use crate::model::dialect::{Dialect, NumberMarks, TimeUnit};

/// The encodings that a hint proposes for a misspelled label.
const COMMON_ENCODINGS: [&str; 8] =
    ["utf-8", "utf-16le", "utf-16be", "windows-1252", "windows-1250", "windows-1251", "iso-8859-15", "shift_jis"];

/// The groups of keys that a table has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DialectKeys {
    /// `separator`, `quote` and `encoding`.
    pub(crate) cells: bool,
    pub(crate) null_values: bool,
    /// `decimal_mark` and `thousands_mark`.
    pub(crate) numbers: bool,
    pub(crate) time_zone: bool,
    pub(crate) time_unit: bool,
}

/// Takes the keys of a dialect. An absent key has the value of the default dialect.
pub(crate) fn take_dialect(table: &mut Table<'_>, keys: DialectKeys) -> Dialect {
    let mut dialect = Dialect::default();
    if keys.cells {
        take_cells(table, &mut dialect);
    }
    if keys.null_values {
        let texts = table.texts("null_values").unwrap_or_default();
        dialect.null_values = texts.into_iter().map(|text| text.value).collect();
    }
    if keys.numbers {
        take_numbers(table, &mut dialect.numbers);
    }
    if keys.time_zone {
        let file = table.file;
        dialect.clock.time_zone = table.text("time_zone").and_then(|text| time_zone(&text, file));
    }
    if keys.time_unit {
        dialect.clock.time_unit = table.take("time_unit").and_then(|value| time_unit(&value)).unwrap_or_default();
    }
    dialect
}

fn take_cells(table: &mut Table<'_>, dialect: &mut Dialect) {
    let separator = table.take("separator");
    let expected = r#"one ASCII character, such as `;`, `|` or `\t`"#;
    if let Some(found) = separator.as_ref().and_then(|value| byte(value, expected, |byte| byte != b'"')) {
        dialect.separator = found;
    }
    let quote = table.take("quote");
    if let Some(value) = &quote {
        if value.as_str() == Some("none") {
            dialect.quote = None;
        } else if let Some(found) = byte(value, "one ASCII character, or `none`", |byte| byte.is_ascii_graphic()) {
            dialect.quote = Some(found);
        }
    }
    if let Some(value) = quote.or(separator)
        && dialect.quote == Some(dialect.separator)
    {
        bad_dialect(&value, "`quote` and `separator` are the same character", "choose another `quote`, or `none`");
    }
    if let Some(text) = table.text("encoding") {
        match Encoding::for_label_no_replacement(text.value.as_bytes()) {
            Some(encoding) => dialect.encoding = encoding,
            None => {
                let message = format!("`{}` is not the label of an encoding", text.value);
                let hint = match closest(&text.value, COMMON_ENCODINGS) {
                    Some(likely) => format!("did you mean `{likely}`?"),
                    None => format!("use a label of the WHATWG, such as {}", COMMON_ENCODINGS.join(", ")),
                };
                let diagnostic = Diagnostic::error(table.file.codes.bad_dialect, message);
                table.file.problems.push(diagnostic.at(text.place, "unknown encoding").hint(hint));
            }
        }
    }
}

fn take_numbers(table: &mut Table<'_>, marks: &mut NumberMarks) {
    let (decimal, thousands) = (table.take("decimal_mark"), table.take("thousands_mark"));
    if let Some(found) = decimal.as_ref().and_then(|value| mark(value, &['.', ','], "`.` or `,`")) {
        marks.decimal = found;
    }
    let expected = "`.`, `,`, `'` or a space";
    marks.thousands = thousands.as_ref().and_then(|value| mark(value, &['.', ',', '\'', ' '], expected));
    if let Some(value) = thousands.filter(|_| marks.thousands == Some(marks.decimal)) {
        let message = format!("`thousands_mark` and `decimal_mark` are both `{}`", marks.decimal);
        bad_dialect(&value, &message, "set `decimal_mark` to the mark before the decimal places");
    }
}

fn time_unit(value: &Value<'_>) -> Option<TimeUnit> {
    // The most similar name of `ms` is `microseconds`.
    let symbols = ["s", "ms", "us", "ns"];
    let symbol = symbols.iter().zip(TimeUnit::ALL).find(|(symbol, _)| value.as_str() == Some(symbol));
    if let Some((symbol, (name, _))) = symbol {
        bad_dialect(value, &format!("`{}` is `{symbol}`", value.name), &format!("write `{name}`"));
        return None;
    }
    value.choice(&TimeUnit::ALL)
}

/// The only character of a value. Any other value is a problem.
fn byte(value: &Value<'_>, expected: &str, is_valid: impl Fn(u8) -> bool) -> Option<u8> {
    let Some(text) = value.as_str() else {
        value.refuse("text");
        return None;
    };
    match text.as_bytes() {
        [found] if (*found == b'\t' || (b' '..=b'~').contains(found)) && is_valid(*found) => Some(*found),
        _ => {
            bad_dialect(value, &format!("`{}` is `{text}`", value.name), &format!("write {expected}"));
            None
        }
    }
}

fn mark(value: &Value<'_>, marks: &[char], expected: &str) -> Option<char> {
    let Some(text) = value.as_str() else {
        value.refuse("text");
        return None;
    };
    let found = marks.iter().find(|mark| text.chars().eq([**mark])).copied();
    if found.is_none() {
        bad_dialect(value, &format!("`{}` is `{text}`", value.name), &format!("write {expected}"));
    }
    found
}

fn bad_dialect(value: &Value<'_>, message: &str, hint: &str) {
    let diagnostic = Diagnostic::error(value.file.codes.bad_dialect, message);
    value.file.problems.push(diagnostic.at(value.place(), "invalid value").hint(hint));
}
