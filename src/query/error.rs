//! What can go wrong inside the engine. None of it is the user's fault, except running out of memory and a broken
//! `conto sql`.

use datafusion::error::DataFusionError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no statement `{path}` in this program")]
    NoStatement { path: String },
    #[error("the header of sql/{path} is wrong: {problem}")]
    Header { path: String, problem: String },
    #[error("sql/{path} needs the parameter ${name}")]
    MissingParameter { path: String, name: String },
    #[error("sql/{path} has no parameter ${name}")]
    UnknownParameter { path: String, name: String },
    #[error("no relation `{name}` is registered; this is a mistake in the program, please report it")]
    NotRegistered { name: String },
    /// An operator could not do with less, or cannot spill.
    #[error("{what} needs more memory than there is for it")]
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
    /// What a person asked is no query that can be answered.
    #[error("the query cannot be answered: {problem}")]
    Question { problem: String },
    #[error("sql/{path} promises `{column}` as {expected}, but gives {found}")]
    Contract { path: String, column: String, expected: String, found: String },
    #[error("a number of `{relation}` has more than the {digits} digits that are kept; nothing was committed")]
    TooLarge { relation: String, digits: u8 },
    #[error("could not build rows for `{relation}`")]
    Rows {
        relation: String,
        #[source]
        source: arrow::error::ArrowError,
    },
}

impl Error {
    /// What the engine found wrong with what a person wrote, without its names for places and layers.
    pub(super) fn plain(source: &DataFusionError) -> String {
        let text = source.find_root().strip_backtrace().replace("datafusion.public.", "");
        let noise = ["Error during planning: ", "SQL error: ParserError(\"", "Schema error: "];
        let bare = noise.iter().fold(text.as_str(), |text, noise| text.strip_prefix(noise).unwrap_or(text));
        bare.trim_end_matches("\")").trim_end_matches('.').to_owned()
    }

    pub(super) fn question(source: &DataFusionError) -> Self {
        Self::Question { problem: Self::plain(source).replace('\n', " ") }
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
