//! A statement: a file below `sql/` with one `SELECT` and a header, which is its contract.
//!
//! The build script reads the same headers and writes the list of files and the types of `rows::relations`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use self::header::{ColumnType, Header};
use super::Error;
use crate::functions::windows_type;

mod header;

/// The path and the text of each file below `sql/`, from the build script.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/statements.rs"));

/// The text of a file of the directory `CONTO_SQL_DIR`, or the text in the program. Tests of changed statements set
/// this variable.
#[cfg(debug_assertions)]
fn text_of(path: &str, text: &'static str) -> &'static str {
    let changed = std::env::var_os("CONTO_SQL_DIR").map(|directory| std::path::Path::new(&directory).join(path));
    changed.and_then(|changed| std::fs::read_to_string(changed).ok()).map_or(text, |text| text.leak())
}

/// The text in the program. A release reads no other statements.
#[cfg(not(debug_assertions))]
const fn text_of(_: &str, text: &'static str) -> &'static str {
    text
}

/// One statement with its contract.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The path below `sql/`, such as `rating/rated_usage.sql`.
    pub path: &'static str,
    /// The name of the relation or check.
    pub name: String,
    pub summary: String,
    /// The columns that identify a row; the output is sorted by them.
    pub grain: Vec<String>,
    /// The order in which Rust delivers the rows of the relation. Empty if statements must not rely on an order.
    pub order: Vec<String>,
    pub reads: Vec<String>,
    /// The functions of `src/functions/` that the `SELECT` calls.
    pub calls: Vec<String>,
    pub parameters: Vec<(String, DataType)>,
    pub schema: SchemaRef,
    pub text: &'static str,
    /// The text that runs: `text` with each intermediate relation that it reads as a common table expression.
    pub sql: String,
}

impl Statement {
    /// Whether the statement is an intermediate relation. Such a relation is never stored: it becomes a part of every
    /// statement that reads it.
    pub fn is_intermediate(&self) -> bool {
        self.path.contains("/intermediate/")
    }

    /// The schema of rows that a placeholder delivers. Texts are views, so that many rows share one text.
    pub fn placeholder_schema(&self) -> SchemaRef {
        let as_view = |field: &Arc<Field>| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            _ => Arc::clone(field),
        };
        Arc::new(Schema::new(self.schema.fields().iter().map(as_view).collect::<Vec<_>>()))
    }

    /// Whether the statement is a check. A check selects the rows that violate its claim.
    pub fn is_check(&self) -> bool {
        self.path.contains("/checks/")
    }

    /// Whether the file has a `SELECT`. Rust code writes the rows of a relation without one.
    pub fn has_select(&self) -> bool {
        !below_header(self.text).trim().is_empty()
    }
}

/// The statement for a written name: the name of a relation or check, or its path with or without `sql/` and `.sql`.
pub fn statement_named(written: &str) -> Result<Option<&'static Statement>, Error> {
    let path = written.trim_start_matches("./");
    let path = path.strip_prefix("sql/").unwrap_or(path);
    let path = path.strip_suffix(".sql").unwrap_or(path);
    let all = statements()?;
    Ok(all.get(path).or_else(|| all.values().find(|statement| statement.name == path)))
}

/// The statement at a path below `sql/`, without the extension.
pub fn statement(path: &str) -> Result<&'static Statement, Error> {
    let all =
        LAZY.as_ref().map_err(|(path, problem)| Error::Header { path: path.clone(), problem: problem.clone() })?;
    all.get(path).ok_or_else(|| Error::NoStatement { path: path.to_owned() })
}

/// All statements by path, without the extension.
pub fn statements() -> Result<&'static BTreeMap<String, Statement>, Error> {
    LAZY.as_ref().map_err(|(path, problem)| Error::Header { path: path.clone(), problem: problem.clone() })
}

type Parsed = Result<BTreeMap<String, Statement>, (String, String)>;

static LAZY: LazyLock<Parsed> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for (path, text) in FILES {
        let parsed = parse(path, text_of(path, text)).map_err(|problem| ((*path).to_owned(), problem))?;
        all.insert(path.trim_end_matches(".sql").to_owned(), parsed);
    }
    let with_intermediates: Vec<String> = all.values().map(|statement| with_intermediates(statement, &all)).collect();
    for (statement, sql) in all.values_mut().zip(with_intermediates) {
        statement.sql = sql;
    }
    Ok(all)
});

/// The text that runs: the statement, preceded by its intermediate relations as common table expressions.
fn with_intermediates(statement: &Statement, all: &BTreeMap<String, Statement>) -> String {
    let mut relations = Vec::new();
    add_intermediates(statement, all, &mut BTreeSet::new(), &mut relations);
    if relations.is_empty() {
        return statement.text.to_owned();
    }
    let expression = |relation: &&Statement| format!("{} AS (\n{})", relation.name, below_header(relation.text));
    let expressions = relations.iter().map(expression).collect::<Vec<_>>().join(",\n");
    let text = below_header(statement.text);
    match text.strip_prefix("WITH ") {
        Some(rest) => format!("WITH {expressions},\n{rest}"),
        None => format!("WITH {expressions}\n{text}"),
    }
}

/// Appends the intermediate relations that a statement reads. Each relation follows the relations that it reads itself.
fn add_intermediates<'a>(
    statement: &Statement,
    all: &'a BTreeMap<String, Statement>,
    seen: &mut BTreeSet<&'a str>,
    relations: &mut Vec<&'a Statement>,
) {
    for name in &statement.reads {
        let relation = all.values().find(|relation| relation.is_intermediate() && relation.name == *name);
        if let Some(relation) = relation.filter(|relation| seen.insert(relation.path)) {
            add_intermediates(relation, all, seen, relations);
            relations.push(relation);
        }
    }
}

/// The lines after the header.
fn below_header(text: &str) -> &str {
    let header: usize = text.split_inclusive('\n').take_while(|line| line.starts_with("--")).map(str::len).sum();
    &text[header..]
}

/// Parses the header of a file below `sql/`. The error is a message about the header.
pub fn parse(path: &'static str, text: &'static str) -> Result<Statement, String> {
    let Header { name, summary, grain, order, reads, calls, parameters, columns } = header::parse(text)?;
    let fields = columns.into_iter().map(|column| Field::new(column.name, data_type(column.kind), column.is_nullable));
    Ok(Statement {
        path,
        name,
        summary,
        grain,
        order,
        reads,
        calls,
        parameters: parameters.into_iter().map(|(name, kind)| (name, data_type(kind))).collect(),
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        text,
        sql: text.to_owned(),
    })
}

/// The type of the engine for a type of a header.
fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Id => DataType::UInt64,
        ColumnType::Number => DataType::Int64,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Flag => DataType::Boolean,
        ColumnType::Map => map_type(),
        ColumnType::Windows => windows_type(),
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
    }
}

/// A map from text to text, as the map builder of `arrow` builds it.
pub fn map_type() -> DataType {
    let entries = vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Utf8, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_parsed() {
        let text = "-- rated_usage: its cost.\n--\n-- grain   series_id, charge_date\n-- reads   a, b\n\
                    -- calls   convert_cost,\n--         smallest_unit\n\
                    -- params  $from DATE, $until DATE\n--         $scale BIGINT\n\
                    -- writes  series_id  BIGINT UNSIGNED not null\n--         cost  DECIMAL(38,18)  unrounded\n\
                    --\n-- Prose.\nSELECT 1\n";
        let parsed = parse("rating/rated_usage.sql", text).unwrap();
        assert_eq!(parsed.name, "rated_usage");
        assert_eq!(parsed.grain, ["series_id", "charge_date"]);
        assert_eq!(parsed.reads, ["a", "b"]);
        assert_eq!(parsed.calls, ["convert_cost", "smallest_unit"]);
        let names: Vec<&str> = parsed.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["from", "until", "scale"]);
        assert_eq!(parsed.schema.field(0), &Field::new("series_id", DataType::UInt64, false));
        assert_eq!(parsed.schema.field(1), &Field::new("cost", DataType::Decimal128(38, 18), true));
    }

    #[test]
    fn a_statement_is_found_by_its_name_or_its_path() {
        for written in ["priced_part", "rating/priced_part", "rating/priced_part.sql", "./sql/rating/priced_part.sql"] {
            let found = statement_named(written).unwrap().map(|statement| statement.path);
            assert_eq!(found, Some("rating/priced_part.sql"), "{written}");
        }
        for unknown in ["", "rating", "sql/", "rating/tier_parts_add_up", "priced"] {
            assert!(statement_named(unknown).unwrap().is_none(), "{unknown}");
        }
    }
}
