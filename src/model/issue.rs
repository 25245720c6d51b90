//! Documents on their way from a correction to an issued number: what closing, invoicing and documents exchange.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use jiff::civil::Date;

use crate::model::money::Amount;

/// The documents that one close issues.
#[derive(Clone, Debug)]
pub struct Issue {
    pub date: Date,
    pub tax_point: Date,
    /// In the order of their place in the chain.
    pub documents: Vec<IssuedDocument>,
    /// The place of the first of these documents in the chain of all issued documents.
    pub chain_number: u64,
    /// The digest of the last document that was issued before.
    pub previous_sha256: Option<String>,
}

impl Issue {
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
    /// The number and date of issue of the document that this one corrects.
    pub corrects: Option<(String, Date)>,
    /// The reason of a correction.
    pub reason: Option<String>,
    /// The date by which an invoice is to be paid, where the configuration or the account sets payment days.
    pub due_date: Option<Date>,
}

/// The permanent number of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentNumber {
    /// As printed on the document: `INV-2026-00001`.
    pub number: String,
    /// The VAT id of the issuer, or its name if it has none.
    pub seller: String,
    /// The account of the reseller that issues the document; absent: the seller of the configuration.
    pub sold_by: Option<String>,
    /// Distinguishes the numbers of one issuer from those of other issuers.
    pub series: String,
    pub year: i16,
    /// Counted without a gap in a series, kind and year.
    pub sequence: u64,
}

/// Rows for the relations of documents that correct a closed period. They replace the drafted rows.
#[derive(Debug, Default)]
pub struct CorrectedRows {
    pub document_header: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub line_reference: Vec<RecordBatch>,
    pub unbilled_cost: Vec<RecordBatch>,
    /// Amounts that are returned to prepaid credits, by credit id.
    pub returned: BTreeMap<String, Amount>,
}
