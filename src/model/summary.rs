//! What a run did, in numbers: the table at its end, and the same for machines.

use serde::Serialize;

/// The totals of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CurrencySummary {
    pub currency: String,
    pub invoices: u64,
    pub total_without_tax: String,
    pub tax_amount: String,
    pub total_with_tax: String,
}

/// What intake counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IntakeSummary {
    /// Files that this run read; those it knew already are not among them.
    pub files_read: u64,
    pub records_read: u64,
    pub samples_accepted: u64,
    pub samples_duplicate: u64,
    pub records_rejected: u64,
    pub records_unmetered: u64,
    pub intake_commit: Option<u64>,
}

/// An account without an invoice this time, and one reason for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SuspendedAccountSummary {
    pub account_id: String,
    pub account_name: Option<String>,
    pub reason: String,
    pub detail: String,
}

/// Everything that the end of a run tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub period: String,
    #[serde(flatten)]
    pub intake: IntakeSummary,
    /// Rows of a resource's use on a date.
    pub usage_rated: u64,
    pub usage_unrated: u64,
    pub usage_unattributed: u64,
    pub invoices: u64,
    /// Documents too small to be sent, which the next ones have.
    pub carried_forward: u64,
    pub totals: Vec<CurrencySummary>,
    /// What resellers invoice to their customers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retail: Vec<CurrencySummary>,
    pub suspended_accounts: Vec<SuspendedAccountSummary>,
    /// Currencies of prices without a rate to the seller's: reports cannot add up what they cost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unconverted: Vec<String>,
    /// The unrounded cost of usage that is not invoiced because its account is internal, or because nobody is known
    /// to pay.
    pub internal_cost: String,
    pub unattributed_cost: String,
    pub billing_commit: Option<u64>,
    /// Where the documents are.
    pub directory: Option<String>,
    /// The period is closed: nothing was drafted, and `changes` are due beyond what was issued.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The period is closed, and usage came since that changes no document: its books do not have it yet.
    #[serde(skip_serializing_if = "is_false")]
    pub has_new_usage: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What was issued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloseSummary {
    pub period: String,
    #[serde(flatten)]
    pub intake: IntakeSummary,
    /// The numbers of the documents, in their order.
    pub documents: Vec<String>,
    /// For a period that was closed before: what is due beyond what was issued.
    pub changes: Vec<Change>,
    pub commit: Option<u64>,
    pub directory: Option<String>,
    /// It was closed before.
    #[serde(skip_serializing_if = "is_false")]
    pub was_closed: bool,
}

/// What changed, for those who have to decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    pub account_id: String,
    pub project_id: Option<String>,
    /// Due less issued, before tax.
    pub net_amount: String,
    pub currency: String,
    /// `late_usage`, `changed_record`, `late_and_changed`, `changed_rule`.
    pub reason: String,
    /// `next invoice`, `invoice` or `credit note`.
    pub goes_on: String,
}
