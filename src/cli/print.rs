//! The only place that writes to a terminal: data to stdout, talk to stderr.

use std::error::Error as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent};
use serde::Serialize;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FmtSpan, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Failure;
use super::progress::Bars;
use crate::error::Error;
use crate::load;
use crate::model::diagnostic::Diagnostic;
use crate::run::{Progress, Silent};

#[derive(Debug)]
pub(super) struct Printer {
    json: bool,
    quiet: bool,
    color: bool,
}

impl Printer {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, quiet, color }
    }

    /// Warnings of the program go to stderr; `CONTO_LOG` asks for more: `conto=debug` tells how long each step and each
    /// statement took.
    pub(super) fn log_to_stderr(&self) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("CONTO_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("conto=warn"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .event_format(Talk);
        // A second subscriber in one process can only be a test's; the first one stays.
        let _ = subscriber.try_init();
    }

    /// Bars on a terminal, nothing elsewhere.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        if self.quiet || self.json || !io::stderr().is_terminal() { Arc::new(Silent) } else { Arc::new(Bars::new()) }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// A line of data.
    pub(super) fn line(&self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Data as it is. A reader that closes the pipe has seen enough.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    pub(super) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(&text),
            Err(error) => self.talk(&format!("error: {error}")),
        }
    }

    /// A line of talk.
    pub(super) fn talk(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    pub(super) fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() {
            self.talk(load::render(diagnostics, self.color, width()).trim_end());
        }
    }

    /// What went wrong, with its causes, once.
    pub(super) fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Invalid(diagnostics) | Failure::Pipeline(Error::Invalid(diagnostics)) => {
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
                // Libraries repeat the text of a cause in their own.
                let mut told = String::new();
                while let Some(error) = cause {
                    let text = error.to_string();
                    if !told.contains(&text) {
                        self.talk(&format!("  because: {text}"));
                        told = text;
                    }
                    cause = error.source();
                }
                if let Failure::Pipeline(Error::Query(crate::query::Error::Memory { .. })) = other {
                    self.talk("hint: nothing was committed by this step; raise --memory-limit, or run without it");
                }
                if let Failure::Pipeline(Error::Storage(error)) = other
                    && let Some(remedy) = error.remedy()
                {
                    self.talk(&format!("hint: {remedy}"));
                }
            }
        }
    }

    /// Rows as a table, or as a JSON array of objects.
    pub(super) fn rows(&self, schema: &SchemaRef, batches: &[RecordBatch]) {
        if self.json {
            let rows: Vec<serde_json::Value> = json_rows(schema, batches);
            self.json(&rows);
        } else {
            self.line(&table(schema, batches, usize::MAX));
        }
    }

    /// Groups of names and values, the values in one column to the right.
    pub(super) fn groups(&self, groups: &[Group]) {
        let length = |text: &str| text.chars().count();
        let pairs = || groups.iter().flat_map(|group| &group.pairs);
        let names = pairs().map(|(name, _)| length(name) + 2).max().unwrap_or(0);
        let values = pairs().map(|(_, value)| length(value)).max().unwrap_or(0);
        for group in groups {
            self.line(&group.title);
            for (name, value) in &group.pairs {
                self.line(&format!("  {name:<names$}{value:>values$}"));
            }
        }
    }

    /// A table with a header; columns named in `right` hold numbers.
    pub(super) fn table(&self, header: &[&str], rows: &[Vec<String>], right: &[usize]) {
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
        self.line(&drawn(table));
    }
}

/// A warning of the program, as the other things it says to a person.
struct Talk;

impl<S, N> FormatEvent<S, N> for Talk
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let level = event.metadata().level();
        let level =
            if *level == tracing::Level::WARN { "warning".to_owned() } else { level.to_string().to_lowercase() };
        write!(writer, "{level}: ")?;
        // Where a step or a statement ends, its name comes first and then the time that it took.
        if let Some(span) = context.event_scope().and_then(|mut scope| scope.next()) {
            write!(writer, "{} ", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, "{fields} ")?;
            }
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Names and values under a title.
#[derive(Debug)]
pub(super) struct Group {
    pub title: String,
    pub pairs: Vec<(&'static str, String)>,
}

/// Digits in threes, as people read them; machines are given JSON.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn width() -> usize {
    console_width().unwrap_or(100).clamp(60, 140)
}

fn console_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_style(TableComponent::HeaderLines, '─');
    table
}

/// The text of a table: two spaces between columns, none at the ends of lines.
fn drawn(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == last { (0, 0) } else { (0, 2) });
    }
    table.trim_fmt()
}

/// Rows as text, numbers to the right. What is wider than the terminal stands one column a line.
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
    let natural: usize = table.column_max_content_widths().iter().map(|width| usize::from(*width) + 2).sum();
    match table.width() {
        Some(width) if natural > usize::from(width) + 2 => records(&table, schema, usize::from(width)),
        _ => drawn(table),
    }
}

/// Each row under its number, a line for each column.
fn records(table: &Table, schema: &SchemaRef, width: usize) -> String {
    let names = schema.fields().iter().map(|field| field.name().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (index, row) in table.row_iter().enumerate() {
        let title = format!("── {} ", index + 1);
        text.push_str(&format!("{title:─<width$}\n"));
        for (field, cell) in schema.fields().iter().zip(row.cell_iter()) {
            let value = cell.content();
            text.push_str(format!("{:<names$}  {value}", field.name()).trim_end());
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
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
