//! The index of a billing period: all projects, all documents and the counts of the run.

use jiff::civil::Date;
use serde::Serialize;

use super::invoice::{Project, iso_date};
use crate::model::close_blocker::CloseDecision;

use super::usage_report::{InvoiceLink, InvoicingStatus, UnratedUsageSummary};

/// The index of a billing period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexPage {
    pub seller_name: String,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// The exclusive end; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// Whether the documents are drafts.
    pub is_draft: bool,
    pub records: RecordCounts,
    pub usage: UsageCounts,
    pub projects: Vec<IndexedProject>,
    /// The totals of all invoices in each currency.
    pub totals: Vec<CurrencyTotal>,
    pub rejected_records: Vec<RejectedRecords>,
    /// The operator's decisions about the issued documents; empty for drafts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub close_decisions: Vec<CloseDecision>,
    pub unrated_usage: Vec<UnratedUsageSummary>,
    pub files: Vec<File>,
    /// The name and version of the program.
    pub generated_by: String,
}

/// The numbers of records by outcome. A record can contain several samples, and each sample is accepted, a duplicate or
/// rejected. So the numbers can add up to more than the number of records read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    /// Records with a source meter that no meter uses.
    pub unmetered: u64,
}

/// The numbers of usage rows by outcome, by resource and day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    pub rated: u64,
    pub unrated: u64,
    /// Rated or unrated usage without a project, which is not invoiced.
    pub unattributed: u64,
}

/// One project of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexedProject {
    /// The project; `None` for usage without a project and for charges of the whole account.
    pub project: Option<Project>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub status: InvoicingStatus,
    pub invoice: Option<InvoiceSummary>,
    /// The other documents of the project in the period, such as credit notes and cancelled invoices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_documents: Vec<InvoiceLink>,
    /// The relative path of the usage report, not escaped as a URL.
    pub usage_report_path: Option<String>,
    /// The exact cost of the usage before tax; the page rounds this cost for display.
    pub contracted_cost: String,
    pub currency: String,
}

/// The index entry of an invoice. The totals of a project's own invoice include its other documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceSummary {
    pub number: String,
    /// The relative path of the page, not escaped as a URL.
    pub path: String,
    pub currency: String,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
    /// Whether an earlier project of the index has the amounts of the same invoice.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_repeated: bool,
}

/// The totals of all invoices in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CurrencyTotal {
    pub currency: String,
    pub invoice_count: u64,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
}

/// The number of records that were rejected for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RejectedRecords {
    pub reason: String,
    pub record_count: u64,
}

/// A file in the directory of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// The relative path, not escaped as a URL.
    pub path: String,
    pub description: String,
}
