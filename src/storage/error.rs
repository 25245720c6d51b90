//! Errors of the lake and its store.

use crate::model::error_class::ErrorClass;
use std::path::PathBuf;

/// What can go wrong between us and the lake's store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{location}` is neither a directory nor a URL that a lake can be in")]
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
    #[error("no lake can be kept at `{location}`: {reason}")]
    Refused { location: String, reason: &'static str },
    #[error(
        "`{path}` in the lake is not a log entry that this program can read; \
         the lake was changed by hand or by a newer program"
    )]
    LogEntry {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the lake's log has no entry {missing}; entries after it cannot be trusted")]
    LogGap { missing: u64 },
    #[error("the lake's log has no entry {sequence}; it has {entries}, counted from 0")]
    NoSuchEntry { sequence: u64, entries: u64 },
    #[error("a rehearsal commits nothing; this is a mistake in the program, please report it")]
    DryRun,
    #[error("another run committed entry {sequence} first; nothing of this run was kept, so run it again")]
    Conflict { sequence: u64 },
    #[error("whether entry {sequence} was committed is not known: the store did not answer, and cannot be read now")]
    OutcomeUnknown {
        sequence: u64,
        #[source]
        source: Box<Error>,
    },
    #[error(
        "`{path}` in the lake is damaged: its content is not what the log names (SHA-256 {expected}, found {found})"
    )]
    Damaged { path: String, expected: String, found: String },
    #[error("`{path}` in the lake has no column `{column}`: another version of the program wrote it")]
    MissingColumn { path: String, column: String },
    #[error("`{path}` in the lake could not be read as parquet")]
    Parquet {
        path: String,
        #[source]
        source: parquet::errors::ParquetError,
    },
}

impl Error {
    /// The class that decides the exit code: the location of a lake is configured, everything else failed.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Location { .. } | Self::Refused { .. } => ErrorClass::Invalid,
            _ => ErrorClass::Failed,
        }
    }
}
