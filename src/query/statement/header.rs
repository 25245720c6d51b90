//! The header of a file below `sql/`, as text. The build script includes this file, so it uses the standard library
//! only.
//!
//! ```text
//! -- rated_usage: the cost of a day's usage, one row for each tier.
//! --
//! -- grain   series_id, charge_date, rate_id
//! -- reads   usage_segment, applicable_rate
//! -- calls   convert_cost
//!
//! -- params  $currency_exponent  BIGINT
//!
//! -- writes  series_id        BIGINT UNSIGNED not null
//! --         contracted_cost  DECIMAL(38,18) not null   unrounded
//!
//! -- Paragraphs for the reader.
//! ```
//!
//! A remark may continue on the next line, below its beginning. If Rust delivers the rows in an order, the line `order`
//! lists its columns.

use std::collections::BTreeMap;

/// The contract of a statement.
#[derive(Debug)]
pub(super) struct Header {
    /// The name of the relation or check.
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) grain: Vec<String>,
    /// The order in which Rust delivers the rows of the relation. Empty if statements must not rely on an order.
    pub(super) order: Vec<String>,
    pub(super) reads: Vec<String>,
    /// The functions of Conto that the statement calls.
    pub(super) calls: Vec<String>,
    pub(super) parameters: Vec<(String, ColumnType)>,
    pub(super) columns: Vec<Column>,
}

/// A column of the result.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    pub(super) is_nullable: bool,
}

/// The type of a column or parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// `BIGINT UNSIGNED`
    Id,
    /// `BIGINT`
    Number,
    Text,
    Date,
    /// `TIMESTAMP`, in microseconds UTC.
    Instant,
    /// `BOOLEAN`
    Flag,
    /// A map from text to text.
    Map,
    /// The list of metered windows of a stream.
    Windows,
    Decimal {
        precision: u8,
        scale: i8,
    },
}

/// Parses the header of a statement. The error is a message about the header.
pub(super) fn parse(text: &str) -> Result<Header, String> {
    let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).map(|line| &line[2..]).collect();
    let (name, summary) = header
        .first()
        .and_then(|line| line.trim().split_once(": "))
        .ok_or("the first line must be `-- name: definition of a row`")?;
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = None;
    for line in header.iter().skip(1) {
        if let (Some(rest), Some(name)) = (line.strip_prefix("         "), section) {
            // A line with deeper indentation continues the remark on a column or a parameter.
            if !(rest.starts_with(' ') && matches!(name, "params" | "writes")) {
                sections.entry(name).or_default().push(rest.trim());
            }
            continue;
        }
        section = ["grain", "order", "reads", "calls", "params", "writes"]
            .into_iter()
            .find(|word| line.trim_start().strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')));
        if let Some(word) = section {
            sections.entry(word).or_default().push(line.trim_start()[word.len()..].trim());
        }
    }
    let list = |word: &str| -> Vec<String> {
        let lines = sections.get(word).map(|lines| lines.join(" ")).unwrap_or_default();
        lines.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let mut parameters = Vec::new();
    for line in sections.get("params").into_iter().flatten() {
        for item in line.split(", $") {
            let (name, rest) = item.trim_start_matches('$').split_once(' ').ok_or(format!("parameter `{item}`"))?;
            let (kind, _) = column_type(rest.trim_start()).ok_or(format!("the type of ${name} in `{item}`"))?;
            parameters.push((name.to_owned(), kind));
        }
    }
    let mut columns = Vec::new();
    for line in sections.get("writes").into_iter().flatten() {
        let (name, rest) = line.split_once(' ').ok_or(format!("column `{line}`"))?;
        let (kind, rest) = column_type(rest.trim_start()).ok_or(format!("the type of `{name}` in `{line}`"))?;
        let is_nullable = !rest.trim_start().starts_with("not null");
        columns.push(Column { name: name.to_owned(), kind, is_nullable });
    }
    Ok(Header {
        name: name.to_owned(),
        summary: summary.to_owned(),
        grain: list("grain"),
        order: list("order"),
        reads: list("reads"),
        calls: list("calls"),
        parameters,
        columns,
    })
}

/// Parses a type at the start of a text and returns it with the rest of the text.
fn column_type(text: &str) -> Option<(ColumnType, &str)> {
    if let Some(rest) = text.strip_prefix("DECIMAL(") {
        let (arguments, rest) = rest.split_once(')')?;
        let (precision, scale) = arguments.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return Some((ColumnType::Decimal { precision, scale }, rest));
    }
    let named = [
        ("BIGINT UNSIGNED", ColumnType::Id),
        ("BIGINT", ColumnType::Number),
        ("TEXT", ColumnType::Text),
        ("DATE", ColumnType::Date),
        ("TIMESTAMP", ColumnType::Instant),
        ("BOOLEAN", ColumnType::Flag),
        ("MAP", ColumnType::Map),
        ("WINDOWS", ColumnType::Windows),
    ];
    named.into_iter().find_map(|(word, kind)| text.strip_prefix(word).map(|rest| (kind, rest)))
}
