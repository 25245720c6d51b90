//! The only place that writes to a terminal: data to stdout, talk to stderr.

use std::error::Error as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::Failure;
use super::progress::Bars;
use crate::diagnostic::Diagnostic;
use crate::pipeline::Error;
use crate::reading;
use crate::run::{Progress, Silent};

#[derive(Debug)]
pub struct Printer {
    json: bool,
    quiet: bool,
    color: bool,
}

impl Printer {
    pub fn new(json: bool, quiet: bool) -> Self {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, quiet, color }
    }

    /// Warnings of the program go to stderr; `CONTO_LOG` asks for more.
    pub fn log_to_stderr(&self) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("CONTO_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("conto=warn"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .without_time()
            .with_target(false)
            .with_ansi(self.color);
        // A second subscriber in one process can only be a test's; the first one stays.
        let _ = subscriber.try_init();
    }

    /// Bars on a terminal, nothing elsewhere.
    pub fn progress(&self) -> Arc<dyn Progress> {
        if self.quiet || self.json || !io::stderr().is_terminal() { Arc::new(Silent) } else { Arc::new(Bars::new()) }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of data.
    pub fn line(&self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Data as it is. A reader that closes the pipe has seen enough.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(&text),
            Err(error) => self.talk(&format!("error: {error}")),
        }
    }

    /// A line of talk.
    pub fn talk(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    pub fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() {
            self.talk(reading::render(diagnostics, self.color, width()).trim_end());
        }
    }

    /// What went wrong, with its causes, once.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Written(diagnostics) | Failure::Pipeline(Error::Written(diagnostics)) => {
                self.diagnostics(diagnostics);
                self.talk(&format!("error: {failure}"));
            }
            Failure::Usage { message, hint } => self.talk(&format!("error: {message}\nhint: {hint}")),
            Failure::Pipeline(Error::BrokenCheck { rows, .. }) => {
                self.talk(&format!("error: {failure}; nothing was committed. The rows that break it:"));
                if let Some(first) = rows.first() {
                    self.talk(&table(&first.schema(), rows, 20));
                }
            }
            other => {
                self.talk(&format!("error: {other}"));
                let mut cause = match other {
                    Failure::Pipeline(error) => error.source(),
                    Failure::Other(error) => error.source(),
                    _ => None,
                };
                while let Some(error) = cause {
                    self.talk(&format!("  because: {error}"));
                    cause = error.source();
                }
            }
        }
    }

    /// Rows as a table, or as a JSON array of objects.
    pub fn rows(&self, schema: &SchemaRef, batches: &[RecordBatch]) {
        if self.json {
            let rows: Vec<serde_json::Value> = json_rows(schema, batches);
            self.json(&rows);
        } else {
            self.line(&table(schema, batches, usize::MAX));
        }
    }

    /// A table of two columns, names and values.
    pub fn pairs(&self, pairs: &[(&str, String)]) {
        let mut table = empty_table();
        for (name, value) in pairs {
            table.add_row([(*name).to_owned(), value.clone()]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.line(&table.to_string());
    }

    /// A table with a header; columns named in `right` hold numbers.
    pub fn table(&self, header: &[&str], rows: &[Vec<String>], right: &[usize]) {
        let mut table = empty_table();
        table.set_header(header.to_vec());
        for row in rows {
            table.add_row(row.clone());
        }
        for index in right {
            if let Some(column) = table.column_mut(*index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.line(&table.to_string());
    }
}

fn width() -> usize {
    console_width().unwrap_or(100).clamp(60, 140)
}

fn console_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Rows as text, numbers to the right.
fn table(schema: &SchemaRef, batches: &[RecordBatch], limit: usize) -> String {
    let mut table = empty_table();
    table.set_header(schema.fields().iter().map(|field| field.name()));
    let options = FormatOptions::new().with_null("");
    let mut left = limit;
    for batch in batches {
        let formatters: Result<Vec<ArrayFormatter<'_>>, _> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect();
        let Ok(formatters) = formatters else { continue };
        for row in 0..batch.num_rows().min(left) {
            table.add_row(formatters.iter().map(|formatter| formatter.value(row).to_string()));
        }
        left = left.saturating_sub(batch.num_rows());
    }
    for (index, field) in schema.fields().iter().enumerate() {
        if field.data_type().is_numeric()
            && let Some(column) = table.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Rows as JSON; decimals and instants as text, because JSON numbers are floats to most readers.
fn json_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<serde_json::Value> {
    let options = FormatOptions::new();
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let text = || ArrayFormatter::try_new(column, &options).map(|cell| cell.value(row).to_string());
                let value = if column.is_null(row) {
                    serde_json::Value::Null
                } else if field.data_type().is_signed_integer() {
                    text().ok().and_then(|text| text.parse::<i64>().ok()).into()
                } else {
                    text().ok().into()
                };
                object.insert(field.name().clone(), value);
            }
            rows.push(object.into());
        }
    }
    rows
}
