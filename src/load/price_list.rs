//! `price_list`: a CSV file with a price for each combination of dimension values.

use std::collections::BTreeMap;

use super::dialects::DialectKeys;
use super::dimensions::{bad_value, names, value_text};
use super::instant::overlap;
use super::keys;
use super::problems::suggestion;
use super::rule_reader::RuleReader;
use super::table::{RULES, Value, bad_decimal, negative};
use super::validity::{cell_validity, check_window};
use crate::load::attachments::{Row, Rows};
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::meter::{Dimension, DimensionType, Meter};
use crate::model::money::{DecimalNumber, ParseDecimalError, Price};
use crate::model::rule::{Cap, PriceListRow, Pricing};

const FILE_KEYS: DialectKeys =
    DialectKeys { cells: true, null_values: true, numbers: true, time_zone: true, time_unit: false };

const PRICE: &str = "unit_price";
const VALIDITY: [&str; 2] = ["valid_from", "valid_to"];
const CAP: [&str; 2] = ["cap_hours", "cap_price"];
const MAXIMUM: &str = "maximum";

pub(crate) fn read(value: &Value<'_>, meter: Option<&Meter>, reader: &RuleReader<'_>) -> Option<Pricing> {
    let folder = reader.folder(value.file.source);
    let (source, csv) = reader.side_files.open(value, &keys::PRICE_LIST, FILE_KEYS, &folder)?;
    let file = reader.rows(&source, &csv);
    if let Some(hint) = file.dialect_hint().filter(|_| file.column(PRICE).is_none()) {
        let diagnostic = Diagnostic::error("rules::missing_column", format!("the price list has no column `{PRICE}`"));
        reader.problems.push(diagnostic.at(file.header.clone(), "header").hint(hint));
        return None;
    }
    let dimensions = dimension_columns(&file, meter, reader);
    let Some(price) = file.column(PRICE) else {
        let diagnostic = Diagnostic::error("rules::missing_column", format!("the price list has no column `{PRICE}`"));
        let hint = "columns: dimensions of the meter and `unit_price`; optional: `cap_hours`, `cap_price`, `maximum`, \
                    `valid_from`, `valid_to`";
        reader.problems.push(diagnostic.at(file.header.clone(), "header").hint(hint));
        return None;
    };
    if dimensions.is_empty() {
        let diagnostic =
            Diagnostic::error("rules::missing_column", "the price list has no column for a dimension of the meter");
        let hint = "add a column, or write `unit_price` in the rule if all usage has the same price";
        reader.problems.push(diagnostic.at(file.header.clone(), "header").hint(hint));
        return None;
    }
    if file.rows.is_empty() {
        let diagnostic = Diagnostic::error("rules::empty_list", "the price list has no valid rows");
        let hint = "add a row with a price, or write `free = true` in the rule if nothing is charged";
        reader.problems.push(diagnostic.at(file.header.clone(), "header").hint(hint));
    }
    let mut rows: Vec<PriceListRow> = Vec::new();
    let mut seen: BTreeMap<Vec<String>, Vec<(usize, &Place)>> = BTreeMap::new();
    for row in &file.rows {
        let Some(read) = read_row(&file, row, price, &dimensions, meter, reader) else { continue };
        let earlier = seen.entry(read.values.clone()).or_default();
        let validity = (read.valid_from, read.valid_to);
        let repeated =
            earlier.iter().find(|(index, _)| overlap((rows[*index].valid_from, rows[*index].valid_to), validity));
        if let Some((index, place)) = repeated {
            let (first, line) = (rows[*index].line, read.line);
            let message =
                format!("lines {first} and {line} both price `{}` at the same time", read.values.join("`, `"));
            let diagnostic = Diagnostic::error("rules::repeated_price", message)
                .at(row.place.clone(), "again here")
                .at((*place).clone(), "first here");
            reader
                .problems
                .push(diagnostic.hint("end the first row with `valid_to` where the second starts with `valid_from`"));
            continue;
        }
        earlier.push((rows.len(), &row.place));
        rows.push(read);
    }
    let dimensions = dimensions.into_iter().map(|(column, _)| file.columns[column].clone()).collect();
    Some(Pricing::PriceList { file: source.name.clone(), dimensions, rows })
}

/// The columns of dimensions. If the meter does not exist, every column with an unreserved name is a dimension.
fn dimension_columns<'m>(
    file: &Rows,
    meter: Option<&'m Meter>,
    reader: &RuleReader<'_>,
) -> Vec<(usize, Option<&'m Dimension>)> {
    let mut columns = Vec::new();
    for (index, column) in file.columns.iter().enumerate() {
        let column_name = column.as_str();
        if [PRICE, MAXIMUM].contains(&column_name) || VALIDITY.contains(&column_name) || CAP.contains(&column_name) {
            continue;
        }
        let Some(meter) = meter else {
            columns.push((index, None));
            continue;
        };
        let dimension = meter.dimension(column);
        if dimension.is_none() {
            let message = format!("column `{column}` is not a dimension of meter `{}`", meter.name);
            let known = names(meter).chain([PRICE, MAXIMUM]).chain(VALIDITY).chain(CAP);
            let hint = suggestion(column, known, "possible columns");
            let diagnostic = Diagnostic::error("rules::unknown_dimension", message);
            reader.problems.push(diagnostic.at(file.header.clone(), "header").hint(hint));
        }
        columns.push((index, dimension));
    }
    columns
}

fn read_row(
    file: &Rows,
    row: &Row,
    price: usize,
    dimensions: &[(usize, Option<&Dimension>)],
    meter: Option<&Meter>,
    reader: &RuleReader<'_>,
) -> Option<PriceListRow> {
    let validity = cell_validity(file, row, reader);
    let unit_price = price_cell(PRICE, &row.cells[price], file, row, reader);
    let (cap, maximum) = (cap(file, row, reader), maximum(file, row, reader));
    let mut values = Vec::with_capacity(dimensions.len());
    for (column, dimension) in dimensions {
        let cell = row.cells[*column].as_str();
        if cell.is_empty() {
            let message = format!("`{}` is empty, expected a value of the dimension", file.columns[*column]);
            let diagnostic = Diagnostic::error("rules::empty_cell", message).at(row.place.clone(), "this row");
            reader
                .problems
                .push(diagnostic.hint("for a price of all other values, add a rule with a lower `priority`"));
            continue;
        }
        match dimension {
            Some(dimension) if dimension.kind == DimensionType::Decimal => {
                match file.file.dialect.numbers.canonical(cell) {
                    Some(cell) => values.extend(value_text(&cell, dimension, &row.place, reader)),
                    None => bad_value(cell, dimension, &row.place, reader),
                }
            }
            Some(dimension) => values.extend(value_text(cell, dimension, &row.place, reader)),
            None => values.push(cell.to_owned()),
        }
    }
    let (valid_from, valid_to) = validity?;
    if let Some(meter) = meter {
        for (name, instant) in VALIDITY.into_iter().zip([valid_from, valid_to]) {
            if let Some(instant) = instant {
                check_window(instant, meter, name, &row.place, reader);
            }
        }
    }
    let (unit_price, cap, maximum) = (unit_price?, cap?, maximum?);
    (values.len() == dimensions.len()).then_some(PriceListRow {
        values,
        unit_price,
        cap,
        maximum,
        valid_from,
        valid_to,
        line: row.line,
    })
}

fn price_cell<N: DecimalNumber>(name: &str, cell: &str, file: &Rows, row: &Row, reader: &RuleReader<'_>) -> Option<N> {
    match file.decimal::<N>(cell) {
        Ok(price) if price.to_units() < 0 => {
            reader.problems.push(negative(&RULES, name, price, row.place.clone()));
            None
        }
        Ok(price) => Some(price),
        Err(error) => {
            let problem = bad_decimal::<N>(&RULES, name, cell, error, row.place.clone());
            let hint = file.marks_hint(cell).filter(|_| error == ParseDecimalError::Malformed);
            reader.problems.push(match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
            None
        }
    }
}

/// The cell of a column that may be absent or empty.
fn optional_cell<'r>(name: &str, file: &Rows, row: &'r Row) -> Option<&'r str> {
    file.column(name).map(|column| row.cells[column].as_str()).filter(|cell| !cell.is_empty())
}

/// The cap of a row, if any. If only one of its two cells is filled or a cell is not a number, a problem is reported
/// and the result is `None`.
fn cap(file: &Rows, row: &Row, reader: &RuleReader<'_>) -> Option<Option<Cap>> {
    match CAP.map(|name| optional_cell(name, file, row)) {
        [None, None] => Some(None),
        [Some(hours), Some(price)] => {
            let (hours, price) =
                (price_cell(CAP[0], hours, file, row, reader), price_cell(CAP[1], price, file, row, reader));
            Some(Some(Cap { hours: hours?, price: price? }))
        }
        _ => {
            let diagnostic =
                Diagnostic::error("rules::empty_cell", "the row has only one of `cap_hours` and `cap_price`");
            let hint = "fill both cells, or leave both empty if the row has no cap";
            reader.problems.push(diagnostic.at(row.place.clone(), "this row").hint(hint));
            None
        }
    }
}

fn maximum(file: &Rows, row: &Row, reader: &RuleReader<'_>) -> Option<Option<Price>> {
    match optional_cell(MAXIMUM, file, row) {
        Some(cell) => price_cell(MAXIMUM, cell, file, row, reader).map(Some),
        None => Some(None),
    }
}
