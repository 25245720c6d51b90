//! Reads the files below `sql/`. Writes the list of their texts for `query`, and the types of `rows::relations`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

// The build script needs a part of the header only.
#[allow(dead_code)]
#[path = "src/query/statement/header.rs"]
mod header;

use header::{Column, ColumnType, Header};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=sql");
    println!("cargo:rerun-if-changed=src/query/statement/header.rs");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let output = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = Vec::new();
    list(&root.join("sql"), &mut files)?;
    files.sort();
    let (mut statements, mut relations) = (String::from("&[\n"), String::new());
    for file in files {
        let path = file.strip_prefix(root.join("sql"))?.to_string_lossy().replace('\\', "/");
        writeln!(statements, "    ({path:?}, include_str!({:?})),", file.display().to_string())?;
        // Other relations are read by statements only.
        if !path.contains("/checks/") && !path.contains("/intermediate/") {
            let header = header::parse(&fs::read_to_string(&file)?).map_err(|problem| format!("{path}: {problem}"))?;
            // A list of windows is read by statements only.
            if header.columns.iter().all(|column| column.kind != ColumnType::Windows) {
                relation(&mut relations, path.trim_end_matches(".sql"), &header)?;
            }
        }
    }
    statements.push(']');
    fs::write(output.join("statements.rs"), statements)?;
    fs::write(output.join("relations.rs"), relations)?;
    Ok(())
}

/// Adds the `.sql` files below a directory.
fn list(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes the types of a relation: its columns, the accessors of a row, and the values of a new row.
fn relation(code: &mut String, path: &str, header: &Header) -> std::fmt::Result {
    let (name, summary, columns) = (type_name(&header.name), &header.summary, &header.columns);
    writeln!(code, "/// The columns of `{}`: {summary}", header.name)?;
    writeln!(code, "#[derive(Clone, Debug)]\npub struct {name} {{")?;
    for column in columns {
        writeln!(code, "    {}: {},", column.name, array(column))?;
    }
    writeln!(code, "}}\n\nimpl Columns for {name} {{\n    const PATH: &str = {path:?};\n")?;
    writeln!(code, "    fn read(batch: &RecordBatch) -> Result<Self, Error> {{\n        Ok(Self {{")?;
    for column in columns {
        let call = match column.kind {
            ColumnType::Decimal { .. } => "NumberColumn::read(batch, ",
            _ => "cloned(batch, ",
        };
        writeln!(code, "            {}: {call}{:?})?,", column.name, column.name)?;
    }
    writeln!(code, "        }})\n    }}\n}}\n\nimpl<'a> Row<'a, {name}> {{")?;
    for column in columns {
        accessor(code, column)?;
    }
    writeln!(code, "}}\n")?;
    new_row(code, &name, header)
}

/// Writes the method that reads one column of a row.
fn accessor(code: &mut String, column: &Column) -> std::fmt::Result {
    let (name, kind) = (&column.name, cell(column));
    let reader = if column.is_nullable { "optional" } else { "value" };
    writeln!(code, "    pub fn {name}(self) -> {kind} {{")?;
    writeln!(code, "        Cells::{reader}(&self.columns.{name}, self.index)\n    }}\n")
}

/// Writes the struct with the values of a new row.
fn new_row(code: &mut String, name: &str, header: &Header) -> std::fmt::Result {
    let is_borrowed = header.columns.iter().any(|column| matches!(column.kind, ColumnType::Text | ColumnType::Map));
    let lifetime = if is_borrowed { "<'a>" } else { "" };
    writeln!(code, "/// The values of a new row of `{}`.", header.name)?;
    writeln!(code, "#[derive(Clone, Debug)]\npub struct New{name}{lifetime} {{")?;
    for column in &header.columns {
        writeln!(code, "    pub {}: {},", column.name, cell(column))?;
    }
    writeln!(code, "}}\n\nimpl{lifetime} NewRow for New{name}{lifetime} {{")?;
    writeln!(code, "    type Columns = {name};\n\n    fn arrays(rows: &[Self]) -> Result<Vec<ArrayRef>, Error> {{")?;
    writeln!(code, "        Ok(vec![")?;
    for column in &header.columns {
        let name = &column.name;
        // Only a map is not `Copy`.
        let copied = if column.kind == ColumnType::Map { format!("row.{name}.clone()") } else { format!("row.{name}") };
        let value = if column.is_nullable { copied } else { format!("Some({copied})") };
        let values = format!("rows.iter().map(|row| {value})");
        let array = match column.kind {
            ColumnType::Id => format!("Arc::new(UInt64Array::from_iter({values}))"),
            ColumnType::Number => format!("Arc::new(Int64Array::from_iter({values}))"),
            ColumnType::Text => format!("Arc::new(StringArray::from_iter({values}))"),
            ColumnType::Date => format!("Arc::new(Date32Array::from_iter({values}))"),
            ColumnType::Instant => format!("Arc::new(timestamps({values}))"),
            ColumnType::Flag => format!("Arc::new(BooleanArray::from_iter({values}))"),
            ColumnType::Map => format!("entries_array({values})?"),
            ColumnType::Windows => format!("lists({values})"),
            ColumnType::Decimal { precision, .. } => {
                format!("number_array({values}, {precision})?")
            }
        };
        writeln!(code, "            {array},")?;
    }
    writeln!(code, "        ])\n    }}\n}}\n")
}

/// The name of a relation as the name of a type, such as `InvoiceLine`.
fn type_name(relation: &str) -> String {
    let words = relation.split('_').filter_map(|word| Some((word.get(..1)?, word.get(1..)?)));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

/// The array of a column.
fn array(column: &Column) -> String {
    let array = match column.kind {
        ColumnType::Id => "UInt64Array",
        ColumnType::Number => "Int64Array",
        ColumnType::Text => "StringArray",
        ColumnType::Date => "Date32Array",
        ColumnType::Instant => "TimestampMicrosecondArray",
        ColumnType::Flag => "BooleanArray",
        ColumnType::Map => "MapArray",
        ColumnType::Windows => "ListArray",
        ColumnType::Decimal { precision, scale } => return format!("NumberColumn<{}>", number(precision, scale)),
    };
    array.to_owned()
}

/// The type of a decimal. `DECIMAL(28,4)` is an amount of a document.
fn number(precision: u8, scale: i8) -> String {
    if (precision, scale) == (28, 4) { "Amount".to_owned() } else { format!("Decimal<{scale}>") }
}

/// The type of a cell.
fn cell(column: &Column) -> String {
    let kind = match column.kind {
        ColumnType::Id => "u64",
        ColumnType::Number | ColumnType::Instant => "i64",
        ColumnType::Text => "&'a str",
        ColumnType::Date => "DayNumber",
        ColumnType::Flag => "bool",
        ColumnType::Map => "Entries<'a>",
        ColumnType::Windows => "ArrayRef",
        ColumnType::Decimal { precision, scale } => &number(precision, scale),
    };
    if column.is_nullable { format!("Option<{kind}>") } else { kind.to_owned() }
}
