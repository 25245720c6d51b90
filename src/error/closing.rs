//! Errors of closing: a close or a correction that is blocked, numbers and dates that conflict.

use jiff::civil::Date;

use crate::model::error_class::ErrorClass;

/// Why a close, a correction or a restatement failed.
#[derive(Debug, thiserror::Error)]
pub enum ClosingError {
    #[error(
        "{period} cannot be closed yet:{}\nmend what is listed, or close all the same with --force, which is recorded",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    CloseBlocked { period: String, reasons: Vec<String> },
    #[error(
        "what is due for {period} beyond what was issued cannot be told:{}\n\
         these accounts have documents, and would get none now: mend what is listed",
        reasons.iter().map(|reason| format!("\n  - {reason}")).collect::<String>()
    )]
    CorrectionBlocked { period: String, reasons: Vec<String> },
    #[error(
        "documents cannot be issued on {date}: `{number}` was issued on {newest}, and numbers and dates rise together"
    )]
    IssueDateBeforeLast { date: Date, newest: Date, number: String },
    #[error(
        "the number `{number}` was given by {seller} in this lake, and the seller is {now} now: where that is the same \
         one under another name, say `previous_identities = [\"{seller}\"]` in `[closing]`, and its numbers go on; where it is \
         not, give documents another `invoice_prefix` and `credit_note_prefix` there"
    )]
    NumberSeriesTaken { number: String, seller: String, now: String },
    #[error(
        "{period} is not closed, so that there is nothing to restate; `conto run --period {period}` drafts it anew"
    )]
    NotClosed { period: String },
    #[error(
        "{period} was closed by conto {then}, and conto {now} makes something else of the same usage: what is due \
         since is settled by the program that closed it, or `conto restate --period {period}` brings this one to it"
    )]
    VersionMismatch { period: String, then: String, now: &'static str },
    #[error("{period} was closed with the tax point {kept}, and what corrects it keeps that; leave --tax-point out")]
    TaxPointKept { period: String, kept: Date },
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
            | Self::TaxPointKept { .. } => ErrorClass::Invalid,
        }
    }
}
