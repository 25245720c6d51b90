//! Errors of the lake and its store.

use crate::model::error_class::ErrorClass;
use std::path::PathBuf;

/// An error of reading or writing the lake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{location}` is neither a directory nor a URL of a store that a lake can use")]
    Location {
        location: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not {action} `{path}` in the lake")]
    Store {
        action: &'static str,
        path: String,
        #[source]
        source: object_store::Error,
    },
    #[error("could not {action} `{}`", path.display())]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "`{location}` is a Delta table of another relation, lake or program; expected the table of `{relation}` of \
         this lake"
    )]
    ForeignTable { location: String, relation: String },
    #[error("`{path}` is not a version of a Delta table")]
    TableLog {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("a lake cannot be at `{location}`: {reason}")]
    UnsupportedLocation { location: String, reason: &'static str },
    #[error(
        "`{path}` in the lake is not a log entry of this version; \
         the file was damaged, or a newer version of conto wrote it"
    )]
    LogEntry {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the commit log has no entry {missing}, but later entries; they cannot be used without it")]
    LogGap { missing: u64 },
    #[error("the commit log has no entry {sequence}; it has {entries} entries, and the first is 0")]
    NoSuchEntry { sequence: u64, entries: u64 },
    #[error("a dry run tried to commit; this is a bug in conto, please report it")]
    DryRun,
    #[error("another command committed entry {sequence} first, which conflicts with this one; nothing was committed")]
    Conflict { sequence: u64 },
    #[error("it is unknown whether entry {sequence} was committed: the store did not respond, and cannot be read now")]
    OutcomeUnknown {
        sequence: u64,
        #[source]
        source: Box<Error>,
    },
    #[error("`{path}` in the lake is damaged: its SHA-256 is {found}, the commit log has {expected}")]
    Damaged { path: String, expected: String, found: String },
    #[error("`{path}` in the lake has no column `{column}`: another version of conto wrote it")]
    MissingColumn { path: String, column: String },
    #[error("`{path}` in the lake could not be read as Parquet")]
    Parquet {
        path: String,
        #[source]
        source: parquet::errors::ParquetError,
    },
}

impl Error {
    /// The class that decides the exit code. The location of a lake is configuration; all other errors are failures.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Location { .. } | Self::UnsupportedLocation { .. } | Self::ForeignTable { .. } => ErrorClass::Invalid,
            _ => ErrorClass::Failed,
        }
    }
}
