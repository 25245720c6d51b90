//! The index of a billing period: every project, every document, and how the run's numbers close.

use jiff::civil::Date;
use serde::Serialize;

use super::invoice::{Project, iso_date};
use super::usage_report::{InvoicingStatus, UnratedUsageSummary};

/// One run over all projects of a billing period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexPage {
    pub seller_name: String,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// Exclusive; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// Whether the documents are drafts.
    pub is_draft: bool,
    pub records: RecordCounts,
    pub usage: UsageCounts,
    pub projects: Vec<IndexedProject>,
    /// One for each currency that is invoiced.
    pub totals: Vec<CurrencyTotal>,
    pub rejected_records: Vec<RejectedRecords>,
    pub unrated_usage: Vec<UnratedUsageSummary>,
    pub files: Vec<File>,
    /// Program and version.
    pub generated_by: String,
}

/// What became of the records that were read. One record can state several facts, each of which is accepted, a
/// duplicate or rejected, so these need not add up to what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    /// Of a kind that no meter asks for.
    pub unmetered: u64,
}

/// What became of the usage, in rows of a resource and day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    pub rated: u64,
    pub unrated: u64,
    /// Without a project, and so invoiced to nobody; among the rated or unrated.
    pub unattributed: u64,
}

/// One project of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexedProject {
    /// None for usage without a project, and for what an account owes as a whole.
    pub project: Option<Project>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub status: InvoicingStatus,
    pub invoice: Option<InvoiceSummary>,
    /// Relative path of the usage report, as a path and not yet as a URL.
    pub usage_report_path: Option<String>,
    /// Exact cost of the usage before tax; the page rounds it for show.
    pub contracted_cost: String,
    pub currency: String,
}

/// An invoice as the index lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceSummary {
    pub number: String,
    /// Relative path of the page, as a path and not yet as a URL.
    pub path: String,
    pub currency: String,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
}

/// All invoices of one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CurrencyTotal {
    pub currency: String,
    pub invoice_count: u64,
    pub total_without_tax: String,
    pub total_tax: String,
    pub total_with_tax: String,
}

/// Records refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RejectedRecords {
    pub reason: String,
    pub record_count: u64,
}

/// A file that lies beside the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// Relative path, as a path and not yet as a URL.
    pub path: String,
    pub description: String,
}
