//! The summaries of commands, which are printed as a table or as JSON.

use serde::Serialize;

use crate::model::close_blocker::CloseBlocker;
use crate::model::unread_input::UnreadInput;

/// The totals of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurrencySummary {
    pub currency: String,
    pub invoices: u64,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
}

/// The counts of intake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IntakeSummary {
    /// The number of files that this run read, without files of earlier runs.
    pub files_read: u64,
    pub records_read: u64,
    pub samples_accepted: u64,
    pub samples_duplicate: u64,
    pub records_rejected: u64,
    /// The number of samples that equal a retracted record.
    #[serde(skip_serializing_if = "is_zero")]
    pub samples_retracted: u64,
    pub records_unmetered: u64,
    /// The ids of each source that were delivered with blanks or in another Unicode form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_ids: Vec<ChangedIds>,
    /// The files, objects and servers that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread_inputs: Vec<UnreadInput>,
    pub intake_commit: Option<u64>,
}

/// The ids of a source that were delivered with blanks or in another Unicode form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedIds {
    pub source: String,
    /// The number of different ids.
    pub ids: u64,
    /// One of the ids, as delivered.
    pub delivered: String,
    /// The same id, as stored.
    pub read_as: String,
}

/// A suspended account with one of its reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SuspendedAccountSummary {
    pub account_id: String,
    pub account_name: Option<String>,
    pub reason: String,
    pub detail: String,
}

/// A meter, source or project of a billed month that is beyond a limit of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceededLimit {
    /// The key of the limit, such as `max_unrated`.
    pub limit: &'static str,
    /// The configured value of the limit.
    pub allowed: String,
    /// `meter`, `source` or `project`.
    pub kind: &'static str,
    /// The name of the meter, source or project; `None` for usage without a project.
    pub name: Option<String>,
    /// The figure that was found for this name.
    pub found: String,
    /// The finding as a sentence.
    pub detail: String,
}

/// The summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub period: String,
    #[serde(flatten)]
    pub intake: IntakeSummary,
    /// The number of uses with a price. A use is the usage of one resource on one date.
    pub usage_rated: u64,
    pub usage_unrated: u64,
    pub usage_unattributed: u64,
    pub invoices: u64,
    /// The number of documents below the minimum amount. Their amounts are carried forward to the next documents.
    pub carried_forward: u64,
    /// The number of documents without an amount, which are not issued.
    pub skipped: u64,
    /// The number of issued documents of an open period: final invoices, and their corrections.
    #[serde(skip_serializing_if = "is_zero")]
    pub issued: u64,
    pub totals: Vec<CurrencySummary>,
    /// The totals of the invoices from resellers to their customers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retail: Vec<CurrencySummary>,
    pub suspended_accounts: Vec<SuspendedAccountSummary>,
    /// The currencies without an exchange rate to the seller's currency. Reports cannot add up costs in these
    /// currencies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unconverted: Vec<String>,
    /// The findings beyond the limits of `[run]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceeded_limits: Vec<ExceededLimit>,
    /// The closed months whose usage changed after their last close, such as `2026-10`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed_months_with_new_usage: Vec<String>,
    /// The unrounded cost of internal accounts, which is not invoiced.
    pub internal_cost: String,
    /// The unrounded cost of usage without a project, which is not invoiced.
    pub unattributed_cost: String,
    pub billing_commit: Option<u64>,
    /// The directory of the documents.
    pub directory: Option<String>,
    /// Whether the period is closed. If so, the run drafted nothing, and `changes` are the differences to the issued
    /// documents.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Whether the period is closed and new usage arrived that changes no document.
    #[serde(skip_serializing_if = "is_false")]
    pub has_new_usage: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The summary of a close.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloseSummary {
    pub period: String,
    /// The account, if only its final documents are issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(flatten)]
    pub intake: IntakeSummary,
    /// The numbers of the issued documents, in the order of issue.
    pub documents: Vec<String>,
    /// The number of documents without an amount, which are not issued.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// The differences to the issued documents, if the period was closed before.
    pub changes: Vec<Change>,
    pub commit: Option<u64>,
    pub directory: Option<String>,
    /// Whether the period was closed before this command.
    #[serde(skip_serializing_if = "is_false")]
    pub was_closed: bool,
    /// The close blockers that were overridden by force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overridden_blockers: Vec<CloseBlocker>,
}

/// The result of a close that is not carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClosePreview {
    pub period: String,
    #[serde(flatten)]
    pub intake: IntakeSummary,
    pub issue_date: String,
    pub tax_point: String,
    /// The documents to issue, in the order of issue.
    pub documents: Vec<PlannedDocument>,
    /// The documents without a number: carried forward, or without an amount.
    pub not_issued: Vec<UnissuedDocument>,
    pub suspended_accounts: Vec<SuspendedAccountSummary>,
    /// The differences to the issued documents, if the period was closed before.
    pub changes: Vec<Change>,
    pub blockers: Vec<CloseBlocker>,
    /// Whether the close is refused, because it has blockers and is not forced.
    pub refused: bool,
    pub was_closed: bool,
}

/// A document that a close would issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlannedDocument {
    pub number: String,
    /// `invoice` or `credit_note`.
    pub kind: String,
    pub account_id: String,
    pub account_name: Option<String>,
    pub project_id: Option<String>,
    /// The reseller that sells; absent if the configured seller sells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sold_by: Option<String>,
    pub currency: String,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
    pub amount_due: String,
    pub due_date: Option<String>,
    /// The corrected document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A document that a close would not issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnissuedDocument {
    /// `carried_forward`, or `skipped` for a document without an amount.
    pub kind: String,
    pub account_id: String,
    pub project_id: Option<String>,
    pub currency: String,
    /// The amount without tax that the next document charges.
    pub carried_forward: String,
}

/// The difference to the issued documents of an account or project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    pub account_id: String,
    pub project_id: Option<String>,
    /// The amount due minus the issued amount, before tax.
    pub net_amount: String,
    pub currency: String,
    /// The reason: `late_usage`, `changed_record`, `late_and_changed` or `changed_rule`.
    pub reason: String,
    /// The document that contains the difference: `next invoice`, `invoice` or `credit note`.
    pub billed_as: String,
}

/// The summary of a cancellation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CancelSummary {
    pub period: String,
    /// The credit notes and the invoices that replace the cancelled documents.
    pub documents: Vec<CancelledBy>,
    /// The data of accounts and of the seller that differ from those of the cancelled documents.
    pub changed_data: Vec<ChangedData>,
    pub commit: Option<u64>,
    pub directory: Option<String>,
}

/// A credit note for a cancelled document, or the invoice that replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CancelledBy {
    /// The number; absent before the document is issued.
    pub number: Option<String>,
    /// `credit_note` or `invoice`.
    pub document_kind: String,
    /// The number of the document that a credit note cancels.
    pub cancels: Option<String>,
    /// The number of the document that an invoice replaces.
    pub replaces: Option<String>,
    pub account_id: String,
    pub project_id: Option<String>,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
    pub amount_due: String,
    pub currency: String,
}

/// A value of an account or of the seller that differs from the value on an issued document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ChangedData {
    /// The account; absent for the seller of the configuration.
    pub account_id: Option<String>,
    /// The key in the accounts file, or of `[seller]`.
    pub key: String,
    /// The value when the document was issued.
    pub issued: String,
    pub present: String,
}
