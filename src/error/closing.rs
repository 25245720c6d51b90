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
    #[error(
        "no issued document has the number `{number}`{}. A draft is not issued: correct the accounts file and run \
         again. `conto sql \"SELECT document_number FROM issued_document\"` lists all numbers.",
        closest.as_ref().map(|closest| format!(" (did you mean `{closest}`?)")).unwrap_or_default()
    )]
    CancelUnknown { number: String, closest: Option<String> },
    #[error(
        "`{number}` was cancelled by `{credit_note}`{}",
        match replaced_by {
            Some(invoice) => format!(", and `{invoice}` replaces it: cancel `{invoice}` instead"),
            None => " and is not due; `conto restate` charges its usage again".to_owned(),
        }
    )]
    CancelledBefore { number: String, credit_note: String, replaced_by: Option<String> },
    #[error(
        "`{number}` {} and cannot be cancelled: {}",
        if *is_cancellation { "cancels another document" } else { "corrects another document" },
        if *is_cancellation {
            format!(
                "cancel the document that replaces `{corrects}`, or charge the month again with `conto restate \
                 --period {period}`"
            )
        } else {
            format!("cancel `{corrects}`, the document that it corrects; its corrections are cancelled with it")
        }
    )]
    CancelCorrection { number: String, period: String, is_cancellation: bool, corrects: String },
    #[error("{first} and {second} are documents of different months: cancel the documents of each month together")]
    CancelledPeriodsDiffer { first: String, second: String },
    #[error(
        "{} have different exchange rates, and a credit note has one rate: correct them with `conto restate`",
        quoted(numbers)
    )]
    CancelledRatesDiffer { numbers: Vec<String> },
    #[error(
        "`{number}` has an amount that was brought forward from `{from}`. Without a new invoice this amount would be \
         due nowhere: omit --without-reissue."
    )]
    CancelBroughtForward { number: String, from: String },
    #[error(
        "late usage of `{number}` is on the next invoice of the account, and a cancellation does not change that \
         invoice: omit --without-reissue"
    )]
    CancelOnNextInvoice { number: String },
    #[error(
        "late usage of `{number}` is on the next invoice of the account with other taxes than the present data have: \
         apply the present data with `conto restate --period {period}`"
    )]
    CancelTaxDiffers { number: String, period: String },
    #[error("`{number}` is a final invoice of {period}, which is still open: close {period}, then cancel the invoice")]
    CancelInOpenPeriod { number: String, period: String },
    #[error(
        "nothing is left to invoice in place of `{number}`: its usage was retracted, or it is below the minimum \
         invoice amount; add --without-reissue"
    )]
    NothingToReissue { number: String },
    #[error(
        "`{number}` is for `{account}`, {reason}. A new invoice needs the data of an account: correct the accounts \
         file, or add --without-reissue."
    )]
    NoAccountData { number: String, account: String, reason: String },
    #[error(
        "`{number}` has the present data of `{account}` and of its seller, so a new invoice would be the same: correct \
         the accounts file or `[seller]`, or add --without-reissue"
    )]
    SameAccountData { number: String, account: String },
    #[error("`{number}` cannot be issued again with the present `[seller]`: {reason}")]
    ReissuedSeller { number: String, reason: String },
    #[error(
        "with the present data, {} would change too: cancel all of these documents in one command",
        quoted(numbers)
    )]
    OthersChange { numbers: Vec<String> },
    #[error("the account `{account}` cannot get a final invoice for {period}: {reason}")]
    NoFinalInvoice { account: String, period: String, reason: String },
    #[error("{period} was closed with the tax point {closed_with}, and corrections use the same one; omit --tax-point")]
    TaxPointMismatch { period: String, closed_with: Date },
    #[error(
        "the tax point {tax_point} is not from {first} to {issue_date}: tax of {period} is due between its first day \
         and the issue date; correct --tax-point or --issue-date, or omit --tax-point"
    )]
    TaxPointOutside { period: String, tax_point: Date, first: Date, issue_date: Date },
}

/// Numbers in backticks, separated by commas.
fn quoted(numbers: &[String]) -> String {
    numbers.iter().map(|number| format!("`{number}`")).collect::<Vec<_>>().join(", ")
}

impl ClosingError {
    /// The class that decides the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::CloseBlocked { .. } | Self::CorrectionBlocked { .. } => ErrorClass::Refused,
            Self::IssueDateBeforeLast { .. }
            | Self::NumberSeriesTaken { .. }
            | Self::NotClosed { .. }
            | Self::NoFinalInvoice { .. }
            | Self::VersionMismatch { .. }
            | Self::CancelUnknown { .. }
            | Self::CancelledBefore { .. }
            | Self::CancelCorrection { .. }
            | Self::CancelledPeriodsDiffer { .. }
            | Self::CancelledRatesDiffer { .. }
            | Self::CancelBroughtForward { .. }
            | Self::CancelOnNextInvoice { .. }
            | Self::NothingToReissue { .. }
            | Self::CancelTaxDiffers { .. }
            | Self::CancelInOpenPeriod { .. }
            | Self::NoAccountData { .. }
            | Self::SameAccountData { .. }
            | Self::ReissuedSeller { .. }
            | Self::OthersChange { .. }
            | Self::TaxPointMismatch { .. }
            | Self::TaxPointOutside { .. } => ErrorClass::Invalid,
        }
    }
}
