//! The documents that a close issues, and the rows of corrections. Closing, invoicing and documents use these types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use jiff::civil::Date;

use crate::model::config::Config;
use crate::model::money::Amount;

/// The documents that one close issues.
#[derive(Clone, Debug)]
pub struct Issue {
    pub date: Date,
    /// The account, if only the final documents of one account are issued.
    pub account: Option<String>,
    /// The documents, in the order of the chain of issued documents.
    pub documents: Vec<IssuedDocument>,
    /// The position of the first of these documents in the chain of all issued documents.
    pub chain_number: u64,
    /// The digest of the last document that was issued before these documents.
    pub previous_sha256: Option<String>,
    /// The configuration of each cancelled document, by number of the document that cancels it. That document names the
    /// seller and the accounts of the cancelled one.
    pub cancelled_configs: BTreeMap<String, Arc<Config>>,
}

impl Issue {
    /// Whether the documents of all payers are issued, and not only the final documents of one account.
    pub fn is_of_all_payers(&self) -> bool {
        self.account.is_none()
    }

    pub fn document(&self, number: &str) -> Option<&IssuedDocument> {
        self.documents.iter().find(|document| document.number.number == number)
    }
}

/// One document that a close issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedDocument {
    pub number: DocumentNumber,
    /// `invoice` or `credit_note`.
    pub kind: &'static str,
    /// The number and date of issue of the document that this document corrects, cancels or replaces.
    pub corrects: Option<(String, Date)>,
    /// The reason of a correction, a cancellation or a reissue.
    pub reason: Option<String>,
    /// The number of the document that cancels the replaced document.
    pub cancelled_by: Option<String>,
    /// The stated reason of a cancellation.
    pub remark: Option<String>,
    /// The due date of an invoice; absent if neither the configuration nor the account contains payment days.
    pub due_date: Option<Date>,
}

/// The permanent number of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentNumber {
    /// The number that the document shows, such as `INV-2026-00001`.
    pub number: String,
    /// The VAT id of the issuer, or the name of an issuer without a VAT id.
    pub seller: String,
    /// The account of the reseller that issues the document; absent: the seller of the configuration.
    pub sold_by: Option<String>,
    /// The number series, which distinguishes the numbers of one issuer from the numbers of other issuers.
    pub series: String,
    pub year: i16,
    /// The consecutive number within one series, document kind and year.
    pub sequence: u64,
}

/// The rows of the documents that correct a closed period, by relation. These rows replace the drafted rows.
#[derive(Debug, Default)]
pub struct CorrectedRows {
    pub document_header: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub allowance_share: Vec<RecordBatch>,
    pub prepayment: Vec<RecordBatch>,
    pub line_reference: Vec<RecordBatch>,
    pub unbilled_cost: Vec<RecordBatch>,
    /// The treatments of all documents of the period, issued and corrected.
    pub applied_tax: Vec<RecordBatch>,
    /// The net amounts of the documents that were issued before, by correction and tax treatment.
    pub issued_net: Vec<RecordBatch>,
    /// The taxes of the documents that were issued before, by correction and tax group.
    pub issued_tax: Vec<RecordBatch>,
    /// The total tax of the documents that were issued before, by correction, in both currencies.
    pub issued_tax_total: Vec<RecordBatch>,
    /// Amounts that are returned to prepaid credits, by credit id.
    pub returned: BTreeMap<String, Amount>,
}

/// A cancellation: the drafts of the documents that cancel others, and of the documents that replace them.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    /// The cancelled documents, by the name of a draft.
    pub drafts: BTreeMap<String, CancelledDocument>,
    /// The stated reason.
    pub remark: String,
}

/// A cancelled document.
#[derive(Clone, Debug)]
pub struct CancelledDocument {
    pub number: String,
    pub issue_date: Date,
    pub is_credit_note: bool,
    /// The configuration and the accounts of the commit that issued the document.
    pub config: Arc<Config>,
}

/// The credits and the amounts of other periods on the issued documents of a period. Documents that are issued again
/// use the same ones.
#[derive(Clone, Debug, Default)]
pub struct IssuedUses {
    /// The amounts that credits paid, by credit id and by the project of the document.
    pub credits: BTreeMap<(String, Option<String>), Amount>,
    /// The documents whose amounts were brought forward.
    pub brought_forward: BTreeSet<String>,
}
