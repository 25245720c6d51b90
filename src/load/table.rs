//! A reader of TOML tables that takes keys one by one and reports the remaining keys as unknown.
//!
//! Deserialization into structs stops at the first problem. This reader continues after a problem, and every value
//! contains its place in the file.

use std::ops::Range;
use std::sync::Arc;

use iso_currency::Currency;
use toml::de::{DeTable, DeValue};

use super::keys::TableKeys;
use super::problems::{Problems, suggestion};
use crate::model::diagnostic::{Diagnostic, Place, SourceText};
use crate::model::money::{DecimalNumber, PARSED_DIGITS, ParseDecimalError};

/// The codes of the problems that all kinds of files can have. The prefix of a code is the kind of the file.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) syntax: &'static str,
    pub(crate) unreadable: &'static str,
    pub(crate) unknown_key: &'static str,
    pub(crate) missing_key: &'static str,
    pub(crate) wrong_type: &'static str,
    pub(crate) empty_text: &'static str,
    pub(crate) bad_number: &'static str,
    pub(crate) bad_country: &'static str,
    pub(crate) unknown_value: &'static str,
    pub(crate) empty_validity: &'static str,
    pub(crate) bad_dialect: &'static str,
    pub(crate) unknown_time_zone: &'static str,
}

macro_rules! codes {
    ($area:literal) => {
        Codes {
            syntax: concat!($area, "::syntax"),
            unreadable: concat!($area, "::unreadable"),
            unknown_key: concat!($area, "::unknown_key"),
            missing_key: concat!($area, "::missing_key"),
            wrong_type: concat!($area, "::wrong_type"),
            empty_text: concat!($area, "::empty_text"),
            bad_number: concat!($area, "::bad_number"),
            bad_country: concat!($area, "::bad_country"),
            unknown_value: concat!($area, "::unknown_word"),
            empty_validity: concat!($area, "::empty_validity"),
            bad_dialect: concat!($area, "::bad_dialect"),
            unknown_time_zone: concat!($area, "::unknown_time_zone"),
        }
    };
}

pub(crate) const RULES: Codes = codes!("rules");
pub(crate) const CONFIG: Codes = codes!("config");
pub(crate) const ACCOUNTS: Codes = codes!("accounts");

/// A file to read, with the collection of its problems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) source: &'a Arc<SourceText>,
    pub(crate) codes: &'static Codes,
    pub(crate) problems: &'a Problems,
    /// The default currency of a rule file, for tables without a `currency`.
    pub(crate) currency: Option<Currency>,
}

impl<'a> File<'a> {
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span)
    }

    /// The entries of the file. If the text is not valid TOML, a problem is reported and the result is `None`.
    pub(crate) fn parse(&self) -> Option<DeTable<'a>> {
        match DeTable::parse(&self.source.text) {
            Ok(table) => Some(table.into_inner()),
            Err(error) => {
                let message = format!("not valid TOML: {}", error.message().replace('\n', ", "));
                let place = self.place(error.span().unwrap_or(0..0));
                self.problems.push(Diagnostic::error(self.codes.syntax, message).at(place, "here"));
                None
            }
        }
    }

    /// The root table of the file.
    pub(crate) fn root(self, entries: &'a DeTable<'a>, keys: &'static TableKeys) -> Table<'a> {
        Table { file: self, entries, header: 0..0, keys, known: Vec::new() }
    }
}

/// A table whose keys are taken one by one.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) file: File<'a>,
    entries: &'a DeTable<'a>,
    header: Range<usize>,
    keys: &'static TableKeys,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The place of the header, such as `[[rule]]`, or of an inline table.
    pub(crate) fn place(&self) -> Place {
        self.file.place(self.header.clone())
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(self.keys.declares(key), "`{key}` is not declared in `load::keys` for {}", self.keys.what);
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Value {
            file: self.file,
            name: name.get_ref().as_ref(),
            key: name.span(),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// Takes a key, and reports a problem if it is absent.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.missing(key);
        }
        value
    }

    pub(crate) fn missing(&self, key: &str) {
        let message = format!("`{key}` is missing in {}", self.keys.what);
        let hint = format!("add `{key} = …`");
        let diagnostic = Diagnostic::error(self.file.codes.missing_key, message);
        self.file.problems.push(diagnostic.at(self.place(), format!("`{key}` is required")).hint(hint));
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text> {
        self.take(key)?.text()
    }

    pub(crate) fn require_text(&mut self, key: &'static str) -> Option<Text> {
        self.require(key)?.text()
    }

    /// A text without its place. No later message can show the place of such a value.
    pub(crate) fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|text| text.value)
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
        self.take(key)?.texts()
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&mut self, key: &'static str, keys: &'static TableKeys) -> Vec<Table<'a>> {
        self.take(key).and_then(|value| value.tables(keys)).unwrap_or_default()
    }

    /// A country code of ISO 3166 in two capital letters.
    pub(crate) fn country(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if text.value.len() == 2 && text.value.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Some(text.value);
        }
        let message = format!("`{}` is not a country code, expected two capital letters", text.value);
        let diagnostic = Diagnostic::error(self.file.codes.bad_country, message);
        let hint = "use the two-letter code of ISO 3166, such as `FR`";
        self.file.problems.push(diagnostic.at(text.place, "not a country code").hint(hint));
        None
    }

    /// Reports the remaining keys as unknown.
    pub(crate) fn finish(self) {
        for (key, _) in self.entries {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let diagnostic = self.of_other_kind(name).unwrap_or_else(|| {
                let message = format!("unknown key `{name}` in {}", self.keys.what);
                let hint = suggestion(name, self.known.iter().copied(), "keys");
                Diagnostic::error(self.file.codes.unknown_key, message).hint(hint)
            });
            self.file.problems.push(diagnostic.at(self.file.place(key.span()), "unknown key"));
        }
    }

    /// The problem of a key that is valid only with other values of the deciding key, such as another format.
    fn of_other_kind(&self, name: &str) -> Option<Diagnostic> {
        let decided_by = self.keys.decided_by?;
        let found = self.entries.get(decided_by)?.get_ref().as_str()?;
        let key = self.keys.keys.iter().find(|key| key.name == name)?;
        if key.only_with.is_empty() || key.only_with.contains(&found) {
            return None;
        }
        let message = format!("`{name}` is not valid in {} with {decided_by} = \"{found}\"", self.keys.what);
        let hint = format!("remove `{name}`, which is for `{}`", key.only_with.join("`, `"));
        Some(Diagnostic::error(self.file.codes.unknown_key, message).hint(hint))
    }

    /// Whether the table has a key other than `key`.
    pub(crate) fn has_other_keys(&self, key: &str) -> bool {
        self.entries.keys().any(|name| name.get_ref() != key)
    }

    /// The remaining entries of a table with free keys, such as the values of a dimension or the dimensions of a meter.
    pub(crate) fn rest(self) -> Vec<Value<'a>> {
        self.entries
            .iter()
            .filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref()))
            .map(|(key, value)| Value {
                file: self.file,
                name: key.get_ref().as_ref(),
                key: key.span(),
                span: value.span(),
                value: value.get_ref(),
            })
            .collect()
    }

    /// The keys of all `take` calls so far.
    pub(crate) fn known(&self) -> &[&'static str] {
        &self.known
    }
}

/// A text and its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// The place of the text, including the quotes.
    pub(crate) place: Place,
}

impl Text {
    /// The place of the text without the quotes. If the text has no escapes, offsets in the text are
    /// offsets from the start of this place.
    pub(crate) fn inner_place(&self) -> Place {
        let span = self.place.span.clone();
        let raw = self.place.source.text.get(span.clone()).unwrap_or_default();
        let quotes = if raw.len() >= 6 && (raw.starts_with("\"\"\"") || raw.starts_with("'''")) { 3 } else { 1 };
        if raw.len() < 2 * quotes {
            return self.place.clone();
        }
        // A line break right after three quotes is not part of the text.
        let body = &raw[quotes..raw.len() - quotes];
        let skipped = match quotes {
            3 if body.starts_with("\r\n") => 2,
            3 if body.starts_with('\n') => 1,
            _ => 0,
        };
        Place::new(&self.place.source, span.start + quotes + skipped..span.end - quotes)
    }
}

/// A value of a table or array.
#[derive(Clone, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) file: File<'a>,
    /// The key of the value, or of the array that contains it.
    pub(crate) name: &'a str,
    key: Range<usize>,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(crate) fn place(&self) -> Place {
        self.file.place(self.span.clone())
    }

    pub(crate) fn key_place(&self) -> Place {
        self.file.place(self.key.clone())
    }

    /// The value as written in the file.
    fn raw(&self) -> &'a str {
        self.file.source.text.get(self.span.clone()).unwrap_or_default()
    }

    fn wrong_type(&self, expected: &str) -> Diagnostic {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        Diagnostic::error(self.file.codes.wrong_type, format!("`{}` is {found}, expected {expected}", self.name))
            .at(self.place(), format!("expected {expected}"))
    }

    /// Reports that the value does not have the expected type.
    pub(crate) fn refuse(&self, expected: &str) {
        let mut diagnostic = self.wrong_type(expected);
        if expected.contains("text") && matches!(self.value, DeValue::Integer(_) | DeValue::Float(_)) {
            diagnostic = diagnostic.hint(format!("write it in quotes: \"{}\"", self.raw()));
        }
        if expected == "an integer" && matches!(self.value, DeValue::String(_)) {
            diagnostic = diagnostic.hint("write it without quotes");
        }
        self.file.problems.push(diagnostic);
    }

    pub(crate) fn as_str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(crate) fn datetime(&self) -> Option<toml::value::Datetime> {
        self.value.as_datetime().copied()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Option<Text> {
        let Some(text) = self.value.as_str() else {
            self.refuse("text");
            return None;
        };
        if text.trim().is_empty() {
            let diagnostic = Diagnostic::error(self.file.codes.empty_text, format!("`{}` is empty", self.name));
            let hint = "write a value, or remove the key";
            self.file.problems.push(diagnostic.at(self.place(), "empty").hint(hint));
            return None;
        }
        Some(Text { value: text.to_owned(), place: self.place() })
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.refuse("`true` or `false`");
        }
        boolean
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        let Some(integer) = self.value.as_integer() else {
            self.refuse("an integer");
            return None;
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if value.is_none() {
            let message = format!("`{}` is outside of the range of 64-bit integers", self.name);
            let diagnostic = Diagnostic::error(self.file.codes.bad_number, message);
            self.file.problems.push(diagnostic.at(self.place(), "out of range"));
        }
        value
    }

    pub(crate) fn elements(&self, expected: &str) -> Option<Vec<Value<'a>>> {
        let Some(array) = self.value.as_array() else {
            self.refuse(expected);
            return None;
        };
        let element = |value: &'a toml::Spanned<DeValue<'a>>| Value {
            file: self.file,
            name: self.name,
            key: self.key.clone(),
            span: value.span(),
            value: value.get_ref(),
        };
        Some(array.iter().map(element).collect())
    }

    /// The texts of an array. Elements of other types are reported as problems.
    pub(crate) fn texts(&self) -> Option<Vec<Text>> {
        Some(self.elements("an array of text")?.iter().filter_map(Value::text).collect())
    }

    pub(crate) fn table(&self, keys: &'static TableKeys) -> Option<Table<'a>> {
        let Some(entries) = self.value.as_table() else {
            self.refuse("a table");
            return None;
        };
        Some(Table { file: self.file, entries, header: self.span.clone(), keys, known: Vec::new() })
    }

    pub(crate) fn tables(&self, keys: &'static TableKeys) -> Option<Vec<Table<'a>>> {
        Some(self.elements("an array of tables")?.iter().filter_map(|value| value.table(keys)).collect())
    }

    /// A decimal in quotes. A number without quotes is an error, because TOML's floats are binary and not exact.
    pub(crate) fn decimal<N: DecimalNumber>(&self) -> Option<N> {
        let Some(text) = self.value.as_str() else {
            let mut diagnostic = self.wrong_type("a decimal in quotes");
            match self.value {
                DeValue::Float(_) => {
                    diagnostic = diagnostic
                        .hint(format!("write it in quotes, because floats are not exact: \"{}\"", self.raw()));
                }
                DeValue::Integer(_) => diagnostic = diagnostic.hint(format!("write it in quotes: \"{}\"", self.raw())),
                _ => {}
            }
            self.file.problems.push(diagnostic);
            return None;
        };
        self.exact(text)
    }

    /// The exact decimal in `text`, which is this value or a part of this value.
    pub(crate) fn exact<N: DecimalNumber>(&self, text: &str) -> Option<N> {
        match N::parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.file.problems.push(bad_decimal::<N>(self.file.codes, self.name, text, error, self.place()));
                None
            }
        }
    }

    pub(crate) fn non_negative<N: DecimalNumber>(&self) -> Option<N> {
        self.not_negative(self.decimal()?)
    }

    pub(crate) fn not_negative<N: DecimalNumber>(&self, value: N) -> Option<N> {
        if value.to_units() < 0 {
            self.file.problems.push(negative(self.file.codes, self.name, value, self.place()));
            return None;
        }
        Some(value)
    }

    pub(crate) fn positive<N: DecimalNumber>(&self) -> Option<N> {
        self.not_zero(self.non_negative()?)
    }

    pub(crate) fn not_zero<N: DecimalNumber>(&self, value: N) -> Option<N> {
        if value.to_units() == 0 {
            let message = format!("`{}` is zero, expected more than zero", self.name);
            self.file.problems.push(Diagnostic::error(self.file.codes.bad_number, message).at(self.place(), "zero"));
            return None;
        }
        Some(value)
    }

    /// Reports a number that is too large for the type `N`.
    pub(crate) fn too_large<N: DecimalNumber>(&self) {
        let error = ParseDecimalError::OutOfRange;
        let text = self.as_str().unwrap_or_default();
        self.file.problems.push(bad_decimal::<N>(self.file.codes, self.name, text, error, self.place()));
    }

    /// The choice whose name is the text of the value. An unknown name is a problem.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text.value);
        if found.is_none() {
            let message = format!("`{}` is not a value of `{}`", text.value, self.name);
            let hint = suggestion(&text.value, choices.iter().map(|(name, _)| *name), "values");
            let diagnostic = Diagnostic::error(self.file.codes.unknown_value, message);
            self.file.problems.push(diagnostic.at(text.place, "unknown value").hint(hint));
        }
        found.map(|(_, value)| *value)
    }
}

/// The error for a text that is not a number of the type `N`.
pub(crate) fn bad_decimal<N: DecimalNumber>(
    codes: &Codes,
    name: &str,
    text: &str,
    error: ParseDecimalError,
    place: Place,
) -> Diagnostic {
    let hint = match error {
        ParseDecimalError::Malformed => "write digits with a decimal point, such as \"0.02\"".to_owned(),
        ParseDecimalError::NotFinite => "write a finite number, such as \"0.02\"".to_owned(),
        ParseDecimalError::OutOfRange => {
            let digits = PARSED_DIGITS.saturating_sub(N::PLACES);
            format!("write at most {digits} digits before the decimal point")
        }
        ParseDecimalError::TooManyPlaces => format!("write at most {} decimal places", N::PLACES),
    };
    Diagnostic::error(codes.bad_number, format!("`{name}` is \"{text}\", which {error}"))
        .at(place, "invalid number")
        .hint(hint)
}

pub(crate) fn negative(codes: &Codes, name: &str, value: impl DecimalNumber, place: Place) -> Diagnostic {
    Diagnostic::error(codes.bad_number, format!("`{name}` is {value}, expected zero or more")).at(place, "negative")
}
