//! The reference to a CSV file: its path as text, or a table with `path` and the keys of its dialect.

use std::io;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8};

use super::dialects::{DialectKeys, take_dialect};
use super::keys::TableKeys;
use super::table::{Text, Value};
use crate::model::dialect::{DecodeError, Dialect, Suggestion, decode};

/// A reference to a CSV file.
#[derive(Clone, Debug)]
pub(crate) struct CsvFile {
    pub(crate) path: Text,
    pub(crate) dialect: Dialect,
    /// The key of the reference.
    key: String,
    /// Whether the reference is a table.
    is_table: bool,
    /// Whether the table has keys besides `path`.
    pub(crate) has_dialect: bool,
}

impl CsvFile {
    /// Reads the value of the key that names a file. `None` if the value is invalid.
    pub(crate) fn read(value: &Value<'_>, keys: &'static TableKeys, taken: DialectKeys) -> Option<Self> {
        let key = value.name.to_owned();
        if !value.is_table() {
            let path = value.text()?;
            return Some(Self { path, dialect: Dialect::default(), key, is_table: false, has_dialect: false });
        }
        let mut table = value.table(keys)?;
        let path = table.require_text("path");
        let has_dialect = table.has_other_keys("path");
        let dialect = take_dialect(&mut table, taken);
        table.finish();
        Some(Self { path: path?, dialect, key, is_table: true, has_dialect })
    }

    /// A file in the default dialect.
    #[cfg(test)]
    pub(crate) fn plain(path: &str) -> Self {
        let place = crate::model::diagnostic::Place::new(&crate::model::diagnostic::SourceText::new("", ""), 0..0);
        let path = Text { value: path.to_owned(), place };
        Self { path, dialect: Dialect::default(), key: "file".to_owned(), is_table: false, has_dialect: false }
    }

    /// The hint that proposes keys for the file.
    pub(crate) fn hint(&self, entries: &str) -> String {
        if self.is_table {
            return format!("the file seems to need {entries} in `{}`", self.key);
        }
        format!("the file seems to need {} = {{ path = \"{}\", {entries} }}", self.key, self.path.value)
    }

    /// As [`Self::hint`], for suggested keys. `None` if there are none.
    pub(crate) fn suggested(&self, keys: &Suggestion) -> Option<String> {
        (!keys.is_empty()).then(|| self.hint(&keys.entries()))
    }

    /// The hint for a file that cannot be decoded.
    pub(crate) fn encoding_hint(&self, error: &io::Error) -> Option<String> {
        let is_of_encoding = error.get_ref().is_some_and(|inner| inner.is::<DecodeError>());
        is_of_encoding.then(|| match self.dialect.encoding {
            encoding if encoding == UTF_8 => self.hint("encoding = \"windows-1252\""),
            _ => format!("set `encoding` in `{}` to the encoding of the file", self.key),
        })
    }
}

/// Reads a text file from the disk.
pub(crate) fn read_decoded(path: &Path, encoding: &'static Encoding) -> io::Result<String> {
    decode(std::fs::read(path)?, encoding).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
