//! The only writer to the terminal: data to stdout, messages to stderr.

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

use super::progress::Bars;
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::load;
use crate::model::diagnostic::Diagnostic;
use crate::run::{Progress, Silent};

#[derive(Debug)]
pub(super) struct Printer {
    json: bool,
    quiet: bool,
    color: bool,
    /// The `--config` of this command, for printed commands.
    config_argument: Option<String>,
}

impl Printer {
    pub(super) fn new(json: bool, quiet: bool, config_argument: Option<String>) -> Self {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, quiet, color, config_argument }
    }

    /// Writes warnings of the program to stderr. `CONTO_LOG=conto=debug` adds the duration of each step and statement.
    pub(super) fn log_to_stderr(&self) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("CONTO_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("conto=warn"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .event_format(Talk);
        // Only a test sets a second subscriber in one process; the first subscriber stays.
        let _ = subscriber.try_init();
    }

    /// The receiver of progress: bars on a terminal, no output elsewhere.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        if self.quiet || self.json || !io::stderr().is_terminal() { Arc::new(Silent) } else { Arc::new(Bars::new()) }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line of data.
    pub(super) fn line(&self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Prints raw data. A closed pipe is not a failure: its reader needs no more data.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    pub(super) fn json(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(&text),
            Err(error) => self.message(&format!("error: {error}")),
        }
    }

    /// Prints a message. The user can run the commands in it as they are printed.
    pub(super) fn message(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", self.runnable(text));
    }

    /// A text in which commands in backticks have the `--config` of this command.
    pub(super) fn runnable(&self, text: &str) -> String {
        match &self.config_argument {
            Some(argument) => with_argument(text, argument),
            None => text.to_owned(),
        }
    }

    pub(super) fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() {
            self.message(load::render(diagnostics, self.color, width()).trim_end());
        }
    }

    /// Prints a failure with its causes.
    pub(super) fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Invalid(diagnostics) | Failure::Pipeline(Error::Invalid(diagnostics)) => {
                self.diagnostics(diagnostics);
                self.message(&format!("error: {failure}"));
            }
            Failure::Pipeline(Error::Row(diagnostic)) => {
                self.diagnostics(std::slice::from_ref(diagnostic));
                self.message(&format!("error: {failure}"));
            }
            Failure::Usage { message, hint } => self.message(&format!("error: {message}\nhint: {hint}")),
            Failure::Pipeline(Error::BrokenCheck { rows, .. }) => {
                self.message(&format!("error: {failure}; nothing was committed. The violating rows:"));
                if let Some(first) = rows.first() {
                    self.message(&table(&first.schema(), rows, 20));
                }
            }
            other => {
                self.message(&format!("error: {other}"));
                let mut cause = match other {
                    Failure::Pipeline(error) => error.source(),
                    Failure::Other(error) => error.source(),
                    _ => None,
                };
                // Libraries repeat the text of a cause in their own text.
                let mut printed = String::new();
                while let Some(error) = cause {
                    let text = error.to_string();
                    if !printed.contains(&text) {
                        self.message(&format!("  cause: {text}"));
                        printed = text;
                    }
                    cause = error.source();
                }
                if let Failure::Pipeline(Error::Query(crate::query::Error::Memory { .. })) = other {
                    self.message("hint: this step committed nothing; raise --memory-limit, or run without it");
                }
                if let Failure::Pipeline(Error::Query(crate::query::Error::Value { .. })) = other {
                    self.message(
                        "hint: check the quantities, prices and factors of this row; no documents were committed",
                    );
                }
                if let Failure::Pipeline(Error::Storage(error)) = other
                    && let Some(hint) = error.hint()
                {
                    self.message(&format!("hint: {hint}"));
                }
            }
        }
    }

    /// Prints rows as a table, or as a JSON array of objects.
    pub(super) fn rows(&self, schema: &SchemaRef, batches: &[RecordBatch]) {
        if self.json {
            let rows: Vec<serde_json::Value> = json_rows(schema, batches);
            self.json(&rows);
        } else {
            self.line(&table(schema, batches, usize::MAX));
        }
    }

    /// Prints groups of names and values, with all values in one right-aligned column.
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

    /// Prints a table with a header. Columns in `right` are right-aligned.
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
        self.line(&text_of(table));
    }
}

/// The format of log events. All other messages have the same format.
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
        // An event for the end of a step or statement starts with the name. The duration follows.
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

/// Adds an argument to each command in backticks. `conto init` reads no configuration.
fn with_argument(text: &str, argument: &str) -> String {
    let mut with = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("`conto ") {
        let (before, command) = rest.split_at(start + 1);
        with.push_str(before);
        let Some((command, after)) = command.split_once('`') else {
            rest = command;
            break;
        };
        with.push_str(command);
        let is_other = command.contains(['\n', '\r']) || command.contains("--config");
        if !is_other && !command.starts_with("conto init") {
            with.push(' ');
            with.push_str(argument);
        }
        with.push('`');
        rest = after;
    }
    with.push_str(rest);
    with
}

/// Names and values under a title.
#[derive(Debug)]
pub(super) struct Group {
    pub title: String,
    pub pairs: Vec<(&'static str, String)>,
}

/// Digits in groups of three.
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

/// The text of a table, with two spaces between columns and none at the ends of lines.
fn text_of(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == last { (0, 0) } else { (0, 2) });
    }
    table.trim_fmt()
}

/// The text of rows as a table with right-aligned numbers. If the table is wider than the terminal, each column has its
/// own line.
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
        _ => text_of(table),
    }
}

/// The text of a table in which each row has a number and one line for each column.
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

/// Rows as JSON. Decimals and instants are text, because most readers of JSON read numbers as floats.
pub(super) fn json_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<serde_json::Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_has_the_config_argument() {
        let text = "the `rate`: `conto sql \"SELECT 1\"` shows it; `conto init DIR` restarts";
        assert_eq!(
            with_argument(text, "--config 'my cloud/conto.toml'"),
            "the `rate`: `conto sql \"SELECT 1\" --config 'my cloud/conto.toml'` shows it; `conto init DIR` restarts"
        );
        for unchanged in ["`conto run --config a`", "no command", "`conto", "`conto run", "`conto\nrun`"] {
            assert_eq!(with_argument(unchanged, "--config a"), unchanged);
        }
        assert_eq!(with_argument("a ` alone: `conto run`", "--config a"), "a ` alone: `conto run --config a`");
    }
}
