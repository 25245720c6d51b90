//! Errors of the engine. A user can resolve a lack of memory, an excessive number or an invalid query. All other errors
//! are bugs.

use std::collections::BTreeMap;

use datafusion::error::DataFusionError;

/// The columns of a row with their values as text.
pub(super) type Identity = BTreeMap<&'static str, String>;

/// The reason why a statement or a query failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no statement `{path}`; this is a bug in conto, please report it")]
    NoStatement { path: String },
    #[error("the header of sql/{path} is invalid: {problem}")]
    Header { path: String, problem: String },
    #[error("sql/{path} needs the parameter ${name}")]
    MissingParameter { path: String, name: String },
    #[error("sql/{path} has no parameter ${name}")]
    UnknownParameter { path: String, name: String },
    #[error("no relation `{name}` is registered; this is a bug in conto, please report it")]
    NotRegistered { name: String },
    /// The memory limit is too low for registered rows, or for an operator that cannot spill enough.
    #[error("{what} needs more memory than the limit leaves")]
    Memory {
        what: String,
        #[source]
        source: Box<DataFusionError>,
    },
    #[error("the query {what} failed")]
    Engine {
        what: String,
        #[source]
        source: Box<DataFusionError>,
    },
    /// An invalid query of the user.
    #[error("invalid query: {problem}")]
    InvalidQuery { problem: String },
    #[error("the header of sql/{path} has `{column}` as {expected}, but the result has {found}")]
    Contract { path: String, column: String, expected: String, found: String },
    #[error("a number of `{relation}` exceeds {digits} digits; nothing was committed; check quantities and prices")]
    TooLarge { relation: String, digits: u8 },
    #[error("the rows of `{relation}` are not in the order of {order}; this is a bug in conto, please report it")]
    Unsorted { relation: String, order: String },
    /// A number that a statement cannot compute. The cause is a number of a record or of a rule.
    #[error("sql/{path} cannot compute a number: {problem}{}", of_row(row))]
    Value {
        path: String,
        problem: String,
        /// The columns that identify the row, as far as they are known.
        row: Identity,
        #[source]
        source: Box<DataFusionError>,
    },
    #[error("could not build rows for `{relation}`")]
    Rows {
        relation: String,
        #[source]
        source: arrow::error::ArrowError,
    },
}

/// The row for a message, such as ` for the rule `r`, the meter `m``.
fn of_row(row: &Identity) -> String {
    const NAMES: [(&str, &str); 8] = [
        ("rule_id", "rule"),
        ("meter", "meter"),
        ("resource_id", "resource"),
        ("project_id", "project"),
        ("account_id", "account"),
        ("series_id", "series"),
        ("invoice_number", "document"),
        ("charge_date", "date"),
    ];
    let part = |(column, name): &(&str, &str)| row.get(column).map(|value| format!("{name} `{value}`"));
    let parts: Vec<String> = NAMES.iter().filter_map(part).collect();
    if parts.is_empty() { String::new() } else { format!(", for {}", parts.join(", ")) }
}

impl Error {
    /// The engine's message about a text of the user, without the engine's names of layers and catalogs.
    pub(super) fn plain(source: &DataFusionError) -> String {
        let text = source.find_root().strip_backtrace().replace("datafusion.public.", "");
        let noise = ["Error during planning: ", "SQL error: ParserError(\"", "Schema error: "];
        let bare = noise.iter().fold(text.as_str(), |text, noise| text.strip_prefix(noise).unwrap_or(text));
        bare.trim_end_matches("\")").trim_end_matches('.').to_owned()
    }

    pub(super) fn invalid_query(source: &DataFusionError) -> Self {
        Self::InvalidQuery { problem: Self::plain(source).replace('\n', " ") }
    }

    pub(super) fn engine(what: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        let what = what.into();
        move |source| {
            let source = Box::new(source);
            match source.find_root() {
                DataFusionError::ResourcesExhausted(_) => Self::Memory { what, source },
                _ => Self::Engine { what, source },
            }
        }
    }
}
