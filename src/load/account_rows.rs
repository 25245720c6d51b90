//! Accounts from CSV or Parquet, such as the export of a customer database.
//!
//! The file has a row for each project. The columns of an account are filled in all rows of the account or only in its
//! first row.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::instant::parse_instant;
use super::problems::{Problems, suggestion};
use super::table::Text;
use super::written_account::{INVOICE_PER, WrittenAccount, WrittenProject, ZERO_INVOICES, canonical_id};
use crate::load::attachments::{Row, Rows};
use crate::model::account::Vies;
use crate::model::diagnostic::Diagnostic;
use crate::model::identifier;

/// The separator of several values in one cell, such as lines of an address, cards or cost centres.
const SEPARATOR: char = '|';

const OF_ACCOUNT: [&str; 22] = [
    "id",
    "name",
    "address",
    "country",
    "vat_id",
    "vies_valid",
    "vies_checked_on",
    "email",
    "currency",
    "language",
    "purchase_order",
    "cost_centres",
    "payment_terms",
    "payment_days",
    "tax_profile",
    "cards",
    "invoice_per",
    "zero_invoices",
    "parent",
    "internal",
    "valid_from",
    "valid_to",
];

const OF_PROJECT: [&str; 4] = ["project_id", "project_name", "project_valid_from", "project_valid_to"];

/// The cells of a row by column. An empty cell is absent.
struct Cells<'a> {
    rows: &'a Rows,
    row: &'a Row,
    problems: &'a Problems,
}

impl Cells<'_> {
    fn text(&self, column: &str) -> Option<Text> {
        let value = self.rows.column(column).map(|index| self.row.cells[index].as_str())?;
        (!value.is_empty()).then(|| Text { value: value.to_owned(), place: self.row.place.clone() })
    }

    /// An id in canonical form. A text for an absent value, such as `NULL`, counts as an empty cell.
    fn id(&self, column: &str) -> Option<Text> {
        self.text(column).filter(|text| identifier::stated(&text.value).is_some()).map(canonical_id)
    }

    fn string(&self, column: &str) -> Option<String> {
        self.text(column).map(|text| text.value)
    }

    fn list(&self, column: &str) -> Vec<Text> {
        let Some(text) = self.text(column) else { return Vec::new() };
        let parts = text.value.split(SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Text { value: part.to_owned(), place: text.place.clone() }).collect()
    }

    /// The parsed value of a cell; `None` if the cell is empty or invalid. An invalid cell is a problem.
    fn parsed<T>(&self, column: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(column)?;
        let parsed = parse(&text.value);
        if parsed.is_none() {
            let message = format!("`{column}` is `{}`, expected {expected}", text.value);
            self.problems.push(Diagnostic::error("accounts::bad_cell", message).at(text.place, "in this row"));
        }
        parsed
    }

    fn day(&self, column: &str) -> Option<Date> {
        self.parsed(column, "a date such as 2026-10-01", |text| text.parse().ok())
    }

    fn flag(&self, column: &str) -> Option<bool> {
        self.parsed(column, "`true` or `false`", |text| text.to_ascii_lowercase().parse().ok())
    }

    fn moment(&self, column: &str, time_zone: &TimeZone) -> Option<i64> {
        let text = self.text(column)?;
        let found = parse_instant(&text.value.replacen(' ', "T", 1), time_zone).map_err(|error| {
            let mut problem = error.diagnostic(&text.value, time_zone, text.place.clone());
            problem.code = "accounts::bad_time";
            self.problems.push(problem);
        });
        found.ok()
    }
}

/// The accounts of all rows, in the order of their first rows.
pub(crate) fn read(rows: &Rows, time_zone: &TimeZone, problems: &Problems) -> Vec<WrittenAccount> {
    let columns = OF_ACCOUNT.iter().chain(&OF_PROJECT).copied();
    for column in rows.columns.iter().filter(|_| rows.dialect_hint().is_none()) {
        if !columns.clone().any(|name| name == column) {
            let hint = suggestion(column, columns.clone(), "columns");
            let problem = Diagnostic::error("accounts::unknown_column", format!("unknown column `{column}`"));
            problems.push(problem.at(rows.header.clone(), "unknown column").hint(hint));
        }
    }
    for needed in ["id", "name"] {
        if rows.column(needed).is_none() {
            let problem = Diagnostic::error("accounts::missing_column", format!("the column `{needed}` is missing"));
            let problem = problem.at(rows.header.clone(), format!("`{needed}` is required"));
            problems.push(match rows.dialect_hint() {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
            return Vec::new();
        }
    }
    let mut accounts: Vec<WrittenAccount> = Vec::new();
    let mut first_rows: BTreeMap<String, (usize, &Row)> = BTreeMap::new();
    for row in &rows.rows {
        let cells = Cells { rows, row, problems };
        let Some(id) = cells.id("id") else {
            problems.push(
                Diagnostic::error("accounts::missing_cell", "`id` is empty").at(row.place.clone(), "`id` is required"),
            );
            continue;
        };
        let project = project(&cells, time_zone);
        if let Some((index, first)) = first_rows.get(&id.value) {
            check_repeated_columns(rows, row, first, &id.value, problems);
            accounts[*index].projects.extend(project);
            continue;
        }
        let Some(name) = cells.text("name") else {
            let problem = Diagnostic::error("accounts::missing_cell", format!("account `{}` has no name", id.value));
            problems.push(problem.at(row.place.clone(), "`name` is required"));
            continue;
        };
        first_rows.insert(id.value.clone(), (accounts.len(), row));
        accounts.push(account(&cells, id, name, project));
    }
    accounts
}

fn project(cells: &Cells<'_>, time_zone: &TimeZone) -> Option<WrittenProject> {
    Some(WrittenProject {
        id: cells.id("project_id")?,
        name: cells.string("project_name"),
        valid_from: cells.moment("project_valid_from", time_zone),
        valid_to: cells.moment("project_valid_to", time_zone),
    })
}

fn account(cells: &Cells<'_>, id: Text, name: Text, project: Option<WrittenProject>) -> WrittenAccount {
    let vies_valid = cells.flag("vies_valid");
    let vies_checked_on = cells.day("vies_checked_on");
    if vies_valid.is_some() != vies_checked_on.is_some() {
        let message = format!("account `{}` has only one of `vies_valid` and `vies_checked_on`", id.value);
        cells.problems.push(Diagnostic::error("accounts::bad_cell", message).at(id.place.clone(), "in this row"));
    }
    let (valid_from, valid_to) = (cells.day("valid_from"), cells.day("valid_to"));
    if let (Some(from), Some(to)) = (valid_from, valid_to)
        && from >= to
    {
        let message = format!("`valid_to` of account `{}` is not after `valid_from`", id.value);
        let problem = Diagnostic::error("accounts::empty_validity", message).at(id.place.clone(), "in this row");
        cells.problems.push(problem.hint("`valid_to` is exclusive: for all of 2026, write 2027-01-01"));
    }
    let values = |texts: Vec<Text>| texts.into_iter().map(|text| text.value).collect();
    WrittenAccount {
        place: id.place.clone(),
        address: values(cells.list("address")),
        country: cells.text("country"),
        vat_id: cells.text("vat_id"),
        vies: vies_valid.zip(vies_checked_on).map(|(valid, checked_on)| Vies { valid, checked_on }),
        email: cells.string("email"),
        currency: cells.text("currency"),
        language: cells.text("language"),
        purchase_order: cells.string("purchase_order"),
        cost_centres: values(cells.list("cost_centres")),
        payment_terms: cells.string("payment_terms"),
        payment_days: cells
            .parsed("payment_days", "0 to 366", |text| text.parse::<u16>().ok().filter(|days| *days <= 366)),
        tax_profile: cells.string("tax_profile"),
        cards: cells.list("cards"),
        invoice_per: cells.parsed("invoice_per", "`account` or `project`", |text| {
            INVOICE_PER.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        }),
        zero_invoices: cells.parsed("zero_invoices", "`issue` or `skip`", |text| {
            ZERO_INVOICES.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        }),
        parent: cells.id("parent"),
        internal: cells.flag("internal").unwrap_or(false),
        valid_from,
        valid_to,
        projects: project.into_iter().collect(),
        id,
        name,
    }
}

/// Checks that later rows of an account repeat the values of its first row or have empty cells.
fn check_repeated_columns(rows: &Rows, row: &Row, first: &Row, id: &str, problems: &Problems) {
    for column in OF_ACCOUNT.iter().skip(1) {
        let Some(index) = rows.column(column) else { continue };
        let (later, earlier) = (&row.cells[index], &first.cells[index]);
        if !later.is_empty() && later != earlier {
            let message = format!("`{column}` of account `{id}` is `{later}` here and `{earlier}` in an earlier row");
            let problem = Diagnostic::error("accounts::contradiction", message)
                .at(row.place.clone(), "this value")
                .at(first.place.clone(), "another value");
            problems.push(problem.hint("use the same value in all rows of the account, or leave later cells empty"));
        }
    }
}

/// A Parquet file converted to CSV, for the committed inputs and for places in messages.
pub(crate) fn csv_of_parquet(bytes: Vec<u8>) -> Result<String, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(|error| error.to_string())?;
    let schema = Arc::clone(reader.schema());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(schema.fields().iter().map(|field| field.name())).map_err(|error| error.to_string())?;
    for batch in reader.build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            let cells: Result<Vec<String>, String> = (0..batch.num_columns()).map(|c| cell(&batch, c, row)).collect();
            writer.write_record(cells?).map_err(|error| error.to_string())?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn cell(batch: &RecordBatch, column: usize, row: usize) -> Result<String, String> {
    let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let shown = |array: &dyn Array, row: usize| {
        let formatter = ArrayFormatter::try_new(array, &options).map_err(|error| error.to_string())?;
        Ok(formatter.value(row).to_string())
    };
    let array = batch.column(column);
    if array.is_null(row) {
        return Ok(String::new());
    }
    if matches!(array.data_type(), DataType::List(_)) {
        let list = array.as_list::<i32>().value(row);
        let parts: Result<Vec<String>, String> = (0..list.len()).map(|index| shown(list.as_ref(), index)).collect();
        return Ok(parts?.join(&SEPARATOR.to_string()));
    }
    shown(array.as_ref(), row)
}
