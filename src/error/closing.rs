//! Errors of closing: blocked closes and corrections, and conflicts of numbers and dates.

use jiff::civil::Date;

use crate::model::error_class::ErrorClass;

/// The error of a close, a correction or a restatement.
#[derive(Debug, thiserror::Error)]
pub enum ClosingError {
    #[error(
        "{period} cannot be closed yet:{}\n\
         fix these blockers, or close with --force and --reason, which the commit log records",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    CloseBlocked { period: String, reasons: Vec<String> },
    #[error(
        "the correction of {period} cannot be computed:{}\n\
         these accounts have issued documents, but are suspended now: fix the listed problems",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    CorrectionBlocked { period: String, reasons: Vec<String> },
    #[error(
        "documents cannot be issued on {date}: `{number}` was issued on {newest}, and a later number needs the \
         same or a later date. If {newest} was a mistake, start another number series: set another \
         `invoice_prefix` and `credit_note_prefix` in `[closing]`."
    )]
    IssueDateBeforeLast { date: Date, newest: Date, number: String },
    #[error(
        "the number `{number}` was issued by the seller {seller} in this lake, but the seller is {current} now. If \
         they are the same seller, add `previous_identities = [\"{seller}\"]` to `[closing]` to continue its numbers. \
         If they are not, set another `invoice_prefix` and `credit_note_prefix` there."
    )]
    NumberSeriesTaken { number: String, seller: String, current: String },
    #[error("{period} is not closed and cannot be restated; `conto run --period {period}` computes its drafts again")]
    NotClosed { period: String },
    #[error(
        "{period} was closed by conto {closed_by}, and conto {current} computes other documents from the same usage. \
         Issue corrections with conto {closed_by}, or issue the differences with `conto restate --period {period}`."
    )]
    VersionMismatch { period: String, closed_by: String, current: &'static str },
    #[error("{period} was closed with the tax point {closed_with}, and corrections use the same one; omit --tax-point")]
    TaxPointMismatch { period: String, closed_with: Date },
}

impl ClosingError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::CloseBlocked { .. } | Self::CorrectionBlocked { .. } => ErrorClass::Refused,
            Self::IssueDateBeforeLast { .. }
            | Self::NumberSeriesTaken { .. }
            | Self::NotClosed { .. }
            | Self::VersionMismatch { .. }
            | Self::TaxPointMismatch { .. } => ErrorClass::Invalid,
        }
    }
}
