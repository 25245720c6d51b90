//! `[[lookup]]`: a dated table from keys to values, in the rule file or in a CSV file.

use std::collections::BTreeMap;

use super::dialects::DialectKeys;
use super::instant::overlap;
use super::keys;
use super::problems::suggestion;
use super::rule_reader::RuleReader;
use super::table::Table;
use super::validity::cell_validity;
use crate::load::attachments::Rows;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::identifier::canonical_text;
use crate::model::meter::{Lookup, LookupRow};

const FILE_KEYS: DialectKeys =
    DialectKeys { cells: true, null_values: true, numbers: false, time_zone: true, time_unit: false };

const COLUMNS: [&str; 4] = ["key", "value", "valid_from", "valid_to"];

/// Reads the valid rows of a `[[lookup]]`. The result is `None` if the lookup has no name.
pub(crate) fn read(mut table: Table<'_>, reader: &RuleReader<'_>) -> Option<Lookup> {
    let name = table.require_text("name");
    let file = table.take("file");
    let values = table.take("values");
    let rows = match (file, values) {
        (Some(file), None) => reader
            .side_files
            .open(&file, &keys::LOOKUP_FILE, FILE_KEYS, &reader.folder(table.file.source))
            .map(|(source, csv)| read_rows(&reader.rows(&source, &csv), reader)),
        (None, Some(values)) => values.table(&keys::LOOKUP_VALUES).map(|values| {
            let value = |value: super::table::Value<'_>| {
                let text = value.text()?;
                let (key, value) = (canonical(value.name), canonical(&text.value));
                Some(LookupRow { key, value, valid_from: None, valid_to: None })
            };
            values.rest().into_iter().filter_map(value).collect()
        }),
        (None, None) => {
            let diagnostic =
                Diagnostic::error("rules::missing_key", "the `[[lookup]]` has neither `file` nor `values`");
            let hint = "add file = \"….csv\", or values = { \"key\" = \"value\" }";
            reader.problems.push(diagnostic.at(table.place(), "no rows").hint(hint));
            None
        }
        (Some(file), Some(values)) => {
            let diagnostic = Diagnostic::error("rules::two_contents", "the `[[lookup]]` has both `file` and `values`")
                .at(file.key_place(), "rows in a file")
                .at(values.key_place(), "rows here");
            reader.problems.push(diagnostic.hint("remove `file` or `values`"));
            None
        }
    };
    table.finish();
    let name = name?;
    Some(Lookup { name: name.value, rows: rows.unwrap_or_default(), declared_at: name.place })
}

fn canonical(text: &str) -> String {
    canonical_text(text).into_owned()
}

fn read_rows(file: &Rows, reader: &RuleReader<'_>) -> Vec<LookupRow> {
    for column in file.columns.iter().filter(|_| file.dialect_hint().is_none()) {
        if !COLUMNS.contains(&column.as_str()) {
            let message = format!("unknown column `{column}` in the file of a lookup");
            let hint = suggestion(column, COLUMNS, "known columns");
            let diagnostic = Diagnostic::error("rules::unknown_column", message).at(file.header.clone(), "header");
            reader.problems.push(diagnostic.hint(hint));
        }
    }
    let (Some(key), Some(value)) = (file.column("key"), file.column("value")) else {
        let diagnostic =
            Diagnostic::error("rules::missing_column", "the file of a lookup needs the columns `key` and `value`");
        let diagnostic = diagnostic.at(file.header.clone(), "header");
        reader.problems.push(match file.dialect_hint() {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        return Vec::new();
    };
    let mut rows: Vec<LookupRow> = Vec::new();
    let mut seen: BTreeMap<String, Vec<(usize, &Place)>> = BTreeMap::new();
    for row in &file.rows {
        let Some((valid_from, valid_to)) = cell_validity(file, row, reader) else { continue };
        let (key, value) = (canonical(&row.cells[key]), canonical(&row.cells[value]));
        if key.is_empty() || value.is_empty() {
            let diagnostic = Diagnostic::error("rules::empty_cell", "the row has no `key` or no `value`");
            reader.problems.push(diagnostic.at(row.place.clone(), "empty cell"));
            continue;
        }
        let earlier = seen.entry(key.clone()).or_default();
        let repeated = earlier.iter().find(|(index, _)| {
            let other = &rows[*index];
            overlap((other.valid_from, other.valid_to), (valid_from, valid_to))
        });
        if let Some((_, place)) = repeated {
            let message = format!("key `{key}` has two values at the same time");
            let diagnostic = Diagnostic::error("rules::repeated_key", message)
                .at(row.place.clone(), "again here")
                .at((*place).clone(), "first here");
            reader
                .problems
                .push(diagnostic.hint("end the first row with `valid_to` where the second starts with `valid_from`"));
            continue;
        }
        earlier.push((rows.len(), &row.place));
        rows.push(LookupRow { key, value, valid_from, valid_to });
    }
    rows
}
