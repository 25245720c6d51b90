//! The file of exchange rates: a row for each date and currency pair.

use std::sync::Arc;

use iso_currency::Currency;
use jiff::civil::Date;

use super::csv_file::CsvFile;
use super::problems::Problems;
use crate::load::attachments::{Row, Rows};
use crate::model::diagnostic::{Diagnostic, SourceText};
use crate::model::money::ExchangeRate;
use crate::model::terms::ExchangeRates;

const COLUMNS: [&str; 4] = ["date", "base", "quote", "rate"];

/// Reads exchange rates. One unit of `base` is `rate` units of `quote`.
pub(crate) fn read(source: &Arc<SourceText>, file: &CsvFile, problems: &Problems) -> ExchangeRates {
    let (rows, found) = Rows::parse(source, file);
    for mut problem in found {
        problem.code = "rates::bad_csv";
        problems.push(problem);
    }
    let mut rates = ExchangeRates::default();
    let columns: Vec<usize> = COLUMNS.iter().filter_map(|name| rows.column(name)).collect();
    if columns.len() != COLUMNS.len() || rows.columns.len() != COLUMNS.len() {
        let problem = Diagnostic::error(
            "rates::columns",
            format!("the columns are {}, expected {}", rows.columns.join(", "), COLUMNS.join(", ")),
        );
        let hint = rows.dialect_hint().unwrap_or_else(|| "one unit of `base` is `rate` units of `quote`".to_owned());
        problems.push(problem.at(rows.header.clone(), "header").hint(hint));
        return rates;
    }
    for row in &rows.rows {
        match parsed(&rows, row, &columns) {
            Ok((date, base, quote, rate)) => {
                let of_pair = rates.rates.entry((base.clone(), quote.clone())).or_default();
                if of_pair.insert(date, rate).is_some() {
                    let message = format!("the rate of {base} in {quote} on {date} is listed twice");
                    let problem = Diagnostic::error("rates::repeated", message).at(row.place.clone(), "again here");
                    problems.push(problem.hint("remove one of the rows; a date has one rate for a pair"));
                }
            }
            Err(message) => {
                let problem = Diagnostic::error("rates::bad_cell", message).at(row.place.clone(), "in this row");
                let rate = &row.cells[columns[3]];
                let hint = rows.marks_hint(rate).filter(|_| rows.decimal::<ExchangeRate>(rate).is_err());
                problems.push(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        }
    }
    rates
}

fn parsed(rows: &Rows, row: &Row, columns: &[usize]) -> Result<(Date, String, String, ExchangeRate), String> {
    let cell = |index: usize| row.cells[columns[index]].as_str();
    let date = cell(0).parse().map_err(|_| format!("`date` is `{}`, expected a date such as 2026-10-30", cell(0)))?;
    for code in [cell(1), cell(2)] {
        if Currency::from_code(code).is_none() {
            return Err(format!("`{code}` is not a currency of ISO 4217"));
        }
    }
    let rate: ExchangeRate =
        rows.decimal(cell(3)).map_err(|error| format!("`rate` is \"{}\", which {error}", cell(3)))?;
    if rate.is_negative() || rate.is_zero() || cell(1) == cell(2) {
        let (base, quote, rate) = (cell(1), cell(2), cell(3));
        return Err(format!("one {base} is {rate} {quote}, expected a positive rate between two currencies"));
    }
    Ok((date, cell(1).to_owned(), cell(2).to_owned(), rate))
}
