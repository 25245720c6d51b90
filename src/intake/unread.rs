//! The relation of the inputs that could not be read, and the reasons that errors indicate.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::error::Error;
use crate::intake::formats::usage_columns::UsageError;
use crate::model::unread_input::{UnreadInput, UnreadReason};
use crate::query::statement;
use crate::rows;

/// The reason and the detail of an input that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub reason: UnreadReason,
    pub detail: String,
}

impl Unread {
    pub fn new(reason: UnreadReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The unread input at a path or URL of a source.
    pub fn at(self, source: &str, url: impl Into<String>) -> UnreadInput {
        let Self { reason, detail } = self;
        UnreadInput { source: source.to_owned(), url: url.into(), reason, detail, missing_from: None }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => UnreadReason::NotFound,
            io::ErrorKind::PermissionDenied => UnreadReason::NoPermission,
            _ => UnreadReason::Failed,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<UsageError> for Unread {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Io(error) => error.into(),
            error => Self::new(UnreadReason::WrongColumns, error.to_string()),
        }
    }
}

/// The message of an error's innermost cause. The outer messages repeat it, or contain the duration of a request.
pub fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The rows of the relation.
pub fn rows_of(unread: &[UnreadInput]) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(unread.iter().map(|input| &input.source))),
        Arc::new(StringArray::from_iter_values(unread.iter().map(|input| &input.url))),
        Arc::new(StringArray::from_iter_values(unread.iter().map(|input| input.reason.name()))),
        Arc::new(StringArray::from_iter_values(unread.iter().map(|input| &input.detail))),
        Arc::new(rows::timestamps(unread.iter().map(|input| input.missing_from))),
    ];
    rows::batch(statement("intake/unread_input")?, columns)
}
