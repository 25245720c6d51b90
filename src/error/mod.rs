//! The error of a run: one enum over the errors of each area.
//!
//! [`Error::class`] decides the exit code of the command. An area with its own errors has an enum in this folder.

mod closing;
mod intake;
mod lake;

use arrow::record_batch::RecordBatch;

use crate::model::diagnostic::Diagnostic;
use crate::model::error_class::ErrorClass;
use crate::model::money::{Amount, Cost, DecimalNumber, Quantity};
use crate::{query, storage};

pub use self::closing::ClosingError;
pub use self::intake::IntakeError;
pub use self::lake::LakeError;

/// The error of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Closing(#[from] ClosingError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Query(#[from] query::Error),
    /// A page could not be rendered.
    #[error("a page could not be rendered")]
    Page(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The configuration, the accounts or the rules are invalid.
    #[error("{} in the configuration or the rules", count(.0.len(), "problem"))]
    Invalid(Vec<Diagnostic>),
    /// An invariant is violated: nothing is committed.
    #[error("the check `{claim}` failed: {summary}")]
    BrokenCheck { claim: String, summary: String, rows: Vec<RecordBatch> },
    /// A number of a record or of a rule that a statement cannot use. The diagnostic names the row and the rule.
    #[error("a row of a rule cannot be computed; no documents were committed")]
    Row(Box<Diagnostic>),
    #[error("the current relation has no column `{name}` of the expected type")]
    Column { name: &'static str },
    #[error("could not use the directory for temporary files; set TMPDIR to another one")]
    Temporary(#[source] std::io::Error),
    /// A quantity or an amount exceeds the digits that the relations store.
    #[error(
        "{what}{} has more than {digits} digits before the decimal point; check its quantities, prices and exchange \
         rates",
        .payer.as_ref().map(|payer| format!(" of `{payer}`")).unwrap_or_default()
    )]
    Overflow { what: &'static str, digits: u32, payer: Option<String> },
    #[error("{0}; this is a bug in conto, please report it")]
    Internal(&'static str),
    #[error("could not write {what}")]
    Document {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub const AMOUNT_OVERFLOW: Self = Self::overflow("an amount", 28 - Amount::PLACES);
    pub const COST_OVERFLOW: Self = Self::overflow("a cost", 38 - Cost::PLACES);
    pub const QUANTITY_OVERFLOW: Self = Self::overflow("a quantity", 38 - Quantity::PLACES);

    /// The error for a number with more than `digits` digits before the decimal point.
    pub const fn overflow(what: &'static str, digits: u32) -> Self {
        Self::Overflow { what, digits, payer: None }
    }

    /// The error with the account or project whose number is too large.
    pub fn of_payer(self, id: &str) -> Self {
        match self {
            Self::Overflow { what, digits, payer: None } => Self::Overflow { what, digits, payer: Some(id.to_owned()) },
            other => other,
        }
    }

    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Intake(error) => error.class(),
            Self::Closing(error) => error.class(),
            Self::Lake(error) => error.class(),
            Self::Storage(error) => error.class(),
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::BrokenCheck { .. } | Self::Row(_) | Self::Overflow { .. } => ErrorClass::Refused,
            Self::Query(query::Error::Value { .. } | query::Error::TooLarge { .. }) => ErrorClass::Refused,
            Self::Query(_)
            | Self::Page(_)
            | Self::Column { .. }
            | Self::Temporary(_)
            | Self::Internal(_)
            | Self::Document { .. } => ErrorClass::Failed,
        }
    }
}

/// `1 problem`, `2 problems`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
