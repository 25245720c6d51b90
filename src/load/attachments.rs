//! CSV files: the rows of any CSV file, and the price lists and lookups that rule files refer to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;

use super::csv_file::CsvFile;
use super::dialects::DialectKeys;
use super::keys::TableKeys;
use super::problems::reason;
use super::table::{Text, Value};
use crate::model::diagnostic::{Diagnostic, Place, SourceText};
use crate::model::dialect::{Suggestion, separator_line};
use crate::model::money::{DecimalNumber, ParseDecimalError};

/// A function that reads a file in an encoding. Tests and committed inputs replace the disk. Committed inputs contain
/// decoded texts.
pub type ReadText<'a> = &'a dyn Fn(&Path, &'static Encoding) -> io::Result<String>;

/// A file that was read, with its encoding.
type ReadFile = (io::Result<Arc<SourceText>>, &'static Encoding);

/// The CSV files that rule files refer to. Each CSV file is read once.
pub(crate) struct SideFiles<'a> {
    read: ReadText<'a>,
    texts: RefCell<BTreeMap<PathBuf, ReadFile>>,
}

impl<'a> SideFiles<'a> {
    pub(crate) fn new(read: ReadText<'a>) -> Self {
        Self { read, texts: RefCell::default() }
    }

    /// The file that `value` names, relative to `folder`, the directory of the rule file.
    pub(crate) fn open(
        &self,
        value: &Value<'_>,
        keys: &'static TableKeys,
        taken: DialectKeys,
        folder: &Path,
    ) -> Option<(Arc<SourceText>, CsvFile)> {
        let csv = CsvFile::read(value, keys, taken)?;
        let Text { value: file, place } = csv.path.clone();
        let path = Path::new(&file);
        // A commit contains the rules with all their files, so a file must be below the directory of the rule file.
        if !path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
            let message = format!("`{file}` is outside of the directory of the rule file");
            let hint = "move the file to the directory of the rule file and write its path without `..`";
            let diagnostic = Diagnostic::error("rules::bad_file", message).at(place, "outside of the directory");
            value.file.problems.push(diagnostic.hint(hint));
            return None;
        }
        let name = Path::new(&value.file.source.name).parent().unwrap_or(Path::new("")).join(path);
        let name = name.to_string_lossy().into_owned();
        let path = folder.join(path);
        let encoding = csv.dialect.encoding;
        let mut texts = self.texts.borrow_mut();
        let (text, read_in) = texts.entry(path.clone()).or_insert_with(|| {
            ((self.read)(&path, encoding).map(|text| SourceText::new(name.clone(), text)), encoding)
        });
        // A commit contains one text of each file.
        if *read_in != encoding {
            let message = format!("`{name}` is read as {} here and as {} before", encoding.name(), read_in.name());
            let diagnostic = Diagnostic::error("rules::bad_file", message).at(place, "another encoding");
            value.file.problems.push(diagnostic.hint("use the same `encoding` in all references to the file"));
            return None;
        }
        match text {
            Ok(text) => Some((Arc::clone(text), csv)),
            Err(error) => {
                let message = format!("cannot read `{name}`: {}", reason(error));
                let diagnostic = Diagnostic::error("rules::unreadable", message).at(place, "referenced here");
                value.file.problems.push(match csv.encoding_hint(error) {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                });
                None
            }
        }
    }

    /// The texts of all files that were read.
    pub(crate) fn into_texts(self) -> impl Iterator<Item = Arc<SourceText>> {
        self.texts.into_inner().into_values().filter_map(|(text, _)| text.ok())
    }
}

/// A CSV file with a header.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    /// The place of the header.
    pub(crate) header: Place,
    pub(crate) rows: Vec<Row>,
    pub(crate) file: CsvFile,
    /// The keys that the file seems to need.
    suggestion: Suggestion,
}

/// A row with as many cells as the header.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    pub(crate) line: usize,
    pub(crate) place: Place,
}

impl Rows {
    /// The valid rows, and the problems of the other rows.
    pub(crate) fn parse(source: &Arc<SourceText>, file: &CsvFile) -> (Self, Vec<Diagnostic>) {
        let mut problems = Vec::new();
        // Spreadsheets write a byte order mark, which is not part of the first column's name.
        let skipped = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &source.text[skipped..];
        let mut reader = file.dialect.rows().trim(csv::Trim::All).from_reader(text.as_bytes());
        let mut records = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => records.push(row(source, skipped, &record)),
                Err(error) => {
                    let diagnostic = Diagnostic::error("rules::bad_csv", format!("not valid CSV: {error}"));
                    problems.push(diagnostic.at(Place::new(source, 0..0), "in this file"));
                }
            }
        }
        let mut records = records.into_iter().skip(usize::from(separator_line(text.as_bytes()).is_some()));
        let header = records.next();
        let place = header.as_ref().map_or_else(|| Place::new(source, 0..0), |row| row.place.clone());
        let columns = header.map(|row| row.cells).unwrap_or_default();
        if columns.is_empty() {
            problems
                .push(Diagnostic::error("rules::bad_csv", "the file has no header line").at(place.clone(), "empty"));
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                let message = format!("the header contains the column `{column}` twice");
                problems.push(Diagnostic::error("rules::bad_csv", message).at(place.clone(), "header"));
            }
        }
        let body = source.text.get(place.span.end..).unwrap_or_default().trim_start();
        let suggestion = file.dialect.suggestion(&columns, body);
        let mut rows = Vec::new();
        for mut row in records {
            if row.cells.len() == columns.len() {
                row.cells.iter_mut().filter(|cell| file.dialect.is_null(cell)).for_each(String::clear);
                rows.push(row);
            } else if suggestion.is_empty() {
                let message =
                    format!("the row has {} cells, expected {} as in the header", row.cells.len(), columns.len());
                problems.push(Diagnostic::error("rules::bad_csv", message).at(row.place, "this row"));
            }
        }
        (Self { columns, header: place, rows, file: file.clone(), suggestion }, problems)
    }

    /// The hint that proposes keys, if the file seems to have another dialect.
    pub(crate) fn dialect_hint(&self) -> Option<String> {
        self.file.suggested(&self.suggestion)
    }

    /// The exact decimal in a cell, with the marks of the file.
    pub(crate) fn decimal<N: DecimalNumber>(&self, cell: &str) -> Result<N, ParseDecimalError> {
        let canonical = self.file.dialect.numbers.canonical(cell).ok_or(ParseDecimalError::Malformed)?;
        N::parse(&canonical)
    }

    /// The hint for a cell whose marks are invalid. `None` if the marks are not the problem.
    pub(crate) fn marks_hint(&self, cell: &str) -> Option<String> {
        let marks = self.file.dialect.numbers;
        self.file.suggested(&marks.suggestion(cell)).or_else(|| marks.expected())
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

fn row(source: &Arc<SourceText>, skipped: usize, record: &csv::StringRecord) -> Row {
    let (byte, line) =
        record.position().map_or((0, 1), |position| (usize::try_from(position.byte()).unwrap_or(0), position.line()));
    let start = (byte + skipped).min(source.text.len());
    let rest = source.text.get(start..).unwrap_or_default();
    // The reader skips blank lines before a row, but reports the position before these lines.
    let blank = rest.len() - rest.trim_start_matches(['\n', '\r']).len();
    let blank_lines = rest.get(..blank).unwrap_or_default().matches('\n').count();
    let length = rest.get(blank..).unwrap_or_default().lines().next().unwrap_or_default().len();
    Row {
        cells: record.iter().map(str::to_owned).collect(),
        line: usize::try_from(line).unwrap_or(usize::MAX).saturating_add(blank_lines),
        place: Place::new(source, start + blank..start + blank + length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_rows_are_right_after_a_byte_order_mark_and_blank_lines() {
        let source = SourceText::new("flavors.csv", "\u{feff}flavor, unit_price\r\n\r\nm1, 0.02\r\n\nm2,0.03\nm3\n");
        let (rows, problems) = Rows::parse(&source, &CsvFile::plain("flavors.csv"));
        assert_eq!(rows.columns, ["flavor", "unit_price"]);
        let found: Vec<_> = rows.rows.iter().map(|row| (row.cells.join("|"), row.line, row.place.line())).collect();
        assert_eq!(found, [("m1|0.02".to_owned(), 3, 3), ("m2|0.03".to_owned(), 5, 5)]);
        assert_eq!(&source.text[rows.rows[0].place.span.clone()], "m1, 0.02");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].labels[0].0.to_string(), "flavors.csv:6:1");
    }

    #[test]
    fn a_first_line_that_states_the_separator_is_no_header() {
        let source = SourceText::new("flavors.csv", "\u{feff}sep=,\r\nflavor, unit_price\r\nm1, 0.02\r\n");
        let (rows, problems) = Rows::parse(&source, &CsvFile::plain("flavors.csv"));
        assert_eq!((rows.columns, problems.len()), (vec!["flavor".to_owned(), "unit_price".to_owned()], 0));
        let found: Vec<_> = rows.rows.iter().map(|row| (row.cells.join("|"), row.line, row.place.line())).collect();
        assert_eq!(found, [("m1|0.02".to_owned(), 3, 3)]);
    }
}
