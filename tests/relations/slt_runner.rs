//! Runs the verbs of a `.slt` file in a session of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use conto::query::{Parameters, Session, Statement, statement, statements};
use sqllogictest::{DB, DBOutput, DefaultColumnType};
use tokio::runtime::Runtime;

use super::cells;
use crate::contracts::lake::breaches;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The statements that returned rows in some case, and the statements that returned no row in some case.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub with_rows: BTreeSet<String>,
    pub without_rows: BTreeSet<String>,
}

/// A verb that cannot be parsed or run.
#[derive(Clone, Debug)]
pub(super) struct SltError(String);

impl fmt::Display for SltError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SltError {}

impl From<conto::query::Error> for SltError {
    fn from(error: conto::query::Error) -> Self {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        Self(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl From<String> for SltError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

type Output = DBOutput<DefaultColumnType>;

/// The state of one case: its session and its parameters.
#[derive(Debug)]
pub(super) struct SltRunner {
    session: Session,
    /// Values for later `RUN`s whose statements declare the parameter.
    parameters: BTreeMap<String, String>,
    seen: Arc<Mutex<Seen>>,
}

impl SltRunner {
    pub(super) fn new(seen: Arc<Mutex<Seen>>) -> Result<Self, SltError> {
        let runner = Self { session: Session::new(None)?, parameters: BTreeMap::new(), seen };
        runner.clear()?;
        Ok(runner)
    }

    /// Registers every relation without rows, with the columns of its header.
    fn clear(&self) -> Result<(), SltError> {
        for (path, _) in statements()?.iter().filter(|(_, statement)| !statement.is_check()) {
            self.session.register(path, Vec::new())?;
        }
        Ok(())
    }

    /// Runs `INPUT relation (column, …, column = value)`, which is followed by a line of cells for each row.
    fn input(&self, text: &str) -> Result<Output, SltError> {
        let (head, rows) = text.split_once(')').ok_or("INPUT needs its columns in brackets".to_owned())?;
        let (name, columns) = head.split_once('(').ok_or("INPUT needs its columns in brackets".to_owned())?;
        let name = name.trim();
        let lines = rows.lines().skip(1);
        let found = statements()?.values().find(|statement| statement.name == name && !statement.is_check());
        let relation = found.ok_or(format!("there is no relation `{name}`"))?;
        let path = relation.path.trim_end_matches(".sql");
        // `column = value` has the same value in each row.
        let (constants, columns): (Vec<&str>, Vec<&str>) = items(columns).partition(|column| column.contains('='));
        let constants: Vec<(&str, &str)> = constants.iter().filter_map(|constant| constant.split_once('=')).collect();
        let constants: Vec<(&str, &str)> = constants.iter().map(|(name, value)| (name.trim(), value.trim())).collect();
        let rows: Result<Vec<Vec<&str>>, String> = lines.map(|line| cells_of(line, columns.len())).collect();
        let rows = rows?;
        let mut names = columns.iter().chain(constants.iter().map(|(name, _)| name));
        if let Some(column) = names.find(|column| relation.schema.field_with_name(column).is_err()) {
            return Err(format!("`{name}` has no column `{column}`").into());
        }
        let arrays: Result<Vec<_>, String> = relation
            .schema
            .fields()
            .iter()
            .map(|field| {
                let place = columns.iter().position(|column| column == field.name());
                let constant = constants.iter().find(|(name, _)| name == field.name()).map_or("", |(_, value)| value);
                let cells: Vec<&str> = rows.iter().map(|row| place.map_or(constant, |place| row[place])).collect();
                cells::column(field, &cells)
            })
            .collect();
        let batch = RecordBatch::try_new(relation.schema.clone(), arrays?).map_err(|error| error.to_string())?;
        self.session.register(path, vec![batch])?;
        Ok(DBOutput::StatementComplete(rows.len() as u64))
    }

    /// Runs `RUN path (parameter = value, …)`. `SHOW column, …` limits the columns.
    fn run(&self, text: &str) -> Result<Output, SltError> {
        let (statement_call, columns) = match text.split_once("SHOW ") {
            Some((statement_call, columns)) => (statement_call, Some(items(columns).collect::<Vec<_>>())),
            None => (text, None),
        };
        let (path, arguments) = call(statement_call)?;
        let statement = statement(path)?;
        let batches = self.batches(statement, path, arguments)?;
        let mut rows = Vec::new();
        for batch in &batches {
            let schema = batch.schema();
            let all = || schema.fields().iter().map(|field| field.name().as_str()).collect();
            let columns: Vec<&str> = columns.clone().unwrap_or_else(all);
            for row in 0..batch.num_rows() {
                let cell = |name: &&str| match batch.column_by_name(name) {
                    Some(column) => Ok(cells::shown(column, row)),
                    None => Err(format!("`{path}` has no column `{name}`")),
                };
                rows.push(columns.iter().map(cell).collect::<Result<Vec<String>, String>>()?);
            }
        }
        let width = rows.first().map_or(0, Vec::len);
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows })
    }

    /// Runs a statement; its rows are registered under its name for later statements.
    fn batches(
        &self,
        statement: &'static Statement,
        path: &str,
        arguments: &str,
    ) -> Result<Vec<RecordBatch>, SltError> {
        let parameters = self.parameters(statement, arguments)?;
        let batches = if statement.is_check() {
            RUNTIME.block_on(self.session.violations(path, parameters))?
        } else {
            RUNTIME.block_on(self.session.materialize(path, parameters))?
        };
        let doubled = if statement.is_check() { Vec::new() } else { breaches(statement, &batches) };
        if !doubled.is_empty() {
            return Err(doubled.join("; ").into());
        }
        let mut seen = self.seen.lock().map_err(|error| error.to_string())?;
        let has_rows = batches.iter().any(|batch| batch.num_rows() > 0);
        if has_rows { &mut seen.with_rows } else { &mut seen.without_rows }.insert(path.to_owned());
        Ok(batches)
    }

    fn parameters(&self, statement: &'static Statement, arguments: &str) -> Result<Parameters, SltError> {
        let mut given = self.parameters.clone();
        let own = assignments(arguments)?;
        for name in own.keys() {
            if !statement.parameters.iter().any(|(known, _)| known == name) {
                return Err(format!("sql/{} has no parameter ${name}", statement.path).into());
            }
        }
        given.extend(own);
        let mut parameters = Parameters::none();
        for (name, kind) in &statement.parameters {
            let value = given.get(name).ok_or(format!("${name} is not given"))?;
            let wrong = || format!("`{value}` is no {kind} for ${name}");
            parameters = match kind {
                DataType::Int64 => parameters.bigint(name, cells::whole(value).ok_or_else(wrong)?),
                DataType::Date32 => parameters.date(name, cells::day(value).ok_or_else(wrong)?),
                DataType::Decimal128(precision, scale) => {
                    let units = cells::decimal(value, *scale).ok_or_else(wrong)?;
                    parameters.decimal(name, units, *precision, *scale)
                }
                _ => parameters.text(name, value),
            };
        }
        Ok(parameters)
    }
}

impl DB for SltRunner {
    type Error = SltError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, text: &str) -> Result<Output, SltError> {
        let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match verb {
            "CLEAR" => self.clear().map(|()| DBOutput::StatementComplete(0)),
            "INPUT" => self.input(rest),
            "PARAMETERS" => {
                let (_, arguments) = call(rest)?;
                self.parameters.extend(assignments(arguments)?);
                Ok(DBOutput::StatementComplete(0))
            }
            "RUN" => SltRunner::run(self, rest),
            _ => {
                let (_, batches) = RUNTIME.block_on(self.session.query(text))?;
                let rows = batches.iter().flat_map(|batch| {
                    (0..batch.num_rows())
                        .map(|row| batch.columns().iter().map(|column| cells::shown(column, row)).collect())
                });
                Ok(DBOutput::Rows { types: Vec::new(), rows: rows.collect() })
            }
        }
    }
}

/// Splits `name (inside)` into its two parts. The brackets may be absent.
fn call(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    let Some((name, inside)) = text.split_once('(') else { return Ok((text, "")) };
    let inside = inside.strip_suffix(')').ok_or(format!("`{text}` lacks its closing bracket"))?;
    Ok((name.trim(), inside))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn assignments(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=').ok_or(format!("`{item}` should be name = value"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    items(text).map(pair).collect()
}

/// The cells of a row, separated by commas. Text after ` #` is a comment.
fn cells_of(line: &str, width: usize) -> Result<Vec<&str>, String> {
    let row = line.split(" #").next().unwrap_or_default();
    let cells: Vec<&str> = row.split(',').map(str::trim).collect();
    if cells.len() == width { Ok(cells) } else { Err(format!("`{row}` has {} cells, not {width}", cells.len())) }
}
